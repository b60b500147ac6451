"""Which calls of operators that run what a workflow gives them may take long, or much memory."""

from collections.abc import Mapping

import pytest

from symphony import kit
from symphony.ports.values import Value
from symphony.sdk.bounds import extent

ROWS: list[Value] = [{"name": f"n{i}", "size": i} for i in range(5)]


def heavy(operator: str, inputs: Mapping[str, Value]) -> bool:
    bounds = kit.operators()[operator].bounds
    assert bounds is not None
    return bounds.heavy(inputs)


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) %}{% endfor %}",
        "{{ 'x'.ljust(3000000000) }}", "{{ 'x'.center(3000000000) }}", "{{ 'x' | center(3000000000) }}",
        "{{ 'a' | indent(1000000000, true) }}", "{{ '%999999999d' % 1 }}", "{{ '{:>999999999}'.format(1) }}",
        "{{ '%s' | format('x') }}", "{{ 'x' * 999999999 }}", "{{ [1] * 999999999 }}", "{{ 9 ** 999999 }}",
        "{% set a = 'xxxxxxxxxx' %}{% set a = a + a %}", "{% set a %}x{% endset %}",
        "{% with a = 1 %}{% endwith %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% include 'other.j2' %}",
        "{% import 'a' as a %}",
        "{% extends 'a' %}", "{% filter center(99999999) %}x{% endfilter %}", "{{ a | replace('', b) }}",
        "{{ a | join(b) }}", "{{ cycler('a').next() }}", "{{ data | pprint }}", "{{ a | wordwrap(1) }}",
        "{% for a in data %}" * 6 + "x" + "{% endfor %}" * 6,
        "{% for a in data recursive %}{{ loop(data) }}{% endfor %}",
        "x" * 1_001,
        "{% for a in 'xxxxxxxxxxxxxxxxxxxxxxxx' %}" * 5 + "{% endfor %}" * 5,
        "{% for a in [1, 2, 3] %}{% endfor %}", "{% for a in ('x' if b else c) %}{% endfor %}",
        "{% for a in data | string | list %}{% endfor %}", "{% for a in b ~ b ~ b %}{% endfor %}",
        "{{ data" + " | list | string" * 20 + " }}", "{{ data" + " | md" * 40 + " }}",
        "{{ data" + " | tojson | string" * 20 + " }}", "{{ [[[[a] ~ ''] ~ ''] ~ ''] ~ '' }}" * 20,
        "{{ data | tojson(500000000) }}", "{{ 1.5 | round(100000000, 'floor') }}",
    ],
)  # fmt: skip
def test_a_template_that_calls_repeats_or_builds_up_is_heavy(text: str) -> None:
    assert heavy("text.render", {"text": text, "data": ROWS})


@pytest.mark.parametrize(
    "text",
    [
        "Hello {{ name }}", "{{ a | upper }}, {{ b | default('none') }}",
        "{% if a %}yes{% else %}no{% endif %}",
        "{% for row in data %}- {{ row.name | md }}: {{ row.size }}\n{% endfor %}", "{{ data | tojson }}",
        "{{ data | length }} rows, {{ data | join(', ') }}", "{{ not closed", "{{ a ~ b }}",
    ],
)  # fmt: skip
def test_a_short_template_over_small_data_is_not(text: str) -> None:
    assert not heavy("text.render", {"text": text, "data": ROWS})


def test_a_template_in_a_file_or_over_much_data_is_heavy() -> None:
    assert heavy("text.render", {"template": "a.j2", "data": ROWS})
    assert heavy("text.render", {"text": "{{ data | upper }}", "data": "x" * 1_000_000})
    assert heavy("text.render", {"text": "{% for a in data %}{{ a }}{% endfor %}", "data": [1] * 2_000})


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 30), ("(a|a)*b", "a" * 30), ("(?:a?){20}a{20}", "a" * 20), (".*.*.*=", "x" * 200),
        ("(?R)?a", "a"), ("(?:abc){e<=3}", "abd"), ("x", "x" * 2_000_000), ("(?P<a>b)(?&a)*", "b"),
        ("(a|a)" * 28 + "b", "a" * 30), ("a?" * 26 + "a" * 26, "a" * 26), ("x*[yz]", "x" * 100_000),
        (r"\s+$", " " * 100_000 + "x"), ("(?=(.*))", "x" * 30_000), (r"(.*)\1", "ab" * 500),
        ("a{1000000}", "x"), ("a{0,1000000000}b{1000000000}", "x"), ("a{99}{99}{99}", "x"),
        ("(?x)(a+) *b", "a" * 40), ("(" * 900 + "x" + ")" * 900, "x" * 900),
    ],
)  # fmt: skip
def test_a_pattern_that_may_try_many_ways_is_heavy(pattern: str, text: str) -> None:
    assert heavy("text.regex", {"pattern": pattern, "text": text})


def test_a_plain_pattern_on_a_line_is_not_unless_the_replacement_is_large() -> None:
    assert not heavy("text.regex", {"pattern": r"\w+@\w+\.org", "text": "write to ada@example.org" * 3})
    assert not heavy("text.regex", {"pattern": "error", "text": "x" * 10_000, "replace": "warning"})
    assert heavy("text.regex", {"pattern": "", "text": "x" * 10_000, "replace": "y" * 10_000})


def test_patterns_that_tools_use_on_lines_are_not() -> None:
    line = "2024-03-01 12:00:00,123 WARNING name: something was told" * 2
    for pattern in (
        r"\d{4}-\d{2}-\d{2}", r"\b(?:ERROR|FATAL|PANIC)\b", r"#\d+", r"https?://\S+", r"^(?P<at>\S+ \S+)",
        r"(?i)warning|error|critical|failed|broken", r"(\d+)(\.\d+)?",
    ):  # fmt: skip
        assert not heavy("text.regex", {"pattern": pattern, "text": line}), pattern


def test_a_difference_of_texts_whose_lines_are_often_the_same_is_heavy() -> None:
    assert heavy("text.diff", {"first": "a\n" * 1_000, "second": "a\nb\n" * 500})
    assert heavy("text.diff", {"first": "a\nb\n" * 300, "second": "a\na\nb\n" * 200})
    lines = [f"line {i}\n" if i % 4 else "\n" for i in range(300)]
    assert not heavy("text.diff", {"first": "".join(lines), "second": "".join(lines[10:])})
    assert heavy("text.diff", {"first": "".join(map(str, range(9))), "second": "\n" * 2_100})


@pytest.mark.parametrize(
    "expression",
    ["value + value", "[value, value]", "{'a': value, 'b': value}", "item > 0 ? value + value : value",
     "value.map(x, [x, x])"],
)  # fmt: skip
def test_a_reduction_that_may_double_its_value_with_each_element_is_heavy(expression: str) -> None:
    assert heavy("data.reduce", {"items": [1] * 40, "expression": expression, "initial": "x" * 1_000})


def test_a_reduction_that_adds_is_not() -> None:
    for expression in ("value + item.size", "item.size > value ? item.size : value"):
        assert not heavy("data.reduce", {"items": ROWS, "expression": expression, "initial": 0})
    assert not heavy("data.reduce", {"items": [1] * 1_000, "expression": "value + item", "initial": 0})
    assert not heavy("data.reduce", {"items": [1] * 1_000, "expression": "item > value ? item : value"})
    assert heavy("data.reduce", {"items": [1], "expression": "value + item", "initial": "x" * 1_000_000})


def test_a_query_that_may_double_what_it_gets_again_and_again_is_heavy() -> None:
    assert heavy("json.query", {"expression": " | ".join(["[@,@]"] * 30), "data": 1})
    assert heavy("json.query", {"expression": "people[*].name", "data": [1] * 100_000})
    assert not heavy("json.query", {"expression": "people[?age > `20`].name", "data": {"people": ROWS}})


def test_an_expression_over_a_long_list_is_heavy() -> None:
    many: list[Value] = list(range(200_000))
    assert heavy("data.map", {"items": many, "expression": "item + 1"})
    assert heavy("data.filter", {"items": many[:2_000], "condition": "item.all(x, x > 0)"})
    assert not heavy("data.group", {"items": ROWS, "key": "item.name"})


def test_counting_ends_where_more_makes_no_difference() -> None:
    assert extent("x" * 10, 100) == 11
    assert extent({"ab": [1, 2, "xyz"]}, 100) == 1 + 2 + 1 + 3 + 3 + 3
    shared: Value = [0]
    for _ in range(60):  # 2 ** 60 elements, if each were counted
        shared = [shared, shared]
    assert 1_000 < extent(shared, 1_000) < 2_000
