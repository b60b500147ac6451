"""What documents say of a workflow: the short ways give what the general ones give."""

import json
import random
from types import MappingProxyType
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow import Workflow, dumps, loads
from symphony.workflow.documents import FORMATS
from symphony.workflow.graph import all_edges
from symphony.workflow.model import (
    ArtifactSpec,
    ControlEdge,
    ControlNode,
    InstrumentNode,
    Node,
    NodeOptions,
    OnError,
    OperatorNode,
)
from symphony.workflow.spelling import write_edge, write_node, write_tree

TEXTS: Final[list[Value]] = [
    "${{ a.result }}", "${{ b.out }}", "${{a.result}}", "${{  a.result  }}", '${{ nodes["c-d"].x }}',
    "${{ a }}",
    "${{ inputs.x }}", "${{ item.x }}", "${{ a.if }}", "${{ a.result.deep }}", "${{ a.result + b.out }}",
    "${{ ä.result }}", "${{ a.result }} and ${{ b.out }}", "$${{ a.result }}", "plain", "${{ (", "${{ 1.5 }}",
    1,
    None, "${{ a. }}", "${{ .b }}", "${{ a.result }}\n", "${{ a.result[0] }}", b"${{ a.result }}",
]  # fmt: skip
_values = st.recursive(
    st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=6,
)
_texts = st.sampled_from([text for text in TEXTS if isinstance(text, str)])
_nodes = st.builds(
    OperatorNode,
    operator=st.just("debug.value"),
    inputs=st.dictionaries(st.sampled_from("xyz"), _values, max_size=3),
    after=st.lists(st.sampled_from(["a", "b", "a.true", "c-d"]), max_size=3).map(tuple),
    when=st.none() | st.just("a.result > 1 && b.out"),
    for_each=st.none() | st.just("b.out") | st.lists(_texts, max_size=2),
    config=st.dictionaries(st.sampled_from("xy"), _texts, max_size=1),
    on_error=st.sampled_from([OnError()] * 8 + [OnError(action="fallback", fallback="b")]),
    artifact=st.none() | st.just(ArtifactSpec(name="${{ a.result }}.txt")),
)
_workflows = st.builds(
    Workflow,
    name=st.just("x"),
    nodes=st.dictionaries(st.sampled_from(["a", "b", "c-d", "e", "f1"]), _nodes, max_size=4),
    edges=st.sampled_from([(), (), (ControlEdge(source="a", target="b"),)]),
)


@given(_workflows)
def test_derived_edges_of_a_document_are_those_of_the_graph_in_the_order_of_their_ends(
    workflow: Workflow,
) -> None:
    more = [write_edge(edge) for edge in all_edges(workflow)[len(workflow.edges) :]]
    wanted = sorted(more, key=lambda edge: (str(edge["to"]), str(edge["from"])))
    found = write_tree(workflow, derived=True).get("edges", [])
    assert isinstance(found, list)
    assert found[len(workflow.edges) :] == wanted


@pytest.mark.parametrize("field", [name for name in NodeOptions.__struct_fields__ if name != "inputs"])
def test_every_option_that_is_not_the_default_is_written(field: str) -> None:
    given: dict[str, object] = {
        "config": {"a": 1}, "for_each": "inputs.x", "concurrency": 2, "fail_fast": False, "label": "item",
        "when": "true", "after": ("a",),
        "join": "any", "timeout": "1s", "on_error": OnError(action="skip"), "idempotent": False,
        "priority": 1, "cache": "off", "artifact": ArtifactSpec(name="x"), "description": "x",
        "position": (1, 2),
        "enabled": False, "metadata": {"a": 1},
    }  # fmt: skip
    usual = OperatorNode(operator="debug.value", inputs={"x": 1})
    text = '{"retry": {"attempts": 2}}' if field == "retry" else "{}"
    retried = loads(
        f'{{"name":"x","nodes":{{"a":{json.dumps({"operator": "y"} | json.loads(text))}}}}}', "json"
    )
    value = retried.nodes["a"].retry if field == "retry" else given[field]
    node = msgspec.structs.replace(usual, **{field: value})
    written = write_node(node)
    assert list(written) != list(write_node(usual))
    assert written[field] is not None


def test_a_node_of_defaults_says_its_kind_and_inputs_alone() -> None:
    assert write_node(InstrumentNode(instrument="stub")) == {"instrument": "stub"}
    assert write_node(OperatorNode(operator="x", inputs={"a": 1})) == {"operator": "x", "inputs": {"a": 1}}
    assert write_node(ControlNode(control="merge", after=("a",))) == {"control": "merge", "after": ["a"]}


@pytest.mark.parametrize("name", FORMATS)
def test_inputs_that_are_no_plain_map_or_hold_bytes_are_written_as_well(name: str) -> None:
    inputs: dict[str, Value] = {"a": [1, {"$b": b"\0"}], "c": b"x", "d": "text"}
    nodes: dict[str, Node] = {"n": OperatorNode(operator="x", inputs=MappingProxyType(inputs))}
    found = loads(dumps(Workflow(name="w", nodes=nodes), name), name)
    assert dict(found.nodes["n"].inputs) == inputs


def test_documents_are_the_same_bytes_whatever_the_order_of_the_nodes_in_memory() -> None:
    names = [f"n{i}" for i in range(30)]
    nodes = {n: OperatorNode(operator="x", inputs={"v": [f"${{{{ {m}.r }}}}" for m in names[:i]]})
             for i, n in enumerate(names)}  # fmt: skip
    edges = write_tree(Workflow(name="w", nodes=nodes), derived=True)["edges"]
    shuffled = list(nodes.items())
    random.Random(3).shuffle(shuffled)
    assert write_tree(Workflow(name="w", nodes=dict(shuffled)), derived=True)["edges"] == edges
