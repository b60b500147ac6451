"""Announces which models the next stages of a run will need, so that they can be loaded by then."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from symphony.pit.tracker.core.machine import FINAL, Machine, Status
from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.work import ModelWork

STAGES: Final = 2
"""The number of stages ahead that are looked at."""
SETTLED_S: Final = 0.05
"""If a node ends within this time, as with a cached result, no models are loaded for the nodes after it."""
_FAR: Final = STAGES + 1
_STANDING = frozenset({Status.WAITING, Status.SPARED})
"""Statuses of slots that go on when a person or another node decides."""

Needs = Mapping[str, int]


class ModelsAhead:
    """Announces which models a run needs in one or two stages, whenever that changes.

    Call `changed` when a node may have begun or ended. The run is examined a moment later.
    """

    def __init__(
        self,
        models: Mapping[int, frozenset[str]],
        plan: Plan,
        machine: Machine,
        tell: Callable[[Needs | None], None],
    ) -> None:
        """`models` is from `models_of`. `tell` is called with the needs, and with None after the run."""
        self._models, self._machine, self._tell = models, machine, tell
        self._before = predecessors(plan)
        self._timer: asyncio.TimerHandle | None = None
        self._told: Needs = {}

    def changed(self) -> None:
        """Examine the run in a moment."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLED_S, self._look)

    def close(self) -> None:
        """Announce that the run has ended, even without needs before: it may have asked for models anyway."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell(None)

    def _look(self) -> None:
        self._timer = None
        needs = needed(self._models, self._before, self._machine.status)
        if needs != self._told:
            self._told = needs
            self._tell(needs)


def models_of(graph: WorkGraph) -> dict[int, frozenset[str]]:
    """Return, by node, the models that it or the graph inside it asks; nodes without any are left out."""
    found: dict[int, frozenset[str]] = {}
    for number, work in enumerate(graph.works):
        if isinstance(work, ModelWork):
            found[number] = frozenset({work.model})
        elif (inner := graph.below.get(number)) is not None:
            models = frozenset[str]().union(*models_of(inner).values())
            if models:
                found[number] = models
    return found


def predecessors(plan: Plan) -> list[list[int]]:
    """Return for each node those that it waits for. A node that it stands in for may never need it."""
    before: list[list[int]] = [[] for _ in plan.nodes]
    for source, links in enumerate(plan.links):
        for link in links:
            if not link.spare:
                before[link.target].append(source)
    return before


def needed(
    models: Mapping[int, frozenset[str]], before: Sequence[Sequence[int]], status: Sequence[int]
) -> dict[str, int]:
    """Return in how many stages each model is needed, 1 or 2; what is needed later is left out.

    `models`, `before` and `status` are by node number. A running node counts as needing its models in one
    stage, because its retries and rounds do.
    """
    needs: dict[str, int] = {}
    for node, asked in models.items():
        stages = _until(node, before, status)
        if stages <= STAGES:
            for model in asked:
                needs[model] = min(stages, needs.get(model, stages))
    return needs


def _until(node: int, before: Sequence[Sequence[int]], status: Sequence[int], deep: int = 0) -> int:
    """Return in how many stages the node begins, at least 1: after the last of those that it waits for."""
    now = status[node]
    if now >= FINAL or now in _STANDING:
        return _FAR
    if now != Status.PENDING:
        return 1
    stages = 0
    for other in before[node]:
        if status[other] >= FINAL:
            continue
        if deep == STAGES or status[other] in _STANDING:
            return _FAR
        passed = 1 if status[other] != Status.PENDING else 1 + _until(other, before, status, deep + 1)
        stages = max(stages, passed)
    return stages or _FAR
