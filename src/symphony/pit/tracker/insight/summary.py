"""The few figures that tell how a run went: what took long, what was tried again, what was reused. Pure."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.insight.history import History, Step
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus

SLOWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a run. `slowest`: (name, seconds) of steps, the longest first."""

    took_s: float
    steps: int
    """Nodes and elements that ran, or whose result was reused."""
    cached: int
    retries: int
    retried: Sequence[str]
    """Nodes with retries, in the order of their start."""
    slowest: Sequence[tuple[str, float]]
    usage: Usage | None = None

    @property
    def cached_share(self) -> float | None:
        """Return the reused share of what ran or was reused; None if there was nothing."""
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
        usage=total_usage(leaves),
    )


def total_usage(steps: Iterable[Step]) -> Usage | None:
    """Return what the models of all these used; None if none was asked."""
    found = [step.usage for step in steps if step.usage is not None]
    return sum(found, Usage()) if found else None


def _took(step: Step) -> float:
    return sum(attempt.took_s for attempt in step.attempts)
