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
    source = text if "${{" in text else f"${{{{ {text} }}}}"
    return Compiler(lambda read: kind, value=False).template(source)


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


MORE = [
    "r.result[index] + 1", "r.result[index].a + inputs.x", "r.result.a == null ? 1 : r.result.a",
    "[r.result[0], item.a]", "string(r.result[index])", "size(r.result[0]) + size(item.a)",
    "r.result[index] in [1, 2]", "has(r.result[0].a) ? 1 : 2", "r.result[item[index]] == r.result[0]",
    "r.result[index].map(x, x)", "[1, 2].map(x, x + r.result[index])", "[0].map(index, r.result[index])",
    "r.result[index] == item.a", "-r.result[index]", "!r.result[index]", "r.result[index] * 2.0",
    "r.result[index].k.startsWith('a')", "index > 0 ? 'b' : r.result[index]", '{"a": r.result[0]}',
    "r.result[index] + size(r.result)", "[r.result[ index ] . k, r.result[index].k]", "item.a ? 1 : item.b",
    "inputs.x[r.result[index]] == 1", "dyn(r.result[0]) == dyn(1.0)", "type(r.result[0]) == int",
    "r.result[0] // r.result[1]", "(r.result[0])[index]", "r.result[-1] == r.result[0]",
    "a ${{ r.result[index] }}", "${{ r.result[0] }}${{ inputs.x.a }}, ${{ index }}",
    "${{ r.result }}${{ item[0] }}",
    "${{ item.a + 1 }} ${{ item.a }} ${{ item }}", "${{ has(r.result[0].a) }} ${{ index }}",
]  # fmt: skip


@given(st.sampled_from(MORE), VALUES, VALUES, VALUES, st.integers(-1, 3))
def test_an_expression_that_is_given_the_parts_alone_gives_what_it_gives_of_the_whole(
    text: str, port: Value, given_: Value, item: Value, index: int
) -> None:
    held: dict[str, Value] = {"port": port, "input": given_, "item": item, "index": index}
    whole = template(text)
    found = whole.picked_parts
    if found is None:
        assert text.startswith("[0].map") or "has(" in text
        return
    try:
        few = {
            read: picked(one, held[one.read.kind], lambda read: held[read.kind])
            for read, one in found.picks.items()
        }
        made = found.value((few | {read: held[read.kind] for read in found.reads}).__getitem__)
    except (NotPicked, ExpressionFailed):
        return  # the whole is asked
    evaluated = whole.render(lambda read: held[read.kind])
    assert (made, repr(made)) == (evaluated, repr(evaluated))


def test_what_is_read_whole_too_is_read_once_and_equal_parts_are_one() -> None:
    found = template("r.result[index] + r.result[index] + size(r.result)").picked_parts
    assert found is not None
    port, index = Read("port", "r", "result"), Read("index")
    assert list(found.picks.values()) == [Pick(port, (index,))]
    assert found.reads == (port,)


def test_what_becomes_doubles_is_given_whole() -> None:
    assert template("r.result[0] + 1.0", PortType("list", PortType("number"))).picked_parts is None
