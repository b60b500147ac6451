"""The scope of the expressions of one running graph: its nodes, and those around a loop's body."""

from collections.abc import Mapping

from symphony.pit.tracker.core.machine import Machine, Status
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.values import Element, Values
from symphony.ports.values import StoredValue, Value
from symphony.workflow.expressions import ValueTemplate

_NO_NAMES: Mapping[str, int] = {}


class FrameScope:
    """One frame of the machine as expressions see it. A loop's body also sees the level around it.

    `element` is the element of the fan-out that the frame runs for, or None.
    """

    __slots__ = ("_index", "_machine", "_nodes", "base", "element", "graph", "outer", "values")

    def __init__(
        self,
        graph: WorkGraph,
        base: int,
        machine: Machine,
        values: Values,
        *,
        outer: "FrameScope | None" = None,
        element: Element = None,
    ) -> None:
        self.graph, self.base, self.values, self.outer, self.element = graph, base, values, outer, element
        self._machine = machine
        self._index, self._nodes = graph.plan.index, graph.plan.nodes

    def around(self, state: Mapping[str, StoredValue], iteration: int, element: Element) -> "FrameScope":
        """Return this level with a loop's state, as the loop's `while` sees it before its body has run."""
        inner = FrameScope(
            self.graph,
            self.base,
            self._machine,
            self.values.inside(state=state, iteration=iteration),
            outer=self,
            element=element,
        )
        inner._index = _NO_NAMES
        return inner

    def slot_of(self, name: str) -> int:
        """Return the slot whose values a reader of `name` gets: its own, or the fallback's that stood in."""
        index = self._index.get(name)
        if index is None:
            assert self.outer is not None  # validation has resolved every name
            return self.outer.slot_of(name)
        spare, slot = self._nodes[index].fallback, self.base + index
        if (
            spare is not None
            and slot not in self.values.held
            and self._machine.status[self.base + spare] == Status.SUCCEEDED
        ):
            return self.base + spare
        return slot

    def render(self, template: ValueTemplate, element: Element) -> Value:
        """Return the template's value. Raises ExpressionFailed, ArtifactMissing, ArtifactCorrupt."""
        return self.values.render(template, self.slot_of, element)

    def kept(self, template: ValueTemplate, element: Element) -> StoredValue:
        """Render the template as `render` does, but leave one that is a single reference a reference."""
        if template.bare is not None and template.bare.kind in ("port", "input", "state"):
            return self.values.stored(template.bare, self.slot_of)
        return self.render(template, element)
