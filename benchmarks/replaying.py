"""Runs of a trace that `pool_trace.py` replays, and what one who knows the whole trace expects of them."""

import math
from collections.abc import Iterator, Sequence

from traces import Trace, TracedNode, TracedRun

from symphony.pit.tracker.core.machine import FINAL, Status
from symphony.pit.tracker.engine.models_ahead import needed


class NodeUnderWay:
    """A node that has begun: which of its uses may begin when.

    A use that began after others had ended follows them, as much later as it was in the record.
    """

    def __init__(self, node: TracedNode, now_s: float) -> None:
        self.node, self.began_s = node, now_s
        self.asked, self.ended = set[int](), set[int]()

    def ready(self, *, first: bool = False) -> Iterator[tuple[int, float]]:
        """Yield each use that may begin now that another has ended, with seconds until it does."""
        for number, use in enumerate(self.node.uses):
            before = self._before(use.begins_s)
            if number not in self.asked and before <= self.ended:
                last_s = max((self._ends_s(other) for other in before), default=0.0)
                if first or before:
                    self.asked.add(number)
                    yield number, use.begins_s - last_s

    @property
    def rest_s(self) -> float | None:
        """Seconds until it ends, if all of its uses have; else None."""
        if len(self.ended) < len(self.node.uses):
            return None
        return max(0.0, self.node.took_s - max(map(self._ends_s, self.ended), default=0.0))

    def _before(self, begins_s: float) -> set[int]:
        return {number for number in range(len(self.node.uses)) if self._ends_s(number) <= begins_s}

    def _ends_s(self, number: int) -> float:
        use = self.node.uses[number]
        return use.begins_s + use.took_s


class RunUnderWay:
    """A run whose nodes begin and end."""

    def __init__(self, run: TracedRun) -> None:
        self.name, self.nodes = run.name, run.nodes
        self.going: dict[int, NodeUnderWay] = {}
        self.status = [int(Status.PENDING)] * len(run.nodes)
        self.begun = False
        self._before = [list(node.after) for node in run.nodes]
        self._models = {
            number: frozenset(use.model for use in node.uses)
            for number, node in enumerate(run.nodes)
            if node.uses
        }

    @property
    def over(self) -> bool:
        """Whether all nodes have ended."""
        return all(status >= FINAL for status in self.status)

    def begin_ready(self, now_s: float) -> list[int]:
        """Begin the nodes that wait for nothing more; their numbers."""
        self.begun = True
        ready = [
            number
            for number, status in enumerate(self.status)
            if status == Status.PENDING and all(self.status[one] >= FINAL for one in self._before[number])
        ]
        for number in ready:
            self.status[number] = int(Status.RUNNING)
            self.going[number] = NodeUnderWay(self.nodes[number], now_s)
        return ready

    def end(self, number: int) -> None:
        """A node has ended."""
        self.status[number] = int(Status.SUCCEEDED)
        del self.going[number]

    def needs(self) -> dict[str, int]:
        """What the product would announce now."""
        return needed(self._models, self._before, self.status)

    def expected(self, now_s: float) -> Iterator[tuple[str, float]]:
        """Yield each model that will be asked for, and when, if nothing waits from now on."""
        ends_s = [now_s] * len(self.nodes)
        for number, node in enumerate(self.nodes):
            if self.status[number] >= FINAL:
                continue
            going = self.going.get(number)
            begins_s = max([now_s, *(ends_s[one] for one in node.after)]) if going is None else going.began_s
            ends_s[number] = max(now_s, begins_s + node.took_s)
            for index, use in enumerate(node.uses):
                if going is None or index not in going.ended:
                    yield use.model, max(now_s, begins_s + use.begins_s)


class Future:
    """Knows when each model is needed next, also by runs that have not begun."""

    def __init__(self, trace: Trace, runs: Sequence[RunUnderWay]) -> None:
        self._runs = runs
        self._later: dict[str, list[tuple[float, RunUnderWay]]] = {model: [] for model in trace.models}
        for traced, run in zip(trace.runs, runs, strict=True):
            for model, at_s in run.expected(traced.begins_s):
                self._later[model].append((at_s, run))
        for coming in self._later.values():
            coming.sort(key=lambda one: -one[0])
        self._under_way: list[RunUnderWay] = []

    def began(self, run: RunUnderWay) -> None:
        """It begins now."""
        self._under_way = [one for one in self._under_way if not one.over]
        self._under_way.append(run)

    def needs(self, now_s: float) -> dict[str, int]:
        """The models in the order in which they are needed next, from 1."""
        next_s = dict.fromkeys(self._later, math.inf)
        for run in self._under_way:
            for model, at_s in run.expected(now_s):
                next_s[model] = min(next_s[model], at_s)
        for model, coming in self._later.items():
            while coming and coming[-1][1].begun:
                coming.pop()
            if coming:
                next_s[model] = min(next_s[model], coming[-1][0])
        needed_at = sorted((at_s, model) for model, at_s in next_s.items() if at_s < math.inf)
        return {model: number for number, (_, model) in enumerate(needed_at, 1)}
