"""Lists and maps of ports put together give what rendering gives, or nothing."""

import asyncio
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony import operator
from symphony.app import Symphony
from symphony.pit.tracker.nodes.assembling import assembled
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.limits import fits
from symphony.pit.tracker.nodes.sources import ListMade, MapMade, Sources
from symphony.pit.tracker.nodes.work import Work, type_of_read
from symphony.ports.values import ArtifactRef, Digest, StoredValue, Value
from symphony.workflow import loads
from symphony.workflow.expressions import Compiler, Read, ValueTemplate

BASE, NODES = 7, {"a": 0, "b": 1, "skipped": 2}
ELEMENT: tuple[Value, int] = ("item", 3)
LEAVES: st.SearchStrategy[Value] = st.sampled_from(
    [
        "${{ a.x }}",
        "${{ b.y }}",
        "${{ skipped.z }}",
        "${{ a.missing }}",
        "${{ item }}",
        "${{ index }}",
        1,
        "t",
    ]
)
INPUTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
    max_leaves=6,
)
PORTS: st.SearchStrategy[StoredValue] = st.sampled_from(
    [None, True, 1, 2**63 - 1, 0.5, "", "text", "é" * 30, b"bytes", [1, [2]], {"k": "v"}]
)


def of(value: Value) -> tuple[ValueTemplate, ListMade | MapMade | None]:
    template = Compiler(type_of_read, value=False).template(value)
    source = Sources(NODES).of(template)
    return template, source if isinstance(source, ListMade | MapMade) else None


@given(INPUTS, PORTS, PORTS, st.sampled_from([0, 4, 9, 30, 1_000, 1 << 28]))
def test_what_is_put_together_is_what_would_be_rendered(
    value: Value, x: StoredValue, y: StoredValue, most: int
) -> None:
    template, source = of(value)
    held: dict[int, dict[str, StoredValue]] = {BASE: {"x": x}, BASE + 1: {"y": y}}

    def lookup(read: Read) -> Value:
        if read.kind in ("item", "index"):
            return ELEMENT[0 if read.kind == "item" else 1]
        found = held.get(BASE + NODES[read.name], {}).get(read.port)
        assert not isinstance(found, ArtifactRef)
        return found

    if source is None:
        return
    made = assembled(source, BASE, held, ELEMENT, most)
    rendered = template.render(lookup)
    if made is not None:
        assert (made, repr(made)) == (rendered, repr(rendered))
        assert fits(made, most)
    else:
        assert most < 1_000


def test_what_must_be_loaded_is_rendered() -> None:
    ref = ArtifactRef(digest=Digest("0" * 64), size=50_000, encoding="text")
    for value in (["${{ a.x }}"], {"k": ["${{ a.x }}", "${{ item }}"]}):
        _, source = of(value)
        assert source is not None
        assert assembled(source, BASE, {BASE: {"x": ref}}, ELEMENT, 1 << 28) is None


@operator("test.told", version="1.0.0", pure=True)
def told(what: list[object], more: object = None) -> str:
    """What is given."""
    return f"{[str(one)[:9] for one in what]} {str(more)[:9]}"


@operator("test.made", version="1.0.0", pure=True)
def made(size: int) -> str:
    """A text."""
    return "x" * size


@pytest.mark.parametrize("size", [1, 50_000])
def test_inputs_that_are_looked_up_are_those_that_are_rendered(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: dict[str, object] = {
        "a": {"operator": "test.made", "inputs": {"size": size}},
        "each": {"operator": "test.made", "for_each": [3, size], "inputs": {"size": "${{ item }}"}},
        "two": {"operator": "test.told", "inputs": {"what": ["${{ a.result }}", "${{ a.result }}"]}},
        "mixed": {"operator": "test.told", "inputs": {"what": ["${{ a.result }}", 3], "more": 7}},
        "port": {
            "operator": "test.told",
            "inputs": {"what": ["${{ two.result }}"], "more": "${{ a.result }}"},
        },
        "whole": {"operator": "test.told", "inputs": {"what": "${{ each.result }}", "more": [1]}},
        "lists": {"operator": "test.told", "inputs": {"what": ["${{ each.result }}", "${{ each.result }}"]}},
    }
    outputs = {name: f"${{{{ {name}.result }}}}" for name in ("two", "mixed", "port", "whole", "lists")}
    document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs}).encode()
    ways = Counter[bool]()
    looked_up = Bindings.looked_up

    def counted(self: Bindings, slot: int, work: Work) -> dict[str, StoredValue] | None:
        found = looked_up(self, slot, work)
        ways[found is not None] += 1
        return found

    async def whole() -> dict[str, StoredValue]:
        async with Symphony.open(memory=True, operators=[told, made]) as symphony:
            result = await (await symphony.start(loads(document, "json"))).result()
            assert result.status == "succeeded"
            return dict(result.outputs)

    monkeypatch.setattr(Bindings, "looked_up", counted)
    quickly = asyncio.run(whole())
    assert ways[True] >= 2
    monkeypatch.setattr(Bindings, "looked_up", lambda *_: None)
    assert asyncio.run(whole()) == quickly
    assert str(quickly["two"]) == f"{['x' * min(size, 9)] * 2} None"
