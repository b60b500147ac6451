"""Texts as trees and back: what each format reads, refuses and writes."""

import base64
import math
import time
from pathlib import PurePath

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.documents import FORMATS, UnknownFormat, format_named, format_of, parse
from symphony.workflow.documents.yaml_text import scalar

TEXTS = [name for name in FORMATS if not format_named(name).binary]
FREE = [name for name in FORMATS if name != "bincode"]  # which carries whole workflows only

# Texts that one reader or another takes for something else, or that need care to be written.
AWKWARD = [
    "", " ", "~", "null", "NULL", "true", "yes", "No", "on", "OFF", "y", "1", "010", "0x1F",
    "0o7", "1e3", ".5",
    "5:30", "2024-01-01", "=", "<<", "- x", "? x", "a: b", "x #y", "#", "key:", "|", ">", "&a",
    "*a", "!t", "%", "@",
    "`", "'", '"', "\\", "${{ x }}", 'nodes["a"].b', "trailing ", " leading", "a\nb", "a\n",
    "a\n\n", "\na", "a\n b\n",
    "a\n \nb", "a\tb\nc", "\tx\ny", "a\r\nb", "\u0001", "\x7f", "\x85", "\u2028", "\ufeff",
    "\uffff", "é", "😀", "x" * 600,
    "1.0.0", "5m", "a,b", "[x]", "{x}", ".inf", ".nan", "---", "...", "--- a",
]  # fmt: skip

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(AWKWARD)
)
_keys = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(AWKWARD)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("name", FREE)
@given(tree=st.dictionaries(_keys, _trees, max_size=3))
def test_what_is_written_is_read_back(name: str, tree: dict[str, object]) -> None:
    kind = format_named(name)
    document = parse(kind.write(tree), kind)
    assert document.problems == ()
    assert document.tree == tree
    assert repr(document.tree) == repr(tree)  # in the order of its keys


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("name", FREE)
def test_awkward_texts_stay_themselves(name: str, text: str) -> None:
    kind = format_named(name)
    tree = {"v": text, "in": [text, [text]], text: {"deeper": [{"x": text}]}}
    assert parse(kind.write(tree), kind).tree == tree


def test_yaml_is_pleasant_to_read() -> None:
    tree = {
        "symphony": 1, "name": "Repository report", "version": "1.0.0", "tags": ["code", "report"],
        "nodes": {
            "embed": {"instrument": "minilm", "inputs": {"texts": "${{ symbols.result }}"}, "timeout": "5m"},
            "say": {"command": "echo one\necho two\n", "when": "size(embed.vectors) > 0", "config": {}},
        },
        "edges": [{"from": "embed", "to": "say", "when": 'nodes["embed"].n > 1'}],
    }  # fmt: skip
    assert format_named("yaml").write(tree).decode() == (
        "symphony: 1\n"
        "name: Repository report\n"
        "version: 1.0.0\n"
        "tags: [code, report]\n"
        "nodes:\n"
        "  embed:\n"
        "    instrument: minilm\n"
        "    inputs:\n"
        '      texts: "${{ symbols.result }}"\n'
        "    timeout: 5m\n"
        "  say:\n"
        "    command: |\n"
        "      echo one\n"
        "      echo two\n"
        "    when: size(embed.vectors) > 0\n"
        "    config: {}\n"
        "edges:\n"
        "  - from: embed\n"
        "    to: say\n"
        "    when: 'nodes[\"embed\"].n > 1'\n"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("Null", None), ("nULL", "nULL"), ("TRUE", True), ("tRUE",
        "tRUE"), ("yes", "yes"),
        ("0", 0), ("-17", -17), ("+5", 5), ("010", "010"), ("-01", "-01"), ("0o17", 15),
        ("0x1f", 31), ("0b1", "0b1"),
        ("1_000", "1_000"), ("1.", 1.0), (".5", 0.5), ("-.5e-1", -0.05), ("1e3", 1000.0), ("01.5",
        "01.5"), (".", "."),
        ("1.2.3", "1.2.3"), ("5:30", "5:30"), ("2024-01-01", "2024-01-01"), ("-", "-"), ("=",
        "="), ("<<", "<<"),
        (".inf", float("inf")), ("-.INF", float("-inf")), ("9223372036854775808", 2**63),
        ("0x" + "0" * 30 + "ff", 255), ("0o" + "0" * 100 + "17", 15), ("0x0", 0), ("0o00", 0), ("0o8", "0o8"),
        ("0x", "0x"), ("0xg", "0xg"), ("0X1f", "0X1f"), ("0O17", "0O17"), ("-0x1f", "-0x1f"),
        ("+0o17", "+0o17"),
        ("+.inf", float("inf")), (".Inf", float("inf")), (".iNf", ".iNf"), ("-.nan", "-.nan"),
        ("+.NaN", "+.NaN"),
        (".nAn", ".nAn"), ("inf", "inf"), ("1e", "1e"), ("0.0x", "0.0x"), (".e3", ".e3"), ("-.", "-."),
        ("+", "+"), ("-0", 0),
        ("+1.5E+3", 1500.0), ("1__0", "1__0"), ("0b11", "0b11"), ("١٢", "١٢"), ("1１", "1１"),
        ("190:20:30", "190:20:30"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = scalar(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("digits", ["9" * 5000, "1" + "_000" * 3000])
def test_a_toml_number_of_too_many_digits_has_a_place(digits: str) -> None:
    [problem] = parse(f"a = 1\nb = {digits}".encode(), format_named("toml")).problems
    assert (problem.code, problem.line, problem.column) == ("type-mismatch", 2, 5)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_three_plain_scalars_are_not_a_number(text: str) -> None:
    found = scalar(text)
    assert isinstance(found, float)
    assert math.isnan(found)


_LOOKALIKES = (
    "", "~", "null", "NULL", "true", "False", "y", "No", "on", "OFF", "0", "-1", "+1", "010", "0o17", "0x1F",
    "0b1",
    "1_0", "1.", ".5", "-.5", "1e3", "1.5E-3", ".inf", "-.INF", "+.Inf", ".nan", ".NAN", "5:30",
    "190:20:30.5",
    "2024-01-01", "2024-01-01 10:00:00", "=", "<<", "-", "?", "!x", "&x", "*x", "@x", "`x", "%x", "|", ">",
    "{}", "[]",
    "---", "...", "- a", "? a", "a: b", "a #b", "#a", " a", "a ", "a\tb", "'a'", '"', "a,b", "x]", "\x85",
    "\u2028",
    "0x" + "0" * 40 + "ff", "1" * 40, "-.nan", "a\n", "\n", ",",
)  # fmt: skip


@pytest.mark.parametrize("text", _LOOKALIKES)
def test_a_text_is_written_so_that_readers_of_both_versions_of_yaml_take_it_for_text(text: str) -> None:
    written = format_named("yaml").write({"v": text, "l": [text], text or "k": 1})
    for read in (parse(written, format_named("yaml")).tree, yaml.safe_load(written)):
        assert read == {"v": text, "l": [text], text or "k": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: |\n  x\n   ", "x\n \n"), ("a: |+\n   ", "\n"), ("a: |\n  x\n", "x\n"), ("a: |\n  x", "x"),
        ("a: x\n  ", "x"), ("a: >\n  x\n  ", "x\n"), ("a: 'x'   ", "x"), ("a: |-\n  x\n  ", "x"),
    ],
)  # fmt: skip
def test_a_last_line_of_blanks_is_a_line_also_without_its_end(text: str, value: str) -> None:
    assert parse(text.encode(), format_named("yaml")).tree == {"a": value}


SYNTAX = [
    # format, text, line, column, words of the message
    ("yaml", "a: [1,\n", 2, 1, "not YAML"),
    ("yaml", "a: 1\n b: 2\n", 2, 3, "not YAML"),
    ("yaml", "a:\n\t- 1", 2, 1, "YAML forbids tabs"),
    ("yaml", "a: &x 1\nb: *x", 2, 4, "alias"),
    ("yaml", "a: 1\nb: !!str 5", 2, 4, "tag"),
    ("yaml", "a: ! 5", 1, 4, "tag"),
    ("yaml", "a: !!python/object/apply:os.system [x]", 1, 4, "tag"),
    ("yaml", "a: 1\n---\nb: 1", 2, 1, "second document"),
    ("yaml", "", 1, 1, "empty"),
    ("yaml", "# only a comment\n", 1, 1, "empty"),
    ("yaml", "ok: 1\na: \x01", 2, 4, "U+0001"),
    ("yaml", 'a: "\\ud800"', 1, 7, "not YAML"),
    ("json", "", 1, 1, "empty"),
    ("json", " \n ", 1, 1, "empty"),
    ("json", '{"a": 1,}', 1, 9, "comma"),
    ("json", '{"a": [1, 2,\n]}', 2, 1, "comma"),
    ("json", '{"a": NaN}', 1, 7, "NaN"),
    ("json", '{"a": -Infinity}', 1, 7, "-Infinity"),
    ("json", '{"a": 01}', 1, 7, "01"),
    ("json", '{"a" 1}', 1, 6, "colon"),
    ("json", '{a: 1}', 1, 2, "key"),
    ("json", "{'a': 1}", 1, 2, "key"),
    ("json", '{"a": 1\n "b": 2}', 2, 2, "comma"),
    ("json", "[1, 2", 1, 6, "ends"),
    ("json", '{"a": ', 1, 7, "ends"),
    ("json", "[1] 2", 1, 5, "follows"),
    ("json", '["x\ny"]', 1, 4, "control character"),
    ("json", '["\\q"]', 1, 3, "escape"),
    ("json", '["x', 1, 2, "unterminated"),
    ("json", '["\\ud800"]', 1, 2, "surrogate"),
    ("toml", "a = \n", 1, 5, "not TOML"),
    ("toml", "a = 1\nb = [1,\n", 3, 1, "not TOML"),
    ("toml", 'a = "\\ud800"', 1, 12, "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "line", "column", "words"), SYNTAX)
def test_what_is_no_document_is_a_syntax_problem_with_its_position(
    name: str, text: str, line: int, column: int, words: str
) -> None:
    document = parse(text.encode(), format_named(name))
    assert not document.readable
    [problem] = document.problems
    assert (problem.code, problem.place) == ("syntax", "")
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column)
    assert problem.hint


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "body", [b"\xff\xfea\x00", b"\xfe\xff\x00a", b'{"a": "\xff"}', b"\xed\xa0\x80", b"a: 1\nb: \xc3"]
)
def test_text_that_is_not_utf8_is_refused(name: str, body: bytes) -> None:
    [problem] = parse(body, format_named(name)).problems
    assert (problem.code, problem.line is None) == ("syntax", False)
    assert "UTF-8" in problem.message


def test_the_column_of_bad_bytes_counts_characters() -> None:
    [problem] = parse("a: ééé ".encode() + b"\xff", format_named("yaml")).problems
    assert (problem.line, problem.column) == (1, 8)


@pytest.mark.parametrize(("name", "text"), [("yaml", "a: 1"), ("json", '{"a": 1}'), ("toml", "a = 1")])
def test_a_utf8_byte_order_mark_is_dropped(name: str, text: str) -> None:
    assert parse(b"\xef\xbb\xbf" + text.encode(), format_named(name)).tree == {"a": 1}


DUPLICATES = [
    # format, text, [(place, line, column)]
    ("yaml", "a: 1\nb: 2\na: 3\n", [("a", 3, 1)]),
    ("yaml", "n:\n  x: {k: 1, k: 2}\n  x: 3\n", [("n.x.k", 2, 13), ("n.x", 3, 3)]),
    ("json", '{"a": 1, "a": 2}', [("a", 1, 10)]),
    ("json", '{"a": [{"b": 1,\n "b": 2}], "c": {"d": 1, "d": [1, 2]}}', [("a[0].b", 2, 2), ("c.d", 2, 26)]),
    ("json", '{"a": {"x": 1, "y": 2}, "a": "\\u002c\\u002c\\u002c"}', [("a", 1, 25)]),
    ("json", '{"a": 1, "\\u0061": 2}', [("a", 1, 10)]),
    ("toml", "a = 1\na = 2\n", [("a", 2, 1)]),
    ("toml", "[t]\nx = 1\n[u]\n[t]\n", [("t", 4, 2)]),
    ("toml", "v = {k = 1, k = 2}\n", [("v.k", 1, 13)]),
    ("toml", "[a.b]\nc = 1\n[a]\nb.c = 2\n", [("a.b.c", 4, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "found"), DUPLICATES)
def test_keys_that_stand_twice_are_found(name: str, text: str, found: list[tuple[str, int, int]]) -> None:
    problems = parse(text.encode(), format_named(name)).problems
    assert [(p.code, p.place, p.line, p.column) for p in problems] == [
        ("duplicate-name", *one) for one in found
    ]


def test_the_first_of_two_equal_keys_stays() -> None:
    for name, text in (("yaml", "a: 1\na: [2]\nb: 3"), ("json", '{"a": 1, "a": [2], "b": 3}')):
        assert parse(text.encode(), format_named(name)).tree == {"a": 1, "b": 3}


def test_keys_that_are_no_text_are_reported_and_left_out() -> None:
    text = "1: a\ntrue: b\n1.5: c\n~: d\n? [x, y]\n: e\n? {x: {y: z}}\n: [f, g]\nok: 1\n"
    document = parse(text.encode(), format_named("yaml"))
    assert document.tree == {"ok": 1}
    assert [(p.code, p.line) for p in document.problems] == [("type-mismatch", n) for n in (1, 2, 3, 4, 5, 7)]


DEEP = [
    ("yaml", "[" * 200_000),
    ("yaml", "- " * 200_000 + "x"),
    ("yaml", "a: " + "{a: " * 200_000),
    ("yaml", "".join(" " * i + "a:\n" for i in range(300))),
    ("json", "[" * 200_000),
    ("json", "[" * 200_000 + "]" * 200_000),
    ("json", '{"a":' * 200_000 + "1" + "}" * 200_000),
    ("json", "[" * 101 + "]" * 101 + ","),
    ("toml", "a = " + "[" * 200_000 + "]" * 200_000),
    ("toml", "a = " + "{a = " * 200_000),
    ("toml", ".".join(["a"] * 100_000) + " = 1"),
    ("toml", "[" + ".".join(["a"] * 100_000) + "]"),
]


@pytest.mark.parametrize(("name", "text"), DEEP, ids=lambda value: value[:12])
def test_deep_nesting_is_refused_before_it_can_hurt(name: str, text: str) -> None:
    began = time.process_time()
    document = parse(text.encode(), format_named(name))
    assert time.process_time() - began < 5
    assert not document.readable
    assert document.problems[0].code in ("limit-exceeded", "syntax")
    if name != "toml":
        assert document.problems[0].code == "limit-exceeded"


def test_a_hundred_levels_are_allowed_and_no_more() -> None:
    for name in ("yaml", "json"):
        assert parse(b"[" * 100 + b"]" * 100, format_named(name)).readable
    assert not parse(b"[" * 101 + b"]" * 101, format_named("yaml")).readable


def test_a_document_of_more_than_16_mib_is_refused() -> None:
    body = b'{"a": 1}'.ljust(16 * 2**20)
    assert parse(body, format_named("json")).tree == {"a": 1}
    [problem] = parse(body + b" ", format_named("json")).problems
    assert (problem.code, problem.place) == ("limit-exceeded", "")


def test_numbers_of_very_many_digits_are_read_at_once() -> None:
    digits = "9" * 1_000_000
    for name, text in (("yaml", f"a: {digits}"), ("json", f'{{"a": {digits}}}'), ("yaml", f"a: 0x{digits}")):
        tree = parse(text.encode(), format_named(name)).tree
        assert isinstance(tree, dict)
        assert tree["a"] > 2**63
    [problem] = parse(f"a = {digits}".encode(), format_named("toml")).problems
    assert problem.code == "type-mismatch"


def test_toml_has_tables_of_their_own_where_the_order_of_keys_allows_it() -> None:
    tree = {
        "first": 1, "inline": {"z": {"b": 1, "a": None}, "c d": "x\x7f"}, "rows": [{"z": 1}, {"a": 2}],
        "scalar": True, "table": {"z": {"x": 1}, "b": 2, "a": {"deep": {}}}, "many": [{"k": "long " * 20}],
    }  # fmt: skip
    text = format_named("toml").write(tree).decode()
    assert (
        text
        == """\
first = 1
inline = { z = { b = 1, a = { "$null" = true } }, "c d" = "x\\u007f" }
rows = [
    { z = 1 },
    { a = 2 },
]
scalar = true

[table]
z = { x = 1 }
b = 2

[table.a.deep]

[[many]]
k = "long long long long long long long long long long long long long long long long long long long long "
"""
    )
    assert repr(parse(text.encode(), format_named("toml")).tree) == repr(tree)


def test_a_workflow_in_toml_has_the_tables_of_its_nodes_last() -> None:
    text = """\
name: x
nodes:
  a: {operator: o, inputs: {v: {z: {y: 1}, a: 2}}, when: "true"}
  l: {control: loop, body: {b: {command: c, inputs: {i: 1}, timeout: 1s}}, until: "true", state: {s: {d: 1}}}
outputs: {z: 1, a: 2}
version: 1.0.0
"""
    tree = parse(text.encode(), format_named("yaml")).tree
    written = format_named("toml").write(tree).decode()
    assert (
        written
        == """\
name = "x"
version = "1.0.0"

[nodes.a]
operator = "o"
when = "true"

[nodes.a.inputs.v]
z = { y = 1 }
a = 2

[nodes.l]
control = "loop"
until = "true"

[nodes.l.body.b]
command = "c"
timeout = "1s"

[nodes.l.body.b.inputs]
i = 1

[nodes.l.state.s]
d = 1

[outputs]
z = 1
a = 2
"""
    )
    assert parse(written.encode(), format_named("toml")).tree == tree


def test_toml_spells_null() -> None:
    text = 'a = {"$null" = true}\nb = [1, {"$null" = true}, {k = {"$null" = true}}]\nc = {"$null" = false}\n'
    tree = parse(text.encode(), format_named("toml")).tree
    assert tree == {"a": None, "b": [1, None, {"k": None}], "c": {"$null": False}}


YAML_TEXT = """\
# comment
nodes:
  a:
    inputs: {x: [1, {deep: 2}]}
  gpt-4: &anchor {operator: o}
  "dotted.name": 1
  ? long
  : 2
"""
TOML_TEXT = '''\
name = "x"
[nodes.a]
operator = "o"
[nodes.a.inputs]
x = [1,
  # comment ]
  {deep = """
]""", k = 2}]
[nodes."gpt-4"]
inputs.v = 1
[[edges]]
from = "a"
[[edges]]
from = "b"
[edges.more]
z = 1
'''
PLACES = {
    "yaml": (
        YAML_TEXT,
        {
            "": (2, 1), "nodes": (2, 1), "nodes.a": (3, 3), "nodes.a.inputs.x": (4, 14),
            "nodes.a.inputs.x[1]": (4, 21),
            "nodes.a.inputs.x[1].deep": (4, 22), "nodes.gpt-4.operator": (5, 19), "nodes.dotted.name": (6, 3),
            "nodes.long": (7, 5), "nodes.a.inputs.missing": (4, 5),
            "nodes.a.inputs.x[7]": (4, 14), "other": (2, 1),
        },
    ),
    "json": (
        '\n{"nodes": {\n  "a": {"inputs": {"x": [1,\n   {"deep": 2}]}},\n  "a.b": {"c": "é", "d": 1}}}',
        {
            "": (2, 1), "nodes": (2, 2), "nodes.a": (3, 3), "nodes.a.inputs.x[0]": (3, 26),
            "nodes.a.inputs.x[1]": (4, 4),
            "nodes.a.inputs.x[1].deep": (4, 5), "nodes.a.b.d": (5, 21), "nodes.a.none": (3, 3),
        },
    ),
    "toml": (
        TOML_TEXT,
        {
            "name": (1, 1), "nodes.a": (2, 8), "nodes.a.operator": (3, 1), "nodes.a.inputs.x[0]": (5, 6),
            "nodes.a.inputs.x[1]": (7, 3), "nodes.a.inputs.x[1].k": (8, 7), "nodes.gpt-4": (9, 8),
            "nodes.gpt-4.inputs.v": (10, 8), "edges[0].from": (12, 1), "edges[1].from": (14, 1),
            "edges[1].more.z": (16, 1),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "place", "position"), [(n, *one) for n, (_, all_) in PLACES.items() for one in all_.items()]
)
def test_places_are_found_in_the_text(name: str, place: str, position: tuple[int, int]) -> None:
    document = parse(PLACES[name][0].encode(), format_named(name))
    assert document.readable
    assert document.positions is not None
    assert document.positions.of(place) == position


def test_formats_are_told_by_the_ending() -> None:
    endings = {
        "a.yaml": "yaml",
        "A.YML": "yaml",
        "x/y.json": "json",
        "y.pretty.json": "json",
        "z.toml": "toml",
    }
    assert {path: format_of(PurePath(path)).name for path in endings} == endings
    for path in ("workflow", "workflow.txt", ".yaml.bak"):
        with pytest.raises(UnknownFormat, match="does not name a format"):
            format_of(PurePath(path))
    with pytest.raises(UnknownFormat, match="no format 'xml'"):
        format_named("xml")


def test_json_is_short_and_pretty_json_is_not() -> None:
    tree = {"a": [1, {"b": base64.b64encode(b"x").decode()}]}
    assert format_named("json").write(tree) == b'{"a":[1,{"b":"eA=="}]}\n'
    assert format_named("pretty-json").write(tree).count(b"\n") == 8
