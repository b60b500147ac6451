"""An error about the value of a workflow's input names that input."""

import pytest

from symphony.cli.views.given import with_input_named
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunError, RunResult, RunStatus
from symphony.workflow import Workflow, loads

FLOW = """\
name: Notes
inputs:
  folder: {type: path}
  condition: {type: string}
nodes:
  files: {operator: fs.glob, inputs: {root: "${{ inputs.folder }}", patterns: ["*"]}}
  mixed: {operator: fs.glob, inputs: {root: "${{ inputs.folder }}/sub"}}
  keep: {operator: data.filter, inputs: {items: [1], condition: "${{ inputs.condition }}"}}
"""


def hint_of(node: str | None, message: str, code: str = "bad-input") -> str | None:
    error = RunError(code=code, message=message, node=node, hint="give a folder that exists")
    run = RunResult(run_id="0" * 32, name="notes-1", status=RunStatus.FAILED, error=error)
    told = with_input_named(run, lambda: loads(FLOW, "yaml")).error
    assert told is not None
    assert told.message == message
    return told.hint


@pytest.mark.parametrize("node", ["files", "files[3]"])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("bad-input", "input root: /x is not there"),
        ("io-failed", "cannot read /x: No such file or directory"),
    ],
)
def test_a_path_that_came_from_an_input_is_told_with_the_rerun_that_changes_it(
    node: str, code: str, message: str
) -> None:
    assert hint_of(node, message, code) == (
        "give a folder that exists\n"
        "the value is that of the workflow's input folder: give another with "
        "symphony runs rerun notes-1 -i folder=…; a relative path begins in the current folder"
    )


def test_any_other_input_is_named_without_paths() -> None:
    hint = hint_of("keep", "input condition: it gave no boolean")
    assert hint is not None
    assert hint.endswith("input condition: give another with symphony runs rerun notes-1 -i condition=…")


@pytest.mark.parametrize(
    ("node", "message", "code"),
    [
        ("files", "input patterns: no", "bad-input"),
        ("mixed", "input root: /x/sub is not there", "bad-input"),
        ("gone", "input root: /x is not there", "bad-input"),
        (None, "input root: /x is not there", "bad-input"),
        ("files", "input root: /x is not there", "command-failed"),
    ],
)
def test_what_came_from_elsewhere_is_left_as_it_is(node: str | None, message: str, code: str) -> None:
    assert hint_of(node, message, code) == "give a folder that exists"


def test_a_workflow_that_cannot_be_read_changes_nothing() -> None:
    def recorded() -> Workflow:
        raise SymphonyError("gone", code="run-not-found")

    error = RunError(code="bad-input", message="input root: x", node="files")
    run = RunResult(run_id="0" * 32, status=RunStatus.FAILED, error=error)
    assert with_input_named(run, recorded) is run
