"""Hints that spell what was probably meant, and operators that are near a mistyped name."""

import pytest

from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.documents import format_named
from symphony.workflow.files import read_bytes
from symphony.workflow.problems import Problem
from symphony.workflow.remedies import near_operator, operator_hint

VERSIONS = {name: one.version for name, one in builtin_catalog().operators.items()}


def problems(text: str, form: str = "yaml") -> list[Problem]:
    return list(read_bytes(text.encode(), format_named(form)).problems)


def node(line: str) -> str:
    return f"name: x\nnodes:\n  a:\n    operator: text.render\n    {line}\n"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        (node("retry: 3"), "nodes.a.retry", "write retry: {attempts: 3}"),
        (node("retry: exponential"), "nodes.a.retry", "write retry: {attempts: 3, backoff: exponential}"),
        (node("retry: 5s"), "nodes.a.retry", "write retry: {attempts: 3, initial: 5s}"),
        (node("retry: true"), "nodes.a.retry", "write retry: {attempts: 3}"),
        (node("retry:"), "nodes.a.retry", "write retry: {attempts: 3}"),
        (node("artifact: report"), "nodes.a.artifact", "write artifact: {name: report}"),
        (node("artifact: a report"), "nodes.a.artifact", 'write artifact: {name: "a report"}'),
        (node("inputs: 5"), "nodes.a.inputs", "write inputs: {NAME: 5}"),
        (node('inputs: "${{ b.x }}"'), "nodes.a.inputs", 'write inputs: {NAME: "${{ b.x }}"}'),
        (node("config: fast"), "nodes.a.config", "write config: {NAME: fast}"),
        (node("metadata: 1"), "nodes.a.metadata", "write metadata: {NAME: 1}"),
        (node("on_error: 0"), "nodes.a.on_error",
         "write fail, skip, {value: {PORT: …}} or {fallback: NODE}"),
        (node("on_error: {value: 0}"), "nodes.a.on_error.value", "write value: {PORT: 0}"),
        (node("after: b"), "nodes.a.after", "write after: [b]"),
        (node("inputs:\n      template:hi"), "nodes.a.inputs", "put a space after `template:`"),
        ("name: x\nnodes:\n  a:\n    operator:text.render", "nodes.a", "put a space after `operator:`"),
        ("name: x\nnodes: {a: text.render}", "nodes.a", "write a: {operator: text.render}"),
        ("name: x\nnodes: {a: echo hi}", "nodes.a", 'write a: {command: "echo hi"}'),
        ("name: x\nnodes: {a: child.yaml}", "nodes.a", "write a: {workflow: child.yaml}"),
        ("name: x\nnodes: [{operator: a.b}]", "nodes",
         "write a map, each node after its name: nodes: {NAME: {operator: NAME}}"),
        ("name: x\nbudget: 2.5\nnodes: {a: {command: x}}", "budget", "write budget: {money: 2.5}"),
        ("name: x\nbudget: 100\nnodes: {a: {command: x}}", "budget",
         "write budget: {money: 100}, {tokens: 100} or {calls: 100}"),
        ("name: x\noutputs: '${{ a.b }}'\nnodes: {a: {command: x}}", "outputs",
         'write outputs: {NAME: "${{ a.b }}"}'),
        ("name: x\ninputs: {n: integer}\nnodes: {a: {command: x}}", "inputs.n", "write n: {type: integer}"),
        ("name: x\ninputs: {n: 3}\nnodes: {a: {command: x}}", "inputs.n", "write n: {default: 3}"),
        ("name: x\ninputs: {n: }\nnodes: {a: {command: x}}", "inputs.n",
         "write n: {type: string}, or n: {} for a value of any type"),
        ("name: x\ntags: fast\nnodes: {a: {command: x}}", "tags", "write tags: [fast]"),
        ("name: x\nsteps: [echo hi]", "steps[0]", 'write {name: NAME, command: "echo hi"}'),
        ("name: x\nnodes: {a: {command: x}}\nedges: [a.x -> b.y]", "edges[0]",
         "write {from: a.x, to: b.y}"),
        ("name: x\nnodes: {a: {control: branch, switch: b.x, cases: [red, blue]}}", "nodes.a.cases",
         "write cases: {red: red, blue: blue}"),
        ("name: x\nnodes: {a: {control: loop, while: 'true', state: 0, body: {b: {command: x}}}}",
         "nodes.a.state", "write state: {NAME: 0}"),
    ],
)  # fmt: skip
def test_a_value_in_place_of_a_map_or_a_list_is_shown_in_it(text: str, place: str, hint: str) -> None:
    found = problems(text)
    assert (found[0].code, found[0].place, found[0].hint) == ("type-mismatch", place, hint)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("tex.render", "text.render"),
        ("text.rendr", "text.render"),
        ("data.fitler", "data.filter"),
        ("render", "text.render"),
        ("data.sortt_of", None),
        ("js.parse", None),
        ("my_ops.count", None),
        ("frobnicate", None),
    ],
)
def test_only_an_operator_that_is_a_slip_away_is_suggested(name: str, near: str | None) -> None:
    assert near_operator(name, [*VERSIONS, "data.format"]) == near


@pytest.mark.parametrize("name", ["my_ops.count", "frobnicate", "no.such_thing", "data.nothing_like_it"])
def test_where_a_file_may_define_the_operator_the_hint_says_how_to_give_it(name: str) -> None:
    assert "under operators: [FILE.py], or give --operators FILE" in operator_hint(name, VERSIONS)


def test_another_version_of_an_operator_is_named() -> None:
    version = VERSIONS["text.render"]
    assert operator_hint("text.render@99", VERSIONS) == f"write text.render, or text.render@{version}"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("data: {a: ${{ b.x }}}", "this is not YAML", "put an expression within { } or [ ] in quotes"),
        ("data: [${{ b.x }}, 2]", "this is not YAML", "put an expression within { } or [ ] in quotes"),
        ("who: @me", "a value cannot begin with @", "put the value in quotes"),
        ("who: `me`", "a value cannot begin with `", "put the value in quotes"),
        ("text: say: hello", "mapping values are not allowed", "put a text that holds `: ` in quotes"),
        ("text: [a, b", "this is not YAML", "check indentation, brackets and quotes"),
    ],
)
def test_text_that_needs_quotes_is_told_to_have_them(line: str, message: str, hint: str) -> None:
    (problem,) = problems(f"name: x\nnodes:\n  a:\n    inputs:\n      {line}\n")
    assert (problem.code, message in problem.message) == ("syntax", True), problem
    assert hint in problem.hint


TABS = [
    ("nodes:\n\ta:\n\t\toperator: text.render\n", 2, 1),
    ("nodes:\n  a:\n\t  operator: text.render\n", 3, 1),
    ("nodes:\n  a:\n    inputs:\n    \ttemplate: x\n", 4, 5),
    ("nodes:\n  a:\n    operator: text.render\n\tinputs: {}\n", 4, 1),
    ("nodes:\n  a:\n    command: |\n\thi\n", 4, 1),
    ("tags:\n  - \ta\n\t- b\n", 2, 5),
]


@pytest.mark.parametrize(("text", "line", "column"), TABS)
def test_a_tab_that_indents_is_named_at_its_place(text: str, line: int, column: int) -> None:
    (problem,) = problems("name: x\n" + text)
    assert (problem.code, problem.line) == ("syntax", line + 1)
    assert problem.message == "YAML forbids tabs for indentation"


def test_a_tab_within_a_line_is_no_fault() -> None:
    assert problems("name:\tx\nnodes:\n  a:\n    command:\t echo hi\t# why\n") == []


def test_an_operator_of_ones_own_without_a_family_is_found_under_a_name_that_has_one() -> None:
    assert operator_hint("my.ratio", {**VERSIONS, "ratio": "1.0.0"}) == "did you mean ratio?"
