"""A signal stops the process, not the run: real processes of every kind of work, and how they go on."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.support.commands import SYMPHONY, CommandLine, outcome, statuses
from tests.support.waiting import PATIENCE_S, wait_for, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix"),
]

OPERATORS = """
import asyncio, subprocess, time
from pathlib import Path

from symphony import operator


@operator("s.sync", version="1.0.0", idempotent=True)
def sync(folder: str) -> int:
    "In a thread, which nobody can end."
    Path(folder, "started").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
    return 1


@operator("s.pure", version="1.0.0", pure=True)
def pure(folder: str, number: int) -> int:
    "In a thread, with others."
    Path(folder, "started").touch()
    if number == 37:
        while not Path(folder, "go").exists():
            time.sleep(0.01)
    return number


@operator("s.coroutine", version="1.0.0", idempotent=True)
async def coroutine(folder: str) -> int:
    Path(folder, "started").touch()
    while not Path(folder, "go").exists():
        await asyncio.sleep(0.01)
    return 1


@operator("s.worker", version="1.0.0", cpu=True, idempotent=True)
def worker(folder: str) -> int:
    return sync.function(folder) if hasattr(sync, "function") else sync(folder)


@operator("s.child", version="1.0.0")
def child(folder: str) -> int:
    Path(folder, "started").touch()
    subprocess.run(["sh", "-c", f"while [ ! -e {folder}/go ]; do sleep 0.05; done"], check=True)
    return 1
"""

WAITS = 'touch "$FOLDER/started"; while [ ! -e "$FOLDER/go" ]; do sleep 0.05; done'
STUBBORN = f"trap '' TERM INT HUP; {WAITS}"
GIVEN = '{folder: "${{ inputs.folder }}"}'

CHILD = f"""\
name: Below
inputs: {{folder: {{type: string}}}}
nodes:
  inner: {{command: '{WAITS}', inputs: {GIVEN}, idempotent: true}}
outputs: {{}}
"""

KINDS = {
    "command": f"work: {{command: '{WAITS}', inputs: {GIVEN}, idempotent: true}}",
    "stubborn": f'work: {{command: "{STUBBORN.replace(chr(34), chr(92) + chr(34))}", inputs: {GIVEN},'
    " idempotent: true}",
    "thread": f"work: {{operator: s.sync, inputs: {GIVEN}}}",
    "coroutine": f"work: {{operator: s.coroutine, inputs: {GIVEN}}}",
    "worker": f"work: {{operator: s.worker, inputs: {GIVEN}}}",
    "batch": "work: {operator: s.pure, for_each: inputs.many, cache: off, "
    'inputs: {folder: "${{ inputs.folder }}", number: "${{ item }}"}}',
    "elements": f"work: {{command: '{WAITS}', for_each: inputs.many, concurrency: 3, inputs: {GIVEN}, "
    "idempotent: true}",
    "child": f"work: {{workflow: below.yaml, inputs: {GIVEN}}}",
    "loop": "work: {control: loop, state: {n: 0}, until: state.n >= 2, next: {n: state.n + 1}, "
    f"body: {{inner: {{command: '{WAITS}', inputs: {GIVEN}, idempotent: true}}}}}}",
    "retry": 'work: {command: \'touch "$FOLDER/started"; test -e "$FOLDER/go"\', idempotent: true, '
    f"inputs: {GIVEN}, retry: {{attempts: 2, backoff: constant, initial: 3s}}}}",
    "delay": "work: {control: delay, for: 2s}\n"
    f"  mark: {{command: '{WAITS}', inputs: {GIVEN}, idempotent: true}}",
}


class Stage(CommandLine):
    """A folder with a workflow of one kind of work, which goes on until there is a file `go`."""

    def prepare(self, kind: str) -> None:
        self.write("ops.py", OPERATORS)
        self.write("below.yaml", CHILD)
        many = "{type: json, default: [" + ", ".join(map(str, range(40))) + "]}"
        self.write(
            "w.yaml",
            f"name: Signals\ninputs: {{folder: {{type: string}}, many: {many}}}\n"
            "nodes:\n  before: {command: 'echo once >> \"$FOLDER/counted\"', "
            f"inputs: {GIVEN}}}\n  {KINDS[kind].replace('work: {', 'work: {after: [before], ', 1)}\n",
        )

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        process = self.start(
            "run", "w.yaml", "--operators", "ops.py", "--input", f"folder={self.folder}", *words
        )
        wait_for(self.folder / "started", process)
        return process


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_interrupted_in_whatever_it_does_and_goes_on(stage: Stage, kind: str) -> None:
    number = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP][len(kind) % 3]
    stage.prepare(kind)
    process = stage.begin("--json")
    if kind == "retry":
        wait_until(lambda: "node.failed" in stage.type("runs", "events")[0], process)
    process.send_signal(number)
    status, out, err = outcome(process)
    assert status == 128 + number, err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "stopped; go on with: symphony runs resume signals-1"
    told = json.loads(out)
    assert told["status"] == "interrupted"
    running = {name for name, one in told["nodes"].items() if one["status"] == "running"}
    assert "work" in running
    assert all(told["nodes"][name]["finished_at"] is None or kind == "retry" for name in running)
    assert [run["status"] for run in stage.json("runs", "list")] == ["interrupted"]
    last = stage.type("runs", "events", "--json")[0].splitlines()[-1]
    assert json.loads(last)["data"] == {"signal": signal.Signals(number).name}

    (stage.folder / "go").touch()
    resumed = stage.json("runs", "resume", "--quiet")
    assert resumed["status"] == "succeeded"
    attempts = 2 if kind == "retry" else 1
    assert resumed["nodes"]["work"]["attempts"] == attempts, "the attempt did not count"
    assert (stage.folder / "counted").read_text() == "once\n"


def test_an_effect_under_way_is_asked_about_in_the_line_that_says_how_to_go_on(stage: Stage) -> None:
    stage.prepare("command")
    stage.write("w.yaml", (stage.folder / "w.yaml").read_text().replace(", idempotent: true", ""))
    process = stage.begin()
    process.send_signal(signal.SIGTERM)
    _, _, err = outcome(process)
    line = (
        "stopped; go on with: symphony runs resume signals-1 --retry work "
        "(or --skip work, if what it did is done: its outputs are then null)"
    )
    assert err.splitlines()[-1] == line
    assert line in stage.type("runs", "show")[1]
    stage.type("runs", "resume", "--quiet", status=4)
    (stage.folder / "go").touch()
    assert stage.json("runs", "resume", "--retry", "work")["status"] == "succeeded"


def test_after_a_kill_the_run_says_what_to_decide_about_as_after_a_signal(stage: Stage) -> None:
    stage.prepare("command")
    with stage.begin() as process:
        process.kill()
    assert "stopped; go on with: symphony runs resume signals-1\n" in stage.type("runs", "show")[1]
    stage.write("w.yaml", (stage.folder / "w.yaml").read_text().replace(", idempotent: true", ""))
    (stage.folder / "started").unlink()
    with stage.begin() as process:
        process.kill()
    assert "resume signals-2 --retry work (or --skip work, if" in stage.type("runs", "show")[1]
    (stage.folder / "go").touch()
    assert stage.json("runs", "resume", "signals-2", "--retry", "work")["status"] == "succeeded"


@pytest.mark.parametrize("kind", ["command", "worker", "child"])
def test_a_signal_to_all_processes_at_once_fails_no_node(stage: Stage, kind: str) -> None:
    stage.prepare(kind)
    process = stage.begin("--json")
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended with the one before
            one.terminate()
    process.terminate()
    status, out, err = outcome(process)
    assert (status, json.loads(out)["status"]) == (143, "interrupted"), err


def test_ctrl_c_that_reaches_a_child_of_an_operator_fails_no_node(stage: Stage) -> None:
    stage.prepare("command")
    text = (stage.folder / "w.yaml").read_text()
    stage.write("w.yaml", text[: text.index("  work:")] + f"  work: {{operator: s.child, inputs: {GIVEN}}}\n")
    process = stage.begin("--json")
    wait_until(lambda: len(psutil.Process(process.pid).children()) > 0, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    status, out, err = outcome(process)
    assert (status, json.loads(out)["status"]) == (130, "interrupted"), err


def test_a_command_that_is_killed_by_somebody_fails_as_ever(stage: Stage) -> None:
    stage.prepare("command")
    process = stage.begin("--json")
    for one in psutil.Process(process.pid).children(recursive=True):
        one.terminate()
    status, out, _ = outcome(process)
    told = json.loads(out)
    assert (status, told["error"]["code"]) == (1, "command-failed")


def test_a_run_in_memory_ends_cancelled(stage: Stage) -> None:
    stage.prepare("command")
    process = stage.begin("--json", "--memory")
    process.send_signal(signal.SIGINT)
    status, out, err = outcome(process)
    assert (status, json.loads(out)["status"]) == (130, "cancelled")
    assert "resume" not in err


def test_a_second_signal_says_how_to_go_on_and_loses_nothing(stage: Stage) -> None:
    stage.prepare("stubborn")
    process = stage.begin()
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    status, _, err = outcome(process)
    assert (status, err.splitlines()[-1]) == (143, "killed; go on with: symphony runs resume signals-1")
    (stage.folder / "go").touch()
    assert stage.json("runs", "resume")["status"] == "succeeded"
    assert (stage.folder / "counted").read_text() == "once\n"


def test_those_who_watch_see_the_stop_and_end_as_the_run(stage: Stage) -> None:
    stage.prepare("command")
    process = stage.begin()
    watchers = [stage.start("runs", "watch", *words) for words in ((), ("last", "--json"))]
    for watcher in watchers:
        assert watcher.stdout is not None
        while "run.started" not in watcher.stdout.readline():
            pass
    process.send_signal(signal.SIGHUP)
    outcome(process)
    for watcher in watchers:
        status, out, err = outcome(watcher)
        assert status == 129, err
        assert "run.interrupted" in out.splitlines()[-1]
        assert "SIGHUP" in out.splitlines()[-1]


def test_a_signal_to_one_who_watches_leaves_the_run_alone(stage: Stage) -> None:
    stage.prepare("command")
    process = stage.begin()
    watcher = stage.start("runs", "watch")
    assert watcher.stdout is not None
    watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    assert outcome(watcher).status == 130
    (stage.folder / "go").touch()
    assert outcome(process).status == 0


def test_a_resumed_run_and_a_rerun_are_stopped_as_the_first(stage: Stage) -> None:
    stage.prepare("command")
    first = stage.begin()
    first.send_signal(signal.SIGTERM)
    outcome(first)
    for words in (("runs", "resume"), ("runs", "rerun")):
        (stage.folder / "started").unlink()
        again = stage.start(*words, "--json")
        wait_for(stage.folder / "started", again)
        again.send_signal(signal.SIGTERM)
        status, out, err = outcome(again)
        assert (status, statuses(json.loads(out))["work"]) == (143, "running"), err
    assert [run["status"] for run in stage.json("runs", "list")] == ["interrupted"] * 2


def test_what_was_ignored_at_the_start_stays_ignored(stage: Stage) -> None:
    stage.prepare("command")
    words = " ".join([*SYMPHONY, "run", "w.yaml", "--input", f"folder={stage.folder}", "--json"])
    shell = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; {words} > out & echo $!; wait"],
        cwd=stage.folder, env=stage.environment(), stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    wait_for(stage.folder / "started", shell)
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGINT)  # a background job of a script ignores it
    (stage.folder / "go").touch()
    outcome(shell)
    assert json.loads((stage.folder / "out").read_text())["status"] == "succeeded"


def test_a_run_that_is_being_paused_is_interrupted_by_a_signal(stage: Stage) -> None:
    stage.prepare("command")
    process = stage.begin("--json")
    stage.type("runs", "pause", "last")
    process.send_signal(signal.SIGTERM)
    status, out, err = outcome(process)
    assert (status, json.loads(out)["status"]) == (143, "interrupted"), err
    (stage.folder / "go").touch()
    assert stage.json("runs", "resume")["status"] == "succeeded"


def test_resume_without_a_run_passes_over_what_only_waits_for_an_answer(stage: Stage) -> None:
    assert "no run that can go on" in stage.type("runs", "resume", status=2)[1]
    stage.prepare("command")
    process = stage.begin()
    process.send_signal(signal.SIGTERM)
    outcome(process)
    stage.write("ask.yaml", "name: Ask\nnodes: {gate: {control: approval, message: 'ok?'}}\n")
    stage.type("run", "ask.yaml", status=4)
    (stage.folder / "go").touch()
    _, err = stage.type("runs", "resume")
    assert "(Signals), interrupted" in err.splitlines()[0]
    _, err = stage.type("runs", "resume", status=4)
    assert "(Ask), waiting" in err.splitlines()[0], "nothing else is left"


IMPORTING = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["symphony", "run", "w.yaml"]
from symphony.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("click", -signal.SIGINT, ""), ("symphony.cli.commands.run", 130, "interrupted\n"),
     ("symphony.app", 130, "interrupted\n")],
)  # fmt: skip
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(
    stage: Stage, name: str, status: int, said: str
) -> None:
    stage.prepare("command")
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", IMPORTING.format(name=name)],
        cwd=stage.folder, env=stage.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (status, "", said)


def test_on_finish_is_told_of_the_end_and_not_of_a_stop(stage: Stage) -> None:
    stage.prepare("command")
    text = (stage.folder / "w.yaml").read_text()
    stage.write("w.yaml", text + "on_finish: {command: 'echo \"$STATUS\" >> ended'}\n")
    process = stage.begin()
    process.send_signal(signal.SIGTERM)
    assert outcome(process).status == 143
    assert not (stage.folder / "ended").exists()
    (stage.folder / "go").touch()
    stage.type("runs", "resume")
    assert (stage.folder / "ended").read_text() == "succeeded\n"
