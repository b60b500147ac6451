"""data.sort, data.unique, data.join."""

import time
from collections.abc import Callable
from functools import cmp_to_key
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kit.conftest import Runner

from symphony.kit import records
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.jmespath_rules import equal

KIT = Runner(Path())
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([-1.5, -0.0, 0.0, 1.0, 2.0, 2.5]))
TEXTS = st.sampled_from(["", "a", "B", "b", "ä", "aa", "\U0001f600", "\uffff"])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)


def sort(items: list[Any], **inputs: Any) -> list[Any]:
    found: list[Any] = KIT("data.sort", items=items, **inputs)["result"]
    return found


def join(left: list[Any], right: list[Any], **inputs: Any) -> list[Any]:
    found: list[Any] = KIT("data.join", left=left, right=right, **inputs)["result"]
    return found


def test_several_keys_each_have_a_direction_and_equal_elements_keep_their_order() -> None:
    rows = [{"a": 1, "b": "x", "n": 0}, {"a": 2, "b": "x", "n": 1}, {"a": 1, "b": "y", "n": 2},
            {"a": 2, "b": "x", "n": 3}]  # fmt: skip
    found = sort(rows, by=["item.b", "item.a"], descending=[False, True])
    assert [row["n"] for row in found] == [1, 3, 0, 2]
    assert [row["n"] for row in sort(rows, by=["item.b", "item.a"], descending=[True])] == [2, 1, 3, 0]
    assert [row["n"] for row in sort(rows, by=["size(item.b) + item.a"], limit=2)] == [0, 2]


@pytest.mark.parametrize("missing", ["last", "first"])
@pytest.mark.parametrize("descending", [[], [True]])
def test_nulls_and_elements_without_the_field_go_where_it_is_said(
    missing: str, descending: list[bool]
) -> None:
    rows: list[Any] = [{"k": None, "n": 0}, {"k": 2, "n": 1}, {"n": 2}, {"k": 1, "n": 3}, None]
    found = sort(rows, by=["item.k"], missing=missing, descending=descending)
    nulls, filled = [rows[0], rows[2], None], [rows[1], rows[3]] if descending else [rows[3], rows[1]]
    assert found == (filled + nulls if missing == "last" else nulls + filled)


def test_texts_are_in_the_order_of_code_points_or_without_case() -> None:
    assert sort(["ä", "b", "B", "a", "\U0001f600", "\uffff"]) == ["B", "a", "b", "ä", "\uffff", "\U0001f600"]
    assert sort(["b", "STRASSE", "straße", "A"], ignore_case=True) == ["A", "b", "STRASSE", "straße"]


@pytest.mark.parametrize(
    ("items", "by", "said"),
    [
        ([1, "a"], "item", r"a number for items\[0\] and a text for items\[1\] have no order"),
        ([None, True, 1], "item", r"a boolean for items\[1\] and a number for items\[2\]"),
        ([{"k": 1}, {"k": "1"}], "item.k", r"by\[0\]: a number for items\[0\]"),
        ([[1], [2]], "item", r"a list, as for items\[0\], has no order"),
        ([{}, {"a": 1}], "item", r"a map, as for items\[0\]"),
        ([{"name": 1}], "item.nmae", r"by\[0\]: no element of items has item.nmae"),
        ([{"k": 1}, {"k": 2}, 5], "item.k", r"by\[0\], for items\[2\]: a field is read from something"),
        ([float("nan"), 1.0], "item", r"not a number, for items\[0\]"),
        ([{"name": 1}], "name", "there is no 'name'|name is not known"),
    ],
)  # fmt: skip
def test_what_has_no_order_names_input_and_elements(items: list[Any], by: str, said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        sort(items, by=[by])


def test_a_field_that_no_element_has_is_told_with_those_that_they_have() -> None:
    with pytest.raises(InputRefused) as caught:
        sort([{"name": 1, "size": 2}], by=["item.nmae"])
    assert caught.value.hint == "the first has: name, size; check the name"


@pytest.mark.parametrize(("text", "hint"), [("name", "write item.name"), (" a.b ", "write item.a.b")])
def test_a_name_without_item_is_told_where_it_is_forgotten(text: str, hint: str) -> None:
    with pytest.raises(InputRefused, match=r"input by\[0\]") as caught:
        sort([{"name": 1}], by=[text])
    assert caught.value.hint == hint


def test_directions_keys_and_limits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputRefused, match="descending has 2 elements, and by has 3"):
        sort([1], by=["item", "item", "item"], descending=[True, False])
    with pytest.raises(InputRefused, match="by is empty"):
        sort([1], by=[])
    with pytest.raises(InputRefused, match="limit is negative"):
        sort([1], limit=-1)


@pytest.mark.parametrize("name", ["data.sort", "data.unique"])
def test_an_empty_list_stays_one(name: str) -> None:
    assert KIT(name, items=[], by=["item.anything"]) == {"result": []}


@given(
    st.lists(st.fixed_dictionaries({}, optional={"a": st.none() | NUMBERS, "b": st.none() | TEXTS})),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["first", "last"]),
)
def test_sorting_is_that_of_a_stable_sort_by_comparison(
    rows: list[dict[str, Any]], down_a: bool, down_b: bool, missing: str
) -> None:
    rows = [{"a": 0, "b": ""}, *rows]  # so that each field is somewhere

    def compared(one: dict[str, Any], other: dict[str, Any]) -> int:
        for name, down in (("a", down_a), ("b", down_b)):
            first, second = one.get(name), other.get(name)
            if first is None or second is None:
                if first is not second:
                    return (1 if first is None else -1) * (1 if missing == "last" else -1)
            elif first != second:
                return (-1 if first < second else 1) * (-1 if down else 1)
        return 0

    expected = sorted(rows, key=cmp_to_key(compared))
    found = sort(rows, by=["item.a", "item.b"], descending=[down_a, down_b], missing=missing)
    assert list(map(repr, found)) == list(map(repr, expected))


def test_one_of_those_with_the_same_keys_stays() -> None:
    rows = [{"k": "a", "n": 0}, {"k": "b", "n": 1}, {"k": "a", "n": 2}, {"n": 3}, {"k": None, "n": 4}]
    first = KIT("data.unique", items=rows, by=["item.k"])["result"]
    last = KIT("data.unique", items=rows, by=["item.k"], keep="last")["result"]
    assert [row["n"] for row in first] == [0, 1, 3]
    assert [row["n"] for row in last] == [1, 2, 4]


def test_truths_and_numbers_are_different_and_doubles_and_integers_the_same() -> None:
    found = KIT("data.unique", items=[1, True, 1.0, "1", None, 0, False, -0.0, [True], [1], {}, []])["result"]
    assert list(map(repr, found)) == list(map(repr, [1, True, "1", None, 0, False, [True], [1], {}, []]))


@given(st.lists(VALUES, max_size=8))
def test_what_stays_is_different_from_all_before(values: list[Any]) -> None:
    expected: list[Any] = []
    for value in values:
        if not any(equal(value, one) for one in expected):
            expected.append(value)
    assert list(map(repr, KIT("data.unique", items=values)["result"])) == list(map(repr, expected))


LEFT = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bo"}, {"id": None, "name": "Cy"}]
RIGHT = [{"id": 2.0, "name": "x", "size": 7}, {"id": 3, "name": "y", "size": 8}, {"id": 2, "name": "z"},
         {"id": None, "name": "w"}]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("inner", [(2, "Bo", "x", 7), (2, "Bo", "z", "-")]),
        ("left", [(1, "Ada", None, None), (2, "Bo", "x", 7), (2, "Bo", "z", "-"), (None, "Cy", None, None)]),
        ("right", [(2, "Bo", "x", 7), (3, None, "y", 8), (2, "Bo", "z", "-"), (None, None, "w", "-")]),
        ("full", [(1, "Ada", None, None), (2, "Bo", "x", 7), (2, "Bo", "z", "-"), (None, "Cy", None, None),
                  (3, None, "y", 8), (None, None, "w", "-")]),
    ],
)  # fmt: skip
def test_each_kind_of_join_has_its_records_in_order(kind: str, expected: list[tuple[object, ...]]) -> None:
    found = join(LEFT, RIGHT, by=["item.id"], kind=kind)
    assert [(row["id"], row["name"], row["name_right"], row.get("size", "-")) for row in found] == expected


def test_semi_and_anti_joins_choose_records_and_change_none() -> None:
    assert join(LEFT, RIGHT, by=["item.id"], kind="semi") == [LEFT[1]]
    assert join(LEFT, RIGHT, by=["item.id"], kind="anti") == [LEFT[0], LEFT[2]]


def test_keys_with_two_names_are_both_kept_and_computed_ones_add_no_field() -> None:
    assert join([{"a": 1}], [{"b": 1}], by=["item.a"], right_by=["item.b"]) == [{"a": 1, "b": 1}]
    found = join([{"a": "x1"}], [{"a": "x2", "n": 0}], by=["item.a.startsWith('x')"])
    assert found == [{"a": "x1", "a_right": "x2", "n": 0}]


def test_all_keys_must_match_and_none_may_be_null() -> None:
    left = [{"a": 1, "b": 1}, {"a": 1, "b": None}, {"a": 1}]
    right = [{"a": 1, "b": 1, "n": 0}, {"a": 1, "b": None, "n": 1}]
    assert join(left, right, by=["item.a", "item.b"]) == [{"a": 1, "b": 1, "n": 0}]


@pytest.mark.parametrize("kind", ["inner", "left", "right", "full", "semi", "anti"])
def test_a_list_may_be_empty(kind: str) -> None:
    rows = [{"id": 1, "n": 2}]
    assert join(rows, [], by=["item.id"], kind=kind) == (rows if kind in ("left", "full", "anti") else [])
    assert join([], rows, by=["item.id"], kind=kind) == (rows if kind in ("right", "full") else [])


def test_what_cannot_be_joined_is_refused_with_its_place() -> None:
    with pytest.raises(InputRefused, match=r"by\[0\] gives a text for left\[1\], by\[0\] a number for right"):
        join([{"id": None}, {"id": "1"}], [{"id": 1}], by=["item.id"])
    with pytest.raises(InputRefused, match="right_by has 2 expressions, and by has 1"):
        join([], [], by=["item.a"], right_by=["item.a", "item.b"])
    with pytest.raises(InputRefused, match="field 'n' of right would be 'n', which is there already"):
        join([{"id": 1, "n": 1}], [{"id": 1, "n": 1}], by=["item.id"], suffix="")
    with pytest.raises(InputRefused, match="would be 'n_right'"):
        join([{"id": 1, "n": 1}], [{"id": 1, "n": 1, "n_right": 2}], by=["item.id"])
    with pytest.raises(InputRefused, match=r"no element of right has item\.id"):
        join([{"id": 1}], [{"ID": 1}], by=["item.id"])


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ("left", r"left\[0\] and left\[1\]"), ("both", "left"),
        ("right", r"right\[0\] and right\[2\] have the same key 1"),
    ],
)  # fmt: skip
def test_keys_that_must_be_unique_are_looked_at(side: str, said: str) -> None:
    left, right = [{"id": 1}, {"id": 1}], [{"id": 1}, {"id": 2}, {"id": 1.0}]
    with pytest.raises(InputRefused, match=said):
        join(left, right, by=["item.id"], unique=side)
    assert len(join(left, right, by=["item.id"])) == 4


def test_a_join_that_multiplies_is_refused_before_it_is_made() -> None:
    many = [{"id": 1}] * 20_000
    with pytest.raises(OutputTooLarge, match="400,000,000 records") as caught:
        join(many, many, by=["item.id"])
    assert str(records.JOINED_MAX)[0] in caught.value.message


@given(
    st.lists(st.fixed_dictionaries({"k": st.none() | NUMBERS, "a": TEXTS}), max_size=6),
    st.lists(st.fixed_dictionaries({"k": st.none() | NUMBERS, "b": TEXTS}), max_size=6),
)
def test_joins_give_what_looking_at_all_pairs_gives(left: list[Any], right: list[Any]) -> None:
    def match(one: Any, other: Any) -> bool:
        return one["k"] is not None and equal(one["k"], other["k"])

    pairs = [{**one, "b": other["b"]} for one in left for other in right if match(one, other)]
    only_left = [one for one in left if not any(match(one, other) for other in right)]
    only_right = [other for other in right if not any(match(one, other) for one in left)]
    fields = {"b": None} if right else {}
    missing = {"a": None} if left else {}
    counted: Callable[[list[Any]], list[str]] = lambda rows: sorted(  # noqa: E731
        repr(sorted(row.items())) for row in rows
    )
    left_rows = [{**one, **fields} for one in only_left]
    right_rows = [{**missing, **other} for other in only_right]
    assert join(left, right, by=["item.k"]) == pairs
    assert counted(join(left, right, by=["item.k"], kind="left")) == counted(pairs + left_rows)
    assert counted(join(left, right, by=["item.k"], kind="right")) == counted(pairs + right_rows)
    full = join(left, right, by=["item.k"], kind="full")
    assert counted(full) == counted(pairs + left_rows + right_rows)
    assert join(left, right, by=["item.k"], kind="anti") == only_left
    assert join(left, right, by=["item.k"], kind="semi") == [one for one in left if one not in only_left]


@pytest.mark.parametrize("name", ["data.sort", "data.unique", "data.group"])
def test_a_cancelled_node_stops(name: str, run: Any) -> None:
    run.cancelled = lambda: True
    keys: dict[str, Any] = {"by": ["item"]} if name != "data.group" else {"key": "item"}
    with pytest.raises(Stopped):
        run(name, items=[1, 2], **keys)


@pytest.mark.parametrize("name", ["data.sort", "data.unique", "data.join", "data.group"])
def test_four_times_as_many_records_take_no_more_than_about_four_times_as_long(name: str) -> None:
    def took(count: int) -> float:
        items = [{"id": at * 7_919 % count, "name": f"n{at % 999}"} for at in range(count)]
        inputs: dict[str, Any] = {"items": items, "by": ["item.name", "item.id"]}
        if name == "data.group":
            inputs = {"items": items, "key": "item.id", "aggregates": {"least": {"min": "item.name"}}}
        elif name == "data.join":
            inputs = {"left": items, "right": items, "by": ["item.id"]}
        times = []
        for _ in range(3):
            began = time.process_time()
            KIT(name, **inputs)
            times.append(time.process_time() - began)
        return min(times)

    assert took(20_000) < 10 * took(5_000)
