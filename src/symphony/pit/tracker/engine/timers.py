"""Timers for back-offs, delays, and deadlines of people and of graphs inside nodes."""

import asyncio
from collections.abc import Awaitable, Callable

from symphony.commons.deadline import AFTERWARDS_S, STOPPED_S, part_s
from symphony.ports.clock import Clock

CHECK_EVERY_S = 30.0
"""How many seconds a wait may take to notice that the wall clock was set."""


class Timers:
    """At most one timer for each slot. `failed` is called on the loop with an error that `due` raised."""

    def __init__(self, clock: Clock, failed: Callable[[BaseException], None]) -> None:
        self._clock, self._failed = clock, failed
        self._tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def slots(self) -> list[int]:
        """Return the slots with a timer."""
        return list(self._tasks)

    def after(self, slot: int, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` after `seconds` of the monotonic clock."""
        end = self._clock.monotonic_s() + seconds
        self._set(slot, lambda: self._until(lambda: end - self._clock.monotonic_s()), due)

    def allow(self, slot: int, seconds: float, due: Callable[[], None]) -> None:
        """Call `due` after `seconds` in which this process was not stopped.

        What has ended meanwhile is noticed first.
        """
        clock = self._clock

        async def pass_by() -> None:
            left, spared = seconds, False
            while left > 0:
                part, begun = part_s(seconds, left), clock.monotonic_s()
                await clock.sleep(part)
                late = clock.monotonic_s() - begun - part
                left -= part + (late if late < STOPPED_S else 0.0)
                if late >= STOPPED_S and left < AFTERWARDS_S and not spared:
                    left, spared = AFTERWARDS_S, True

        self._set(slot, pass_by, due)

    def at(self, slot: int, moment: float, due: Callable[[], None]) -> None:
        """Call `due` at a moment of the wall clock, epoch seconds, also if that clock is set meanwhile."""
        self._set(slot, lambda: self._until(lambda: moment - self._clock.now_s()), due)

    def cancel(self, slot: int) -> bool:
        """Cancel the slot's timer; False if there was none."""
        task = self._tasks.pop(slot, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def close(self) -> None:
        """Cancel all timers and wait for them to end."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _until(self, left_s: Callable[[], float]) -> None:
        while (left := left_s()) > 0:
            await self._clock.sleep(min(left, CHECK_EVERY_S))

    def _set(self, slot: int, pass_by: Callable[[], Awaitable[None]], due: Callable[[], None]) -> None:
        self.cancel(slot)

        async def wait() -> None:
            await pass_by()
            del self._tasks[slot]
            try:
                due()
            except Exception as error:  # noqa: BLE001  (a bug must end the run, not stall it)
                self._failed(error)

        self._tasks[slot] = asyncio.get_running_loop().create_task(wait(), name=f"timer {slot}")
