"""Logs of runs: bounds, rotation, following, what tokens look like."""

import contextvars
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fakes import Printed

from symphony import Symphony, operator
from symphony.cli.views.transcript import TranscriptWriter
from symphony.ipc.lines import LineSplitter
from symphony.pit.artifacts.values.redaction import Redactor
from symphony.pit.tracker.store import logs
from symphony.pit.tracker.store.log_tails import NODES_MAX
from symphony.pit.tracker.store.logs import (
    LogLimits,
    RunLog,
    capture,
    follow_log,
    older,
    read_log,
    routed_streams,
)
from symphony.testing import FakeModel, FakeModels, workflow
from symphony.workflow import loads

OLD_LOG = Path(__file__).parents[2] / "data" / "log-of-single-lines.jsonl"


def log_at(path: Path, **limits: int) -> RunLog:
    return RunLog(path, lambda: 1.0, lambda text: text, LogLimits(**limits))


def texts(path: Path, node: str | None = None) -> list[str]:
    return [line.text for line in read_log(path, node)]


def test_of_a_node_with_a_long_log_beginning_and_end_are_kept_and_the_gap_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, node_bytes=800)
    for i in range(100, 400):
        log("loud", f"line {i}", "stdout")
    log("other", "still here", "stdout")
    log.close()
    loud = texts(path, "loud")
    gap = next(text for text in loud if text.startswith("…"))
    at = loud.index(gap)
    assert loud[:at] == [f"line {i}" for i in range(100, 100 + at)]
    end = loud[at + 1 :]
    assert end == [f"line {i}" for i in range(400 - len(end), 400)]
    left = 300 - at - len(end)
    assert gap == f"… {left:,} lines ({left * 9:,} bytes) left out …"
    assert sum(len(text) + 1 for text in loud if text != gap) in range(780, 801)
    assert texts(path, "other") == ["still here"]


@given(
    chunks=st.lists(
        st.tuples(
            st.lists(st.text("aé0", max_size=30), min_size=1, max_size=40), st.sampled_from([0.0, 1.0])
        ),
        max_size=40,
    ),
    node_bytes=st.integers(16, 3_000),
)
def test_however_lines_come_a_beginning_and_an_end_of_them_are_shown_and_the_rest_is_counted(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[tuple[list[str], float]], node_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "run.jsonl"
    now = 0.0
    log = RunLog(path, lambda: now, lambda text: text, LogLimits(node_bytes=node_bytes))
    printed: list[str] = []
    for lines, later in chunks:
        now += later
        if any(lines):
            log("a", "\n".join(lines), "stdout")
            printed += lines
    log.close()
    shown = texts(path)
    gaps = [text for text in shown if text.startswith("…")]
    if not gaps:
        assert shown == printed
        return
    at = shown.index(gaps[0])
    head, end = shown[:at], shown[at + 1 :]
    gone = printed[at : len(printed) - len(end)]
    assert head == printed[:at]
    assert end == printed[len(printed) - len(end) :]
    count = sum(len(line.encode()) + 1 for line in gone)
    assert gaps == [f"… {len(gone):,} line{'s' * (len(gone) != 1)} ({count:,} bytes) left out …"]
    assert sum(len(line.encode()) + 1 for line in head + end) <= node_bytes


def test_the_log_of_a_killed_process_says_that_its_end_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    if (pid := os.fork()) == 0:
        try:
            log_at(path, node_bytes=80)("a", "\n".join(f"line {i}" for i in range(30)), "stdout")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    *head, said = texts(path)
    assert head == [f"line {i}" for i in range(8)]
    assert said.startswith("… this log is full")
    resumed = log_at(path, node_bytes=80)
    resumed("a", "again", "stdout")
    resumed.close()
    assert texts(path) == [*head, said, "again"]


def test_one_who_follows_is_told_that_a_log_is_full_and_sees_its_end_when_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, node_bytes=80)
    log("a", "\n".join(f"line {i}" for i in range(30)), "stdout")
    going = True

    def wait() -> None:
        nonlocal going
        log.close()
        going = False

    seen = [line.text for line in follow_log(path, lambda: going, wait)]
    assert [text[:15] for text in seen if text.startswith("…")] == ["… this log is f", "… 20 lines (158"]
    assert seen[-1] == "line 29"
    assert not any("full" in text for text in texts(path))


def test_a_log_with_a_record_for_each_line_is_read_as_before(tmp_path: Path) -> None:
    assert [(line.node, line.stream, line.text) for line in read_log(OLD_LOG)] == [
        ("fit", "stdout", "epoch 1"),
        ("fit", "stdout", ""),
        ("fit", "stderr", "é \x1b[31mred"),
        ("ask[0]", "tokens", "Hello\nyou"),
        ("fit", "stdout", "0123456789" * 10),
        ("fit", "stderr", "… the log of this node ends here: it holds 500 bytes"),
    ]
    copy = tmp_path / "run.jsonl"
    copy.write_bytes(OLD_LOG.read_bytes())
    log = log_at(copy)
    log("fit", "more\nlines", "stdout")
    log.close()
    assert texts(copy, "fit")[-2:] == ["more", "lines"]


def test_the_share_of_a_node_is_counted_in_text_and_not_as_it_lies_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, node_bytes=4_000)
    for i in range(1_000):
        log("a", str(i % 10), "stdout")
    log("b", "é" * 2_500, "stdout")
    log.close()
    assert texts(path, "a") == [str(i % 10) for i in range(1_000)]
    assert texts(path, "b") == ["… 1 line (5,001 bytes) left out …"]


def test_many_nodes_with_long_logs_keep_their_ends_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, node_bytes=400)
    for node in range(NODES_MAX + 5):
        for i in range(100):
            log(f"n{node}", f"line {i}", "stdout")
    early = [texts(path, f"n{node}")[-1] for node in (0, 4, 5)]
    log.close()
    assert early[:2] == ["line 99", "line 99"]
    assert early[2] != "line 99"
    assert {texts(path, f"n{node}")[-1] for node in range(NODES_MAX + 5)} == {"line 99"}


def test_a_full_run_keeps_its_newest_lines_in_two_files(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, run_bytes=2_000)
    for i in range(200):
        log("a", f"line {i}", "stdout")
    log.close()
    assert path.stat().st_size + older(path).stat().st_size <= 2_000
    kept = texts(path)
    assert kept == [f"line {i}" for i in range(200 - len(kept), 200)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.1.jsonl", "run.jsonl"]


def test_a_resumed_run_appends_and_counts_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for number in range(10):
        log = log_at(path, run_bytes=600)
        log("a", f"start {number}", "stderr")
        log.close()
    assert path.stat().st_size + older(path).stat().st_size <= 600
    assert texts(path)[-1] == "start 9"


def test_a_file_for_the_owners_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    log = log_at(path)
    log("a", "secret?", "stdout")
    log.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_refuses_stops_the_log_and_not_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    log = log_at(tmp_path / "file" / "run.jsonl")
    log("a", "one", "stdout")
    log("a", "two", "stdout")
    log.close()
    assert capfd.readouterr().err.count("node logs stopped") == 1


def test_following_sees_every_line_once_though_the_file_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path, run_bytes=1_000)
    rounds = iter(range(40))
    said = 0

    def wait() -> None:
        nonlocal said
        if next(rounds, None) is not None:
            log("a", f"line {said}", "stdout")
            said += 1

    found = [line.text for line in follow_log(path, lambda: said < 40, wait)]
    log.close()
    assert found == [f"line {i}" for i in range(40)]
    assert older(path).exists()


def test_following_waits_for_the_end_of_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = b'{"at":1,"node":"a","stream":"stdout","text":"hello"}\n'
    parts: Iterator[bytes] = iter([whole[:20], whole[20:]])
    left = 2

    def wait() -> None:
        nonlocal left
        left -= 1
        with path.open("ab") as file:
            file.write(next(parts))

    assert [line.text for line in follow_log(path, lambda: left > 0, wait)] == ["hello"]


def test_a_node_is_named_with_its_elements_rounds_and_inner_nodes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path)
    for name in ("a", "a[3]", "a#1.b", "a.b", "ab", "b.a"):
        log(name, name, "stdout")
    log.close()
    assert texts(path, "a") == ["a", "a[3]", "a#1.b", "a.b"]
    assert [line.text for line in read_log(path, stream="stderr")] == []


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'\xff\x00\n{"at":1,"node":"a","stream":"stdout","text":"ok"}\n{"at":')
    assert texts(path) == ["ok"]


def test_a_pipe_in_place_of_a_log_makes_nobody_wait(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    path.parent.mkdir()
    os.mkfifo(path)
    log = log_at(path)
    log("a", "lost", "stdout")
    log.close()
    for lines in (read_log(path), follow_log(path, lambda: False, lambda: None)):
        with pytest.raises(OSError, match="not a regular file"):
            list(lines)


def test_tokens_are_one_line_until_somebody_else_speaks(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path)
    for node, text, stream in (
        ("m", "Hel", "tokens"), ("m", "lo\nyou", "tokens"), ("c", "noise", "stderr"), ("m", "!", "tokens"),
    ):  # fmt: skip
        log(node, text, stream)  # type: ignore[arg-type]
    log.close()
    assert log.tail("m") == "Hello\nyou!"
    writer = TranscriptWriter(as_json=False, named=True, safe=False)
    shown = "".join(map(writer.text, read_log(path))) + writer.end()
    assert shown == "m | Hello\nyou\nc | noise\nm | !\n"


def test_on_a_terminal_a_line_is_as_it_was_last_drawn_and_without_colours(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = log_at(path)
    for text in ("10%\r100%", "from Windows\r", "\x1b[31mred\x1b[0m", "bell\x07"):
        log("c", text, "stdout")
    log.close()
    safe, raw = (TranscriptWriter(as_json=False, named=False, safe=safe) for safe in (True, False))
    assert "".join(map(safe.text, read_log(path))) == "100%\nfrom Windows\nred\nbell\\x07\n"
    assert (
        "".join(map(raw.text, read_log(path))) == "10%\r100%\nfrom Windows\r\n\x1b[31mred\x1b[0m\nbell\x07\n"
    )


def test_what_a_model_says_is_known_in_memory_too() -> None:
    log = RunLog(None, lambda: 0.0, lambda text: text.replace("key", "***"))
    log("m", "the key " * 100, "tokens")
    assert log.tail("m").endswith("the *** ")
    assert len(log.tail("m")) <= 400
    assert log.tail("other") == ""


@given(st.lists(st.text(max_size=30), max_size=10))
def test_any_text_can_be_logged_and_read_again(
    tmp_path_factory: pytest.TempPathFactory, said: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "run.jsonl"
    log = log_at(path)
    for text in said:
        log("a", text, "stdout")
    log.close()
    expected = [
        line for text in said if text for line in text.encode("utf-8", "replace").decode().split("\n")
    ]
    assert texts(path) == expected


async def test_what_a_model_says_in_a_run_is_in_its_nodes_log(tmp_path: Path) -> None:
    model = FakeModel("one two three", chunks=3)
    made = workflow("name: Ask\nnodes:\n  ask: {instrument: gpt, inputs: {prompt: hi}}\n")
    opened = Symphony.open(tmp_path, models=FakeModels({"gpt": model}), catalog={"gpt": model.info("gpt")})
    async with opened as symphony:
        handle = await symphony.start(made)
        result = await handle.result()
    said = [line.text for line in symphony.runs.logs(result.run_id, "ask", stream="tokens")]
    assert "".join(said) == "one two three"
    assert list(symphony.runs.logs(result.run_id, "ask", stream="stdout")) == []


def test_what_is_printed_in_pieces_is_told_line_by_line() -> None:
    told = Printed()
    with routed_streams():
        with capture(told):
            print("a", "b", 3)
            print("no end", end="")
            print("to stderr", "too", file=sys.stderr)
            print(", yet", flush=True)
            print("two\nlines")
            sys.stdout.writelines(["th", "ree\n"])
            sys.stdout.buffer.write("fö".encode())
            sys.stdout.buffer.writelines([b"u", b"r\n"])
            sys.stdout.buffer.flush()
            print("last", end="")
        print("not captured", end="")
    assert told.lines == [
        ("stdout", "a b 3"),
        ("stderr", "to stderr too"),
        ("stdout", "no end, yet"),
        ("stdout", "two"),
        ("stdout", "lines"),
        ("stdout", "three"),
        ("stdout", "föur"),
        ("stdout", "last"),
    ]


def test_a_line_without_end_is_told_in_pieces_and_a_thread_that_is_left_behind_in_lines() -> None:
    told = Printed()
    with routed_streams():
        with capture(told):
            late = contextvars.copy_context()
            for _ in range(70):
                sys.stdout.write("x" * 1_024)
        late.run(print, "late", 13)
    assert [len(text) for _, text in told.lines] == [65_536, 70 * 1_024 - 65_536, 7]
    assert told.lines[-1][1] == "late 13"


def secret_log(path: Path, secret: str) -> RunLog:
    redactor = Redactor({"TOKEN": secret})
    return RunLog(path, lambda: 1.0, redactor.mask, masks=redactor.stream)


@pytest.mark.parametrize("before", [65_530, 65_535, 65_536, 65_541, 131_070])
def test_a_secret_cut_in_two_by_the_pieces_of_a_long_line_is_hidden(tmp_path: Path, before: int) -> None:
    log = secret_log(tmp_path / "log", "hunter2hunter3")
    lines = LineSplitter(lambda text: log("n", text, "stdout"))
    body = b"x" * before + b"hunter2hunter3" + b"y" * 10 + b"\nnext hun\nter\n"
    for at in range(0, len(body), 65_536):
        lines.feed(body[at : at + 65_536])
    lines.feed(b"")
    log.close()
    text = "".join(texts(tmp_path / "log"))
    assert text == "x" * before + "***" + "y" * 10 + "next hunter"
    assert texts(tmp_path / "log")[-2:] == ["next hun", "ter"]


def test_a_secret_of_short_lines_is_hidden_though_its_lines_come_one_by_one(tmp_path: Path) -> None:
    log = secret_log(tmp_path / "log", "ab\ncd\nef\ngh")
    for line in ("say ab", "cd", "ef", "gh!", "ab", "cd", "other", "ab"):
        log("n", line, "stdout")
        log("m", line, "stdout")
        log("n", "cd", "stderr")
    log.close()
    assert texts(tmp_path / "log", "m") == ["say ***!", "ab", "cd", "other", "ab"]
    assert [line.text for line in read_log(tmp_path / "log", "n", "stderr")] == ["cd"] * 8


def test_nothing_is_held_back_that_cannot_be_a_secret(tmp_path: Path) -> None:
    log = secret_log(tmp_path / "log", "hunter2hunter3")
    for at, line in enumerate(("plain", "hun", "x" * 70_000), start=1):
        log("n", line, "stdout")
        assert len(texts(tmp_path / "log")) == (at if at < 3 else 4)
    log.close()
    assert "".join(texts(tmp_path / "log")) == "plainhun" + "x" * 70_000


async def test_an_operator_that_runs_inline_prints_to_its_log_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @operator("say", version="1.0.0", pure=True)
    async def say(text: str) -> str:
        print("it is", text)
        return text

    monkeypatch.setenv("TOKEN", "hunter2hunter3")
    flow = loads(
        'name: c\nenv: [TOKEN]\nnodes: {a: {operator: say, inputs: {text: "<${{ env.TOKEN }}>"}}}', "yaml"
    )
    async with Symphony.open(tmp_path, operators=[say]) as symphony:
        result = await (await symphony.start(flow)).result()
        assert [line.text for line in symphony.runs.logs(result.run_id)] == ["it is <***>"]
    assert capsys.readouterr().out == ""


def test_a_copy_of_the_process_logs_though_it_was_forked_off_in_the_middle_of_a_line(tmp_path: Path) -> None:
    log = log_at(tmp_path / "run.jsonl")
    log("a", "before", "stdout")
    with log._lock, logs._printing:  # held by threads that a copy has not
        if (pid := os.fork()) == 0:
            try:
                signal.alarm(20)
                with routed_streams(), capture(lambda text, stream: log("a", text, stream)):
                    print("in the copy")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    log("a", "after", "stdout")
    log.close()
    assert texts(tmp_path / "run.jsonl") == ["before", "in the copy", "after"]
