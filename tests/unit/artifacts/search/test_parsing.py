"""What queries mean, and what is said of those that mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.search.core.parsing import CHARS_MAX, PARTS_MAX, parse
from symphony.pit.artifacts.search.core.syntax import (
    Between,
    Boosted,
    Either,
    Every,
    Everything,
    Known,
    Query,
    TextMatch,
    Without,
)
from symphony.ports.search import QueryInvalid

NOW_S = 1_800_000_000.0


def read(text: str) -> Query:
    return parse(text, now_s=NOW_S)


def word(text: str, at: int = 1, field: str = "") -> TextMatch:
    return TextMatch(text, field=field, at=at)


MEANINGS: list[tuple[str, Query]] = [
    ("", Everything()),
    ("  ", Everything()),
    ("*", Everything()),
    ("near", word("near")),
    ("near duplicate", Every((word("near"), word("duplicate", 6)))),
    ("near AND duplicate", Every((word("near"), word("duplicate", 10)))),
    ("a && b || c", Either((Every((word("a"), word("b", 6))), word("c", 11)))),
    ("a OR b c", Either((word("a"), Every((word("b", 6), word("c", 8)))))),
    ("(a OR b) c", Every((Either((word("a", 2), word("b", 7))), word("c", 10)))),
    ("a -b", Every((word("a"), Without(word("b", 4))))),
    ("a !b", Every((word("a"), Without(word("b", 4))))),
    ("NOT a", Without(word("a", 5))),
    ("NOT(a)", Without(word("a", 5))),
    ("+a", word("a", 2)),
    ('"near duplicate"', TextMatch("near duplicate", "phrase")),
    ('"a \\"b\\" \\\\"', TextMatch('a "b" \\', "phrase")),
    ('"near dup"*', TextMatch("near dup", "phrase", open=True)),
    ('"a b"~3', TextMatch("a b", "phrase", slack=3)),
    ("dupl*", TextMatch("dupl", "prefix")),
    ("te?t", TextMatch("te\0?t", "wildcard")),
    ("*ing", TextMatch("\0*ing", "wildcard")),
    ("roam~", TextMatch("roam", "fuzzy", slack=1)),
    ("roam~2", TextMatch("roam", "fuzzy", slack=2)),
    ("/joh?n(ath[oa]n)/", TextMatch("joh?n(ath[oa]n)", "regex")),
    ("apple^2.5", Boosted(word("apple"), 2.5)),
    ("(a b)^2", Boosted(Every((word("a", 2), word("b", 4))), 2.0)),
    ("type:text/markdown", word("text/markdown", 6, "type")),
    ("type:text/*", TextMatch("text/", "prefix", "type", at=6)),
    ('node:"my node"', TextMatch("my node", "phrase", "node", at=6)),
    ("tags:report", word("report", 6, "tag")),
    ("tag:*", Known("tag", 1)),
    ("name:(draft OR final)", Either((word("draft", 7, "name"), word("final", 16, "name")))),
    ("size:10", Between("size", 10.0, 10.0)),
    ("size:>10MB", Between("size", 1e7, None, low_in=False)),
    ("size:<=1.5MiB", Between("size", None, 1_572_864.0)),
    ("quality:[0.5 TO 1}", Between("quality", 0.5, 1.0, high_in=False)),
    ("quality:[* TO 0.5]", Between("quality", None, 0.5)),
    ("created:>7d", Between("created", NOW_S - 7 * 86_400, None, low_in=False)),
    ("created:2026-01-31T12:00+00:00", Between("created", 1_769_860_800.0, 1_769_860_800.0)),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_a_query_means_what_the_page_says(text: str, meaning: Query) -> None:
    assert read(text) == meaning


@pytest.mark.parametrize(
    "text",
    ["std::vector", "foo(bar)", "12:30", "Note:", "http://example.org/a?b=c", "/usr/bin/python", "what?",
     "\\", "c++", "a-b", "don't", "x[0]", "{a}", "#tag", "@me", "100%", "a~b", "^", "~", "🎉", "שלום",
     "日本語"],
)  # fmt: skip
def test_what_is_neither_operator_nor_field_is_text(text: str) -> None:
    assert read(text) == word(text)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("tgs:x", 1, "there is no field tgs"),
        ("a b:c", 3, "there is no field b"),
        ('a "b', 3, "never closed"),
        ("a (b", 3, "never closed"),
        ("a b)", 4, "closes nothing"),
        ("a AND", 6, "missing"),
        ("OR a", 1, "missing"),
        ("a AND OR b", 7, "missing"),
        ("NOT", 4, "missing"),
        ("()", 2, "missing"),
        ("size:>big", 1, "not a size"),
        ("quality:high", 1, "not a number"),
        ("quality:nan", 1, "not a number"),
        ("created:soon", 1, "neither an age nor a time"),
    ],
)
def test_an_error_names_the_place_and_the_fix(text: str, column: int, said: str) -> None:
    with pytest.raises(QueryInvalid, match=said) as caught:
        read(text)
    assert caught.value.details["column"] == column
    assert caught.value.hint


def test_a_whole_day_or_month_counts() -> None:
    day, month = read("created:2026-01-31"), read("created:2026-01")
    assert isinstance(day, Between)
    assert isinstance(month, Between)
    assert day.low is not None
    assert day.high == month.high == day.low + 86_400
    assert read("created:>2026-01") == Between("created", month.high, None)
    assert read("created:<=2026-01-31") == Between("created", None, day.high, high_in=False)
    assert read("created:2026-12") == Between(
        "created", read_low("created:2026-12-01"), read_low("created:2027-01-01"), high_in=False
    )


def read_low(text: str) -> float | None:
    found = read(text)
    assert isinstance(found, Between)
    return found.low


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60 + "a" + ")" * 60,
        "-(" * 60 + "a" + ")" * 60,
        "NOT " * 200 + "a",
        "a " * (PARTS_MAX + 1),
        "x" * (CHARS_MAX + 1),
    ],
    ids=["parentheses", "signs", "nots", "parts", "characters"],
)
def test_a_query_that_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid):
        read(text)


def test_a_query_of_ten_kilobytes_is_read() -> None:
    assert isinstance(read("word " * 900), Every)
    assert read("x" * 10_000) == word("x" * 10_000)


@given(
    st.text(alphabet=st.sampled_from('ab "()\\:*?~^/-+![]{}<>=0159.TOANDR') | st.characters(), max_size=40)
)
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        read(text)
    except QueryInvalid as error:
        column = error.details["column"]
        assert isinstance(column, int)
        assert 1 <= column <= len(text) + 1
        assert error.hint


@given(st.text(max_size=30))
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert read(quoted) == TextMatch(text, "phrase")
