"""What will not go: processes that fork for ever, signals in every moment of the end, copies of homes."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Traced
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]

OPERATORS = '''
import subprocess, time
from pathlib import Path

from symphony import operator


def begin(token: str, folder: Path, seconds: float) -> int:
    subprocess.Popen(["setsid", "env", "-i", "/bin/sh", str(folder / "chain.sh"), str(folder), token])
    subprocess.Popen(["setsid", "sleep", token])
    while not (folder / "chained").exists():
        time.sleep(0.01)
    (folder / "works").touch()
    time.sleep(seconds)
    return 1


@operator("l.thread", version="1.0.0", read=True)
def thread(token: str, folder: Path, seconds: float) -> int:
    """In this process."""
    return begin(token, folder, seconds)


@operator("l.worker", version="1.0.0", cpu=True, read=True)
def worker(token: str, folder: Path, seconds: float) -> int:
    """In a worker."""
    return begin(token, folder, seconds)
'''

CHAIN = """\
touch "$1/chained"
sleep 0.05
setsid env -i /bin/sh "$0" "$1" "$2" &
"""
"""Has a successor and ends, twenty times a second, known to nobody but by its words."""

COMMAND = """\
setsid env -i /bin/sh "$FOLDER/chain.sh" "$FOLDER" $TOKEN &
setsid sleep $TOKEN &
while [ ! -e "$FOLDER/chained" ]; do sleep 0.01; done
touch "$FOLDER/works"; sleep $SECONDS
"""

STUBBORN = """\
trap '' TERM
setsid env -i /bin/sh -c "trap '' TERM; touch $FOLDER/works; while :; do sleep 0.05; done" $TOKEN &
while [ ! -e "$FOLDER/works" ]; do sleep 0.01; done
sleep $SECONDS
"""


class Stage(Traced):
    """A run in a home of its own; all that it starts has one word that nobody else has."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.write("ops.py", OPERATORS)
        self.write("chain.sh", CHAIN)

    def begin(self, node: dict[str, object], seconds: float) -> None:
        given = {"token": self.token, "folder": str(self.folder), "seconds": seconds}
        document = {"name": "Leftovers", "nodes": {"n": {**node, "inputs": given}}}
        self.write("w.json", json.dumps(document))

    def run(self) -> "subprocess.Popen[str]":
        process = self.start("run", "w.json", "--operators", "ops.py", "--json")
        wait_for(self.folder / "works", process)
        return process


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.clear()


NODES = {
    "command": {"command": COMMAND, "idempotent": True},
    "thread": {"operator": "l.thread"},
    "worker": {"operator": "l.worker"},
}


@pytest.mark.parametrize("how", NODES)
@pytest.mark.parametrize("end", ["success", "SIGTERM", "twice"])
def test_what_forks_for_ever_with_a_cleared_environment_ends_with_the_run(
    stage: Stage, how: str, end: str
) -> None:
    stage.begin(NODES[how], 0.2 if end == "success" else 600)
    process = stage.run()
    if end != "success":
        process.send_signal(signal.SIGTERM)
    if end == "twice":
        assert process.stderr is not None
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (0 if end == "success" else 143), (out, err)
    assert stage.left() == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("later_s", [0.0, 0.1, 0.7, 1.5, 1.99])
def test_a_second_signal_at_any_moment_leaves_nothing(stage: Stage, number: int, later_s: float) -> None:
    stage.begin({"command": STUBBORN, "idempotent": True}, 600)
    process = stage.run()
    for each in (number, number, number):
        process.send_signal(each)
        try:
            process.wait(later_s)
            break
        except subprocess.TimeoutExpired:
            continue
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number, (out, err)
    assert stage.left() == []


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("later_s", [0.0, 0.5, 1.5])
def test_a_signal_while_leftovers_of_an_ended_run_are_ended_leaves_nothing(
    stage: Stage, number: int, later_s: float
) -> None:
    stage.begin({"command": STUBBORN, "idempotent": True}, 0)
    process = stage.run()
    status = ""
    while status != "succeeded":
        shown, _ = stage.start("runs", "show", "last", "--json").communicate(timeout=PATIENCE_S)
        status = json.loads(shown)["status"]
    try:
        process.wait(later_s)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    # The last: on a slow machine the signal comes when all is ended and the interpreter itself is leaving.
    assert process.returncode in (0, 128 + number, -number)
    assert stage.left() == []


def test_what_an_operator_in_a_killed_process_left_is_shown_by_doctor_and_ended_on_resume(
    stage: Stage,
) -> None:
    stage.begin({"operator": "l.thread"}, 600)
    (stage.folder / "chain.sh").write_text('touch "$1/chained"\n')
    process = stage.run()
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()  # without a look at the end: what is left holds them
    assert len(stage.left()) == 1
    run_id = next((stage.home / "journal").glob("*.db")).stem
    doctor, _ = stage.start("doctor", "--json").communicate(timeout=PATIENCE_S)
    (found,) = [check for check in json.loads(doctor) if check["check"] == "processes"]
    assert (found["verdict"], f"of run {run_id[-12:-4]}" in found["found"]) == ("warning", True)
    before = set(stage.running())
    (stage.folder / "works").unlink()
    resumed = stage.start("runs", "resume", run_id, "--json")
    wait_for(stage.folder / "works", resumed)
    after = set(stage.running())
    assert not before & after
    resumed.send_signal(signal.SIGTERM)
    resumed.communicate(timeout=PATIENCE_S)
    assert stage.left() == []


@pytest.mark.parametrize("verb", ["resume", "cancel"])
def test_a_copy_of_a_home_leaves_the_processes_of_the_original_alone(stage: Stage, verb: str) -> None:
    stage.begin(
        {"command": 'setsid sleep $TOKEN & touch "$FOLDER/works"; sleep $TOKEN', "idempotent": True}, 0
    )
    process = stage.run()
    copy = stage.folder / "copy"
    shutil.copytree(stage.home, copy, ignore=shutil.ignore_patterns("*.sock", "*.lock", "bus*"))
    run_id = next((stage.home / "journal").glob("*.db")).stem
    while len(before := set(stage.running())) < 2:
        assert process.poll() is None
    (stage.folder / "works").unlink()
    other = stage.start("runs", verb, run_id, SYMPHONY_HOME=str(copy))
    if verb == "resume":
        wait_for(stage.folder / "works", other)
        other.send_signal(signal.SIGTERM)
    other.communicate(timeout=PATIENCE_S)
    assert process.poll() is None
    assert before <= set(stage.running())
    renamed = stage.home.rename(stage.folder / "renamed")
    stage.home.symlink_to(renamed)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert stage.left() == []
