"""Expressions that differ in numbers and strings alone are checked once, as if each were alone."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.expressions import BadExpression, Compiler, Read
from symphony.workflow.expressions.evaluation import forget_types, form_of
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, list_of

KINDS: Final = {
    "n": INTEGER, "x": PortType("number"), "s": STRING, "l": list_of(INTEGER), "d": ANY,
    "m": PortType("map", INTEGER),
}  # fmt: skip
FORMS: Final = (
    "inputs.n > {0}", "inputs.n + {0} - {1}", "inputs.x * {0}", "inputs.s == {0}", "inputs.l[{0}]",
    "inputs.d[{0}] > {1}", "{0} in inputs.l", "inputs.l.map(i, i * {0})", "inputs.n > {0} ? {1} : inputs.n",
    "inputs.n{0} + {1}", "[{0}, {1}]", "{{{0}: {1}}}", "inputs.s + '{0}'", "inputs.d == b'{0}' || {1} == {0}",
    "timestamp({0})", "-{0}", "{0}.5 + inputs.x", "{0}u + {1}u", "0x{0} + {1}", "1e{0} < inputs.x",
    "inputs.n > {0} // {1} and more", "{0} {1}", "inputs.s == '{0}' || inputs.s == \"{1}\"",
    "inputs.s == '{0}{1}'", "inputs.d['{0}'] == {1}", "inputs.m['{0}'] == {1}", "'{0}''{1}'",
    '"{0}""{1}"', "'{0} + \"{1}'", "r'{0}' + '{1}'", "inputs.s == '{0}' // don't {1}", "'''{0}''' + '{1}'",
    "inputs.s.matches('{0}') && {1} > 1", "['{0}', {1}]", "{{'{0}': {1}}}", "inputs.{0} == {1}",
    "inputs.s == {0}'{1}'", "inputs.d.`{0}` == {1}",
)  # fmt: skip
PARTS: Final = st.integers(0, 10**20).map(str) | st.sampled_from(
    ["00", "7", "007", "9223372036854775808", "1" * 18, "", "n", "s", "b", "x y", "'", '"', '""', "''", "\\",
     "\\n", "\n", "\r", "`", "é", "\ud800", "//", "(", ")", "null"]
)  # fmt: skip


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


def alone(text: str) -> object:
    """`found`, where no other expression was checked before."""
    forget_types()
    return found(text)


@given(st.sampled_from(FORMS), st.lists(st.tuples(PARTS, PARTS), min_size=2, max_size=4))
def test_an_expression_is_of_the_type_that_it_has_alone(form: str, parts: list[tuple[str, str]]) -> None:
    texts = [form.format(*pair) for pair in parts]
    each = [alone(text) for text in texts]
    forget_types()
    assert [found(text) for text in texts] == each


def test_a_string_with_the_word_null_is_checked_as_if_alone() -> None:
    """Where an expression speaks of null, lists and maps are dynamic."""
    texts = ["inputs.m['a'] == inputs.s", "inputs.m['null'] == inputs.s", "inputs.m['b'] == inputs.s"]
    each = [alone(text) for text in texts]
    assert each[0] == each[2] != each[1]
    forget_types()
    assert [found(text) for text in texts] == each


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("n > 1", "n > 1u"), ("n > 1", "n > 1.0"), ("n1 > 0", "n2 > 0"), ("1", "0x1"), ("'1'", "b'1'"),
        ("f('1')", "f('2')"), ("'a'", "'\\n'"), ("'''1'''", "'''2'''"), ("'a\rb'", "'a'"), ("a.`1`", "a.`2`"),
    ],
)  # fmt: skip
def test_what_may_have_another_type_is_of_another_form(one: str, other: str) -> None:
    assert form_of(one) != form_of(other)


def test_whole_numbers_and_plain_strings_make_no_other_form() -> None:
    assert form_of("a > 1 && b[20] == 'x'") == form_of('a > 4 && b[5] == "y + 7"')
