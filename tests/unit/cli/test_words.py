"""What the command line writes: safe text, sizes, JSON, blocks, closing words."""

import io
import json
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from symphony.app import spelling
from symphony.cli.actions import checks
from symphony.cli.console import blocks, exits, output
from symphony.cli.console.tables import Heading, table
from symphony.cli.console.wrapping import hanging, wrapped
from symphony.cli.views import ending, listing
from symphony.cli.views.usage import usage_text
from symphony.commons.time import SystemClock
from symphony.commons.widths import columns
from symphony.ports.insight import NodeLine, Overview
from symphony.ports.models import Usage
from symphony.ports.runs import NodeResult, NodeStatus, RunError, RunResult, RunStatus
from symphony.ports.values import ArtifactRef, Digest
from symphony.workflow.documents import packed
from symphony.workflow.problems import Problem, ValidationReport

PAGE = blocks.BlockPage(width=60)
REF = ArtifactRef(digest=Digest("ab" * 32), size=2_048, content_type="text/markdown", name="report")


def result(status: RunStatus, **more: object) -> RunResult:
    return RunResult(run_id="run-1", status=status, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\tc", "a b c"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b31m", "\\x9b31m"),
        ("\udcff", "\\udcff"),
        ("naïve ✓ 日本", "naïve ✓ 日本"),
    ],
)
def test_control_characters_never_reach_the_terminal(text: str, safe: str) -> None:
    assert output.shown(text) == safe


@pytest.mark.parametrize(("damaged", "more"), [(1, ""), (2, "; 1 more"), (3, "; 2 more")])
def test_doctor_tells_the_first_damage_and_how_many_more_there_are(
    damaged: int, more: str, tmp_path: Path
) -> None:
    (tmp_path / "journal").mkdir()
    for number in range(damaged):
        (tmp_path / "journal" / f"run-{number}.db").write_bytes(b"no journal")
    found = checks.check_records(tmp_path, SystemClock())
    assert found.verdict == "failed"
    assert found.found.partition(";")[1:] == (("", "") if not more else (";", more[1:]))


def test_text_is_cut_by_columns_not_by_characters() -> None:
    assert output.brief("日本語日本語", 7) == "日本語…"
    assert output.brief("short", 5) == "short"
    assert columns("e\u0301") == 1


def test_a_table_lines_up_and_escapes() -> None:
    assert table([("a\x1b", "1"), ("日本", "2")], ("NAME", "N")) == "NAME   N\na\\x1b  1\n日本   2\n"


WIDE_ROWS = [("01a22e5d", "failed", "2026-11-30T21:30:37+01:00", "日本語 and so on " * 4, "n" * 60)]
WIDE_HEAD = ("RUN", "STATUS", Heading("STARTED", rank=2), Heading("WORKFLOW", rank=1, least=8),
             Heading("", rank=3, least=16))  # fmt: skip


@pytest.mark.parametrize("width", [20, 40, 64, 80, 120, 200])
def test_a_table_is_no_wider_than_its_page_and_keeps_what_matters_most(width: int) -> None:
    lines = table(WIDE_ROWS, WIDE_HEAD, width=width).splitlines()
    assert all(columns(line) <= width for line in lines)
    assert lines[1].startswith("01a22e5d  failed")
    assert ("STARTED" in lines[0]) == (width >= 64)


def test_a_table_that_nobody_reads_on_a_terminal_is_not_cut() -> None:
    assert "日本語 and so on " * 4 + "  " + "n" * 60 in table(WIDE_ROWS, WIDE_HEAD)


@pytest.mark.parametrize("room", [10, 18, 40])
@pytest.mark.parametrize("text", ["one two three " * 9, "  indented " + "w" * 70, "日本語🎉" * 30, "", "x"])
def test_a_text_is_wrapped_without_losing_a_word(text: str, room: int) -> None:
    lines = wrapped(text, room)
    assert all(columns(line) <= room for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line.strip() for line in lines) or not text
    short = wrapped(text, room, 2)
    assert len(short) <= 2
    assert len(lines) <= 2 or short[-1].endswith("…")


def test_a_hanging_text_goes_on_below_its_beginning() -> None:
    text = "word " * 10
    assert hanging("ok  ", text, 44) == f"ok  {'word ' * 7}word\n    word word\n"
    assert hanging("ok  ", "one two three four", 16) == "ok  one two three four\n"
    assert hanging("ok  ", "one two three four", None) == "ok  one two three four\n"


def test_a_column_that_need_not_give_way_stays_whole() -> None:
    rows = [("a", "b" * 10, "c" * 50)]
    head = ("A", Heading("B", least=8), Heading("C", least=8))
    assert table(rows, head, width=40).splitlines()[1] == "a  bbbbbbbbbb  " + "c" * 24 + "…"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0843, "84 ms"), (12.34, "12.3 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_sizes_are_for_people() -> None:
    assert [output.size(n) for n in (812, 12_595, 5 * 2**40)] == ["812 B", "12.3 KiB", "5.0 TiB"]


def test_json_keeps_floats_integers_bytes_and_dollar_keys_apart() -> None:
    value = {"f": 1.0, "i": 1, "b": b"\0\1\2", "$k": "é", "deep": {"$$x": None}}
    assert spelling.spelled(value) == {
        "f": 1.0,
        "i": 1,
        "b": {"$bytes": "AAEC"},
        "$$k": "é",
        "deep": {"$$$x": None},
    }
    assert spelling.spelled(REF) == {
        "$artifact": "ab" * 32,
        "size": 2048,
        "content_type": "text/markdown",
        "name": "report",
    }


class Stdout(io.TextIOWrapper):
    """A stdout of a given encoding whose bytes can be read."""

    def __init__(self, encoding: str) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding)

    def text(self) -> str:
        self.flush()
        return self.raw_bytes.getvalue().decode()


def test_json_is_utf_8_whatever_the_locale_and_survives_lone_surrogates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stdout = Stdout("latin-1")
    monkeypatch.setattr(sys, "stdout", stdout)
    output.say_json({"x": "✓\udcff", "f": 1.0})
    text = stdout.text()
    assert text == '{"x": "✓\\udcff", "f": 1.0}\n'
    assert json.loads(text) == {"x": "✓\udcff", "f": 1.0}


def test_text_that_the_terminal_cannot_hold_is_escaped_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout("latin-1")
    monkeypatch.setattr(sys, "stdout", stdout)
    output.prepare()
    output.say("✓ é\n")
    stdout.flush()
    assert stdout.raw_bytes.getvalue() == b"\\u2713 \xe9\n"


def test_no_color_and_dumb_terminals_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.colourful(Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.colourful(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.colourful(Terminal())
    assert not output.colourful(io.StringIO())


def problem(line: int | None = None, column: int | None = None, message: str = "no such operator") -> Problem:
    return Problem(
        code="unknown-operator", place="nodes.b", message=message, hint="look", line=line, column=column
    )


def test_a_problem_is_one_block_with_file_line_caret_code_and_hint() -> None:
    source = blocks.SourceText("wf.yaml", ["nodes:", "  b: {operator: nope}"])
    assert blocks.problem_block(problem(2, 17), PAGE, source=source) == (
        "error[unknown-operator]: no such operator\n"
        "  --> wf.yaml:2:17 (nodes.b)\n"
        "    2 |   b: {operator: nope}\n"
        "      |                 ^\n"
        "  hint: look\n"
    )


def test_a_long_source_line_is_cut_around_the_caret() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    text = blocks.problem_block(problem(1, 501), PAGE, source=blocks.SourceText("f", [line]))
    shown, caret = text.splitlines()[2:4]
    assert len(shown) <= PAGE.width
    assert shown[caret.index("^") :].startswith("HERE")


def test_a_line_of_megabytes_costs_less_than_one_look_at_it() -> None:
    line = "é" * 10_000_000
    source, shares = blocks.SourceText("f", [line]), []
    for _ in range(3):
        began = time.thread_time()
        text = blocks.problem_block(problem(1, 5_000_000), PAGE, source=source)
        shown = time.thread_time()
        line.encode()
        shares.append((shown - began) / (time.thread_time() - shown))
        assert max(map(len, text.splitlines())) <= PAGE.width
    assert min(shares) < 1, shares


def test_warnings_on_a_run_are_a_few_lines() -> None:
    text = blocks.warning_lines(
        ValidationReport(warnings=(problem(3, 1),) * 9), source=blocks.SourceText("wf.yaml")
    )
    assert text.splitlines()[0] == "warning[unknown-operator]: wf.yaml:3: no such operator"
    assert text.splitlines()[-1] == "… and 4 more warnings: `symphony validate FILE` shows them"
    assert len(text.splitlines()) == 6


def test_a_line_beyond_the_file_a_hostile_name_and_no_place_do_no_harm() -> None:
    text = blocks.problem_block(problem(99, 1, "bad \x1b[2J"), PAGE, source=blocks.SourceText("\x1bf", ["a"]))
    assert "\x1b" not in text
    assert blocks.error_block("code", "message", PAGE) == "error[code]: message\n"


def test_very_many_problems_are_counted_not_listed() -> None:
    report = ValidationReport(errors=tuple(problem() for _ in range(60)), warnings=(problem(),))
    text = blocks.report_blocks(report, PAGE)
    assert text.count("error[") == 50
    assert "11 more" in text


def test_a_missing_source_still_names_the_file(tmp_path: Path) -> None:
    assert blocks.SourceText.of(tmp_path / "gone.yaml").name.endswith("gone.yaml")


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_run_status_has_an_exit_status(status: RunStatus) -> None:
    assert exits.of_status(status) in range(5)


def test_a_text_of_several_lines_is_shown_as_such_and_a_long_one_says_how_to_see_the_rest() -> None:
    long = "".join(f"{number}\n" for number in range(1_000))
    run = result(RunStatus.SUCCEEDED, outputs={"few": "one\n\ttwo\x1b[2J\n", "many": long, "wide": "w" * 900})
    text = ending.outputs_text(run, lambda _, __: None, cut=True)
    assert text.startswith("few =\none\n\ttwo\\x1b[2J\nmany =\n0\n")
    assert "\n199\n… 800 more lines: symphony runs show" in text
    assert text.endswith("--output wide prints it whole)\n")
    assert "symphony runs" not in ending.outputs_text(run, lambda _, __: None, cut=True, recorded=False)
    piped = ending.outputs_text(run, lambda _, __: None)
    assert piped.count("\n") == 3 + 1_001 + 1, "whole where nobody looks"
    assert piped.endswith(f"wide = {'w' * 900}\n")


def test_exit_statuses_are_those_documented() -> None:
    wanted = {"succeeded": 0, "failed": 1, "cancelled": 3, "waiting": 4}
    assert {name: exits.of_status(name) for name in wanted} == wanted
    assert exits.of_code("input-invalid") == 2
    assert exits.of_code("something-else") == 1


def test_a_result_is_printed_in_the_agreed_shape() -> None:
    error = RunError(code="debug-fail", message="boom", node="b")
    node = NodeResult(status=NodeStatus.FAILED, attempts=1, error=error)
    document = spelling.result(result(RunStatus.FAILED, error=error, nodes={"b": node}, outputs={"$o": 1.0}))
    failure = {"code": "debug-fail", "message": "boom", "node": "b"}
    assert document == {
        "run_id": "run-1",
        "short_id": "run-1",
        "name": None,
        "status": "failed",
        "handled_failures": 0,
        "started_at": None,
        "finished_at": None,
        "duration_ms": None,
        "outputs": {"$o": 1.0},
        "error": failure,
        "nodes": {
            "b": {
                "status": "failed",
                "attempts": 1,
                "started_at": None,
                "finished_at": None,
                "duration_ms": None,
                "error": failure,
            }
        },
    }


def test_outputs_show_short_values_and_where_artifacts_lie() -> None:
    run = result(
        RunStatus.SUCCEEDED, outputs={"n": 17, "text": "two\nlines", "report": REF, "list": [1.0, b"x"]}
    )
    assert ending.outputs_text(run, lambda _, ref: Path("/home/objects") / ref.digest[:2]) == (
        "n = 17\ntext =\ntwo\nlines\nreport = /home/objects/ab  (report, text/markdown, 2.0 KiB)\n"
        'list = [1.0, {"$bytes": "eA=="}]\n'
    )
    assert "artifact abab" in ending.outputs_text(run, lambda _, __: None)
    assert "***" not in ending.outputs_text(run, lambda _, __: None)
    masked = ArtifactRef(digest=Digest("ab" * 32), size=3, sealed=Digest("cd" * 32))
    assert ending.value_text(masked, lambda _: None).endswith("3 B, secrets as ***)")


class Unseen(dict[str, NodeResult]):
    """Nodes of which none is looked at: there may be 100,000 elements."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("somebody wants to see every node")


def test_the_closing_line_counts_nodes_and_looks_at_no_element() -> None:
    counts = {NodeStatus.SUCCEEDED: 1, NodeStatus.CACHED: 1}
    run = result(RunStatus.SUCCEEDED, nodes=Unseen(), counts=counts)
    assert ending.closing_text(run, 1.5, PAGE) == "succeeded in 1.5 s: 2 nodes (1 cached); run run-1"


def test_of_an_interrupted_run_texts_say_interrupted_of_what_was_running() -> None:
    counts = {NodeStatus.RUNNING: 1, NodeStatus.PENDING: 2}
    assert "3 nodes (2 pending, 1 running)" in ending.closing_text(
        result(RunStatus.RUNNING, counts=counts), 1.5, PAGE
    )
    run = result(RunStatus.INTERRUPTED, counts=counts, nodes={"a": NodeResult(status=NodeStatus.RUNNING)})
    assert "3 nodes (2 pending, 1 interrupted)" in ending.closing_text(run, 1.5, PAGE)
    assert "interrupted" in listing.nodes_text(run)
    line = NodeLine(name="a", status=NodeStatus.RUNNING)
    overview = Overview(began_at=None, ended_at=None, lines=[line])
    assert "interrupted" in listing.lines_text(overview, run.status)
    assert "running" in listing.lines_text(overview, RunStatus.RUNNING)


def advice(run: RunResult, *, printed: bool = True) -> str:
    return ending.advice(run, lambda: printed)


def test_what_a_failed_run_printed_is_spoken_of_only_if_it_printed_something() -> None:
    assert "runs logs" not in advice(result(RunStatus.FAILED), printed=False)
    assert "runs rerun run-1" in advice(result(RunStatus.FAILED), printed=False)


def test_the_advice_says_how_to_go_on() -> None:
    waits = NodeResult(status=NodeStatus.WAITING)
    assert "runs logs run-1" in advice(result(RunStatus.FAILED))
    waiting = advice(result(RunStatus.WAITING, nodes={"gate[3]": waits}))
    assert "symphony runs resume run-1 --retry 'gate[3]'" in waiting
    assert "--skip 'gate[3]'" in waiting
    stopped = "stopped; go on with: symphony runs resume run-1"
    assert advice(result(RunStatus.INTERRUPTED)) == stopped
    one = result(RunStatus.INTERRUPTED, doubtful=["send[3]"])
    assert advice(one) == (
        f"{stopped} --retry 'send[3]' "
        "(or --skip 'send[3]', if what it did is done: its outputs are then null)"
    )
    two = result(RunStatus.INTERRUPTED, doubtful=["send", "post"])
    assert (
        advice(two) == f"{stopped} --retry send --retry post "
        "(or --skip, for those that are done: their outputs are then null)"
    )
    many = result(RunStatus.INTERRUPTED, doubtful=[f"n{i}" for i in range(7)])
    assert "--retry NODE" in advice(many)
    assert "n0, n1, n2, n3, n4 and 2 more" in advice(many)
    assert "symphony runs rerun run-1" in advice(result(RunStatus.CANCELLED))
    assert advice(result(RunStatus.SUCCEEDED), printed=False) == ""
    assert "symphony runs rerun run-1" in advice(result(RunStatus.SUCCEEDED, handled_failures=2))


def test_of_several_elements_in_doubt_the_advice_offers_all_at_once() -> None:
    waits = NodeResult(status=NodeStatus.WAITING)
    several = result(RunStatus.WAITING, nodes={f"e[{at}]": waits for at in range(64)} | {"send": waits})
    words = advice(several)
    assert "resume run-1 --retry e  (all 64 of them; or one, such as 'e[0]')\n" in words
    assert "resume run-1 --skip e  (their outputs are then null)" in words
    one = advice(result(RunStatus.WAITING, nodes={"e[3]": waits}))
    assert "resume run-1 --retry 'e[3]'\n" in one
    assert "--skip 'e[3]'  (its outputs are then null)" in one


def test_nothing_is_said_to_run_in_a_run_that_waits() -> None:
    counts = {NodeStatus.RUNNING: 1, NodeStatus.WAITING: 1, NodeStatus.SUCCEEDED: 1}
    assert "3 nodes (2 waiting)" in ending.closing_text(result(RunStatus.WAITING, counts=counts), 1.5, PAGE)
    assert ending.node_word(NodeStatus.RUNNING, RunStatus.PAUSED) == "paused"
    assert ending.node_word(NodeStatus.RUNNING, RunStatus.RUNNING) == "running"


def test_the_lines_of_a_packed_file_are_those_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml.zst"
    frame = packed(b"name: x\nnodes: 7\n")
    path.write_bytes(frame)
    assert blocks.SourceText.of(path).lines == ["name: x", "nodes: 7"]
    path.write_bytes(frame[:-3])
    assert blocks.SourceText.of(path).lines == []


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (Usage(calls=1), "1 call"),
        (Usage(calls=3, tokens_in=1_200, tokens_out=80), "3 calls, 1,200 + 80 tokens"),
        (Usage(calls=1, cost=Decimal("0.0210"), currency="EUR"), "1 call, 0.021 EUR"),
        (Usage(calls=1, cost=Decimal(100), estimated=True), "1 call, 100 (estimated)"),
    ],
)
def test_usage_says_what_is_known(usage: Usage, text: str) -> None:
    assert usage_text(usage) == text
