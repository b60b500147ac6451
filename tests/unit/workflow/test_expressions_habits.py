"""Expressions with habits from other languages are told what CEL has instead."""

import pytest

from symphony.workflow.files import loads
from symphony.workflow.problems import Problem
from symphony.workflow.validation import validate


def _errors(text: str) -> list[Problem]:
    workflow = loads(
        "name: y\ninputs: {n: {type: integer, default: 1}, s: {type: string, default: a}}\n"
        "nodes:\n  c-d: {operator: debug.value, inputs: {value: 1}}\n"
        f"  a:\n    operator: debug.value\n    inputs:\n      value: |-\n        ${{{{ {text} }}}}\n",
        "yaml",
    )
    return list(validate(workflow).errors)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1 if inputs.n > 0 else 2", "write inputs.n > 0 ? 1 : 2"),
        ("inputs.n > 0 and inputs.n < 3 or true", "write && for and, || for or"),
        ("not true", "write ! for not"),
        ("True", "write true for True"),
        ("inputs.s == None", "write null for None"),
        ("inputs.n > 0 or False", "write || for or, false for False"),
        ("'a' not in [inputs.s]", "write !(a in b)"),
        ("inputs.s is null", "write == for is"),
        ("inputs.s is not None", "write != for is not, null for None"),
        ("inputs.s IS NOT NULL AND true", "write && for AND, != for IS NOT, null for NULL"),
        ("[x for x in [1]]", "write list.map(x, value)"),
        ("len(inputs.s)", "write size(x)"),
        ("str(inputs.n)", "write string(x)"),
        ("inputs.s.strip()", "text.regex"),
        ("inputs.s.upper()", "text.render"),
        ("inputs.s.split(' ')", "text.split"),
        ("inputs.s.startswith('a')", "text.startsWith"),
        ("sum([1])", "data.group"),
        ("inputs.s.substring(0, 8)", "data[:8]"),
        ("inputs.s.indexOf('a')", "text.contains"),
        ("inputs.s.upperAscii()", "text.render"),
        ("inputs.n.toString()", "write string(x)"),
        ("parseInt(inputs.s)", "write int(x)"),
        ("{'a': 1}.keys()", "map.map(key, map[key])"),
        ("[1].last()", "list[size(list) - 1]"),
        ("inputs.s.isEmpty()", "size(x) == 0"),
        ("default(inputs.s, 'b')", "x == null ? other : x"),
        ("[1].concat([2])", "write a + b"),
        ("zip([1], [2])", "other[index]"),
        ("[[1]].flatten()", "data.flatten"),
        ("[1, 1].distinct()", "data.unique"),
        ("fromJSON(inputs.s)", "json.parse"),
        ("toJSON(inputs.n)", "becomes JSON"),
        ("now()", "run.started_at"),
        ("failure()", "on_error"),
        ("inputs.s[0:2]", "list.filter"),
        ("[1, 2][:1]", "list.filter"),
        ("inputs.s === 'a'", "write =="),
        ("inputs.s = 'a'", "compare with =="),
        ("inputs.n ** 2", "x * x"),
        ("f'a{inputs.s}'", "join texts"),
        ("inputs.s | upper", "text.render"),
        ("c-d.result", 'did you mean nodes["c-d"].result?'),
        ("c-d.result + 1", 'did you mean nodes["c-d"].result?'),
    ],
)
def test_a_habit_of_another_language_is_told_in_cel(text: str, hint: str) -> None:
    found = _errors(text)
    assert len(found) == 1
    assert hint in found[0].hint


@pytest.mark.parametrize(
    "text",
    ["'True and not None'", "true ? [1][0] : 2", "{'a': [1]}['a'][true ? 0 : 1]", "inputs.s == 'f' || false"],
)
def test_what_only_looks_like_a_habit_is_sound(text: str) -> None:
    assert _errors(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs.None", "the workflow has no input 'None'"),
        ("[true ? 1 : nobody.x][0]", "there is no node 'nobody'"),
        ("{'a': nobody.x}", "there is no node 'nobody'"),
        ("nobody.x == 'a is not b'", "there is no node 'nobody'"),
    ],
)
def test_an_error_that_no_habit_explains_keeps_its_words(text: str, message: str) -> None:
    assert [one.message for one in _errors(text)] == [message]


def test_the_general_hint_needs_no_network() -> None:
    assert "reference of the documentation" in _errors("inputs.s.length")[0].hint
