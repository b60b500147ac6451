"""A workflow as boxes and links, small enough to look at: what all drawings are made from. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from symphony.app.spelling import detail_of
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

BOXES_MAX: Final = 400
LEVELS_MAX: Final = 150
LINKS_MAX: Final = 1_500

Kind: TypeAlias = Literal["operator", "instrument", "control", "workflow", "command", "more"]
Line: TypeAlias = Literal["data", "control", "conditional"]


@dataclass(frozen=True, slots=True)
class Box:
    """One node, or, of kind `more`, all those of a level that are not drawn."""

    name: str
    kind: Kind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DrawnLink:
    """One or several edges between two boxes."""

    source: str
    target: str
    line: Line
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Boxes by execution level, and the links between them. Each box's name is unique."""

    title: str
    levels: Sequence[Sequence[Box]]
    links: Sequence[DrawnLink]
    nodes_total: int
    edges_total: int
    levels_total: int

    @property
    def complete(self) -> bool:
        """Is everything drawn?"""
        return all(box.kind != "more" for level in self.levels for box in level)


def picture(
    workflow: Workflow, levels: Sequence[Sequence[str]], edges: Iterable[Edge], *, boxes_max: int = BOXES_MAX
) -> Picture:
    """The drawing of `workflow`, whose execution levels and edges are given. O(nodes + edges)."""
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
        boxes = [Box(name, kind_of(workflow.nodes[name]), detail_of(workflow.nodes[name])) for name in kept]
        place.update((name, name) for name in kept)
        if hidden := level[len(kept) :]:
            # No node can have this name: it holds a blank.
            more = f"more {len(drawn) + 1}"
            boxes.append(Box(more, "more", f"… {len(hidden):,} more nodes"))
            place.update((name, more) for name in hidden)
        drawn.append(boxes)
    return drawn, place


def _level_height(sizes: Sequence[int], boxes_max: int) -> int:
    """The largest number of boxes in one level that keeps all levels within `boxes_max`, at least 2."""
    low, high = 2, max([2, *sizes])
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(size, middle) for size in sizes) <= boxes_max:
            low = middle
        else:
            high = middle - 1
    return low


def kind_of(node: Node) -> Kind:
    """The kind of a node as a drawing shows it."""
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
    """How an edge is drawn."""
    match edge:
        case DataEdge():
            return "data"
        case ControlEdge():
            return "control"
        case ConditionalEdge():
            return "conditional"
    assert_never(edge)


def edge_label(edge: Edge) -> str:
    """The words at an edge: the branch or the condition."""
    match edge:
        case DataEdge():
            return ""
        case ControlEdge():
            return edge.branch or ""
        case ConditionalEdge():
            return edge.label or edge.when
    assert_never(edge)
