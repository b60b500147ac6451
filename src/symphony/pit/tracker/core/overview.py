"""A summary of a run, whose size does not grow with its elements: rows, bars, and a few figures. Pure.

It is made from the run's replay in one go. Steps whose names differ only in elements and rounds share a
row. A view of a run needs nothing more, so the record of an ended run need not be read again.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final, Literal, TypeAlias

from symphony.pit.tracker.core.machine import Frame, Group, Status
from symphony.pit.tracker.core.plan import OnFailure, Plan
from symphony.pit.tracker.core.replay import INTERRUPTED, QUICKER, Attempt, RunReplay
from symphony.ports.insight import BARS_MAX, LINES_MAX, SLICES, WORST, Bar, NodeLine, Overview, above, longest
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus, RunError

SLOWEST: Final = 3
_ON_FAILURE: Final[Mapping[OnFailure, Literal["fail", "skip", "value", "fallback"]]] = {
    OnFailure.FAIL: "fail", OnFailure.SKIP: "skip", OnFailure.VALUE: "value", OnFailure.FALLBACK: "fallback",
}  # fmt: skip
_LEAST: Final = 1e-6
"""The least part of a slice that is shown, for what took no time that could be measured."""
Span: TypeAlias = tuple[float, float]


def overview_of(replay: RunReplay, now: float | None = None) -> Overview:
    """Return how the run went; one that goes on, until `now`. O(slots), of which each takes a microsecond."""
    rows = _Rows(replay, now)
    kept = rows.longest(BARS_MAX)
    lines = [rows.line(row) for row in _most(rows.listed(), LINES_MAX)]
    last = heapq.nlargest(SLOWEST, (one for row in rows.all() for one in row.slowest))
    slowest = [(replay.machine.name(-slot), took) for took, slot in last]
    labels = ((replay.machine.name(-slot), replay.label(-slot)) for _, slot in last)
    retried = sorted((at, name) for name, at in rows.retried.items())
    return Overview(
        began_at=replay.begun_at,
        ended_at=None if replay.begun_at is None else rows.end,
        lines=lines,
        lines_more=len(rows.listed()) - len(lines),
        bars=rows.bars(kept),
        bars_more=len(rows.charted()) - len(kept),
        steps=sum(row.steps for row in rows.all()),
        cached=sum(row.cached for row in rows.all()),
        retries=rows.retries,
        retried=[name for _, name in retried],
        slowest=slowest,
        labels={name: label for name, label in labels if label is not None},
        usage=sum(replay.usage.values(), Usage()) if replay.usage else None,
        counts=replay.counts(),
        error=replay.ended_error(),
    )


def _most(rows: "Sequence[_Row]", most: int) -> "Sequence[_Row]":
    return rows if len(rows) <= most else sorted(rows, key=lambda row: row.error is None)[:most]


class _Row:
    """All slots with the same name, apart from elements and rounds."""

    __slots__ = (
        "cached", "ends", "error", "failed", "groups", "handled", "name", "order", "queued", "slots",
        "slowest", "starts", "statuses", "steps", "waits",
    )  # fmt: skip

    def __init__(self, name: str, order: tuple[int, ...]) -> None:
        self.name, self.order = name, order
        self.slots: list[int] = []  # nodes themselves
        self.groups: list[Group] = []
        self.statuses: dict[NodeStatus, int] = {}  # of the slots that do work, else of their nodes
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.steps = self.cached = 0
        self.handled: list[int] = []  # slots that failed, where `on_error` handled that
        self.slowest: list[tuple[float, int]] = []
        self.failed: list[float] = []
        self.error: int | None = None  # a slot that failed
        self.queued = 0
        self.waits: int | None = None  # the first slot that is queued

    @property
    def begin(self) -> float:
        return min(self.starts, default=float("inf"))

    @property
    def extent_s(self) -> float:
        return max(self.ends) - self.begin if self.starts else 0.0

    @property
    def status(self) -> NodeStatus:
        return next((one for one in WORST if one in self.statuses), NodeStatus.PENDING)


class _Rows:
    """The rows of a run by name, in the order of the workflow; those inside a node follow it."""

    def __init__(self, replay: RunReplay, now: float | None) -> None:
        self._replay, self._machine = replay, replay.machine
        self._rows: dict[str, _Row] = {}
        self._paths: dict[int, tuple[str, tuple[int, ...]]] = {}  # by frame: prefix of names, order
        self._sources: dict[int, dict[int, list[int]]] = {}  # by plan
        self._frames = replay.inner_frames()
        self.retries = 0
        self.retried: dict[str, float] = {}
        self.end = replay.until(now)
        self._special = replay.idle | replay.tries.keys()
        for frame in (self._machine.root, *(one for some in self._frames.values() for one in some)):
            self._take(frame)
        for slot in self._special:
            self._take_special(slot)
        for slot in replay.handled():
            self._of(slot).handled.append(slot)
        ordered = sorted(self._rows.values(), key=lambda row: row.order)
        self._rows = {row.name: row for row in ordered}

    def all(self) -> Iterable[_Row]:
        """Return every row."""
        return self._rows.values()

    def listed(self) -> list[_Row]:
        """Return the rows that have a slot."""
        return [row for row in self._rows.values() if row.slots]

    def charted(self) -> list[_Row]:
        """Return the rows that had an event."""
        heard = {name for row in self._rows.values() if row.starts for name in (row.name, *above(row.name))}
        return [row for name, row in self._rows.items() if name in heard or self._was_heard(row)]

    def _was_heard(self, row: _Row) -> bool:
        return any(slot in self._replay.finished or slot in self._replay.started for slot in row.slots)

    # ---- taking -----------------------------------------------------------------------------

    def _path(self, frame: Frame) -> tuple[str, tuple[int, ...]]:
        found = self._paths.get(frame.number)
        if found is None:
            if frame.parent < 0:
                found = "", ()
            else:
                machine = self._machine
                prefix, order = self._path(machine.frame(frame.parent))
                found = (
                    f"{prefix}{machine.node(frame.parent).name}.",
                    (*order, machine.local(frame.parent)),
                )
            self._paths[frame.number] = found
        return found

    def _take(self, frame: Frame) -> None:
        prefix, order = self._path(frame)
        rows, below, groups = self._rows, frame.plan.below, self._machine.groups
        for index, node in enumerate(frame.plan.nodes):
            name, slot = prefix + node.name, frame.base + index
            row = rows.get(name)
            if row is None:
                row = rows[name] = _Row(name, (*order, index))
            row.slots.append(slot)
            group = groups.get(slot)
            if group is not None:
                row.groups.append(group)
                self._take_elements(row, group, holds=index in below)
            else:
                self._take_slots(row, range(slot, slot + 1), holds=slot in self._frames)

    def _take_elements(self, row: _Row, group: Group, *, holds: bool) -> None:
        slots = range(group.base, group.base + group.count)
        if not slots:
            self._count(row, range(group.slot, group.slot + 1))
        if holds and any(slot in self._frames for slot in slots):
            for slot in slots:
                self._take_slots(row, range(slot, slot + 1), holds=slot in self._frames)
        else:
            self._take_slots(row, slots, holds=False)
        if group.failed is not None:
            row.error = group.failed

    def _count(self, row: _Row, slots: range) -> None:
        replay, machine = self._replay, self._machine
        if replay.queues.last and (number := machine.status.count(Status.QUEUED, slots.start, slots.stop)):
            row.queued += number
            if row.waits is None:
                row.waits = machine.status.find(Status.QUEUED, slots.start, slots.stop)
        if len(slots) == 1:
            status = replay.status(slots[0])
            row.statuses[status] = row.statuses.get(status, 0) + 1
            if status is NodeStatus.FAILED and row.error is None:
                row.error = slots[0]
            return
        for status, number in replay.counted(
            machine.status[slots.start : slots.stop],
            sum(map(replay.cached.__contains__, slots)) if replay.cached else 0,
        ).items():
            row.statuses[status] = row.statuses.get(status, 0) + number
        if row.error is None and Status.FAILED in machine.status[slots.start : slots.stop]:
            row.error = slots.start + machine.status[slots.start : slots.stop].index(Status.FAILED)

    def _take_slots(self, row: _Row, slots: range, *, holds: bool) -> None:
        """Add slots that did work themselves; with `holds`, the graph inside each did the work."""
        self._count(row, slots)
        if holds:
            return
        replay, special = self._replay, self._special
        started, finished = replay.started.get, replay.finished.get
        if special:
            worked = [slot for slot in slots if started(slot) is not None and slot not in special]
        else:
            worked = [slot for slot in slots if started(slot) is not None]
        if not worked:
            return
        starts = list(map(replay.started.__getitem__, worked))
        ends = [self.end if (end := finished(slot)) is None else end for slot in worked]
        ends = [max(start, end) for start, end in zip(starts, ends, strict=True)]
        row.starts += starts
        row.ends += ends
        row.steps += len(worked)
        if replay.cached:
            row.cached += sum(map(replay.cached.__contains__, worked))
        took = zip([end - start for start, end in zip(starts, ends, strict=True)], worked, strict=True)
        row.slowest += ((s, -slot) for s, slot in heapq.nlargest(SLOWEST, took) if s > 0)

    def _take_special(self, slot: int) -> None:
        """Add a slot that had several attempts, or that ended without one."""
        replay, machine = self._replay, self._machine
        if slot in self._frames or slot in machine.groups or machine.frame(slot).number not in self._paths:
            return
        row = self._of(slot)
        spans = self.attempts(slot)
        if not spans:
            return
        row.steps += 1
        row.starts += [start for start, _, _, _ in spans]
        row.ends += [max(start, end) for start, end, _, _ in spans]
        took = sum(max(0.0, end - start) for start, end, _, _ in spans)
        if took > 0:
            row.slowest.append((took, -slot))
        row.cached += slot in replay.cached
        row.failed += [end for _, end, error, _ in spans[:-1] if error is not None]
        if again := sum(error != INTERRUPTED for _, _, error, _ in spans[:-1]):
            self.retries += again
            first = self.retried.get(row.name)
            self.retried[row.name] = spans[0][0] if first is None else min(first, spans[0][0])

    def _of(self, slot: int) -> _Row:
        """Return the row of a slot."""
        machine = self._machine
        return self._rows[self._path(machine.frame(slot))[0] + machine.node(slot).name]

    def attempts(self, slot: int) -> list[Attempt]:
        """Return a slot's attempts: start, end, error and, if known, when each could have begun."""
        replay = self._replay
        out = list(_shifted(replay.tries.get(slot, ())))
        start = replay.started.get(slot)
        if slot in replay.idle or start is None:
            return out
        end = replay.finished.get(slot, self.end)
        if out and start == out[-1][0]:
            return out
        tries = replay.tries.get(slot, ())
        return [*out, (start, end, None, tries[-1][3] if tries else None)]

    # ---- giving -----------------------------------------------------------------------------

    def line(self, row: _Row) -> NodeLine:
        """Return the row as a line of a table."""
        replay, first = self._replay, row.slots[0]
        several = len(row.slots) > 1 or bool(row.groups)
        alone = len(row.slots) == 1
        status = replay.status(first) if alone else row.status
        failed = first if replay.fails(first) else row.error
        if failed is None and row.handled:
            failed = row.handled[0]
        return NodeLine(
            name=row.name,
            status=status,
            attempts=self._machine.attempts[first] if alone else 0,
            took_s=replay.node_took_s(first) if alone else row.extent_s,
            error=self._why(failed) if failed is not None else None,
            cached_from=replay.cached.get(first) if alone else None,
            not_cached=QUICKER if alone and first in replay.quick else None,
            asks=replay.asked.get(first) if alone else None,
            statuses=row.statuses if several else {},
            fans_out=bool(row.groups),
            handled=len(row.handled),
            on_error=_ON_FAILURE[self._machine.node(first).on_failure],
            queued=row.queued,
            queued_for=None if row.waits is None else replay.queued(row.waits),
        )

    def _why(self, slot: int) -> RunError:
        """Return why a slot failed; the message names the slot if it is an element."""
        replay = self._replay
        return replay.told(slot) if slot in self._machine.element_of else replay.failure(slot)

    def longest(self, most: int) -> list[_Row]:
        """Return the rows for bars in order of their beginning; those inside a node come right below it."""
        rows = self.charted()
        self._lift(rows)
        begins = {row.name: (row.begin, row.order) for row in rows}
        rows.sort(key=lambda row: [begins[name] for name in (*reversed(list(above(row.name))), row.name)])
        return longest(rows, most)

    def _lift(self, rows: Sequence[_Row]) -> None:
        """Extend the times of rows to cover those of the rows inside them."""
        for row in rows:
            if "." in row.name and row.steps:
                for name in above(row.name):
                    self._rows[name].starts += row.starts
                    self._rows[name].ends += row.ends

    def bars(self, rows: Sequence[_Row]) -> list[Bar]:
        """Return the rows as bars over the time of the run."""
        begin = self._replay.begun_at
        if begin is None:
            return []
        whole = max(self.end - begin, 1e-9)
        waits = self._waits(rows)
        return [
            Bar(
                name=row.name,
                status=row.status,
                steps=row.steps,
                extent_s=row.extent_s,
                ran=bool(row.starts),
                load=_shades(_load(row.starts, row.ends, begin, whole), 255),
                waits=_shades(_load(*waits[row.name], begin, whole), 1),
                failed=sorted({_slice(at, begin, whole) for at in row.failed}),
            )
            for row in rows
        ]

    def _waits(self, rows: Sequence[_Row]) -> dict[str, tuple[list[float], list[float]]]:
        """Return, by row, the starts and ends of the times in which work could have begun but had not."""
        out = dict[str, tuple[list[float], list[float]]]()
        for row in rows:
            spans = [
                (ready, start)
                for slots in self._workers(row)
                for ready, start in self._waited(slots)
                if ready < start
            ]
            out[row.name] = [one for one, _ in spans], [one for _, one in spans]
        return out

    def _workers(self, row: _Row) -> Iterator[range]:
        for slot in row.slots:
            group = self._machine.groups.get(slot)
            slots = range(slot, slot + 1) if group is None else range(group.base, group.base + group.count)
            if group is None and slot in self._frames:
                continue
            yield slots

    def _waited(self, slots: range) -> Iterator[Span]:
        replay, owners = self._replay, self._replay.owners
        if len(slots) > 1 and len(owners) == 1 and not self._special and not self._frames:
            opened = replay.opened.get(self._machine.element_of[slots[0]][0].slot)
            if opened is not None:  # all elements could begin at once
                yield from ((opened, at) for at in map(replay.started.get, slots) if at is not None)
            return
        for slot in slots:
            if slot in self._frames or (start := replay.started.get(slot)) is None:
                continue
            if slot in self._special:
                attempts = self.attempts(slot)
                yield from ((ready, at) for at, _, _, ready in attempts[1:] if ready is not None)
                if not attempts:
                    continue
                start = attempts[0][0]
            known = self._ready(slot, start)
            if known is not None:
                owner = bisect_right(owners, start) - 1
                ready = max(known, owners[owner]) if owner >= 0 else known
                if ready > float("-inf"):
                    yield ready, start

    def _ready(self, slot: int, start: float) -> float | None:
        """Return when the slot could have begun, in epoch seconds, ignoring owners; None if not known."""
        replay, machine = self._replay, self._machine
        element = machine.element_of.get(slot)
        if element is not None:
            return replay.opened.get(element[0].slot)
        frame = machine.frame(slot)
        sources = self._sources.get(id(frame.plan))
        if sources is None:
            sources = self._sources[id(frame.plan)] = _reversed(frame.plan)
        ends = [replay.finished.get(frame.base + one) for one in sources.get(slot - frame.base, ())]
        known = [at for at in ends if at is not None and at <= start]
        if known:
            return max(known)
        if frame.number and frame.number <= len(replay.frames_at):
            return replay.frames_at[frame.number - 1]
        return float("-inf") if not frame.number else None


def _reversed(plan: Plan) -> dict[int, list[int]]:
    out = dict[int, list[int]]()
    for source, links in enumerate(plan.links):
        for link in links:
            if not link.spare:
                out.setdefault(link.target, []).append(source)
    return out


def _shifted(tries: Sequence[Attempt]) -> Iterator[Attempt]:
    """Yield each with the moment at which it could begin: that at which the one before was over."""
    ready: float | None = None
    for start, end, error, over in tries:
        yield start, end, error, ready
        ready = over


def _load(starts: Sequence[float], ends: Sequence[float], begin: float, whole: float) -> list[float]:
    """Return how much of each slice the spans fill, added up; what is shorter than a slice fills some of it.

    O(spans): how much ran until a moment follows from sums over the spans that began and ended before it.
    Only slices between the first beginning and the last end are looked at, because most spans are short.
    """
    if not starts:
        return []
    scale = SLICES / whole
    lows = sorted([(at - begin) * scale for at in starts])
    highs = sorted([(at - begin) * scale for at in ends])
    _within(lows, SLICES)
    _within(highs, SLICES)
    low_sums, high_sums = [0.0, *accumulate(lows)], [0.0, *accumulate(highs)]
    first, last = int(lows[0]), min(SLICES, int(highs[-1]) + 1)
    before = list[float]()
    for at in range(first, last + 1):
        low, high = bisect_left(lows, at), bisect_left(highs, at)
        before.append((low * at - low_sums[low]) - (high * at - high_sums[high]))
    filled = [round(max(0.0, after - at), 9) for at, after in pairwise(before)]
    load = [*[0.0] * first, *filled, *[0.0] * (SLICES - last)]
    for moment in [start for start, end in zip(starts, ends, strict=True) if start == end]:
        load[_slice(moment, begin, whole)] += _LEAST
    return load


def _shades(load: Sequence[float], most: int) -> bytes:
    scale = most / max(load, default=1.0) if any(load) else 0.0
    return bytes([max(1, round(scale * one)) if one > 0 else 0 for one in load])


def _within(sorted_: list[float], most: float) -> None:
    """Clamp values outside the range: clocks are set back, and the last event may be the end itself."""
    low = bisect_left(sorted_, 0.0)
    sorted_[:low] = [0.0] * low
    high = bisect_right(sorted_, most)
    sorted_[high:] = [most] * (len(sorted_) - high)


def _slice(at: float, begin: float, whole: float) -> int:
    return min(SLICES - 1, max(0, int((at - begin) / whole * SLICES)))
