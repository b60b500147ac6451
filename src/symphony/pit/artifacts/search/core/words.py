"""Texts as the index takes them, so that every script has words. Pure.

The tokenizer of the index makes a word of every run of letters and digits. That suits scripts that put
spaces between words. Chinese, Japanese, Thai and the like do not, so each of their characters becomes a
word of its own here; several in a row are then found as a phrase. Emoji are no letters: they become
words of hexadecimal digits, and are shown as what they were.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from symphony.ports.search import Snippet

_SPACE: Final = "\u200b"
"""Zero-width space: it parts words and shows nothing."""
_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_PICTURES: Final = "\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_APART: Final = re.compile(f"[{_DENSE}{_PICTURES}]")
_PICTURE: Final = re.compile(f"[{_PICTURES}]")
_PIECE: Final = re.compile(f"(?:\\A|{_SPACE})U([0-9A-F]{{4,5}})(?:{_SPACE}|\\Z)|(\\s+)|.", re.DOTALL)
_DOTTED: Final = str.maketrans({"\u0130": "I"})


def prepared(text: str) -> str:
    """Return `text` as the tokenizer must see it. Most texts stay as they are.

    Lone surrogates, which no UTF-8 can hold, become question marks.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).translate(_DOTTED).replace(_SPACE, " ")
    text = text.encode("utf-8", "replace").decode()
    return _APART.sub(_apart, text)


def term(text: str) -> str:
    """Return `text` as a field that is not split into words holds it: without regard to case."""
    return unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode().casefold()


def shown(fragment: str, marks: Iterable[tuple[int, int]] = ()) -> Snippet:
    """Return part of a prepared text for people, blanks as one.

    `marks` are moved along, and joined where they touch. O(length): meant for a line or two.
    """
    pieces, places, length = list[str](), list[int](), 0
    for found in _PIECE.finditer(fragment):
        picture = found[1] is not None
        one = (
            chr(int(found[1], 16)) if picture else " " if found[2] else "" if found[0] == _SPACE else found[0]
        )
        pieces.append(one)
        begun = found.start(1) - found.start() if picture else 1  # of a picture, what is before its digits
        places += [length] * begun + [length + len(one) if picture else length] * (len(found[0]) - begun)
        length += len(one)
    places.append(length)
    return Snippet("".join(pieces), _joined(sorted((places[start], places[stop]) for start, stop in marks)))


def _apart(found: re.Match[str]) -> str:
    one = found[0]
    return f"{_SPACE}U{ord(one):04X}{_SPACE}" if _PICTURE.match(one) else f"{_SPACE}{one}{_SPACE}"


def _joined(marks: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found = list[tuple[int, int]]()
    for start, stop in marks:
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        elif start < stop:
            found.append((start, stop))
    return tuple(found)
