"""Compiled checks of port types say what `mismatch` says."""

from hypothesis import example, given
from hypothesis import strategies as st

from symphony.ports.values import ArtifactRef, Digest, StoredValue
from symphony.workflow.checks import check_of, plain_of
from symphony.workflow.types import SCALARS, PortType, mismatch, parse_type

SCALAR_TYPES = st.builds(PortType, st.sampled_from(SCALARS), optional=st.booleans())
ENUMS = st.builds(
    PortType,
    st.just("enum"),
    choices=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True).map(tuple),
    optional=st.booleans(),
)
TYPES = st.recursive(
    SCALAR_TYPES | ENUMS,
    lambda inner: (
        st.builds(PortType, st.sampled_from(["list", "map"]), inner, optional=st.booleans())
        | st.builds(PortType, st.just("map"), inner, st.sampled_from([("x",), ("x", "y")]))
    ),
    max_leaves=3,
)
INTEGERS = st.integers(-3, 3) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400])
FLOATS = st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf"), 1e300])
REFS = st.builds(
    ArtifactRef,
    digest=st.just(Digest("0" * 64)),
    size=st.just(5),
    encoding=st.sampled_from(["text", "bytes", "msgpack"]),
)
LEAVES = (
    st.none() | st.booleans() | INTEGERS | FLOATS | st.sampled_from(["", "a", "d"]) | st.binary(max_size=1)
)
VALUES: st.SearchStrategy[StoredValue] = REFS | st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@given(TYPES, VALUES)
@example(parse_type("list[integer]"), [1, 2**63])
@example(parse_type("list[integer]"), [1, True])
@example(parse_type("list[integer?]"), [1, None])
@example(parse_type("list[number]"), [1, 0.5])
@example(parse_type("list[number]"), [1.0, float("nan")])
@example(parse_type("list[any]"), [2**63])
@example(parse_type("map[any]"), {"x": 2**63})
@example(parse_type("embedding"), [10**400, 0.5])
@example(parse_type("enum[a, b]"), ["a"])
def test_a_check_gives_the_verdict_and_the_words_of_mismatch(kind: PortType, value: StoredValue) -> None:
    assert check_of(kind)(value) == mismatch(value, kind)


@given(TYPES, st.lists(VALUES, max_size=3))
def test_a_check_is_the_same_for_values_nested_in_lists_of_its_type(
    kind: PortType, values: list[StoredValue]
) -> None:
    check, whole = check_of(kind), PortType("list", kind)
    plain = [value for value in values if not isinstance(value, ArtifactRef)]
    agrees = kind.kind == "any" or not any(map(check, plain))
    assert (check_of(whole)(plain) is None) is agrees


@given(TYPES, VALUES)
@example(parse_type("number"), 1)
@example(parse_type("any"), 2**63)
@example(parse_type("string?"), None)
def test_what_fits_as_it_is_fits_and_is_neither_held_apart_nor_made_a_double(
    kind: PortType, value: StoredValue
) -> None:
    if plain_of(kind)(value):
        assert mismatch(value, kind) is None
        assert not isinstance(value, list | dict | ArtifactRef)
        assert kind.kind != "number" or type(value) is not int
    elif type(value) in (str, bool, float) and kind.kind in ("string", "any", "boolean", "number"):
        assert mismatch(value, kind) is not None
