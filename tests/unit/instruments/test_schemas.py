import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.settings import ModelConfig
from symphony.kit.instruments.hosted.configured import configured
from symphony.kit.instruments.hosted.schemas import closed, mismatch, unsupported
from symphony.ports.values import Value

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, -1, 2.0], [1.5, True, "1", None]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 2}, [1, 0.1, 2], [0, 2.1, False]),
        ({"type": ["string", "null"]}, ["", None], [0, []]),
        ({"enum": [1, "a", None]}, [1, 1.0, "a", None], [True, "b", 0]),
        ({"const": {"a": [1]}}, [{"a": [1]}], [{"a": [2]}, {"a": [True]}, {}]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a", "éé"], ["", "abc"]),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
            [[True]],
            [[], [1], [True] * 3],
        ),
        ({"type": "array", "uniqueItems": True}, [[1, True], []], [[1, 1.0], [[0], [0]]]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, [None, 3], ["a"]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}], [{"a": "b"}, []]),
        ({"properties": {"a": False}}, [{}, 5], [{"a": 1}]),
    ],
)
def test_values_are_held_to_the_schema(schema: Value, good: list[Value], bad: list[Value]) -> None:
    assert unsupported(schema) is None
    assert [mismatch(value, schema) for value in good] == [None] * len(good)
    assert all(mismatch(value, schema) for value in bad)


@given(values)
def test_every_value_fits_the_schema_that_names_it(value: Value) -> None:
    assert mismatch(value, {"const": value}) is None
    assert mismatch(value, {"enum": [value]}) is None
    assert mismatch([value], {"type": "array", "items": {"anyOf": [{"const": value}]}}) is None


@given(values)
def test_whatever_is_given_as_a_schema_is_refused_or_checks_anything(schema: Value) -> None:
    if unsupported(schema) is None:
        mismatch({"a": [1, "b", None]}, schema)
        closed(schema)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("text", "it must be a map"),
        ({"$ref": "#/x"}, r"\$ref is not supported"),
        ({"type": "text"}, "type must be one or several of"),
        ({"properties": {"a": {"pattern": "x"}}}, r"properties.a.pattern is not supported"),
        ({"items": {"minItems": -1}}, "items.minItems must be a whole number"),
        ({"anyOf": [{"type": "null"}, 5]}, r"anyOf\[1\] must be a map"),
        ({"required": [1]}, "required must be a list of names"),
    ],
)
def test_what_cannot_be_checked_is_named(schema: Value, why: str) -> None:
    import re

    assert re.search(why, unsupported(schema) or "")


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: Value = {"type": "integer"}
    for _ in range(100):
        schema = {"items": schema}
    assert "nested deeper" in (unsupported(schema) or "")


def test_only_a_schema_that_names_every_key_is_closed() -> None:
    whole: Value = {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert closed(whole)
    assert not closed({"type": "object", "properties": {"a": {}}, "additionalProperties": False})
    assert not closed({"type": "array", "items": {"type": "object"}})
    assert closed({"type": "array", "items": whole})


@given(st.lists(values, max_size=6))
def test_items_are_unique_if_no_two_of_them_are_allowed_as_each_other(items: list[Value]) -> None:
    alike = any(
        mismatch(one, {"const": other}) is None for at, one in enumerate(items) for other in items[:at]
    )
    assert (mismatch(items, {"type": "array", "uniqueItems": True}) is not None) == alike


def test_many_items_are_found_unique_in_linear_time() -> None:
    """Each with each would be a billion comparisons, which take minutes."""
    items: list[Value] = [{"n": number} for number in range(50_000)]
    assert mismatch(items, {"uniqueItems": True}) is None
    assert mismatch([*items, {"n": 7.0}], {"uniqueItems": True}) == "it[50000] is there twice"


def test_another_id_for_the_built_in_embeddings_is_shown_as_that_id() -> None:
    found = configured({"mine": ModelConfig(provider="minilm", kind="embedding")})
    assert found["mine"].id == "mine"
