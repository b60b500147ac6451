"""Processes that share one arbiter: `python -P arbiter_peers.py hold|loose HOME USER MILLISECONDS`.

Each has two requests for one of the two places of the model `m` under way until its standard input ends,
and holds each grant for so many milliseconds. While it does, it holds a lock of the operating system on a
file of its own in HOME/holds, and counts those that others hold: more than two are an error, unless it is
`loose`. It prints its standing whenever that changes, and at the end with the number of grants since there
is a file HOME/go.
"""

import asyncio
import fcntl
import os
import sys
from pathlib import Path

from symphony.app.bus_places import passing_name
from symphony.app.live import LiveBus
from symphony.commons.time import SystemClock
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit
from symphony.pit.arbitration.sharing import SharedArbiter
from symphony.ports.arbiter import ResourceRequest

PLACES = 2


def shared(home: Path, live: LiveBus) -> SharedArbiter:
    """The arbiter of `home`."""
    return SharedArbiter(
        ArbiterLimits(models={"m": ModelLimit(calls=PLACES)}),
        ArbiterPolicy(),
        SystemClock(),
        folder=home / "run",
        bus=live.reach,
        asking=passing_name("arbiter"),
    )


def holders(folder: Path) -> int:
    """How many of the files are locked."""
    count = 0
    for file in folder.iterdir():
        try:
            number = os.open(file, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)  # others may look at the same moment
        except BlockingIOError:
            count += 1
        finally:
            os.close(number)
    return count


async def hold(home: Path, user: str, each_ms: float, *, strict: bool) -> None:
    """Two requests at a time until standard input ends."""
    live, folder = LiveBus(home), home / "holds"
    folder.mkdir(exist_ok=True)
    arbiter = shared(home, live)
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    grants, standing = 0, ""  # counted once all have begun

    async def one(number: int) -> None:
        nonlocal grants, standing
        file = folder / f"{os.getpid()}-{number}"
        while not over.done():
            request = ResourceRequest(
                run=f"{user}-{number}", node=f"step[{grants}]", resource="m", kind="model", user=user
            )
            grant = arbiter.try_acquire(request) or await arbiter.acquire(request)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            busy = holders(folder)
            if strict and busy > PLACES:
                print(f"{busy} hold what there are {PLACES} of", flush=True)
                os._exit(3)
            await asyncio.sleep(each_ms / 1000)
            os.close(descriptor)
            arbiter.release(grant)
            if (home / "go").exists():
                grants += 1
                with (home / "grants").open("ab") as file_of_all:
                    file_of_all.write(b".")
            if arbiter.standing != standing:
                standing = str(arbiter.standing)
                print(standing, flush=True)

    await asyncio.gather(*(one(number) for number in range(2)))
    standing = str(arbiter.standing)
    await arbiter.stop()
    await live.close()
    print(f"{standing} after {grants}", flush=True)


async def main(words: list[str]) -> None:
    """One verb."""
    match words:
        case [("hold" | "loose") as verb, home, user, each_ms]:
            await hold(Path(home), user, float(each_ms), strict=verb == "hold")


asyncio.run(main(sys.argv[1:]))
