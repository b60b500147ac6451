"""Views of a run: lines for pipes, the live tree for terminals, following from elsewhere."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from tests.support.fakes import event as event_at

from symphony.cli.actions.answering import Decision, decision_of
from symphony.cli.console.keyboard import TypedLine
from symphony.cli.views import following
from symphony.cli.views.live import Board, FanOutPace, PutQuestion
from symphony.cli.views.watching import FAILURES_MAX, LINES_MAX, LineView, line_of, progress_line
from symphony.commons.widths import columns
from symphony.ports.insight import FanOutProgress, MadeArtifact, OpenQuestion, QueueProgress
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunStatus, RunWarning
from symphony.ports.values import Value

event = partial(event_at, 0.0)


@dataclass
class Now:
    counts: dict[NodeStatus, int]
    slowest: Sequence[tuple[str, float]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    saying: Mapping[str, str] = field(default_factory=dict)
    failed: int = 0
    failures: Sequence[RunEvent] = ()
    latest: Sequence[RunEvent] = ()
    tries: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    nodes: Mapping[NodeStatus, int] = field(default_factory=dict)
    fans: Sequence[FanOutProgress] = ()
    queues: Sequence[QueueProgress] = ()
    questions: Sequence[OpenQuestion] = ()
    took_s: float = 0.0


@pytest.mark.parametrize(
    ("happened", "line"),
    [
        (event("run.started"), "run started"),
        (event("node.started", "a"), "a: started"),
        (event("node.started", "a", attempt=2), "a: started (attempt 2)"),
        (
            event("node.queued", "a", kind="model", resource="minilm\x1b", reason="it is busy", before=2),
            "a: queued for model minilm\\x1b: it is busy, 2 before it",
        ),
        (event("node.granted", "a", reason="its turn came"), None),
        (event("node.expanded", "a", count=1_200), "a: 1,200 elements"),
        (event("node.finished", "a", duration_ms=1_500), "a: succeeded in 1.5 s"),
        (event("node.finished", "a", duration_ms=True), "a: succeeded"),
        (
            event("node.failed", "a", error={"code": "x", "message": "two\nlines \x1b[2J"}),
            "a: failed: [x] two lines \\x1b[2J",
        ),
        (event("node.failed", "a", error="not a map"), "a: failed"),
        (event("node.retrying", "a", attempt=1), "a: attempt 1 failed, trying again"),
        (event("node.skipped", "a", reason="when is false"), "a: skipped: when is false"),
        (event("node.cached", "a\x1b"), "a\\x1b: cached"),
        (event("run.finished", status="succeeded"), None),
        (event("something.new", "a"), None),
    ],
)
def test_an_event_is_one_safe_line(happened: RunEvent, line: str | None) -> None:
    assert line_of(happened) == line


def test_lines_are_bounded_but_failures_come_through_for_longer() -> None:
    lines: list[str] = []
    view = LineView(lines.append)
    for number in range(10_000):
        view.add(event("node.finished", f"n{number}"))
    assert len(lines) == LINES_MAX + 1
    for number in range(10_000):
        view.add(event("node.failed", f"n{number}"))
    assert len(lines) == LINES_MAX + 1 + FAILURES_MAX + 1


@dataclass
class Long:
    """A run of very many results and some failures, which notes how much of it was asked for."""

    results: int
    failures: int
    run_id: str = "run-1"
    marks: Mapping[str, str] = field(default_factory=dict)
    unhidden: Sequence[str] = ()
    unset: Sequence[str] = ()
    artifacts: Callable[[], Sequence[MadeArtifact]] = tuple
    made: int = 0

    known: int = 0

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        for number in range(1, self.results + 1):
            self.made += 1
            yield RunEvent(seq=number, type="node.finished", at=0.0, node=f"n{number}")

    async def notable(self, after: int = 0) -> AsyncGenerator[RunEvent, None]:
        for number in range(after, after + self.failures):
            yield RunEvent(seq=number + 1, type="node.failed", at=0.0, node=f"bad{number}")

    async def ended(self) -> None: ...
    def warn_by(self, warn: Callable[[RunWarning], None]) -> None: ...
    def progress(self) -> Now:
        return Now({})

    async def result(self) -> RunResult:
        return RunResult(run_id="run-1", status=RunStatus.SUCCEEDED)

    def cancel(self) -> None: ...
    def unattended(self) -> None: ...
    def answer(
        self, node: str, *, approved: bool, by: str | None = None, comment: str | None = None
    ) -> None: ...


async def test_once_there_is_room_only_for_failures_no_other_event_is_asked_for() -> None:
    lines: list[str] = []
    run = Long(results=100_000, failures=3)
    await LineView(lines.append).watch(run)
    assert run.made == LINES_MAX
    assert [line.partition(":")[0] for line in lines[-3:]] == ["bad200", "bad201", "bad202"]


def test_progress_is_counts_and_the_longest_running_node() -> None:
    now = Now({NodeStatus.PENDING: 1_200, NodeStatus.SUCCEEDED: 3, NodeStatus.RUNNING: 0}, [("embed", 11.23)])
    assert progress_line(now) == "3 succeeded, 1,200 pending; longest running: embed, 11.2 s"


def drawn(
    board: Board, *, width: int = 60, height: int = 20, unicode: bool = True, put: PutQuestion | None = None
) -> str:
    lines, cursor = board.lines(width, height, unicode=unicode, put=put)
    texts = [line.cut(width - 1, colours=False, unicode=unicode) for line in lines]
    assert all(used == columns(text) for text, used in texts)
    assert cursor is None or cursor < width
    return "\n".join(text for text, _ in texts)


def now() -> Now:
    error: Value = {"code": "x", "message": "m" * 300}
    return Now(
        {NodeStatus.SUCCEEDED: 2, NodeStatus.RUNNING: 40},
        [(f"node{i}", 40.0 - i) for i in range(40)],
        nodes={NodeStatus.SUCCEEDED: 2, NodeStatus.RUNNING: 40},
        failed=9,
        failures=[event("node.failed", f"bad{number}", error=error) for number in range(4)],
        latest=[event("node.finished", "files", duration_ms=12)],
    )


def board() -> Board:
    made = Board("Report \x1b[2J", "run-1")
    assert made.see(now()), "there is something to draw"
    return made


def test_the_view_is_not_drawn_anew_for_what_only_takes_longer() -> None:
    made, later = board(), now()
    later.slowest = [(name, seconds + 1) for name, seconds in later.slowest]
    assert not made.see(later)
    later.latest = [RunEvent(seq=2, type="node.finished", at=1.0, node="files")]
    assert made.see(later)


def test_the_view_shows_counts_the_slowest_nodes_and_failures() -> None:
    text = drawn(board())
    assert "\x1b" not in text
    assert "✓ 2 succeeded  ● 40 running" in text
    assert "● node0  40.0 s" in text
    assert "and 5 more failed" in text
    assert "✓ files: succeeded in 12 ms" in text


def test_below_a_node_stands_the_last_that_its_model_said() -> None:
    made, saying = board(), now()
    saying.saying = {"node0": "one\ntwo " * 50 + "the end"}
    made.see(saying)
    lines = drawn(made).splitlines()
    (at,) = [i for i, line in enumerate(lines) if "● node0 " in line]
    assert lines[at + 1].endswith("one two the end")


def test_the_view_says_what_steps_are_queued_for_and_after_how_many() -> None:
    made, waiting = board(), now()
    waiting.queues = [
        QueueProgress(
            resource="minilm", kind="model", count=42, first="embed[3]", label="b.md", before=2,
            reason="all 2 places are taken",
        )
    ]  # fmt: skip
    made.see(waiting)
    told = "○ embed[3] b.md and 41 others: queued for model minilm: all 2 places are taken, 2 before it"
    assert told in drawn(made, width=120)


HOSTILE = "\x1b[2J\u202e日本🎉" * 40


@pytest.mark.parametrize("unicode", [False, True])
@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(("width", "height"), [(20, 8), (20, 24), (40, 12), (80, 24), (200, 14)])
def test_the_view_fits_the_terminal_whatever_runs(width: int, height: int, busy: bool, unicode: bool) -> None:
    made, busiest = board(), now()
    put = None
    if busy:
        busiest.saying = {name: "word " * 100 for name, _ in busiest.slowest}
        busiest.fans = [FanOutProgress(name=HOSTILE, count=10_000, done=n, failed=n) for n in range(200)]
        busiest.questions = [OpenQuestion(node=f"q{n}", text=HOSTILE, left_s=3.0) for n in range(50)]
        busiest.queues = [
            QueueProgress(
                resource=HOSTILE, kind="model", count=10_000, first=HOSTILE, reason=HOSTILE, before=n
            )
            for n in range(20)
        ]
        busiest.tries = {name: (2, 3) for name, _ in busiest.slowest}
        put = PutQuestion("q3", typed=HOSTILE, hint="begin with y or n")
    made.see(busiest)
    text = drawn(made, width=width, height=height, unicode=unicode, put=put)
    assert max(map(columns, text.splitlines())) < width
    assert not busy or "y/n" in text.splitlines()[-1]
    assert unicode or text.isascii()
    assert not set("\x1b\u202e") & set(text)


def test_the_view_is_ascii_where_the_terminal_is() -> None:
    assert "* node0" in drawn(board(), unicode=False)


def test_a_fan_out_tells_how_long_it_will_take_once_that_can_be_told() -> None:
    fan = FanOutProgress(name="embed", count=100, done=10)
    pace = FanOutPace()
    assert pace.left_s(0.0, fan) is None
    for second in range(8):
        pace.note(float(second), second * 5)
    told = pace.left_s(8.0, FanOutProgress(name="embed", count=100, done=40))
    assert told == pytest.approx(12.0)
    pace.note(9.0, 2)
    assert pace.left_s(9.0, FanOutProgress(name="embed", count=100, done=2)) is None, "another round begins"


@pytest.mark.parametrize(
    ("line", "decided"),
    [
        ("y", Decision(True, None)), ("YES", Decision(True, None)), ("n", Decision(False, None)),
        ("y it is good", Decision(True, "it is good")), ("no: not yet", Decision(False, "not yet")),
        ("  n,later ", Decision(False, "later")), ("reject", Decision(False, None)),
        ("n/a", None), ("maybe", None), ("yesterday", None), ("ny", None), ("1", None), ("", None),
    ],
)  # fmt: skip
def test_an_answer_is_yes_or_no_and_what_is_written_behind_it(line: str, decided: Decision | None) -> None:
    assert decision_of(line) == decided


def test_a_line_is_edited_as_in_a_terminal() -> None:
    line = TypedLine()
    assert line.press("abc\x7f\x1b[Dd one two\x17") == []
    assert line.text == "abd one "
    assert line.press("\x15x\x04\x00\ty\r\x04z") == ["xy", None]
    assert line.text == "z"
    line.press("a" * 10_000)
    assert len(line.text) == 4_000


@dataclass
class Journal:
    """A run that another process drives, one step for each look at it."""

    steps: list[tuple[RunStatus, list[RunEvent]]]
    seen: list[RunEvent] = field(default_factory=list)

    def status(self, run_id: str) -> RunStatus:
        status, fresh = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        self.seen += [e for e in fresh if e not in self.seen]
        return status

    def events(self, run_id: str, since: int = 0) -> Iterator[RunEvent]:
        return iter([e for e in self.seen if e.seq > since])


def numbered(*numbers: int) -> list[RunEvent]:
    return [RunEvent(seq=n, type="node.started", at=0.0) for n in numbers]


def test_following_yields_each_event_once_and_ends_with_the_run() -> None:
    journal = Journal([
        (RunStatus.RUNNING, numbered(1, 2)),
        (RunStatus.RUNNING, []),
        (RunStatus.RUNNING, numbered(3)),
        (RunStatus.SUCCEEDED, numbered(4)),
    ])  # fmt: skip
    naps: list[float] = []
    followed = [e.seq for e in following.events(journal, "r", follow=True, sleep=naps.append)]
    assert followed == [1, 2, 3, 4]
    assert len(naps) == 3


def test_without_following_only_what_is_there_is_listed() -> None:
    journal = Journal([(RunStatus.RUNNING, [])], seen=numbered(1, 2, 3))
    assert [e.seq for e in following.events(journal, "r", since=1)] == [2, 3]


class Resumed(Long):
    """A run that an earlier process began: `a` finished, and `gate` asks; now `b` finishes."""

    label = "run-1"

    async def events(self) -> AsyncGenerator[RunEvent, None]:
        told = (
            event("run.started"), event("node.finished", "a"), event("node.finished", "x[0]"),
            event("node.waiting", "gate", asks="ok?"), event("run.resumed"), event("node.finished", "b"),
        )  # fmt: skip
        for number, one in enumerate(told, 1):
            yield RunEvent(seq=number, type=one.type, at=0.0, node=one.node, data=one.data)

    def progress(self) -> Now:
        return Now({}, nodes={NodeStatus.SUCCEEDED: 2, NodeStatus.WAITING: 1})


async def test_of_earlier_processes_only_what_had_finished_and_who_is_asked_is_told() -> None:
    lines: list[str] = []
    await LineView(lines.append).watch(Resumed(results=0, failures=0, known=4))
    assert lines == [
        "run resumed: 1 of 3 nodes had finished", "gate: asks: ok?", "  symphony runs approve run-1 gate",
        "b: succeeded",
    ]  # fmt: skip
