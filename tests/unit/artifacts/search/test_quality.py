"""How good an artifact is, and why."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symphony.pit.artifacts.search.core.quality import WEIGHTS, quality
from symphony.pit.artifacts.search.core.validity import Validity, validity
from symphony.ports.artifacts import Rating

VALID = Validity(1.0, "it parses")


def part(name: str, **known: object) -> float | None:
    found = quality(10, VALID, **{"uses": None, "ratings": (), **known})  # type: ignore[arg-type]
    return next(one.value for one in found.parts if one.name == name)


def test_unknown_parts_are_left_out_and_say_so() -> None:
    found = quality(10, Validity(None, "not checked"), uses=None, ratings=())
    assert {one.name: one.value for one in found.parts} == {
        "validity": None, "completeness": 1.0, "use": None, "rating": None
    }  # fmt: skip
    assert found.score == 1.0
    assert all(one.why for one in found.parts)


def test_without_any_part_that_counts_there_is_no_score() -> None:
    weights = {"validity": 1.0, "completeness": 0.0, "use": 1.0, "rating": 1.0}
    assert quality(10, Validity(None, "?"), uses=None, ratings=(), weights=weights).score is None


def test_the_score_is_the_weighted_mean_of_what_is_known() -> None:
    found = quality(10, Validity(0.5, "half"), uses=1, ratings=[Rating(score=1.0)])
    expected = sum(
        WEIGHTS[name] * value
        for name, value in {"validity": 0.5, "completeness": 1.0, "use": 0.5, "rating": 1.0}.items()
    )
    assert found.score == pytest.approx(expected / sum(WEIGHTS.values()), abs=1e-6)


def test_ratings_count_by_their_mean_and_use_by_its_number() -> None:
    assert part("rating", ratings=[Rating(score=0.2, by="a"), Rating(score=0.6, by="b")]) == 0.4
    assert part("rating", ratings=[Rating(score=None)]) is None
    assert [part("use", uses=uses) for uses in (0, 1, 3)] == [0.0, 0.5, 0.75]


def test_a_run_that_failed_or_an_end_that_is_missing_makes_it_incomplete() -> None:
    assert part("completeness", runs={"r1": False}) == 0.5
    assert part("completeness", runs={"r1": False, "r2": True}) == 1.0
    assert quality(0, Validity(0.0, "empty", True), uses=None, ratings=()).parts[1].value == 0.0


@given(
    st.none() | st.floats(0, 1),
    st.integers(0, 10),
    st.lists(st.floats(0, 1).map(lambda score: Rating(score=score))),
    st.dictionaries(st.sampled_from(sorted(WEIGHTS)), st.floats(0, 10)),
)
def test_a_score_is_from_0_to_1_and_use_never_lowers_it(
    share: float | None, uses: int, ratings: list[Rating], weights: dict[str, float]
) -> None:
    found = [
        quality(1, Validity(share, "x"), uses=more, ratings=ratings, weights=WEIGHTS | weights).score
        for more in (uses, uses + 1)
    ]
    if found[0] is not None and found[1] is not None:
        assert 0 <= found[0] <= found[1] + 1e-6
        assert found[1] <= 1 + 1e-6
    else:
        assert found == [None, None]


BODIES: list[tuple[str, bytes, float | None, bool | None]] = [
    ("application/json", b'{"a": 1}', 1.0, False),
    ("application/json", b'{"a": 1', 0.0, True),
    ("application/json", b"{'a': 1}", 0.0, False),
    ("application/json", b"", 0.0, True),
    ("application/geo+json", b"[]", 1.0, False),
    ("application/x-ndjson", b'{"a": 1}\n{"b"\n', 0.5, False),
    ("application/x-ndjson", b'{"a": 1}\n{"b"', 0.5, True),
    ("application/msgpack", b"\x81\xa1a\x01", 1.0, False),
    ("application/msgpack", b"\x81\xa1a", 0.0, True),
    ("application/xml", b"<a><b/></a>", 1.0, False),
    ("application/xml", b"<a><b>", 0.0, True),
    ("image/svg+xml", b"<svg></svg>", 1.0, False),
    ("application/toml", b"a = 1", 1.0, None),
    ("application/toml", b"a = ", 0.0, None),
    ("application/yaml", b"a: [1, 2]\n", 1.0, None),
    ("application/yaml", b"a: [1, 2\n", 0.0, None),
    ("text/csv", b"a,b\n1,2\n3\n4,5\n", 0.75, None),
    ("text/csv", b"a;b\r\n1;2\r\n", 1.0, None),
    ("text/csv", b'a,b\n"x,2\n', 0.0, True),
    ("text/plain", b"plain", 1.0, None),
    ("text/plain", b"\xff\xfe\x00", 0.0, None),
    ("text/plain; charset=latin-1", b"caf\xe9", 1.0, None),
    ("text/plain; charset=nonsense", b"x", 1.0, None),
    ("text/markdown", b"# A\n```\ncode\n```\n", 1.0, False),
    ("text/markdown", b"# A\n```\ncode\n", 1.0, True),
    ("image/png", b"\x89PNG\r\n\x1a\n....IEND\xaeB`\x82", 1.0, False),
    ("image/png", b"\x89PNG\r\n\x1a\n....", 1.0, True),
    ("image/png", b"<html>", 0.0, None),
    ("application/pdf", b"%PDF-1.7\n%%EOF\n", 1.0, False),
    ("application/octet-stream", b"\0", None, None),
    ("application/x-thing", b"\0", None, None),
    ("image/x-unknown", b"\0", None, None),
]


@pytest.mark.parametrize(("kind", "body", "share", "cut"), BODIES)
def test_a_body_is_valid_if_it_is_what_its_type_says(
    kind: str, body: bytes, share: float | None, cut: bool | None
) -> None:
    found = validity(kind, body, whole=True)
    if found.cut is None or cut is None:
        assert (found.share, bool(found.cut)) == (share, bool(cut))
    else:
        assert (found.share, found.cut) == (share, cut)


@pytest.mark.parametrize("kind", sorted({kind for kind, *_ in BODIES}))
@given(body=st.binary(max_size=200), whole=st.booleans())
@example(body=b"\xa3\x00\x00\x80", whole=True)  # a string of MessagePack that is not UTF-8
def test_no_body_makes_the_check_fail(kind: str, body: bytes, whole: bool) -> None:
    found = validity(kind, body, whole=whole)
    assert found.share is None or 0 <= found.share <= 1
    assert found.why


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[" * 200_000),
        ("application/yaml", b"[" * 200_000),
        ("application/yaml", b"- " * 100_000),
        ("application/yaml", b"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
        ("application/xml", b"<a>" * 200_000),
        ("application/msgpack", b"\x91" * 200_000),
        ("application/toml", b"a = " + b"[" * 50_000),
    ],
)
def test_deep_bodies_are_told_without_harm(kind: str, body: bytes) -> None:
    assert validity(kind, body, whole=True).why
