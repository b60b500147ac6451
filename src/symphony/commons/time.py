"""The real clock, and identifiers that sort by time. The one place that asks for the time of day."""

import secrets
import threading
import time
from collections.abc import Callable

_RANDOM_BITS = 74
_RANDOM_MAX = (1 << _RANDOM_BITS) - 1
_TIME_MS_MAX = (1 << 48) - 1
_STEP_BITS = 32


class SystemClock:
    """The machine's clock: `symphony.ports.clock.Clock` as it really is."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch, UTC. May jump when the machine's clock is set."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary point, never going back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait at least `seconds`; cancellable."""
        import asyncio  # slow to import, and most users of this module never wait

        await asyncio.sleep(seconds)


class SortableIds:
    """UUIDs of version 7: in the order of their making, even within one millisecond.

    Thread-safe. Ids of one instance only ever increase, also when the clock goes back: then
    the last time seen is kept. `now_s` gives seconds since the epoch, `random_bits(n)` a number
    of n random bits. Source: RFC 9562, sections 5.7 and 6.2 (method 2).
    """

    def __init__(self, now_s: Callable[[], float], random_bits: Callable[[int], int]) -> None:
        self._now_s = now_s
        self._random_bits = random_bits
        self._lock = threading.Lock()
        self._last_ms = -1
        self._last_random = 0

    def next(self) -> str:
        """The next id, such as `0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e5f`."""
        with self._lock:
            now_ms = min(max(int(self._now_s() * 1000), 0), _TIME_MS_MAX)
            if now_ms > self._last_ms:
                self._last_ms, self._last_random = now_ms, self._random_bits(_RANDOM_BITS)
            else:
                # A random step, not one: two processes forked from one state part at once.
                self._last_random += 1 + self._random_bits(_STEP_BITS)
                if self._last_random > _RANDOM_MAX:
                    self._last_ms += 1
                    self._last_random = self._random_bits(_RANDOM_BITS)
            return _uuid7(self._last_ms, self._last_random)


def _uuid7(time_ms: int, random: int) -> str:
    high, low = random >> 62, random & ((1 << 62) - 1)
    number = time_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_run_ids = SortableIds(SystemClock().now_s, secrets.randbits)


def new_run_id() -> str:
    """A new id, greater than every one that this process has made before."""
    return _run_ids.next()
