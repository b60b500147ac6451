"""Texts as the index takes them, and as people see them again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.search.core.words import prepared, shown, term
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
