"""`fail_fast: false`: a failed element ends no other; the node fails when all have ended, and names them."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from symphony import Context, WorkflowBuilder, operator, run
from symphony.app import Symphony
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunStatus
from symphony.ports.values import Value
from symphony.testing import Call, FakeModel
from symphony.testing import run as run_apart
from symphony.workflow import loads

RAN: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def fresh() -> None:
    RAN.clear()


def _odd(context: Context, value: int) -> int:
    RAN[context.node] += 1
    if value % 2:
        raise RuntimeError(f"{value} is odd")
    return value * 10


@operator("test.plain", version="1.0.0", pure=True)
def plain(context: Context, value: int) -> int:
    """Fails for odd numbers; goes to threads in batches."""
    return _odd(context, value)


@operator("test.inline", version="1.0.0", pure=True, inline=True)
async def inline(context: Context, value: int) -> int:
    """Fails for odd numbers; runs on the loop."""
    return _odd(context, value)


@operator("test.waits", version="1.0.0", pure=True)
async def waits(context: Context, value: int) -> int:
    """Fails for odd numbers; runs in a task."""
    await asyncio.sleep(0)
    return _odd(context, value)


@operator("test.effect", version="1.0.0")
async def effect(context: Context, value: int) -> int:
    """Fails for odd numbers; must not be repeated."""
    return _odd(context, value)


OPERATORS = [plain, inline, waits, effect]


def each(what: str = "test.plain", *more: str, items: str = "[0, 1, 2, 3]") -> str:
    rest = "".join(f"    {line}\n" for line in more)
    return f"""name: test
nodes:
  a:
    operator: {what}
    for_each: {items}
    fail_fast: false
    inputs: {{value: "${{{{ item }}}}"}}
{rest}  b: {{operator: debug.value, inputs: {{value: "${{{{ a.result }}}}"}}}}
outputs: {{b: "${{{{ b.result }}}}"}}
"""


def ran(text: str) -> RunResult:
    return run(loads(text, "yaml"), {}, operators=OPERATORS, memory=True)


def told(result: RunResult) -> str:
    """The message of the run's error, without the places in this file."""
    assert result.error is not None
    return re.sub(r"\S+test_fail_fast.py:\d+ in _odd: ", "", result.error.message)


def statuses(result: RunResult) -> Mapping[str, str]:
    return {name: str(node.status) for name, node in result.nodes.items()}


@pytest.mark.parametrize("limit", [(), ("concurrency: 1",), ("concurrency: 3",)])
@pytest.mark.parametrize("what", ["test.plain", "test.inline", "test.waits", "test.effect"])
def test_every_element_runs_then_the_node_fails_and_names_the_failed_ones(
    what: str, limit: tuple[str, ...]
) -> None:
    result = ran(each(what, *limit))
    assert statuses(result) == {
        "a": "failed", "a[0]": "succeeded", "a[1]": "failed", "a[2]": "succeeded", "a[3]": "failed",
        "b": "cancelled",
    }  # fmt: skip
    assert told(result) == "2 of 4 elements failed: a[1] 1: RuntimeError: 1 is odd; also a[3] 3"
    assert result.error is not None
    assert result.error.code == "elements-failed"
    assert result.nodes["a"].error == msgspec.structs.replace(result.error, causes=())
    assert [(one.node, one.label, one.count) for one in result.error.causes] == [
        ("a[1]", "1", 1), ("a[3]", "3", 1)
    ]  # fmt: skip
    assert dict.fromkeys(["a[0]", "a[1]", "a[2]", "a[3]"], 1) == RAN


def test_without_it_a_failure_ends_the_others() -> None:
    result = ran(each("test.plain", "concurrency: 1").replace("fail_fast: false", "fail_fast: true"))
    assert statuses(result)["a[2]"] == "cancelled"
    assert result.error is not None
    assert result.error.code == "operator-failed"


def test_of_many_failures_the_first_are_named_and_the_others_counted() -> None:
    result = ran(each(items=json.dumps(list(range(2001)))))
    assert told(result) == (
        "1,000 of 2,001 elements failed: a[1] 1: RuntimeError: 1 is odd; "
        "also a[3] 3, a[5] 5, a[7] 7, a[9] 9 and 995 more"
    )
    assert RAN.total() == 2001


@pytest.mark.parametrize(
    ("handling", "gives"),
    [
        ("on_error: skip", [0, None, 20, None]),
        ("on_error: {value: {result: 7}}", [0, 7, 20, 7]),
        ("on_error: {value: {result: '${{ item + 100 }}'}}", [0, 101, 20, 103]),
    ],
)
def test_failures_that_on_error_handles_do_not_count(handling: str, gives: list[Value]) -> None:
    result = ran(each("test.plain", handling))
    assert result.status is RunStatus.SUCCEEDED
    assert result.outputs == {"b": gives}


def test_a_failure_whose_value_cannot_be_made_counts() -> None:
    result = ran(each("test.plain", "on_error: {value: {result: '${{ 10 / (item - 1) }}'}}"))
    assert told(result).startswith("1 of 4 elements failed: a[1] 1: RuntimeError: 1 is odd; on_error")
    assert RAN.total() == 4


def test_a_fallback_runs_once_when_all_elements_have_ended() -> None:
    text = each("test.plain", "on_error: {fallback: spare}").replace(
        "  b:", "  spare: {operator: debug.value, inputs: {value: instead}}\n  b:"
    )
    result = ran(text)
    assert result.outputs == {"b": "instead"}
    assert RAN.total() == 4
    assert statuses(result)["a"] == "succeeded"
    error = result.nodes["a"].error
    assert error is not None
    assert error.code == "elements-failed"


def test_retry_is_for_each_element() -> None:
    result = ran(each("test.plain", "retry: {attempts: 3, initial: 1ms}"))
    assert RAN == {"a[0]": 1, "a[1]": 3, "a[2]": 1, "a[3]": 3}
    assert result.nodes["a[1]"].attempts == 3


def test_the_failure_of_another_node_still_cancels() -> None:
    text = each("test.waits", "concurrency: 1", items=json.dumps(list(range(1000))))
    text = text.replace("  b:", "  bad: {operator: test.effect, inputs: {value: 1}}\n  b:")
    result = ran(text)
    assert result.error is not None
    assert result.error.node == "bad"
    assert result.nodes["a"].status is NodeStatus.CANCELLED
    assert result.nodes["a[999]"].status is NodeStatus.CANCELLED


def test_an_empty_list_succeeds() -> None:
    assert ran(each(items="[]")).outputs == {"b": []}


LOOP = """
name: test
nodes:
  rounds:
    control: loop
    state: {n: 0}
    until: iteration == 1
    retry: {attempts: 2, initial: 1ms}
    body:
      a: {operator: test.plain, for_each: "[2, 3, 5]", fail_fast: false, inputs: {value: "${{ item }}"}}
    next: {n: size(a.result)}
outputs: {n: "${{ rounds.n }}"}
"""


def test_in_a_loop_each_attempt_runs_all_elements_and_the_error_names_them_in_full() -> None:
    result = ran(LOOP)
    assert RAN == {"rounds#0.a[0]": 2, "rounds#0.a[1]": 2, "rounds#0.a[2]": 2}
    assert result.error is not None
    assert result.error.code == "elements-failed"
    assert result.error.node == "rounds"
    assert told(result) == (
        "rounds#0.a: 2 of 3 elements failed: rounds#0.a[1] 3: RuntimeError: 3 is odd; also rounds#0.a[2] 5"
    )


CHILD = """
name: child
inputs: {n: {type: integer}}
nodes:
  inner: {operator: test.plain, inputs: {value: "${{ inputs.n }}"}}
outputs: {n: "${{ inner.result }}"}
"""
PARENT = """
name: parent
nodes:
  a: {workflow: child, for_each: "[1, 2, 3]", fail_fast: false, inputs: {n: "${{ item }}"}}
outputs: {n: "${{ a.n }}"}
"""


def test_elements_that_are_sub_workflows_all_run(tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text(CHILD, encoding="utf-8")
    (tmp_path / "parent.yaml").write_text(PARENT, encoding="utf-8")
    result = run(tmp_path / "parent.yaml", {}, operators=OPERATORS, memory=True)
    assert told(result) == ("2 of 3 elements failed: a[0].inner 1: RuntimeError: 1 is odd; also a[2] 3")
    assert result.nodes["a[1].inner"].status is NodeStatus.SUCCEEDED
    assert result.nodes["a[2].inner"].status is NodeStatus.FAILED


def test_elements_that_a_cache_has_are_not_lost_by_the_failures_of_others(tmp_path: Path) -> None:
    text = each("test.plain", "cache: on")

    async def twice() -> RunResult:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            await (await symphony.start(loads(text, "yaml"))).result()
            return await (await symphony.start(loads(text, "yaml"))).result()

    result = asyncio.run(twice())
    found = ["cached", "failed", "cached", "failed"]
    assert [statuses(result)[f"a[{i}]"] for i in range(4)] == found
    assert result.error is not None
    assert result.error.code == "elements-failed"
    assert RAN == {"a[0]": 1, "a[1]": 2, "a[2]": 1, "a[3]": 2}


def test_elements_that_ask_a_model_all_run() -> None:
    text = """
name: test
nodes:
  a: {instrument: fake, for_each: "['x', 'bad', 'y']", fail_fast: false, inputs: {prompt: "${{ item }}"}}
outputs: {a: "${{ a.text }}"}
"""

    def answer(call: Call) -> str:
        if call.inputs["prompt"] == "bad":
            raise RuntimeError("cannot answer that")
        return "good"

    outcome = run_apart(loads(text, "yaml"), models={"fake": FakeModel(answer)})
    assert [str(outcome.result.nodes[f"a[{i}]"].status) for i in range(3)] == [
        "succeeded",
        "failed",
        "succeeded",
    ]
    assert told(outcome.result).startswith("1 of 3 elements failed: a[1] bad: ")


def test_the_events_tell_each_failure_and_then_that_of_the_node(tmp_path: Path) -> None:
    async def events() -> list[RunEvent]:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            handle = await symphony.start(loads(each("test.waits", "concurrency: 1"), "yaml"))
            result = await handle.result()
            again = symphony.runs.result(result.run_id)
            assert (again.nodes, again.error) == (result.nodes, result.error)
            return list(symphony.runs.events(result.run_id))

    failed = [event.node for event in asyncio.run(events()) if event.type == "node.failed"]
    assert failed == ["a[1]", "a[3]", "a"]


def test_the_builder_takes_it() -> None:
    workflow = (
        WorkflowBuilder("built")
        .add_operator(
            "test.plain", name="a", for_each=[1, 2], fail_fast=False, inputs={"value": "${{ item }}"}
        )
        .build()
    )
    assert workflow.nodes["a"].fail_fast is False
    result = run(workflow, {}, operators=OPERATORS, memory=True)
    assert statuses(result) == {"a": "failed", "a[0]": "failed", "a[1]": "succeeded"}
