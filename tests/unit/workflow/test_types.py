"""Port types: spelled, fitted, checked against values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.quantities import duration_s
from symphony.ports.values import ArtifactRef, Digest, StoredValue
from symphony.workflow.model import Workflow
from symphony.workflow.types import ANY, SCALARS, PortType, fits, list_of, mismatch, parse_type

ENUM = PortType("enum", choices=("a", "b"))
types = st.recursive(
    st.sampled_from([*map(PortType, SCALARS), ENUM]),
    lambda inner: st.builds(PortType, st.sampled_from(["list", "map"]), inner),
    max_leaves=4,
).flatmap(lambda kind: st.sampled_from([kind, PortType(kind.kind, kind.item, kind.choices, optional=True)]))


@given(types)
def test_a_type_is_read_as_it_is_written(kind: PortType) -> None:
    assert parse_type(str(kind)) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "strin",
        "list",
        "list[]",
        "list[string",
        "map[int]",
        "string??x",
        "list[list[x]]",
        "enum[]",
        "String",
    ],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a type"):
        parse_type(text)


def test_a_type_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="nested"):
        parse_type("list[" * 500 + "any" + "]" * 500)
    with pytest.raises(ValueError, match="nested"):
        parse_type("any" + "?" * 500)


FITS = {
    True: [
        ("integer", "number"), ("path", "string"), ("string", "path"), ("any", "list[string]"),
        ("bytes", "any"),
        ("list[any]", "list[string]"), ("list[integer]", "list[number]"), ("embedding", "list[number]"),
        ("list[number]", "embedding"), ("string", "string?"), ("enum[a]", "enum[a, b]"),
        ("enum[a]", "string"),
        ("map[integer]", "map[any]"), ("json", "integer"), ("string", "artifact"),
    ],
    False: [
        ("number", "integer"), ("string?", "string"), ("list[string]", "list[integer]"),
        ("string", "list[string]"),
        ("map[string]", "list[string]"), ("boolean", "integer"), ("enum[a, c]", "enum[a, b]"),
        ("integer", "string"),
        ("list[string]", "embedding"), ("integer", "artifact"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("ok", "source", "target"), [(ok, *pair) for ok, pairs in FITS.items() for pair in pairs]
)
def test_types_fit_as_the_format_says(ok: bool, source: str, target: str) -> None:
    assert fits(parse_type(source), parse_type(target)) is ok


@given(types)
def test_every_type_fits_any_and_any_fits_every_type(kind: PortType) -> None:
    assert fits(kind, ANY)
    assert fits(ANY, kind)


REF = ArtifactRef(digest=Digest("0" * 64), size=5, encoding="text")
VALUES: list[tuple[StoredValue, str, str | None]] = [
    (None, "string?", None), (None, "any", None), (None, "string", "null is not a string"),
    (True, "integer", "a boolean is not an integer"), (1, "number", None),
    (1.0, "integer", "a number is not an integer"),
    (2**63, "any", "an integer beyond 64 bits"), (float("nan"), "number", "a number that is not finite"),
    ([1, "x"], "list[integer]", "element 1: text"), ({"k": 1}, "map[string]", "key 'k': an integer"),
    ("c", "enum[a, b]", "'c' is not one of a, b"), ([1, 0.5], "embedding", None),
    ("x", "embedding", "not an embedding"),
    (b"x", "bytes", None), (b"x", "json", "bytes is not a json"), (REF, "string", None),
    (REF, "integer", "stored text"),
    (REF, "artifact", None), ({"x": 1}, "json", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "why"), VALUES)
def test_values_are_checked_against_types(value: StoredValue, kind: str, why: str | None) -> None:
    found = mismatch(value, parse_type(kind))
    if why is None:
        assert found is None
    else:
        assert found is not None
        assert why.replace("text", "a string" if "element" in why else "text") in found


def test_types_are_shown_as_they_are_written() -> None:
    assert str(list_of(PortType("map", PortType("integer"), optional=True))) == "list[map[integer]?]"
    assert str(ENUM) == "enum[a, b]"


@pytest.mark.parametrize(
    ("text", "seconds"), [("200ms", 0.2), ("0s", 0.0), ("5m", 300.0), ("2h", 7200.0), ("1d", 86_400.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1.5s", "5 s", "٣s", "9" * 13 + "s", "9" * 500 + "d", "5s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Repository report", "repository-report"),
        ("  Ünï -- 2! ", "ünï-2"),
        ("Wörk Flow", "wörk-flow"),
        ("Wo\u0308rk", "wörk"),
        ("GRÖSSE ﬁ №2", "grösse-fi-no2"),
        ("日本語 レポート", "日本語-レポート"),
        ("हिन्दी", "हिन्दी"),
        ("\u0301 x", "x"),
        ("✓", "workflow"),
    ],
)
def test_a_slug_is_derived_from_the_name(name: str, slug: str) -> None:
    assert Workflow(name=name).slug == slug
