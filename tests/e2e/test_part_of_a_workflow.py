"""`symphony run FILE NODE…`: only what these nodes need is run, shown, resumed and run again."""

import json
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

FLOW = """
name: Parts
inputs: {who: {type: string}, other: {type: string}}
nodes:
  a: {command: "echo a >> ran; printf $WHO", inputs: {who: "${{ inputs.who }}"}}
  b: {command: "echo b >> ran; test -e ok", after: [a]}
  c: {command: "echo c >> ran", inputs: {x: "${{ inputs.other }}"}, after: [a]}
outputs: {a: "${{ a.stdout }}", c: "${{ c.stdout }}"}
"""


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """A folder with a workflow."""
    (tmp_path / "workflow.yaml").write_text(FLOW)
    return CommandLine(tmp_path)


def ran(line: CommandLine) -> list[str]:
    return (line.folder / "ran").read_text().split()


def test_nodes_that_are_not_needed_are_no_part_of_the_run(line: CommandLine) -> None:
    ended = line.call("run", "workflow.yaml", "b", "-i", "who=me", "--json")
    assert ended.status == 1
    result = json.loads(ended.out)
    assert list(result["nodes"]) == ["a", "b"]
    assert "without the outputs c: they need other nodes" in ended.err
    (line.folder / "ok").touch()
    again = line.json("runs", "rerun", result["run_id"], "--json")
    assert list(again["nodes"]) == ["a", "b"]
    assert again["status"] == "succeeded"
    assert again["outputs"] == {"a": "me"}
    assert ran(line) == ["a", "b", "b"]
    mended = line.json("runs", "rerun", again["run_id"], "--file", "workflow.yaml", "--json")
    assert list(mended["nodes"]) == ["a", "b"]
    assert ran(line) == ["a", "b", "b"]
    shown = line.json("runs", "show", again["run_id"], "--json")
    assert list(shown["nodes"]) == ["a", "b"]


def test_inputs_that_only_others_read_need_not_be_given_and_may_be(line: CommandLine) -> None:
    line.type("run", "workflow.yaml", "a", "-i", "who=me", "-i", "other=x")
    out, _ = line.type("run", "workflow.yaml", "a", "--dry-run", "-i", "who=me")
    assert "1 node in 1 stage" in out
    _, err = line.type("run", "workflow.yaml", "a", status=2)
    assert "inputs.who" in err or "'who'" in err
    assert ran(line) == ["a"]


def test_without_a_file_the_workflow_here_is_run_checked_and_drawn(line: CommandLine) -> None:
    assert line.json("run", "-i", "who=me", "-i", "other=x", "--json", status=1)["nodes"].keys() == {
        "a",
        "b",
        "c",
    }
    assert "workflow.yaml is valid" in line.type("validate")[0]
    assert "Parts" in line.type("graph")[0]
    completed = line.call(
        COMP_WORDS="symphony run workflow.yaml ", COMP_CWORD="3", _SYMPHONY_COMPLETE="bash_complete"
    )
    assert [word.partition(",")[2] for word in completed.out.split()] == ["a", "b", "c"]
