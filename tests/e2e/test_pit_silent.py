"""An owner of the arbiter that is stopped, and is the only process on the bus, is told of."""

import os
import signal
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


def test_an_arbiter_whose_owner_is_stopped_is_not_taken_for_none(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.home.mkdir()
    (line.home / "config.toml").write_text("[arbiter]\ncores = 1.0\n")
    line.write("long.yaml", "name: L\nnodes: {a: {command: 'sleep 60'}}\n")
    run = line.start("run", "long.yaml", "--quiet")
    try:
        wait_until(lambda: line.json("pit", "arbiter") is not None, run)
        os.kill(run.pid, signal.SIGSTOP)
        checks = {one["check"]: one for one in line.json("doctor", status=1)}
        assert checks["arbiter"]["verdict"] == "failed"
        assert f"kill -CONT {run.pid}" in checks["arbiter"]["fix"]
        _, said = line.type("pit", "status", status=1)
        assert "pit-silent" in said
    finally:
        os.kill(run.pid, signal.SIGCONT)
        run.terminate()
        run.communicate()
