"""Decides which elements of fan-outs a rerun may reuse although steps before them run again."""

from collections.abc import Set as AbstractSet

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.afresh import behind
from symphony.pit.tracker.core.machine import Frame, Machine
from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.engine.reruns.rerun_steps import RerunSteps, slots_of
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.contents import effectless, element_digests
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.reading import reads_files
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.pit.tracker.nodes.work import ModelWork, OperatorWork
from symphony.workflow.model import DataEdge


class MovingElements:
    """Finds the fan-outs whose elements a rerun may reuse one by one, and the digests of these elements.

    An element's result is reused for an element with the same digest. It is not reused if the element was
    asked for, if its node comes after a node that was, if the node does something else now, or if it follows
    a node that runs again in order alone (`after`). After a node with effects that runs again, elements that
    have effects or read files are not reused either: that node may have written what they read.
    """

    def __init__(self, machine: Machine, bindings: Bindings, sealer: Sealer, graph: WorkGraph) -> None:
        self._machine, self._bindings, self._sealer = machine, bindings, sealer
        self._graphs: dict[int, WorkGraph] = {}  # by the identity of their plans
        self._noted: dict[int, list[str | None] | None] = {}
        self._before: dict[int, list[set[int]]] = {}  # by the identity of a plan: direct predecessors
        todo = [graph]
        while todo:
            one = todo.pop()
            self._graphs[id(one.plan)] = one
            todo += one.below.values()

    def note(self, slot: int, count: int) -> None:
        """Remember the digests of the elements of a fan-out in an inner graph while its values are known."""
        try:
            items = self._bindings.items(slot, count)
            level, node = self._bindings.level(slot), self._machine.local(slot)
            self._noted[slot] = element_digests(level, node, items, self._sealer)
        except SymphonyError:
            self._noted[slot] = None

    def digests(self, slot: int) -> list[str | None] | None:
        """Return the digests of a fan-out's elements; None if they are not known."""
        if slot not in self._noted and self._machine.frame(slot) is self._machine.root:
            group, work = self._machine.groups.get(slot), self._bindings.work(slot)
            try:
                if group is None and work.for_each is not None:
                    items = self._bindings.render(work.for_each, slot)
                    self.note(slot, len(items) if isinstance(items, list) else 0)
                elif group is not None:
                    self.note(slot, group.count)
            except SymphonyError:
                self._noted[slot] = None
        return self._noted.get(slot)

    def may(self, steps: RerunSteps, frame: Frame, node: int, again: AbstractSet[int]) -> bool:
        """True if elements of the fan-out `node` may be taken when the nodes `again` of its graph rerun."""
        graph, plan, slot = self._graphs[id(frame.plan)], frame.plan, frame.base + node
        work = graph.works[node]
        if (
            work.for_each is None
            or slot in steps.named
            or (slot in steps.asked and slot not in steps.relisted)
        ):
            return False
        if node in plan.spare_for:
            return False
        named = [one - frame.base for one in slots_of(frame) if one in steps.named]
        if named and node in behind(plan, named):
            return False
        ordered = {one.partition(".")[0] for one in work.node.after}
        ordered |= {
            edge.source
            for edge in graph.workflow.edges
            if edge.target == work.name and not isinstance(edge, DataEdge)
        }
        if any(plan.index[name] in again for name in ordered if name in plan.index):
            return False
        plain = isinstance(work, ModelWork) or (
            isinstance(work, OperatorWork) and work.operator.info.effect == "pure"
        )
        if plain and isinstance(work, OperatorWork | ModelWork) and not reads_files(work):
            return True
        return all(effectless(graph, one) for one in self._ahead(plan, node) & again)

    def _ahead(self, plan: Plan, node: int) -> set[int]:
        """Return the nodes of a graph that come before a node."""
        before = self._before.get(id(plan))
        if before is None:
            before = self._before[id(plan)] = [set() for _ in plan.nodes]
            for source, links in enumerate(plan.links):
                for link in links:
                    before[link.target].add(source)
        found, todo = set[int](), [node]
        while todo:
            more = before[todo.pop()] - found
            found |= more
            todo += more
        return found
