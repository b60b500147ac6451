"""The real clock, and identifiers that sort by time. Only this module reads the time of day."""

import os
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate, repeat

_TIME_MS_MAX = (1 << 48) - 1
_HEAD_BITS, _TAIL_BITS = 26, 48
_TAIL_END = 1 << _TAIL_BITS + 1
_TAIL_DIGITS = slice(len("0x1"), None)
"""Tails are counted with a bit before them, so that all have as many digits."""
_STEP_BITS = 32
_WORD_BITS, _POOL_BYTES = 32, 4096


class SystemClock:
    """The machine's clock: the real `symphony.ports.clock.Clock`."""

    now_s = staticmethod(time.time)  # itself, not wrapped: a node asks twice, and that halves it
    """Seconds since the Unix epoch, UTC. May jump when the machine's clock is set."""

    monotonic_s = staticmethod(time.monotonic)
    """Seconds from an arbitrary point, never going back."""

    async def sleep(self, seconds: float) -> None:
        """Wait at least `seconds`; cancellable."""
        import asyncio  # slow to import, and most users of this module never wait

        await asyncio.sleep(seconds)


class RandomPool:
    """Random bits of the operating system, fetched 4 KiB at a time: one call for a thousand ids.

    Thread-safe, and a forked process never sees the bits that its parent holds ready.
    """

    def __init__(self) -> None:
        self._words: list[int] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._words.clear)

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits, `count` ≥ 0."""
        if count > _WORD_BITS:
            return self.bits(count - _WORD_BITS) << _WORD_BITS | self.bits(_WORD_BITS)
        try:
            return self._words.pop() >> _WORD_BITS - count
        except IndexError:
            self._words.extend(array("I", os.urandom(_POOL_BYTES)))
            return self.bits(count)


class SortableIds:
    """UUIDs of version 7: in the order of their making, even within one millisecond.

    Thread-safe. Ids of one instance only ever increase, also when the clock goes back: then
    the last time seen is kept. `now_s` gives seconds since the epoch, `random_bits(n)` a number
    of n random bits. Source: RFC 9562, sections 5.7 and 6.2 (method 2).
    """

    def __init__(self, now_s: Callable[[], float], random_bits: Callable[[int], int]) -> None:
        self._now_s = now_s
        self._random_bits = random_bits
        self._beginning = threading.Lock()
        # Random steps, not ones: two processes forked from one state part at once.
        self._steps = map((1).__or__, map(random_bits, repeat(_STEP_BITS)))
        self._state: tuple[int, str, Iterator[int]] = (0, "", repeat(_TAIL_END))
        # Replaced as a whole; `next` of a built-in iterator is atomic among threads.

    def next(self) -> str:
        """Return the next id, such as `0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e5f`."""
        return self.at(self._now_s())

    def at(self, now_s: float) -> str:
        """Return the next id, by one who has just read the clock: `now_s` seconds since the epoch."""
        end_ms, head, tails = state = self._state
        if now_s * 1000 < end_ms and (tail := next(tails)) < _TAIL_END:
            return head + hex(tail)[_TAIL_DIGITS]
        with self._beginning:
            if self._state is state:  # otherwise another thread was here first
                self._state = self._begun(
                    max(int(min(now_s * 1000, _TIME_MS_MAX)), min(end_ms, _TIME_MS_MAX))
                )
        return self.at(min(now_s, _TIME_MS_MAX / 1000))  # a clock beyond the year 10,889 counts as that

    def _begun(self, time_ms: int) -> tuple[int, str, Iterator[int]]:
        """Fresh random bits for a new millisecond: all but the last twelve digits stay for its length."""
        head, tail = self._random_bits(_HEAD_BITS), self._random_bits(_TAIL_BITS)
        time = f"{time_ms:012x}"
        first = f"{time[:8]}-{time[8:]}-7{head >> 14:03x}-{0x8000 | head & 0x3FFF:04x}-"
        return time_ms + 1, first, accumulate(self._steps, initial=_TAIL_END >> 1 | tail)


_pool = RandomPool()
_run_ids = SortableIds(SystemClock().now_s, _pool.bits)


def new_run_id() -> str:
    """Return a new id, greater than every one that this process has made before."""
    return _run_ids.next()


random_bits = _pool.bits
"""Returns a number of so many unpredictable random bits, from a pool, for ids made by the thousand."""
