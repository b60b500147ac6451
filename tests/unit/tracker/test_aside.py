"""Expressions that are evaluated elsewhere: wherever one stands, the run ends as if the loop had done it."""

import asyncio
import json
from collections.abc import Mapping
from functools import partial

import pytest
from tests.support.fakes import Elsewhere

from symphony import RunResult, Symphony
from symphony.app import launching
from symphony.app.pools import Pools
from symphony.pit.tracker.nodes.execution import Executor
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

BEFORE = """name: t
inputs:
  x: {type: integer, default: 2}
  r: {type: any, default: [{b: 1, a: 2}, {b: 3, a: 4}]}
"""
CASES: Mapping[str, tuple[str, int]] = {
    "an input": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: '${{ inputs.x + 1 }}'}}
""",
        1,
    ),
    "a text": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: 'x is ${{ inputs.x }}, ${{ inputs.r }}'}}
""",
        1,
    ),
    "a list of them": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: ['${{ inputs.x + 1 }}', {k: '${{ inputs.x }}'}]}}
""",
        1,
    ),
    "maps keep their order": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: '${{ inputs.r.filter(r, r.a > 2) }}'}}
""",
        1,
    ),
    "when": (
        """
nodes:
  n: {operator: debug.value, when: inputs.x > 1, inputs: {value: 1}}
  m: {operator: debug.value, when: inputs.x < 1, inputs: {value: 2}}
""",
        2,
    ),
    "a conditional edge and a transform": (
        """
nodes:
  m: {operator: debug.value, inputs: {value: 4}}
  n: {operator: debug.value}
edges:
  - {from: m, to: n, when: m.result > 3}
  - {from: m.result, to: n.value, transform: value + m.result + inputs.x}
""",
        2,
    ),
    "a fan-out": (
        """
nodes:
  n: {operator: debug.value, for_each: 'inputs.r.map(r, r.a)', inputs: {value: '${{ item + index }}'}}
""",
        3,
    ),
    "a switch": (
        """
nodes:
  s: {control: branch, switch: inputs.x + 1, cases: {a: 1, b: 3}}
  n: {operator: debug.value, after: [s.b], inputs: {value: b}}
  m: {operator: debug.value, after: [s.a], inputs: {value: a}}
""",
        1,
    ),
    "a loop with until": (
        """
nodes:
  n:
    control: loop
    state: {v: '${{ inputs.x + 1 }}'}
    next: {v: state.v + b.result}
    until: state.v > 20
    body: {b: {operator: debug.value, inputs: {value: '${{ state.v * 2 }}'}}}
outputs: {o: '${{ n.v + 0 }}', i: '${{ n.iterations }}'}
""",
        8,
    ),
    "a loop with while": (
        """
nodes:
  n:
    control: loop
    state: {v: 1}
    next: {v: state.v * 3}
    while: state.v < 20
    body: {b: {operator: debug.value, inputs: {value: 1}}}
outputs: {o: '${{ n.v }}'}
""",
        7,
    ),
    "in place of outputs": (
        """
nodes:
  n:
    operator: debug.fail
    on_error: {value: {result: '${{ inputs.x * 21 }}'}}
outputs: {o: '${{ n.result }}'}
""",
        1,
    ),
    "a failure": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: '${{ inputs.r[5] }}'}}
""",
        1,
    ),
    "a failure in a condition": (
        """
nodes:
  n: {operator: debug.value, when: inputs.r, inputs: {value: 1}}
""",
        0,
    ),
    "a failure in outputs": (
        """
nodes:
  n: {operator: debug.value, inputs: {value: 1}}
outputs: {o: '${{ inputs.r[n.result + 5] }}'}
""",
        1,
    ),
}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """From now on no expression is evaluated on the loop."""
    made = Elsewhere()
    monkeypatch.setattr(Pools, "expressions", lambda _: made)
    monkeypatch.setattr(launching, "Executor", partial(Executor, heavy_steps=-1))
    return made


async def run(text: str) -> RunResult:
    async with Symphony.open(memory=True) as symphony:
        return await (await symphony.start(loads(BEFORE + text, "yaml"))).result()


def told(result: RunResult) -> str:
    """All of a result that does not depend on the clock, maps in their order."""
    nodes = {
        name: (
            str(node.status),
            node.attempts,
            node.error and (node.error.code, node.error.message, node.error.hint),
        )
        for name, node in result.nodes.items()
    }
    error = result.error and (result.error.code, result.error.message, result.error.hint)
    return json.dumps([str(result.status), error, dict(result.outputs), nodes], default=str)


@pytest.mark.parametrize("name", CASES)
async def test_a_run_ends_as_if_the_loop_had_evaluated_its_expressions(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    text, calls = CASES[name]
    if "outputs:" not in text:
        text += "outputs: {n: '${{ n.result }}'}\n"
    here = await run(text)
    elsewhere: Elsewhere = request.getfixturevalue("elsewhere")
    there = await run(text)
    assert told(there) == told(here)
    assert elsewhere.calls == calls


async def test_outputs_that_are_not_there_yet_can_be_cancelled(elsewhere: Elsewhere) -> None:
    text = (
        "nodes: {n: {operator: debug.value, inputs: {value: 1}}}\noutputs: {o: '${{ n.result + inputs.x }}'}"
    )
    elsewhere.held = asyncio.Event()
    async with Symphony.open(memory=True) as symphony:
        handle = await symphony.start(loads(BEFORE + text, "yaml"))
        await elsewhere.asked.wait()
        handle.cancel()
        result = await handle.result()
    assert (result.status, dict(result.outputs)) == (RunStatus.CANCELLED, {})
    assert str(result.nodes["n"].status) == "succeeded"


@pytest.mark.parametrize(
    "where", ["when: inputs.x > 1, inputs: {value: 1}", "inputs: {value: '${{ inputs.x + 1 }}'}"]
)
async def test_a_node_whose_expression_is_not_there_yet_can_be_cancelled(
    where: str, elsewhere: Elsewhere
) -> None:
    elsewhere.held = asyncio.Event()
    async with Symphony.open(memory=True) as symphony:
        handle = await symphony.start(
            loads(f"{BEFORE}nodes: {{n: {{operator: debug.value, {where}}}}}", "yaml")
        )
        await elsewhere.asked.wait()
        handle.cancel()
        result = await handle.result()
    assert result.status is RunStatus.CANCELLED
    assert str(result.nodes["n"].status) == "cancelled"
