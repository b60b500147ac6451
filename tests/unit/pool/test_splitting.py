"""How long inputs are split and their outputs joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.pool.core.splitting import PART_BYTES_MAX, PART_ITEMS_MAX, Elementwise, joined, parts
from symphony.ports.values import Value

RULE = Elementwise("texts", "vectors")


@given(st.lists(st.text(max_size=5), max_size=150))
def test_parts_answered_one_by_one_join_to_the_whole(texts: list[str]) -> None:
    given_texts: list[Value] = [*texts]
    pieces = list(parts({"texts": given_texts, "other": 1}, RULE))
    assert all(piece["other"] == 1 for piece in pieces)
    outputs: list[dict[str, Value]] = [{"vectors": piece["texts"]} for piece in pieces]
    assert joined(outputs, RULE) == {"vectors": texts}


def test_a_part_holds_at_most_32_elements() -> None:
    pieces = list(parts({"texts": ["x"] * 100}, RULE))
    assert [len(piece["texts"]) for piece in pieces] == [32, 32, 32, 4]  # type: ignore[arg-type]
    assert PART_ITEMS_MAX == 32


def test_long_texts_make_parts_shorter() -> None:
    pieces = list(parts({"texts": ["x" * (PART_BYTES_MAX - 1), "yy", "z"]}, RULE))
    assert [len(piece["texts"]) for piece in pieces] == [1, 2]  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs", [{"texts": "no list"}, {"texts": []}, {}, {"texts": 7}])
def test_what_cannot_be_split_travels_whole(inputs: dict[str, Value]) -> None:
    assert list(parts(inputs, RULE)) == [inputs]
    assert list(parts({"texts": ["a"] * 99}, None)) == [{"texts": ["a"] * 99}]


def test_an_output_that_is_no_list_becomes_one_when_joined() -> None:
    assert joined([{"vectors": 1}, {"vectors": [2]}], RULE) == {"vectors": [1, 2]}
    assert joined([{"vectors": 1}], None) == {"vectors": 1}
