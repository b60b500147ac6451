"""Semantic validation: what is found, where, and what is left alone."""

import itertools
import random

import msgspec
import pytest

from symphony.workflow.builtin import builtin_catalog, catalog_from_json, catalog_to_json
from symphony.workflow.catalog import Catalog, OperatorInfo, Port
from symphony.workflow.expressions import BadExpression, Read
from symphony.workflow.files import WorkflowInvalid, loads
from symphony.workflow.model import CommandNode, ControlNode, InputSpec, OperatorNode, Workflow
from symphony.workflow.problems import ValidationReport
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, list_of
from symphony.workflow.validation import WorkflowRecursive, node_ports, port_types, validate


def _port(kind: str) -> Port:
    return Port(type=PortType(kind))


CATALOG = Catalog(
    operators={
        "value": OperatorInfo(
            name="value",
            version="1.2.3",
            outputs={"result": Port(type=ANY)},
            inputs={"value": Port(type=ANY, default=None)},
            effect="pure",
        ),
        "join": OperatorInfo(
            name="join",
            version="1.0.0",
            outputs={"result": Port(type=STRING)},
            inputs={"parts": Port(type=list_of(STRING)), "separator": Port(type=STRING, default="")},
        ),
        "count": OperatorInfo(
            name="count",
            version="2.0.0",
            inputs={"n": _port("number")},
            outputs={"total": _port("integer"), "mean": _port("number")},
        ),
    }
)


def workflow(nodes: str, rest: str = "") -> Workflow:
    return loads(f"name: case\n{rest}\nnodes:\n{nodes}", "yaml")


def found(report: ValidationReport) -> list[tuple[str, str]]:
    return [(problem.code, problem.place) for problem in report.errors]


def warned(report: ValidationReport) -> list[tuple[str, str]]:
    return [(problem.code, problem.place) for problem in report.warnings]


REST = "env: [HOME]\ninputs: {n: {type: integer, default: 1}, s: {type: string, default: x}}"

WRONG = [
    ("a: {operator: nope}", "unknown-operator", "nodes.a.operator"),
    ("a: {operator: value@2}", "unknown-operator", "nodes.a.operator"),
    ("a: {operator: value@1.2.4}", "unknown-operator", "nodes.a.operator"),
    ("a: {operator: value@1.}", "unknown-operator", "nodes.a.operator"),
    ("a: {instrument: nope}", "unknown-model", "nodes.a.instrument"),
    ("a: {operator: join}", "missing-input", "nodes.a.inputs.parts"),
    ("a: {operator: join, inputs: {parts: [x], bogus: 1}}", "unknown-port", "nodes.a.inputs.bogus"),
    ("a: {operator: join, inputs: {parts: [x, 1]}}", "type-mismatch", "nodes.a.inputs.parts"),
    ("a: {operator: join, inputs: {parts: ['${{ inputs.n }}']}}", "type-mismatch", "nodes.a.inputs.parts"),
    (
        "a: {operator: join, inputs: {parts: [x], separator: '${{ inputs.n }}'}}",
        "type-mismatch",
        "nodes.a.inputs.separator",
    ),
    ("a: {operator: count, inputs: {n: 'n${{ inputs.n }}'}}", "type-mismatch", "nodes.a.inputs.n"),
    ("a: {operator: count, inputs: {n: '${{ run.started_at }}'}}", "type-mismatch", "nodes.a.inputs.n"),
    ("a: {operator: value, inputs: {value: '${{ b.result }}'}}", "unknown-node", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ inputs.x }}'}}", "unknown-port", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ env.PATH }}'}}", "bad-expression", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ run.x }}'}}", "bad-expression", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ item }}'}}", "bad-expression", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ state.x }}'}}", "bad-expression", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ value }}'}}", "bad-expression", "nodes.a.inputs.value"),
    ("a: {operator: value, config: {k: '${{ 1 + }}'}}", "bad-expression", "nodes.a.config.k"),
    ("a: {operator: value, when: inputs.n}", "type-mismatch", "nodes.a.when"),
    ("a: {operator: value, when: '1 >'}", "bad-expression", "nodes.a.when"),
    ("a: {operator: value, when: item == 1, for_each: [1]}", "bad-expression", "nodes.a.when"),
    ("a: {operator: value, for_each: inputs.n}", "type-mismatch", "nodes.a.for_each"),
    ("a: {operator: value, for_each: '[1'}", "bad-expression", "nodes.a.for_each"),
    (
        "a: {operator: join, for_each: [1], inputs: {parts: ['${{ item }}']}}",
        "type-mismatch",
        "nodes.a.inputs.parts",
    ),
    ("a: {operator: value, after: [b]}", "unknown-node", "nodes.a.after[0]"),
    ("a: {operator: value, on_error: {fallback: b}}", "unknown-node", "nodes.a.on_error.fallback"),
    (
        "a: {operator: join, inputs: {parts: []}, on_error: {value: {result: 5}}}",
        "type-mismatch",
        "nodes.a.on_error.value.result",
    ),
    ("a: {operator: value, on_error: {value: {bogus: 5}}}", "unknown-port", "nodes.a.on_error.value.bogus"),
    (
        "a: {operator: value, on_error: {value: {result: '${{ nope.x }}'}}}",
        "unknown-node",
        "nodes.a.on_error.value.result",
    ),
    (
        "a: {operator: join, inputs: {parts: []}, on_error: {value: {result: '${{ inputs.n }}'}}}",
        "type-mismatch",
        "nodes.a.on_error.value.result",
    ),
    ("a: {operator: value, on_error: {value: {result: '${{ a.result }}'}}}", "cycle", "nodes.a"),
    ("a: {operator: value, artifact: {name: '${{ nope.x }}'}}", "unknown-node", "nodes.a.artifact.name"),
    ("a: {operator: value, artifact: {name: '${{ inputs.n }}'}}", "type-mismatch", "nodes.a.artifact.name"),
    ("a: {command: ls, artifact: {name: x}}", "missing-input", "nodes.a.artifact"),
    ("a: {command: ls, artifact: {name: x, port: y}}", "unknown-port", "nodes.a.artifact.port"),
    ("a: {command: ls, inputs: {a-b: 1, A_B: 2}}", "duplicate-name", "nodes.a.inputs.A_B"),
    ("a: {control: branch, condition: '1 + 1'}", "type-mismatch", "nodes.a.condition"),
    ("a: {control: branch, switch: inputs.n, cases: {one: uno}}", "type-mismatch", "nodes.a.cases.one"),
    ("a: {control: delay, until: '5'}", "type-mismatch", "nodes.a.until"),
    ("a: {control: approval, message: '${{ nope.x }}'}", "unknown-node", "nodes.a.message"),
    ("a: {operator: value, inputs: {value: '${{ a.result }}'}}", "cycle", "nodes.a"),
    ("a: {operator: value, inputs: {value: '${{ {1: 2} }}'}}", "type-mismatch", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ [{true: 1}] }}'}}", "type-mismatch", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ [type(1)] }}'}}", "type-mismatch", "nodes.a.inputs.value"),
    ("a: {operator: value, inputs: {value: '${{ type(1) }}'}}", "type-mismatch", "nodes.a.inputs.value"),
    ("a: {operator: join, inputs: {parts: '${{ timestamp(0) }}'}}", "type-mismatch", "nodes.a.inputs.parts"),
    ("a: {operator: count, inputs: {n: '${{ timestamp(0) }}'}}", "type-mismatch", "nodes.a.inputs.n"),
    ("a: {operator: count, inputs: {n: '${{ duration(\"1s\") }}'}}", "type-mismatch", "nodes.a.inputs.n"),
    ("a: {control: branch, condition: '{1: 2}'}", "type-mismatch", "nodes.a.condition"),
]


@pytest.mark.parametrize(("node", "code", "place"), WRONG)
def test_one_mistake_gives_one_problem_at_its_place(node: str, code: str, place: str) -> None:
    report = validate(workflow(f"  {node}", REST), CATALOG)
    assert found(report) == [(code, place)]
    assert report.errors[0].message
    assert report.errors[0].hint


SOUND = [
    "a: {operator: value@1}",
    "a: {operator: value@1.2, inputs: {value: '${{ run.id }} ${{ run.started_at }} ${{ env.HOME }}'}}",
    "a: {operator: join, inputs: {parts: ['${{ inputs.s }}'], separator: '${{ run.started_at }}'}}",
    "a: {operator: join, for_each: '[inputs.s]', inputs: {parts: ['${{ item }}', 'no ${{ index }}']}}",
    "a: {operator: count, inputs: {n: '${{ inputs.n }}'}}",
    "a: {operator: value, when: '${{ inputs.n > 0 }}'}",
    "a: {command: ls, inputs: {anything: '${{ inputs.n }}'}, artifact: {name: x, port: stdout}}",
    "a: {control: delay, until: run.started_at + duration('1h')}",
    "a: {control: delay, until: run.started_at}",
    "a: {control: branch, switch: inputs.s, cases: {one: a}, default: other}",
    "a: {operator: value, inputs: {value: '$${{ nope }}'}}",
]


@pytest.mark.parametrize("node", SOUND)
def test_sound_nodes_give_no_problem(node: str) -> None:
    assert found(validate(workflow(f"  {node}", REST), CATALOG)) == []


def test_every_problem_is_reported_at_once_and_none_follows_from_another() -> None:
    nodes = """
  a: {operator: nope, inputs: {x: 1}}
  b: {operator: join, inputs: {parts: "${{ a.anything }}"}}
  c: {operator: join}
  d: {operator: count, inputs: {n: "${{ c.result }}"}}"""
    report = validate(workflow(nodes, 'outputs: {o: "${{ d.nothing }}"}'), CATALOG)
    assert found(report) == [
        ("unknown-operator", "nodes.a.operator"),
        ("missing-input", "nodes.c.inputs.parts"),
        ("type-mismatch", "nodes.d.inputs.n"),
        ("unknown-port", "outputs.o"),
    ]


def test_a_hint_names_what_was_probably_meant() -> None:
    nodes = '  alpha: {operator: valeu}\n  b: {operator: value, inputs: {value: "${{ alhpa.x }}"}}'
    hints = [problem.hint for problem in validate(workflow(nodes), CATALOG).errors]
    assert ["value" in hints[0], "alpha" in hints[1]] == [True, True]


def test_an_unknown_version_names_the_one_present() -> None:
    report = validate(workflow("  a: {operator: value@3.0.0}"), CATALOG)
    assert "1.2.3" in report.errors[0].message


def test_nodes_that_could_not_be_read_may_be_referred_to() -> None:
    nodes = '  a: {operator: value, after: [gone], inputs: {value: "${{ gone.x }}"}}'
    assert found(validate(workflow(nodes), CATALOG, broken={"gone"})) == []


def test_ports_of_a_for_each_node_are_lists() -> None:
    nodes = """
  a: {operator: join, for_each: [x], inputs: {parts: ["${{ item }}"]}}
  b: {operator: join, inputs: {parts: "${{ a.result }}", separator: "${{ a.result }}"}}"""
    assert found(validate(workflow(nodes), CATALOG)) == [("type-mismatch", "nodes.b.inputs.separator")]


@pytest.mark.parametrize(
    ("after", "code"),
    [
        ("big.true", None),
        ("big.maybe", "unknown-port"),
        ("v.true", "unknown-port"),
        ("small.true", "unknown-node"),
        ("pick.one", None),
        ("pick.rest", None),
        ("pick.two", "unknown-port"),
    ],
)
def test_after_names_a_node_and_one_of_its_branches(after: str, code: str | None) -> None:
    nodes = f"""
  v: {{operator: value}}
  big: {{control: branch, condition: v.result}}
  pick: {{control: branch, switch: v.result, cases: {{one: 1}}, default: rest}}
  a: {{operator: value, after: [{after}]}}"""
    assert [problem.code for problem in validate(workflow(nodes), CATALOG).errors] == ([code] if code else [])


def test_a_merge_offers_the_ports_of_its_candidates() -> None:
    nodes = """
  a: {operator: join, inputs: {parts: []}}
  b: {operator: value}
  c: {operator: join, inputs: {parts: []}}
  same: {control: merge, after: [a, c]}
  mixed: {control: merge, after: [a, b]}
  d: {operator: count, inputs: {n: "${{ same.result }}"}}
  e: {operator: count, inputs: {n: "${{ mixed.result }}"}}
  f: {operator: value, inputs: {value: "${{ mixed.nope }}"}}"""
    report = validate(workflow(nodes), CATALOG)
    assert found(report) == [("type-mismatch", "nodes.d.inputs.n"), ("unknown-port", "nodes.f.inputs.value")]


def test_a_fallback_offers_the_same_ports() -> None:
    nodes = """
  a: {operator: count, inputs: {n: 1}, on_error: {fallback: b}}
  b: {operator: value}"""
    report = validate(workflow(nodes), CATALOG)
    assert found(report) == [("unknown-port", "nodes.a.on_error.fallback")] * 2


def test_who_reads_a_failed_node_waits_for_its_fallback_too() -> None:
    nodes = """
  a: {operator: value, on_error: {fallback: b}}
  b: {operator: value, inputs: {value: "${{ c.result }}"}}
  c: {operator: value, inputs: {value: "${{ a.result }}"}}"""
    assert found(validate(workflow(nodes), CATALOG)) == [("cycle", "nodes.b")]


def test_each_cycle_is_reported_once_at_its_first_node_with_its_path() -> None:
    nodes = """
  z: {operator: value, after: [a]}
  y: {operator: value, after: [z, y]}
  a: {operator: value, inputs: {value: "${{ c.result }}"}}
  b: {operator: value, when: a.result > 1}
  c: {operator: value, after: [b]}
  d: {operator: value, after: [e]}
  e: {operator: value, after: [d]}
  f: {operator: value, after: [e, a]}"""
    report = validate(workflow(nodes), CATALOG)
    assert {problem.place: problem.message.partition(": ")[2] for problem in report.errors} == {
        "nodes.a": "a -> b -> c -> a",
        "nodes.d": "d -> e -> d",
        "nodes.y": "y -> y",
    }
    assert {problem.code for problem in report.errors} == {"cycle"}


def test_a_cycle_of_ten_thousand_nodes_is_found_without_recursion() -> None:
    names = [f"n{i}" for i in range(10_000)]
    nodes = {n: OperatorNode(operator="value", after=(names[i - 1],)) for i, n in enumerate(names)}
    report = validate(Workflow(name="w", nodes=nodes), CATALOG)
    assert found(report) == [("cycle", "nodes.n0")]
    assert len(report.errors[0].message) < 1_000


def test_random_graphs_have_a_cycle_exactly_where_a_depth_first_search_finds_one() -> None:
    chance = random.Random(7)
    for _ in range(60):
        size = chance.randint(1, 8)
        before = {
            f"n{i}": [f"n{chance.randrange(size)}" for _ in range(chance.randint(0, 2))] for i in range(size)
        }
        nodes = {name: OperatorNode(operator="value", after=tuple(set(s))) for name, s in before.items()}
        reach = {name: set(sources) for name, sources in before.items()}
        for _ in range(size):
            for name in reach:
                reach[name] |= set().union(*(reach[source] for source in reach[name]))
        components = {
            frozenset(m for m in reach if n in reach[m] and m in reach[n]) for n in reach if n in reach[n]
        }
        report = validate(Workflow(name="w", nodes=nodes), CATALOG)
        first = sorted(f"nodes.{min(component)}" for component in components)  # names have one digit
        assert sorted(problem.place for problem in report.errors) == first
        for problem in report.errors:
            path = problem.message.partition(": ")[2].partition(" (")[0].split(" -> ")
            assert f"nodes.{path[0]}" == f"nodes.{path[-1]}" == problem.place
            assert all(source in before[name] for source, name in itertools.pairwise(path))


LOOP = """
  seed: {{operator: value}}
  grow:
    control: loop
    state: {{x: 1, any: "${{{{ seed.result }}}}"}}
    {test}
    body:
      twice: {{operator: join, inputs: {{parts: {parts}}}}}
    next: {{{following}}}
    max_iterations: 5
  after: {{operator: value, inputs: {{value: "${{{{ grow.x }}}} ${{{{ grow.iterations }}}}"}}}}"""


@pytest.mark.parametrize(
    ("test", "parts", "following", "expected"),
    [
        ("while: state.x < 3", "['n${{ iteration }}']", "x: state.x + 1", []),
        ("until: size(twice.result) > 3", "['${{ seed.result }}']", "x: twice.result", []),
        ("while: size(twice.result) > 3", "[]", "x: state.x", [("unknown-node", "nodes.grow.while")]),
        ("while: state.y < 3", "[]", "x: state.x", [("bad-expression", "nodes.grow.while")]),
        ("while: state.x + 1", "[]", "x: state.x", [("type-mismatch", "nodes.grow.while")]),
        (
            "while: 'true'",
            "7",
            "x: 1 +",
            [
                ("type-mismatch", "nodes.grow.body.twice.inputs.parts"),
                ("bad-expression", "nodes.grow.next.x"),
            ],
        ),
        (
            "while: 'true'",
            "['${{ state.x }}']",
            "x: state.x + 1",
            [("type-mismatch", "nodes.grow.body.twice.inputs.parts")],
        ),
        ("while: 'true'", "[]", "y: state.x", [("unknown-port", "nodes.grow.next.y")]),
        ("while: 'true'", "['${{ twice.result }}']", "x: 1", [("cycle", "nodes.grow.body.twice")]),
        ("while: 'true'", "['${{ after.result }}']", "x: 1", [("cycle", "nodes.grow")]),
    ],
)
def test_a_loop_is_a_level_of_its_own(
    test: str, parts: str, following: str, expected: list[tuple[str, str]]
) -> None:
    nodes = LOOP.format(test=test, parts=parts, following=following)
    assert found(validate(workflow(nodes), CATALOG)) == expected


def test_loops_nested_thirty_deep_are_checked_quickly() -> None:
    node: ControlNode | OperatorNode = OperatorNode(operator="value")
    for _ in range(30):
        node = ControlNode(
            control="loop", state={"x": 0}, while_="state.x < 2", body={"b": node}, next={"x": "state.x + 1"}
        )
    assert found(validate(Workflow(name="w", nodes={"a": node}), CATALOG)) == []


CHILD = """
name: child
inputs: {n: {type: integer}, by: {type: integer, default: 2}, maybe: {type: "string?"}}
nodes:
  v: {operator: count, inputs: {n: "${{ inputs.n * inputs.by }}"}}
outputs: {total: "${{ v.total }}"}
"""


class Files:
    """A resolver over texts."""

    def __init__(self, files: dict[str, str], above: tuple[str, ...] = ("main",)) -> None:
        self.files, self.above = files, above

    def __call__(self, reference: str) -> Workflow | None:
        if reference in self.above:
            raise WorkflowRecursive(f"{reference} leads back to itself")
        return loads(self.files[reference], "yaml") if reference in self.files else None

    def child(self, reference: str) -> "Files":
        return Files(self.files, (*self.above, reference))


def test_inputs_and_ports_of_a_sub_workflow_are_checked() -> None:
    nodes = """
  a: {workflow: child}
  b: {workflow: child, inputs: {n: four}}
  c: {workflow: child, inputs: {n: 1, bogus: 2}}
  d: {operator: join, inputs: {parts: "${{ c.total }}", separator: "${{ c.nope }}"}}
  f: {workflow: nowhere}"""
    assert found(validate(workflow(nodes), CATALOG, resolve=Files({"child": CHILD}))) == [
        ("missing-input", "nodes.a.inputs.n"),
        ("type-mismatch", "nodes.b.inputs.n"),
        ("unknown-port", "nodes.c.inputs.bogus"),
        ("type-mismatch", "nodes.d.inputs.parts"),
        ("unknown-port", "nodes.d.inputs.separator"),
        ("unknown-workflow", "nodes.f.workflow"),
    ]


def test_a_chain_of_sub_workflows_that_is_too_deep_is_not_called_a_cycle() -> None:
    files = {f"d{i}": f"name: d{i}\nnodes:\n  x: {{workflow: d{i + 1}}}" for i in range(40)}
    files["d40"] = "name: last\nnodes:\n  x: {operator: value, inputs: {value: 1}}"
    (problem,) = validate(workflow("  a: {workflow: d0}"), CATALOG, resolve=Files(files)).errors
    assert (problem.code, problem.place) == ("limit-exceeded", "nodes.a.workflow")
    assert "nested more than 32 deep" in problem.message
    assert found(validate(workflow("  a: {workflow: d20}"), CATALOG, resolve=Files(files))) == []


def test_a_bare_timestamp_in_a_delay_is_told_how_to_be_written() -> None:
    moment = "2030-01-01T00:00:00Z"
    (problem,) = validate(workflow(f"  a: {{control: delay, until: '{moment}'}}"), CATALOG).errors
    assert (problem.code, problem.hint) == ("type-mismatch", f'write timestamp("{moment}")')
    assert (
        found(validate(workflow(f"  a: {{control: delay, until: 'timestamp(\"{moment}\")'}}"), CATALOG)) == []
    )


def test_without_a_resolver_sub_workflows_are_not_looked_at() -> None:
    assert found(validate(workflow("  a: {workflow: child, inputs: {x: 1}}"), CATALOG)) == []


@pytest.mark.parametrize(
    ("files", "code", "word"),
    [
        ({"b": "name: b\nnodes: {x: {workflow: main}}"}, "cycle", "main"),
        (
            {"b": "name: b\nnodes: {x: {workflow: c}}", "c": "name: c\nnodes: {x: {workflow: b}}"},
            "cycle",
            "b",
        ),
        ({"b": "name: b\nnodes: {x: {operator: nope}}"}, "unknown-workflow", "nope"),
        ({"b": "name: b\nnodes: {x: {}}"}, "unknown-workflow", "b"),
    ],
)
def test_what_is_wrong_inside_a_sub_workflow_is_said_at_its_node(
    files: dict[str, str], code: str, word: str
) -> None:
    report = validate(workflow("  a: {workflow: b}"), CATALOG, resolve=Files(files))
    assert found(report) == [(code, "nodes.a.workflow")]
    assert word in report.errors[0].message


def test_a_workflow_that_resolves_to_itself_ends_as_a_cycle() -> None:
    endless = workflow("  a: {workflow: me}")
    assert found(validate(endless, CATALOG, resolve=lambda reference: endless)) == [
        ("cycle", "nodes.a.workflow")
    ]
    fresh = validate(endless, CATALOG, resolve=lambda reference: workflow("  a: {workflow: me}"))
    assert found(fresh) == [("cycle", "nodes.a.workflow")]


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        ("{from: a.result, to: b.parts}", []),
        ("{from: c.total, to: b.parts}", [("type-mismatch", "edges[0].to")]),
        ("{from: c.total, to: b.parts, transform: '[string(value)]'}", []),
        ("{from: c.total, to: b.parts, transform: 'value + '}", [("bad-expression", "edges[0].transform")]),
        ("{from: a.nope, to: b.parts}", [("unknown-port", "edges[0].from")]),
        (
            "{from: nobody, to: d}",
            [("missing-input", "nodes.b.inputs.parts"), ("unknown-node", "edges[0].from")],
        ),
        ("{from: a, to: d}", [("missing-input", "nodes.b.inputs.parts")]),
        (
            "{from: a.true, to: d}",
            [("missing-input", "nodes.b.inputs.parts"), ("unknown-port", "edges[0].from")],
        ),
        (
            "{from: a, to: d, when: a.result >}",
            [("missing-input", "nodes.b.inputs.parts"), ("bad-expression", "edges[0].when")],
        ),
        (
            "{from: a, to: d, when: c.total}",
            [("missing-input", "nodes.b.inputs.parts"), ("type-mismatch", "edges[0].when")],
        ),
        (
            "{from: d.result, to: c.n}",
            [("missing-input", "nodes.b.inputs.parts"), ("duplicate-name", "edges[0].to")],
        ),
    ],
)
def test_explicit_edges_are_checked(edge: str, expected: list[tuple[str, str]]) -> None:
    nodes = """
  a: {operator: value}
  b: {operator: join}
  c: {operator: count, inputs: {n: 1}}
  d: {operator: value}"""
    assert found(validate(workflow(nodes, f"edges: [{edge}]"), CATALOG)) == expected


def test_the_limits_of_nodes_and_edges_hold_exactly() -> None:
    def wide(count: int) -> Workflow:
        return Workflow(name="w", nodes={f"n{i}": OperatorNode(operator="value") for i in range(count)})

    assert found(validate(wide(10_000), CATALOG)) == []
    assert [code for code, _ in found(validate(wide(10_001), CATALOG))] == ["limit-exceeded"]
    names = [f"n{i}" for i in range(501)]
    nodes = {
        name: CommandNode(command="true", after=tuple(names[max(0, i - 101) : i]))
        for i, name in enumerate(names)
    }
    edges = sum(len(node.after) for node in nodes.values())
    last = {f"e{i}": "${{ n0.exit_code }}" for i in range(50_000 - edges)}
    full = {**nodes, "last": CommandNode(command="true", inputs=last)}
    assert found(validate(Workflow(name="w", nodes=full), CATALOG)) == []
    more = {**full, "more": CommandNode(command="true", after=("n0",))}
    assert [code for code, _ in found(validate(Workflow(name="w", nodes=more), CATALOG))] == [
        "limit-exceeded"
    ]


def test_warnings_name_what_is_of_no_use() -> None:
    nodes = """
  a: {operator: value, inputs: {value: "${{ inputs.used }}"}}
  b: {operator: value, inputs: {value: "${{ a.result }}"}}
  alone: {operator: value}
  shown: {operator: value}
  never: {operator: value, when: "false", after: [b]}
  behind: {operator: value, after: [never]}
  either: {operator: value, join: any, after: [never, b]}
  x: {control: branch, condition: a.result}
  both: {operator: value, after: [x.true, x.false]}
  off: {operator: value, enabled: false, after: [b]}"""
    rest = 'inputs: {used: {default: 1}, spare: {default: 2}}\noutputs: {o: "${{ shown.result }}"}'
    report = validate(workflow(nodes, rest), CATALOG)
    assert report.ok
    assert warned(report) == [
        ("unused-input", "inputs.spare"),
        ("orphan", "nodes.alone"),
        ("unreachable", "nodes.never"),
        ("unreachable", "nodes.behind"),
        ("unreachable", "nodes.both"),
    ]


def test_a_workflow_of_one_node_has_no_orphan() -> None:
    assert warned(validate(workflow("  a: {operator: value}"), CATALOG)) == []


def test_port_types_say_what_is_in_scope() -> None:
    flow = Workflow(
        name="w", env=("HOME",), inputs={"n": InputSpec(type=INTEGER)}, nodes={"c": CommandNode(command="ls")}
    )
    types = port_types(flow, CATALOG, item=STRING, state={"x": INTEGER}, value=ANY)
    read = [Read("input", "n"), Read("port", "c", "stdout"), Read("item"), Read("state", "x"), Read("index")]
    assert [types(one) for one in read] == [INTEGER, STRING, STRING, INTEGER, INTEGER]
    plain = port_types(flow, CATALOG)
    for one in [Read("item"), Read("state", "x"), Read("iteration"), Read("value"), Read("env", "PATH")]:
        with pytest.raises(BadExpression) as caught:
            plain(one)
        assert caught.value.problem_code == "bad-expression"


def test_node_ports_are_those_that_others_see() -> None:
    inputs, outputs = node_ports(OperatorNode(operator="join", for_each=["x"]), CATALOG)
    assert inputs is not None
    assert list(inputs) == ["parts", "separator"]
    assert outputs is not None
    assert outputs["result"].type == list_of(STRING)
    assert node_ports(OperatorNode(operator="nope"), CATALOG) == (None, None)
    loop = ControlNode(
        control="loop", state={"x": 0}, body={}, next={"x": "state.x + 1"}, while_="state.x < 3"
    )
    ports = node_ports(loop, CATALOG)[1]
    assert ports is not None
    assert {name: str(port.type) for name, port in ports.items()} == {
        "x": "integer",
        "iterations": "integer",
    }


def test_the_builtin_catalogue_survives_being_written_and_read() -> None:
    catalog = builtin_catalog()
    assert catalog.operators["text.join"].inputs["separator"].default == ""
    again = catalog_from_json(catalog_to_json(catalog))
    assert again == catalog
    odd = Catalog(
        operators={
            "o": OperatorInfo(
                name="o",
                version="1.0.0",
                inputs={"e": Port(type=PortType("enum", choices=("a", "b"), optional=True))},
            )
        }
    )
    assert catalog_from_json(catalog_to_json(odd)) == odd
    assert msgspec.json.decode(catalog_to_json(odd))["models"] == {}


def test_structural_mistakes_are_not_for_validation() -> None:
    with pytest.raises(WorkflowInvalid):
        workflow("  a: {control: delay}")
