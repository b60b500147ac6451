"""What ends a line."""

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.lines import column_number, line_number, line_starts, lines_of, unified

TEXTS = st.text(alphabet="ab\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", max_size=12)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("a\n\rb", ["a", "", "b"]),
        ("a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g", ["a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"]),
    ],
)
def test_line_feeds_and_carriage_returns_end_lines_and_nothing_else(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


@given(TEXTS)
def test_lines_are_those_of_bytes(text: str) -> None:
    """`bytes.splitlines` knows just these ends."""
    assert lines_of(text) == [line.decode() for line in text.encode().splitlines()]


@given(TEXTS, st.integers(0, 12))
def test_each_way_to_number_lines_gives_the_same(text: str, at: int) -> None:
    at = min(at, len(text))
    line = bisect.bisect_right(line_starts(text), at)
    assert line_number(text, at) == line
    assert line_number(text.encode(), len(text[:at].encode())) == line
    whole = at == len(text) or text[at] not in "\r\n"
    if whole:
        assert column_number(text, at) == at - line_starts(text)[line - 1] + 1
        assert len(unified(text[:at]).split("\n")) == line
