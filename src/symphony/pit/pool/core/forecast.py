"""Forecasts the models that will be needed soon, and how long an idle one is worth keeping. Pure.

Three sources, each of which can do without the others:

- `Lookahead`: what running graphs will need. It knows, and is therefore believed first.
- `Markov`: which model runs have asked for after which, so far. It is asked about runs without a graph.
- `IdleTimes`: after how long a pause a model used to be asked for again.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping
from typing import Final

NEVER: Final = math.inf
"""The distance of a model that nobody is expected to need."""


class Lookahead:
    """The models that the next stages of running graphs need, as these announce them."""

    def __init__(self) -> None:
        self._needs: dict[str, Mapping[str, int]] = {}

    def announce(self, run: str, needs: Mapping[str, int]) -> None:
        """Note in how many stages, 1 or more, `run` needs each model. Replaces its earlier needs."""
        self._needs[run] = dict(needs)

    def forget(self, run: str) -> None:
        """`run` has ended."""
        self._needs.pop(run, None)

    @property
    def runs(self) -> Collection[str]:
        """The runs that have said what they need."""
        return self._needs.keys()

    def needs_of(self, run: str) -> Mapping[str, int]:
        """Return what `run` has announced last."""
        return self._needs.get(run, {})

    def needed_by(self, model: str) -> dict[str, int]:
        """For each run that needs `model`: in how many stages."""
        return {run: needs[model] for run, needs in self._needs.items() if model in needs}

    def distances(self) -> dict[str, float]:
        """For each model that is needed: the least number of stages until some run needs it."""
        nearest: dict[str, float] = {}
        for needs in self._needs.values():
            for model, stages in needs.items():
                if stages < nearest.get(model, NEVER):
                    nearest[model] = stages
        return nearest


class Markov:
    """A first-order Markov chain over the models that a run asks for, one after the other.

    `decay` in (0, 1]: the weight of everything seen of a model shrinks by it with each new
    observation of that model, so that habits may change.
    """

    RUNS_MAX: Final = 1024
    """The number of runs that are remembered; the one that has not asked for longest makes room."""

    def __init__(self, *, decay: float = 0.98) -> None:
        self._decay = decay
        self._weights: dict[str, dict[str, float]] = {}
        self._last: dict[str, str] = {}

    def observe(self, run: str, model: str) -> None:
        """`run` asks for `model` now."""
        before = self._last.pop(run, None)
        self._last[run] = model
        if len(self._last) > self.RUNS_MAX:
            del self._last[next(iter(self._last))]
        if before is None or before == model:
            return
        weights = self._weights.setdefault(before, {})
        for other in weights:
            weights[other] *= self._decay
        weights[model] = weights.get(model, 0.0) + 1.0

    def forget(self, run: str) -> None:
        """`run` has ended."""
        self._last.pop(run, None)

    def next_of(self, model: str) -> dict[str, float]:
        """The probability of each model to be the next that a run asks for after `model`.

        Laplace's rule keeps a single observation from being a certainty: the probability of one
        that was seen once and alone is 1/2.
        """
        weights = self._weights.get(model, {})
        total = sum(weights.values()) + 1.0
        return {other: weight / total for other, weight in weights.items()}

    def likely(self, known: Collection[str]) -> dict[str, float]:
        """For each model the highest probability that a run, of those not `known`, asks for it next."""
        found: dict[str, float] = {}
        for model in {model for run, model in self._last.items() if run not in known}:
            for other, probability in self.next_of(model).items():
                found[other] = max(probability, found.get(other, 0.0))
        return found


_EDGES_S: Final = tuple(0.25 * 2 ** (step / 2) for step in range(38))
"""Upper edges of the histogram's bins: 0.25 s to about 26 h, two for each doubling."""


class IdleTimes:
    """A histogram of how long a model was idle before it was asked for again.

    Source: M. Shahrad et al., "Serverless in the Wild: Characterizing and Optimizing the
    Serverless Workload at a Large Cloud Provider", USENIX ATC 2020, section 4: keep until the
    99th percentile. Bins here are logarithmic, since pauses range from seconds to a day.
    """

    __slots__ = ("_counts", "_total")

    OBSERVATIONS_MIN: Final = 8
    """With fewer observations the histogram is silent."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_EDGES_S) + 1)
        self._total = 0

    def observe(self, idle_s: float) -> None:
        """The model was asked for after `idle_s` seconds without use."""
        self._counts[bisect_left(_EDGES_S, idle_s)] += 1
        self._total += 1

    def percentile_s(self, share: float) -> float | None:
        """The upper edge of the bin in which `share`, in (0, 1], of all pauses had ended.

        None with too few observations, and where that many pauses were longer than a day.
        """
        if self._total < self.OBSERVATIONS_MIN:
            return None
        seen, enough = 0, share * self._total
        for count, edge_s in zip(self._counts, _EDGES_S, strict=False):
            seen += count
            if seen >= enough:
                return edge_s
        return None
