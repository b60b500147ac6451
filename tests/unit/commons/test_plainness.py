"""What is found to be plain by one look at all of it is what the general ways take as it is."""

import copy
import enum
import sys
from collections import OrderedDict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.commons.plainness import copied, plain_size
from symphony.pit.artifacts.values.codec import decode_value, encode_value
from symphony.ports.values import Value
from symphony.sdk.plain import to_value


class Colour(str, enum.Enum):  # noqa: UP042  (text, but no plain one)
    RED = "red"


class Loud(str): ...


LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**400])
    | st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf")])
    | st.text("aé\U0001f600", max_size=3)
    | st.binary(max_size=3)
    | st.sampled_from(
        [Colour.RED, Loud("x"), Decimal(1), date(2020, 1, 1), bytearray(b"x"), "\ud800", object]
    )
)
HELD: st.SearchStrategy[object] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["x", "y", "é"]), inner, max_size=3)
        | st.dictionaries(st.sampled_from([1, Loud("x"), Colour.RED, b"x"]), inner, max_size=1)
        | st.dictionaries(st.sampled_from("xy"), inner, max_size=2).map(OrderedDict)
    ),
    max_leaves=12,
)
HOLDERS = st.lists(HELD, max_size=4) | st.dictionaries(st.sampled_from("xyz"), HELD, max_size=3)


@given(HOLDERS)
@example([[1, 2**63]])
@example({"x": [{"y": (1,)}]})
def test_what_is_plain_is_encoded_and_copied_as_the_general_ways_do(value: object) -> None:
    size = plain_size(value)
    if size is None:
        return
    made, other = to_value(value), copied(value)
    assert repr(other) == repr(made) == repr(value)
    try:
        body = encode_value(made)
    except SerializationFailed as error:
        assert "surrogate" in str(error)  # which only encoding tells
    else:
        assert size <= len(body) + sum(1 for _ in _holders(value))
        assert repr(decode_value(body)) == repr(value)


@given(HOLDERS)
def test_what_the_codec_takes_as_it_is_is_plain_and_what_it_refuses_is_not(value: Value) -> None:
    try:
        encode_value(value)
    except SerializationFailed as error:
        assert plain_size(value) is None or "surrogate" in str(error)
    else:
        assert plain_size(value) is not None


@given(HOLDERS)
def test_long_lists_are_encoded_or_refused_as_each_of_their_elements(value: Value) -> None:
    def told(held: Value) -> bytes | str:
        try:
            return encode_value(held)
        except SerializationFailed as error:
            return str(error)

    alone, among = told(value), told([copy.deepcopy(value) for _ in range(100)])
    assert isinstance(alone, bytes) is isinstance(among, bytes)
    if isinstance(among, bytes):
        assert isinstance(alone, bytes)
        assert among == b"\xdc\x00d" + alone * 100
    elif "surrogate" not in among:
        assert among == told([value])


@given(HOLDERS)
def test_a_copy_shares_no_list_or_map(value: object) -> None:
    if plain_size(value) is not None:
        assert not {id(one) for one in _holders(value)} & {id(one) for one in _holders(copied(value))}


def test_what_is_larger_than_the_most_is_not_looked_at_to_its_end() -> None:
    nested: list[object] = ["x"] * 64
    for _ in range(10):
        nested = [nested] * 64  # 64**11 values, if each were looked at
    assert plain_size(nested) is None
    nested[0] = nested
    assert plain_size(nested) is None
    assert plain_size(["x" * 1000] * 100, 99_999) is None
    assert plain_size(["x" * 1000] * 100, 101 * 1000) == 100 * 1001 + 1


@pytest.mark.parametrize("length", [0, 1, 2047, 2048, 2049, 5000])
def test_the_last_value_of_a_long_list_counts(length: int) -> None:
    assert plain_size([1] * length) == length + 1
    assert plain_size([*[1] * length, 2**63]) is None
    assert plain_size([{"a": "b"} for _ in range(length)]) == 3 * length + 1
    assert plain_size([*({"a": "b"} for _ in range(length)), {"a": {1}}]) is None


def test_deep_values_are_left_to_the_general_way() -> None:
    deep: list[object] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    assert plain_size(deep) is None
    deep.append(deep)
    assert plain_size(deep) is None


def _holders(value: object) -> "list[object]":
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return [] if parts is None else [value, *(one for part in parts for one in _holders(part))]
