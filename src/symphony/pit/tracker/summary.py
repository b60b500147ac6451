"""The few figures that tell how a run went: what took long, what was tried again, what was reused. Pure."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from symphony.pit.tracker.history import History, Step, folded
from symphony.ports.runs import NodeStatus
from symphony.ports.values import Value

SLOWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run went. `slowest`: (name, seconds) of steps, the longest first."""

    took_s: float
    steps: int
    """Nodes and elements that ran, or whose result was reused."""
    cached: int
    retries: int
    retried: Sequence[str]
    """Nodes with retries, in the order of their start."""
    slowest: Sequence[tuple[str, float]]
    usage: Mapping[str, float] = field(default_factory=dict)

    @property
    def cached_share(self) -> float | None:
        """Of what ran or was reused, the share that was reused; None of nothing."""
        return self.cached / self.steps if self.steps else None


def summarise(history: History) -> Summary:
    """The summary of a run, or of as much of it as has happened. O(steps)."""
    leaves = list(history.leaves())
    worked = [step for step in leaves if step.attempts]
    retried = dict.fromkeys(folded(step.name) for step in worked if step.retries)
    slowest = heapq.nlargest(SLOWEST, (one for one in worked if _took(one) > 0), key=_took)
    return Summary(
        took_s=history.took_s,
        steps=len(worked),
        cached=sum(step.status is NodeStatus.CACHED for step in worked),
        retries=sum(step.retries for step in worked),
        retried=tuple(retried),
        slowest=tuple((step.name, _took(step)) for step in slowest),
        usage=total_usage(step.usage for step in leaves),
    )


def total_usage(found: Iterable[Mapping[str, Value]]) -> dict[str, float]:
    """The sum of every number that the calls told."""
    total: dict[str, float] = {}
    for usage in found:
        for name, value in usage.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = total.get(name, 0.0) + value
    return total


def _took(step: Step) -> float:
    return sum(attempt.took_s for attempt in step.attempts)
