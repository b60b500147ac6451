"""When an endpoint that fails is left alone: a circuit breaker. Pure.

Closed, requests go through. After so many failures in a row that say the endpoint is ill, it opens: no
request is sent for a while. Then it is half-open: one request, the probe, is sent, and what becomes of it
decides. The outcome of a request that was sent before the circuit last changed counts no more.

Source: M. Nygard, "Release It!", 2nd edition, 2018, chapter 5, "Circuit Breaker".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class CircuitState(StrEnum):
    """Whether requests go to an endpoint."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class CircuitPass:
    """Leave to send one request, given in the breaker's period of this number."""

    period: int


@dataclass(frozen=True, slots=True)
class CircuitOpened:
    """No request is sent for so many seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class ProbeUnderWay:
    """Another request finds out how the endpoint is; what becomes of it is to be waited for."""


CircuitAnswer: TypeAlias = CircuitPass | CircuitOpened | ProbeUnderWay


class CircuitBreaker:
    """One endpoint's circuit. Every pass is given back once: `succeeded`, `failed` or `dropped`. O(1)."""

    def __init__(self, failures_max: int, open_s: float) -> None:
        """Open for `open_s` seconds after `failures_max` failures in a row; never, if that is 0."""
        self._failures_max, self._open_s = failures_max, open_s
        self._until_s = 0.0
        self._period = 0
        self.failures = 0
        """Failures in a row, the last one included."""
        self.state = CircuitState.CLOSED

    def ask(self, now_s: float) -> CircuitAnswer:
        """Ask to send a request. `now_s` is monotonic."""
        if self.state is CircuitState.HALF_OPEN:
            return ProbeUnderWay()
        if self.state is CircuitState.OPEN:
            if now_s < self._until_s:
                return CircuitOpened(self._until_s - now_s)
            self._become(CircuitState.HALF_OPEN)
        return CircuitPass(self._period)

    def succeeded(self, given: CircuitPass) -> None:
        """The endpoint answered, if only that it refuses."""
        if given.period == self._period:
            self.failures = 0
            if self.state is not CircuitState.CLOSED:
                self._become(CircuitState.CLOSED)

    def failed(self, given: CircuitPass, now_s: float, asked_s: float | None = None) -> None:
        """The endpoint seems to be ill. It asks to be left alone for `asked_s` seconds, if it does."""
        if given.period != self._period or not self._failures_max:
            return
        self.failures += 1
        if self.state is CircuitState.HALF_OPEN or self.failures >= self._failures_max:
            self._until_s = now_s + max(self._open_s, asked_s or 0.0)
            self._become(CircuitState.OPEN)

    def dropped(self, given: CircuitPass) -> None:
        """The request was given up, or never sent: it says nothing. The next one may be the probe."""
        if given.period == self._period and self.state is CircuitState.HALF_OPEN:
            self._become(CircuitState.OPEN)

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self._period += 1
