"""Workflow files on a disk: what is no file, what is too large, sub-workflows, lines of problems."""

import os
from pathlib import Path

import pytest

from symphony.commons.errors import SerializationFailed
from symphony.workflow import (
    Resolver,
    Workflow,
    WorkflowInvalid,
    WorkflowNotFound,
    check_file,
    dumps,
    load,
    loads,
    read,
    resolver_for,
)
from symphony.workflow.documents import FORMATS, UnknownFormat
from symphony.workflow.model import OperatorNode
from symphony.workflow.validation import WorkflowRecursive

GOOD = (
    "name: good\nnodes:\n  a: {operator: debug.value, inputs: {value: 1}}\noutputs: {v: '${{ a.result }}'}\n"
)


def written(folder: Path, name: str, text: str = GOOD) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_every_format_is_loaded(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"w.{name.removeprefix('pretty-')}"
    path.write_bytes(dumps(loads(GOOD, "yaml"), name))
    assert load(path) == loads(GOOD, "yaml")
    workflow, report = check_file(path)
    assert workflow is not None
    assert report.ok


def test_what_is_no_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    for name in (
        "folder.yaml",
        "pipe.yaml",
        "zero.yaml",
        "circle.yaml",
        "none.yaml",
        "n\0.yaml",
        "x" * 999 + ".yaml",
    ):
        with pytest.raises(WorkflowNotFound):
            read(tmp_path / name)
        with pytest.raises(WorkflowNotFound):
            check_file(tmp_path / name)


def test_a_file_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match=r"w\.txt"):
        load(written(tmp_path, "w.txt"))
    with pytest.raises(UnknownFormat):
        dumps(Workflow(name="x"), "xml")


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path, "w.yaml")
    os.truncate(path, 10 * 2**30)  # a hole: it takes no room
    [problem] = read(path).problems
    assert (problem.code, problem.place) == ("limit-exceeded", "")


def test_problems_of_structure_and_meaning_come_together_in_order_with_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path, "w.yaml",
        "name: x\nnodes:\n  a: {operator: no.such}\n"
        "  b: {operator: debug.value, timeout: soon, inputs: {value: 1}}\n"
        "  c: {operator: text.join, inputs: {parts: 7}}\n  d: {command: 'echo ${{ x }}'}\ncolour: red\n"
        "outputs: {x: '${{ c.nothing }}'}\n",
    )  # fmt: skip
    _, report = check_file(path)
    assert [(p.code, p.line) for p in report.errors] == [
        ("unknown-operator", 3), ("type-mismatch", 4), ("type-mismatch", 5), ("bad-expression", 6),
        ("unknown-key", 7), ("unknown-port", 8),
    ]  # fmt: skip
    assert all(p.column is not None for p in report.errors)


def test_nodes_that_could_not_be_read_are_not_reported_missing(tmp_path: Path) -> None:
    path = written(
        tmp_path, "w.yaml",
        "name: x\nnodes:\n  a: {}\n"
        "  b: {operator: debug.value, inputs: {value: '${{ a.result }}'}, after: [a]}\n",
    )  # fmt: skip
    _, report = check_file(path)
    assert [(p.code, p.place) for p in report.errors] == [("type-mismatch", "nodes.a")]


def test_load_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, "w.yaml", GOOD + "colour: red\n")
    with pytest.raises(WorkflowInvalid) as error:
        load(path)
    assert str(error.value).startswith(f"{path}:5:1: colour: ")
    assert (error.value.path, error.value.code) == (path, "workflow-invalid")


def test_sub_workflows_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts", "child.yaml")
    written(tmp_path, "plain.toml", 'name = "t"\n[nodes.a]\noperator = "debug.value"\ninputs.value = 1\n')
    resolve = resolver_for(written(tmp_path, "w.yaml"))
    assert resolve("parts/child.yaml") == loads(GOOD, "yaml")
    assert resolve("parts/child") is resolve("./parts/../parts/child.yaml")  # read once
    named = resolve("plain")
    assert named is not None
    assert named.name == "t"
    for missing in ("none.yaml", "", ".", "parts", "n\0", "x" * 5_000, "../" * 100):
        assert resolve(missing) is None


def test_a_broken_sub_workflow_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    written(tmp_path, "child.yaml", "name: x\nnodes: {a: {}}\n")
    with pytest.raises(WorkflowInvalid, match=r"child\.yaml:2:"):
        Resolver(tmp_path / "w.yaml")("child.yaml")


def test_workflows_that_contain_each_other_are_a_cycle(tmp_path: Path) -> None:
    path = written(tmp_path, "one.yaml", "name: x\nnodes: {a: {workflow: two.yaml}}\n")
    written(tmp_path, "two.yaml", "name: y\nnodes: {b: {workflow: one.yaml}}\n")
    (tmp_path / "other.yaml").symlink_to("one.yaml")
    resolve = Resolver(path)
    with pytest.raises(WorkflowRecursive):
        resolve("other.yaml")
    with pytest.raises(WorkflowRecursive):
        resolve.child("two.yaml")("one.yaml")
    _, report = check_file(path)
    assert [(p.code, p.place) for p in report.errors] == [("cycle", "nodes.a.workflow")]


def test_what_is_no_value_is_not_written() -> None:
    for value in (float("nan"), 2**63, {"x": [float("inf")]}):
        workflow = Workflow(name="x", nodes={"a": OperatorNode(operator="o", inputs={"v": value})})
        with pytest.raises(SerializationFailed):
            dumps(workflow, "json")
