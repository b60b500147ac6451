"""Signals and terminals: a run driven by a real process, on a pipe and on a pseudo-terminal.

The run is a fake that lasts until it is interrupted: what is tested is the command line's part.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.screens import Terminal
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and pseudo-terminals are Unix"),
]

PROGRAM = """
import asyncio, contextlib, sys, time
from symphony.cli.actions import reporting, running
from symphony.cli.console import output
from symphony.ports.runs import NodeResult, NodeStatus, RunEvent, RunResult, RunStatus

MODE = sys.argv[1]

class Now:
    counts = {NodeStatus.RUNNING: 1, NodeStatus.SUCCEEDED: 3}
    slowest = [("embed \\x1b]0;evil\\x07", 1.5)]
    saying = {"embed": "tokens \\x1b]0;evil\\x07"}
    failed, failures, latest, queues = 0, (), (), ()
    labels, tries, nodes, fans, questions, took_s = {}, {}, counts, (), (), 1.0

class Handle:
    run_id = label = "run-1"
    marks = {}
    unhidden = ()
    unset = ()
    known = 0
    artifacts = tuple
    def __init__(self):
        self.stop = asyncio.Event()
        self.status = RunStatus.SUCCEEDED
    async def events(self):
        yield RunEvent(seq=1, type="node.started", at=0.0, node="embed")
        await self.stop.wait()
        yield RunEvent(seq=2, type="node.cancelled", at=0.0, node="embed")
    async def ended(self):
        await self.stop.wait()
    def warn_by(self, warn): ...
    def progress(self):
        return Now()
    async def result(self):
        if MODE == "short":
            await asyncio.sleep(float(sys.argv[2]))
            self.stop.set()
        elif MODE == "stuck":
            print("ready", flush=True)
            while True:      # a loop that is stuck does not run its callbacks
                time.sleep(0.05)
                await asyncio.sleep(0) if not self.stop.is_set() else None
        else:
            print("ready", flush=True)
            await self.stop.wait()
        return RunResult(run_id="run-1", status=self.status, outputs={"x": 1.0})
    resumable, label = True, "run-1"
    def interrupt(self, signal=""):
        if MODE != "deaf":
            self.status = RunStatus.INTERRUPTED
            self.stop.set()

class Opened:
    home = None
    class artifacts:
        path = staticmethod(lambda digest: None)
    class runs:
        ids = staticmethod(lambda: ["run-1"])

async def begin(opened):
    if MODE == "early":
        print("ready", flush=True)
        await asyncio.Event().wait()
    return Handle()

if "--asyncio" in sys.argv:
    running.new_loop = asyncio.new_event_loop
output.prepare()
view = running.view_for("Report", quiet="--quiet" in sys.argv)
report = reporting.Report(as_json="--json" in sys.argv)
sys.exit(running.drive(lambda: running.conduct(contextlib.nullcontext(Opened()), begin, view, report.after)))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


@contextlib.contextmanager
def started(
    program: Path, *words: str, before: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=before,  # noqa: PLW1509
    )
    try:
        assert process.stdout is not None
        if words[0] != "short":
            assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


LOOPS = pytest.mark.parametrize("loop", ["--uvloop", "--asyncio"])


@LOOPS
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_first_signal_interrupts_the_run_and_is_the_exit_status(
    program: Path, loop: str, number: int, status: int
) -> None:
    with started(program, "long", loop) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status
    assert err.splitlines()[-1] == "stopped; go on with: symphony runs resume run-1"
    assert "Traceback" not in err


@LOOPS
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_run_has_begun_ends_everything(
    program: Path, loop: str, number: int, status: int
) -> None:
    with started(program, "early", loop) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (status, "", "stopping" + err[8:])
    assert err.splitlines()[-1] == "stopped: nothing had begun"


@LOOPS
@pytest.mark.parametrize("mode", ["deaf", "stuck"])
def test_the_second_signal_kills_even_if_the_loop_is_stuck(program: Path, loop: str, mode: str) -> None:
    with started(program, mode, loop) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "killed; go on with: symphony runs resume run-1" in err


def test_a_signal_that_was_ignored_stays_ignored(program: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with started(program, "long", before=ignore) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143


def test_with_json_an_interrupted_run_still_prints_its_result(program: Path) -> None:
    with started(program, "long", "--json") as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == (
        '{"run_id": "run-1", "short_id": "run-1", "name": null, "status": "interrupted", '
        '"handled_failures": 0, "started_at": null, "finished_at": null, "duration_ms": null, '
        '"outputs": {"x": 1.0}, "error": null, "nodes": {}}\n'
    )


def test_a_pipe_gets_plain_lines_on_stderr_and_results_on_stdout(program: Path) -> None:
    with started(program, "short", "0.1") as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert out == "x = 1.0\n"
    assert err.splitlines() == [
        "embed: started",
        "embed: cancelled",
        err.splitlines()[-1],
    ]
    assert err.splitlines()[-1].startswith("succeeded in ")
    assert "\x1b" not in err


def test_quiet_shows_no_progress(program: Path) -> None:
    with started(program, "short", "0.1", "--quiet") as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert len(err.splitlines()) == 1


def on_terminal(program: Path, *words: str, width: int = 80, **environment: str) -> Terminal:
    return Terminal((sys.executable, str(program), *words), width=width, **environment)


SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


def test_a_terminal_gets_a_live_tree_and_its_cursor_back_after_ctrl_c(program: Path) -> None:
    terminal = on_terminal(program, "long")
    terminal.wait_for("● embed")
    terminal.press("\x03")
    assert terminal.leave() == 130
    assert b"3 succeeded" in terminal.seen
    assert b"press Ctrl-C again" in terminal.seen
    assert b"\x1b]0;evil" not in terminal.seen, "names must not reach the terminal raw"
    assert terminal.seen.rindex(SHOW_CURSOR) > terminal.seen.rindex(HIDE_CURSOR)


def test_a_terminal_gets_its_cursor_back_when_the_run_is_killed(program: Path) -> None:
    terminal = on_terminal(program, "deaf")
    terminal.wait_for("● embed")
    terminal.press("\x03")
    terminal.wait_for("stopping")
    terminal.press("\x03")
    assert terminal.leave() == 130
    assert terminal.seen.rindex(SHOW_CURSOR) > terminal.seen.rindex(HIDE_CURSOR)


def test_a_run_that_ends_takes_the_tree_away(program: Path) -> None:
    terminal = on_terminal(program, "short", "1.2", width=20)
    assert terminal.leave() == 0
    assert terminal.seen.rindex(SHOW_CURSOR) > terminal.seen.rindex(HIDE_CURSOR)
    after = terminal.seen[terminal.seen.rindex(SHOW_CURSOR) :]
    assert b"x = 1.0" in after
    assert b"embed" not in after


def test_a_short_run_never_draws(program: Path) -> None:
    terminal = on_terminal(program, "short", "0.05")
    assert terminal.leave() == 0
    assert HIDE_CURSOR not in terminal.seen


def test_no_color_is_honoured_by_the_tree(program: Path) -> None:
    terminal = on_terminal(program, "short", "1.2", NO_COLOR="1")
    assert terminal.leave() == 0
    assert "● embed".encode() in terminal.seen
    assert b"\x1b[32m" not in terminal.seen
    assert b"\x1b[34m" not in terminal.seen


def test_a_dumb_terminal_gets_lines(program: Path) -> None:
    terminal = on_terminal(program, "short", "1.0", TERM="dumb")
    assert terminal.leave() == 0
    assert b"embed: started" in terminal.seen
    assert b"\x1b" not in terminal.seen


def test_json_on_a_terminal_moves_no_cursor_and_says_the_same(tmp_path: Path) -> None:
    evil = "a\x1b]0;evil\x07\x9b31m\u202eb\x7f"
    file = tmp_path / "w.json"
    nodes = {"a": {"operator": "debug.value", "inputs": {"value": evil}}}
    file.write_text(json.dumps({"name": "W", "nodes": nodes, "outputs": {"a": "${{ a.result }}"}}))
    program = tmp_path / "program.py"
    program.write_text("import sys\nfrom symphony.cli.main import main\nsys.exit(main(sys.argv[1:]))\n")
    for words in (("run", str(file), "--json", "--quiet"), ("runs", "show", "last", "--json")):
        terminal = on_terminal(program, *words, SYMPHONY_HOME=str(tmp_path / "home"))
        assert terminal.leave() == 0
        text = terminal.seen.decode().replace("\r\n", "\n")
        document = text[text.index("{") : text.rindex("}") + 1]
        assert not set("\x1b\x07\x9b\u202e\x7f") & set(document)
        assert json.loads(document)["outputs"] == {"a": evil}


DELETING = ("runs delete last", "runs prune --older 0s", "cache clear", "models remove mine")


@pytest.fixture
def full(tmp_path: Path) -> CommandLine:
    """A home with a run, a cached result and a model of its own."""
    line = CommandLine(tmp_path)
    line.write("main.py", "import sys\nfrom symphony.cli.main import main\nsys.exit(main(sys.argv[1:]))\n")
    nodes = {"a": {"operator": "json.parse", "inputs": {"text": "[1]"}, "cache": "on"}}
    line.write("w.json", json.dumps({"name": "Words", "nodes": nodes}))
    line.type("run", "w.json")
    line.type(
        "models", "add", "mine", "--provider", "openai", "--name", "m", "--url", "http://127.0.0.1:1/v1"
    )
    return line


def deletes(line: CommandLine, words: str, keys: str, *more: str) -> tuple[int, str]:
    """The exit status and the words of a command on a terminal, where these keys are pressed if it asks."""
    terminal = on_terminal(
        line.folder / "main.py", *words.split(), *more, width=200, SYMPHONY_HOME=str(line.home)
    )
    if keys:
        terminal.wait_for("[y/N]")
        terminal.press(keys)
    return terminal.leave(), terminal.seen.decode()


def left(line: CommandLine) -> tuple[int, int, bool]:
    """Runs, cached results, and whether the model is there."""
    models = [model["id"] for model in line.json("models", "list")]
    return len(line.json("runs", "list")), line.json("cache", "size")["entries"], "mine" in models


@pytest.mark.parametrize("words", DELETING)
def test_what_deletes_asks_on_a_terminal_and_takes_silence_for_no(full: CommandLine, words: str) -> None:
    before = left(full)
    for keys in ("\r", "n\r", "\x04"):  # Enter, no, the end of the input
        status, said = deletes(full, words, keys)
        assert (status, "nothing was deleted" in said) == (1, True), said
    status, said = deletes(full, words, "\x03")
    assert (status, "Traceback" in said) == (130, False), said
    assert left(full) == before
    assert deletes(full, words, "y\r")[0] == 0
    assert left(full) != before
    if words.startswith("runs"):
        assert "delete run" in said
        assert "(succeeded)?" in said


@pytest.mark.parametrize("words", DELETING)
@pytest.mark.parametrize("how", ["-y", "--yes", "pipe"])
def test_what_deletes_asks_nobody_who_has_said_yes_or_cannot_answer(
    full: CommandLine, words: str, how: str
) -> None:
    before = left(full)
    if how == "pipe":
        full.type(*words.split())
    else:
        assert deletes(full, words, "", how)[0] == 0
    assert left(full) != before


def test_nothing_to_delete_is_nothing_to_ask_about(full: CommandLine) -> None:
    for words in ("runs delete last", "cache clear"):
        full.type(*words.split())
    for words in ("runs prune --older 0s", "cache clear"):
        status, said = deletes(full, words, "")
        assert (status, "[y/N]" in said) == (0, False)
