"""Whatever an operator raises, and wherever it runs: its attempt fails, and nothing else is touched."""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony.app import Symphony
from symphony.ports.runs import NodeResult, NodeStatus, RunStatus
from symphony.testing import Call, FakeModel, Outcome, run
from symphony.workflow import loads

RAISING = Path(__file__).parent / "raising.py"

IN_PROCESS = ("inline", "task", "thread", "inner", "value", "timed")
RETRY = {"attempts": 2, "initial": "1ms", "jitter": False}


IN = {"node": "", "element": "[1]", "round": "#0.step", "sub": ".step"}

sys.path.insert(0, str(RAISING.parent))
try:
    import raising
finally:
    sys.path.remove(str(RAISING.parent))


EXCEPTIONS = tuple(raising.ACTS)
CODES = ("operator-failed", "python-failed", "error")


def _answered(call: Call) -> str:
    raising.ACTS[str(call.inputs["prompt"])]()
    return "said"


MODEL = FakeModel(_answered)


def called(how: str, what: str) -> dict[str, object]:
    """A node that has `what` raised by the way `how`."""
    if how.startswith("python."):
        arguments = {
            "file": "functions.py",
            "function": how.removeprefix("python."),
            "arguments": {"what": what},
        }
        return {"operator": "python.call", "inputs": arguments, "retry": RETRY}
    if how == "model":
        return {"instrument": "raising", "inputs": {"prompt": what}, "retry": RETRY}
    node: dict[str, object] = {"operator": f"raising.{how}", "inputs": {"what": what}, "retry": RETRY}
    if how == "timed":
        return {**node, "operator": "raising.task", "timeout": "1h"}
    return node


def placed(node: Mapping[str, object], place: str, file: str) -> dict[str, object]:
    """The node itself, or one inside which it is what runs."""
    match place:
        case "element":
            return {**node, "for_each": [1, 2]}
        case "round":
            state = {"state": {"x": 1}, "until": "true", "max_iterations": 2, "next": {"x": "1"}}
            return {"control": "loop", "body": {"step": node}, **state}
        case "sub":
            return {"workflow": file}
    return dict(node)


def tried(folder: Path, nodes: Mapping[str, object]) -> Outcome:
    """The outcome of a run in memory, its files in `folder`."""
    shutil.copy(RAISING, folder / "functions.py")
    (folder / "w.json").write_text(json.dumps({"name": "Raised", "nodes": nodes}))
    return run(folder / "w.json", operators=[RAISING], models={"raising": MODEL}, cwd=folder)


def name_of(what: str) -> str:
    return what.replace(".", "-")


def assert_failed(node: NodeResult, *, attempts: int) -> None:
    assert node.status in (NodeStatus.FAILED, NodeStatus.SKIPPED), node
    assert node.error is not None
    assert node.error.code in CODES, node.error
    node.error.message.encode()
    assert node.attempts == attempts


@pytest.mark.parametrize("what", EXCEPTIONS)
@pytest.mark.parametrize("how", IN_PROCESS)
def test_an_attempt_that_raises_anything_fails_and_is_tried_again(
    how: str, what: str, tmp_path: Path
) -> None:
    outcome = tried(tmp_path, {"n": called(how, what)})
    assert outcome.status is RunStatus.FAILED
    assert_failed(outcome.node("n"), attempts=2)


@pytest.mark.parametrize("place", ["node", "element", "round", "sub"])
@pytest.mark.parametrize("how", [*IN_PROCESS, "model"])
def test_on_error_catches_anything_that_is_raised_anywhere(how: str, place: str, tmp_path: Path) -> None:
    nodes: dict[str, object] = {"beside": {"operator": "data.range", "inputs": {"count": 1}}}
    for what in EXCEPTIONS:
        node = called(how, what)
        inside = {"name": "Inside", "nodes": {"step": node}}
        (tmp_path / f"{name_of(what)}.json").write_text(json.dumps(inside))
        nodes[name_of(what)] = {**placed(node, place, f"{name_of(what)}.json"), "on_error": "skip"}
    outcome = tried(tmp_path, nodes)
    assert outcome.status is RunStatus.SUCCEEDED
    for what in EXCEPTIONS:
        assert_failed(outcome.node(name_of(what) + IN[place]), attempts=2)
    assert outcome.node("beside").status is NodeStatus.SUCCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("how", ["worker", "python.call", "python.call_async"])
def test_processes_hand_on_whatever_is_raised_in_them(how: str, tmp_path: Path) -> None:
    nodes = {name_of(what): {**called(how, what), "on_error": "skip"} for what in EXCEPTIONS}
    outcome = tried(tmp_path, nodes)
    assert outcome.status is RunStatus.SUCCEEDED
    for what in EXCEPTIONS:
        assert_failed(outcome.node(name_of(what)), attempts=2)


@pytest.mark.parametrize("what", EXCEPTIONS)
async def test_a_look_at_what_an_operator_reads_may_raise_anything(what: str, tmp_path: Path) -> None:
    text = json.dumps({"name": "Raised", "nodes": {"n": called("reads", what)}})
    async with Symphony.open(tmp_path / "home", operators=[RAISING]) as symphony:
        result = await (await symphony.start(loads(text, "json"), cwd=tmp_path)).result()
    assert_failed(result.nodes["n"], attempts=2)
