"""Files of other tools are one error that says what they are; duplicates name the first; unused waits."""

import pytest

from symphony.workflow.documents import format_named
from symphony.workflow.files import check_bytes, read_bytes
from symphony.workflow.problems import Problem


def problems(body: str, kind: str = "yaml") -> tuple[Problem, ...]:
    return read_bytes(body.encode(), format_named(kind)).problems


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("name: CI\non: [push]\njobs: {b: {runs-on: x, steps: [{run: make}]}}", "a GitHub Actions workflow"),
        ("on:\n  push:\njobs:\n  b: {uses: x}", "a GitHub Actions workflow"),
        ("version: 2.1\njobs: {}\nworkflows: {}", "a CircleCI configuration"),
        ("stages: [build]\nbuild: {script: [make]}", "a GitLab CI configuration"),
        ("services: {web: {image: nginx}}\nvolumes: {}", "a Docker Compose file"),
        ("version: '3'\ntasks: {a: {cmds: [echo]}}", "a Taskfile"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", "a Kubernetes manifest"),
    ],
)
def test_a_file_of_another_tool_is_one_error_that_names_the_tool(body: str, what: str) -> None:
    (found,) = problems(body)
    assert found.message == f"this looks like {what}, not like a workflow of Symphony"
    assert found.line is not None
    assert "come-from-other-tools.md" in found.hint


def test_package_json_and_pyproject_are_named_too() -> None:
    (npm,) = problems('{"name": "x", "version": "1.0.0", "scripts": {"a": "b"}}', "json")
    (python,) = problems('[project]\nname = "x"\n[build-system]\nrequires = []\n', "toml")
    assert "package.json" in npm.message
    assert "pyproject.toml" in python.message


@pytest.mark.parametrize(
    "body",
    [
        "name: x\nservices: {}\nnodes: {a: {command: 'true'}}",
        "symphony: 1\njobs: {}\non: x",
        "name: x\nversion: 1.0.0",
    ],
)
def test_what_may_be_a_workflow_is_checked_as_one(body: str) -> None:
    assert not any("looks like" in one.message for one in problems(body))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("yaml", "name: x\nnodes:\n  a: {command: 'true'}\n  b: {command: 'true'}\n  a: {command: 'true'}"),
        ("json", '{"name": "x",\n"nodes": {\n"a": {"command": "true"},\n"b": {},\n"a": {}}}'),
        ("toml", 'name = "x"\n\n[nodes.a]\ncommand = "true"\n[nodes.a]\ncommand = "true"'),
    ],
)
def test_a_duplicate_key_names_the_line_of_the_first(kind: str, body: str) -> None:
    twice = next(one for one in problems(body, kind) if one.code == "duplicate-name")
    assert (twice.line, twice.hint) == (5, "rename or remove one: the first is in line 3")


def test_nothing_is_unused_while_an_expression_is_wrong() -> None:
    head = "name: x\ninputs:\n  who: {type: string}\nnodes:\n"
    wrong = head + '  a: {command: "echo $W", inputs: {w: "${{ inputs.woh }}"}}\n'
    _, report = check_bytes(wrong.encode(), "w.yaml")
    assert [one.code for one in report.errors] == ["unknown-port"]
    assert not report.warnings
    unread = head + '  a: {command: "echo $W", input: {w: "${{ inputs.who }}"}}\n  b: {command: "true"}\n'
    assert not check_bytes(unread.encode(), "w.yaml")[1].warnings
    _, report = check_bytes((head + "  a: {command: 'true'}\n").encode(), "w.yaml")
    assert [one.code for one in report.warnings] == ["unused-input"]
