"""The life of a model in the pool: cold, warming, hot, cooling, and failed. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from symphony.ports.pool import ModelPhase

NEXT_PHASES: Final[Mapping[ModelPhase, frozenset[ModelPhase]]] = {
    ModelPhase.COLD: frozenset({ModelPhase.WARMING}),
    ModelPhase.WARMING: frozenset({ModelPhase.HOT, ModelPhase.COOLING, ModelPhase.FAILED}),
    ModelPhase.HOT: frozenset({ModelPhase.COOLING, ModelPhase.FAILED}),
    ModelPhase.COOLING: frozenset({ModelPhase.COLD}),
    ModelPhase.FAILED: frozenset({ModelPhase.WARMING, ModelPhase.COLD}),
}
"""The phases that may follow each phase. Any other change is refused."""


class IllegalPhase(AssertionError):
    """A change of phase that `NEXT_PHASES` does not have: a bug of the caller. Nothing was changed."""


class PhaseChanged(msgspec.Struct, frozen=True):
    """A model went from one phase to another. `lasted_s`: seconds it had been in the phase it left."""

    model: str
    before: ModelPhase
    after: ModelPhase
    reason: str
    lasted_s: float


class Lifecycle:
    """The phase of one model and the time of its last change. Times are seconds of one monotonic clock."""

    __slots__ = ("model", "phase", "reason", "since_s")

    def __init__(self, model: str, now_s: float) -> None:
        self.model = model
        self.phase = ModelPhase.COLD
        self.reason = "not asked for yet"
        self.since_s = now_s

    def move(self, after: ModelPhase, reason: str, now_s: float) -> PhaseChanged:
        """Go to the phase `after`. Raises IllegalPhase, and changes nothing, if that may not follow."""
        before = self.phase
        if after not in NEXT_PHASES[before]:
            raise IllegalPhase(f"model {self.model} is {before}: it cannot become {after}")
        changed = PhaseChanged(self.model, before, after, reason, max(0.0, now_s - self.since_s))
        self.phase, self.since_s, self.reason = after, now_s, reason
        return changed

    @property
    def loaded(self) -> bool:
        """Return whether a process of the model occupies memory."""
        return self.phase not in (ModelPhase.COLD, ModelPhase.FAILED)
