"""The chart of a run: rows, bars, and pages of every width."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.cli import gantt, output, timeline
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.outline import Outline
from symphony.pit.tracker.insight.summary import summarise
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value
from symphony.workflow import Workflow

OUTLINE = Outline(Workflow(name="any"))


def event(at: float, type: str, node: str | None = None, **data: Value) -> RunEvent:
    return RunEvent(seq=1, type=type, at=at, node=node, data=data)


def ran(*spans: tuple[str, float, float]) -> History:
    found = [event(0, "run.started")]
    for name, start, end in spans:
        found += [
            event(start, "node.started", name, attempt=1),
            event(end, "node.finished", name, duration_ms=(end - start) * 1000),
        ]
    return History([*found, event(max(end for *_, end in spans), "run.finished", status="succeeded")])


def test_bars_stand_where_their_nodes_ran() -> None:
    text = gantt.chart(ran(("a", 0, 5), ("b", 5, 10)), OUTLINE, gantt.Look(width=41))
    assert text.splitlines() == [
        "           0             10.0 s",
        "✓ a        ██████████               5.0 s",
        "✓ b        ··········██████████     5.0 s",  # nothing that it is known to have waited for
    ]


def test_thousands_of_elements_are_one_row() -> None:
    text = gantt.chart(ran(*((f"each[{i}]", i, i + 1) for i in range(5_000))), OUTLINE, gantt.Look(width=80))
    assert len(text.splitlines()) == 2
    assert "each x5,000" in text


def test_rounds_and_inner_nodes_stand_below_theirs() -> None:
    history = ran(("loop#0.a", 1, 2), ("loop#0.b", 2, 3), ("loop#1.a", 3, 4), ("loop#1.b", 4, 5), ("z", 0, 6))
    rows = gantt.rows_of(history, OUTLINE)
    assert [row.name for row in rows] == ["z", "loop", "loop.a", "loop.b"]
    assert [row.steps for row in rows] == [1, 0, 2, 2]


def test_a_failed_attempt_and_the_time_of_waiting_are_marked() -> None:
    history = History([
        event(0, "run.started"),
        event(5, "node.started", "a", attempt=1),
        event(6, "node.failed", "a", duration_ms=1000.0, error={"code": "x", "message": "y"}),
        event(8, "node.retrying", "a"),
        event(9, "node.started", "a", attempt=2),
        event(10, "node.finished", "a", duration_ms=1000.0),
    ])  # fmt: skip
    row = gantt.chart(history, OUTLINE, gantt.Look(width=60)).splitlines()[1]
    assert "✗" in row
    assert "·" in row
    assert "retried  1 retry: a" in timeline.summary_text(summarise(history))


def test_of_too_many_rows_failures_and_the_longest_stay() -> None:
    spans = [(f"n{i}", float(i), i + 1 + i / 100) for i in range(100)]
    history = ran(*spans)
    history.add(event(1000, "node.failed", "tiny", duration_ms=0.0, error={"code": "x", "message": "y"}))
    rows = gantt.chart(history, OUTLINE, gantt.Look(width=80, rows_max=10)).splitlines()
    assert len(rows) == 12
    assert any("tiny" in row for row in rows)
    assert any("n99" in row for row in rows)
    assert rows[-1] == "… and 91 shorter nodes"


def test_a_run_in_which_nothing_ran_has_no_chart() -> None:
    assert gantt.chart(History([event(0, "run.started")]), OUTLINE, gantt.Look(width=80)) == ""
    assert gantt.chart(History([]), OUTLINE, gantt.Look(width=80)) == ""


names = st.text(st.characters(exclude_characters="[].#"), min_size=1, max_size=40)
times = st.floats(min_value=0, max_value=1e6)


@given(
    st.lists(st.tuples(names, times, times), min_size=1, max_size=30),
    st.integers(min_value=20, max_value=200),
    st.booleans(),
)
def test_no_line_is_wider_than_the_page_whatever_names_and_times(
    spans: list[tuple[str, float, float]], width: int, unicode: bool
) -> None:
    history = ran(*((name, min(a, b), max(a, b)) for name, a, b in spans))
    text = gantt.chart(history, OUTLINE, gantt.Look(width=width, unicode=unicode))
    assert text.endswith("\n")
    assert unicode or text.isascii()
    assert "\x1b" not in text
    for line in text.splitlines():
        assert output.columns(line) <= width, line
