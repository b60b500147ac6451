"""Runs by name and short id on the command line: what is shown can be typed, and is shown once."""

import re
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

WORDS = "name: Some words\nnodes:\n  a: {command: 'test -e ready'}\noutputs: {a: '${{ a.stdout }}'}\n"
ASKS = "name: asks\nnodes:\n  gate: {control: approval, message: go?}\n"
FULL_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    line = CommandLine(tmp_path)
    line.write("words.yaml", WORDS)
    line.write("asks.yaml", ASKS)
    return line


def test_a_run_is_told_by_its_name_and_its_short_id_once_and_hints_take_the_name(line: CommandLine) -> None:
    _, told = line.type("run", "words.yaml", status=1)
    assert FULL_ID.search(told) is None
    assert len(re.findall(r"\([0-9a-f]{8}\)", told)) == 1
    assert "symphony runs rerun some-words-1" in told
    line.write("ready", "")
    rerun = line.json("runs", "rerun", "some-words-1")
    assert rerun["name"] == "some-words-2"
    assert rerun["run_id"][24:32] == rerun["short_id"]
    shown = line.json("runs", "show", rerun["short_id"])
    assert (shown["run_id"], shown["name"], shown["short_id"]) == tuple(
        rerun[key] for key in ("run_id", "name", "short_id")
    )


def test_what_waits_is_answered_resumed_and_deleted_by_its_name(line: CommandLine) -> None:
    _, told = line.type("run", "asks.yaml", "--name", "nightly", status=4)
    assert "symphony runs approve nightly gate" in told
    line.type("runs", "approve", "nightly", "gate")
    _, told = line.type("runs", "resume", "nightly", "--quiet")
    assert "run nightly (" in told
    out, _ = line.type("runs", "delete", "nightly")
    assert out == "nightly deleted\n"
    assert "error[run-not-found]" in line.type("runs", "show", "nightly", status=2)[1]


def test_a_name_that_cannot_be_is_refused_before_anything_runs(line: CommandLine) -> None:
    line.write("ready", "")
    line.type("run", "words.yaml", "--name", "nightly")
    for name in ("nightly", "last", "12ab"):
        assert "error[run-name]" in line.type("run", "words.yaml", "--name", name, status=2)[1]
    assert [run["name"] for run in line.json("runs", "list")] == ["nightly"]


def test_runs_are_listed_by_workflow_status_time_and_name(line: CommandLine) -> None:
    line.type("run", "words.yaml", status=1)
    line.write("ready", "")
    line.type("run", "words.yaml")
    line.type("run", "asks.yaml", "--name", "nightly", status=4)

    def listed(*words: str) -> list[str]:
        return [run["name"] for run in line.json("runs", "list", *words)]

    assert listed() == ["nightly", "some-words-2", "some-words-1"]
    assert listed("--workflow", "Some words") == listed("--workflow", "some-w*") == listed()[1:]
    assert listed("--status", "failed", "--status", "waiting") == ["nightly", "some-words-1"]
    assert listed("--since", "1h") == listed("--until", "9999-12-30") == listed()
    assert listed("--since", "9999-12-30") == listed("--until", "1h") == []
    assert listed("--name", "*-2", "--name", "night*") == ["nightly", "some-words-2"]
    assert listed("--workflow", "asks", "--status", "failed") == []
    assert "no such runs" in line.type("runs", "list", "--workflow", "asks", "--status", "failed")[1]
    assert "neither an age nor a time" in line.type("runs", "list", "--since", "soon", status=2)[1]


def test_completion_offers_last_and_names_and_ids_once_something_is_typed(line: CommandLine) -> None:
    line.write("ready", "")
    line.type("run", "words.yaml")
    short = line.json("runs", "list")[0]["short_id"]

    def offered(typed: str) -> list[str]:
        variables = {"_SYMPHONY_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
        done = line.call(**variables, COMP_WORDS=f"symphony runs show {typed}")
        return [row.partition(",")[2] for row in done.out.splitlines()]

    assert offered("") == ["last", "some-words-1"]
    assert offered("some") == ["some-words-1"]
    assert short in offered(short[:4])


def test_two_runs_are_compared_as_diff_compares_files(line: CommandLine) -> None:
    line.type("run", "words.yaml", status=1)
    line.write("ready", "")
    for _ in range(2):
        line.type("run", "words.yaml")
    assert "no differences" in line.type("runs", "diff", "some-words-2", "last")[0]
    out, _ = line.type("runs", "diff", "some-words-1", "some-words-2", status=1)
    assert "failed" in out
    assert line.json("runs", "diff", "some-words-1", "some-words-2", status=1)["same"] is False
    line.type("runs", "diff", "some-words-1", "nonesuch", status=2)
