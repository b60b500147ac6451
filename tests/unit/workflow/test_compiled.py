"""A workflow compiled: each text split once, what is read as numbers, nothing refused."""

import pytest

from symphony.workflow import loads
from symphony.workflow.compiled import Compilation, Compiled
from symphony.workflow.expressions import BadExpression
from symphony.workflow.expressions.compiler import OUTSIDE
from symphony.workflow.types import ANY, INTEGER


def compiled(nodes: str, more: str = "") -> Compiled:
    return Compiled(loads(f"name: x\nnodes:\n{nodes}\n{more}", "yaml"))


def test_equal_texts_of_a_level_are_one_template() -> None:
    made = compiled(
        "  a: {operator: o}\n"
        "  b: {operator: o, inputs: {x: '${{ a.r }}', y: ['${{ a.r }}', 1]}, when: a.r > 1}\n"
        "  c: {operator: o, inputs: {x: '${{ a.r }}'}, when: a.r > 1}"
    )
    first, second = made.nodes[1], made.nodes[2]
    assert first.inputs["x"] is second.inputs["x"]
    elements = first.inputs["y"].elements
    assert elements is not None
    assert elements[0][0] is first.inputs["x"]
    assert elements[1] == [1]
    assert first.more is not None
    assert second.more is not None
    assert first.more.when is second.more.when


def test_a_reference_that_stands_alone_is_one_template_however_it_is_spelled() -> None:
    made = compiled(
        "  a: {operator: o}\n"
        "  b: {operator: o, inputs: {x: '${{ a.r }}', y: '${{a.r}}', z: '${{ nodes[\"a\"].r }}',"
        " c: '$${{ a.r }}'}}"
    )
    inputs = made.nodes[1].inputs
    assert inputs["x"] is inputs["y"] is inputs["z"]
    assert inputs["x"].reads == inputs["z"].reads
    assert inputs["x"].node == 0
    assert inputs["c"].value == "${{ a.r }}"


def test_a_list_keeps_the_order_of_what_varies_and_what_does_not() -> None:
    made = compiled(
        "  a: {operator: o}\n"
        "  b: {operator: o, inputs: {x: [1, '${{ a.r }}', null, ['${{ a.r }}', 2], '${{ a.s }}'],"
        " y: ['--t', '${{ a.r }}', '$${{ a }}', 3], z: ['$${{ a }}', 4]}}"
    )
    inputs = made.nodes[1].inputs
    for _ in range(2):
        assert inputs["x"].render(lambda read: read.port) == [1, "r", None, ["r", 2], "s"]
        assert inputs["y"].render(lambda read: read.port) == ["--t", "r", "${{ a }}", 3]
    assert [len(inputs[name].constants) for name in "xyz"] == [2, 3, 0]
    assert inputs["z"].value == ["${{ a }}", 4]


def test_what_is_read_is_known_by_number_each_once() -> None:
    made = compiled(
        "  a: {operator: o}\n"
        "  b: {operator: o}\n"
        "  c: {operator: o, inputs: {x: ['${{ b.r }}', '${{ a.r }}', '${{b.r}}', '${{ gone.r }}',"
        " 'and ${{ a }}']}}"
    )
    node = made.nodes[2]
    assert [list(numbers) for numbers in node.reads] == [[1, 0, OUTSIDE, 0]]
    assert [*made.ports(node.inputs["x"])] == [("b", "r"), ("a", "r"), ("gone", "r"), ("a", "*")]
    assert list(made.sources(2)) == [1, 0, 0]


def test_what_is_wrong_with_an_expression_stands_in_its_template() -> None:
    made = compiled("  a: {operator: o, inputs: {x: '${{ a.r + }} ${{ ', y: ['${{ inputs. }}', 2]}}")
    for template in made.nodes[0].inputs.values():
        with pytest.raises(BadExpression):
            template.type_in(lambda _: ANY)
        with pytest.raises(BadExpression):
            template.render(lambda _: 1)


def test_a_template_has_the_types_of_the_scope_that_asks() -> None:
    made = compiled("  a: {operator: o}\n  b: {operator: o, inputs: {x: ['${{ a.r }}', '${{ a.r + 1 }}']}}")
    template = made.nodes[1].inputs["x"]
    assert str(template.type_in(lambda _: INTEGER)) == "list[integer]"
    assert str(template.type_in(lambda _: ANY)) == "list[any]"
    assert template.render(lambda _: 4) == [4, 5]


def test_the_expressions_of_a_loop_see_what_they_may() -> None:
    made = compiled(
        "  a: {operator: o}\n"
        "  l: {control: loop, state: {n: 0}, while: a.r > 1, next: {n: b.r},"
        " body: {b: {operator: o, inputs: {x: '${{ l2.r }}'}}}}\n"
        "  l2: {operator: o}"
    )
    assert made.others(1) == ("a", "l2")  # `next` reads the body, which is no node of this level
    body = made.body(1)
    assert body is not None
    assert body.names == ("b",)
    assert made.body(0) is None


def test_a_workflow_is_compiled_once_whoever_asks() -> None:
    workflow, compilation = loads("name: x\nnodes: {a: {operator: o}}", "yaml"), Compilation()
    assert compilation.of(workflow) is compilation.of(workflow)
