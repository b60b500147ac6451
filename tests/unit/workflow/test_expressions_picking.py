"""A part that is picked is the part that the evaluator gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow.expressions import ExpressionFailed, Read, ValueTemplate
from symphony.workflow.expressions.compiler import Compiler
from symphony.workflow.expressions.picking import NotPicked, Pick, picked
from symphony.workflow.types import ANY, PortType

VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "a", "k", b"b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("akb"), inner, max_size=3),
    max_leaves=10,
)
TEXTS = [
    "r.result[index]", "r.result[index].a", "r.result.a", "r.result.a.k", 'r.result["a"]', "r.result[0][1]",
    "inputs.x[0]", "item.a", "item[index]", "r.result[ index ] . k", "size(r.result)", "size(item.a)",
    "r.result[inputs.x]", "size(inputs.x[0])", "r.result[r.result]",
]  # fmt: skip


def template(text: str, kind: PortType = ANY) -> ValueTemplate:
    return Compiler(lambda read: kind, value=False).template(f"${{{{ {text} }}}}")


def pick(text: str) -> Pick:
    found = template(text).pick
    assert found is not None, text
    return found


@given(st.sampled_from(TEXTS), VALUES, VALUES, VALUES, st.integers(-1, 3))
def test_a_part_that_is_picked_is_what_the_evaluator_gives(
    text: str, port: Value, given_: Value, item: Value, index: int
) -> None:
    held: dict[str, Value] = {"port": port, "input": given_, "item": item, "index": index}

    def lookup(read: Read) -> Value:
        return held[read.kind]

    one = pick(text)
    try:
        made = picked(one, lookup(one.read), lookup)
    except NotPicked:
        return
    try:
        evaluated = template(text).render(lookup)
    except ExpressionFailed as error:
        raise AssertionError(f"{text} gave {made!r}") from error
    assert (made, repr(made)) == (evaluated, repr(evaluated))


@pytest.mark.parametrize(
    "text",
    ["r.result[index] + 1", "r.result.map(x, x)", "[r.result[0]]", "r.result[index + 1]",
     "size(r.result) + 1", "r.result[-1]", "r.result[1u]", 'r.result["a\\n"]', "r.result[0x1]",
     "r.result.size()", "r[index]", "env.A[0]", "size(r.result) == size(item)"],
)  # fmt: skip
def test_what_does_more_is_left_to_the_evaluator(text: str) -> None:
    assert template(text).pick is None


def test_what_becomes_doubles_is_left_to_the_evaluator() -> None:
    assert template("r.result[0]", PortType("list", PortType("number"))).pick is None
    assert template("r.result[0]", PortType("list", PortType("integer"))).pick is not None
