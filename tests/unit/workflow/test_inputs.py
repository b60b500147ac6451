"""Inputs of a run: from text to values, from values to what the run is given."""

import json
from pathlib import PurePosixPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.app.spelling import spelled
from symphony.ports.values import Value
from symphony.workflow.inputs import bind_inputs, parse_inputs, parse_json, parse_value
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.types import PortType, parse_type

CWD = PurePosixPath("/caller")
LIMIT = InputSpec(type=PortType("integer"), default=20, min=1, max=500)
MODE = InputSpec(type=PortType("enum", choices=("fast", "slow")), default="fast")


def workflow(**inputs: InputSpec) -> Workflow:
    return Workflow(name="case", inputs=inputs)


def of(text: str, **more: object) -> InputSpec:
    return InputSpec(type=parse_type(text), **more)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "500", "500"),
        ("string", '"quoted"', '"quoted"'),
        ("string", "@file", "@file"),
        ("string?", "null", "null"),
        ("path", "~/x y", "~/x y"),
        ("integer", "-3", -3),
        ("number", "1.0", 1.0),
        ("number", "1", 1),
        ("boolean", "true", True),
        ("integer?", "null", None),
        ("list[string]", '["x", "é \\" \'"]', ["x", "é \" '"]),
        ("map[integer]", '{"k": -1}', {"k": -1}),
        ("json", '{"deep": [null, 1.0]}', {"deep": [None, 1.0]}),
        ("bytes", '{"$bytes": "AAEC"}', b"\0\1\2"),
        ("json", '{"$$bytes": 1}', {"$bytes": 1}),
        ("any", "just text", "just text"),
        ("any", "[1, 2]", [1, 2]),
        ("any", '"7"', "7"),
        ("any", "NaN", "NaN"),
        ("any", "", ""),
    ],
)
def test_text_stands_for_the_value_its_type_says(kind: str, text: str, value: Value) -> None:
    read = parse_value(text, parse_type(kind))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("integer", "many", "not JSON"),
        ("integer", "", "not JSON"),
        ("number", "NaN", "not JSON"),
        ("number", "Infinity", "not JSON"),
        ("number", "1e400", "beyond the largest number"),
        ("integer", "9" * 30, "beyond 64 bits"),
        ("integer", "9" * 10_000, "beyond 64 bits"),
        ("any", "9223372036854775808", "beyond 64 bits"),
        ("json", '{"a": 1, "a": 2}', "duplicate key"),
        ("json", '{"$ref": 1}', "doubled"),
        ("bytes", '{"$bytes": "*"}', "base64"),
        ("bytes", '{"$bytes": 1}', "base64"),
        ("json", "[" * 200_000, "nested"),
        ("json", "[" * 150 + "]" * 150, "nested"),
        ("json", '[1,\n"\\ud800"]', "line 2, column 2: half of a surrogate pair"),
        ("any", '{"\\udfff": "\\ud83d\\ude00"}', "line 1, column 3: half of a surrogate pair"),
        ("string", "\udcff", "UTF-8"),
    ],
)
def test_text_that_stands_for_no_value_is_refused_with_the_reason(kind: str, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_value(text, parse_type(kind))


def test_defaults_are_filled_in_and_an_optional_input_without_one_is_null() -> None:
    values, problems = bind_inputs(workflow(limit=LIMIT, extra=of("string?")), {}, cwd=CWD)
    assert (values, problems) == ({"limit": 20, "extra": None}, ())


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"limit": 0}, "type-mismatch", "less than the minimum, 1"),
        ({"limit": 501}, "type-mismatch", "more than the maximum, 500"),
        ({"limit": True}, "type-mismatch", "a boolean"),
        ({"limit": 1.5}, "type-mismatch", "a number"),
        ({"limit": None}, "type-mismatch", "null"),
        ({"limit": 2**63}, "type-mismatch", "64 bits"),
        ({"mode": "medium"}, "type-mismatch", "not one of fast, slow"),
        ({"words": ["a", 1]}, "type-mismatch", "element 1"),
        ({"limitt": 5}, "unknown-port", "no input 'limitt'"),
        ({"place": ""}, "type-mismatch", "empty"),
        ({"place": "a\0b"}, "type-mismatch", "NUL"),
        ({"places": ["a", ""]}, "type-mismatch", "empty"),
    ],
)
def test_a_value_that_does_not_fit_is_one_problem_with_code_place_and_hint(
    given: dict[str, Value], code: str, said: str
) -> None:
    flow = workflow(
        limit=LIMIT,
        mode=MODE,
        words=of("list[string]", default=[]),
        place=of("path", default="."),
        places=of("list[path]", default=[]),
    )
    _, problems = bind_inputs(flow, given, cwd=CWD)
    assert [(p.code, p.place) for p in problems] == [(code, f"inputs.{next(iter(given))}")]
    assert said in problems[0].message
    assert problems[0].hint


def test_every_problem_is_reported_at_once() -> None:
    flow = workflow(name=of("string"), limit=LIMIT)
    _, problems = bind_inputs(flow, {"limit": 0, "nmae": "x"}, cwd=CWD)
    assert sorted(p.code for p in problems) == ["missing-input", "type-mismatch", "unknown-port"]
    assert "did you mean name?" in next(p.hint for p in problems if p.code == "unknown-port")


def test_an_input_given_twice_is_a_problem() -> None:
    _, problems = parse_inputs(workflow(limit=LIMIT), [("limit", "1"), ("limit", "2")])
    assert [p.code for p in problems] == ["duplicate-name"]


def test_paths_become_absolute_in_the_callers_directory_also_inside_lists() -> None:
    flow = workflow(
        one=of("path", default="."),
        other=of("path"),
        many=of("list[path]"),
        by=of("map[path]"),
        no=of("path?"),
    )
    given: dict[str, Value] = {"other": "/x/../y", "many": ["a", "../b"], "by": {"k": "c"}}
    values, problems = bind_inputs(flow, given, cwd=CWD)
    assert not problems
    assert values == {
        "one": "/caller",
        "other": "/x/../y",
        "many": ["/caller/a", "/caller/../b"],
        "by": {"k": "/caller/c"},
        "no": None,
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_printed_as_json_reads_back_as_the_same_value(value: Value) -> None:
    assert parse_json(json.dumps(spelled(value), ensure_ascii=False)) == value


@given(st.text(max_size=40))
def test_any_text_is_a_value_or_a_reason(text: str) -> None:
    for kind in ("any", "json", "integer", "string", "bytes"):
        try:
            parse_value(text, parse_type(kind))
        except ValueError as error:
            assert str(error)


def test_a_missing_input_says_how_to_give_it() -> None:
    specs = ("string", "integer", "number", "boolean", "list[string]", "map[any]", "json", "bytes", "path")
    for kind in specs:
        _, problems = bind_inputs(workflow(x=of(kind, description="what it is")), {}, cwd=CWD)
        assert problems[0].hint.startswith("give it: --input x=")
        assert "what it is" in problems[0].message
    assert InputSpec().default is msgspec.UNSET


@pytest.mark.parametrize(
    ("given", "said"),
    [(1.5, "a number (1.5) is not an integer"), (-0.25, "a number (-0.25) is not an integer")],
)
def test_a_number_that_does_not_fit_is_shown(given: Value, said: str) -> None:
    workflow = Workflow(name="x", inputs={"n": InputSpec(type=PortType("integer"))})
    _, problems = bind_inputs(workflow, {"n": given}, cwd=PurePosixPath("/"))
    assert [one.message for one in problems] == [f"input 'n': {said}"]
