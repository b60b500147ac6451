"""`on_finish` as users meet it: signals, `runs cancel` and kills while it is told."""

import signal
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

TELL = 'echo "$STATUS" >> told'


def flow(line: CommandLine, command: str, told: str = TELL) -> None:
    line.write(
        "w.yaml", f"name: W\non_finish: {{command: '{told}'}}\nnodes: {{a: {{command: '{command}'}}}}\n"
    )


def told(line: CommandLine) -> list[str]:
    file = line.folder / "told"
    return file.read_text().split() if file.exists() else []


def test_a_run_that_is_cancelled_without_a_process_is_told_of(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    flow(line, "touch begun; sleep 60")
    running = line.start("run", "w.yaml")
    wait_for(tmp_path / "begun", running)
    running.send_signal(signal.SIGTERM)
    running.communicate()
    assert running.returncode == 143
    assert told(line) == []
    line.type("runs", "cancel", "last")
    assert told(line) == ["cancelled"]
    line.type("runs", "cancel", "last")
    assert told(line) == ["cancelled"]


def test_a_kill_while_it_is_told_leaves_it_to_resume(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    flow(line, "true", f"touch begun; test -e go || sleep 60; {TELL}")
    running = line.start("run", "w.yaml")
    wait_for(tmp_path / "begun", running)
    running.kill()
    running.communicate()
    (tmp_path / "go").touch()
    run_id = line.json("runs", "list", "--json")[0]["run_id"]
    line.type("runs", "resume", run_id)
    assert told(line) == ["succeeded"]


def test_ctrl_c_ends_what_is_told_and_not_what_the_run_came_to(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    flow(line, "true", "touch begun; sleep 60")
    running = line.start("run", "w.yaml")
    wait_for(tmp_path / "begun", running)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 0
    assert "warning[on-finish-failed]: on_finish was stopped" in err
    assert "hint: symphony runs resume w-1 tells it" in err


def test_a_dry_run_tells_nothing(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    flow(line, "true")
    line.type("run", "w.yaml", "--dry-run")
    assert told(line) == []
