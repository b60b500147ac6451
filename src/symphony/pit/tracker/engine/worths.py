"""Decides which results a run keeps for others, by measuring fan-outs and operators that many nodes call."""

from collections import Counter
from collections.abc import Callable, Iterable

from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.measures import SAMPLES_MIN, Kept, LargeWorth, NodesWorth, Worth
from symphony.pit.tracker.nodes.work import OperatorWork


class Worths:
    """The measures of one run. Use from the run's loop."""

    def __init__(self, parts: RunParts) -> None:
        self._machine, self._bindings = parts.machine, parts.bindings
        self._caching = parts.executor.cache is not None
        self._always = Worth(always=True)
        self._elements: dict[int, Worth] = {}  # by the slot of a fan-out
        self._nodes: dict[tuple[int, str], tuple[Worth, Worth]] = {}  # by graph and operator: small, large
        self._counts: dict[int, Counter[str]] = {}  # by graph: how many of its nodes call an operator

    def of(self, slot: int, work: OperatorWork, small: Callable[[], bool]) -> Worth:
        """Return the measure of the slot's results. If the operator is called only a few times, all are kept.

        `small` returns True if the key of the attempt is no more than its inputs, and these are small.
        """
        if not self._caching or not work.cacheable or work.cached_always:
            return self._always
        element = self._machine.element_of.get(slot)
        if element is None:
            plain, large = self._of_operator(self._bindings.level(slot).graph, work)
            return plain if plain is large or small() else large
        if element[0].count < SAMPLES_MIN:
            return self._always
        return self._elements.setdefault(element[0].slot, Worth())

    def _of_operator(self, graph: WorkGraph, work: OperatorWork) -> tuple[Worth, Worth]:
        """Return the measures of an operator's single calls in a graph, for small and for large inputs."""
        at = (id(graph), work.runs)
        found = self._nodes.get(at)
        if found is None:
            counts = self._counts.get(id(graph))
            if counts is None:
                counts = self._counts[id(graph)] = Counter(_called_once(graph))
            if counts[work.runs] < SAMPLES_MIN:
                found = self._nodes[at] = self._always, self._always
            else:
                plain = NodesWorth()
                found = self._nodes[at] = plain, LargeWorth(others=plain)
        return found

    def quick(self, slot: int) -> bool:
        """True if results of the fan-out's elements were not kept because it is quicker to run them again."""
        worth = self._elements.get(slot)
        return worth is not None and worth.cheap

    def untold(self) -> list[Kept]:
        """Return, at the run's end, the results held back for lack of measurements: they are to be kept."""
        measured = (*self._elements.values(), *(plain for plain, _ in self._nodes.values()))
        return [result for worth in measured for result in worth.untold()]


def _called_once(graph: WorkGraph) -> Iterable[str]:
    """Yield the operator of every node that is not a fan-out and may be in a batch with others."""
    for work in graph.works:
        if type(work) is OperatorWork and work.short and work.for_each is None:
            yield work.runs
