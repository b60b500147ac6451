"""Validation's short path says what its long one says; mistakes in great numbers are bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog, OperatorInfo, Port
from symphony.workflow.files import loads
from symphony.workflow.model import (
    CommandNode,
    ControlNode,
    InputSpec,
    Node,
    OperatorNode,
    Retry,
    Workflow,
)
from symphony.workflow.problems import PROBLEMS_MAX, did_you_mean
from symphony.workflow.types import ANY, PortType, parse_type
from symphony.workflow.validation import validate
from symphony.workflow.validation.level import Level

TYPES = (
    "any",
    "string",
    "integer",
    "number",
    "list[string]",
    "list[any]",
    "embedding",
    "map[integer]",
    "json",
)
CATALOG = Catalog(
    operators={
        f"o{i}": OperatorInfo(
            name=f"o{i}",
            version="1.0.0",
            inputs={"x": Port(type=parse_type(kind), default=None)},
            outputs={"y": Port(type=parse_type(kind)), "in": Port(type=ANY)},
        )
        for i, kind in enumerate(TYPES)
    }
)
INPUTS = {"n": InputSpec(type=PortType("integer")), "s": InputSpec(type=PortType("string"))}
SPELLED = (
    "${{ %s }}", "${{%s}}", "${{\t%s  }}", "${{ %s}} ", "$${{ %s }}", "${{ %s + 1 }}", "%s",
    "${{ %s }}${{ 1 }}", "${{ %s", "${{ size(%s) }}", "${{ [%s] }}", "${{ - %s }}",
)  # fmt: skip
NAMES = (
    "a.y", "b.y", "c.y", "inputs.n", "inputs.s", "inputs.zz", "a.zz", "zz.y", "a", "a.in", "a.true", "run.id",
    "item", "value", "1", "a . y", 'nodes["a"].y', "a.y.z", "a.",
)  # fmt: skip
texts = st.builds(lambda form, name: form % name, st.sampled_from(SPELLED), st.sampled_from(NAMES))
plain: st.SearchStrategy[Value] = st.sampled_from([None, True, 1, 2**63, 1.5, float("inf"), "t", b"b"])
values = (
    texts | plain | st.lists(texts | plain, max_size=4) | st.dictionaries(st.just("k"), texts, max_size=1)
)
operators = st.sampled_from(sorted(CATALOG.operators))


@given(st.lists(st.tuples(operators, values), min_size=3, max_size=3))
def test_the_short_path_says_what_the_long_one_says(made: list[tuple[str, Value]]) -> None:
    nodes = {
        name: OperatorNode(operator=o, inputs={"x": x}) for name, (o, x) in zip("abc", made, strict=True)
    }
    flow = Workflow(name="w", inputs=INPUTS, nodes=nodes, outputs={"out": "${{ c.y }}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Level, "bare", lambda *_: False)
        expected = validate(flow, CATALOG)
    assert validate(flow, CATALOG) == expected


@pytest.mark.parametrize("extra", [0, 1])
def test_one_edge_is_counted_for_each_pair_of_port_and_input(extra: int) -> None:
    """However often, and however spelled, an input names the port."""
    sources = {f"n{i}": CommandNode(command="true") for i in range(500)}
    every = [f"${{{{ n{i}.stdout }}}}" for i in range(500)]
    again = [*every, *every, *(f"${{{{n{i}.stdout}}}}" for i in range(500))]
    readers = {f"r{i}": CommandNode(command="true", inputs={"x": list(again)}) for i in range(100)}
    more = {"last": CommandNode(command="true", after=("n0",))} if extra else {}
    report = validate(Workflow(name="w", nodes={**sources, **readers, **more}))
    assert [problem.code for problem in report.errors] == ["limit-exceeded"] * extra


def test_a_node_may_be_called_value() -> None:
    flow = loads(
        """
name: w
nodes:
  value: {command: ls}
  b: {command: ls, inputs: {x: "${{ value.stdout }}", y: "${{ size(value.stderr) }}"}}
  c: {command: ls, when: value.exit_code == 0}
edges:
  - {from: value.exit_code, to: c.x, transform: value + 1}
outputs: {all: "${{ value }}"}
""",
        "yaml",
    )
    report = validate(flow)
    assert not report.errors
    wrong = {
        "b": CommandNode(command="ls", inputs={"x": "${{ value.nope }}"}),
        "value": CommandNode(command="ls"),
    }
    assert [p.code for p in validate(Workflow(name="w", nodes=wrong)).errors] == ["unknown-port"]


def test_thousands_of_mistakes_fill_one_report_and_take_no_longer() -> None:
    nodes = {
        f"n{i}": CommandNode(command="ls", inputs={"x": f"${{{{ m{i}.stdout }}}}"}) for i in range(10_000)
    }
    report = validate(Workflow(name="w", nodes=nodes))
    assert len(report.errors) == PROBLEMS_MAX + 1
    assert report.errors[-1].code == "limit-exceeded"


def test_a_word_is_not_sought_among_very_many() -> None:
    assert did_you_mean("nams", ["name"], "no") == "did you mean name?"
    assert did_you_mean("nams", [f"name{i}" for i in range(10_000)], "no") == "no"


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("${{ a.stdout == null ? 'skipped' : a.stdout }}", True),
        ("${{ c.result == null ? 0 : size(c.result) }}", True),
        ("${{ inputs.n == null }}", False),
        ("${{ a.exit_code + 1 }}", True),
        ("${{ a.exit_code + 1.5 }}", False),
        ("${{ a.stdout + 1 }}", False),
    ],
)
def test_any_port_may_be_compared_with_null_and_is_typed_all_the_same(text: str, sound: bool) -> None:
    nodes = {
        "a": CommandNode(command="ls"),
        "c": OperatorNode(operator="o4", inputs={"x": []}),
    }
    flow = Workflow(name="w", inputs=INPUTS, nodes=nodes, outputs={"o": text.replace("c.result", "c.y")})
    assert validate(flow, CATALOG).ok is sound


LOOP: list[Value] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (CommandNode(command="ls", timeout="5"), [("type-mismatch", "nodes.a.timeout")]),
        (CommandNode(command="ls", retry=Retry(attempts=0)), [("type-mismatch", "nodes.a.retry.attempts")]),
        (CommandNode(command="ls", concurrency=0), [("type-mismatch", "nodes.a.concurrency")]),
        (ControlNode(control="branch"), [("missing-input", "nodes.a")]),
        (ControlNode(control="merge"), [("missing-input", "nodes.a")]),
        (CommandNode(command="ls", inputs={"no name": 1}), [("bad-name", "nodes.a.inputs.no name")]),
        (CommandNode(command="ls", inputs={"x": {1: 2}}), [("type-mismatch", "nodes.a")]),  # type: ignore[dict-item]  # on purpose
        (CommandNode(command="ls", inputs={"x": {"k": object()}}), [("type-mismatch", "nodes.a")]),  # type: ignore[dict-item]  # on purpose
        (CommandNode(command="ls", inputs={"x": [2**64]}), [("type-mismatch", "nodes.a.inputs.x")]),
        (CommandNode(command="ls", inputs={"x": LOOP}), [("type-mismatch", "nodes.a")]),
        (CommandNode(command="ls", timeout="5s"), []),
    ],
)
def test_a_workflow_made_in_code_is_checked_like_one_that_was_read(
    node: Node, found: list[tuple[str, str]]
) -> None:
    nodes: dict[str, Node] = {"a": node, "b": CommandNode(command="ls", after=("a",))}
    report = validate(Workflow(name="w", nodes=nodes))
    assert [(problem.code, problem.place) for problem in report.errors] == found


def test_names_of_a_workflow_made_in_code_are_checked() -> None:
    nodes = {name: CommandNode(command="ls") for name in ("9 x", "run", "good")}
    report = validate(Workflow(name="", version="1", nodes=nodes))
    assert [(problem.code, problem.place) for problem in report.errors] == [
        ("type-mismatch", "name"),
        ("type-mismatch", "version"),
        ("bad-name", "nodes.9 x"),
        ("reserved-name", "nodes.run"),
    ]
    assert [problem.code for problem in validate(Workflow(name="w")).errors] == ["missing-input"]
