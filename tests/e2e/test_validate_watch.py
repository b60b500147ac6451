"""`symphony validate --watch` as a process: it ends by signals, and tells changes as they come."""

import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
GOOD = "name: Good\nnodes:\n  a: {command: echo hi}\n"


def lines_until(process: "subprocess.Popen[str]", word: str) -> str:
    """What the process prints, up to a line with `word`."""
    assert process.stdout is not None
    found = ""
    for line in process.stdout:
        found += line
        if word in line:
            return found
    raise AssertionError(found)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_change_is_told_at_once_and_a_signal_ends_it(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    line = CommandLine(tmp_path)
    line.write("w.yaml", GOOD)
    process = line.start("validate", "--watch", "w.yaml")
    try:
        assert "is valid" in lines_until(process, "is valid")
        line.write(".w.yaml.tmp", GOOD.replace("command", "comand")).replace(tmp_path / "w.yaml")
        told = lines_until(process, "1 error")
        assert "changed: w.yaml" in told
        assert "unknown-key" in told or "type-mismatch" in told
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: process.poll() is not None)
    assert process.returncode in (status, -number if number == signal.SIGTERM else status)
    assert "Traceback" not in err


def test_what_is_not_there_is_bad_usage(tmp_path: Path) -> None:
    _, err = CommandLine(tmp_path).type("validate", "--watch", "none.yaml", status=2)
    assert "there is no none.yaml" in err
