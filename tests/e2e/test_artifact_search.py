"""The search of artifacts among real processes: found by others, killed, all at once, out of room."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("search_builders.py")


def run(mode: str, root: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), mode, str(root)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_a_builder_killed_around_a_commit_makes_no_answer_wrong(tmp_path: Path) -> None:
    answer = run("killed", tmp_path)
    assert answer["ended"] == [9]  # each was killed where it should be
    assert answer["wrong"] == []


def test_processes_that_put_search_and_build_at_once_find_what_they_put(tmp_path: Path) -> None:
    assert run("together", tmp_path / "artifacts") == {"ended": [0] * 4, "found": [90, False]}


def test_without_room_the_index_stays_as_it_was_and_the_error_says_so(tmp_path: Path) -> None:
    answer = run("limited", tmp_path / "artifacts")
    assert isinstance(answer["codes"], list)
    assert set(answer["codes"]) <= {"io-failed", "storage-full"}
    assert len(answer["codes"]) == 2
    assert answer["before"] == [300, True]
    assert answer["after"] == [2_000, False]
    assert answer["left"] == ["checked.json", "index", "lock"]


def test_what_one_command_stores_the_next_one_finds_rates_and_sorts(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.write("good.json", '{"said": "near duplicate"}')
    line.write("torn.json", '{"said": "near dupli')
    for name in ("good.json", "torn.json"):
        line.type("artifacts", "put", name)
    found = line.json("artifacts", "search", '"near duplicate"')
    assert [hit["names"] for hit in found["hits"]] == [["good.json"]]
    assert "near duplicate" in found["hits"][0]["snippet"]["text"]
    listed = line.json("artifacts", "list", "--sort", "quality")
    assert [one["names"][0] for one in listed] == ["good.json", "torn.json"]
    assert listed[1]["quality"]["parts"]["completeness"]["why"] == "it is not empty, its end is missing"
    line.type("artifacts", "rate", "torn.json", "0.9", "--as", "ann", "--note", "wreck")
    shown = line.json("artifacts", "show", "torn.json")
    assert shown["quality"]["parts"]["rating"] == {"value": 0.9, "weight": 0.2, "why": "1 rating"}
    assert shown["quality"]["score"] > listed[1]["quality"]["score"]
    wreck = line.json("artifacts", "search", "wreck")
    assert [hit["quality"]["score"] for hit in wreck["hits"]] == [shown["quality"]["score"]]
    assert "validity 0.00 (weight 0.4): it is not JSON" in line.type("artifacts", "show", "torn.json")[0]
    line.type("artifacts", "list", "--sort", "quality", "--name", "x", status=2)
