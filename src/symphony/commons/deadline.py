"""The deadline of a node's attempt: what enforces it, and code inside the attempt that has to mind it.

Only time in which this process could have noticed an end counts: a process that was stopped (Ctrl-Z, a
suspended machine) wakes up with all of its timers due, and what it waits for may have ended long ago.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from math import inf
from typing import Final

from symphony.commons.contexts import Setting

STOPPED_S: Final = 1.0
"""A timer that is later than this tells that the process was stopped or held up: that time does not count."""
AFTERWARDS_S: Final = 0.5
"""Seconds in which work that ended while the process was stopped can still be noticed."""

_PARTS: Final = 32
_PART_S: Final = 1.0
_TURNS: Final = 3
"""Turns of the loop from the end of what was waited for to the task that waits."""


def part_s(seconds: float, left_s: float) -> float:
    """Return how long to wait at a time of a limit of `seconds`, so that a stop in between is noticed."""
    return max(0.0, min(left_s, max(_PART_S, seconds / _PARTS)))


class Allowance:
    """A time limit on its way: calls `over` once, when `seconds` have passed. Use from one event loop."""

    __slots__ = ("_begun", "_collecting", "_left", "_loop", "_over", "_part", "_seconds", "_spared", "_timer")

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._loop, self._seconds, self._over = asyncio.get_running_loop(), seconds, over
        self._left, self._collecting, self._spared = seconds, 0, False
        self._begun, self._part = self._loop.time(), 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    @property
    def left_s(self) -> float:
        """The seconds that are left."""
        return self._left if self._timer is None else self._left - (self._loop.time() - self._begun)

    def cancel(self) -> None:
        """Let the limit go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause(self) -> None:
        """Let no time pass until `resume`; as often as this was called."""
        self._collecting += 1
        if self._timer is not None:
            self._left = max(self.left_s, 0.0)
            self.cancel()

    def resume(self) -> None:
        """Let time pass again; there is a moment left at least."""
        self._collecting -= 1
        if self._collecting == 0 and self._timer is None:
            self._left = max(self._left, AFTERWARDS_S)
            self._wait()

    def _wait(self) -> None:
        self._begun, self._part = self._loop.time(), part_s(self._seconds, self._left)
        self._timer = self._loop.call_at(self._begun + self._part, self._due)

    def _due(self) -> None:
        late = self._loop.time() - self._begun - self._part
        self._left -= self._part + (late if late < STOPPED_S else 0.0)
        if late >= STOPPED_S and self._left < AFTERWARDS_S and not self._spared:
            self._spared, self._left = True, AFTERWARDS_S
        if self._left > 0:
            self._wait()
        else:
            self._look(_TURNS)

    def _look(self, turns: int) -> None:
        """Give work that ended at the same moment its turns first, then call `over`."""
        self._begun = self._loop.time()
        if turns:
            self._timer = self._loop.call_at(self._begun, self._look, turns - 1)
            return
        self._timer = None
        self._over()


_allowance: ContextVar[Allowance | None] = ContextVar("_allowance", default=None)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Cancel the block after `seconds`, and raise TimeoutError; the limit says whether it was that."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        allowance = Allowance(seconds, lambda: limit.reschedule(loop.time()))
        try:
            with Setting(_allowance, allowance):
                yield limit
        finally:
            allowance.cancel()


@contextmanager
def collecting(ended: "asyncio.Future[None]") -> Iterator[None]:
    """A block that waits for `ended` and then collects what it gave: in no time of the attempt."""
    allowance, paused = _allowance.get(), False

    def pause(_: object) -> None:
        nonlocal paused
        if allowance is not None:
            allowance.pause()
            paused = True

    ended.add_done_callback(pause)
    try:
        yield
    finally:
        ended.remove_done_callback(pause)
        if allowance is not None and paused:
            allowance.resume()


def left_s() -> float:
    """Return the seconds that are left; infinity if there is no limit.

    A longer wait would end in a timeout, which hides what was waited for.
    """
    allowance = _allowance.get()
    return inf if allowance is None else allowance.left_s
