"""Trees as workflows: every structural problem at its place, and what is sound is kept."""

from typing import Literal

import msgspec
import pytest

from symphony.workflow import loads
from symphony.workflow.documents import format_named
from symphony.workflow.files import DocumentReading, WorkflowInvalid, read_bytes
from symphony.workflow.model import (
    ArtifactSpec,
    CommandNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    InputSpec,
    OnError,
    OperatorNode,
    Retry,
)
from symphony.workflow.problems import PROBLEMS_MAX
from symphony.workflow.types import PortType, list_of

OK = "  ok: {operator: debug.value, inputs: {value: 1}}\n"


def reading(text: str, format_: str = "yaml", nodes_max: int = 10_000) -> DocumentReading:
    return read_bytes(text.encode(), format_named(format_), nodes_max=nodes_max)


def found(text: str) -> list[tuple[str, str]]:
    return [(problem.code, problem.place) for problem in reading(text).problems]


def node(text: str) -> str:
    """A workflow whose node `a` is `text`, beside one that is sound."""
    return f"name: case\nnodes:\n{OK}  a: {text}\n"


TOP = [
    # the document, the problems
    ("[1, 2]", [("type-mismatch", "")]),
    ("just text", [("type-mismatch", "")]),
    ("null", [("type-mismatch", "")]),
    (f"nodes:\n{OK}", [("missing-input", "name")]),
    ("name: x", [("missing-input", "nodes")]),
    ("name: x\nnodes: {}", [("missing-input", "nodes")]),
    ("name: x\nnodes:", [("missing-input", "nodes")]),
    ("name: x\nnodes: [a]", [("type-mismatch", "nodes")]),
    ("{}", [("missing-input", "name"), ("missing-input", "nodes")]),
    (f"name: ''\nnodes:\n{OK}", [("type-mismatch", "name")]),
    (f"name: {'x' * 101}\nnodes:\n{OK}", [("type-mismatch", "name")]),
    (f"name: {'é' * 100}\nnodes:\n{OK}", []),
    (f"name: 5\nnodes:\n{OK}", [("type-mismatch", "name")]),
    (f"symphony: 99\nname: 5\nnodes:\n{OK}", [("unsupported-schema", "symphony")]),
    (f"symphony: '1'\nname: x\nnodes:\n{OK}", [("unsupported-schema", "symphony")]),
    (f"symphony: true\nname: x\nnodes:\n{OK}", [("unsupported-schema", "symphony")]),
    (f"symphony: 1.0\nname: x\nnodes:\n{OK}", [("unsupported-schema", "symphony")]),
    (f"name: x\ncolour: red\nslug: x\nnodes:\n{OK}", [("unknown-key", "colour"), ("unknown-key", "slug")]),
    (f"name: x\ndescription: [no]\nnodes:\n{OK}", [("type-mismatch", "description")]),
    (f"name: x\ntags: one\nnodes:\n{OK}", [("type-mismatch", "tags")]),
    (f"name: x\ntags: [one, 2]\nnodes:\n{OK}", [("type-mismatch", "tags[1]")]),
    (f"name: x\nenv: [GOOD, B-D, 9x]\nnodes:\n{OK}", [("bad-name", "env[1]"), ("bad-name", "env[2]")]),
    (f"name: x\noutputs: [a]\nnodes:\n{OK}", [("type-mismatch", "outputs")]),
    (f"name: x\noutputs: {{two words: 1, v: .inf}}\nnodes:\n{OK}",
     [("bad-name", "outputs.two words"), ("type-mismatch", "outputs.v")]),
    (f"name: x\nmetadata: {{$x: 1, ok: [.nan]}}\nnodes:\n{OK}",
     [("type-mismatch", "metadata.$x"), ("type-mismatch", "metadata.ok[0]")]),
    (f"name: x\nbudget: {{money: 0.5, tokens: 10000, calls: 20}}\nnodes:\n{OK}", []),
    (f"name: x\nbudget: {{money: 0}}\nnodes:\n{OK}", []),
    (f"name: x\nbudget: {{}}\nnodes:\n{OK}", [("type-mismatch", "budget")]),
    (f"name: x\nbudget: 5\nnodes:\n{OK}", [("type-mismatch", "budget")]),
    (f"name: x\nbudget: {{money: -1, tokens: 0, calls: 1.5, euros: 2}}\nnodes:\n{OK}",
     [("type-mismatch", "budget.money"), ("type-mismatch", "budget.tokens"),
      ("type-mismatch", "budget.calls"), ("unknown-key", "budget.euros")]),
    (f"name: x\nbudget: {{money: .inf}}\nnodes:\n{OK}", [("type-mismatch", "budget.money")]),
    (f"name: x\nnodes:\n{OK}  ok: 5\n", [("duplicate-name", "nodes.ok")]),
    (f"name: x\nsteps: [{{name: s, command: c}}]\nnodes:\n{OK}", [("type-mismatch", "steps")]),
]  # fmt: skip
VERSIONS = {
    True: [
        "0.0.0",
        "1.2.3",
        "1.0.0-rc.1",
        "1.0.0-0.3.7",
        "1.0.0-x-y-z.--",
        "2.3.4-rc.1+build.5",
        "1.0.0+001",
    ],
    False: [
        "'1'",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0+",
        "'1.0.0 '",
        "''",
        "١.0.0",
        "[1]",
    ],
}
NAMES = {
    "bad-name": ["9lives", "two words", "dot.ted", "é", "-dash", '""', "n" * 101, '"a\\n"'],
    "reserved-name": [
        "inputs",
        "item",
        "index",
        "run",
        "env",
        "state",
        "iteration",
        "nodes",
        "in",
        "loop",
        "map",
        "type",
    ],
    None: ["_x", "A-b_C9", "n" * 100, "Item", "Loop", "minimum"],
}
DURATIONS = {
    True: ["0ms", "1500ms", "5m", "48h", "7d", "007s"],
    False: [
        "5",
        "1.5s",
        "'-1s'",
        "1h30m",
        "'5 s'",
        "1w",
        "s",
        "5S",
        "''",
        "[1s]",
        "٣s",
        f"{'9' * 400}d",
        "true",
    ],
}
INPUTS = [
    ("5", [("type-mismatch", "inputs.a")]),
    ("{type: strin}", [("type-mismatch", "inputs.a.type")]),
    ("{type: [string]}", [("type-mismatch", "inputs.a.type")]),
    ("{type: 'list[list[strin]]'}", [("type-mismatch", "inputs.a.type")]),
    (f"{{type: '{'list[' * 40}string{']' * 40}'}}", [("type-mismatch", "inputs.a.type")]),
    ("{type: integer, default: many}", [("type-mismatch", "inputs.a.default")]),
    ("{type: integer, default: true}", [("type-mismatch", "inputs.a.default")]),
    ("{type: integer, default: 1.0}", [("type-mismatch", "inputs.a.default")]),
    ("{type: string, default: null}", [("type-mismatch", "inputs.a.default")]),
    ("{type: 'list[string]', default: [x, 2]}", [("type-mismatch", "inputs.a.default")]),
    ("{type: integer, default: 0, min: 1}", [("type-mismatch", "inputs.a.default")]),
    ("{type: number, default: 9, max: 8.5}", [("type-mismatch", "inputs.a.default")]),
    ("{type: integer, min: 2, max: 1}", [("type-mismatch", "inputs.a.min")]),
    ("{type: integer, min: low}", [("type-mismatch", "inputs.a.min")]),
    ("{type: integer, max: true}", [("type-mismatch", "inputs.a.max")]),
    ("{type: integer, max: .inf}", [("type-mismatch", "inputs.a.max")]),
    ("{type: string, min: 1}", [("type-mismatch", "inputs.a.min")]),
    ("{type: string, colour: red}", [("unknown-key", "inputs.a.colour")]),
    ("{enum: []}", [("type-mismatch", "inputs.a.enum")]),
    ("{enum: x}", [("type-mismatch", "inputs.a.enum")]),
    ("{enum: [x, 1]}", [("type-mismatch", "inputs.a.enum[1]")]),
    ("{enum: [x, y, x]}", [("duplicate-name", "inputs.a.enum[2]")]),
    ("{enum: [x, y], default: z}", [("type-mismatch", "inputs.a.default")]),
    ("{enum: [x, y], type: string}", [("type-mismatch", "inputs.a.enum")]),
    ("{type: bytes, default: {$bytes: '!'}}", [("type-mismatch", "inputs.a.default")]),
]
NODES = [
    ("5", [("type-mismatch", "nodes.a")]),
    ("[x]", [("type-mismatch", "nodes.a")]),
    ("", [("type-mismatch", "nodes.a")]),
    ("{inputs: {value: 1}}", [("type-mismatch", "nodes.a")]),
    ("{operator: o, command: c}", [("type-mismatch", "nodes.a")]),
    ("{operator: ''}", [("type-mismatch", "nodes.a.operator")]),
    ("{operator: 5}", [("type-mismatch", "nodes.a.operator")]),
    ("{instrument: [m]}", [("type-mismatch", "nodes.a.instrument")]),
    ("{workflow: null}", [("type-mismatch", "nodes.a.workflow")]),
    ("{command: 'echo ${{ inputs.who }}'}", [("bad-expression", "nodes.a.command")]),
    ("{command: 'echo ${{'}", [("bad-expression", "nodes.a.command")]),
    ("{command: 'echo $${{ x }} ${X} $((1)) {{ }}'}", []),
    ('{command: "a\\0b"}', [("type-mismatch", "nodes.a.command")]),
    ("{command: ' '}", [("type-mismatch", "nodes.a.command")]),
    ("{operator: o, colour: red}", [("unknown-key", "nodes.a.colour")]),
    ("{operator: o, condition: x}", [("unknown-key", "nodes.a.condition")]),
    ("{operator: o, inputs: [x]}", [("type-mismatch", "nodes.a.inputs")]),
    ("{operator: o, inputs: {two words: 1}}", [("bad-name", "nodes.a.inputs.two words")]),
    ("{operator: o, inputs: {v: {$x: 1, y: [{$z: 1}]}}}",
     [("type-mismatch", "nodes.a.inputs.v.$x"), ("type-mismatch", "nodes.a.inputs.v.y[0].$z")]),
    ("{operator: o, inputs: {v: {$bytes: '****'}}}", [("type-mismatch", "nodes.a.inputs.v")]),
    ("{operator: o, inputs: {v: {$bytes: 5}}}", [("type-mismatch", "nodes.a.inputs.v")]),
    ("{operator: o, inputs: {v: {$bytes: AA==, x: 1}}}", [("type-mismatch", "nodes.a.inputs.v.$bytes")]),
    ("{operator: o, inputs: {v: {$null: true}}}", [("type-mismatch", "nodes.a.inputs.v.$null")]),
    ("{operator: o, inputs: {v: 9223372036854775808}}", [("type-mismatch", "nodes.a.inputs.v")]),
    ("{operator: o, inputs: {v: -9223372036854775809}}", [("type-mismatch", "nodes.a.inputs.v")]),
    ("{operator: o, inputs: {v: [[.nan]], w: .inf}}",
     [("type-mismatch", "nodes.a.inputs.v[0][0]"), ("type-mismatch", "nodes.a.inputs.w")]),
    ("{operator: o, inputs: {v: {1: x}}}", [("type-mismatch", "nodes.a.inputs.v")]),
    ("{operator: o, config: x}", [("type-mismatch", "nodes.a.config")]),
    ("{operator: o, for_each: 5}", [("type-mismatch", "nodes.a.for_each")]),
    ("{operator: o, for_each: [.inf]}", [("type-mismatch", "nodes.a.for_each[0]")]),
    ("{operator: o, for_each: [1], concurrency: 0}", [("type-mismatch", "nodes.a.concurrency")]),
    ("{operator: o, concurrency: 2}", [("type-mismatch", "nodes.a.concurrency")]),
    ("{operator: o, when: [x]}", [("type-mismatch", "nodes.a.when")]),
    ("{operator: o, after: ok}", [("type-mismatch", "nodes.a.after")]),
    ("{operator: o, after: [ok, 5, two words, a.b.c]}",
     [("type-mismatch", "nodes.a.after[1]"), ("type-mismatch", "nodes.a.after[1]"),
      ("type-mismatch", "nodes.a.after[2]")]),
    ("{operator: o, join: some}", [("type-mismatch", "nodes.a.join")]),
    ("{operator: o, cache: maybe}", [("type-mismatch", "nodes.a.cache")]),
    ("{operator: o, retry: 3}", [("type-mismatch", "nodes.a.retry")]),
    ("{operator: o, retry: {attempts: 0, backoff: fibonacci, initial: 1, max: 2w, jitter: 1, colour: red}}",
     [("type-mismatch", f"nodes.a.retry.{k}") for k in ("attempts", "backoff", "initial", "max", "jitter")]
     + [("unknown-key", "nodes.a.retry.colour")]),
    ("{operator: o, on_error: explode}", [("type-mismatch", "nodes.a.on_error")]),
    ("{operator: o, on_error: {}}", [("type-mismatch", "nodes.a.on_error")]),
    ("{operator: o, on_error: {value: {x: 1}, fallback: ok}}", [("type-mismatch", "nodes.a.on_error")]),
    ("{operator: o, on_error: {fallback: 5}}", [("type-mismatch", "nodes.a.on_error.fallback")]),
    ("{operator: o, on_error: {value: 5}}", [("type-mismatch", "nodes.a.on_error.value")]),
    ("{operator: o, on_error: {retry: 5}}",
     [("unknown-key", "nodes.a.on_error.retry"), ("type-mismatch", "nodes.a.on_error")]),
    ("{operator: o, idempotent: maybe}", [("type-mismatch", "nodes.a.idempotent")]),
    ("{operator: o, enabled: 1}", [("type-mismatch", "nodes.a.enabled")]),
    ("{operator: o, priority: 1.5}", [("type-mismatch", "nodes.a.priority")]),
    ("{operator: o, artifact: report}", [("type-mismatch", "nodes.a.artifact")]),
    ("{operator: o, artifact: {content_type: x}}", [("missing-input", "nodes.a.artifact.name")]),
    ("{operator: o, artifact: {name: x, port: 5}}", [("type-mismatch", "nodes.a.artifact.port")]),
    ('{operator: o, artifact: {name: "a\\tb"}}', [("type-mismatch", "nodes.a.artifact.name")]),
    ("{operator: o, artifact: {name: " + "x" * 201 + "}}", [("type-mismatch", "nodes.a.artifact.name")]),
    ("{operator: o, artifact: {name: " + "x" * 200 + "}}", []),
    ('{operator: o, artifact: {name: "${{ ' + "x" * 201 + ' }}"}}', []),
    ('{operator: o, artifact: {name: x, content_type: "a\\nb"}}',
     [("type-mismatch", "nodes.a.artifact.content_type")]),
    ("{operator: o, position: [1]}", [("type-mismatch", "nodes.a.position")]),
    ("{operator: o, position: [1, .inf]}", [("type-mismatch", "nodes.a.position")]),
    ("{operator: o, position: [1, true]}", [("type-mismatch", "nodes.a.position")]),
    ("{operator: o, description: 5}", [("type-mismatch", "nodes.a.description")]),
    ("{operator: o, timeout: null}", [("type-mismatch", "nodes.a.timeout")]),
    ("{control: teleport}", [("type-mismatch", "nodes.a.control")]),
    ("{control: branch}", [("missing-input", "nodes.a")]),
    ("{control: branch, condition: x, switch: y, cases: {z: 1}}", [("type-mismatch", "nodes.a.switch")]),
    ("{control: branch, switch: y}", [("missing-input", "nodes.a.cases")]),
    ("{control: branch, switch: y, cases: {}}", [("type-mismatch", "nodes.a.cases")]),
    ("{control: branch, switch: y, cases: {a b: 1}}", [("bad-name", "nodes.a.cases.a b")]),
    ("{control: branch, condition: x, cases: {z: 1}, default: z}",
     [("unknown-key", "nodes.a.cases"), ("unknown-key", "nodes.a.default")]),
    ("{control: branch, condition: x, body: {}}", [("unknown-key", "nodes.a.body")]),
    ("{control: merge}", [("missing-input", "nodes.a")]),
    ("{control: delay}", [("missing-input", "nodes.a")]),
    ("{control: delay, for: 5}", [("type-mismatch", "nodes.a.for")]),
    ("{control: delay, for: 5s, until: x}", [("type-mismatch", "nodes.a.until")]),
    ("{control: approval, on_timeout: explode, message: 5}",
     [("type-mismatch", "nodes.a.on_timeout"), ("type-mismatch", "nodes.a.message")]),
    ("{control: loop}", [("missing-input", "nodes.a"), ("missing-input", "nodes.a.body")]),
    ("{control: loop, until: x, body: {}}", [("missing-input", "nodes.a.body")]),
    ("{control: loop, while: x, until: y, body: {b: {operator: o}}}", [("type-mismatch", "nodes.a.until")]),
    ("{control: loop, until: x, max_iterations: 0, body: {b: {operator: o}}}",
     [("type-mismatch", "nodes.a.max_iterations")]),
    ("{control: loop, until: x, body: {item: {operator: o}, b: {join: x, operator: o}, c: {}}}",
     [("reserved-name", "nodes.a.body.item"), ("type-mismatch", "nodes.a.body.b.join"),
      ("type-mismatch", "nodes.a.body.c")]),
]  # fmt: skip
EDGES = [
    ("5", [("type-mismatch", "edges")]),
    ("[5]", [("type-mismatch", "edges[0]")]),
    ("[{to: b}]", [("missing-input", "edges[0].from")]),
    ("[{from: a, to: 5}]", [("type-mismatch", "edges[0].to")]),
    ("[{from: a.b.c, to: b}]", [("type-mismatch", "edges[0].from")]),
    ("[{from: a., to: b}]", [("type-mismatch", "edges[0].from")]),
    ("[{from: a, to: b.value}]", [("type-mismatch", "edges[0].from")]),
    ("[{from: a.x, to: b, when: 'true'}]", [("type-mismatch", "edges[0].from")]),
    ("[{from: a, to: b, colour: red}]", [("unknown-key", "edges[0].colour")]),
    ("[{from: a, to: b, transform: value}]", [("unknown-key", "edges[0].transform")]),
    ("[{from: a, to: b, label: x}]", [("unknown-key", "edges[0].label")]),
    ("[{from: a, to: b, priority: high}]", [("type-mismatch", "edges[0].priority")]),
    ("[{from: a.x, to: b.y, priority: 2}]", [("unknown-key", "edges[0].priority")]),
    ("[{from: a, to: b, when: x, priority: 2}]", [("unknown-key", "edges[0].priority")]),
    ("[{from: a, to: b, derived: maybe}]", [("type-mismatch", "edges[0].derived")]),
    ("[{from: [x], to: {}, derived: true, more: 1}]", []),
]
STEPS = [
    ("5", [("type-mismatch", "steps")]),
    ("[]", [("missing-input", "steps")]),
    ("[5]", [("type-mismatch", "steps[0]")]),
    ("[{name: a}]", [("missing-input", "steps[0].command")]),
    ("[{command: x}]", [("missing-input", "steps[0].name")]),
    ("[{name: two words, command: x}]", [("bad-name", "steps[0].name")]),
    ("[{name: item, command: x}]", [("reserved-name", "steps[0].name")]),
    ("[{name: a, command: x}, {name: a, command: y}]", [("duplicate-name", "steps[1].name")]),
    ("[{name: a, command: x, needs: [b]}]", [("unknown-node", "steps[0].needs[0]")]),
    ("[{name: a, command: x, needs: b}]", [("type-mismatch", "steps[0].needs")]),
    ("[{name: a, command: '${{ x }}', run: y}]",
     [("bad-expression", "steps[0].command"), ("unknown-key", "steps[0].run")]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), TOP)
def test_a_bad_document_is_told_at_its_place(text: str, problems: list[tuple[str, str]]) -> None:
    assert sorted(found(text)) == sorted(problems)


@pytest.mark.parametrize(("text", "problems"), NODES)
def test_a_bad_node_is_told_at_its_place(text: str, problems: list[tuple[str, str]]) -> None:
    assert sorted(found(node(text))) == sorted(problems)


@pytest.mark.parametrize(("text", "problems"), INPUTS)
def test_a_bad_input_is_told_at_its_place(text: str, problems: list[tuple[str, str]]) -> None:
    assert found(f"name: x\ninputs: {{a: {text}}}\nnodes:\n{OK}") == problems


@pytest.mark.parametrize(("text", "problems"), EDGES)
def test_a_bad_edge_is_told_at_its_place(text: str, problems: list[tuple[str, str]]) -> None:
    assert found(f"name: x\nnodes:\n{OK}edges: {text}\n") == problems


@pytest.mark.parametrize(("text", "problems"), STEPS)
def test_a_bad_step_is_told_at_its_place(text: str, problems: list[tuple[str, str]]) -> None:
    assert sorted(found(f"name: x\nsteps: {text}\n")) == sorted(problems)


@pytest.mark.parametrize(("good", "version"), [(good, v) for good, all_ in VERSIONS.items() for v in all_])
def test_versions_are_semantic(good: bool, version: str) -> None:
    text = f"name: x\nversion: {version}\nnodes:\n{OK}"
    assert found(text) == ([] if good else [("type-mismatch", "version")])


@pytest.mark.parametrize(("code", "name"), [(code, n) for code, all_ in NAMES.items() for n in all_])
def test_node_names_follow_the_rule(code: str | None, name: str) -> None:
    problems = reading(f"name: x\nnodes:\n{OK}  {name}: {{operator: o}}\n").problems
    assert [p.code for p in problems] == ([] if code is None else [code])
    assert all(p.place.startswith("nodes.") and p.line == 4 for p in problems)


@pytest.mark.parametrize(("good", "text"), [(good, d) for good, all_ in DURATIONS.items() for d in all_])
def test_durations_are_digits_and_a_unit(good: bool, text: str) -> None:
    problems = [] if good else [("type-mismatch", "nodes.a.timeout")]
    assert found(node(f"{{operator: o, timeout: {text}}}")) == problems


def test_every_problem_has_a_line_a_message_and_a_hint() -> None:
    for text, _ in [*NODES, *TOP]:
        for problem in reading(node(text) if (text, _) in NODES else text).problems:
            assert problem.message
            assert problem.hint
            assert (problem.line or 0) >= 1
            assert (problem.column or 0) >= 1
            assert "\n" not in problem.message + problem.hint
            assert len(problem.message) < 300


def test_problems_are_in_document_order() -> None:
    text = "colour: red\nname: 5\nnodes:\n  a: {join: x, operator: o, cache: y}\n  b: {}\nversion: 1\n"
    places = [place for _, place in found(text)]
    assert places == ["colour", "name", "nodes.a.join", "nodes.a.cache", "nodes.b", "version"]


def test_what_is_sound_is_kept() -> None:
    read = reading(node("{operator: o, timeout: soon, priority: 3}") + "  b: {}\n  run: {operator: o}\n")
    assert read.workflow is not None
    assert list(read.workflow.nodes) == ["ok", "a"]
    assert read.workflow.nodes["a"] == OperatorNode(operator="o", priority=3)
    assert read.broken == {"b", "run"}


def test_a_hint_names_the_word_that_was_meant() -> None:
    [key] = reading(node("{operator: o, timout: 5s}")).problems
    [word] = reading(node("{operator: o, retry: {backoff: exponental}}")).problems
    [owner] = reading(node("{operator: o, max_iterations: 5}")).problems
    assert (key.hint, word.hint) == ("did you mean timeout?", "did you mean exponential?")
    assert owner.hint == "max_iterations belongs to control: loop"


def test_every_optional_key_arrives() -> None:
    text = node(
        "{operator: text.join@1.0, inputs: {parts: [a, '${{ ok.result }}']}, config: {$$x: 1},"
        " for_each: ok.result, concurrency: 2, when: ok.result > 1, after: [ok, ok], join: any,"
        " retry: {attempts: 3, backoff: linear, initial: 10ms, max: 1s, jitter: true}, timeout: 5s,"
        " on_error: {value: {result: {n: 5}}}, idempotent: true, priority: -3, cache: off,"
        " artifact: {name: report, content_type: text/markdown, port: result}, description: why,"
        " position: [10, 20.5], enabled: false, metadata: {b: {$bytes: AAEC}}}"
    )
    read = reading(text)
    assert read.problems == ()
    assert read.workflow is not None
    assert read.workflow.nodes["a"] == OperatorNode(
        operator="text.join@1.0", inputs={"parts": ["a", "${{ ok.result }}"]}, config={"$x": 1},
        for_each="ok.result", concurrency=2, when="ok.result > 1", after=("ok",), join="any",
        retry=Retry(attempts=3, backoff="linear", initial="10ms", max="1s", jitter=True), timeout="5s",
        on_error=OnError(action="value", value={"result": {"n": 5}}), idempotent=True, priority=-3,
        cache="off", artifact=ArtifactSpec(name="report", content_type="text/markdown", port="result"),
        description="why", position=(10, 20.5), enabled=False, metadata={"b": b"\x00\x01\x02"},
    )  # fmt: skip


def test_control_nodes_arrive() -> None:
    text = (
        "name: x\nnodes:\n"
        "  b: {control: branch, switch: inputs.n, cases: {one: 1, true: 2}, default: other}\n"
        "  m: {control: merge, after: [b.one, b.other]}\n"
        "  d: {control: delay, for: 5s}\n"
        "  p: {control: approval, message: Go?, timeout: 1h, on_timeout: approve}\n"
        "  l:\n    control: loop\n    state: {x: 1}\n    while: true\n"
        "    body: {twice: {command: 'true'}}\n    next: {x: 5}\n    max_iterations: 3\n"
    )
    read = reading(text)
    assert [p.code for p in read.problems] == ["type-mismatch"]  # YAML takes the case `true` for a boolean
    read = reading(text.replace("true: 2", '"true": 2'))
    assert read.problems == ()
    assert read.workflow is not None
    assert list(read.workflow.nodes.values()) == [
        ControlNode(control="branch", switch="inputs.n", cases={"one": 1, "true": 2}, default="other"),
        ControlNode(control="merge", after=("b.one", "b.other")),
        ControlNode(control="delay", for_="5s"),
        ControlNode(control="approval", message="Go?", timeout="1h", on_timeout="approve"),
        ControlNode(
            control="loop", state={"x": 1}, while_="true", body={"twice": CommandNode(command="true")},
            next={"x": 5}, max_iterations=3,
        ),
    ]  # fmt: skip


def test_inputs_arrive() -> None:
    workflow = loads(
        f"name: x\ninputs:\n  a: {{}}\n  b: {{type: 'list[integer]?', default: [1], description: why}}\n"
        f"  c: {{enum: [fast, slow], default: slow}}\n  d: {{type: number, min: 0, max: 1.5}}\n"
        f"  e: {{type: {{enum: [x]}}}}\n  in: {{type: any, default: null}}\nnodes:\n{OK}",
        "yaml",
    )
    integers = PortType("list", PortType("integer"), optional=True)
    assert workflow.inputs == {
        "a": InputSpec(),
        "b": InputSpec(type=integers, default=[1], description="why"),
        "c": InputSpec(type=PortType("enum", choices=("fast", "slow")), default="slow"),
        "d": InputSpec(type=PortType("number"), min=0, max=1.5),
        "e": InputSpec(type=PortType("enum", choices=("x",))),
        "in": InputSpec(default=None),
    }
    assert list_of(PortType("integer")) == PortType("list", PortType("integer"))


@pytest.mark.parametrize("name", ["item", "inputs", "state", "nodes"])
def test_inputs_are_not_called_like_the_things_of_expressions(name: str) -> None:
    assert found(f"name: x\ninputs: {{{name}: {{}}}}\nnodes:\n{OK}") == [("reserved-name", f"inputs.{name}")]


def test_edges_arrive_and_derived_ones_do_not() -> None:
    text = (
        f"name: x\nnodes:\n{OK}edges:\n"
        "  - {from: a.result, to: b.value, derived: true}\n"
        "  - {from: a.result, to: b.value, transform: value * 2}\n"
        "  - {from: a, to: b, priority: 5}\n"
        "  - {from: a.yes, to: b, derived: false}\n"
        "  - {from: a, to: b, when: true, label: always}\n"
    )
    workflow = loads(text, "yaml")
    assert workflow.edges == (
        DataEdge(source="a", target="b", output="result", input="value", transform="value * 2"),
        ControlEdge(source="a", target="b", priority=5),
        ControlEdge(source="a", target="b", branch="yes"),
        ConditionalEdge(source="a", target="b", when="true", label="always"),
    )


def test_a_problem_of_an_edge_behind_derived_ones_is_located() -> None:
    read = reading(
        f"name: x\nnodes:\n{OK}edges:\n- {{from: a, to: b, derived: true}}\n- {{from: a, to: b}}\n"
    )
    assert read.locate("edges[0].to") == (6, 13)


def test_steps_follow_each_other_unless_one_has_needs() -> None:
    plain = loads(
        "name: x\nsteps: [{name: a, command: x}, {name: b, command: y}, {name: c, command: z}]", "yaml"
    )
    free = loads("name: x\nsteps: [{name: a, command: x}, {name: b, command: y, needs: []}]", "yaml")
    assert [node.after for node in plain.nodes.values()] == [(), ("a",), ("b",)]
    assert [node.after for node in free.nodes.values()] == [(), ()]


def test_problems_of_steps_are_located_where_the_steps_are() -> None:
    read = reading("name: x\nsteps:\n  - {name: a, command: x}\n  - {name: b, command: y, needs: [a]}\n")
    assert read.locate("nodes.b.after[0]") == (4, 35)
    assert read.locate("nodes.b.command") == (4, 15)
    assert read.locate("nodes.b") == (4, 5)


def test_nodes_of_loops_count_too() -> None:
    text = "name: x\nnodes:\n  l: {control: loop, until: x, body: {a: {command: x}, b: {command: y}}}\n"
    assert reading(text, nodes_max=3).problems == ()
    [problem] = reading(text, nodes_max=2).problems
    assert (problem.code, problem.place) == ("limit-exceeded", "nodes.l.body")
    assert [p.place for p in reading(f"name: x\nnodes:\n{OK}", nodes_max=0).problems] == ["nodes"]
    assert [p.place for p in reading("name: x\nsteps: [{}, {}]", nodes_max=1).problems] == ["steps"]


def test_a_report_of_very_many_problems_is_cut() -> None:
    nodes = "".join(f"  n{i}: {{}}\n" for i in range(PROBLEMS_MAX + 500))
    problems = reading(f"name: x\nnodes:\n{nodes}").problems
    assert len(problems) == PROBLEMS_MAX + 1
    assert [p.code for p in problems].count("limit-exceeded") == 1


def test_values_too_deep_are_refused_in_every_format() -> None:
    for depth, sound in ((90, True), (97, False), (400, False), (5_000, False)):
        value = "[" * depth + "]" * depth
        texts: dict[Literal["yaml", "json", "toml"], str] = {
            "yaml": node(f"{{operator: o, inputs: {{v: {value}}}}}"),
            "json": f'{{"name": "x", "nodes": {{"a": {{"operator": "o", "inputs": {{"v": {value}}}}}}}}}',
            "toml": f'name = "x"\n[nodes.a]\noperator = "o"\ninputs.v = {value}\n',
        }
        for name, text in texts.items():
            assert [p.code for p in reading(text, name).problems] == ([] if sound else ["limit-exceeded"])


def test_loops_nested_too_deeply_are_refused() -> None:
    for depth, sound in ((40, True), (60, False), (300, False)):
        loop = '{"a": {"control": "loop", "until": "true", "body": '
        text = '{"name": "x", "nodes": ' + loop * depth + '{"a": {"command": "x"}}' + "}}" * depth + "}"
        assert [p.code for p in reading(text, "json").problems] == ([] if sound else ["limit-exceeded"])


def test_dates_of_toml_are_no_values() -> None:
    read = reading(
        'name = "x"\n[nodes.a]\noperator = "o"\ninputs.v = [1979-05-27]\ninputs.w = 07:32:00\n', "toml"
    )
    assert [(p.code, p.place, p.line) for p in read.problems] == [
        ("type-mismatch", "nodes.a.inputs.v[0]", 4),
        ("type-mismatch", "nodes.a.inputs.w", 5),
    ]


def test_loads_raises_with_every_problem() -> None:
    with pytest.raises(WorkflowInvalid, match=r"the workflow:1:1: colour: .* \(and 1 more\)") as error:
        loads("colour: red\nname: x", "yaml")
    assert [p.place for p in error.value.report.errors] == ["colour", "nodes"]
    assert error.value.hint == error.value.report.errors[0].hint
    with pytest.raises(WorkflowInvalid, match="UTF-8"):
        loads("name: \ud800", "yaml")


def test_values_are_not_shared_between_workflows() -> None:
    text = node("{operator: o, inputs: {v: [1]}}")
    one, two = loads(text, "yaml"), loads(text, "yaml")
    assert one == two
    assert one.nodes["a"].inputs is not two.nodes["a"].inputs
    assert msgspec.structs.replace(one, name="y") != two
