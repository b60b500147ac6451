"""A workflow as a self-contained SVG: columns are execution levels, read from left to right. Pure.

The order within a column follows the barycentre heuristic of K. Sugiyama, S. Tagawa and M. Toda,
"Methods for Visual Understanding of Hierarchical System Structures", IEEE Transactions on Systems,
Man, and Cybernetics 11(2), 1981: each box moves towards the mean place of its neighbours, sweeping
forwards and back. Links that pass a column get a place in it too, so that they run between boxes.
The graph of a loop or a sub-workflow is laid out first, by itself; its box is as large as it needs.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from symphony.cli.console import output
from symphony.cli.drawings.legend import Swatch, swatches
from symphony.cli.drawings.picture import Box, DrawnLink, Picture
from symphony.cli.drawings.svg_style import STYLE
from symphony.commons.widths import columns

_SWEEPS: Final = 4
_BENDS_MAX: Final = 4_000
_NAME_COLUMNS, _DETAIL_COLUMNS = 28, 32
_COLUMN_PX, _LINE_PX, _GAP_PX, _LINK_PX, _BETWEEN_PX, _MARGIN_PX = 7.0, 15, 16, 10, 70, 24
_BOX_PX, _INSIDE_PX, _TITLE_PX, _STACK_PX, _LEGEND_PX = 40, 16, 36, 4, 26

_ARROW: Final = (
    '<defs><marker id="end" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path class="arrow" d="M0,0L8,4L0,8z"/></marker></defs>'
)

Point = tuple[float, float]


@dataclass(slots=True)
class _Route:
    """A link and the slots it passes: a slot is (column, key)."""

    link: DrawnLink
    slots: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a key in its graph: left, right and middle, and the sides of its column."""

    left: float
    right: float
    middle: float
    sides: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Laid:
    """A graph that is laid out, from (0, 0): its elements, and its size."""

    parts: Sequence[str]
    width: float
    height: float


def draw_svg(picture: Picture) -> str:
    """Return the drawing as one SVG document, light or dark as the page's reader prefers."""
    laid, legend = _laid(picture), swatches(picture)
    rows, legend_width = _legend(legend, max(laid.width, 480.0))
    width = max(laid.width, legend_width, 240.0) + 2 * _MARGIN_PX
    top = _TITLE_PX + _MARGIN_PX
    height = top + laid.height + _MARGIN_PX + (_LEGEND_PX * (rows[-1][0] + 1) if rows else 0)
    parts = [*_head(picture, width, height), f'<g transform="translate({_MARGIN_PX} {top})">']
    parts += [*laid.parts, "</g>"]
    below = top + laid.height + _MARGIN_PX
    parts += [_swatch(one, _MARGIN_PX + x, below + row * _LEGEND_PX) for row, x, one in rows]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _laid(picture: Picture) -> _Laid:
    """One graph, with the graphs inside its boxes."""
    columns, routes = _columns(picture)
    _order(columns, routes)
    boxes = {box.name: box for box in picture.boxes()}
    inner = {box.name: _laid(box.inside) for box in boxes.values() if box.inside is not None}
    sizes = {name: _size(box, inner.get(name)) for name, box in boxes.items()}
    common = [_common_width(column, boxes, sizes) for column in columns]
    widths = [max([w, *(sizes[k][0] for k in column if k in sizes)], default=w)
              for w, column in zip(common, columns, strict=True)]  # fmt: skip
    heights = [_column_height(column, sizes) for column in columns]
    tallest = max(heights, default=0.0)
    places: list[dict[str, _Place]] = []
    left = 0.0
    for at, column in enumerate(columns):
        places.append(
            _placed(column, boxes, sizes, left, widths[at], common[at], (tallest - heights[at]) / 2)
        )
        left += widths[at] + _BETWEEN_PX
    parts = [_path(route, places) for route in routes]
    for at, column in enumerate(columns):
        parts += [
            _box(boxes[key], places[at][key], sizes[key][1], inner.get(key)) for key in column if key in boxes
        ]
    return _Laid(parts, max(left - _BETWEEN_PX, 0.0) + _STACK_PX, tallest + _STACK_PX)


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


def _texts(box: Box) -> list[str]:
    """Return the lines of a box: its name, what it runs, and how that went."""
    if box.kind == "more":
        return [box.detail]
    lines = [output.brief(box.name, _NAME_COLUMNS), output.brief(box.detail, _DETAIL_COLUMNS)]
    return [*lines, box.state.text()] if box.state is not None else lines


def _size(box: Box, inside: _Laid | None) -> tuple[float, float]:
    """Width and height that a box needs."""
    texts = _texts(box)
    width = max(4, *map(columns, texts)) * _COLUMN_PX + 20
    height = float(_BOX_PX + _LINE_PX * max(0, len(texts) - 2))
    if inside is None:
        return width, height
    return max(width, inside.width + 2 * _INSIDE_PX), height + inside.height + _INSIDE_PX


def _common_width(
    column: Sequence[str], boxes: Mapping[str, Box], sizes: Mapping[str, tuple[float, float]]
) -> float:
    """Return the width of those boxes of a column that hold no graph: they are all as wide as the widest."""
    return max((sizes[key][0] for key in column if key in boxes and boxes[key].inside is None), default=48.0)


def _column_height(column: Sequence[str], sizes: Mapping[str, tuple[float, float]]) -> float:
    return sum(sizes[k][1] if k in sizes else _LINK_PX for k in column) + _GAP_PX * max(0, len(column) - 1)


def _placed(
    column: Sequence[str], boxes: Mapping[str, Box], sizes: Mapping[str, tuple[float, float]],
    left: float, width: float, common: float, top: float,
) -> dict[str, _Place]:  # fmt: skip
    """Return every key of a column, stacked from `top`; boxes stand in its middle, links pass its whole
    width.
    """
    places = {}
    for key in column:
        own, height = sizes.get(key, (width, float(_LINK_PX)))
        if key in boxes and boxes[key].inside is None:
            own = common
        at = left + (width - own) / 2
        places[key] = _Place(at, at + own, top + height / 2, (left, left + width))
        top += height + _GAP_PX
    return places


def _path(route: _Route, places: Sequence[Mapping[str, _Place]]) -> str:
    """One link as a smooth line: level through the columns that it passes, curved between them."""
    points: list[Point] = []
    final = len(route.slots) - 1
    for at, (column, key) in enumerate(route.slots):
        place = places[column][key]
        left, right = place.sides
        if at > 0:
            points += [(left, place.middle)] if left < place.left else []
            points.append((place.left - (4 if at == final else 0), place.middle))
        if at < final:
            points.append((place.right, place.middle))
            points += [(right, place.middle)] if right > place.right else []
    words = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        words.append(
            f"C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}" if y1 != y2 else f"H{x2:.1f}"
        )
    path = f'<path class="{route.link.line}" d="{"".join(words)}" marker-end="url(#end)"/>'
    if not route.link.label:
        return path
    (x1, y1), (x2, y2) = next(((a, b) for a, b in pairwise(points) if a[1] != b[1]), (points[0], points[-1]))
    label = escape(output.brief(route.link.label, 24))
    return f'{path}\n<text class="label" x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2 - 4:.1f}">{label}</text>'


def _box(box: Box, place: _Place, height: float, inside: _Laid | None) -> str:
    x, top = (place.left + place.right) / 2, place.middle - height / 2
    words = f"{box.name}: {box.detail}" if box.kind != "more" else box.detail
    whole = escape(output.shown(words if box.state is None else f"{words}: {box.state.status}"))
    size = f'width="{place.right - place.left:.1f}" height="{height:.1f}" rx="6"'
    status = "" if box.state is None else f" {box.state.status}"
    rects = f'<rect class="{box.kind}{status}" x="{place.left:.1f}" y="{top:.1f}" {size}/>'
    if box.each:
        behind = f'x="{place.left + _STACK_PX:.1f}" y="{top + _STACK_PX:.1f}" {size}'
        rects = f'<rect class="{box.kind}{status}" {behind}/>{rects}'
    texts = _texts(box)
    first = top + (24 if len(texts) == 1 else 17)
    lines = [f'<text x="{x:.1f}" y="{first:.1f}">{escape(texts[0])}</text>']
    for at, text in enumerate(texts[1:], start=1):
        of = "detail" if at == 1 else f"state{status}"
        lines.append(f'<text class="{of}" x="{x:.1f}" y="{first + _LINE_PX * at:.1f}">{escape(text)}</text>')
    group = f"<g><title>{whole}</title>{rects}{''.join(lines)}</g>"
    if inside is None:
        return group
    at_x = place.left + (place.right - place.left - inside.width) / 2
    at_y = top + height - inside.height - _INSIDE_PX + _STACK_PX
    return "\n".join([group, f'<g transform="translate({at_x:.1f} {at_y:.1f})">', *inside.parts, "</g>"])


def _legend(legend: Sequence[Swatch], width: float) -> tuple[list[tuple[int, float, Swatch]], float]:
    """Return the row and the left end of every entry, in rows of at most `width`, and how wide they are."""
    placed: list[tuple[int, float, Swatch]] = []
    row, x, widest = 0, 0.0, 0.0
    for one in legend:
        needed = 28 + columns(one.words) * 6.2 + 18
        if x > 0 and x + needed > width:
            row, x = row + 1, 0.0
        placed.append((row, x, one))
        x += needed
        widest = max(widest, x)
    return placed, widest


def _swatch(one: Swatch, x: float, y: float) -> str:
    words = f'<text class="legend" x="{x + 28:.1f}" y="{y + 4:.1f}">{escape(one.words)}</text>'
    if one.shape == "line":
        return f'<path class="{one.style}" d="M{x:.1f},{y:.1f}H{x + 20:.1f}" marker-end="url(#end)"/>{words}'
    if one.shape == "sign":
        return f'<text class="state {one.style}" x="{x + 10:.1f}" y="{y + 4:.1f}">{one.sign}</text>{words}'
    rect = f'<rect class="{one.style}" x="{x:.1f}" y="{y - 7:.1f}" width="20" height="13" rx="3"/>'
    if one.shape == "stack":
        behind = f'<rect class="{one.style}" x="{x + 3:.1f}" y="{y - 4:.1f}" width="20" height="13" rx="3"/>'
        return f"{behind}{rect}{words}"
    return f"{rect}{words}"


def _head(picture: Picture, width: float, height: float) -> list[str]:
    title = escape(output.shown(picture.title))
    total = f"{output.count(picture.nodes_total, 'node')}, {output.count(picture.edges_total, 'edge')}"
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    place = f'x="{_MARGIN_PX}" y="{_TITLE_PX - 8}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        _ARROW,
        '<rect class="page" width="100%" height="100%"/>',
        f'<text class="title" {place}>{title}<tspan class="detail" dx="10">{total}</tspan></text>',
    ]
