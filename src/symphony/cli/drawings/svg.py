"""A workflow as a self-contained SVG: columns are execution levels, read from left to right. Pure.

The order within a column follows the barycentre heuristic of K. Sugiyama, S. Tagawa and M. Toda,
"Methods for Visual Understanding of Hierarchical System Structures", IEEE Transactions on Systems,
Man, and Cybernetics 11(2), 1981: each box moves towards the mean place of its neighbours, sweeping
forwards and back. Links that pass a column get a place in it too, so that they run between boxes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from symphony.cli.console import output
from symphony.cli.drawings.picture import Box, DrawnLink, Kind, Picture
from symphony.commons.widths import columns

_SWEEPS: Final = 4
_BENDS_MAX: Final = 4_000
_NAME_COLUMNS, _DETAIL_COLUMNS = 28, 32
_COLUMN_PX, _BOX_PX, _GAP_PX, _LINK_PX, _BETWEEN_PX, _MARGIN_PX = 7.0, 40, 16, 10, 70, 24
_TITLE_PX = 36
_FILL: Final[dict[Kind, str]] = {
    "operator": "#dbeafe", "instrument": "#ede9fe", "control": "#fef3c7",
    "workflow": "#dcfce7", "command": "#e5e7eb", "more": "#ffffff",
}  # fmt: skip

Point = tuple[float, float]


@dataclass(slots=True)
class _Route:
    """A link and the slots it passes: a slot is (column, key)."""

    link: DrawnLink
    slots: list[tuple[int, str]]


def draw_svg(picture: Picture) -> str:
    """The drawing as one SVG document."""
    columns, routes = _columns(picture)
    _order(columns, routes)
    boxes = {box.name: box for level in picture.levels for box in level}
    widths = [_column_width([boxes[key] for key in column if key in boxes]) for column in columns]
    lefts = [_MARGIN_PX + sum(widths[:i]) + _BETWEEN_PX * i for i in range(len(widths))]
    heights = [_column_height(column, boxes) for column in columns]
    tallest = max(heights, default=0)
    tops = [_TITLE_PX + _MARGIN_PX + (tallest - height) / 2 for height in heights]
    middles = [_middles(column, boxes, top) for column, top in zip(columns, tops, strict=True)]
    width = (lefts[-1] + widths[-1] if lefts else 200) + _MARGIN_PX
    height = _TITLE_PX + tallest + 2 * _MARGIN_PX
    parts = [_head(picture, max(width, 240), height)]
    parts += [_path(route, lefts, widths, middles) for route in routes]
    for at, column in enumerate(columns):
        parts += [_box(boxes[key], lefts[at], middles[at][key], widths[at]) for key in column if key in boxes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _columns(picture: Picture) -> tuple[list[list[str]], list[_Route]]:
    """Keys by column, bends of passing links among them, and the route of each link."""
    columns = [[box.name for box in level] for level in picture.levels]
    at = {box.name: number for number, level in enumerate(picture.levels) for box in level}
    passing = sum(max(0, abs(at[link.target] - at[link.source]) - 1) for link in picture.links)
    routes = []
    for number, link in enumerate(picture.links):
        first, last = at[link.source], at[link.target]
        bends = range(first + 1, last) if passing <= _BENDS_MAX else range(0)
        key = f" {number}"  # begins with a blank: no box is called so
        for column in bends:
            columns[column].append(key)
        routes.append(_Route(link, [(first, link.source), *((c, key) for c in bends), (last, link.target)]))
    return columns, routes


def _order(columns: list[list[str]], routes: Sequence[_Route]) -> None:
    """Sort every column by the mean place of the neighbours, forwards and back. In place."""
    before: dict[tuple[int, str], list[str]] = defaultdict(list)
    after: dict[tuple[int, str], list[str]] = defaultdict(list)
    for route in routes:
        for (c1, k1), (c2, k2) in pairwise(route.slots):
            if c2 - c1 == 1:
                before[c2, k2].append(k1)
                after[c1, k1].append(k2)
    for sweep in range(_SWEEPS):
        forwards = sweep % 2 == 0
        numbers = range(1, len(columns)) if forwards else range(len(columns) - 2, -1, -1)
        for number in numbers:
            fixed = columns[number - 1 if forwards else number + 1]
            place = {key: (i + 0.5) / len(fixed) for i, key in enumerate(fixed)}
            neighbours = before if forwards else after
            own = {key: (i + 0.5) / len(columns[number]) for i, key in enumerate(columns[number])}
            columns[number].sort(key=lambda key: _mean([place[k] for k in neighbours[number, key]], own[key]))


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _column_width(boxes: Sequence[Box]) -> float:
    longest = max((max(columns(a), columns(b)) for a, b in map(_texts, boxes)), default=4)
    return longest * _COLUMN_PX + 20


def _texts(box: Box) -> tuple[str, str]:
    """A box's two lines."""
    if box.kind == "more":
        return box.detail, ""
    return output.brief(box.name, _NAME_COLUMNS), output.brief(box.detail, _DETAIL_COLUMNS)


def _height(key: str, boxes: Mapping[str, Box]) -> float:
    return _BOX_PX if key in boxes else _LINK_PX


def _column_height(column: Sequence[str], boxes: Mapping[str, Box]) -> float:
    return sum(_height(key, boxes) for key in column) + _GAP_PX * max(0, len(column) - 1)


def _middles(column: Sequence[str], boxes: Mapping[str, Box], top: float) -> dict[str, float]:
    """The vertical middle of every key, stacked from `top`."""
    middles = {}
    for key in column:
        middles[key] = top + _height(key, boxes) / 2
        top += _height(key, boxes) + _GAP_PX
    return middles


def _path(
    route: _Route, lefts: Sequence[float], widths: Sequence[float], middles: Sequence[Mapping[str, float]]
) -> str:
    """One link as a smooth line: level through the columns it passes, curved between them."""
    points: list[Point] = []
    final = len(route.slots) - 1
    for at, (column, key) in enumerate(route.slots):
        y = middles[column][key]
        if at > 0:
            points.append((lefts[column] - (4 if at == final else 0), y))
        if at < final:
            points.append((lefts[column] + widths[column], y))
    words = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        words.append(
            f"C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}" if y1 != y2 else f"H{x2:.1f}"
        )
    path = f'<path class="{route.link.line}" d="{"".join(words)}" marker-end="url(#end)"/>'
    if not route.link.label:
        return path
    (x1, y1), (x2, y2) = points[0], points[1]
    label = escape(output.brief(route.link.label, 24))
    return f'{path}\n<text class="label" x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2 - 4:.1f}">{label}</text>'


def _box(box: Box, left: float, middle: float, width: float) -> str:
    name, detail = map(escape, _texts(box))
    x, top = left + width / 2, middle - _BOX_PX / 2
    whole = escape(output.shown(f"{box.name}: {box.detail}" if box.kind != "more" else box.detail))
    lines = f'<text x="{x:.1f}" y="{middle - 3 if detail else middle + 4:.1f}">{name}</text>'
    if detail:
        lines += f'<text class="detail" x="{x:.1f}" y="{middle + 12:.1f}">{detail}</text>'
    return (
        f'<g><title>{whole}</title><rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{_BOX_PX}" rx="6" fill="{_FILL[box.kind]}"/>{lines}</g>'
    )


def _head(picture: Picture, width: float, height: float) -> str:
    title = escape(output.shown(picture.title))
    total = f"{output.count(picture.nodes_total, 'node')}, {output.count(picture.edges_total, 'edge')}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n<title>{title}</title>\n'
        "<style>text{font:12px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;fill:#111827}"
        ".title{font-size:15px;font-weight:bold;text-anchor:start}.detail{font-size:10px;fill:#4b5563}"
        ".label{font-size:10px;fill:#92400e}rect{stroke:#6b7280}path{fill:none;stroke:#6b7280}"
        ".control{stroke-dasharray:5 3}.conditional{stroke-dasharray:2 3;stroke:#92400e}</style>\n"
        '<defs><marker id="end" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0L8,4L0,8z" style="fill:#6b7280;stroke:none"/></marker></defs>\n'
        '<rect width="100%" height="100%" fill="#ffffff" style="stroke:none"/>\n'
        f'<text class="title" x="{_MARGIN_PX}" y="{_TITLE_PX - 8}">{title}'
        f'<tspan class="detail" dx="10">{total}</tspan></text>'
    )
