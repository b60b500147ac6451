"""The artifact store among real processes: killed, collecting, out of room, without permission."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("artifact_writers.py")
KILLS = int(os.environ.get("SYMPHONY_CRASH_KILLS", "50"))


def run(mode: str, root: Path, *, seed: int = 1, rounds: int = 1) -> dict[str, object]:
    arguments = [sys.executable, str(SCRIPT), mode, str(root), str(seed), str(rounds)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60 + rounds)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    seed = 20_260_101
    answer = run("killed", tmp_path / "artifacts", seed=seed, rounds=KILLS)
    acknowledged = answer.pop("acknowledged")
    assert isinstance(acknowledged, int)
    assert acknowledged > KILLS, f"seed {seed}"
    assert set(answer) == {"broken", "unnamed", "unlinked", "wrong", "failed"}
    assert not any(answer.values()), f"seed {seed}: {answer}"


def test_a_number_that_a_writer_was_told_means_one_body_whoever_is_killed(tmp_path: Path) -> None:
    seed = 20_260_102
    answer = run("numbered", tmp_path / "artifacts", seed=seed, rounds=max(KILLS // 2, 5))
    assert isinstance(answer["acknowledged"], int)
    assert answer["acknowledged"] > KILLS // 2, f"seed {seed}"
    assert (answer["wrong"], answer["twice"], answer["unread"]) == ([], 0, []), f"seed {seed}: {answer}"
    assert answer["versions"] == answer["newest"]


def test_what_is_referred_to_stays_while_others_collect(tmp_path: Path) -> None:
    answer = run("collecting", tmp_path / "artifacts", rounds=300)
    assert answer["lost"] == []
    assert answer["codes"] == [0] * 5
    assert answer["left"] == 0
    assert isinstance(answer["collected"], int)
    assert answer["collected"] > 0


def test_without_room_the_error_says_so_and_nothing_half_written_stays(tmp_path: Path) -> None:
    answer = run("limited", tmp_path / "artifacts")
    assert answer["found"] == ["small", "after"]
    assert answer["left"] == []
    assert answer["count"] == 2
    assert isinstance(answer["errors"], list)
    assert [code for code, _ in answer["errors"]] == ["storage-full"] * 2
    assert all("free some room" in hint for _, hint in answer["errors"])


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that another user can reach, unlike pytest's."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    for folder in (path, *path.rglob("*/")):
        folder.chmod(0o700)
    shutil.rmtree(path)


def test_a_store_that_may_only_be_read_can_be_read(public_path: Path) -> None:
    answer = run("read_only", public_path / "artifacts")
    refused = [answer.pop(act) for act in ("put", "link", "collect")]
    assert answer == {"streamed": "body", "got": "body", "found": "r", "listed": ["name"]}
    for code, hint in refused:
        assert code == "io-failed"
        assert "read-only" in hint
