"""Places in JSON are found one by one where reading all of it would find them."""

import json
import random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.documents import Positions, Tree, json_text
from symphony.workflow.documents.json_reader import JsonReader
from symphony.workflow.documents.json_spots import LazySpot, TooDear, lazy_spot
from symphony.workflow.documents.tree import Spot
from symphony.workflow.problems import child

_keys = st.sampled_from(["a", "b", "a.b", "a[0]", "", "0", ".", 'q"', "\\", "ü", "\n", "[1]", "nodes"])
_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _keys,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


class Eager(Positions):
    """Where everything stands, found by the reader that reads token by token."""

    def __init__(self, text: str) -> None:
        super().__init__(text, lambda: JsonReader(text).read().spot)


def places(tree: Tree, at: str = "") -> list[str]:
    """Every place of a document, and some that it does not have."""
    found = [at, child(at, "zz"), child(at, 7)]
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in pairs:
        found += places(item, child(at, key))
    return found


def text_of(tree: Tree, style: int) -> str:
    """The document in one of several ways to write it."""
    indent = (None, 1, "\t", "\r\n  ")[style % 4]
    whole = json.dumps(tree, indent=indent, ensure_ascii=style > 3)
    return f"\n {whole} \n" if style % 2 else whole


@given(tree=_trees, style=st.integers(0, 7), rng=st.randoms(use_true_random=False))
def test_a_place_is_found_where_reading_everything_finds_it(
    tree: Tree, style: int, rng: random.Random
) -> None:
    text = text_of(tree, style)
    wanted = places(json.loads(text))
    rng.shuffle(wanted)
    lazily, eagerly = json_text.Located(text), Eager(text)
    for place in wanted:
        assert lazily.of(place) == eagerly.of(place), place


def test_numbers_of_very_many_digits_are_jumped_over() -> None:
    text = f'{{"a": {"9" * 6000}, "b": 1e{"9" * 6000}, "c": 1}}'
    assert json_text.Located(text).of("c") == (1, text.index('"c"') + 1)


def test_a_place_is_found_without_a_look_at_what_follows() -> None:
    text = '{"nodes": {"a": {"operator": "x"}, "b": this is not even JSON'
    assert json_text.Located(text).of("nodes.a.operator") == (1, 18)


def test_what_was_jumped_over_is_not_jumped_over_again() -> None:
    nodes = {f"n{i}": {"operator": "x", "inputs": {"value": i}} for i in range(400)}
    text = json.dumps({"nodes": nodes})
    spot = lazy_spot(text)
    for name in nodes:  # if each question began anew, the text would be jumped over 200 times
        found: Spot | None = spot
        for key in ("nodes", name, "inputs", "value"):
            assert isinstance(found, LazySpot)
            found = found.below(key)
        assert found is not None
        assert text.startswith('"value"', found.at)


DEEP: Final = 60


def test_where_it_would_be_dear_everything_is_read_once() -> None:
    tree: Tree = ["x" * 1000]
    for _ in range(DEEP):
        tree = {"a": tree}
    text = json.dumps(tree)
    place = ".".join(["a"] * DEEP)
    spot: Spot | None = lazy_spot(text)
    dear = False
    for _ in range(DEEP):
        assert spot is not None
        below = spot.below("a")
        try:
            spot.below("missing")
        except TooDear:
            dear = True
        spot = below
    assert dear
    lazily, eagerly = json_text.Located(text), Eager(text)
    for depth in range(0, len(place), 8):
        for missing in (f"{place[:depth]}zz", f"{place[: depth + 1]}.zz.zz"):
            assert lazily.of(missing) == eagerly.of(missing)
