"""A run as bars over time, one row for each node: elements and rounds are folded into theirs. Pure.

A bar is dark where most of its row ran at once, light where little did; dots before it are time in
which it could have run and did not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from symphony.cli import output
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.insight.history import History, Step
from symphony.pit.tracker.insight.outline import Outline, settled
from symphony.ports.runs import NodeStatus

ROWS_MAX: Final = 40
_BAR_MIN: Final = 10
_NAME_MAX: Final = 32
_TIME: Final = 9
_SHADES: Final = (" ", "░", "▒", "▓", "█")
_PLAIN_SHADES: Final = (" ", ".", "-", "=", "#")
_SIGNS: Final = {
    NodeStatus.SUCCEEDED: ("✓", "+", "green"), NodeStatus.CACHED: ("≡", "=", "cyan"),
    NodeStatus.RUNNING: ("●", "*", "blue"), NodeStatus.WAITING: ("?", "?", "yellow"),
    NodeStatus.PENDING: ("○", ".", "dim"), NodeStatus.FAILED: ("✗", "!", "red"),
    NodeStatus.SKIPPED: ("-", "-", "dim"), NodeStatus.CANCELLED: ("×", "x", "yellow"),
}  # fmt: skip
_WORST: Final = (
    NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.WAITING, NodeStatus.RUNNING, NodeStatus.PENDING,
    NodeStatus.SUCCEEDED, NodeStatus.CACHED, NodeStatus.SKIPPED,
)  # fmt: skip
"""What a row of several steps is said to be: the first of these that one of them is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to draw: columns of the page, colours, Unicode or ASCII, and how many rows at most."""

    width: int
    colours: bool = False
    unicode: bool = True
    rows_max: int = ROWS_MAX


@dataclass(slots=True)
class Row:
    """One node with all its elements and rounds. Spans are (from, to) in epoch seconds."""

    name: str
    steps: int = 0
    statuses: set[NodeStatus] = field(default_factory=set)
    spans: list[tuple[float, float]] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    """When attempts failed that were tried again."""
    waits: list[tuple[float, float]] = field(default_factory=list)

    @property
    def status(self) -> NodeStatus:
        """The worst that one of its steps came to."""
        return next((one for one in _WORST if one in self.statuses), NodeStatus.PENDING)

    @property
    def extent_s(self) -> float:
        """From its first beginning to its last end."""
        if not self.spans:
            return 0.0
        return max(end for _, end in self.spans) - min(at for at, _ in self.spans)


def chart(history: History, outline: Outline, look: Look) -> str:
    """The chart, each line with its newline; empty where nothing ran."""
    rows = rows_of(history, outline)
    begin, end = history.began_at, history.ended_at or history.last_at
    if not any(row.spans for row in rows) or begin is None or end is None:
        return ""
    kept = _kept(rows, look.rows_max)
    names = [_name(row) for row in kept]
    times = [output.duration(row.extent_s) if row.spans else "" for row in kept]
    time = max(_TIME, *map(len, times), len(output.duration(end - begin)))
    label = min(
        max(8, min(_NAME_MAX, look.width // 3, max(map(output.columns, names)))), look.width - time - 3
    )
    bar = look.width - label - time - 4
    lines = [_scale(end - begin, label, bar)] if bar >= _BAR_MIN else []
    for row, name, took in zip(kept, names, times, strict=True):
        sign = _SIGNS[row.status]
        text = output.pad(_brief(name, label, look), label)
        head = f"{output.paint(sign[0 if look.unicode else 1], sign[2], on=look.colours)} {text} "
        cells = _cells(row, begin, max(end - begin, 1e-9), bar, look) if bar >= _BAR_MIN else ""
        lines.append((head + (f"{cells} " if cells else "") + took.rjust(time)).rstrip())
    if len(rows) > len(kept):
        more = f"and {output.count(len(rows) - len(kept), 'shorter node')}"
        lines.append(f"{'…' if look.unicode else '...'} {more}")
    return "".join(f"{line}\n" for line in lines)


def rows_of(history: History, outline: Outline) -> list[Row]:
    """A row for each node that was heard of, a node inside another below it."""
    rows: dict[str, Row] = {}
    last = history.ended_at or history.last_at or 0.0
    leaves = {step.name for step in history.leaves()}
    for step in history.steps.values():
        path = folded(step.name)
        row = rows.get(path)
        if row is None:
            row = rows[path] = Row(path)
        row.statuses.add(settled(step, outline.node(step.name)))
        if step.name in leaves:
            row.steps += 1
            _take(row, step, history, outline, last)
    for path, row in list(rows.items()):
        for above in _above(path):
            rows.setdefault(above, Row(above)).spans += row.spans
    heard = {path: number for number, path in enumerate(rows)}
    return sorted(rows.values(), key=lambda row: _order(row, rows, heard))


def _take(row: Row, step: Step, history: History, outline: Outline, last: float) -> None:
    for number, attempt in enumerate(step.attempts):
        end = last if attempt.finished_at is None else attempt.finished_at
        row.spans.append((attempt.started_at, max(end, attempt.started_at)))
        if attempt.error is not None and number + 1 < len(step.attempts):
            row.failed.append(end)
        ready = attempt.ready_at if number else history.ready_at(step, outline.before(step.name))
        if ready is not None and ready < attempt.started_at:
            row.waits.append((ready, attempt.started_at))


def _above(path: str) -> Iterable[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def _order(row: Row, rows: dict[str, Row], heard: dict[str, int]) -> list[tuple[float, int]]:
    """By first beginning, then as they were heard of; what lies inside a node right below it."""
    paths = [*reversed(list(_above(row.name))), row.name]
    return [(min((at for at, _ in rows[path].spans), default=float("inf")), heard[path]) for path in paths]


def _kept(rows: Sequence[Row], most: int) -> list[Row]:
    """The longest rows with those above them, in order; failures before all others."""
    if len(rows) <= most:
        return list(rows)
    ranked = sorted(rows, key=lambda row: (row.status is not NodeStatus.FAILED, -row.extent_s))
    kept: set[str] = set()
    for row in ranked:
        wanted = {row.name, *_above(row.name)}
        if len(kept | wanted) <= most:
            kept |= wanted
    return [row for row in rows if row.name in kept]


def _name(row: Row) -> str:
    depth, last = row.name.count("."), row.name.rpartition(".")[2]
    return "  " * depth + output.shown(last) + (f" x{row.steps:,}" if row.steps > 1 else "")


def _brief(name: str, width: int, look: Look) -> str:
    indent = len(name) - len(name.lstrip())
    short = " " * indent + output.brief(name, max(1, width - indent))
    return short if look.unicode else short.replace("…", "~").encode("ascii", "replace").decode()


def _scale(seconds: float, label: int, bar: int) -> str:
    end = output.duration(seconds)
    return f"{' ' * (label + 3)}0{end.rjust(bar - 1)}"


def _cells(row: Row, begin: float, whole: float, bar: int, look: Look) -> str:
    """One character for each slice of time."""
    shades = _SHADES if look.unicode else _PLAIN_SHADES
    active = _load(row.spans, begin, whole, bar)
    waiting = _load(row.waits, begin, whole, bar)
    most = max(active, default=0.0) or 1.0
    cells = []
    for i in range(bar):
        if active[i] > 0:
            level = max(1, min(4, round(4 * active[i] / most)))
            cells.append(shades[level])
        else:
            cells.append(("·" if look.unicode else ",") if waiting[i] > 0 else " ")
    for at in row.failed:
        cells[min(bar - 1, max(0, int((at - begin) / whole * bar)))] = "✗" if look.unicode else "!"
    colour = _SIGNS[row.status][2]
    return output.paint("".join(cells), colour, on=look.colours)


def _load(spans: Sequence[tuple[float, float]], begin: float, whole: float, bar: int) -> list[float]:
    """How much of each slice the spans fill, added up; what is shorter than a slice fills some of it.

    O(spans + slices): each span changes a sum at its ends, the slices between follow from it.
    """
    load = [0.0] * bar
    steps = [0.0] * (bar + 1)
    for start, end in spans:
        a = min(max((start - begin) / whole * bar, 0.0), bar - 1e-6)
        b = min(max((end - begin) / whole * bar, a + 1e-6), float(bar))
        first, last = int(a), min(int(b), bar - 1)
        if first == last:
            load[first] += b - a
            continue
        load[first] += first + 1 - a
        load[last] += b - last
        steps[first + 1] += 1.0
        steps[last] -= 1.0
    level = 0.0
    for i in range(bar):
        level += steps[i]
        load[i] += level
    return load
