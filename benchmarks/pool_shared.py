"""What does it cost to ask a model that another process owns, and how long does a takeover take?

Question: a call of a loaded model through the owner of the pool in another process, against a call in the
owner's own process, for a short text and for 32 texts of 2 KB; seconds from the kill of the owner, with a
call under way, to the answer of that call, from the next owner with a model that it had to load first.
Size: 1,000 and 300 calls each way, in turns; 10 kills. Models of `tests/contracts/echo_child.py`: what they
compute costs nothing, and they load in about as long as Python starts.
Budget: a call through the owner takes at most 4 times as long; 3 s for the answer after a kill.

Run: python benchmarks/pool_shared.py; prints one JSON line.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from measuring import Figure, line

from symphony.app.bus_places import passing_name
from symphony.app.live import LiveBus
from symphony.pit.pool import ChildSpec, Elementwise, PoolBudget
from symphony.pit.pool.sharing import SharedModels, SharedSpec
from symphony.pit.pool.sharing.messages import LOCK
from symphony.ports.values import Value

SHORT, LONG, KILLS = 1_000, 300, 10
CHILD = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "echo_child.py"
SPEC = ChildSpec(
    argv=(sys.executable, "-P", str(CHILD)), fingerprint="echo", elementwise=Elementwise("texts", "vectors")
)
SHORT_TEXTS: list[Value] = ["a short text"]
LONG_TEXTS: list[Value] = ["x" * 2_000] * 32


def shared(home: Path, live: LiveBus) -> SharedModels:
    """The pool of `home`, as this process has it."""
    return SharedModels(
        {"m": SharedSpec(SPEC, b"")},
        lambda _name, _settings: SPEC,
        budget=PoolBudget(bytes_max=2**40),
        lock=home / "run" / LOCK,
        bus=live.reach,
        asking=passing_name("pool"),
    )


async def owning(home: Path) -> None:
    """Another process: owns the pool, and measures its own calls when told to, until it is killed."""
    models = shared(home, LiveBus(home))
    await models.invoke("m", {"texts": SHORT_TEXTS}, {})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while words := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(f"{await call_s(models, words.strip() == 'long')}\n")
        sys.stdout.flush()


async def call_s(models: SharedModels, long: bool) -> float:
    """The median of some calls."""
    texts, taken_s = LONG_TEXTS if long else SHORT_TEXTS, list[float]()
    for _ in range((LONG if long else SHORT) // 10):
        begun_s = perf_counter()
        await models.invoke("m", {"texts": texts}, {})
        taken_s.append(perf_counter() - begun_s)
    return statistics.median(taken_s)


def owner(home: Path) -> "subprocess.Popen[str]":
    """Begin a process that owns the pool."""
    words = [sys.executable, str(Path(__file__)), str(home)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def ratios(home: Path) -> list[Figure]:
    """Calls here and there, in turns."""
    process = await asyncio.to_thread(owner, home)
    live = LiveBus(home)
    models = shared(home, live)
    figures = []
    assert process.stdin is not None
    assert process.stdout is not None
    for long in (False, True):
        away, near = list[float](), list[float]()
        for _ in range(10):
            away.append(await call_s(models, long))
            process.stdin.write("long\n" if long else "short\n")
            process.stdin.flush()
            near.append(float(await asyncio.to_thread(process.stdout.readline)))
        what = "32 texts of 2 KB" if long else "a short text"
        figures += [
            Figure(f"{what}: in the owner's process", statistics.median(near) * 1e6, "µs"),
            Figure(f"{what}: through the owner", statistics.median(away) * 1e6, "µs"),
            Figure(f"{what}: ratio", statistics.median(away) / statistics.median(near), "x", 4.0),
        ]
    process.kill()
    process.wait()
    await models.close()
    await live.close()
    return figures


async def takeover_s(home: Path) -> float:
    """Kill the owner during a call of ours; until its answer."""
    process = await asyncio.to_thread(owner, home)
    live = LiveBus(home)
    models = shared(home, live)
    await models.invoke("m", {"texts": SHORT_TEXTS}, {})
    call = asyncio.ensure_future(models.invoke("m", {"texts": ["take 100"]}, {}))
    await asyncio.sleep(0.05)
    begun_s = perf_counter()
    process.kill()
    await call
    taken_s = perf_counter() - begun_s - 0.1  # what the answer itself takes
    await models.close()
    await live.close()
    process.wait()
    return taken_s


async def measured() -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        figures = await ratios(Path(folder) / "home")
        taken_s = [await takeover_s(Path(folder) / f"home {number}") for number in range(KILLS)]
    return [
        *figures,
        Figure("answer after the owner was killed: p50", statistics.median(taken_s), "s", 3.0),
        Figure("answer after the owner was killed: slowest", max(taken_s), "s", 3.0),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(owning(Path(sys.argv[1])))
    else:
        print(line("pool_shared", f"{SHORT} and {LONG} calls, {KILLS} kills", asyncio.run(measured())))
