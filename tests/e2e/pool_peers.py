"""Processes that share one pool of models: `python -P pool_peers.py ask HOME MILLISECONDS`.

Each asks the model `echo` until its standard input ends, every call taking so many milliseconds, and
checks every answer. It prints its standing whenever that changes, and at the end.
"""

import asyncio
import sys
from pathlib import Path

from symphony.app.bus_places import passing_name
from symphony.app.live import LiveBus
from symphony.pit.pool import ChildSpec, Elementwise, PoolBudget
from symphony.pit.pool.sharing import SharedModels, SharedSpec
from symphony.pit.pool.sharing.messages import LOCK

CHILD = Path(__file__).parents[1] / "contracts" / "echo_child.py"


def spec(mark: str) -> ChildSpec:
    """The echoing process; `mark` stands in its command line."""
    argv = (sys.executable, "-P", str(CHILD), "work", mark)
    return ChildSpec(argv=argv, fingerprint="f", elementwise=Elementwise("texts", "vectors"))


def shared(home: Path, live: LiveBus) -> SharedModels:
    """The pool of `home`."""
    return SharedModels(
        {"echo": SharedSpec(spec(str(home)), b"")},
        lambda _name, _settings: spec(str(home)),
        budget=PoolBudget(bytes_max=2**40),
        lock=home / "run" / LOCK,
        bus=live.reach,
        asking=passing_name("pool"),
    )


async def ask(home: Path, each_ms: str) -> None:
    """Two calls at a time until standard input ends."""
    live = LiveBus(home)
    models = shared(home, live)
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    calls, standing = 0, models.standing

    async def one(number: int) -> None:
        nonlocal calls, standing
        while not over.done():
            words = f"take {each_ms} {'x' * (number + calls % 7)}"
            answer = await models.invoke("echo", {"texts": [words]}, {"add": number})
            assert answer["vectors"] == [[len(words), number]], answer
            calls += 1
            if calls == 1 or models.standing != standing:
                standing = models.standing
                print(standing, flush=True)

    await asyncio.gather(*(one(number) for number in range(2)))
    standing = models.standing
    await models.close()
    await live.close()
    print(f"{standing} after {calls}", flush=True)


async def main(words: list[str]) -> None:
    """One verb."""
    match words:
        case ["ask", home, each_ms]:
            await ask(Path(home), each_ms)


asyncio.run(main(sys.argv[1:]))
