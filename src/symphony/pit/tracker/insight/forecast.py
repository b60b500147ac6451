"""The time a run is likely to take, judged by earlier ones: median and range for each node, and the path
that no run can be faster than. Pure.

A node is judged by itself in earlier runs of the same workflow, else by all that ran the same operator
or model. Where nothing is known, nothing is said.
"""

import statistics
from collections.abc import Mapping, Sequence

from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.outline import Outline, kind_of
from symphony.ports.forecast import Forecast, Guess, PlannedNode
from symphony.ports.models import Estimate
from symphony.ports.runs import NodeStatus
from symphony.workflow.graph import Graph, critical_path, levels

SAMPLES_MAX = 100


class Past:
    """Durations of earlier runs. Give it the newest first: it keeps the first 100 of each kind."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, str], list[float]] = {}
        self._elements: dict[tuple[str, str], list[float]] = {}
        self._kinds: dict[tuple[str, str], list[float]] = {}

    def add(self, history: History, outline: Outline) -> None:
        """Take the durations of one run. Reused results and failures tell nothing. O(steps)."""
        leaves = {step.name for step in history.leaves()}
        for step in history.steps.values():
            if step.status is not NodeStatus.SUCCEEDED or not step.attempts:
                continue
            took = sum(attempt.took_s for attempt in step.attempts)
            where = self._elements if step.name.endswith("]") else self._nodes
            _keep(where, (outline.workflow.name, folded(step.name)), took)
            if step.name in leaves:
                _keep(self._kinds, kind_of(outline.node(step.name)), took)

    def guess(self, outline: Outline, node: str, again: int | None = None) -> Guess | None:
        """Return a guess of how long the node takes; None where nothing is known.

        Of a fan-out, so many elements run `again`; None means all. They run side by side as far as its
        own `concurrency` lets them.
        """
        key, found = (outline.workflow.name, node), outline.node(node)
        own = self._nodes.get(key)
        elements = self._elements.get(key)
        if again and elements:
            rounds = 1 if found is None or found.concurrency is None else -(-again // found.concurrency)
            return _guess([took * rounds for took in elements], same=True)
        if own:
            return _guess(own, same=True)
        alone = found is not None and found.for_each is None
        others = self._kinds.get(kind_of(found)) if alone else None
        return _guess(others, same=False) if others else None


def forecast(outline: Outline, nodes: Mapping[str, PlannedNode]) -> Forecast:
    """The plan of a whole run. O(nodes + edges)."""
    graph = Graph.of(outline.workflow)
    free = {name for name, node in nodes.items() if node.reuse in ("reused", "skipped")}
    known = {name: 0.0 if name in free else g.median_s for name, node in nodes.items() if (g := node.guess)}
    durations = {name: known.get(name, 0.0) for name in nodes}
    path = critical_path(graph, durations) if any(durations.values()) else ()
    guesses = [g for name in path if name not in free and (g := nodes[name].guess)]
    asked = [node.usage for name, node in nodes.items() if node.usage is not None and name not in free]
    return Forecast(
        workflow=outline.workflow.name,
        stages=levels(graph),
        nodes=nodes,
        path=path,
        took=_along(guesses),
        unknown=tuple(n for n, node in nodes.items() if node.guess is None and n not in free),
        usage=_total(asked),
        priced=all(one.cost is not None for one in asked),
    )


def _keep(where: dict[tuple[str, str], list[float]], key: tuple[str, str], took: float) -> None:
    found = where.setdefault(key, [])
    if len(found) < SAMPLES_MAX:
        found.append(took)


def _guess(found: Sequence[float], *, same: bool) -> Guess:
    return Guess(
        median_s=statistics.median(found), low_s=min(found), high_s=max(found), samples=len(found), same=same
    )


def _along(guesses: Sequence[Guess]) -> Guess | None:
    if not guesses:
        return None
    return Guess(
        median_s=sum(g.median_s for g in guesses),
        low_s=sum(g.low_s for g in guesses),
        high_s=sum(g.high_s for g in guesses),
        samples=min(g.samples for g in guesses),
        same=all(g.same for g in guesses),
    )


def _total(asked: Sequence[Estimate]) -> Estimate | None:
    if not asked:
        return None
    costs = [one.cost for one in asked if one.cost is not None]
    return Estimate(
        tokens_in=sum(one.tokens_in for one in asked),
        tokens_out=sum(one.tokens_out for one in asked),
        cost=sum(costs[1:], costs[0]) if costs else None,
    )
