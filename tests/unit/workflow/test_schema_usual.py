"""The short way to read nodes gives what the general way gives, or leaves the node to it."""

import random
from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.documents import Tree, format_named
from symphony.workflow.fields import Fields
from symphony.workflow.model import Node
from symphony.workflow.problems import PROBLEMS_MAX
from symphony.workflow.schema_nodes import KINDS, TABLES, read_node, read_nodes, usual_in
from symphony.workflow.schema_usual import FAN_OUT_KEYS, all_legal

GOOD: Final[Mapping[str, list[Tree]]] = {
    "operator": ["debug.value"],
    "instrument": ["stub"],
    "workflow": ["child.yaml"],
    "command": ["echo hello", "echo $${{ x }}"],
    "control": ["merge", "branch"],
    "inputs": [{}, {"value": "${{ a.result }}"}, {"x-y": [1, {"b": [None, 2.5]}]}, {"x": {"$bytes": "AA=="}}],
    "config": [{}, {"a b": 1}, {"$$x": 1}],
    "for_each": ["inputs.words", [1, 2]],
    "concurrency": [2],
    "fail_fast": [False, True],
    "label": ["item.name", 3],
    "when": ["a.result > 1", True, 3],
    "after": [["a", "b.true"], ["a", "a"], []],
    "join": ["all", "any"],
    "retry": [{"attempts": 3, "initial": "1s"}, {}],
    "timeout": ["5s", "5s"],
    "on_error": ["skip", "fail", {"value": {"result": 1}}, {"fallback": "b"}],
    "idempotent": [True],
    "priority": [-3],
    "cache": ["on", "off"],
    "artifact": [{"name": "x"}],
    "description": ["", "text"],
    "position": [[1, 2.5]],
    "enabled": [False],
    "metadata": [{"a": {"b": 1}}],
    "condition": ["a.result"],
    "strange": [1],
}  # fmt: skip
ODD: Final[list[Tree]] = [
    None, True, 0, -1, 2**64, 1e400, float("nan"), "", " ", "x\0", "${{ a }}", "9", [], {}, [1], ["a", 1],
    ["a b"], {"a b": 1}, {"": 1}, {"value": 2**63}, {"value": {"$x": 1}}, {"$x": 1}, {"attempts": 0},
    {"name": " "}, {1: 2}, {"value": {1: 2}}, b"bytes", {"value": b"bytes"}, {"value": [[[float("inf")]]]},
    {"backoff": "none"},
]  # fmt: skip


def nested(depth: int) -> Tree:
    """Lists in lists."""
    tree: Tree = 1
    for _ in range(depth):
        tree = [tree]
    return tree


def compared(tree: Tree, *, binary: bool = False, depth: int = 3) -> Node | None:
    """The node that the short way makes of `tree`, after a look at what the general way makes."""
    fields, general = Fields(binary=binary), Fields(binary=binary)
    fields.depth = general.depth = depth
    found, wanted = usual_in(fields)(tree), read_node(general, tree, "nodes.n")
    assert fields.findings.found == []
    assert not fields.broken
    if found is not None:
        assert found == wanted
        assert type(found) is type(wanted)
        assert general.findings.found == []
    return found


@st.composite
def nodes(draw: st.DrawFn) -> Tree:
    """Maps with keys of nodes in any order, most values good."""
    kind = draw(st.sampled_from(KINDS[:4] + KINDS))
    keys = [kind, *draw(st.lists(st.sampled_from([*GOOD]), max_size=5))]
    draw(st.randoms(use_true_random=False)).shuffle(keys)
    good, odd = {key: st.sampled_from(GOOD[key]) for key in keys}, st.sampled_from(ODD)
    return {key: draw(good[key] if draw(st.integers(0, 9)) else odd) for key in keys}


@given(tree=nodes(), binary=st.booleans())
def test_what_the_short_way_makes_the_general_way_makes_too_and_reports_nothing(
    tree: Tree, *, binary: bool
) -> None:
    compared(tree, binary=binary)


@pytest.mark.parametrize("tree", ODD, ids=repr)
def test_what_is_no_node_is_left_to_the_general_way(tree: Tree) -> None:
    assert compared(tree) is None


@pytest.mark.parametrize("key", TABLES["node"])
def test_every_option_with_a_good_value_goes_the_short_way(key: str) -> None:
    for good in GOOD[key]:
        rest: dict[str, Tree] = {"for_each": "inputs.x"} if key in FAN_OUT_KEYS else {}
        bytes_spelled = isinstance(good, dict) and good == {"x": {"$bytes": "AA=="}}
        made = compared({"operator": "debug.value", **rest, key: good})
        assert (made is None) is bytes_spelled  # what is spelled in a special way is not usual


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_value_of_any_key_is_the_same_both_ways(key: str, odd: Tree) -> None:
    compared({"operator": "debug.value", key: odd})
    compared({"command": "true", "inputs": {"a": "b"}, key: odd}, binary=True)


@pytest.mark.parametrize("key", ["inputs", "config", "for_each", "metadata"])
def test_the_short_way_refuses_the_same_depth(key: str) -> None:
    for depth in range(90, 102):
        value = nested(depth) if key == "for_each" else {"value": nested(depth)}
        for around in (3, 5):
            compared({"operator": "debug.value", key: value}, depth=around)


def test_a_full_list_of_problems_changes_nothing() -> None:
    fields = Fields()
    for _ in range(PROBLEMS_MAX + 5):
        fields.wrong("", "x", "wrong", "mend it")
    usual = usual_in(fields)
    assert usual({"operator": " "}) is None
    assert usual({"operator": "debug.value", "timeout": "soon"}) is None
    assert len(fields.findings.found) == PROBLEMS_MAX + 1


def test_trees_from_python_go_the_general_way_alone() -> None:
    assert usual_in(Fields(literal=True))({"operator": "debug.value"}) is None


NAMES = ["a", "_", "a-b", "", "a\nb", "a\n", "ä", "1a", "inputs", "a" * 100, "a" * 101, "a b", "if", "A9_-"]


def test_names_of_nodes_are_legal_together_if_each_is_alone() -> None:
    rng = random.Random(7)
    for _ in range(500):
        some = dict.fromkeys(rng.sample(NAMES[:3] if rng.random() < 0.3 else NAMES, rng.randrange(4)))
        assert all_legal(some) == all(Fields().legal_node(name, "nodes") for name in some)
    assert all_legal([f"n{i}" for i in range(10_000)])


def test_bad_nodes_among_good_ones_are_told_in_order_and_the_good_ones_are_read() -> None:
    text = "a: {operator: x}\nb: {operator: x, timeout: soon}\nif: {operator: x}\nd: {control: merge}\ne: 1\n"
    fields = Fields()
    found = read_nodes(format_named("yaml").parse(text.encode()).tree, "nodes", fields)
    assert list(found or ()) == ["a", "b", "d"]
    assert [p.place for p in fields.findings.found] == ["nodes.b.timeout", "nodes.if", "nodes.e"]
    assert fields.broken == {"if", "e"}
