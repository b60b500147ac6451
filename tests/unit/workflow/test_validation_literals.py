"""Texts in a language that stand in a workflow are checked before it runs, and what they read counts."""

import time
from pathlib import Path

import pytest

from symphony.workflow.catalog import Catalog, OperatorInfo, Port
from symphony.workflow.files import check_file, loads
from symphony.workflow.problems import ValidationReport
from symphony.workflow.types import parse_port_type
from symphony.workflow.validation import validate
from symphony.workflow.validation.literals import WORK_MAX


def report(nodes: str, rest: str = "", catalog: Catalog | None = None) -> ValidationReport:
    inputs = "  limit: {type: integer, default: 1}\n  word: {type: string, default: a}\n"
    text = f"name: w\ninputs:\n{inputs}nodes:\n{nodes}{rest}"
    return validate(loads(text, "yaml"), catalog)


def filtered(condition: str) -> str:
    return (
        "  src: {operator: debug.value, inputs: {value: [1]}}\n"
        "  keep: {operator: data.filter, inputs: {items: '${{ src.result }}', "
        f"condition: {condition}}}}}\n"
    )


def said(found: ValidationReport) -> list[tuple[str, str, str]]:
    return [(one.code, one.place, one.message) for one in (*found.errors, *found.warnings)]


def test_a_literal_expression_is_compiled_with_the_names_that_it_may_use() -> None:
    found = report(
        filtered("itm > 1"),
        "outputs: {a: '${{ keep.result }}', b: '${{ inputs.limit }}', c: '${{ inputs.word }}'}",
    )
    assert said(found) == [
        (
            "bad-expression",
            "nodes.keep.inputs.condition",
            "CEL expression: itm is not known here (at character 1)",
        )
    ]
    assert found.errors[0].hint == "did you mean item?"


def test_an_input_that_only_a_literal_reads_is_used() -> None:
    assert (
        said(
            report(
                filtered("'item > ${{ inputs.limit }}'"),
                "outputs: {a: '${{ keep.result }}', b: '${{ inputs.word }}'}",
            )
        )
        == []
    )


def test_an_input_that_a_literal_cannot_read_is_one_error_that_says_how() -> None:
    found = report(
        filtered("item > inputs.limit"), "outputs: {a: '${{ keep.result }}', b: '${{ inputs.word }}'}"
    )
    assert [one.code for one in found.errors] == ["bad-expression"]
    assert found.errors[0].hint.startswith("write ${{ inputs.limit }};")
    assert found.warnings == ()
    hint = report(filtered("item > src.result")).errors[0].hint
    assert hint == "write ${{ src.result }}: the expression itself does not see the nodes"


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("operator: data.sort, inputs: {items: [], by: [item, a]}", "by[1]"),
        ("operator: data.unique, inputs: {items: [], by: [a]}", "by[0]"),
        ("operator: data.join, inputs: {left: [], right: [], by: [item], right_by: [a]}", "right_by[0]"),
        ("operator: data.map, inputs: {items: [], expression: a}", "expression"),
        ("operator: data.reduce, inputs: {items: [], expression: value + a}", "expression"),
        ("operator: data.group, inputs: {items: [], key: a}", "key"),
        ("operator: data.group, inputs: {items: [], by: {x: a}}", "by.x"),
        ("operator: data.group, inputs: {items: [], aggregates: {n: {sum: a}}}", "aggregates.n.sum"),
        ("operator: data.group, inputs: {items: [], by: {x: a, y: '${{ inputs.word }}'}}", "by.x"),
        ("operator: json.query, inputs: {data: 1, expression: 'a['}", "expression"),
        ("operator: text.regex, inputs: {text: a, pattern: 'a['}", "pattern"),
        ("operator: text.render, inputs: {text: '{{ a'}", "text"),
        ("operator: fs.glob, inputs: {root: '.', patterns: ['*', '/a']}", "patterns[1]"),
        ("operator: fs.glob, inputs: {root: '.', exclude: ['../a']}", "exclude[0]"),
        ("operator: git.churn, inputs: {patterns: ['[z-a]']}", "patterns[0]"),
        ("operator: text.render, inputs: {text: '{{ a }}', data: {b: '${{ inputs.limit }}'}}", "text"),
    ],
)
def test_every_text_of_the_kit_that_is_in_a_language_is_checked(node: str, place: str) -> None:
    found = report(f"  a: {{{node}}}\n")
    assert [(one.code, one.place) for one in found.errors] == [
        ("bad-expression", f"nodes.a.inputs.{place}")
    ], said(found)


@pytest.mark.parametrize(
    "node",
    [
        "operator: data.filter, inputs: {items: [], condition: '${{ inputs.word }}'}",
        "operator: data.filter, inputs: {items: [], condition: 'item > ${{ inputs.limit }} +'}",
        "operator: data.sort, inputs: {items: [], by: ['${{ inputs.word }}']}",
        "operator: text.regex, inputs: {text: a, pattern: '(${{ inputs.limit }}'}",
        "operator: text.render, inputs: {text: '{{ a }}', data: '${{ inputs.limit }}'}",
        "operator: text.render, inputs: {template: 'a.j2', data: {}}",
        "operator: data.map, for_each: '[1]', inputs: {items: [], expression: 'item'}",
    ],
)
def test_what_is_known_when_it_runs_is_checked_then(node: str) -> None:
    assert report(f"  a: {{{node}}}\n").errors == ()


def test_data_that_an_edge_gives_has_names_that_are_not_known() -> None:
    nodes = "  s: {operator: debug.value}\n  a: {operator: text.render, inputs: {text: '{{ any }}'}}\n"
    assert report(nodes, "edges: [{from: s.result, to: a.data}]").errors == ()
    assert [one.code for one in report(nodes).errors] == ["bad-expression"]


def test_literals_in_loops_and_fan_outs_are_checked_too() -> None:
    found = report(
        "  l:\n    control: loop\n    state: {x: 1}\n    max_iterations: 2\n    until: state.x > 1\n"
        "    next: {x: state.x + 1}\n    body:\n"
        "      b: {operator: data.map, inputs: {items: [1], expression: nope}}\n"
        "  f: {operator: text.regex, for_each: '[1, 2]', inputs: {text: a, pattern: '('}}\n"
    )
    assert [one.place for one in found.errors] == [
        "nodes.l.body.b.inputs.expression",
        "nodes.f.inputs.pattern",
    ]


def test_the_problem_has_the_line_and_column_of_the_literal(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "name: w\nnodes:\n  a:\n    operator: text.render\n    inputs:\n      data: {}\n"
        "      text: |\n        fine\n        {{ oh no }}\n"
    )
    _, found = check_file(file)
    assert [(one.line, one.column, one.message) for one in found.errors] == [
        (7, 7, "Jinja template: expected token 'end of print statement', got 'no' (in line 2)")
    ]


def test_a_key_that_a_map_cannot_have_is_told_with_the_one_that_was_meant() -> None:
    for text in ("item", "'${{ inputs.word }}'"):
        node = f"operator: data.group, inputs: {{items: [], aggregates: {{n: {{summ: {text}}}}}}}"
        (problem,) = report(f"  a: {{{node}}}\n").errors
        assert problem.message.startswith("key 'n': the key 'summ' is not one of count, sum, mean")
        assert (problem.code, problem.hint) == ("type-mismatch", "did you mean sum?")


def test_a_template_beside_the_workflow_is_compiled_and_one_that_is_missing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "name: w\nnodes:\n"
        "  a: {operator: text.render, inputs: {template: parts/a.j2, data: {title: x}}}\n"
        "  b: {operator: text.render, inputs: {template: none.j2}}\n"
        "  c: {operator: text.render, inputs: {template: '${{ a.text }}'}}\n"
        "  d: {operator: text.render, inputs: {template: '..'}}\n"
        "outputs: {b: '${{ b.text }}', c: '${{ c.text }}', d: '${{ d.text }}'}\n"
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.j2").write_text("# fine\n{{ titel }}\n{% for x in title %}{{ x }}{% endfor %}\n")
    _, found = check_file(file)
    assert [(one.line, one.place, one.message, one.hint) for one in found.errors] == [
        (3, "nodes.a.inputs.template",
         "Jinja template parts/a.j2: nothing called 'titel' is given to the template (in line 2)",
         "did you mean title?")
    ]  # fmt: skip
    assert [(one.line, one.code) for one in found.warnings] == [(4, "bad-expression"), (6, "bad-expression")]
    (tmp_path / "parts" / "a.j2").write_bytes(b"\xff\xfe")
    assert check_file(file)[1].ok


def test_a_template_of_a_sub_workflow_lies_beside_that(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "t.j2").write_text("{{ oh")
    (tmp_path / "sub" / "child.yaml").write_text(
        "name: c\nnodes:\n  a: {operator: text.render, inputs: {template: t.j2}}\n"
        "outputs: {a: '${{ a.text }}'}\n"
    )
    (tmp_path / "w.yaml").write_text("name: w\nnodes:\n  s: {workflow: sub/child.yaml}\n")
    (problem,) = check_file(tmp_path / "w.yaml")[1].errors
    assert "nodes.a.inputs.template: Jinja template t.j2: unexpected end of template" in problem.message


def test_an_authors_operator_is_checked_as_the_kits_are() -> None:
    ports = {
        "where": Port(type=parse_port_type("cel[row -> boolean]?"), default=None),
        "patterns": Port(type=parse_port_type("list[regex]"), default=[]),
    }
    catalog = Catalog(operators={"my.op": OperatorInfo(name="my.op", version="1.0.0", inputs=ports)})
    nodes = "  a: {operator: my.op, inputs: {where: 'rwo.x', patterns: ['a', '(']}}\n"
    assert said(report(nodes, catalog=catalog))[:2] == [
        (
            "bad-expression",
            "nodes.a.inputs.where",
            "CEL expression: rwo.x is not known here (at character 1)",
        ),
        ("bad-expression", "nodes.a.inputs.patterns[1]", "regular expression: missing ) (at character 2)"),
    ]


def test_a_file_full_of_texts_is_checked_in_bounded_time() -> None:
    nodes = "".join(
        f"  n{i}: {{operator: text.render, inputs: {{data: {{}}, text: '{'{{ a }}' * 6000} {i}'}}}}\n"
        for i in range(20)
    )
    assert 4 * len(nodes) > 2 * WORK_MAX
    begun = time.process_time()
    found = report(nodes)
    assert len(found.errors) > 5
    assert time.process_time() - begun < 20
