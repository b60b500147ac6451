"""Homes that earlier versions wrote are listed, shown, resumed and rerun: see tests/data/homes."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = pytest.mark.slow

HOMES = Path(__file__).parents[1] / "data" / "homes"
Json: TypeAlias = dict[str, object]


class OldHome:
    """A home of an earlier version, unpacked, and what that version said of its runs."""

    def __init__(self, name: str, folder: Path) -> None:
        with tarfile.open(HOMES / f"{name}.tar.gz") as packed:
            packed.extractall(folder, filter="data")
        told = json.loads((HOMES / f"{name}.json").read_text(encoding="utf-8"))
        self.home, self.runs, self.shown = folder / "home", told["runs"], told["shown"]

    def symphony(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "symphony", *words],
            env={**os.environ, "SYMPHONY_HOME": str(self.home), **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def said(self, *words: str, status: int = 0, **environment: str) -> Json:
        """What a command prints as JSON."""
        done = self.symphony(*words, "--json", **environment)
        assert done.returncode == status, done.stdout + done.stderr
        found: Json = json.loads(done.stdout)
        return found


def statuses(result: Json) -> dict[str, str]:
    nodes = result["nodes"]
    assert isinstance(nodes, Mapping)
    return {name: node["status"] for name, node in nodes.items()}


@pytest.fixture(params=sorted(path.stem for path in HOMES.glob("*.json")))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OldHome:
    return OldHome(request.param, tmp_path)


def test_every_run_is_listed_and_shown_as_it_was(old: OldHome) -> None:
    listed = old.symphony("runs", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    for kind, run in old.runs.items():
        assert run in listed.stdout
        shown = old.said("runs", "show", run)
        assert shown["status"] == old.shown[kind]["status"], kind
        assert json.dumps(shown["outputs"]) == json.dumps(old.shown[kind]["outputs"]), kind
        assert statuses(shown) == old.shown[kind]["nodes"], kind
        assert old.symphony("runs", "events", run, "--json").returncode == 0
    for words in (
        ("runs", "stats"),
        ("artifacts", "list"),
        ("cache", "size"),
        ("runs", "prune", "--dry-run"),
    ):
        done = old.symphony(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


def test_a_run_that_waits_or_was_killed_is_resumed_and_gives_what_it_would_have_given(old: OldHome) -> None:
    expected = old.shown["succeeded"]["outputs"]
    assert old.symphony("runs", "approve", old.runs["waiting"], "asked").returncode == 0
    resumed = old.said("runs", "resume", old.runs["waiting"])
    assert resumed["status"] == "succeeded"
    assert resumed["outputs"] == expected
    killed = old.said("runs", "resume", old.runs["killed"], GO_ON="1")
    assert killed["status"] == "succeeded"
    assert killed["outputs"] == expected


def test_sealed_values_are_opened_again(old: OldHome) -> None:
    secret = "topsecret-Value/42"
    assert old.symphony("runs", "approve", old.runs["secret"], "asked").returncode == 0
    resumed = old.said("runs", "resume", old.runs["secret"], TOKEN=secret)
    expected = {"z": 1, secret: f"Bearer {secret}", "a": {"y": secret, "b": 2}}
    outputs = resumed["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["key"] == expected
    assert json.loads(outputs["said"]) == expected


def test_a_rerun_takes_over_what_had_succeeded(old: OldHome) -> None:
    expected = old.shown["succeeded"]["outputs"]
    for kind in ("failed", "rerun", "cancelled"):
        result = old.said("runs", "rerun", old.runs[kind], GO_ON="1")
        assert result["status"] == "succeeded"
        assert result["outputs"] == expected
        assert statuses(result)["known"] == "cached", kind
        assert statuses(result)["said"] == "cached", kind
    again = old.said("runs", "rerun", old.runs["succeeded"], "--from", "table")
    assert again["status"] == "succeeded"
    assert again["outputs"] == expected


FLOW = """\
name: Flow
nodes: {known: {operator: json.parse, inputs: {text: '{"zip": 1, "name": "x", "age": 3.5}'}}}
outputs: {known: "${{ known.result }}"}
"""


def test_results_that_were_cached_without_the_order_of_keys_are_computed_again(tmp_path: Path) -> None:
    old = OldHome("format-2", tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW, encoding="utf-8")
    for status in ("succeeded", "cached"):
        result = old.said("run", str(tmp_path / "flow.yaml"))
        assert statuses(result) == {"known": status}
        assert json.dumps(result["outputs"]) == '{"known": {"zip": 1, "name": "x", "age": 3.5}}'


def test_a_large_value_is_read_from_the_store(old: OldHome) -> None:
    large = old.shown["succeeded"]["outputs"]["large"]
    done = old.symphony("artifacts", "show", large["$artifact"])
    assert done.returncode == 0, done.stderr
    file = old.home / "large"
    done = old.symphony("artifacts", "get", large["$artifact"], "--output", str(file))
    assert done.returncode == 0, done.stderr
    assert file.stat().st_size == large["size"]
