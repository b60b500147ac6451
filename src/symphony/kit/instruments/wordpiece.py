"""The WordPiece tokenizer of BERT (uncased), in plain Python. Pure.

Text is cleaned, CJK characters are set apart, accents are stripped, letters are lowered, then
words and punctuation are cut into the longest pieces that the vocabulary knows.

Sources: J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", 2019; Y. Wu et al., "Google's Neural Machine Translation System", 2016, section
4.1 (wordpieces); M. Schuster and K. Nakajima, "Japanese and Korean Voice Search", 2012.

Unlike other implementations, `[CLS]` and its like are ordinary text here: what is embedded
comes from strangers and must not be able to speak to the model out of band.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

TOKENS_MAX = 512
"""Positions that the model knows."""

CHARACTERS_MAX = 65_536
"""Only this much of a text is looked at: some 20,000 tokens."""

WORD_CHARACTERS_MAX = 100
"""Longer words are unknown, as in the original."""

_ASCII_REMOVED = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Turns text into token ids. Safe to share between threads."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary`: the token of each id. Raises ValueError if a special token is missing."""
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        try:
            self._start, self._end, self._unknown = (self._ids[t] for t in ("[CLS]", "[SEP]", "[UNK]"))
        except KeyError as error:
            raise ValueError(f"the vocabulary has no {error.args[0]}") from None
        self._longest = max(map(len, vocabulary))
        self._cut = lru_cache(maxsize=65_536)(self._pieces)

    @classmethod
    def from_text(cls, text: str) -> "WordPiece":
        """From a vocabulary file: one token a line, ids count from 0."""
        return cls(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"))

    def windows(self, text: str, *, tokens_max: int = 256) -> list[list[int]]:
        """Ids of `text` in windows of at most `tokens_max` (3..512), each between start and end marks.

        There are as few windows as can hold the text (at least one), and they are about equally long.
        Raises ValueError if `tokens_max` is out of range.
        """
        if not 3 <= tokens_max <= TOKENS_MAX:
            raise ValueError(f"tokens_max must be from 3 to {TOKENS_MAX}, not {tokens_max}")
        ids = [number for word in words(text[:CHARACTERS_MAX]) for number in self._cut(word)]
        count = max(1, -(-len(ids) // (tokens_max - 2)))
        edges = [len(ids) * at // count for at in range(count + 1)]
        return [[self._start, *ids[low:high], self._end] for low, high in pairwise(edges)]

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Greedy longest match from the left; a word with any unknown rest is unknown as a whole."""
        if len(word) > WORD_CHARACTERS_MAX:
            return (self._unknown,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            end = min(len(word), start + self._longest)
            prefix = "##" if start else ""
            while end > start and (number := self._ids.get(prefix + word[start:end])) is None:
                end -= 1
            if number is None:
                return (self._unknown,)
            pieces.append(number)
            start = end
        return tuple(pieces)


def words(text: str) -> Iterator[str]:
    """Normalised words and single punctuation marks of `text`, in order."""
    if text.isascii():
        for match in _ASCII_WORDS.finditer(text.translate(_ASCII_REMOVED).lower()):
            yield match[0]
        return
    spaced = "".join(map(_spaced, text))
    plain = "".join(map(_lowered, unicodedata.normalize("NFD", spaced)))
    for chunk in plain.split(" "):
        yield from _split_punctuation(chunk)


def _split_punctuation(chunk: str) -> Iterator[str]:
    start = 0
    for position, character in enumerate(chunk):
        if _is_punctuation(character):
            if start < position:
                yield chunk[start:position]
            yield character
            start = position + 1
    if start < len(chunk):
        yield chunk[start:]


@lru_cache(maxsize=16_384)
def _spaced(character: str) -> str:
    """Nothing for controls, a blank for any whitespace, CJK characters between blanks."""
    if character in "\t\n\r":
        return " "
    if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co"):
        return ""
    if character.isspace():
        return " "
    code = ord(character)
    return f" {character} " if any(first <= code <= last for first, last in _CJK) else character


@lru_cache(maxsize=16_384)
def _lowered(character: str) -> str:
    """Return the lower-case form of one decomposed character; nothing for a mark."""
    return "" if unicodedata.category(character) == "Mn" else sys.intern(character.lower())


@lru_cache(maxsize=16_384)
def _is_punctuation(character: str) -> bool:
    """Unicode punctuation, and every ASCII character that is not a letter, digit or blank."""
    if character.isascii():
        return not character.isalnum() and not character.isspace()
    return unicodedata.category(character).startswith("P")
