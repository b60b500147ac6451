"""Expressions that differ in whole numbers alone are checked once, and as if each were checked alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.expressions import BadExpression, Compiler, Read
from symphony.workflow.expressions.evaluation import forget_types, form_of
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, list_of

KINDS = {"n": INTEGER, "x": PortType("number"), "s": STRING, "l": list_of(INTEGER), "d": ANY}
FORMS = (
    "inputs.n > {}",
    "inputs.n + {} - {}",
    "inputs.x * {}",
    "inputs.s == {}",
    "inputs.l[{}]",
    "inputs.d[{}] > {}",
    "{} in inputs.l",
    "inputs.l.map(i, i * {})",
    "inputs.n > {} ? {} : inputs.n",
    "inputs.n{} + {}",
    "[{}, {}]",
    "{{{}: {}}}",
    "inputs.s + '{}'",
    "inputs.d == b'{}' || {} == {}",
    "timestamp({})",
    "-{}",
    "{}.5 + inputs.x",
    "{}u + {}u",
    "0x{} + {}",
    "1e{} < inputs.x",
    "inputs.n > {} // {} and more",
    "{} {}",
)
NUMBERS = st.integers(0, 10**20).map(str) | st.sampled_from(
    ["00", "7", "007", "9223372036854775808", "1" * 18]
)


def kind_of(read: Read) -> PortType:
    """The type of an input that there is."""
    if read.name not in KINDS:
        raise BadExpression(f"there is no {read.name}")
    return KINDS[read.name]


def found(text: str) -> object:
    """The type of an expression, or all that is said of it."""
    try:
        return Compiler(kind_of).condition(text).type
    except BadExpression as error:
        return error.message, error.hint, error.problem_code


@given(st.sampled_from(FORMS), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=4))
def test_an_expression_is_of_the_type_that_it_has_alone(form: str, numbers: list[tuple[str, str]]) -> None:
    texts = [form.format(*pair) for pair in numbers]
    alone = []
    for text in texts:
        forget_types()
        alone.append(found(text))
    forget_types()
    assert [found(text) for text in texts] == alone


@pytest.mark.parametrize(
    ("one", "other"),
    [("n > 1", "n > 1u"), ("n > 1", "n > 1.0"), ("n1 > 0", "n2 > 0"), ("s == '1'", "s == '2'"), ("1", "0x1")],
)
def test_what_may_have_another_type_is_of_another_form(one: str, other: str) -> None:
    assert form_of(one) != form_of(other)


def test_whole_numbers_make_no_other_form() -> None:
    assert form_of("a > 1 && b[20] == 300") == form_of("a > 4 && b[5] == 6")
