"""data.group and its aggregates."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kit.conftest import Runner

from symphony.kit.errors import InputRefused

KIT = Runner(Path())
ROWS: list[Any] = [
    {"who": "ada", "lines": 3, "file": "a.py"}, {"who": "bo", "lines": 2.5, "file": "b.py"},
    {"who": "ada", "lines": None, "file": "a.py"}, {"who": "ada", "lines": 4, "file": "c.py"}, {"who": "cy"},
]  # fmt: skip


def group(items: list[Any], **inputs: Any) -> list[Any]:
    found: list[Any] = KIT("data.group", items=items, **inputs)["result"]
    return found


def test_aggregates_become_fields_beside_the_key_in_their_order() -> None:
    found = group(
        ROWS,
        by={"who": "item.who"},
        aggregates={"commits": {"count": "item"}, "lines": {"sum": "item.lines"},
                    "files": {"count_unique": "item.file"}},
    )  # fmt: skip
    assert found == [
        {"who": "ada", "commits": 3, "lines": 7, "files": 2},
        {"who": "bo", "commits": 1, "lines": 2.5, "files": 1},
        {"who": "cy", "commits": 1, "lines": 0, "files": 0},
    ]  # fmt: skip
    assert list(found[0]) == ["who", "commits", "lines", "files"]
    assert group(ROWS[:1], key="item.who", aggregates={"n": {"count": "item"}}) == [{"key": "ada", "n": 1}]


@pytest.mark.parametrize(
    ("function", "ada", "nobody"),
    [
        ("count", 2, 0), ("sum", 7, 0), ("mean", 3.5, None), ("median", 3.5, None), ("min", 3, None),
        ("max", 4, None), ("first", 3, None), ("last", 4, None), ("list", [3, 4], []), ("unique", [3, 4], []),
        ("count_unique", 2, 0),
    ],
)  # fmt: skip
def test_nulls_count_for_nothing(function: str, ada: object, nobody: object) -> None:
    found = group(ROWS, key="item.who", aggregates={"x": {function: "item.lines"}})
    assert [found[0]["x"], found[2]["x"]] == [ada, nobody]


def test_without_keys_all_is_one_group_even_if_there_is_nothing() -> None:
    totals = {"n": {"count": "item"}, "lines": {"sum": "item.lines"}, "most": {"max": "item.lines"}}
    assert group(ROWS, aggregates=totals) == [{"n": 5, "lines": 9.5, "most": 4}]
    assert group([], aggregates=totals) == [{"n": 0, "lines": 0, "most": None}]
    assert group([], key="item.who", aggregates=totals) == []
    assert group([1, 2]) == [{"items": [1, 2], "count": 2}]


def test_several_keys_and_members_are_given_by_name() -> None:
    items = [{"a": 1, "b": True}, {"a": 1.0, "b": 1}, {"a": 1, "b": True}, {"b": 1}]
    found = group(items, by={"x": "item.a", "y": "item.b"})
    assert [(row["x"], row["y"], row["count"]) for row in found] == [(1, True, 2), (1, 1, 1), (None, 1, 1)]
    assert found[0]["items"] == [items[0], items[2]]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"aggregates": {"x": {"avg": "item.lines"}}}, "aggregates.x: 'avg' is not a function"),
        ({"aggregates": {"x": {}}}, "aggregates.x: it must have exactly one function"),
        ({"aggregates": {"x": {"sum": "item.lines", "max": "item.lines"}}}, "exactly one function"),
        ({"aggregates": {"x": {"sum": "item.who"}}}, r"x.sum: a text, for items\[0\], is not a number"),
        ({"aggregates": {"x": {"sum": "item.who == 'bo'"}}}, r"x.sum: a boolean, for items\[0\]"),
        ({"aggregates": {"x": {"max": "index == 0 ? dyn('a') : dyn(1)"}}},
         r"a text for items\[0\] and a number for items\[1\]"),
        ({"aggregates": {"x": {"sum": "item.line"}}}, "no element of items has item.line"),
        ({"aggregates": {"x": {"sum": "9223372036854775807"}}}, "larger than any 64-bit integer"),
        ({"aggregates": {"x": {"sum": "1e308"}}}, "larger than any number"),
        ({"key": "item.who", "by": {"a": "item.who"}}, "key or by, not both"),
        ({"by": {"count": "item.who"}}, "'count' is the name of a key, too"),
        ({"by": {"a": "item.whom"}}, "by.a: no element of items has item.whom"),
        ({"key": "item.who.x.y"}, r"key, for items\[0\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_grouped_is_refused_with_its_place(inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        group(ROWS, **inputs)


def test_a_mean_of_numbers_whose_sum_is_too_large_is_given() -> None:
    assert group([1e308, 1.5e308], aggregates={"x": {"mean": "item"}}) == [{"x": 1.25e308}]
    assert group([1e308, 1e308, -1e308], aggregates={"x": {"sum": "item"}}) == [{"x": 1e308}]


@given(st.lists(st.floats(-1e6, 1e6) | st.integers(-(2**50), 2**50), min_size=1, max_size=9), st.randoms())
def test_sums_are_exact_and_know_no_order(numbers: list[float], random: Any) -> None:
    aggregates: Any = {"sum": {"sum": "item"}, "mean": {"mean": "item"}, "median": {"median": "item"}}
    (found,) = group(numbers, aggregates=aggregates)
    exact = sum(map(Fraction, numbers))
    assert found["sum"] == (float(exact) if any(isinstance(one, float) for one in numbers) else exact)
    assert math.isclose(found["mean"], float(exact / len(numbers)), abs_tol=1e-9)
    assert min(numbers) <= found["median"] <= max(numbers)
    shuffled = random.sample(numbers, len(numbers))
    assert group(shuffled, aggregates=aggregates) == [found]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None, 1, True]), st.integers(-9, 9)), max_size=12))
def test_groups_share_out_all_elements(pairs: list[tuple[Any, int]]) -> None:
    items = [{"k": key, "n": number} for key, number in pairs]
    rows = group(items, key="item.k")
    totals = group(items, key="item.k", aggregates={"n": {"sum": "item.n"}, "all": {"list": "item.n"}})
    assert sorted(map(repr, (item for row in rows for item in row["items"]))) == sorted(map(repr, items))
    for row, total in zip(rows, totals, strict=True):
        numbers = [item["n"] for item in row["items"]]
        assert row["count"] == len(numbers) > 0
        assert (total["key"], total["n"], total["all"]) == (row["key"], sum(numbers), numbers)
        assert all(type(item["k"]) is type(row["key"]) and item["k"] == row["key"] for item in row["items"])
