"""Terminals of one home whose settings let one command run at a time, killed while they wait and run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import CommandLine, kill
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.slow

FLOW = """\
name: Turn
inputs: {place: {type: string}}
nodes:
  one:
    command: echo begun >> "$PLACE/$NAME"; while [ ! -e "$PLACE/go" ]; do sleep 0.02; done
    inputs: {place: "${{ inputs.place }}", name: "${{ run.id }}"}
"""


class Terminals(CommandLine):
    """Runs of one command each, that begins and waits for a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.flow = self.write("turn.yaml", FLOW)
        self.effects = folder / "effects"
        self.effects.mkdir()
        self.home.mkdir(mode=0o700)
        (self.home / "config.toml").write_text("[arbiter]\noperators = 1\nrecord = true\n")

    def run(self, name: str) -> "subprocess.Popen[Any]":
        return self.start("run", str(self.flow), "-i", f"place={self.effects}", "--name", name)

    def begun(self) -> int:
        """How many commands have begun."""
        return sum(len(file.read_text().splitlines()) for file in self.effects.iterdir() if file.name != "go")

    def waits(self, run: str) -> bool:
        shown = self.call("runs", "show", run)
        return "queued for operator command" in shown.out

    def events(self, run: str) -> list[str]:
        lines = self.call("runs", "events", run, "--json").out.splitlines()
        return [json.loads(line)["type"] for line in lines]


def test_one_is_killed_while_it_waits_and_one_while_it_runs_and_both_go_on(tmp_path: Path) -> None:
    terminals = Terminals(tmp_path)
    first = terminals.run("first")
    wait_until(lambda: terminals.begun() == 1, first)
    second = terminals.run("second")
    wait_until(lambda: terminals.waits("second"), second)
    kill(second)
    assert terminals.events("second")[-1] == "node.queued"
    again = terminals.start("runs", "resume", "second")  # nobody is asked about what had not begun
    wait_until(lambda: terminals.waits("second"), again)
    assert terminals.begun() == 1
    kill(first)  # which owned the arbiter, and held the only place
    wait_until(lambda: terminals.begun() == 2, again)
    (terminals.effects / "go").touch()
    out, err = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 0, (out, err)
    assert terminals.json("runs", "show", "first")["status"] == "interrupted"
    asked = terminals.call("runs", "resume", "first")
    assert asked.status != 0
    assert "one" in asked.err
    terminals.type("runs", "resume", "first", "--retry", "one")
    assert terminals.begun() == 3
    assert "node.waiting" not in terminals.events("second")


def test_a_run_whose_arbiter_is_in_another_process_says_who_has_what_it_waits_for(tmp_path: Path) -> None:
    """Also once the service that had the arbiter is killed, and one of the runs has it."""
    terminals = Terminals(tmp_path)
    service = terminals.start("pit", "serve")
    wait_until(lambda: terminals.json("pit", "arbiter") is not None, service)
    first = terminals.run("first")
    wait_until(lambda: terminals.begun() == 1, first)
    holder = terminals.json("runs", "show", "first")["run_id"]
    others = [terminals.run(name) for name in ("second", "third")]
    has = f"1 calls of operators of 1 calls of operators are taken, latest by one of run {holder}"

    def told(run: str) -> bool:
        shown = terminals.call("runs", "show", run, "--json")
        why = json.loads(shown.out)["nodes"]["one"].get("queued", "") if shown.status == 0 else ""
        return has in why and "1 other waits" in why

    for run in ("second", "third"):
        wait_until(lambda run=run: told(run), service)
    assert has in terminals.call("runs", "show", "second").out
    kill(service)
    for run in ("second", "third"):
        wait_until(lambda run=run: told(run), first)
    (terminals.effects / "go").touch()
    for process in (first, *others):
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (out, err)
    records = [*(terminals.home / "logs" / "arbiter").iterdir()]
    replays = [terminals.json("pit", "arbiter", "--replay", str(record)) for record in records]
    assert all(one["same"] for one in replays), replays
    # Of the service that was killed, and of a run that took over; at its end another one may have.
    assert sum(one["inputs"] > 1 for one in replays) >= 2, replays
