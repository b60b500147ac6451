"""A value is the same wherever it goes: threads, workers, the loop, artifacts, the cache, a resume."""

import asyncio
import json
import math

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from symphony.app import Symphony
from symphony.ports.runs import RunResult
from symphony.ports.values import ArtifactRef, Value
from symphony.workflow import loads

pytestmark = pytest.mark.slow

OPERATORS = '''
from symphony import operator


@operator("same.thread", version="1.0.0", pure=True)
def thread(value: object) -> object:
    """The same."""
    return value


@operator("same.worker", version="1.0.0", pure=True, cpu=True)
def worker(value: object) -> object:
    """The same."""
    return value


@operator("same.inline", version="1.0.0", pure=True)
async def inline(value: object) -> object:
    """The same."""
    return value


@operator("same.after", version="1.0.0", pure=True)
def after(value: object, answer: object) -> object:
    """The same, once there is an answer."""
    return value
'''
VIA = ("thread", "worker", "inline")
NODES = {
    **{name: {"operator": f"same.{name}", "inputs": {"value": "${{ inputs.value }}"}} for name in VIA},
    "chain": {"operator": "same.worker", "inputs": {"value": "${{ thread.result }}"}},
    "kept": {
        "operator": "same.thread",
        "inputs": {"value": "${{ chain.result }}"},
        "artifact": {"name": "kept"},
    },
    "each": {
        "operator": "same.worker",
        "for_each": "inputs.value",
        "inputs": {"value": "${{ item }}"},
    },
    "ask": {"control": "approval"},
    **{
        f"after_{name}": {
            "operator": "same.after",
            "inputs": {"value": f"${{{{ {name}.result }}}}", "answer": "${{ ask.approved }}"},
        }
        for name in (*VIA, "chain", "kept", "each")
    },
}
DOCUMENT = {
    "symphony": 1,
    "name": "Values",
    "inputs": {"value": {"type": "any"}},
    "nodes": NODES,
    "outputs": {name: f"${{{{ {name}.result }}}}" for name in NODES if name.startswith("after_")},
}
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.binary(max_size=10)
    | st.sampled_from([0.0, -0.0, 1, 1.0, True, 2**53 + 1, "\u2028", "\0", b"", "1", "null"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def alike(one: object, other: object) -> bool:
    """Equal in value, type and order, zeros by their sign."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return one == other


@pytest.mark.parametrize("large", [False, True])
@given(drawn=st.lists(values, min_size=5, max_size=30))
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_a_value_is_the_same_wherever_it_goes(
    large: bool, drawn: list[Value], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("values")
    given = [*drawn, "x" * 40_000] if large else drawn
    (folder / "ops.py").write_text(OPERATORS)

    async def whole() -> list[RunResult]:
        found = []
        for _ in range(2):  # the second time everything comes from the cache
            async with Symphony.open(home=folder / "home", operators=[folder / "ops.py"]) as symphony:
                handle = await symphony.start(loads(json.dumps(DOCUMENT), "json"), {"value": given})
                waiting = await handle.result()
                assert waiting.status.value == "waiting", waiting
            async with Symphony.open(home=folder / "home", operators=[folder / "ops.py"]) as symphony:
                symphony.runs.answer(waiting.run_id, "ask", approved=True)
                result = await (await symphony.resume(waiting.run_id)).result()
                assert result.status.value == "succeeded", result
                for name, value in result.outputs.items():
                    whole = symphony.artifacts.get(value.digest) if isinstance(value, ArtifactRef) else None
                    plain = value if whole is None else _decoded(whole, value)
                    assert alike(plain, given), name
                found.append(result)
        return found

    _, second = asyncio.run(whole())
    for name in ("thread", "worker", "chain", "kept", "each[0]"):
        assert second.nodes[name].status.value == "cached", name


def _decoded(body: bytes, ref: object) -> Value:
    from symphony.pit.artifacts.values.codec import value_of

    assert isinstance(ref, ArtifactRef)
    return value_of(body, ref.encoding)
