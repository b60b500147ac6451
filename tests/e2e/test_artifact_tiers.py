"""`symphony artifacts tier`: rules move artifacts, and using one brings it back."""

from pathlib import Path

import pytest
from tests.support.commands import CommandLine

from symphony.pit.artifacts import FileArtifacts

pytestmark = pytest.mark.slow

RULES = """
[tiers]
rest = "0s"
cold = "{cold}"

[[tiers.rules]]
name = "logs"
warm = {{ name = "*.log" }}

[[tiers.rules]]
name = "archive"
cold = {{ name = "old-*" }}
"""


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    (tmp_path / "cold").mkdir()
    for name in ("a.log", "b.log", "old-report", "notes"):
        made.write(name, f"what is in {name}\n" * 100)
        made.type("artifacts", "put", name)
    (made.home / "config.toml").write_text(RULES.format(cold=tmp_path / "cold"))
    return made


def tiers(line: CommandLine) -> dict[str, str]:
    return {one["names"][0]: one["tier"] for one in line.json("artifacts", "list")}


def test_rules_move_what_they_fit_and_say_so_before(line: CommandLine, tmp_path: Path) -> None:
    ahead = line.json("artifacts", "tier", "--dry-run")
    told = {one["names"][0]: (one["to"], one["rule"]) for one in ahead["artifacts"]}
    assert told == {
        "a.log": ("warm", "logs"), "b.log": ("warm", "logs"), "old-report": ("cold", "archive"),
        "notes": ("hot", "none"),
    }  # fmt: skip
    assert ahead["moved"]["artifacts"] == 3
    assert set(tiers(line).values()) == {"hot"}
    done = line.json("artifacts", "tier")
    assert done["moved"]["artifacts"] == 3
    assert tiers(line) == {name: tier for name, (tier, _) in told.items()}
    assert done["stored"]["cold"] == sum(p.stat().st_size for p in (tmp_path / "cold").rglob("*.pack"))
    assert line.json("pit", "status")["artifacts"]["stored"] == done["stored"]
    assert line.json("artifacts", "tier")["moved"]["artifacts"] == 0
    assert line.json("artifacts", "fsck")["faults"] == []


def test_getting_an_artifact_brings_it_back_and_looking_at_it_does_not(line: CommandLine) -> None:
    line.type("artifacts", "tier")
    line.type("artifacts", "search", "report")
    line.type("artifacts", "show", "a.log")
    line.type("artifacts", "fsck")
    line.type("artifacts", "gc", "--dry-run")
    line.type("artifacts", "export", "--query", "what", "--format", "jsonl", "--output", "out.jsonl")
    assert tiers(line) == {"a.log": "warm", "b.log": "warm", "old-report": "cold", "notes": "hot"}
    assert line.type("artifacts", "get", "a.log")[0].startswith("what is in a.log")
    assert line.type("artifacts", "get", "old-report")[0].startswith("what is in old-report")
    assert tiers(line) == {"a.log": "hot", "b.log": "warm", "old-report": "hot", "notes": "hot"}


def test_artifacts_are_moved_by_hand_and_a_cold_tier_needs_a_place(line: CommandLine) -> None:
    line.type("artifacts", "tier", "--to", "warm", "notes")
    assert "tier     warm" in line.type("artifacts", "show", "notes")[0]
    line.type("artifacts", "tier", "--to", "cold", "notes")
    assert tiers(line)["notes"] == "cold"
    line.type("artifacts", "tier", "--to", "hot", "notes")
    assert tiers(line)["notes"] == "hot"
    (line.home / "config.toml").unlink()
    _, err = line.type("artifacts", "tier", "--to", "cold", "notes", status=1)
    assert "set tiers.cold" in err


def test_a_place_that_is_gone_is_told_of_and_costs_nothing_else(line: CommandLine, tmp_path: Path) -> None:
    line.type("artifacts", "tier")
    (tmp_path / "cold").rename(tmp_path / "elsewhere")
    checks = {one["check"]: one for one in line.json("doctor")}
    assert checks["tiers"]["verdict"] == "warning"
    _, err = line.type("artifacts", "get", "old-report", status=1)
    assert str(tmp_path / "cold") in err
    assert line.type("artifacts", "get", "b.log")[0].startswith("what is in b.log")
    store = FileArtifacts(line.home / "artifacts")
    assert store.find("old-report")
    store.close()
