"""Nothing outlives a run, however it ends: commands, workers, models, and all that these start.

Every process below carries a variable of the test's own or a number of seconds in its arguments
that no other process has: so those that clear their environment and leave their group count, too.
"""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.processes import Traced
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

OPERATORS = '''
import os, signal, subprocess, time
from pathlib import Path

from symphony import operator
from symphony.sdk import Context


@operator("s.computes", version="1.0.0", cpu=True, read=True)
def computes(token: str, folder: Path, how: str) -> int:
    subprocess.Popen(["sleep", token])
    subprocess.Popen(["setsid", "env", "-i", "sleep", token])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "computes").touch()
    if how != "success":
        time.sleep(600)
    return 1


@operator("s.waits", version="1.0.0", read=True)
def waits(how: str, folder: Path) -> int:
    """In a thread, which nobody can end."""
    (folder / "waits").touch()
    time.sleep(0 if how == "success" else 600)
    return 1
'''

WORKFLOW = """\
symphony: 1
name: Stopping
inputs:
  how: {type: string}
  token: {type: string}
  folder: {type: string}
nodes:
  warm: {instrument: minilm, inputs: {texts: [hello]}}
  leaves:
    command: setsid sleep $TOKEN & env -i setsid sleep $TOKEN & sleep $TOKEN & true
    inputs: {token: "${{ inputs.token }}"}
  computes:
    operator: s.computes
    inputs: {token: "${{ inputs.token }}", folder: "${{ inputs.folder }}", how: "${{ inputs.how }}"}
    after: [warm, leaves]
    TIMEOUT
  waits:
    operator: s.waits
    inputs: {how: "${{ inputs.how }}", folder: "${{ inputs.folder }}"}
    after: [warm, leaves]
    when: inputs.how != "timeout"
  hangs:
    command: |
      setsid sleep $TOKEN & env -i setsid sleep $TOKEN & sleep $TOKEN &
      touch "$FOLDER/hangs"
      [ "$HOW" = success ] || { trap '' TERM; while :; do sleep 0.05; done; }
    inputs: {how: "${{ inputs.how }}", token: "${{ inputs.token }}", folder: "${{ inputs.folder }}"}
    after: [warm, leaves]
    idempotent: true
  fails:
    command: while [ ! -e "$FOLDER/all" ]; do sleep 0.02; done; exit 1
    inputs: {folder: "${{ inputs.folder }}"}
    when: inputs.how == "failure"
    idempotent: true
"""


class Stage(Traced):
    """A run in a home of its own, and what is left of it."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        super().__init__(folder, STAGE=self.mark)
        self.write("ops.py", OPERATORS)

    def ours(self, process: psutil.Process) -> bool:
        return super().ours(process) or process.environ().get("STAGE") == self.mark

    def run(self, how: str) -> "subprocess.Popen[str]":
        timeout = "timeout: 1s" if how == "timeout" else ""
        self.write("w.yaml", WORKFLOW.replace("TIMEOUT", timeout))
        given = {"how": how, "token": self.token, "folder": str(self.folder)}
        inputs = [word for key, value in given.items() for word in ("--input", f"{key}={value}")]
        return self.start("run", "w.yaml", "--operators", "ops.py", "--json", *inputs)

    def until_all_work(self, process: "subprocess.Popen[str]") -> None:
        for name in ("computes", "waits", "hangs"):
            wait_for(self.folder / name, process)
        (self.folder / "all").touch()

    def run_id(self) -> str:
        return next((self.folder / "home" / "journal").glob("*.db")).stem

    def left_for_long(self) -> list[str]:
        """What stays: what was begun while its parent was killed lives for its moment."""
        until = time.monotonic() + PATIENCE_S
        while (found := self.left()) and time.monotonic() < until:
            time.sleep(0.02)
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.clear()


@pytest.mark.parametrize(("how", "status"), [("success", 0), ("failure", 1), ("timeout", 1)])
def test_nothing_is_left_of_a_run_that_ends_by_itself(stage: Stage, how: str, status: int) -> None:
    process = stage.run(how)
    if how == "failure":
        stage.until_all_work(process)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, (out, err)
    assert stage.left() == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_nothing_is_left_after_a_signal(stage: Stage, number: int, status: int) -> None:
    process = stage.run("hang")
    stage.until_all_work(process)
    assert len(stage.left()) > 8
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, (out, err)
    assert json.loads(out)["status"] == "interrupted"
    assert stage.left() == []


def test_nothing_is_left_after_a_second_ctrl_c(stage: Stage) -> None:
    process = stage.run("hang")
    stage.until_all_work(process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert stage.left_for_long() == []


def test_nothing_is_left_after_a_cancellation_from_elsewhere(stage: Stage) -> None:
    process = stage.run("hang")
    stage.until_all_work(process)
    asked = stage.start("runs", "cancel", stage.run_id())
    asked.communicate(timeout=PATIENCE_S)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert stage.left() == []


@pytest.mark.parametrize("then", ["cancel", "resume"])
def test_what_a_killed_owner_leaves_is_shown_by_doctor_and_ended_by_whoever_goes_on(
    stage: Stage, then: str
) -> None:
    process = stage.run("hang")
    stage.until_all_work(process)
    process.kill()
    process.communicate()
    kept = {entry.split()[0] for entry in stage.left() if "sleep" in entry}
    doctor = stage.start("doctor", "--json")
    (found,) = [check for check in json.loads(doctor.communicate()[0]) if check["check"] == "processes"]
    assert found["verdict"] == "warning"
    assert f"of run {stage.run_id()[-12:-4]}" in found["found"]
    if then == "cancel":
        asked = stage.start("runs", "cancel", stage.run_id())
        asked.communicate(timeout=PATIENCE_S)
        assert asked.returncode == 0
    else:
        resumed = stage.start("runs", "resume", stage.run_id(), "--json")
        (stage.folder / "computes").unlink()
        wait_for(stage.folder / "computes", resumed)
        assert not kept & {entry.split()[0] for entry in stage.left() if marked(entry)}
        resumed.send_signal(signal.SIGTERM)
        resumed.communicate(timeout=PATIENCE_S)
        assert resumed.returncode == 143
    assert [entry for entry in stage.left() if marked(entry)] == []


def marked(entry: str) -> bool:
    """Has it an environment by which it can be found once the one who adopted it is dead?"""
    try:
        return bool(psutil.Process(int(entry.split()[0])).environ().get("STAGE"))
    except psutil.Error:
        return False
