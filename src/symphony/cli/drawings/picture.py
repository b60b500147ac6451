"""A workflow as boxes and links, small enough to look at: what all drawings are made from. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from symphony.app.spelling import detail_of
from symphony.cli.console import output
from symphony.cli.console.signs import SIGNS, counted
from symphony.ports.insight import NodeLine, Overview
from symphony.ports.runs import NodeStatus
from symphony.workflow import graph
from symphony.workflow.model import (
    CommandNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    Edge,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.nesting import Nested

BOXES_MAX: Final = 400
LEVELS_MAX: Final = 150
LINKS_MAX: Final = 1_500
DEPTH: Final = 3
"""How deep loops and sub-workflows are opened, unless somebody says otherwise."""

Kind: TypeAlias = Literal["operator", "instrument", "control", "workflow", "command", "more"]
Line: TypeAlias = Literal["data", "control", "conditional"]

KINDS: Final[Mapping[Kind, str]] = {
    "operator": "operator",
    "instrument": "model",
    "command": "command",
    "control": "control",
    "workflow": "sub-workflow",
}
"""What the legend calls the kinds of nodes."""
LINES: Final[Mapping[Line, str]] = {
    "data": "passes a value",
    "control": "runs after",
    "conditional": "runs after, if a condition holds",
}
"""What the legend says of the kinds of edges."""
EACH: Final = "once for each element of a list"
REPEATED: Final = "round after round"


class BoxState(msgspec.Struct, frozen=True):
    """The state of a node in a run; for elements and rounds, how many have each status."""

    status: NodeStatus
    counts: Mapping[NodeStatus, int] = msgspec.field(default_factory=dict)
    took_s: float | None = None

    def text(self, *, unicode: bool = True) -> str:
        """On one line, such as `✓ 1.2 s` or `553 ✓ 1 ✗ 7.2 s`."""
        many = sum(self.counts.values()) > 1
        went = counted(self.counts, unicode=unicode) if many else SIGNS[self.status].on(unicode=unicode)
        return went if self.took_s is None else f"{went} {output.duration(self.took_s)}"

    def statuses(self) -> frozenset[NodeStatus]:
        """Return every status that it tells of."""
        return frozenset((self.status, *self.counts))


class Box(msgspec.Struct, frozen=True):
    """One node, or, of kind `more`, all those of a level that are not drawn.

    `each`: it runs once for each element of a list. `inside` is the graph of a loop or a sub-workflow.
    """

    name: str
    kind: Kind
    detail: str = ""
    each: bool = False
    repeated: bool = False
    state: BoxState | None = None
    inside: "Picture | None" = None


class DrawnLink(msgspec.Struct, frozen=True):
    """One or several edges between two boxes."""

    source: str
    target: str
    line: Line
    label: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes by execution level, and the links between them. Each box's name is unique."""

    title: str
    levels: Sequence[Sequence[Box]]
    links: Sequence[DrawnLink]
    nodes_total: int
    edges_total: int
    levels_total: int

    @property
    def complete(self) -> bool:
        """True if everything is drawn."""
        return all(box.kind != "more" for box in self.all_boxes())

    def boxes(self) -> Iterator[Box]:
        """Its own boxes, level by level."""
        return (box for level in self.levels for box in level)

    def all_boxes(self) -> Iterator[Box]:
        """Yield every box, also inside others."""
        for box in self.boxes():
            yield box
            if box.inside is not None:
                yield from box.inside.all_boxes()

    def all_links(self) -> Iterator[DrawnLink]:
        """Yield every link, also inside boxes."""
        yield from self.links
        for box in self.boxes():
            if box.inside is not None:
                yield from box.inside.all_links()


def picture_of(nested: Nested, *, depth: int = DEPTH, overview: Overview | None = None) -> Picture:
    """Return the drawing of a workflow and of what is inside its nodes, `depth` graphs deep.

    With the `overview` of a run, each box tells how its node went. A graph that would make the drawing
    larger than `BOXES_MAX` stays closed.
    """
    states = {} if overview is None else {line.name: _state(line) for line in overview.lines}
    return _Drawing(nested, states).opened("", nested.workflow, depth)


def _state(line: NodeLine) -> BoxState:
    return BoxState(line.status, line.statuses, line.took_s)


class _Drawing:
    """Opens graph after graph, as long as there is room."""

    def __init__(self, nested: Nested, states: Mapping[str, BoxState]) -> None:
        self._nested, self._states = nested, states
        self._room = BOXES_MAX

    def opened(self, path: str, workflow: Workflow, depth: int) -> Picture:
        """Return the picture of the graph inside the node at `path`."""
        drawn = picture(workflow, graph.levels(workflow), graph.all_edges(workflow))
        self._room -= sum(1 for _ in drawn.boxes())
        levels = [[self._filled(path, box, depth) for box in level] for level in drawn.levels]
        return msgspec.structs.replace(drawn, levels=levels)

    def _filled(self, path: str, box: Box, depth: int) -> Box:
        if box.kind == "more":
            return box
        place = f"{path}.{box.name}" if path else box.name
        inside = self._nested.inside(place) if depth > 0 and box.kind in ("control", "workflow") else None
        small = inside is not None and len(inside.nodes) <= self._room
        return msgspec.structs.replace(
            box,
            state=self._states.get(place),
            inside=self.opened(place, inside, depth - 1) if inside is not None and small else None,
        )


def picture(
    workflow: Workflow, levels: Sequence[Sequence[str]], edges: Iterable[Edge], *, boxes_max: int = BOXES_MAX
) -> Picture:
    """Return the drawing of `workflow`, whose execution levels and edges are given. O(nodes + edges)."""
    all_edges = tuple(edges)
    drawn, place = _boxes(workflow, levels, boxes_max)
    links: dict[DrawnLink, None] = {}
    for edge in all_edges:
        source, target = place.get(edge.source), place.get(edge.target)
        if source is not None and target is not None and source != target and len(links) < LINKS_MAX:
            hidden = source != edge.source or target != edge.target
            links[DrawnLink(source, target, edge_line(edge), "" if hidden else edge_label(edge))] = None
    return Picture(
        title=workflow.name, levels=drawn, links=tuple(links),
        nodes_total=len(workflow.nodes), edges_total=len(all_edges), levels_total=len(levels),
    )  # fmt: skip


def _boxes(
    workflow: Workflow, levels: Sequence[Sequence[str]], boxes_max: int
) -> tuple[list[list[Box]], Mapping[str, str]]:
    """Boxes by level, and the box that each node is drawn as."""
    shown = levels if len(levels) <= LEVELS_MAX else levels[: LEVELS_MAX - 1]
    rest = [name for level in levels[len(shown) :] for name in level]
    height = _level_height([len(level) for level in shown], boxes_max)
    drawn: list[list[Box]] = []
    place: dict[str, str] = {}
    for level in [*shown, *([rest] if rest else [])]:
        kept = (
            level
            if len(level) <= height and level is not rest
            else level[: 0 if level is rest else height - 1]
        )
        boxes = [_box(name, workflow.nodes[name]) for name in kept]
        place.update((name, name) for name in kept)
        if hidden := level[len(kept) :]:
            # No node can have this name: it holds a blank.
            more = f"more {len(drawn) + 1}"
            boxes.append(Box(more, "more", f"… {len(hidden):,} more nodes"))
            place.update((name, more) for name in hidden)
        drawn.append(boxes)
    return drawn, place


def _box(name: str, node: Node) -> Box:
    loops = isinstance(node, ControlNode) and node.control == "loop"
    return Box(name, kind_of(node), detail_of(node), each=node.for_each is not None, repeated=loops)


def _level_height(sizes: Sequence[int], boxes_max: int) -> int:
    """Return the largest number of boxes in one level that keeps all levels within `boxes_max`, at
    least 2.
    """
    low, high = 2, max([2, *sizes])
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(size, middle) for size in sizes) <= boxes_max:
            low = middle
        else:
            high = middle - 1
    return low


def kind_of(node: Node) -> Kind:
    """Return the kind of a node as a drawing shows it."""
    match node:
        case OperatorNode():
            return "operator"
        case InstrumentNode():
            return "instrument"
        case ControlNode():
            return "control"
        case SubWorkflowNode():
            return "workflow"
        case CommandNode():
            return "command"
    assert_never(node)


def edge_line(edge: Edge) -> Line:
    """Return how an edge is drawn."""
    match edge:
        case DataEdge():
            return "data"
        case ControlEdge():
            return "control"
        case ConditionalEdge():
            return "conditional"
    assert_never(edge)


def edge_label(edge: Edge) -> str:
    """Return the words at an edge: the branch or the condition."""
    match edge:
        case DataEdge():
            return ""
        case ControlEdge():
            return edge.branch or ""
        case ConditionalEdge():
            return edge.label or edge.when
    assert_never(edge)
