"""A workflow that was made ready serves later runs of the same, and only of the same."""

import asyncio
import os
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony, remembering
from symphony.app.preparing import PreparedWorkflow
from symphony.app.remembering import Remembered
from symphony.ports.runs import RunResult
from symphony.workflow import loads
from symphony.workflow.files import WorkflowInvalid
from symphony.workflow.model import Workflow


@operator("remember.add", version="1.0.0")
async def add(value: int, more: list[int] | None = None) -> int:
    """Add one, and change the list that it is given."""
    if more is not None:
        more.append(len(more))
    return value + 1 + len(more or [])


def text(value: int, more: str = "") -> str:
    node = f"{{operator: remember.add, inputs: {{value: {value}{more}}}}}"
    return f"{{name: w, nodes: {{a: {node}}}, outputs: {{got: '${{{{ a.result }}}}'}}}}"


def built(value: int, more: str = "") -> Workflow:
    return loads(text(value, more).encode(), "yaml")


async def got(symphony: Symphony, what: Workflow | Path | PreparedWorkflow) -> object:
    result: RunResult = await (await symphony.start(what)).result()
    assert result.status == "succeeded", result.error
    return result.outputs["got"]


def made(symphony: Symphony) -> int:
    return symphony._launcher.readying.remembered.made


def opened(folder: Path) -> Symphony:
    return Symphony.open(folder / "home", operators=[add])


async def test_many_runs_of_one_workflow_make_it_ready_twice_at_most(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        for _ in range(5):
            assert await got(symphony, built(1)) == 2
        assert await asyncio.gather(*(got(symphony, built(1)) for _ in range(5))) == [2] * 5
        assert made(symphony) == 2


async def test_a_file_that_is_read_again_is_made_ready_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text(1))
    when = path.stat().st_mtime_ns
    async with opened(tmp_path) as symphony:
        for _ in range(4):
            assert await got(symphony, path) == 2
        assert made(symphony) == 2
        path.write_text(text(5))
        os.utime(path, ns=(when, when))  # as within one tick of the clock
        assert await got(symphony, path) == 6
        path.write_text("{name: w, nodes: {a: {operator: no.such}}}")
        for _ in range(2):
            with pytest.raises(WorkflowInvalid):
                await symphony.start(path)


async def test_a_file_that_changes_while_it_is_made_ready_is_not_taken_for_what_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text(1))
    async with opened(tmp_path) as symphony:
        remembered, make = Remembered(), symphony._launcher.readying._made_ready

        def changed(what: Workflow | Path | str) -> PreparedWorkflow:
            path.write_text(text(5))
            return make(what)

        remembered.get(path, make)
        remembered.get(path, changed)
        path.write_text(text(1))
        assert await got(symphony, remembered.get(path, make)) == 2


async def test_workflows_of_one_name_are_told_apart_by_what_they_say(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        for _ in range(3):
            assert [await got(symphony, built(value)) for value in (1, 5)] == [2, 6]


async def test_a_list_in_the_workflow_that_an_operator_changes_is_whole_in_the_next_run(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as symphony:
        for _ in range(4):
            assert await got(symphony, built(1, ", more: [7, 7]")) == 5


async def test_a_default_that_an_operator_changes_is_whole_in_the_next_run(tmp_path: Path) -> None:
    said = "{name: w, inputs: {given: {type: 'list[integer]', default: [7, 7]}}, " + text(
        1, ", more: '${{ inputs.given }}'"
    ).removeprefix("{name: w, ")
    async with opened(tmp_path) as symphony:
        for _ in range(4):
            assert await got(symphony, loads(said.encode(), "yaml")) == 5


async def test_a_sub_workflow_is_read_again_for_each_run(tmp_path: Path) -> None:
    inner = tmp_path / "inner.yaml"
    outer = tmp_path / "outer.yaml"
    outer.write_text("{name: o, nodes: {sub: {workflow: inner}}, outputs: {got: '${{ sub.got }}'}}")
    async with opened(tmp_path) as symphony:
        for value in (1, 2, 3):
            inner.write_text(text(value))
            assert await got(symphony, outer) == value + 1


async def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "BYTES_MAX", 600)
    async with opened(tmp_path) as symphony:
        for value in range(6):
            for _ in range(3):
                await got(symphony, built(value))
        assert len(symphony._launcher.readying.remembered) <= 6
        assert symphony._launcher.readying.remembered.size <= 600
