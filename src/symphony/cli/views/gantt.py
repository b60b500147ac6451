"""A run as bars over time, one row for each node: elements and rounds are folded into theirs. Pure.

A bar is dark where most of its row ran at once, light where little did; dots before it are time in
which it could have run and did not.
"""

from itertools import accumulate, pairwise
from typing import Final

import msgspec

from symphony.cli.console import output
from symphony.cli.console.signs import SIGNS
from symphony.commons.widths import columns
from symphony.ports.insight import SLICES, Bar, Overview, longest

ROWS_MAX: Final = 40
_BAR_MIN: Final = 10
_NAME_MAX: Final = 32
_TIME: Final = 9
_SHADES: Final = (" ", "░", "▒", "▓", "█")
_PLAIN_SHADES: Final = (" ", ".", "-", "=", "#")


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a chart: columns of the page, colours, Unicode or ASCII, and how many rows at most."""

    width: int
    colours: bool = False
    unicode: bool = True
    rows_max: int = ROWS_MAX


def chart(overview: Overview, look: Look) -> str:
    """Return the chart, each line with its newline; empty where nothing ran."""
    rows = overview.bars
    if not any(row.ran for row in rows):
        return ""
    kept = longest(rows, look.rows_max)
    names = [_name(row, unicode=look.unicode) for row in kept]
    times = [output.duration(row.extent_s) if row.ran else "" for row in kept]
    whole = output.duration(overview.took_s)
    time = max(_TIME, *map(len, times), len(whole))
    label = min(max(8, min(_NAME_MAX, look.width // 3, max(map(columns, names)))), look.width - time - 3)
    bar = look.width - label - time - 4
    lines = [f"{' ' * (label + 3)}0{whole.rjust(bar - 1)}"] if bar >= _BAR_MIN else []
    for row, name, took in zip(kept, names, times, strict=True):
        sign = SIGNS[row.status]
        text = output.pad(_brief(name, label, look), label)
        head = f"{output.paint(sign.on(unicode=look.unicode), sign.colour, on=look.colours)} {text} "
        cells = _cells(row, bar, look) if bar >= _BAR_MIN else ""
        lines.append((head + (f"{cells} " if cells else "") + took.rjust(time)).rstrip())
    if more := overview.bars_more + len(rows) - len(kept):
        lines.append(f"{'…' if look.unicode else '...'} and {output.count(more, 'shorter node')}")
    return "".join(f"{line}\n" for line in lines)


def _name(row: Bar, *, unicode: bool) -> str:
    depth, last = row.name.count("."), row.name.rpartition(".")[2]
    return (
        "  " * depth
        + output.shown(last)
        + (f" {'×' if unicode else 'x'}{row.steps:,}" if row.steps > 1 else "")
    )


def _brief(name: str, width: int, look: Look) -> str:
    indent = len(name) - len(name.lstrip())
    short = " " * indent + output.brief(name, max(1, width - indent))
    return short if look.unicode else short.replace("…", "~").encode("ascii", "replace").decode()


def _cells(row: Bar, width: int, look: Look) -> str:
    """One character for each part of the time."""
    shades = _SHADES if look.unicode else _PLAIN_SHADES
    active, waiting = _resampled(row.load, width), _resampled(row.waits, width)
    most = max(active, default=0.0) or 1.0
    cells = []
    for i in range(width):
        if active[i] > 0:
            level = max(1, min(4, round(4 * active[i] / most)))
            cells.append(shades[level])
        else:
            cells.append(("·" if look.unicode else ",") if waiting[i] > 0 else " ")
    for at in row.failed:
        cells[at * width // SLICES] = "✗" if look.unicode else "!"
    colour = SIGNS[row.status].colour
    return output.paint("".join(cells), colour, on=look.colours)


def _resampled(load: bytes, width: int) -> list[float]:
    """Return what stands in slices, in as many cells as there are columns."""
    if not load:
        return [0.0] * width
    sums, rest = [0, *accumulate(load)], [*load, 0]
    until = [sums[i * SLICES // width] + rest[i * SLICES // width] * (i * SLICES % width) / width
             for i in range(width + 1)]  # fmt: skip
    return [after - at for at, after in pairwise(until)]
