"""What evaluating may take is told beforehand, from above, and without looking at more than it must."""

import pytest

from symphony.ports.values import Value
from symphony.workflow.expressions import Compiler, Read, ValueTemplate
from symphony.workflow.expressions.effort import measured
from symphony.workflow.types import ANY

MOST = 10_000
ROW: Value = {"id": 1, "name": "a name", "a": 1.5}


def template(source: Value) -> ValueTemplate:
    return Compiler(lambda _: ANY, value=False).template(source)


def effort(source: str, **values: Value) -> int:
    return template(source).effort({Read("input", name): value for name, value in values.items()}, MOST, {})


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("${{ inputs.x + 1 }}", {"x": 1}),
        ("${{ inputs.x == 'a' ? 1 : 2 }} and ${{ inputs.x }}", {"x": "a"}),
        ("${{ inputs.r.filter(r, r.id > 3 && r.name != '').map(r, r.name) }}", {"r": [ROW] * 100}),
        ("${{ inputs.r.map(r, {'id': r.id, 'name': r.name + '!'}) }}", {"r": [ROW] * 100}),
        ("${{ inputs.l.exists(a, a in inputs.l) }}", {"l": list(range(20))}),
        ("${{ inputs.x + '.txt' }}", {"x": "x" * 100_000}),
        ("${{ inputs.x.matches('^[a-z]+$') }}", {"x": "x" * 100}),
    ],
)
def test_what_workflows_mostly_say_is_cheap(source: str, values: dict[str, Value]) -> None:
    assert effort(source, **values) <= MOST


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("${{ inputs.r.filter(r, r.id > 3) }}", {"r": [ROW] * 2_000}),
        ("${{ size(inputs.r) }}", {"r": [ROW] * 2_000}),
        ("text ${{ inputs.r }}", {"r": [ROW] * 2_000}),
        ("${{ inputs.l.map(a, inputs.l.map(b, a + b)) }}", {"l": list(range(150))}),
        ("${{ inputs.l.map(a, inputs.l.map(b, inputs.l.map(c, c))) }}", {"l": list(range(21))}),
        ("${{ [[1, 2], [3]].map(a, a.map(b, inputs.l.filter((c), c == b))) }}", {"l": list(range(1_000))}),
        ("${{ [inputs.x]" + ".map(a, a + a)" * 20 + " }}", {"x": "x"}),
        ("${{ [inputs.x]" + ".map(a, [a, a])" * 20 + " }}", {"x": 1}),
        ("${{ size(" + " + ".join(["inputs.x"] * 300) + ") }}", {"x": "x" * 1_000_000}),
        ("${{ (" + " + ".join(["inputs.l"] * 90) + ").filter(a, a > 1) }}", {"l": list(range(150))}),
        ("${{ inputs.x.contains(inputs.y) }}", {"x": "a" * 300_000, "y": "a" * 150_000}),
        ("${{ inputs.x.matches('(.{0,100}){9}b') }}", {"x": "x" * 30_000}),
        ("${{ inputs.l.filter(a, 'x'.matches(string(a))) }}", {"l": list(range(150))}),
        ("${{ {'k': inputs.r}.k.all(r, r.id > 0) }}", {"r": [ROW] * 2_000}),
    ],
)
def test_what_can_take_long_is_heavy(source: str, values: dict[str, Value]) -> None:
    assert effort(source, **values) > MOST


def test_every_expression_of_a_value_counts() -> None:
    one = "${{ inputs.r.map(r, r.id) }}"
    read = {Read("input", "r"): [ROW] * 100}
    alone = template([one]).effort(read, MOST, {})
    assert template([one, {"k": one}, "text", f"so {one}"]).effort(read, MOST, {}) >= 3 * alone


def test_a_value_is_measured_no_further_than_asked() -> None:
    class Untouched(list[Value]):
        def __iter__(self) -> object:  # type: ignore[override]
            raise AssertionError("it was looked into")

    many = Untouched([1] * 5_000)
    assert measured(many, 1_000).elements > 1_000
    assert measured([many, *[1] * 2_000], 1_000).elements > 1_000


def test_the_size_of_a_sum_is_known_beforehand_and_that_of_others_is_not() -> None:
    def least(source: Value) -> int:
        return template(source).least_chars({Read("input", "x"): "x" * 100, Read("input", "y"): "y" * 10})

    assert least("${{ inputs.x + inputs.y + (inputs.x + 'and') }}") == 210
    assert least("so ${{ inputs.x }} and ${{ inputs.y + inputs.y }}") == 120
    assert least(["${{ inputs.x + '' }}", {"k": "${{ inputs.y + '' }}"}]) == 110
    assert least("${{ size(inputs.x + inputs.x) }}") == 0
    assert least("${{ inputs.x == inputs.y ? inputs.x : '' }}") == 0
    assert least("${{ [inputs.x, inputs.x].filter(a, false) }}") == 0
