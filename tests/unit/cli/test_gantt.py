"""The chart of a run: rows, bars, and pages of every width."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from symphony.cli.views import gantt, timeline
from symphony.commons.widths import columns
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.plan import Plan, PlanNode, make_plan
from symphony.pit.tracker.core.records import (
    BegunRecord,
    EndedRecord,
    ExpandedRecord,
    FailedRecord,
    FinishedRecord,
    OpenedRecord,
    Record,
    RetryDueRecord,
    StartedRecord,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.insight import Overview

DONE = b"\x80"


def plan_of(*names: str, below: dict[int, Plan] | None = None) -> Plan:
    return make_plan([PlanNode(name, attempts=2) for name in names], [()] * len(names), below)


def seen(plan: Plan, records: Sequence[Record]) -> Overview:
    replay = RunReplay(plan, limit=10_000)
    for record in records:
        replay.apply(record)
    return overview_of(replay)


def finished(slot: int, start: float, end: float) -> Record:
    return FinishedRecord(slot, end, start, DONE, None, None)


def ran(*spans: tuple[str, float, float]) -> Overview:
    nodes = [finished(slot, start, end) for slot, (_, start, end) in enumerate(spans)]
    ended = max(end for *_, end in spans)
    return seen(
        plan_of(*(name for name, *_ in spans)),
        [BegunRecord(0, 0.0, 1), *nodes, EndedRecord(0, ended, "succeeded", None, None)],
    )


def test_bars_stand_where_their_nodes_ran() -> None:
    text = gantt.chart(ran(("a", 0, 5), ("b", 5, 10)), gantt.Look(width=41))
    assert text.splitlines() == [
        "           0             10.0 s",
        "✓ a        ██████████               5.0 s",
        "✓ b        ··········██████████     5.0 s",  # nothing that it is known to have waited for
    ]


def test_thousands_of_elements_are_one_row() -> None:
    count = 5_000
    elements = [finished(1 + i, i, i + 1) for i in range(count)]
    found = seen(
        plan_of("each"),
        [BegunRecord(0, 0.0, 1), ExpandedRecord(0, 0.0, count), *elements, finished(0, 0, count)],
    )
    text = gantt.chart(found, gantt.Look(width=80))
    assert len(text.splitlines()) == 2
    assert "each ×5,000" in text


def test_rounds_and_inner_nodes_stand_below_theirs() -> None:
    plan = plan_of("loop", "z", below={0: plan_of("a", "b")})
    records: list[Record] = [BegunRecord(0, 0.0, 1), OpenedRecord(0, 0.5, 0, DONE)]
    records += [finished(2, 1, 2), finished(3, 2, 3), OpenedRecord(0, 3.0, 1, DONE)]
    records += [finished(4, 3, 4), finished(5, 4, 5), finished(0, 0.5, 5), finished(1, 0, 6)]
    found = seen(plan, records)
    assert [bar.name for bar in found.bars] == ["z", "loop", "loop.a", "loop.b"]
    assert [bar.steps for bar in found.bars] == [1, 0, 2, 2]
    assert [line.name for line in found.lines] == ["loop", "loop.a", "loop.b", "z"]


def test_a_failed_attempt_and_the_time_of_waiting_are_marked() -> None:
    found = seen(plan_of("a"), [
        BegunRecord(0, 0.0, 1),
        StartedRecord(0, 5.0, 1),
        FailedRecord(0, 6.0, 5.0, ("x", "y", None), 0),
        RetryDueRecord(0, 8.0),
        StartedRecord(0, 9.0, 2),
        finished(0, 9, 10),
    ])  # fmt: skip
    row = gantt.chart(found, gantt.Look(width=60)).splitlines()[1]
    assert "✗" in row
    assert "·" in row
    assert "retried  1 retry: a" in timeline.summary_text(found, 80)


def test_what_was_slowest_keeps_to_the_page_and_the_ends_of_names() -> None:
    names = ("/home/someone/projects/large/src/first.py", "/home/someone/projects/large/src/second.py", "z")
    records: list[Record] = [BegunRecord(0, 0.0, 1)]
    for at in range(3):
        records += [StartedRecord(at, 0.0, 1), finished(at, 0.0, at + 1.0)]
    found = seen(plan_of("a", "b", "c"), records)
    labelled = msgspec.structs.replace(found, labels=dict(zip("abc", names, strict=True)))
    for width in range(20, 200):
        line = timeline.summary_text(labelled, width).rstrip("\n")
        assert columns(line) <= width
        assert line.startswith("slowest  c")
    assert timeline.summary_text(labelled, 200) == (
        f"slowest  c z 3.0 s, b {names[1]} 2.0 s, a {names[0]} 1.0 s\n"
    )
    short = timeline.summary_text(labelled, 80)
    assert "first.py 1.0 s" in short
    assert "second.py 2.0 s" in short


def test_of_too_many_rows_failures_and_the_longest_stay() -> None:
    records: list[Record] = [BegunRecord(0, 0.0, 1)]
    records += [finished(i, float(i), i + 1 + i / 100) for i in range(100)]
    records.append(FailedRecord(100, 1000.0, 1000.0, ("x", "y", None), 1))
    found = seen(plan_of(*(f"n{i}" for i in range(100)), "tiny"), records)
    rows = gantt.chart(found, gantt.Look(width=80, rows_max=10)).splitlines()
    assert len(rows) == 12
    assert any("tiny" in row for row in rows)
    assert any("n99" in row for row in rows)
    assert rows[-1] == "… and 91 shorter nodes"


def test_a_run_in_which_nothing_ran_has_no_chart() -> None:
    assert gantt.chart(seen(plan_of("a"), [BegunRecord(0, 0.0, 1)]), gantt.Look(width=80)) == ""
    assert gantt.chart(seen(plan_of("a"), []), gantt.Look(width=80)) == ""


names = st.text(st.characters(exclude_characters="[].#"), min_size=1, max_size=40)
times = st.floats(min_value=0, max_value=1e6)


@given(
    st.lists(st.tuples(names, times, times), min_size=1, max_size=30, unique_by=lambda one: one[0]),
    st.integers(min_value=20, max_value=200),
    st.booleans(),
)
def test_no_line_is_wider_than_the_page_whatever_names_and_times(
    spans: list[tuple[str, float, float]], width: int, unicode: bool
) -> None:
    seen = ran(*((name, min(a, b), max(a, b)) for name, a, b in spans))
    text = gantt.chart(seen, gantt.Look(width=width, unicode=unicode))
    assert text.endswith("\n")
    assert unicode or text.isascii()
    assert "\x1b" not in text
    for line in text.splitlines():
        assert columns(line) <= width, line
