"""The limits of what a model is asked: calls at once, requests and tokens a minute."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from symphony.commons.settings import ModelConfig
from symphony.ports.clock import Clock

_MINUTE_S = 60.0


class TokenBucket:
    """Fills at a steady rate up to a minute's worth; taking more than is there means waiting. Pure.

    A take larger than the bucket waits until it is full and leaves it in debt, so that it is
    let through once and the rate still holds on average.
    """

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._capacity = float(per_minute)
        self._rate = per_minute / _MINUTE_S
        self._level, self._at = float(per_minute), now_s

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount`; the seconds to wait before using it. `now_s` is monotonic."""
        self._level = min(self._capacity, self._level + max(0.0, now_s - self._at) * self._rate)
        self._at = max(self._at, now_s)
        short = min(amount, self._capacity) - self._level
        self._level -= amount
        return max(0.0, short / self._rate)

    def give_back(self, amount: float) -> None:
        """Give back an amount that was taken and not used after all."""
        self._level = min(self._capacity, self._level + amount)


class Gate:
    """The limits of one model. Use from one event loop."""

    def __init__(self, config: ModelConfig, clock: Clock) -> None:
        now = clock.monotonic_s()
        self._clock = clock
        self._slots = None if config.concurrency is None else asyncio.Semaphore(config.concurrency)
        self._requests = _bucket(config.requests_per_minute, now)
        self._tokens = _bucket(config.tokens_per_minute, now)

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the calls that may run at once."""
        if self._slots is None:
            yield
            return
        async with self._slots:
            yield

    async def admit(self, tokens: int) -> None:
        """Wait until a request of at most `tokens` may be sent."""
        now = self._clock.monotonic_s()
        wait = max(
            0.0 if self._requests is None else self._requests.take(1, now),
            0.0 if self._tokens is None else self._tokens.take(tokens, now),
        )
        if wait > 0:
            await self._clock.sleep(wait)

    def settle(self, reserved: int, used: int) -> None:
        """The request is over: what it did not use may go to others."""
        if self._tokens is not None and used < reserved:
            self._tokens.give_back(reserved - used)


def _bucket(per_minute: int | None, now_s: float) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute, now_s)
