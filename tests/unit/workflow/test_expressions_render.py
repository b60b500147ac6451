"""Expressions typed by CEL's checker and rendered: values go in and come out as they are."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow.expressions import (
    BadExpression,
    Compiler,
    ExpressionFailed,
    Read,
    as_text,
    type_of,
)
from symphony.workflow.expressions.celtypes import TIMESTAMP, whole
from symphony.workflow.expressions.compiler import constant
from symphony.workflow.expressions.nulls import nulls
from symphony.workflow.expressions.staging import is_large, stage
from symphony.workflow.types import ANY, PortType, parse_type

TYPES = {
    "n": "integer", "d": "number", "s": "string", "b": "boolean", "y": "bytes", "p": "path",
    "l": "list[integer]", "ls": "list[string]", "ld": "list[number]", "m": "map[integer]",
    "md": "map[number]", "e": "embedding", "o": "string?", "ol": "list[integer]?", "j": "json", "a": "any",
}  # fmt: skip


def types(read: Read) -> PortType | None:
    if read.kind == "index":
        return PortType("integer")
    if read.kind == "node":
        return PortType("map", ANY)
    return parse_type(TYPES[read.port or read.name]) if (read.port or read.name) in TYPES else None


COMPILER = Compiler(types, value=False)


def render(text: str, **values: Value) -> Value:
    return COMPILER.template(text).render(lambda read: values[read.port or read.name or read.kind])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("${{ x.n }}", "integer"),
        ("${{ x.n + 1 }}", "integer"),
        ("${{ double(x.n) / 2.0 }}", "number"),
        ("${{ x.s + 'y' }}", "string"),
        ("${{ x.s == null }}", "boolean"),
        ("${{ size(x.y) }}", "integer"),
        ("${{ x.p + '/y' }}", "string"),
        ("${{ x.l.map(v, string(v)) }}", "list[string]"),
        ("${{ x.l.map(v, {'k': v}) }}", "list[map[integer]]"),
        ("${{ {'a': {'b': x.d}} }}", "map[map[number]]"),
        ("${{ x.e[0] }}", "number"),
        ("${{ x.m.k }}", "integer"),
        ("${{ x.a }}", "any"),
        ("${{ x.a + 1 }}", "integer"),
        ("${{ x.a.b.c }}", "any"),
        ("${{ x.unknown }}", "any"),
        ("${{ x }}", "map[any]"),
        ("${{ [] }}", "list[any]"),
        ("${{ x.o }}", "string?"),
        ("${{ x.o == null ? 'none' : x.o }}", "string"),
        ("${{ x.ol == null ? 0 : size(x.ol) }}", "integer"),
        ("${{ null }}", "any?"),
        ("${{ 1u }}", "integer"),
        ("${{ timestamp('2020-01-01T00:00:00Z') }}", "string"),
        ("${{ run.started_at }}", "string"),
        ("${{ run.started_at > timestamp('2020-01-01T00:00:00Z') }}", "boolean"),
        ("a ${{ x.n }}", "string"),
        ("$${{ x.n }}", "string"),
        ("plain", "string"),
    ],
)
def test_cel_tells_the_type(text: str, kind: str) -> None:
    assert COMPILER.template(text).type == parse_type(kind)


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("1 +", "not complete (at character 4)", "Functions of expressions"),
        ("x.n + 1.5", "`+` does not take (int, double) (at character 5)", "double(x)"),
        ("x.d + 1", "`+` does not take (double, int)", "double(x)"),
        ("x.s + 1", "`+` does not take (string, int)", "convert"),
        ("x.l + x.ls", "`+` does not take", ""),
        ("inputs.n == null", "`==` does not take (int, null)", "never null"),
        ("nosuch(x.n)", "there is no 'nosuch'", "check the name"),
        ("x.n.field", "", ""),
        ("x.n ? 1 : 2", "", ""),
        ("1.map(v, v)", "cannot be the range", ""),
        ("has(x.n)", "field selection", "compare them with null"),
        ("type(x.n)", "cannot travel", "give a text"),
        ("{1: 2}", "cannot travel", "keys"),
        ("[{1: 2}]", "cannot travel", ""),
        ("x.a.?b", "", ""),
        ("'\\ud800'", "", ""),
        ("x.n # 1", "", ""),
        ("1 2", "unexpected '2'", ""),
    ],
)
def test_what_cel_refuses_is_told_in_plain_words(text: str, words: str, hint: str) -> None:
    with pytest.raises(BadExpression) as caught:
        COMPILER.condition(text)
    error = caught.value
    assert words in error.message
    assert hint in (error.hint or "")
    no_value = "cannot travel" in error.message  # sound, of a type that no node could take
    assert error.problem_code == ("type-mismatch" if no_value else "bad-expression")
    assert not any(inside in error.message for inside in ("_0", "<input>", "container", "wrapper", "INVALID"))


def test_what_is_too_deep_for_the_library_is_a_limit() -> None:
    for text in ("(" * 50 + "1" + ")" * 50, "x.a" + ".b" * 60):
        with pytest.raises(BadExpression) as caught:
            COMPILER.condition(text)
        assert caught.value.problem_code == "limit-exceeded"


def test_what_is_not_in_scope_is_refused_by_the_scope() -> None:
    def nothing(read: Read) -> PortType:
        raise BadExpression(f"{read} is not here", problem_code="unknown-port")

    with pytest.raises(BadExpression, match=r"a\.b is not here") as caught:
        Compiler(nothing).template(["x", {"k": "${{ 1 + a.b }}"}])
    assert caught.value.problem_code == "unknown-port"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("${{ x.n + 2 }}", {"n": 9007199254740993}, 9007199254740995),
        ("${{ x.a }}", {"a": {"k": [1, 2.0, None, True, b"\0"]}}, {"k": [1, 2.0, None, True, b"\0"]}),
        ("${{ [x.a] }}", {"a": {"k": [1, 2.0, None, True, b"\0"]}}, [{"k": [1, 2.0, None, True, b"\0"]}]),
        ("${{ x.d * 2.0 }}", {"d": 3}, 6.0),
        ("${{ x.ld.map(v, v * 2.0) }}", {"ld": [1, 2.5]}, [2.0, 5.0]),
        ("${{ x.md.k * 2.0 }}", {"md": {"k": 2}}, 4.0),
        ("${{ x.e[0] + 1.0 }}", {"e": [1, 2.5]}, 2.0),
        ("${{ x.s == null }}", {"s": None}, True),
        ("${{ x.l == null }}", {"l": None}, True),
        ("${{ x.l == null ? -1 : size(x.l) }}", {"l": [1]}, 1),
        ("${{ x.o == null ? 'none' : x.o }}", {"o": None}, "none"),
        ("${{ size(x.y) }}", {"y": b"\0\1\2\xff"}, 4),
        ("${{ size(x.s) }}", {"s": "a\0b"}, 3),
        ("${{ [x.s + 'c'] }}", {"s": "a\0b"}, ["a\0bc"]),
        ("${{ x.s == 'a\\x00b' }}", {"s": "a\0b"}, True),
        ("${{ size(x.s) }}", {"s": "é😀"}, 2),
        ("${{ x.a['$ref'] }}", {"a": {"$ref": 1}}, 1),
        ("${{ x.a.`content-type` + x.`s` }}", {"a": {"content-type": "t"}, "s": "!"}, "t!"),
        ("${{ [has(x.a.`a/b`), has(x.a.`c d`)] }}", {"a": {"a/b": 1}}, [True, False]),
        ("${{ x.a.map(r, r.`b-c`) }}", {"a": [{"b-c": 1}] * 300}, [1] * 300),
        ("${{ [1, 2].map(x, x + .x.n) }}", {"n": 10}, [11, 12]),
        ("${{ [1, 2].map((x), x + .x.n) }}", {"n": 10}, [11, 12]),
        ("${{ x.a.map(x, x + .x.n) }}", {"a": [1] * 300, "n": 10}, [11] * 300),
        (
            "${{ google.protobuf.Timestamp{seconds: x.n, nanos: x.n} }}",
            {"n": 5},
            "1970-01-01T00:00:05.000000005Z",
        ),
        ("${{ 1u }}", {}, 1),
        ("${{ b'\\x00' }}", {}, b"\0"),
        ("${{ timestamp('2020-01-01T00:00:00.1Z') }}", {}, "2020-01-01T00:00:00.100Z"),
        ("${{ [timestamp('2020-01-01T02:00:00.000123+02:00')] }}", {}, ["2020-01-01T00:00:00.000123Z"]),
        ("${{ timestamp('0001-01-01T00:00:00Z') }}", {}, "0001-01-01T00:00:00Z"),
        ("${{ duration('-1.5s') }}", {}, "-1.500s"),
        ("${{ duration('26h') }}", {}, "93600s"),
        ("${{ timestamp('2020-01-01T00:00:00.123456789Z') }}", {}, "2020-01-01T00:00:00.123456789Z"),
        ("${{ timestamp(0) + duration('1ns') }}", {}, "1970-01-01T00:00:00.000000001Z"),
        (
            "${{ {'k': [timestamp('0001-01-01T00:00:00.000000001Z'), x.a]} }}",
            {"a": None},
            {"k": ["0001-01-01T00:00:00.000000001Z", None]},
        ),
        ("${{ [[duration('-1ns')], [duration('1.5us')]] }}", {}, [["-0.000000001s"], ["0.000001500s"]]),
        ("${{ duration('-315537897598.999999999s') }}", {}, "-315537897598.999999999s"),
        (
            "${{ x.a.map(t, timestamp(t))[299] }}",
            {"a": ["2020-01-01T00:00:00.1234567Z"] * 300},
            "2020-01-01T00:00:00.123456700Z",
        ),
        (
            "${{ x.a.map(t, timestamp(t)) }}",
            {"a": ["2020-01-01T00:00:00.1234567Z"] * 300},
            ["2020-01-01T00:00:00.123456700Z"] * 300,
        ),
        ("${{ x.a.filter(t, duration(t) > duration('1s')).size() }}", {"a": ["1.000000001s"] * 300}, 300),
        (
            "${{ run.started_at + duration('1h') }}",
            {"started_at": "2020-01-01T00:00:00Z"},
            "2020-01-01T01:00:00Z",
        ),
        ("${{ run.started_at }}", {"started_at": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z"),
        ("${{ [1].map(_0r0, _0r0 + x.n) }}", {"n": 5}, [6]),
        ("${{ {'k': x.n, 'l': [x.n]} }}", {"n": 5}, {"k": 5, "l": [5]}),
        ("${{ true }}", {}, True),
        ("${{ x.n }}/${{ x.s }}", {"n": 5, "s": "t"}, "5/t"),
        ("${{ x.a }}!", {"a": None}, "null!"),
        ("${{ x.a }}!", {"a": [1, "é", {"k": b"\1"}]}, '[1, "é", {"k": {"$bytes": "AQ=="}}]!'),
        (" ${{ x.d }}", {"d": 2.0}, " 2.0"),
        ("$${{ a }} ${{ x.n }}", {"n": 1}, "${{ a }} 1"),
    ],
)
def test_values_go_in_and_come_out_exactly(text: str, values: dict[str, Value], expected: Value) -> None:
    found = render(text, **values)
    assert found == expected
    assert _kinds(found) == _kinds(expected)


def _kinds(value: Value) -> object:
    """1, 1.0 and true are not the same."""
    if isinstance(value, list):
        return [_kinds(item) for item in value]
    return {key: _kinds(item) for key, item in value.items()} if isinstance(value, dict) else type(value)


DEEP: Value = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("${{ 10 / x.n }}", {"n": 0}, "division by zero in `10 / x.n`"),
        ("${{ x.m.k }}", {"m": {}}, 'there is no key "k"'),
        ("${{ x.l[3] }}", {"l": [1]}, "there is no element 3 in a list of 1"),
        ("${{ x.a + 1 }}", {"a": "t"}, "`+` does not take (string, int)"),
        ("${{ x.a + 1.5 }}", {"a": 1}, "`+` does not take (int, double)"),
        ("${{ x.s + 't' }}", {"s": None}, "`+` does not take (null, string)"),
        ("${{ x.a ? 1 : 2 }}", {"a": 1}, "neither true nor false"),
        ("${{ x.a.b }}", {"a": 5}, "not a map"),
        ("${{ x.n + 1 }}", {"n": 2**63 - 1}, "overflow"),
        ("${{ x.a + 1 }}", {"a": 2**64}, "out of range"),
        ("${{ x.d / 0.0 }}", {"d": 1.0}, "infinite"),
        ("${{ [x.d / x.d] }}", {"d": 0.0}, "not a number"),
        ("${{ 18446744073709551615u }}", {}, "beyond 64 bits"),
        ("${{ dyn(type(x.a)) }}", {"a": 1}, "cannot travel"),
        ("${{ x.a + 't' }}", {"a": "\ud800"}, "Unicode"),
        ("${{ size(x.a) }}", {"a": {"a\0": 1}}, "NUL"),
        ("${{ size(x.a) }}", {"a": DEEP}, "more than 256 deep"),
        ("${{ int(x.s) }}", {"s": "many"}, "in `int(x.s)`"),
        ("${{ x.s.matches(x.s) }}", {"s": "("}, "regular expression"),
        ("${{ run.started_at > timestamp('t') }}", {"started_at": "yesterday"}, "yesterday"),
    ],
)
def test_what_fails_on_its_values_says_why(text: str, values: dict[str, Value], words: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        render(text, **values)
    assert words in caught.value.message
    assert "_0" not in caught.value.message
    assert caught.value.hint


def test_a_long_expression_is_shown_shortened() -> None:
    with pytest.raises(ExpressionFailed, match=r"…`$"):
        render(f"${{{{ [1 / x.n{', 1' * 200}] }}}}", n=0)


def test_a_bare_reference_never_enters_cel() -> None:
    value = object()
    template = COMPILER.template("${{ x.l }}")
    assert template.bare == Read("port", "x", "l")
    assert not template.constant
    assert template.render(lambda read: value) is value  # type: ignore[arg-type, return-value]  # any object passes
    assert COMPILER.condition(" x.l ").bare == template.bare


def test_a_value_without_expressions_is_constant_and_not_copied() -> None:
    value: Value = {"k": [1, "}}", {"l": None}]}
    template = COMPILER.template(value)
    assert template.constant
    assert template.value is value
    assert template.reads == ()
    assert COMPILER.template(["$${{ a }}"]).value == ["${{ a }}"]
    assert COMPILER.condition("true").value is True


def test_lists_and_maps_of_templates_are_rendered_element_by_element() -> None:
    template = COMPILER.template({"k": ["${{ x.n }}", 1, "n=${{ x.n + 1 }}"], "l": "${{ x.s }}"})
    assert template.render(lambda read: 5 if read.port == "n" else "t") == {"k": [5, 1, "n=6"], "l": "t"}
    assert [str(read) for read in template.reads] == ["x.n", "x.s"]


@pytest.mark.parametrize(
    ("value", "target", "why"),
    [
        ("${{ x.n }}", "number", None),
        ("${{ x.n }}", "string", "integer does not fit string"),
        ("n${{ x.n }}", "integer", "string does not fit integer"),
        (["${{ x.s }}", "t"], "list[string]", None),
        (["${{ x.s }}", "${{ x.n }}"], "list[string]", "element 1: integer does not fit string"),
        (["${{ x.d }}", 1], "embedding", None),
        (["${{ x.s }}"], "string", "a list does not fit string"),
        (["${{ x.s }}"], "json", None),
        ({"a": "${{ x.n }}", "b": "t"}, "map[integer]", "key 'b': a string is not an integer"),
        ({"a": "${{ x.n }}"}, "list[integer]", "a map does not fit list[integer]"),
        ({"a": "${{ x.n }}"}, "any", None),
        ("${{ x.a }}", "integer", None),
        ("${{ null }}", "string", "null is not a string"),
        ("${{ x.o }}", "string", "string? does not fit string"),
    ],
)
def test_a_template_says_why_it_cannot_fit(value: Value, target: str, why: str | None) -> None:
    assert COMPILER.template(value).misfit(parse_type(target)) == why


def test_a_transform_sees_value_and_other_expressions_a_node_of_that_name() -> None:
    compiler = Compiler(lambda read: parse_type("integer" if read.kind == "value" else "string"), value=False)
    assert compiler.transform("value + 1").type == parse_type("integer")
    assert compiler.condition("value.x").bare == Read("port", "value", "x")
    assert compiler.transform("${{ [value, value + 1] }}").render(lambda read: 21) == [21, 22]


def test_the_start_of_the_run_is_a_moment_inside_cel_whatever_the_scope_calls_it() -> None:
    for kind in (None, TIMESTAMP, parse_type("string")):
        template = Compiler(lambda read, kind=kind: kind).condition("run.started_at.getFullYear()")
        assert template.render(lambda read: "2031-05-05T00:00:00+00:00") == 2031


MACROS: Mapping[str, object] = {
    "x.l.map(v, v + 1)": lambda xs: [v + 1 for v in xs],
    "x.l.filter(v, v % 3 == 0)": lambda xs: [v for v in xs if v % 3 == 0],
    "x.l.filter(v, v > 2).map(v, v * v)": lambda xs: [v * v for v in xs if v > 2],
    "x.l.map(v, v % 2 == 0, v)": lambda xs: [v for v in xs if v % 2 == 0],
    "x.l.all(v, v < 100000)": lambda xs: all(v < 100_000 for v in xs),
    "x.l.exists(v, v == 7)": lambda xs: 7 in xs,
    "x.l.exists_one(v, v == 7)": lambda xs: xs.count(7) == 1,
    "size(x.l.filter(v, v > 5)) + size(x.l.map(v, v))": lambda xs: len([v for v in xs if v > 5]) + len(xs),
    "[x.l.filter(v, v in [1, 2, 3]).map(v, [v, v])]": lambda xs: [[[v, v] for v in xs if v in (1, 2, 3)]],
    "x.l.exists(v, v > 3) ? x.l.map(v, -v) : []": lambda xs: [-v for v in xs] if max(xs) > 3 else [],
    "x.l.map(v, [1, 2].map(w, v * w))": lambda xs: [[v, v * 2] for v in xs],
    "(x.l + [7]).map(v, v)[0] + {'k': x.l}.k.map(v, v)[0]": lambda xs: xs[0] * 2,
    "x.l.map(v, b'a\\x00' + bytes(string(v))).map(b, size(b))": lambda xs: [2 + len(str(v)) for v in xs],
    "x.l.map(v, uint(v)).filter(u, u < 3u)": lambda xs: [v for v in xs if v < 3],
    "x.l.map(v, timestamp(v)).map(t, t.getFullYear())": lambda xs: [1970] * len(xs),
    "x.l.map(v, {'q': v}).map(m, m.q)": lambda xs: xs,
}  # fmt: skip


@pytest.mark.parametrize("text", MACROS)
@pytest.mark.parametrize("size", [1, 70, 1_300])
def test_macros_over_large_lists_give_what_they_give_over_short_ones(text: str, size: int) -> None:
    numbers = list(range(size))
    expected = MACROS[text](numbers)  # type: ignore[operator]  # a function
    assert render(f"${{{{ {text} }}}}", l=numbers) == expected


def test_a_list_may_be_longer_than_the_library_can_count() -> None:
    records: Value = [{"text": f"t{i}", "n": i} for i in range(10_500)]
    assert render("${{ x.a.map(r, r.text) }}", a=records) == [f"t{i}" for i in range(10_500)]
    assert render("${{ size(x.a.filter(r, r.n % 2 == 0)) }}", a=records) == 5_250
    assert render("${{ x.a.all(r, r.n >= 0) }}", a=records) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size(x.l) < 5 && x.l.map(v, v / 0) == []", False),
        ("x.l.exists(v, 1 / v > 5 || v == 900)", True),
        ("x.l.all(v, 1 / v < 5 && v != 900)", False),
        ("x.m.map(k, k)[0]", "k0"),
    ],
)
def test_failures_that_cel_hides_stay_hidden_in_large_lists(text: str, expected: Value) -> None:
    values: dict[str, Value] = {"l": list(range(1_000)), "m": {f"k{i}": i for i in range(1_000)}}
    assert render(f"${{{{ {text} }}}}", **values) == expected


def test_a_macro_that_fails_on_an_element_fails() -> None:
    for text in ("x.l.map(v, 5 / v)", "x.l.exists_one(v, 5 / v == 1)", "[x.l.filter(v, 5 / v > 0)]"):
        with pytest.raises(ExpressionFailed, match="division by zero"):
            render(f"${{{{ {text} }}}}", l=list(range(1_000)))


def test_work_that_grows_with_the_square_of_a_list_ends() -> None:
    with pytest.raises(ExpressionFailed, match="10,000 steps") as caught:
        render("${{ x.l.map(v, x.l.exists(w, w == v + 11000)) }}", l=list(range(10_100)))
    assert "operator" in (caught.value.hint or "")


def test_short_lists_are_not_taken_apart() -> None:
    assert not is_large([list(range(200)), {"k": "v"}, 5])
    assert is_large([{"k": [{"l": list(range(201))}]}])
    assert is_large([[list(range(100)) for _ in range(100)]])


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("a.map(x, x)", "_m1"),
        ("f(a.map(x, x)) + b", "f(_m1) + b"),
        ("a.filter(x, x).map(y, y)", "_m1"),
        ("a[0].b(c).map(x, x) + [1].map(x, x)", "_m1 + _m2"),
        ("1 in [1].map(x, x)", "1 in _m1"),
        ("c ? (a + b).map(x, x) : {'k': a}.map(x, x)", "c ? _m1 : _m2"),
        ("google.protobuf.Struct{fields: a}.map(x, x)", "_m1"),
        (".a.b.map(x, x)", "_m1"),
        ("'t'.map(x, x)", "_m1"),
    ],
)
def test_outermost_macros_are_taken_out(text: str, taken: str) -> None:
    found = stage(text, "_m")
    assert found is not None
    assert [call.replace("_m2", "_m1") if taken == "_m1" else call for call in [found.text]] == [taken]


@pytest.mark.parametrize(
    "text", ["a + 1", "a.map(1, x)", "map(x, x)", "a.map", "[1u].map(x, x)", "a.map(x)", "a.map(x, x"]
)
def test_what_is_no_macro_is_left_alone(text: str) -> None:
    assert stage(text, "_m") is None


texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@given(values)
def test_every_value_survives_the_way_through_cel(value: Value) -> None:
    found = render("${{ [x.a][0] }}", a=value)
    assert found == value
    assert _kinds(found) == _kinds(value)


@given(values)
def test_text_around_any_value_is_json_that_reads_back(value: Value) -> None:
    text = as_text(value)
    if not isinstance(value, str):
        json.loads(text)
    assert render("<${{ x.a }}>", a=value) == f"<{text}>"


@given(values)
def test_a_value_fits_its_own_type(value: Value) -> None:
    assert constant(value).misfit(type_of(value)) is None


def test_what_holds_no_nul_is_not_copied() -> None:
    value = [{"k": ["a", b"b", 1]}]
    assert whole(value) is value


@pytest.mark.parametrize(
    ("plain", "count"),
    [(None, 1), ("", 0), ([None, [None, {"a": None, "b": [None]}], ()], 4), ({}, 0), ({"a": 1}, 0), (0, 0)],
)
def test_the_nulls_that_the_library_made_are_counted(plain: object, count: int) -> None:
    assert nulls(plain) == count
