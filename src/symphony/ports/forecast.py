"""The forecast of a run before it begins: what it is likely to do, to take and to use. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from symphony.ports.models import Estimate
from symphony.ports.steering import StaleCode

Reuse: TypeAlias = Literal["reused", "partly", "runs", "skipped", "unknown"]
"""Whether a result exists already: all of it, that of some elements, none, or not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Seconds: the median of `samples` earlier durations, the shortest and the longest of them.

    `same`: they are those of this node in this workflow, not of other nodes that ran the same thing.
    """

    median_s: float
    low_s: float
    high_s: float
    samples: int
    same: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """One node of the plan. `why` says what `reuse` depends on; `effects` what it would change."""

    name: str
    kind: str
    runs: str
    reuse: Reuse = "unknown"
    why: str = ""
    effects: Sequence[str] = ()
    guess: Guess | None = None
    usage: Estimate | None = None
    """The most that its models are likely to use up; for a fan-out or loop, each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A run before it begins. `path` is the critical path; `unknown` are nodes without earlier durations."""

    workflow: str
    stages: Sequence[Sequence[str]]
    nodes: Mapping[str, PlannedNode]
    path: Sequence[str] = ()
    took: Guess | None = None
    """The whole run as far as it is known: the sums along the path."""
    unknown: Sequence[str] = field(default_factory=tuple)
    usage: Estimate | None = None
    """The most that all models are likely to use up, each node counted once."""
    rerun_of: str | None = None
    """The run that a rerun takes results from."""
    stale: Mapping[str, StaleCode] = field(default_factory=dict)
    """Operators whose code has changed since the results that a rerun takes were made."""
    priced: bool = True
    """Whether every model's price is known."""
