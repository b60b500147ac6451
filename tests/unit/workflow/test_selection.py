"""The part of a workflow that some of its nodes need."""

from collections.abc import Sequence

import pytest

from symphony.workflow import Workflow, loads, validate
from symphony.workflow.graph import NodeUnknown
from symphony.workflow.selection import selected

FLOW = loads(
    """
name: Parts
inputs: {n: {type: integer, default: 1}}
nodes:
  a: {operator: debug.value, inputs: {value: 1}}
  b: {command: "true", after: [a], on_error: {fallback: spare}}
  spare: {command: "true", inputs: {x: "${{ help.result }}"}}
  help: {operator: debug.value, inputs: {value: 2}}
  any: {control: branch, condition: "inputs.n > 0"}
  yes: {command: "true", after: [any.true]}
  no: {command: "true", after: [any.false]}
  one: {control: merge, after: [yes, no]}
  grow:
    control: loop
    state: {x: 0}
    while: state.x < 3
    body: {more: {operator: debug.value, inputs: {value: "${{ state.x + a.result }}"}}}
    next: {x: more.result}
  each: {operator: debug.value, for_each: "[help.result]", inputs: {value: "${{ item }}"}}
  edged: {operator: debug.value}
  when: {command: "true", when: size(each.result) > 0}
edges:
  - {from: edged, to: when, when: "help.result == 2"}
  - {from: a.result, to: edged.value}
outputs:
  sum: "${{ grow.x }}"
  both: "${{ [b.exit_code, one.exit_code] }}"
  plain: 7
""",
    "yaml",
)


def nodes(names: Sequence[str]) -> set[str]:
    part: Workflow = selected(FLOW, names).workflow
    assert validate(part).ok
    assert list(part.nodes) == [name for name in FLOW.nodes if name in part.nodes]  # in their order
    return set(part.nodes)


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        (["a"], {"a"}),
        (["help", "a"], {"a", "help"}),
        (["b"], {"a", "b", "spare", "help"}),
        (["spare"], {"a", "b", "spare", "help"}),
        (["yes"], {"any", "yes"}),
        (["one"], {"any", "yes", "no", "one"}),
        (["grow"], {"a", "grow"}),
        (["each"], {"help", "each"}),
        (["when"], {"a", "edged", "help", "each", "when"}),
    ],
)
def test_a_node_is_kept_with_all_that_it_may_need(names: list[str], needed: set[str]) -> None:
    assert nodes(names) == needed


def test_outputs_and_edges_of_other_nodes_are_left_out() -> None:
    part = selected(FLOW, ["grow"])
    assert list(part.workflow.outputs) == ["sum", "plain"]
    assert part.outputs == ("both",)
    assert part.workflow.edges == ()
    assert len(selected(FLOW, ["when"]).workflow.edges) == 2


def test_all_nodes_are_the_workflow_itself() -> None:
    assert selected(FLOW, list(FLOW.nodes)).workflow is FLOW


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gro", "did you mean grow?"),
        ("each[2]", "name the whole node: each"),
        ("grow#1.more", "name the whole node: grow"),
        ("zzzz", "its nodes are a, b, spare, help, any, yes, no, one, …"),
    ],
)
def test_an_unknown_node_is_told_with_what_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(NodeUnknown, match="no node") as caught:
        selected(FLOW, ["a", name])
    assert caught.value.hint == hint
