"""Long sums and ladders of conditions are not nested, however the library reads them."""

import functools
import operator

import pytest

from symphony.ports.values import Value
from symphony.workflow.expressions import BadExpression, Compiler, ExpressionFailed, Read, ValueTemplate
from symphony.workflow.expressions.chains import chains, regrouped
from symphony.workflow.types import PortType, parse_type

TYPES = {
    "s": "string", "n": "integer", "d": "number", "l": "list[integer]", "y": "bytes", "o": "string?",
    "j": "json", "rows": "list[json]",
}  # fmt: skip


def types(read: Read) -> PortType | None:
    return parse_type(TYPES[read.port]) if read.port in TYPES else None


def made(text: str) -> ValueTemplate:
    return Compiler(types).template("${{ " + text + " }}")


def value(text: str, values: dict[str, Value]) -> Value:
    return made(text).render(lambda read: values[read.port])


def plus(*operands: str, times: int = 40) -> str:
    return " + ".join(operands * times)


@pytest.mark.parametrize("count", [2, 31, 32, 33, 34, 64, 100, 500])
def test_texts_are_joined_in_their_order_however_many(count: int) -> None:
    text = "+".join(f"'{number}-'" for number in range(count))
    assert made(text).type == PortType("string")
    assert value(text, {}) == "".join(f"{number}-" for number in range(count))


@pytest.mark.parametrize(
    ("text", "values", "kind", "expected"),
    [
        (plus("x.s", "','"), {"s": "é"}, "string", "é," * 40),
        (plus("x.n"), {"n": 3}, "integer", 120),
        (plus("x.l"), {"l": [1, 2]}, "list[integer]", [1, 2] * 40),
        (plus("x.y"), {"y": b"\1"}, "bytes", b"\1" * 40),
        (plus("1u"), {}, "integer", 40),
        (plus("x.o", "'-'"), {"o": "a"}, "string", "a-" * 40),
        (plus("x.j"), {"j": "a"}, "any", "a" * 40),
        (plus("x.j"), {"j": 2}, "any", 80),
        (plus("x.j.k"), {"j": {"k": [1]}}, "any", [1] * 40),
        ("- x.n + " + plus("x.n") + " - 1 - " + plus("x.n", times=20), {"n": 1}, "integer", 56),
        (f"x.n > 2 ? {plus('x.s')} : 'no'", {"n": 1, "s": "a"}, "string", "no"),
        (f"x.n > 2 || {plus('x.s')} == {plus('x.s')}", {"n": 1, "s": "a"}, "boolean", True),
        (f"!('b' in [{plus('x.s')}, {plus('x.s')}])", {"s": "a"}, "boolean", True),
        (f"size({plus('(x.s + (x.s))')}) * 2", {"s": "a"}, "integer", 160),
        (f"{{'k': {plus('x.s')}}}.k.size()", {"s": "a"}, "integer", 40),
        (f"[1, 2].map(q, string(q) + {plus('x.s')})[1]", {"s": "a"}, "string", "2" + "a" * 40),
        (f"x.rows.map(r, {plus('r.a', 'r.b')})[9]", {"rows": [{"a": "a", "b": "b"}] * 300}, "any", "ab" * 40),
        (plus("('+' + string(" + plus("x.n") + "))", times=3), {"n": 1}, "string", "+40" * 3),
    ],
)  # fmt: skip
def test_a_long_sum_is_what_a_short_one_would_be(
    text: str, values: dict[str, Value], kind: str, expected: Value
) -> None:
    assert made(text).type == parse_type(kind)
    assert value(text, values) == expected


@pytest.mark.parametrize(
    "text",
    [
        "(" * 40 + "1" + ")" * 40,
        "[" * 40 + "]" * 40,
        "(" * 40 + plus("1") + ")" * 40,
        "x.j" + ".a" * 40,
        "(" * 40 + "1" + " + 1)" * 40,
    ],
)
def test_what_is_nested_is_nested(text: str) -> None:
    with pytest.raises(BadExpression) as caught:
        made(text)
    assert (caught.value.problem_code, caught.value.message) == (
        "limit-exceeded", "the expression is nested too deeply",
    )  # fmt: skip


def ladder(rungs: int, variable: str = "x.n") -> str:
    return "".join(f"{variable} == {i} ? 'v{i}' : " for i in range(rungs)) + "'none'"


@pytest.mark.parametrize("rungs", [8, 9, 31, 33, 40, 100, 180])
def test_the_first_condition_that_is_true_decides_however_many_there_are(rungs: int) -> None:
    for n in {0, 1, 7, rungs // 2, rungs - 1}:
        assert value(ladder(rungs), {"n": n}) == f"v{n}"
    assert value(ladder(rungs), {"n": -1}) == "none"


def test_ladders_stand_anywhere() -> None:
    assert value(f"[{ladder(40)}, {ladder(40)}]", {"n": 39}) == ["v39", "v39"]
    assert value(f"{{{ladder(40)}: 1, 'k': {ladder(40)}}}", {"n": 2}) == {"v2": 1, "k": "v2"}
    assert value(f"[1, 35].map(q, {ladder(40, 'q')})", {}) == ["v1", "v35"]
    assert value(f"x.n > 1 ? ({ladder(40)}) : ({ladder(40)}) + '!'", {"n": 1}) == "v1!"
    assert value("".join(f"x.n == {i} ? ({ladder(12)}) : " for i in range(12)) + "'q'", {"n": 3}) == "v3"


def test_conditions_behind_the_first_true_one_are_not_heard() -> None:
    good, bad = "x.n == 1 ? 'good' : ", "1 / x.n == 5 ? 'bad' : "
    assert value(bad * 20 + good + bad * 20 + "'none'", {"n": 1}) == "good"
    assert value("x.n == 0 ? 'zero' : " + bad * 40 + "'none'", {"n": 0}) == "zero"
    with pytest.raises(ExpressionFailed, match="division by zero"):
        value("x.n == 1 ? 'one' : " * 3 + bad + "x.n == 0 ? 'zero' : " * 40 + "'none'", {"n": 0})


def test_the_order_of_doubles_is_never_changed() -> None:
    for text in (plus("x.d"), plus("0.1"), "timestamp(0) + " + plus("duration('1s')")):
        with pytest.raises(BadExpression, match="more than 32 doubles") as caught:
            made(text)
        assert caught.value.problem_code == "limit-exceeded"
    with pytest.raises(ExpressionFailed, match="more than 32 doubles"):
        value(plus("x.j"), {"j": 0.1})
    # not sum(): from Python 3.12 on it makes up for what each step loses
    assert value(plus("x.d", times=32), {"d": 0.1}) == functools.reduce(operator.add, [0.1] * 32)


def test_a_mistake_in_a_long_sum_is_told_as_such() -> None:
    for text, words in ((plus("x.s") + " + 1", "does not take (string, int)"), (plus("x.o"), "null")):
        with pytest.raises((BadExpression, ExpressionFailed)) as caught:
            value(text, {"s": "a", "o": None})
        assert words in caught.value.message


def test_many_long_sums_in_one_expression_are_refused() -> None:
    with pytest.raises(BadExpression, match="nested too deeply"):
        made("[" + ", ".join([plus("1", times=9)] * 20) + ", " + plus("1") + "]")


def test_the_sums_of_a_text_are_found_outside_strings_and_signs() -> None:
    nine = " + ".join("abcdefghi")
    for text in (
        nine,
        f"f({nine})",
        f"x ? {nine} : y",
        f"{nine} - j",
        f"-a * 2 {nine[1:]}",
        f"!{nine} == {nine}",
    ):
        found = chains(text)
        assert found
        assert {len(chain.operands) for chain in found} == {9}
        plain = regrouped(text, found, {}).replace("(", "").replace(")", "")
        assert plain == text.replace("(", "").replace(")", "")
    for text in (f"'{nine}'", f"j - {nine}", "a + b", nine.replace("+", "-")):
        assert chains(text) == ()
