"""A workflow as a Mermaid flowchart. Pure."""

from collections.abc import Iterator
from typing import Final

from symphony.cli.console import output
from symphony.cli.drawings.picture import EACH, KINDS, LINES, REPEATED, Box, DrawnLink, Kind, Line, Picture
from symphony.ports.runs import NodeStatus

_SHAPES: Final[dict[Kind, tuple[str, str]]] = {
    "operator": ("[", "]"),
    "instrument": ("([", "])"),
    "control": ("{{", "}}"),
    "workflow": ("[[", "]]"),
    "command": ("[/", "/]"),
    "more": ("(", ")"),
}
_ARROWS: Final[dict[Line, str]] = {"data": "-->", "control": "-.->", "conditional": "-.->"}
_COLOURS: Final = {
    NodeStatus.SUCCEEDED: ("#15803d", "#dcfce7"), NodeStatus.CACHED: ("#0e7490", "#cffafe"),
    NodeStatus.RUNNING: ("#1d4ed8", "#dbeafe"), NodeStatus.WAITING: ("#a16207", "#fef9c3"),
    NodeStatus.PENDING: ("#6b7280", "#f3f4f6"), NodeStatus.FAILED: ("#b91c1c", "#fee2e2"),
    NodeStatus.SKIPPED: ("#6b7280", "#f3f4f6"), NodeStatus.CANCELLED: ("#b45309", "#ffedd5"),
}  # fmt: skip
"""Line and ground of a node by its status; text on them is dark, whatever the page's theme is."""
_ENTITIES: Final = str.maketrans(
    {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
)
_DETAIL_COLUMNS_MAX: Final = 60


def draw_mermaid(picture: Picture) -> str:
    """Return the flowchart, from left to right, with a legend.

    Ids are numbers: nodes may be called as Mermaid's words.
    """
    drawing = _Flowchart()
    lines = ["---", f"title: {_title(picture.title)}", "---", "flowchart LR", *drawing.graph(picture, 1)]
    lines += drawing.legend(picture)
    lines += drawing.styles()
    return "\n".join(lines) + "\n"


class _Flowchart:
    """Statements of a flowchart, with the number of each node and the nodes of each status."""

    def __init__(self) -> None:
        self._count = 0
        self._by_status: dict[NodeStatus, list[str]] = {}

    def graph(self, picture: Picture, depth: int) -> Iterator[str]:
        """Yield the nodes and links of one graph; graphs inside nodes are subgraphs."""
        indent, ids = "    " * depth, dict[str, str]()
        for box in picture.boxes():
            ids[box.name] = at = f"n{self._count}"
            self._count += 1
            if box.state is not None:
                self._by_status.setdefault(box.state.status, []).append(at)
            if box.inside is None:
                yield f"{indent}{at}{_box(box)}"
                continue
            yield f'{indent}subgraph {at}["{_words(box)}"]'
            yield from self.graph(box.inside, depth + 1)
            yield f"{indent}end"
        for link in picture.links:
            yield f"{indent}{ids[link.source]} {_arrow(link)} {ids[link.target]}"

    def legend(self, picture: Picture) -> Iterator[str]:
        """Yield a subgraph with one node of each kind, and one arrow of each, that the chart has."""
        kinds = {box.kind for box in picture.all_boxes()} - {"more"}
        lines = {link.line for link in picture.all_links()}
        if not kinds:
            return
        yield '    subgraph legend["Legend"]'
        yield "        direction LR"
        for kind, words in KINDS.items():
            if kind in kinds:
                before, after = _SHAPES[kind]
                yield f'        legend_{kind}{before}"{words}"{after}'
        for line, words in LINES.items():
            if line in lines:
                yield f'        from_{line}[" "] {_ARROWS[line]}|"{words}"| to_{line}[" "]'
        yield "    end"

    def styles(self) -> Iterator[str]:
        """Yield the colours of statuses."""
        for status, nodes in self._by_status.items():
            line, ground = _COLOURS[status]
            yield f"    classDef {status} stroke:{line},fill:{ground},color:#111827"
            yield f"    class {','.join(nodes)} {status}"


def _title(text: str) -> str:
    """Return a title as a YAML string in double quotes."""
    return '"' + output.shown(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _box(box: Box) -> str:
    before, after = _SHAPES[box.kind]
    return f'{before}"{_words(box)}"{after}'


def _words(box: Box) -> str:
    detail = _escaped(output.brief(box.detail, _DETAIL_COLUMNS_MAX))
    if box.kind == "more":
        return detail
    small = [detail, *([EACH] if box.each else []), *([REPEATED] if box.repeated else [])]
    small += [_escaped(box.state.text())] if box.state is not None else []
    return f"{_escaped(box.name)}<br/><small>{'<br/>'.join(small)}</small>"


def _arrow(link: DrawnLink) -> str:
    line = _ARROWS[link.line]
    return f'{line}|"{_escaped(output.brief(link.label, 40))}"|' if link.label else line


def _escaped(text: str) -> str:
    """Text inside quotes, where Mermaid knows entities by `#name;`."""
    return text.translate(_ENTITIES)
