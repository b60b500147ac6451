"""The order of keys in what expressions give: that of what went in, and of keys for what CEL builds."""

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow.expressions import Compiler
from symphony.workflow.expressions.order import Orders
from symphony.workflow.expressions.walks import built_maps
from symphony.workflow.types import ANY, parse_type

MAP: dict[str, Value] = {
    "zip": 1, "name": 2, "age": 3, "inside": {"y": 1, "b": 2, "x": 3},
    "rows": [{"q": 1, "a": 2}, {"q": 3, "a": 4}],
}  # fmt: skip
NONE: frozenset[frozenset[str]] = frozenset()

_keys = st.sampled_from(["zip", "name", "age", "x", "b", "a"])
_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "text", 0.5]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


COMPILER = Compiler(lambda read: ANY, value=False)


def render(text: str, **values: Value) -> str:
    """What the expression gives, written as it stands: maps are equal only in the same order."""
    template = COMPILER.template(f"${{{{ {text} }}}}")
    return repr(template.render(lambda read: values[read.port or read.name or read.kind]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[x.m][0]", MAP),
        ("x.m.inside", MAP["inside"]),
        ("x.m.zip > 0 ? x.m : {}", MAP),
        ("x.m.rows.filter(r, r.q > 1)", [{"q": 3, "a": 4}]),
        ("x.m.rows.map(r, r)", MAP["rows"]),
        ("x.m.rows + [x.m.inside]", [{"q": 1, "a": 2}, {"q": 3, "a": 4}, {"y": 1, "b": 2, "x": 3}]),
        ("x", {"m": MAP}),
        ("[x.m].filter(r, r != {'a': 1})", [MAP]),
    ],
)
def test_a_map_that_passes_through_keeps_the_order_of_its_keys(text: str, found: Value) -> None:
    assert render(text, m=MAP, x={"m": MAP}) == repr(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{'zulu': 1, 'alpha': 2, 'é': 3, 'Z': 4}", {"Z": 4, "alpha": 2, "zulu": 1, "é": 3}),
        (
            "{'z': {'y': 1, 'b': 2}, 'a': [{'d': 1, 'c': 2}]}",
            {"a": [{"c": 2, "d": 1}], "z": {"b": 2, "y": 1}},
        ),
        ("{'z': x.m.inside, 'a': x.m.rows[0]}", {"a": {"q": 1, "a": 2}, "z": {"y": 1, "b": 2, "x": 3}}),
        ("{'y': 1, 'b': 2, 'x': 4 + size(x.m)}", {"b": 2, "x": 9, "y": 1}),  # the keys of one that went in
        ("x.m.rows.map(r, {'q': r.a, 'a': r.q})", [{"a": 1, "q": 2}, {"a": 3, "q": 4}]),
        ("x.m.rows.map(r, {'q' + string(r.q): 1, 'a': 2})", [{"a": 2, "q1": 1}, {"a": 2, "q3": 1}]),
        ("{'q': 1, 'a': 2}", {"a": 2, "q": 1}),
    ],
)
def test_a_map_that_cel_builds_is_in_the_order_of_its_keys(text: str, found: Value) -> None:
    assert render(text, m=MAP) == repr(found)


def test_a_map_that_is_built_like_one_that_went_in_has_its_order() -> None:
    assert render("[x.m, {'q': 1, 'a': 2}]", m=[{"q": 1, "a": 2}]) == repr(
        [[{"q": 1, "a": 2}], {"q": 1, "a": 2}]
    )


def test_equal_maps_of_different_orders_give_their_orders_in_turn() -> None:
    one, other = {"z": 1, "a": 2}, {"a": 2, "z": 1}
    assert one == other
    assert render("x.l.filter(r, r.z > 0)", l=[one, other, other, one]) == repr([one, other, other, one])
    assert render("[x.l, x.r]", l=one, r=other) == repr([one, other])
    assert render("[x.r, x.r]", l=one, r=other) == repr([other, other])
    assert render("[x.l, x.l, x.r]", l=one, r=other) == repr(
        [one, other, one]
    )  # nobody can tell which is which
    rows: list[Value] = [{"k": 1, "m": one}, {"k": 2, "m": other}]
    assert render("x.l.filter(r, r.k == 2)", l=rows) == repr(rows[1:])
    assert render("x.l.filter(r, has(r.m) || r.z > 0)", l=[*rows, other, one]) == repr([*rows, other, one])


def test_a_text_has_its_maps_in_order() -> None:
    values: dict[str, Value] = {"m": MAP}
    template = COMPILER.template("all ${{ [x.m] }}, built ${{ {'z': 1, 'a': x.m.inside} }}")
    text = template.render(lambda read: values[read.port])
    assert text == f'all {json.dumps([MAP])}, built {{"a": {{"y": 1, "b": 2, "x": 3}}, "z": 1}}'


def test_a_list_of_numbers_becomes_doubles_and_the_map_around_it_stays() -> None:
    compiler = Compiler(lambda read: parse_type("map[number]"), value=False)
    found = compiler.template("${{ [x.m] }}").render(lambda read: {"z": 1, "a": 2.5})
    assert repr(found) == repr([{"z": 1.0, "a": 2.5}])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x.m.map(k, k)", list(MAP)),
        ("x.m.filter(k, k != 'name')", ["zip", "age", "inside", "rows"]),
        ("x.m.inside.map(k, k + string(x.m.inside[k]))", ["y1", "b2", "x3"]),
        ("x.m.rows.map(r, r.map(k, r[k]))", [[1, 2], [3, 4]]),
        ("[x.m].map(m, m.inside.filter(k, k < 'z').map(k, [k]))", [[["y"], ["b"], ["x"]]]),
        ("x.m.inside.filter(k, k in x.m.inside.map(j, j))", ["y", "b", "x"]),
        ("{'z': 1, 'a': 2}.map(k, k)", ["a", "z"]),
        ("x.m.rows.map(r, {'z': r, 'm': 1, 'a': 1}).map(m, m.map(k, k))", [["a", "m", "z"]] * 2),
        ("x.m.rows.map(r, {'z' + string(r.q): 1, 'a': 2, 'A': 3}).map(m, m.map(k, k))",
         [["A", "a", "z1"], ["A", "a", "z3"]]),
        ("{3: 'a', 11: 'b', 2: 'c', -1: 'd'}.map(k, k)", [-1, 2, 3, 11]),
        ("{true: 1, false: 2}.map(k, k)", [False, True]),
        ("x.m.rows.map(r, {r.q: 1, 2: r}).map(m, m.filter(k, k > 0))", [[1, 2], [2, 3]]),
        ("x.m.rows.map(r, r.q) + [1, 2].map(i, i)", [1, 3, 1, 2]),
        ("(x.m.zip > 0 ? x.m.inside : {}).map(k, k)", ["y", "b", "x"]),
        ("x.m.rows.map(r, r)[0].map(k, k)", ["q", "a"]),
    ],
)  # fmt: skip
def test_macros_go_through_a_map_in_its_order(text: str, found: Value) -> None:
    assert render(text, m=MAP) == repr(found)


def test_macros_go_through_a_large_map_in_its_order() -> None:
    large: dict[str, Value] = {f"k{i * 7919 % 1000}": i for i in range(1000)}
    for text in ("x.m.map(k, k)", "x.m.filter(k, true)", "[x.m].map(m, m.map(k, k))[0]"):
        assert render(text, m=large) == repr(list(large)), text
    for text in ("x.m.inner.map(k, k)", "x.m.list[0].map(k, k)", "x.m.list.map(m, m.filter(k, true))[0]"):
        assert render(text, m={"inner": large, "list": [large]}) == repr(list(large)), text
    built = render("x.m.map(k, {k: 1, 'a': 2}).map(m, m.map(k, k))", m=list(large)[:300])
    assert built == repr([sorted({key, "a"}) for key in list(large)[:300]])


def test_macros_go_through_maps_of_very_many_shapes_in_one_order() -> None:
    rng, columns = random.Random(7), [f"c{n}" for n in range(9)]
    rows: list[Value] = [dict.fromkeys(rng.sample(columns, rng.randint(1, 9))) for _ in range(400)]
    first: dict[frozenset[str], list[str]] = {}
    for row in rows:
        assert isinstance(row, dict)
        first.setdefault(frozenset(row), list(row))  # nothing tells maps with the same keys apart here
    for some in (rows[:100], rows):
        expected = [first[frozenset(row)] for row in some]  # type: ignore[arg-type]
        assert render("x.l.map(r, r.map(k, k))", l=some) == repr(expected)


def test_one_map_is_gone_through_in_its_own_order_though_another_has_the_same_keys() -> None:
    one, other = {"z": 1, "a": 2}, {"a": 3, "z": 4}
    assert render("[x.l.map(k, k), x.r.map(k, k)]", l=one, r=other) == repr([["z", "a"], ["a", "z"]])


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("x.filter(r, r.a > 1)", []),
        ("'{' + \"{\"", []),
        ("{}", [set()]),
        ("{'a': {'b': 1, \"c\": [1, {'d': x}]}}", [{"a"}, {"b", "c"}, {"d"}]),
        ("x == {'a': 1, } ? {'b': f({'c': 1}, 2), 'd': 3} : 1", [{"a"}, {"b", "d"}, {"c"}]),
        ("{x: 1}", None), ("{'a' + 'b': 1}", None), ("{'a\\n': 1}", None), ("{r'a': 1}", None),
        ("{1: 2}", None),
        ("{'a': 1, x: 2}", None), ("google.protobuf.Struct{fields: {'a': x}}", None), ("{'a': {x: 1}}", None),
    ],
)  # fmt: skip
def test_the_maps_that_an_expression_builds_are_told_from_its_text(
    text: str, built: list[set[str]] | None
) -> None:
    assert built_maps(text) == (None if built is None else frozenset(map(frozenset, built)))


@given(values=st.lists(_values, max_size=3), seed=st.integers(0, 1000))
def test_whatever_passes_through_comes_out_as_it_went_in(values: list[Value], seed: int) -> None:
    rng = random.Random(seed)
    for built in (NONE, None, frozenset([frozenset(["a", "b"]), frozenset(["zip", "name"])])):
        found = Orders(values, built).restore(shuffled(values, rng))
        assert repr(found) == repr(values)
    for value in values:
        if isinstance(value, list):
            kept = [item for item in value if rng.random() < 0.5]
            orders = Orders([value], NONE)
            found = orders.restore(shuffled(kept, rng))
            if not orders.ambiguous:
                assert repr(found) == repr(kept)
            assert found == kept


@given(value=_values, seed=st.integers(0, 1000))
def test_what_is_built_is_sorted_whatever_order_it_comes_in(value: Value, seed: int) -> None:
    found = Orders([], None).restore(shuffled(value, random.Random(seed)))
    assert json.dumps(found) == json.dumps(value, sort_keys=True)


def shuffled(value: Value, rng: random.Random) -> Value:
    """`value` as CEL gives it: with the keys of its maps in any order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(list(value), len(value))}
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.parametrize("macro", ["filter(r, r.age >= 0)", "filter(r, r.age >= 0 && r != {'a': r})"])
def test_the_order_of_a_large_table_costs_less_than_what_is_done_with_it(
    macro: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Value] = [
        {"zip": i, "name": f"n{i}", "age": i % 90, "in": {"z": 1, "a": [1, 2]}, "none": None, "x": 0.5}
        for i in range(8_000)
    ]
    spent: list[float] = []
    restore = Orders.restore

    def timed(self: Orders, value: Value) -> Value:
        began = time.process_time()
        found = restore(self, value)
        spent.append(time.process_time() - began)
        return found

    monkeypatch.setattr(Orders, "restore", timed)
    shares = []
    for _ in range(3):
        began = time.process_time()
        assert render(f"x.l.{macro}", l=rows) == repr(rows)
        shares.append(spent[-1] / (time.process_time() - began - spent[-1]))
    assert min(shares) < 1, shares
