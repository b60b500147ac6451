"""Large outputs are encoded once; what is stored, recorded and refused is what the general way gives."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from symphony import Context, operator
from symphony.app import Symphony
from symphony.commons.settings import Config, SymphonyConfig
from symphony.ports.values import ArtifactRef, StoredValue
from symphony.workflow import loads

ROWS = [{"name": f"name {i}", "n": i, "part": i / 3, "ok": None} for i in range(2_000)]
RETURNED: dict[str, object] = {
    "rows": ROWS,
    "few rows": ROWS[:40],
    "shared rows": [ROWS[0]] * 2_000,
    "tuples": [tuple(row.items()) for row in ROWS],
    "integers": [*range(50_000)],
    "floats": [i / 7 for i in range(20_000)],
    "a nested map": {"a": {"b": ROWS, "c": [[1, 2], [3]] * 50}},
    "texts": ["é" * 10] * 5_000,
    "a surrogate": [*(["x"] * 50_000), "\ud800"],
    "few with a surrogate": [*(["x"] * 50), "\ud800"],
    "not finite": [*([0.5] * 50_000), float("inf")],
    "too long an integer": [*range(50_000), 2**63],
    "no value": [*ROWS, object()],
    "too much": ["x" * 1000] * 2_000,
    "too much and no text": ["\ud800" * 1000] * 2_000,
    "an empty list": [],
    "a text": "x" * 50_000,
}


@operator("test.thread", version="1.0.0")
def in_thread(what: str) -> object:
    """One of the values."""
    return RETURNED[what]


@operator("test.batch", version="1.0.0", pure=True)
def in_batch(what: str) -> object:
    """One of the values."""
    return RETURNED[what]


@operator("test.inline", version="1.0.0", pure=True)
async def inline(what: str, context: Context) -> object:
    """One of the values."""
    return RETURNED[what]


OPERATORS = [in_thread, in_batch, inline]
SMALL = Config(symphony=SymphonyConfig(value_mb=1))


def shown(value: StoredValue) -> object:
    return (value.digest, value.size, value.encoding) if isinstance(value, ArtifactRef) else repr(value)


def ran(what: str, name: str, more: Mapping[str, object], environment: Mapping[str, str]) -> object:
    """What comes of a node that gives the value: its error, or the output as it is held."""
    nodes = {"a": {"operator": name, "inputs": {"what": what}, **more}}
    document = {"name": "t", "nodes": nodes, "outputs": {"a": "${{ a.result }}"}, "env": ["TOKEN"]}

    async def whole() -> object:
        async with Symphony.open(memory=True, operators=OPERATORS, config=SMALL) as symphony:
            flow = loads(json.dumps(document), "json")
            result = await (await symphony.start(flow, environment=environment)).result()
            node = result.nodes["a"]
            error = node.error and (node.error.code, node.error.message, node.error.hint)
            return str(node.status), error, {port: shown(value) for port, value in result.outputs.items()}

    return asyncio.run(whole())


@pytest.mark.parametrize("name", ["test.thread", "test.batch", "test.inline"])
@pytest.mark.parametrize("more", [{}, {"artifact": {"name": "kept"}}], ids=["plain", "declared"])
@pytest.mark.parametrize("what", RETURNED)
def test_large_outputs_are_what_they_are_in_a_run_with_secrets_which_looks_at_each_part(
    what: str, more: dict[str, object], name: str
) -> None:
    assert ran(what, name, more, {}) == ran(what, name, more, {"TOKEN": "a-secret-that-is-nowhere"})


@pytest.mark.parametrize("name", ["test.batch", "test.inline"])
def test_all_ways_to_run_an_operator_give_the_same(name: str) -> None:
    for what in RETURNED:
        found, thread = (repr(ran(what, one, {}, {})) for one in (name, "test.thread"))
        assert found.replace(name, "test.thread") == thread, what


@pytest.mark.parametrize("name", ["test.thread", "test.batch", "test.inline"])
@pytest.mark.parametrize("what", ["a surrogate", "few with a surrogate"])
def test_what_cannot_be_encoded_names_its_port(what: str, name: str) -> None:
    assert "output result is no value: a string with a lone surrogate" in repr(ran(what, name, {}, {}))


def test_values_over_the_bound_are_refused_and_others_are_kept() -> None:
    told = {what: repr(ran(what, "test.thread", {}, {})) for what in RETURNED}
    assert {what for what, found in told.items() if "limit-exceeded" in found} == {
        "too much",
        "too much and no text",
    }
    assert {what for what, found in told.items() if "failed" in found} == {
        "a surrogate",
        "few with a surrogate",
        "not finite",
        "too long an integer",
        "no value",
        "too much",
        "too much and no text",
    }
