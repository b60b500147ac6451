"""The trash among real processes: clearings and moves between tiers race with writers, and are killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("trash_racers.py")
KILLS = int(os.environ.get("SYMPHONY_CRASH_KILLS", "50"))


def run(mode: str, root: Path, *, seed: int = 1, rounds: int = 1) -> dict[str, object]:
    arguments = [sys.executable, str(SCRIPT), mode, str(root), str(seed), str(rounds)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120 + rounds)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_what_a_run_refers_to_stays_while_others_clear_undo_and_move(tmp_path: Path) -> None:
    answer = run("racing", tmp_path / "artifacts", rounds=200)
    assert answer["lost"] == []
    assert answer["codes"] == [0] * 5
    assert answer["faults"] == []
    assert answer["left"] == 0
    assert isinstance(answer["cleared"], int)
    assert answer["cleared"] > 0


def test_a_clearing_or_move_killed_at_any_moment_loses_nothing_and_is_finished_by_the_next(
    tmp_path: Path,
) -> None:
    answer = run("killed", tmp_path / "artifacts", seed=20_260_301, rounds=KILLS)
    assert answer == {"killings": KILLS, "broken": [], "left": 43, "faults": [], "outside": 0}
