"""What an expression reads, and where it ends: found without the CEL library."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from symphony.workflow.expressions import (
    LENGTH_MAX,
    BadExpression,
    Compiler,
    condition_reads,
    reference_in,
    scan,
    split,
    value_reads,
)
from symphony.workflow.expressions.scan import MACROS_DEEP_MAX, _Scanner, plain_references, tokens
from symphony.workflow.types import ANY


def reads(text: str, *, value: bool = False) -> list[str]:
    return [str(read) for read in scan(text, value=value)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b", ["a.b"]),
        (" a . b ", ["a.b"]),
        ("a.b.c[0].d", ["a.b"]),
        ('a["b"]', ["a.b"]),
        ('nodes["a-b"].c', ['nodes["a-b"].c']),
        ("nodes['a-b']['c-d']", ['nodes["a-b"]["c-d"]']),
        ("nodes.a.b", ["a.b"]),
        ('a["b" + "c"]', ["a"]),
        ("a", ["a"]),
        ("a.size()", ["a"]),
        ("size(a)", ["a"]),
        ("a.b.size()", ["a.b"]),
        ("inputs.n + inputs.m * inputs.n", ["inputs.n", "inputs.m"]),
        ('inputs["with-dash"]', ['inputs["with-dash"]']),
        ("run.id + env.HOME + string(run.started_at)", ["run.id", "env.HOME", "run.started_at"]),
        ("item + index", ["item", "index"]),
        ("item.x.y", ["item"]),
        ("state.x + iteration", ["state.x", "iteration"]),
        (".a.b", ["a.b"]),
        ("a.b.map(x, x + c.d)", ["a.b", "c.d"]),
        ("[1].map(a, a.b)", []),
        ("a.b.filter(a, a.b > 1)", ["a.b"]),
        ("[1].map(x, [2].map(y, x + y + z.q))", ["z.q"]),
        ("[1].map(x, x) == x.y", ["x.y"]),
        ("[1].map(inputs, inputs)", []),
        ("a.b.exists_one(x, x == 1) || c.d.all(y, y)", ["a.b", "c.d"]),
        ("a.map(1, 2)", ["a"]),
        ("[1, 2].all(a.b)", ["a.b"]),
        ("'a.b' + \"c.d\" + '''e.f''' + r'g.h'", []),
        ("b'a.b' == a.b", ["a.b"]),
        ("1.5e3 + .5 + 0x1F + 2u", []),
        ("a.b // c.d\n + e.f", ["a.b", "e.f"]),
        ("{a.b: c.d, 'k': e.f}", ["a.b", "c.d", "e.f"]),
        ("{a: 1}", ["a"]),
        ("google.protobuf.Int64Value{value: n.m}", ["n.m"]),
        ("type(a.b) == int && x.y in [true, null]", ["a.b", "x.y"]),
        ("size.items + size(size.items)", ["size.items"]),
        ("timestamp.x", ["timestamp.x"]),
        ("value.result + value", ["value.result", "value"]),
        ("has(a.b.c)", ["a.b"]),
        ("a.in", ["a"]),
        ("a.?b", ["a"]),
        ("inputs.headers.`content-type`", ["inputs.headers"]),
        ("has(a.b.`c-d`) && a.b.`c/d`.`e f` == b.c", ["a.b", "b.c"]),
        ("inputs.`with-dash` + nodes.`a-b`.`c-d`.e", ['inputs["with-dash"]', 'nodes["a-b"]["c-d"]']),
        ("a.`b` + a.`c//d`", ["a.b", 'a["c//d"]']),
        ("a.b.`in` + a.`true`.`null`", ["a.b", "a.true"]),
        ("[1].map(y, .y.b + y)", ["y.b"]),
        ("[1].map(inputs, .inputs.x + inputs)", ["inputs.x"]),
        ("[1].map(a, -.a.b > 0 ? .a.c : a)", ["a.b", "a.c"]),
        ("[1].map((a), a + b.c)", ["b.c"]),
        ("[1].map(((a)), [a].map(b, a + b + .b.c))", ["b.c"]),
        ("a.b.map((c, d), c.d)", ["a.b", "c", "d", "c.d"]),
        ("google.protobuf.Timestamp{seconds: n.m, nanos: o.p,}", ["n.m", "o.p"]),
        ("google.protobuf.Struct{fields: {a.b: c.d, e: f}}.x", ["a.b", "c.d", "e", "f"]),
        (".google.protobuf.Int64Value{`value`: n.m}", ["n.m"]),
    ],
)
def test_what_an_expression_reads_is_found(text: str, expected: list[str]) -> None:
    assert reads(text) == expected


_STRINGS = (
    "'a'", '"a.b"', "'}}'", "'//'", "'`'", r"'\\'", r"'\''", r'"\""', "'''a'b''c'''", '"""a"b"""', r"r'a\b'",
    "b'a.b'", "br'{'", "bR'''}}'''", "''", '""', "''''''", r"'\x61\u00e9\141\`\?'", "'''a\nb'''", r"'''\''''",
)  # fmt: skip
_name = st.sampled_from(["a", "b", "c"])
_blank = st.sampled_from(["", "", " ", "\n", "\t", " // a.b 'c\n", "//`\n"])
_atom = st.one_of(
    _name,
    _name.map(lambda name: "." + name),
    st.sampled_from([*_STRINGS, "1", "1.5e3", ".5", "0x1F", "2u", "true", "null", "int", "[]", "{}"]),
)
_FORMS = (
    "(X)~", "dyn(X)~.V", "dyn(X).~`a-b`", "dyn(X).`c//d`.V", "has(dyn(X).V)", "has(dyn(X).`a.b`)",
    "dyn(X)~[~Y]",
    "dyn(X)~+~dyn(Y)", "(dyn(X) ? (X) : Y)", "(dyn(X) in [Y])", "[X,~Y]", "{(X):~Y,}", "size(dyn(X))",
    "dyn(X).size()",
    "dyn(X).map(V,~Y)", "dyn(X)~.~filter~(~(V)~,~dyn(Y))", "dyn(X).all(V, dyn(.V + Y))",
    "dyn(X).map(V, dyn(Y), X)",
    "[X].exists_one(V, dyn(Y) == V)", "google.protobuf.Timestamp{seconds:~dyn(X), nanos: dyn(Y)}",
    "google.protobuf.Value{number_value: dyn(X)}", "!dyn(X)~&& dyn(Y)", "-dyn(X)",
    "[X].map(V, [V].map(V, Y))",
)  # fmt: skip


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def filled(given: tuple[str, str, str, str, str]) -> str:
        form, *parts = given
        chars = dict(zip("XY~V", parts, strict=True))
        return "".join(chars.get(char, char) for char in form)

    return st.tuples(st.sampled_from(_FORMS), inner, inner, _blank, _name).map(filled)


@given(st.recursive(_atom, _larger, max_leaves=8))
def test_what_is_found_is_what_the_library_must_know(text: str) -> None:
    from cel_expr_python import cel

    assume(sum(text.count(macro) for macro in ("map(", "all(", "filter", "exists_one(")) <= MACROS_DEEP_MAX)
    found = {read.name for read in scan(text)}
    assert split(f"x ${{{{{text}\n}}}} y") == ((False, "x "), (True, text + "\n"), (False, " y"))

    def compile_with(names: set[str]) -> None:
        cel.NewEnv(variables=dict.fromkeys(sorted(names), cel.Type.DYN)).compile(text)

    try:
        compile_with({"a", "b", "c"})
    except RuntimeError as error:
        assert "Syntax error" not in str(error), "the strategy makes CEL"
        return
    compile_with(found)
    for name in found:
        with pytest.raises(RuntimeError, match=rf"undeclared reference to '\.?{name}'"):
            compile_with(found - {name})


def test_in_a_transform_value_is_what_the_edge_carries() -> None:
    assert reads("value * 2 + value.x + a.b", value=True) == ["value", "a.b"]
    assert [r.kind for r in condition_reads("${{ value }}", value=True)] == ["value"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "bad-expression", "empty"),
        (" \n ", "bad-expression", "empty"),
        ("'abc", "bad-expression", "does not end"),
        ("'a\nb'", "bad-expression", "does not end"),
        ('"""abc"', "bad-expression", "does not end"),
        ("r'\\' + 'x", "bad-expression", "does not end"),
        ("inputs", "bad-expression", "alone"),
        ("env", "bad-expression", "alone"),
        ("inputs.map(x, x)", "bad-expression", "alone"),
        ("nodes[a.b].c", "bad-expression", "alone"),
        ("a.true", "bad-expression", "not a field"),
        ("a\0b", "bad-expression", "NUL"),
        ("1" * (LENGTH_MAX + 1), "limit-exceeded", "4097"),
        ("(" * 61 + "1" + ")" * 61, "limit-exceeded", "nested"),
        ("[1].map(a, [1].map(b, [1].map(c, [1].map(d, d))))", "limit-exceeded", "macros"),
    ],
)
def test_what_cannot_be_an_expression_is_refused(text: str, code: str, words: str) -> None:
    with pytest.raises(BadExpression) as caught:
        scan(text)
    assert caught.value.problem_code == code
    assert words in caught.value.message
    assert caught.value.hint


def test_macros_beside_each_other_are_not_nested() -> None:
    assert reads("a.b.map(x, x).map(y, y).map(z, z).map(q, q)") == ["a.b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("plain {{ }} ${x} }}", [(False, "plain {{ }} ${x} }}")]),
        ("${{ a }}", [(True, " a ")]),
        ("x${{a}}y${{b}}", [(False, "x"), (True, "a"), (False, "y"), (True, "b")]),
        ("$${{ a }}", [(False, "${{ a }}")]),
        ("$${{ a }} ${{ b }}", [(False, "${{ a }} "), (True, " b ")]),
        ("$$${{ a }}", [(False, "$${{ a }}")]),
        ("${{ {'a': {'b': 1}} }}", [(True, " {'a': {'b': 1}} ")]),
        ("${{ {'a': {'b': 1}}}}", [(True, " {'a': {'b': 1}}")]),
        ("${{ '}}' }}", [(True, " '}}' ")]),
        ('${{ "\\"}}" }}', [(True, ' "\\"}}" ')]),
        ('${{ """}}"" }}""" }}', [(True, ' """}}"" }}""" ')]),
        ("${{ r'\\' }}", [(True, " r'\\' ")]),
        ("${{ b'}}' + rb'}}' }}", [(True, " b'}}' + rb'}}' ")]),
        ("${{ bar'}}' }}", [(True, " bar'}}' ")]),
        ("${{ {'}': '{'} }}}}", [(True, " {'}': '{'} "), (False, "}}")]),
        ("${{ a // it's {\n }}", [(True, " a // it's {\n ")]),
        ("${{ a // it's }}", [(True, " a // it's ")]),
        ("${{ '//' }}", [(True, " '//' ")]),
        ("${{ 1 }} }}", [(True, " 1 "), (False, " }}")]),
        ("${{ a.`b//c` }} `${{ x }}`", [(True, " a.`b//c` "), (False, " `"), (True, " x "), (False, "`")]),
    ],
)
def test_an_expression_ends_at_the_first_braces_outside_strings_and_braces(
    text: str, expected: list[tuple[bool, str]]
) -> None:
    assert list(split(text)) == expected


@pytest.mark.parametrize("text", ["${{", "${{ a", "${{ a }", "${{ {'a': 1 }}", "${{ '}}", 'x ${{ "a }}'])
def test_an_expression_that_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(BadExpression, match="does not end"):
        split(text)


def test_reads_of_a_nested_value_are_distinct_and_in_order() -> None:
    value = {
        "k": ["${{ b.x }}", "and ${{ a.y + b.x }}", 1, None, {"deep": "${{ inputs.n }}"}],
        "l": "$${{ c.z }}",
    }
    assert [str(read) for read in value_reads(value)] == ["b.x", "a.y", "inputs.n"]
    assert value_reads(5) == value_reads("plain") == ()


def test_a_condition_may_stand_with_or_without_braces() -> None:
    assert condition_reads("a.b > 1") == condition_reads(" ${{ a.b > 1 }} ") == scan("a.b")
    for text in ("${{ a.b }} > 1", "${{ a.b }}${{ c.d }}"):
        with pytest.raises(BadExpression):
            condition_reads(text)


@pytest.mark.parametrize(
    "text", ["${{ a.b }}", "${{a.b}}", "${{ inputs.n }}", "${{\ta . b }}", "${{ nodes.a }}"]
)
def test_the_short_path_finds_what_the_tokenizer_finds(text: str) -> None:
    found = reference_in(text)
    assert found is None or (found,) == scan(split(text)[0][1])


WORDS = ["a.b", "inputs.n", "nodes['x-y'].p", "item", "x", "value", "1", "'}}'", '"$"', "r'", "'''", "\\"]
WORDS += [*"{}()[]+,?:$ \n", "in", "//", "${{", "}}", ".map(x, ", ".filter(y, "]
soup = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)


@given(soup | st.text(max_size=40))
def test_splitting_never_crashes_and_comes_back(text: str) -> None:
    try:
        parts = split(text)
    except BadExpression:
        return
    if text.endswith("$") or any("$" in part for is_expression, part in parts if not is_expression):
        return  # a `$` before an expression would double it
    written = "".join(f"${{{{{part}}}}}" if is_expression else part for is_expression, part in parts)
    assert split(written) == parts
    assert written == text


@given(soup | st.text(max_size=40))
def test_scanning_never_crashes(text: str) -> None:
    try:
        found = scan(text)
    except BadExpression as error:
        assert error.hint
    else:
        assert len(set(found)) == len(found)


@given(soup)
def test_what_cel_accepts_the_compiler_accepts(text: str) -> None:
    """The library compiles a text in which every name is a variable: then so do we."""
    from cel_expr_python import cel

    names = ("a", "inputs", "nodes", "item", "x", "y", "value")
    environment = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))
    try:
        environment.compile(text)
    except RuntimeError:
        return
    try:
        Compiler(lambda read: ANY, value=False).condition(text)
    except BadExpression as error:
        assert (
            error.problem_code == "limit-exceeded"
            or "alone" in error.message
            or "not a value" in error.message
        )


Made = tuple[str, frozenset[str]]
leaves: st.SearchStrategy[Made] = st.sampled_from(
    [(name, frozenset({name})) for name in ("a.b", "c.d", "inputs.n", 'nodes["x-y"].p', "env.E")]
    + [(text, frozenset()) for text in ("1", "'a.b'", "true", "[]")]
)
shapes = st.sampled_from(("({} == {})", "[{}, {}]", "{{'k': {}, 'l': {}}}", "{}.q({})"))


def larger(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    pairs = st.builds(lambda s, a, b: (s.format(a[0], b[0]), a[1] | b[1]), shapes, inner, inner)
    return pairs | inner.map(lambda made: (f"[{made[0]}].map(x, [x, {made[0]}])", made[1]))


@given(st.recursive(leaves, larger, max_leaves=5))
def test_every_reference_that_was_written_is_found_and_no_other(made: Made) -> None:
    text, expected = made
    try:
        assert set(reads(text)) == expected
    except BadExpression as error:
        assert "macros" in error.message


WORDS = st.sampled_from(
    ["a", "b-c", "inputs", "state", "run", "env", "nodes", "item", "index", "iteration", "value", "google",
     "true", "null", "in", "int", "x1", ".", ". ", ".x", ".y.z", ".true", "1", "2.5", "1e5", "3u", "0x1F",
     "4.",
     " ", "&&", "||", "==", "!=", "<", ">", "+", "-", "*", "/", "//", "!", "%", "?", ":", "(", ")", "'s'"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=12).map("".join))
def test_the_short_path_finds_what_the_scanner_finds(text: str) -> None:
    found = plain_references(text)
    if found is not None:
        assert found == _Scanner(tokens(text), False).run()


def test_common_conditions_take_the_short_path() -> None:
    for text in (
        "a.x > 1",
        "a.x == inputs.n && item.size < 3",
        "index % 2 == 0 || state.done",
        "run.id != a",
    ):
        assert plain_references(text)
