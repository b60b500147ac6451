"""Waiting for what has no event: files of other processes, conditions of the loop."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0


def wait_until(holds: Callable[[], object], process: "subprocess.Popen[Any] | None" = None) -> None:
    """Look again and again until `holds` is true; meanwhile `process` must not end."""
    ends = time.monotonic() + PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ends, f"{holds} does not hold after {PATIENCE_S} s"
        time.sleep(0.01)


def wait_for(path: Path, process: "subprocess.Popen[Any] | None" = None) -> None:
    """Returns once `path` is there; meanwhile `process` must not end."""
    wait_until(path.exists, process)


async def until(holds: Callable[[], object], every_s: float = 0.0) -> None:
    """Let the event loop turn until `holds` is true; look at it `every_s` seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  many conditions, none of which has an event
            await asyncio.sleep(every_s)


class Stopwatch:
    """Seconds that pass from its making on, apart from those for which this process had no core.

    Programs beside this one have the cores then. Where the system does not tell, all seconds count.
    """

    def __init__(self) -> None:
        # In this order: whoever is held up between two looks has that counted as starved, never as passed.
        self._starved_s, self._began_s = _starved_s(), time.monotonic()

    def passed_s(self) -> float:
        """Until now."""
        passed_s = time.monotonic() - self._began_s
        return passed_s - self.starved_s()

    def starved_s(self) -> float:
        """Those that do not count, until now."""
        return max(_starved_s() - self._starved_s, 0.0)


def _starved_s() -> float:
    """Seconds for which threads of this process that could have run had no core."""
    nanoseconds = 0
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError, IndexError):  # a thread that has ended meanwhile
            nanoseconds += int(thread.read_text().split()[1])
    return nanoseconds / 1e9


async def longest_wait(ended: "asyncio.Future[Any] | None", for_s: float = 0.5) -> float:
    """The longest time in seconds that the loop did nothing else: until `ended`, without it for `for_s`.

    The time for which this process had no core does not count.
    """
    ends, worst = time.monotonic() + for_s, 0.0
    while (time.monotonic() < ends) if ended is None else not ended.done():
        watch = Stopwatch()
        await asyncio.sleep(0.005)
        worst = max(worst, watch.passed_s())
    return worst
