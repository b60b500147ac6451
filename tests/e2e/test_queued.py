"""Runs that are killed while their steps wait for a grant, and while they have one.

Every step is a command that must not be repeated, and leaves a line with its name in a file.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, kill, statuses
from tests.support.effects import effects
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SYMPHONY_CRASH_KILLS", "50")) // 2
SEED = int(os.environ.get("SYMPHONY_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
ROOT = Path(__file__).parents[2]
FLOW = """\
name: Turns
inputs: {file: {type: string}}
nodes:
  many:
    command: echo "many[$I]" >> "$FILE"; sleep 0.02
    for_each: "[0, 1, 2, 3, 4, 5]"
    inputs: {file: "${{ inputs.file }}", i: "${{ item }}"}
  one: {command: echo one >> "$FILE", inputs: {file: "${{ inputs.file }}"}}
  last: {command: echo last >> "$FILE", inputs: {file: "${{ inputs.file }}"}, after: [many, one]}
"""
NAMES = {"one", "last", *(f"many[{number}]" for number in range(6))}


class Lives:
    """A run that is begun, killed and gone on with, in processes."""

    def __init__(self, folder: Path) -> None:
        self.line = CommandLine(folder)
        self.flow, self.file = self.line.write("turns.yaml", FLOW), folder / "effects"

    def live(self, holder: Path | None = None) -> "subprocess.Popen[bytes]":
        script = [str(ROOT / "tests/e2e/queued_run.py"), str(self.flow), *([str(holder)] if holder else [])]
        return subprocess.Popen(
            [sys.executable, *script],
            cwd=self.line.folder,
            env=self.line.environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def events(self) -> list[tuple[str, str]]:
        """Type and node of every event so far."""
        ended = self.line.call("runs", "events", "last", "--json")
        lines = ended.out.splitlines() if ended.status == 0 else ()  # there may be no run yet
        return [(event["type"], event.get("node")) for event in map(json.loads, lines)]

    def queued(self) -> set[str]:
        return {node for kind, node in self.events() if kind == "node.queued"}


def test_a_run_that_is_killed_while_its_steps_are_queued_goes_on_and_asks_nobody(tmp_path: Path) -> None:
    lives, holder = Lives(tmp_path), tmp_path / "holder"
    holder.touch()
    process = lives.live(holder)
    wait_until(lambda: len(lives.queued()) == 7, process)
    shown, _ = lives.line.type("runs", "show")
    assert "queued for operator command: all 1 places are taken" in shown
    kill(process)
    assert not lives.file.exists()
    left = lives.line.json("runs", "show")
    assert left["status"] == "interrupted"
    assert set(statuses(left).values()) == {"pending", "running"}  # the fan-out runs, nothing in it does
    assert statuses(left)["one"] == statuses(left)["many[3]"] == "pending"
    lives.line.type("runs", "resume")  # with 0: nobody is asked
    assert effects(lives.file) == dict.fromkeys(NAMES, 1)


def test_a_run_that_is_killed_at_any_moment_does_everything_once_and_one_thing_at_a_time(
    tmp_path: Path,
) -> None:
    lives, chance, kills = Lives(tmp_path), random.Random(SEED), 0
    while True:
        process = lives.live()
        try:
            out, err = process.communicate(timeout=chance.uniform(0.2, 1.0) if kills < KILLS else 60)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            check(lives, f"seed {SEED}, {kills} kills")
            continue
        words = out.split()
        assert words[1:] in ([b"1", b"0"], [b"0", b"0"]), (SEED, out, err)  # one at a time, all given back
        if process.returncode == 0:
            break
        assert words[0] == b"waiting", (SEED, out, err)
    assert effects(lives.file) == dict.fromkeys(NAMES, 1), f"seed {SEED}, {kills} kills"


def check(lives: Lives, context: str) -> None:
    """What is in doubt had been granted, and its start recorded."""
    last: dict[str, str] = {}
    for kind, node in lives.events():
        if kind == "node.waiting":
            assert last[node] == "node.started", f"{context}: {node} is in doubt and had not begun"
        last[node] = kind
