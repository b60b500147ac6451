"""The circuit of one hosted model: requests pass through it, and watchers hear of its changes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from symphony.commons.logging import logger
from symphony.kit.instruments.hosted.breaking import (
    CircuitBreaker,
    CircuitOpened,
    CircuitPass,
    CircuitState,
)
from symphony.kit.instruments.hosted.wire import CircuitOpen, TemporaryFailure
from symphony.ports.clock import Clock
from symphony.ports.models import ModelFailed
from symphony.ports.pool import CircuitChanged

_log = logger(__name__)


class Circuit:
    """Use from one event loop."""

    def __init__(
        self,
        model: str,
        breaker: CircuitBreaker,
        clock: Clock,
        tell: Callable[[CircuitChanged], None] | None = None,
    ) -> None:
        """`tell` hears of each change. It must not wait or raise."""
        self._model, self._breaker, self._clock, self._tell = model, breaker, clock, tell
        self._changed = asyncio.Event()
        self._why = ""
        self._seen = breaker.state

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """The block is one request; its outcome is noted. Raises CircuitOpen if none is sent at present."""
        given = await self._passed()
        try:
            yield
        except TemporaryFailure as error:
            self._why = error.message
            if error.ill:
                self._breaker.failed(given, self._clock.monotonic_s(), error.asked_s)
            else:
                self._breaker.succeeded(given)
            raise
        except ModelFailed as error:
            self._why = error.message
            self._breaker.succeeded(given)  # an answer, though not a good one
            raise
        except BaseException:
            self._breaker.dropped(given)
            raise
        else:
            self._why = "it answers"
            self._breaker.succeeded(given)
        finally:
            self._look()

    async def _passed(self) -> CircuitPass:
        while True:
            answer = self._breaker.ask(self._clock.monotonic_s())
            match answer:
                case CircuitPass():
                    self._look()
                    return answer
                case CircuitOpened():
                    error = CircuitOpen(
                        f"{self._model} is not asked for another {answer.wait_s:.0f} s:"
                        f" {self._breaker.failures} requests in a row failed, the last one with: {self._why}",
                        hint="the fault is at the provider; circuit_failures of the model says when to stop",
                    )
                    error.asked_s = answer.wait_s
                    raise error
                case _:
                    await self._changed.wait()

    def _look(self) -> None:
        """Wake those who wait for the probe, and tell, if the state has changed."""
        before, after = self._seen, self._breaker.state
        if after is before:
            return
        self._seen = after
        self._changed.set()
        self._changed = asyncio.Event()
        if after is CircuitState.OPEN and before is CircuitState.CLOSED:
            _log.warning("model is not asked for a while", model=self._model, why=self._why)
        if self._tell is not None:
            self._tell(
                CircuitChanged(
                    model=self._model,
                    before=before.value,
                    after=after.value,
                    reason="a probe is sent" if after is CircuitState.HALF_OPEN else self._why,
                    at_s=self._clock.now_s(),
                )
            )
