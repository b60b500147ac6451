"""Texts as the index takes them, and as people see them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.search.core.words import (
    IDENTIFIERS_MAX,
    apart,
    identifiers,
    prepared,
    shown,
    term,
)
from symphony.pit.artifacts.search.schema import analyzer


def words(text: str) -> list[str]:
    return list(analyzer().analyze(prepared(text)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, wörld! Café", ["hello", "world", "cafe"]),
        ("e\u0301clair", ["eclair"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("İstanbul ISTANBUL", ["istanbul", "istanbul"]),
        ("from_dict x2 3.14", ["from", "dict", "x2", "3", "14"]),
        ("日本語 text", ["日", "本", "語", "text"]),
        ("ｆｕｌｌ ﬁne", ["full", "fine"]),
        ("🎉 x 👨\u200d👩", ["u1f389", "x", "u1f468", "u1f469"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("x" * 129, []),
        ("\ud800 lone", ["lone"]),
        ("", []),
    ],
)
def test_every_script_has_words(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text())
def test_a_prepared_text_is_utf_8_and_is_prepared_once(text: str) -> None:
    once = prepared(text)
    once.encode()
    assert analyzer().analyze(once) is not None


@given(st.text(alphabet=st.sampled_from("ab 日本🎉🎈é\n"), max_size=40), st.data())
def test_what_is_shown_is_the_text_with_its_marks(text: str, data: st.DataObject) -> None:
    whole = prepared(text)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    found = shown(whole, [(start, stop)])
    assert found.text.split() == text.split() if text.strip() else not found.text.strip()
    assert all(0 <= one < two <= len(found.text) for one, two in found.marks)


def test_marks_move_with_what_is_shown_and_join_where_they_touch() -> None:
    whole = prepared("a  日本 🎉!")
    places = [(whole.index("日"), whole.index("日") + 1), (whole.index("本"), whole.index("本") + 1)]
    picture = whole.index("U1F389")
    found = shown(whole, [*places, (picture, picture + 6)])
    assert found.text == "a 日本 🎉!"
    assert [found.text[start:stop] for start, stop in found.marks] == ["日本", "🎉"]
    assert shown(whole[: picture + 6], [(picture, picture + 6)]).text == "a 日本 🎉"


def test_a_label_is_found_whatever_its_case() -> None:
    assert term("Text/MARKDOWN") == term("text/markdown")
    assert term("e\u0301") == term("É")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("parseHttpRequest", {"parseHttpRequest": "parse Http Request"}),
        ("XMLHttpRequest2 of utf8Decoder", {
            "XMLHttpRequest2": "XML Http Request2", "utf8Decoder": "utf8 Decoder",
        }),
        ("HTTPServer", {"HTTPServer": "HTTP Server"}),
        ("snake_case CONSTANT Word words, a1b2", {}),
        ("self.maxRetries/onClick", {"maxRetries": "max Retries", "onClick": "on Click"}),
        ("aB" * 200, {}),
        ("", {}),
    ],
)  # fmt: skip
def test_identifiers_are_taken_apart_at_their_capitals(text: str, found: dict[str, str]) -> None:
    assert identifiers(text) == found


@given(text=st.text(st.sampled_from("aBcD9 _.é\u4e00"), max_size=60))
def test_identifiers_taken_apart_have_the_same_letters(text: str) -> None:
    for whole, parts in identifiers(text).items():
        assert parts.replace(" ", "") == whole
        assert whole in text
    assert apart(text).replace(" ", "") == text.replace(" ", "")


def test_the_identifiers_of_a_text_are_bounded_and_found_in_linear_time() -> None:
    assert len(identifiers(" ".join(f"a{number}Bc" for number in range(6_000)))) == IDENTIFIERS_MAX
    assert identifiers("aB" * (1 << 19)) == {}
