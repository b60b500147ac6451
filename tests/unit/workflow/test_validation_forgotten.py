"""References that were written without `${{ }}` around them."""

import pytest

from symphony.workflow.files import loads
from symphony.workflow.problems import ValidationReport
from symphony.workflow.validation import validate

_START = """
name: case
inputs: {s: {type: string, default: a b}}
nodes:
  words: {operator: text.split, inputs: {text: "${{ inputs.s }}", separator: " "}}
  c-d: {operator: debug.value, inputs: {value: 1}}
  run_it: {command: echo hi}
"""


def _report(rest: str) -> ValidationReport:
    return validate(loads(_START + rest, "yaml"))


def _hints(report: ValidationReport) -> list[tuple[str, str]]:
    return [(one.place, one.hint) for one in report.warnings if one.code == "bad-expression"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("words.result", "words.result"),
        ("${ words.result }}", "words.result"),
        ("${words.result}", "words.result"),
        ("$words.result", "words.result"),
        ("{{ words.result }}", "words.result"),
        ("{{ inputs.s }}", "inputs.s"),
        ("nodes.words.result", "words.result"),
        ("c-d.result", 'nodes["c-d"].result'),
        ('nodes["c-d"].result', 'nodes["c-d"].result'),
    ],
)
def test_a_text_for_a_list_that_names_a_value_is_told_the_reference(text: str, meant: str) -> None:
    report = _report(f"  j: {{operator: text.join, inputs: {{parts: '{text}'}}}}")
    assert [(one.code, one.hint) for one in report.errors] == [
        ("type-mismatch", f"did you mean ${{{{ {meant} }}}}?")
    ]
    assert _hints(report) == []  # the error says it


@pytest.mark.parametrize("text", ["words.result", "{{ inputs.s }}", "$words.result", "run_it.stdout"])
def test_a_text_that_names_a_value_exactly_is_a_warning(text: str) -> None:
    report = _report(
        f"""  v: {{operator: debug.value, inputs: {{value: '{text}'}}}}
  l: {{operator: debug.value, inputs: {{value: ['{text}']}}}}
  m: {{command: echo $X, inputs: {{X: '{text}'}}}}
outputs: {{x: '{text}'}}
"""
    )
    assert not report.errors
    hint = f"did you mean ${{{{ {text.strip('{ }$')} }}}}?"
    places = ["nodes.v.inputs.value", "nodes.l.inputs.value", "nodes.m.inputs.X", "outputs.x"]
    assert _hints(report) == [(place, hint) for place in places]


@pytest.mark.parametrize(
    "text",
    ["words.nothing", "nobody.result", "inputs.t", "see words.result", "item.name", "{{ item }}", "a.b.c"],
)
def test_a_text_that_names_no_value_of_the_workflow_is_left_alone(text: str) -> None:
    report = _report(
        f"  v: {{operator: debug.value, inputs: {{value: '{text}'}}}}\noutputs: {{x: '{text}'}}\n"
    )
    assert not report.errors
    assert _hints(report) == []


def test_a_template_and_the_name_of_a_file_are_left_alone() -> None:
    report = _report(
        """  t: {operator: text.render, inputs: {text: "{{ inputs.s }}", data: {inputs: {s: 1}}}}
  f: {operator: fs.read, inputs: {path: words.result}}
"""
    )
    assert _hints(report) == []


def test_the_element_of_a_fan_out_is_suggested_where_it_exists() -> None:
    report = _report("  j: {operator: text.join, for_each: [{a: []}], inputs: {parts: item.a}}")
    assert [one.hint for one in report.errors] == ["did you mean ${{ item.a }}?"]
    report = _report("  v: {operator: debug.value, for_each: [1], inputs: {value: '{{ item }}'}}")
    assert _hints(report) == [("nodes.v.inputs.value", "did you mean ${{ item }}?")]


def test_a_list_with_half_a_reference_in_it_is_never_suggested() -> None:
    report = _report("  j: {operator: text.join, inputs: {parts: '{{ words.nothing }}'}}")
    assert [one.hint for one in report.errors] == ["give a list[string]"]


def test_the_state_of_a_loop_is_looked_at() -> None:
    report = _report(
        """  l:
    control: loop
    state: {x: words.result}
    body: {b: {operator: debug.value, inputs: {value: "words.result"}}}
    next: {x: b.result}
    until: iteration > 1
"""
    )
    places = {place for place, _ in _hints(report)}
    assert places == {"nodes.l.body.b.inputs.value", "nodes.l.state.x"}


@pytest.mark.parametrize(
    ("node", "place", "meant"),
    [
        ("{for_each: [a, b], operator: data.read, inputs: {path: item}}", "path", "item"),
        ("{for_each: [a, b], command: echo $X, inputs: {x: item}}", "x", "item"),
        ("{for_each: [a, b], operator: debug.value, inputs: {value: index}}", "value", "index"),
        ("{for_each: [a, b], command: echo $X, inputs: {x: item, y: '${{ index }}'}}", "x", "item"),
    ],
)
def test_a_plain_word_that_names_the_element_is_told_the_reference(node: str, place: str, meant: str) -> None:
    report = _report(f"  v: {node}")
    assert not report.errors
    assert _hints(report) == [(f"nodes.v.inputs.{place}", f"did you mean ${{{{ {meant} }}}}?")]


def test_a_plain_word_that_names_a_variable_of_the_loop_is_told_the_reference() -> None:
    inputs = ["{a: iteration}", "{n: n}", "{b: state}", "{n: n, m: '${{ state.n }}'}", "{c: n, d: item}"]
    body = ", ".join(f"q{at}: {{command: 'true', inputs: {one}}}" for at, one in enumerate(inputs))
    report = _report(
        "  v: {control: loop, state: {n: 0}, next: {n: state.n + 1}, until: state.n > 2, "
        f"max_iterations: 3, body: {{{body}}}}}"
    )
    assert not report.errors
    assert _hints(report) == [
        ("nodes.v.body.q0.inputs.a", "did you mean ${{ iteration }}?"),
        ("nodes.v.body.q1.inputs.n", "did you mean ${{ state.n }}?"),
        ("nodes.v.body.q2.inputs.b", "did you mean ${{ state.n }}?"),
    ]


@pytest.mark.parametrize(
    "node",
    [
        "{command: echo $X, inputs: {x: item, y: index, z: state}}",
        "{for_each: [a, b], command: echo $X, inputs: {kind: item, name: '${{ item }}'}}",
        "{for_each: [a], operator: data.filter, inputs: {items: [1], condition: item}}",
        "{for_each: [a], command: echo $X, inputs: {x: items, y: an item, z: iteration}}",
    ],
)
def test_a_plain_word_that_is_meant_as_it_is_is_left_alone(node: str) -> None:
    assert _hints(_report(f"  v: {node}")) == []
