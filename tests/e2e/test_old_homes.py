"""Homes that earlier versions wrote are listed, shown, resumed and rerun: see tests/data/homes."""

import json
import tarfile
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.support.commands import CommandLine, statuses

from symphony import Symphony

pytestmark = pytest.mark.slow

HOMES = Path(__file__).parents[1] / "data" / "homes"
Json: TypeAlias = dict[str, object]


class OldHome(CommandLine):
    """A home of an earlier version, unpacked, and what that version said of its runs."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(folder)
        with tarfile.open(HOMES / f"{name}.tar.gz") as packed:
            packed.extractall(folder, filter="data")
        told = json.loads((HOMES / f"{name}.json").read_text(encoding="utf-8"))
        self.runs, self.shown = told["runs"], told["shown"]


@pytest.fixture(params=sorted(path.stem for path in HOMES.glob("*.json")))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> OldHome:
    return OldHome(request.param, tmp_path)


def test_every_run_is_listed_and_shown_as_it_was(old: OldHome) -> None:
    listed = old.call("runs", "list", "--json")
    assert listed.status == 0, listed.err
    for kind, run in old.runs.items():
        assert run in listed.out
        shown = old.json("runs", "show", run)
        assert shown["status"] == old.shown[kind]["status"], kind
        assert json.dumps(shown["outputs"]) == json.dumps(old.shown[kind]["outputs"]), kind
        assert statuses(shown) == old.shown[kind]["nodes"], kind
        assert old.call("runs", "events", run, "--json").status == 0
    for words in (
        ("runs", "stats"),
        ("artifacts", "list"),
        ("cache", "size"),
        ("runs", "prune", "--dry-run"),
    ):
        done = old.call(*words)
        assert done.status == 0, f"{words}: {done.out}{done.err}"


def test_a_run_that_waits_or_was_killed_is_resumed_and_gives_what_it_would_have_given(old: OldHome) -> None:
    expected = old.shown["succeeded"]["outputs"]
    assert old.call("runs", "approve", old.runs["waiting"], "asked").status == 0
    resumed = old.json("runs", "resume", old.runs["waiting"])
    assert resumed["status"] == "succeeded"
    assert resumed["outputs"] == expected
    killed = old.json("runs", "resume", old.runs["killed"], GO_ON="1")
    assert killed["status"] == "succeeded"
    assert killed["outputs"] == expected


def test_sealed_values_are_opened_again(old: OldHome) -> None:
    secret = "topsecret-Value/42"
    assert old.call("runs", "approve", old.runs["secret"], "asked").status == 0
    resumed = old.json("runs", "resume", old.runs["secret"], TOKEN=secret)
    expected = {"z": 1, secret: f"Bearer {secret}", "a": {"y": secret, "b": 2}}
    outputs = resumed["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["key"] == expected
    assert json.loads(outputs["said"]) == expected


def test_a_rerun_takes_over_what_had_succeeded(old: OldHome) -> None:
    expected = old.shown["succeeded"]["outputs"]
    for kind in ("failed", "rerun", "cancelled"):
        result = old.json("runs", "rerun", old.runs[kind], GO_ON="1")
        assert result["status"] == "succeeded"
        assert result["outputs"] == expected
        assert statuses(result)["known"] == "cached", kind
        assert statuses(result)["said"] == "cached", kind
    again = old.json("runs", "rerun", old.runs["succeeded"], "--from", "table")
    assert again["status"] == "succeeded"
    assert again["outputs"] == expected


def test_of_a_run_an_element_or_a_round_is_run_again_and_what_was_handled_too(old: OldHome) -> None:
    expected = old.shown["succeeded"]["outputs"]
    run = old.runs["succeeded"]
    for _ in range(2):  # of a rerun, too
        again = old.json("runs", "rerun", run, "--from", "each[1]", "--from", "grow#1.one")
        assert again["outputs"] == expected
        found = statuses(again)
        assert (found["each[0]"], found["each[1]"]) == ("cached", "succeeded")
        assert [found[f"grow#{i}.one"] for i in range(3)] == ["cached", "succeeded", "succeeded"]
        assert (found["broken"], found["below"], found["said"]) == ("succeeded", "cached", "cached")
        run = str(old.json("runs", "rerun", run)["run_id"])
    assert "broken" in old.call("runs", "rerun", run, "--dry-run").out


FLOW = """\
name: Flow
nodes: {known: {operator: json.parse, inputs: {text: '{"zip": 1, "name": "x", "age": 3.5}'}}}
outputs: {known: "${{ known.result }}"}
"""


def test_results_that_were_cached_without_the_order_of_keys_are_computed_again(tmp_path: Path) -> None:
    old = OldHome("format-2", tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW, encoding="utf-8")
    for status in ("succeeded", "cached"):
        result = old.json("run", str(tmp_path / "flow.yaml"))
        assert statuses(result) == {"known": status}
        assert json.dumps(result["outputs"]) == '{"known": {"zip": 1, "name": "x", "age": 3.5}}'


def test_a_large_value_is_read_from_the_store(old: OldHome) -> None:
    large = old.shown["succeeded"]["outputs"]["large"]
    done = old.call("artifacts", "show", large["$artifact"])
    assert done.status == 0, done.err
    file = old.home / "large"
    done = old.call("artifacts", "get", large["$artifact"], "--output", str(file))
    assert done.status == 0, done.err
    assert file.stat().st_size == large["size"]


def test_runs_without_names_are_found_by_what_is_shown_of_their_ids_and_new_ones_get_names(
    tmp_path: Path,
) -> None:
    old = OldHome("format-2", tmp_path)
    for run in old.runs.values():
        listed = {one["run_id"]: one for one in old.json("runs", "list", "--limit", "100")}
        assert listed[run]["name"] is None
        assert old.json("runs", "show", listed[run]["short_id"])["run_id"] == run
    rerun = old.json("runs", "rerun", old.runs["succeeded"])
    assert rerun["name"].endswith("-1")
    assert old.json("runs", "show", rerun["name"])["run_id"] == rerun["run_id"]


def test_a_mended_workflow_reuses_of_an_old_run_what_ships_with_symphony(old: OldHome) -> None:
    run = old.runs["succeeded"]
    recorded = Symphony.open(old.home).runs.meta(run)
    file = old.write("mended.json", recorded.workflow.decode())
    for reference, place in recorded.references.items():
        old.write(reference, recorded.children[place].document.decode())
    rerun = old.json("runs", "rerun", run, "--file", str(file))
    assert rerun["status"] == "succeeded"
    assert rerun["outputs"] == old.shown["succeeded"]["outputs"]  # in another order, as the file has them
    assert old.call("runs", "diff", run, rerun["name"]).status == 0
