"""What programs write for a terminal, as readers see it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.terminal_text import visible


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("\x1b[1;31merror\x1b[0m: bad", "error: bad"),
        ("\x1b[38:5:208m\x1b[Kgcc\x1b[m\x1b[K", "gcc"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b(B\x1b[mtput", "tput"),
        ("\x1b[?25l\x1b[2Kspinner\x1b[?25h", "spinner"),
        ("\x1b7saved\x1b8", "saved"),
    ],
)
def test_escape_sequences_are_not_seen(written: str, seen: str) -> None:
    assert visible(written) == seen


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("10%\r50%\r100%", "100%"),
        ("10%\r50%\r", "50%"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("one\r\r\ntwo", "one\ntwo"),
        ("\rfirst\n\rsecond", "first\nsecond"),
        ("N\x08NA\x08AM\x08ME\x08E", "NAME"),
        ("/\x08-\x08|\x08", ""),
    ],
)
def test_a_line_is_seen_as_it_was_last_drawn(written: str, seen: str) -> None:
    assert visible(written) == seen


def test_what_only_begins_like_a_sequence_stays() -> None:
    assert visible("\x1b[12") == "\x1b[12"
    assert visible("bell\x07 and\ttab") == "bell\x07 and\ttab"


@given(st.text(alphabet="ab\n[m;0\x1b\r\x08\x07", max_size=60))
def test_what_is_seen_has_the_lines_that_were_written_and_no_carriage_return(text: str) -> None:
    seen = visible(text)
    assert "\r" not in seen
    assert seen.count("\n") <= text.count("\n")


@given(st.text(alphabet="ab\n\x08", max_size=40))
def test_every_backspace_removes_the_character_that_is_left_of_it_by_then(text: str) -> None:
    expected = text
    while (shorter := re.sub(r"[^\x08\n]\x08", "", expected, count=1)) != expected:
        expected = shorter
    assert visible(text) == expected


def test_very_many_backspaces_take_time_by_the_length_of_the_text() -> None:
    assert visible("x" * 500_000 + "\x08" * 499_999) == "x"
