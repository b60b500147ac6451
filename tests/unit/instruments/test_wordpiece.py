"""The tokenizer, over a vocabulary of its own. The real one: tests/e2e/test_minilm.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.kit.instruments.wordpiece import CHARACTERS_MAX, TOKENS_MAX, WordPiece, words

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##want",
    "##ed",
    "run",
    "##ning",
    ",",
    "low",
    "##est",
    "é",
]
TOKENIZER = WordPiece(VOCABULARY)


def tokens(text: str, tokens_max: int = 256) -> list[str]:
    windows = TOKENIZER.windows(text, tokens_max=tokens_max)
    return [VOCABULARY[number] for window in windows for number in window[1:-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n", []),
        ("unwanted", ["un", "##want", "##ed"]),
        ("UNwantéd,Running", ["un", "##want", "##ed", ",", "run", "##ning"]),
        ("unwantedx", ["[UNK]"]),
        ("un want", ["un", "[UNK]"]),
        ("low\u200best", ["low", "##est"]),
        ("low\u3000low", ["low", "low"]),
        ("[CLS]", ["[UNK]", "[UNK]", "[UNK]"]),
        ("low" * 34, ["[UNK]"]),
    ],
)
def test_text_becomes_the_longest_known_pieces(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b=c[1]", ["a", "_", "b", "=", "c", "[", "1", "]"]),
        ("Ünïcödé — naïve", ["unicode", "—", "naive"]),
        ("你好 world", ["你", "好", "world"]),
        ("ΣΊΣΥΦΟΣ", ["σισυφοσ"]),
        ("İstanbul Straße", ["istanbul", "straße"]),
        ("a\x00b\x7fc\ufffdd\u200d", ["abcd"]),
        ("a\u0301\u0301b", ["ab"]),
        ("co-op…end", ["co", "-", "op", "…", "end"]),
        ("🙂🙂", ["🙂🙂"]),
        ("한", ["\u1112\u1161\u11ab"]),
    ],
)
def test_words_are_normalised_and_split(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


@given(st.text(max_size=60), st.integers(3, TOKENS_MAX))
def test_any_text_is_whole_in_as_few_windows_as_can_hold_it(text: str, tokens_max: int) -> None:
    windows = TOKENIZER.windows(text, tokens_max=tokens_max)
    assert all((window[0], window[-1]) == (2, 3) and len(window) <= tokens_max for window in windows)
    assert max(map(len, windows)) - min(map(len, windows)) <= 1
    [whole] = TOKENIZER.windows(text, tokens_max=TOKENS_MAX)
    assert [number for window in windows for number in window[1:-1]] == whole[1:-1]
    assert len(windows) == max(1, -(-(len(whole) - 2) // (tokens_max - 2)))


def test_the_fast_way_for_ascii_agrees_with_the_general_one() -> None:
    text = "".join(map(chr, range(128))) + " Def f_1(x):\n\treturn x**2 # done"
    assert list(words(text)) == list(words(text + " é"))[:-1]


def test_of_a_very_long_text_only_the_beginning_is_read() -> None:
    read = sum(len(window) - 2 for window in TOKENIZER.windows("run " * 10_000_000, tokens_max=256))
    assert read == CHARACTERS_MAX // len("run ")
    assert tokens(" " * CHARACTERS_MAX + "run") == []


@pytest.mark.parametrize("tokens_max", [-1, 2, 513])
def test_a_length_out_of_range_is_refused(tokens_max: int) -> None:
    with pytest.raises(ValueError, match="3 to 512"):
        TOKENIZER.windows("a", tokens_max=tokens_max)


def test_a_vocabulary_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no \[CLS\]"):
        WordPiece(["a"])


def test_a_vocabulary_file_has_one_token_a_line() -> None:
    assert WordPiece.from_text("\n".join(VOCABULARY) + "\n").windows("low") == [[2, 10, 3]]
    assert WordPiece.from_text("\n".join(VOCABULARY)).windows("é") == WordPiece(VOCABULARY).windows("é")
