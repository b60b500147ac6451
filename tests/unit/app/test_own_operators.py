"""Operators in files that workflows and settings name: who may use them, and when the files are run."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from symphony import RunResult, RunStatus, Symphony, Workflow, WorkflowInvalid, loads, operator, run
from symphony.commons.errors import ConfigInvalid
from symphony.commons.settings import Config, OperatorsConfig
from symphony.sdk import OperatorsNotLoaded
from symphony.sdk.reading.files import read_beside
from symphony.testing import run as try_out
from symphony.workflow import check_file, resolver_for
from symphony.workflow.problems import ValidationReport

SHOUT = """
from pathlib import Path
from symphony import operator

with Path(__file__).with_name("executed").open("a") as file:
    file.write("x")

@operator("mine.shout", version="1.0.0", pure=True)
def shout(text: str) -> str:
    return text.upper()
"""
FLOW = """
name: Shout
operators: [ops.py]
nodes:
  a: {operator: mine.shout, inputs: {text: hello}}
outputs: {said: "${{ a.result }}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow `flow.yaml` with a file of operators that counts how often it is run."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "ops.py").write_text(SHOUT)
    (place / "flow.yaml").write_text(FLOW)
    return place


def executed(folder: Path) -> int:
    mark = folder / "executed"
    return len(mark.read_text()) if mark.exists() else 0


def report(file: Path) -> ValidationReport:
    return check_file(file, None, resolver_for(file, read_beside))[1]


def places(file: Path) -> list[tuple[str, str]]:
    return [(one.code, one.place) for one in report(file).errors]


async def ran(symphony: Symphony, workflow: Path | Workflow) -> RunResult:
    handle = await symphony.start(workflow)
    return await handle.result()


def test_a_run_executes_the_file_once_and_a_look_at_the_workflow_never_does(
    tmp_path: Path, folder: Path
) -> None:
    kept = FLOW.replace("{operator", "{cache: on, operator")
    (folder / "flow.yaml").write_text(kept)
    assert report(folder / "flow.yaml").ok
    assert executed(folder) == 0

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            ready = symphony.prepare(folder / "flow.yaml")
            plan = symphony.plan(ready)
            assert [node.runs for node in plan.nodes.values()] == ["mine.shout"]
            symphony.plan(folder / "flow.yaml")
            assert executed(folder) == 0
            for again in (ready, ready, folder / "flow.yaml"):
                handle = await symphony.start(again)
                assert (await handle.result()).outputs == {"said": "HELLO"}
            assert executed(folder) == 1
        async with Symphony.open(tmp_path / "home") as symphony:
            (reused,) = symphony.plan(folder / "flow.yaml").nodes.values()
            assert reused.reuse == "reused"

    asyncio.run(whole())
    assert executed(folder) == 1


def test_resume_and_rerun_find_the_operators_beside_the_recorded_place(tmp_path: Path, folder: Path) -> None:
    (folder / "ops.py").write_text(SHOUT.replace("return text.upper()", "raise ValueError(text)"))
    home = tmp_path / "home"
    failed = run(folder / "flow.yaml", home=home)
    assert failed.status is RunStatus.FAILED
    (folder / "ops.py").write_text(SHOUT)
    (folder / "flow.yaml").write_text("name: other\nnodes: {a: {command: 'true'}}\n")

    async def whole() -> RunResult:
        async with Symphony.open(home) as symphony:
            handle = await symphony.rerun(failed.run_id)
            return await handle.result()

    assert asyncio.run(whole()).outputs == {"said": "HELLO"}
    (folder / "ops.py").unlink()
    with pytest.raises(OperatorsNotLoaded, match=r"there is no file ops\.py"):
        asyncio.run(whole())


def test_a_sub_workflow_has_the_operators_that_it_names_itself(folder: Path) -> None:
    child = FLOW.replace("name: Shout", "name: Child")
    inner = folder / "inner"
    inner.mkdir()
    (inner / "child.yaml").write_text(child)
    (inner / "ops.py").write_text(SHOUT.replace("text.upper()", "text + '?'"))
    outer = (
        FLOW.replace("Shout", "Outer").replace("outputs:", "  b: {workflow: inner/child.yaml}\noutputs:")
        + 'outputs: {said: "${{ a.result + b.said }}"}\n'
    ).replace('outputs: {said: "${{ a.result }}"}\n', "")
    (folder / "outer.yaml").write_text(outer)
    assert run(folder / "outer.yaml", memory=True).outputs == {"said": "HELLOhello?"}

    (inner / "child.yaml").write_text(child.replace("operators: [ops.py]\n", ""))
    (problem,) = report(folder / "outer.yaml").errors
    assert (problem.code, problem.place) == ("unknown-workflow", "nodes.b.workflow")
    assert "unknown operator mine.shout" in problem.message


def test_problems_of_files_stand_at_their_place_all_at_once(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "outside.py").write_text(SHOUT)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "broken.py").write_text("x = 1\ndef f(:\n")
    (folder / "nul.py").write_bytes(b"\0")
    (folder / "kit.py").write_text(SHOUT.replace("mine.shout", "text.join"))
    (folder / "same.py").write_text(SHOUT)
    (folder / "large.py").write_text("#" * (1 << 20) + "\n\n")
    (folder / "none.py").write_text("")
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder / "circle.py").symlink_to("circle.py")
    names = [
        "ops.py", "absent.py", "../outside.py", "link.py", "broken.py", "nul.py", "kit.py", "same.py",
        "large.py", "none.py", "folder.py", "pipe.py", "", "a\\0b", "x" * 5_000, "./ops.py",
        str(tmp_path / "outside.py"), "circle.py", "opps.py",
    ]  # fmt: skip
    (folder / "flow.yaml").write_text(FLOW.replace("[ops.py]", json.dumps(names).replace("a\\\\0b", "a\\0b")))
    found = places(folder / "flow.yaml")
    twice = {6, 7, 15}
    assert found == [
        ("duplicate-name" if number in twice else "unknown-operator", f"operators[{number}]")
        for number in range(1, len(names))
    ]
    told = {one.place: one for one in report(folder / "flow.yaml").errors}
    assert "broken.py:2: invalid syntax" in told["operators[4]"].message
    assert "which ships with Symphony" in told["operators[6]"].message
    assert told["operators[7]"].message == "same.py defines mine.shout, and so does ops.py"
    assert told["operators[18]"].hint == "did you mean ops.py?"
    assert all(one.line and one.column for one in told.values())
    assert executed(folder) == 0
    (folder / "flow.yaml").write_text(FLOW.replace("[ops.py]", "[absent.py]"))
    assert places(folder / "flow.yaml") == [("unknown-operator", "operators[0]")]  # and not at the node
    (folder / "flow.yaml").write_text(FLOW.replace("[ops.py]", "ops.py"))
    assert places(folder / "flow.yaml") == [("type-mismatch", "operators")]


def test_an_unknown_operator_is_told_where_the_files_tell_all_and_else_a_warning(folder: Path) -> None:
    flow = FLOW.replace("operator: mine.shout", "operator: mine.shoot")
    (folder / "flow.yaml").write_text(flow)
    (problem,) = report(folder / "flow.yaml").errors
    assert (problem.place, problem.hint) == ("nodes.a.operator", "did you mean mine.shout?")
    (folder / "ops.py").write_text(
        SHOUT.replace('"mine.shout"', "name").replace("@op", "import names\nname = names.ALL[0]\n@op")
    )
    found = report(folder / "flow.yaml")
    assert found.ok
    assert [(one.code, one.place) for one in found.warnings] == [("unknown-operator", "nodes.a.operator")]


def test_what_running_the_file_defines_counts_where_its_text_told_less(folder: Path) -> None:
    (folder / "names.py").write_text("ALL = ['mine.shout']\n")
    source = SHOUT.replace('"mine.shout"', "NAME").replace(
        "@op",
        "import sys\nsys.path.insert(0, str(Path(__file__).parent))\nimport names\nNAME = names.ALL[0]\n@op",
    )
    (folder / "ops.py").write_text(source)

    async def planned() -> list[str]:
        async with Symphony.open(memory=True) as symphony:
            return [node.runs for node in symphony.plan(folder / "flow.yaml").nodes.values()]

    assert asyncio.run(planned()) == ["mine.shout"]
    assert run(folder / "flow.yaml", memory=True).outputs == {"said": "HELLO"}
    (folder / "ops.py").write_text(source.replace("text: str", "words: str").replace("text.u", "words.u"))
    with pytest.raises(WorkflowInvalid, match="there is no input 'text'"):
        run(folder / "flow.yaml", memory=True)


def test_an_invalid_workflow_runs_none_of_its_files(folder: Path) -> None:
    (folder / "flow.yaml").write_text(FLOW.replace("text: hello", "text: hello, more: 1"))
    with pytest.raises(WorkflowInvalid):
        run(folder / "flow.yaml", memory=True)
    assert executed(folder) == 0


def test_operators_that_are_given_take_the_place_of_a_workflows_own(folder: Path) -> None:
    @operator("mine.shout", version="1.0.0", pure=True)
    def whisper(text: str) -> str:
        return text.lower() + "…"

    assert try_out(folder / "flow.yaml", operators=[whisper]).outputs == {"said": "hello…"}
    assert try_out(folder / "flow.yaml").outputs == {"said": "HELLO"}


def test_a_workflow_made_in_code_finds_files_in_the_folder_of_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(loads(FLOW, "yaml"), memory=True).outputs == {"said": "HELLO"}
    monkeypatch.chdir(folder.parent)
    with pytest.raises(WorkflowInvalid, match="there is no file"):
        run(loads(FLOW, "yaml"), memory=True)


def test_settings_name_files_for_every_workflow_and_runs_record_them(tmp_path: Path, folder: Path) -> None:
    home = folder / ".symphony"
    child = FLOW.replace("operators: [ops.py]\n", "")
    (folder / "flow.yaml").write_text(child)
    config = Config(operators=OperatorsConfig(files=("ops.py",)))

    async def whole() -> RunResult:
        async with Symphony.open(home, config=config) as symphony:
            assert "mine.shout" in symphony.catalog.operators
            symphony.plan(folder / "flow.yaml")
            assert executed(folder) == 0
            return await ran(symphony, folder / "flow.yaml")

    first = asyncio.run(whole())
    assert first.outputs == {"said": "HELLO"}

    async def later() -> RunResult:
        async with Symphony.open(home) as symphony:  # whose settings name none
            assert symphony.runs.meta(first.run_id).operators == (str(folder / "ops.py"),)
            handle = await symphony.rerun(first.run_id, first="a")
            return await handle.result()

    assert asyncio.run(later()).outputs == {"said": "HELLO"}
    (folder / "ops.py").unlink()
    with pytest.raises(ConfigInvalid, match=r"operators\.files: .*ops\.py cannot be read"):
        asyncio.run(whole())
