"""data.* and json.* and debug.*."""

from typing import Any

import pytest

from symphony.kit.errors import DebugFailure, InputRefused, Stopped

ROWS = [{"n": 1, "s": "a"}, {"n": 5, "s": "b"}]


def test_one_level_of_lists_is_flattened(run: Any) -> None:
    assert run("data.flatten", items=[[1, [2]], [[3], []], [], None, 4]) == {"result": [1, [2], [3], [], 4]}


def test_expressions_see_item_index_and_value(run: Any) -> None:
    assert run("data.map", items=ROWS, expression="item.n * 2 + index") == {"result": [2, 11]}
    assert run("data.map", items=ROWS, expression="${{ item }}") == {"result": ROWS}
    assert run("data.filter", items=ROWS, condition="item.n > 2") == {"result": [ROWS[1]]}
    assert run("data.reduce", items=ROWS, expression="value + item.n", initial=10) == {"result": 16}
    assert run("data.map", items=[], expression="item") == {"result": []}


@pytest.mark.parametrize(
    ("name", "inputs", "said"),
    [
        ("data.map", {"expression": "item.zz"}, r"items\[0\]"),
        ("data.map", {"expression": "1 +"}, "input expression"),
        ("data.map", {"expression": "inputs.x"}, "inputs.x is not known"),
        ("data.map", {"expression": ""}, "empty"),
        ("data.filter", {"condition": "item.n"}, r"no boolean for items\[0\]"),
        ("data.reduce", {"expression": "value.n", "initial": 1}, r"items\[0\]"),
    ],
)
def test_an_expression_that_fails_names_the_element(
    run: Any, name: str, inputs: dict[str, object], said: str
) -> None:
    with pytest.raises(InputRefused, match=said):
        run(name, items=ROWS, **inputs)  # type: ignore[arg-type]


def test_a_cancelled_node_stops_between_elements(run: Any) -> None:
    run.cancelled = lambda: True
    with pytest.raises(Stopped):
        run("data.map", items=[1], expression="item")


@pytest.mark.parametrize(
    ("text", "expected"),
    [('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}), (" 7 ", 7), ('"\\u00e9"', "é")],
)
def test_json_is_parsed(run: Any, text: str, expected: object) -> None:
    assert run("json.parse", text=text) == {"result": expected}


def test_json_lines_are_parsed_one_by_one(run: Any) -> None:
    assert run("json.parse", text='1\n\n{"a": 2}\n', lines=True) == {"result": [1, {"a": 2}]}
    with pytest.raises(InputRefused, match="line 3"):
        run("json.parse", text="1\n2\n{\n", lines=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":1,}', "line 1, column 8: trailing comma"),
        ('\n {"é":\n }', "line 3, column 2"),
        ("", "line 1, column 1"),
        ("[" * 200_000, "nested too deeply"),
        ("[1,\n9223372036854775808]", "line 2: an integer beyond 64 bits"),
        ("-9223372036854775809", "64 bits"),
        ("NaN", "column 1"),
        ("1e999", "out of range"),
        ('{"a": 1} x', "trailing"),
        ("\ufeff1", "column 1"),
        ('["\\ud800"]', "line 1, column 3: half of a surrogate pair"),
        ('{"\\\\u":\n "\\ud83d\\ude00 \\uD83D"}', "line 2, column 16: half of a surrogate pair"),
        ('["\\udc00"]', "line 1, column 9: invalid utf-16 surrogate pair"),
        ('["\\ud800\\u0041"]', "line 1, column 15: invalid utf-16 surrogate pair"),
    ],
)
def test_malformed_json_is_refused_with_its_place(run: Any, text: str, said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        run("json.parse", text=text)


def test_long_digits_inside_text_are_no_integers(run: Any) -> None:
    assert run("json.parse", text='"99999999999999999999"') == {"result": "99999999999999999999"}


def test_jmespath_selects(run: Any) -> None:
    data = {"people": [{"name": "a", "age": 3}, {"name": "b", "age": 30}]}
    assert run("json.query", data=data, expression="people[?age > `20`].name") == {"result": ["b"]}
    assert run("json.query", data=data, expression="nobody.there") == {"result": None}


@pytest.mark.parametrize("expression", ["people[", "max(people)", "nope(@)", "a." * 3000, "[" * 1000])
def test_a_bad_jmespath_is_refused(run: Any, expression: str) -> None:
    with pytest.raises(InputRefused, match="input expression"):
        run("json.query", data={"people": "x"}, expression=expression)


def test_debug_operators_do_as_told(run: Any) -> None:
    assert run("debug.value", value={"a": None}) == {"result": {"a": None}}
    assert run("debug.sleep", duration="0ms", value=3) == {"result": 3}
    with pytest.raises(DebugFailure, match="boom ✓") as caught:
        run("debug.fail", message="boom ✓")
    assert caught.value.code == "debug-fail"
    with pytest.raises(InputRefused, match="duration"):
        run("debug.sleep", duration="1 minute")


def test_the_first_tries_of_a_flaky_node_fail(run: Any) -> None:
    for attempt in (1, 2):
        run.attempt = attempt
        with pytest.raises(DebugFailure, match="k: try"):
            run("debug.flaky", key="k", failures=2)
    run.attempt = 3
    assert run("debug.flaky", key="k", failures=2) == {"result": 3}
