"""Decides which steps of a rerun must run even if results exist: the named ones, and all after them. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from symphony.pit.tracker.core.machine import Frame, Machine
from symphony.pit.tracker.core.names import StepPart, parts_of
from symphony.pit.tracker.core.plan import Plan


class Afresh:
    """Tells which slots of a run must run again. `names`: nodes, elements, rounds and inner nodes, in full.

    The steps after a step are those that depend on it, in its own graph and outside of it, and in a loop
    every later round.
    """

    def __init__(self, names: Iterable[str], machine: Machine) -> None:
        self._machine = machine
        self._paths = [parts_of(name) for name in names]
        self._after: dict[tuple[int, int], frozenset[int]] = {}  # by plan and node

    def __call__(self, slot: int) -> bool:
        """True if the slot must run."""
        way = list(self._way(slot))
        return any(self._is_in(path, way) for path in self._paths)

    def _way(self, slot: int) -> Iterator[tuple[Frame, int, int | None]]:
        """Yield, from the inside out, the graph, the number of the node in it, and the element."""
        machine = self._machine
        while slot >= 0:
            frame, element = machine.frame(slot), machine.element_of.get(slot)
            yield frame, machine.local(slot), None if element is None else element[1]
            slot = frame.parent

    def _is_in(self, path: Sequence[StepPart], way: Sequence[tuple[Frame, int, int | None]]) -> bool:
        for depth, part in enumerate(path, start=1):
            if depth > len(way):
                return False  # the named step is inside this one
            frame, node, element = way[-depth]
            named = frame.plan.index.get(part.node)
            if named is None:
                return False
            if node != named:
                return node in self._behind(frame.plan, named)
            if part.element is not None and part.element != element:
                return False
            if part.round is not None:
                inner = way[-depth - 1][0].round if depth < len(way) else None
                if inner is None or inner != part.round:
                    return inner is not None and inner > part.round
        return bool(path)

    def _behind(self, plan: Plan, node: int) -> frozenset[int]:
        known = self._after.get((id(plan), node))
        if known is None:
            known = self._after[id(plan), node] = frozenset(behind(plan, [node]))
        return known


def behind(plan: Plan, starts: Iterable[int], *, spares: bool = True) -> set[int]:
    """Return the nodes of a graph that come after one of `starts`.

    Without `spares`, a fallback does not count as coming after the node that it stands in for, but the nodes
    after the fallback do.
    """
    found: set[int] = set()
    todo, seen = list(starts), set(starts)
    while todo:
        for link in plan.links[todo.pop()]:
            if spares or not link.spare:
                found.add(link.target)
            if link.target not in seen:
                seen.add(link.target)
                todo.append(link.target)
    return found
