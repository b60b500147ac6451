"""Counts, durations and waiting times of runs by kind of node. Values only."""

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus

K = TypeVar("K")
N = TypeVar("N", int, float)

Kind: TypeAlias = Literal["operator", "instrument", "command", "control", "workflow", "unknown"]
BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds of the buckets, in seconds; the last bucket has none."""


@dataclass(slots=True)
class Distribution:
    """A histogram of seconds: `counts[i]` are at or below `BOUNDS_S[i]` and above the bound before."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    @property
    def count(self) -> int:
        """Return the number of durations."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float:
        """Return the mean in seconds; 0 if there are none."""
        return self.total_s / self.count if self.count else 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; negative ones, from clocks that jumped, count as 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def merge(self, other: "Distribution") -> None:
        """Add the counts of `other`."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total_s += other.total_s

    def quantile_s(self, share: float) -> float | None:
        """Return the quantile at `share` (0 to 1), as the upper bound of its bucket; None if there are
        no durations.

        Infinite if it is in the bucket without a bound.
        """
        wanted, seen = share * self.count, 0
        for bound, number in zip((*BOUNDS_S, math.inf), self.counts, strict=True):
            seen += number
            if number and seen >= wanted:
                return bound
        return None


@dataclass(slots=True)
class KindStats:
    """The metrics of all steps of one kind. `durations` counts successful attempts, `queue` their waiting."""

    kind: Kind
    runs: str
    """What such a step runs: an operator, a model or a kind of control node."""
    statuses: dict[NodeStatus, int] = field(default_factory=dict)
    attempts: int = 0
    retries: int = 0
    durations: Distribution = field(default_factory=Distribution)
    queue: Distribution = field(default_factory=Distribution)
    usage: Usage | None = None

    @property
    def steps(self) -> int:
        """Return the number of steps."""
        return sum(self.statuses.values())

    @property
    def cached(self) -> int:
        """Return the number of steps that took the result of an earlier run."""
        return self.statuses.get(NodeStatus.CACHED, 0)

    def merge(self, other: "KindStats") -> None:
        """Add what `other` counted."""
        _add(self.statuses, other.statuses)
        self.usage = both(self.usage, other.usage)
        self.attempts += other.attempts
        self.retries += other.retries
        self.durations.merge(other.durations)
        self.queue.merge(other.queue)


@dataclass(slots=True)
class Stats:
    """The metrics of one run or of many."""

    kinds: dict[tuple[Kind, str], KindStats] = field(default_factory=dict)
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Runs by workflow and status."""
    run_durations: dict[str, Distribution] = field(default_factory=dict)
    """Durations of the runs that have ended, by workflow."""

    def of(self, kind: Kind, runs: str) -> KindStats:
        """Return the figures of one kind, made when first asked for."""
        return self.kinds.setdefault((kind, runs), KindStats(kind, runs))

    def merge(self, other: "Stats") -> None:
        """Add what `other` counted."""
        for (kind, runs), stats in other.kinds.items():
            self.of(kind, runs).merge(stats)
        _add(self.runs, other.runs)
        for name, durations in other.run_durations.items():
            self.run_durations.setdefault(name, Distribution()).merge(durations)


def _add(to: dict[K, N], more: Mapping[K, N]) -> None:
    for key, number in more.items():
        to[key] = to[key] + number if key in to else number


def both(one: Usage | None, more: Usage | None) -> Usage | None:
    """Return the total usage; None if there was none."""
    return one if more is None else more if one is None else one + more
