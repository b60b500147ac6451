"""Texts as the index takes them, so that every script has words. Pure.

The tokenizer of the index makes a word of every run of letters and digits. That suits scripts that put
spaces between words. Chinese, Japanese, Thai and the like do not, so each of their characters becomes a
word of its own here; several in a row are then found as a phrase. Emoji are no letters: they become
words of hexadecimal digits, and are shown as what they were.
"""

import re
import unicodedata
from bisect import bisect_right
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
_CHANGED: Final = re.compile(
    f"(?:\\A|{_SPACE})U([0-9A-F]{{4,5}})(?:{_SPACE}|\\Z)|(\\s{{2,}}|[^\\S ])|{_SPACE}"
)
_WORD: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]{2,63}(?![A-Za-z0-9])")
_HUMP: Final = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2}[a-z]")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
IDENTIFIERS_MAX: Final = 5_000
"""So many identifiers of one text are found by their words."""
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


def identifiers(text: str) -> dict[str, str]:
    """Return the identifiers in a text that are several words, such as `parseHttpRequest`, each with those.

    Up to `IDENTIFIERS_MAX` of them. The tokenizer makes one word of such an identifier, while it takes those
    with underscores, dots or slashes apart.
    """
    found = dict[str, str]()
    for one in _WORD.finditer(text):
        word = one[0]
        if word not in found and _HUMP.search(word):
            found[word] = apart(word)
            if len(found) >= IDENTIFIERS_MAX:
                break
    return found


def apart(text: str) -> str:
    """Return `text` with blanks between the words of identifiers."""
    return _PART.sub(lambda found: f"{found[0]} ", text).rstrip() if _HUMP.search(text) else text


def term(text: str) -> str:
    """Return `text` as a field that is not split into words holds it: without regard to case."""
    return unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode().casefold()


def shown(fragment: str, marks: Iterable[tuple[int, int]] = ()) -> Snippet:
    """Return part of a prepared text for people, blanks as one.

    `marks` are moved along, and joined where they touch. O(length): meant for a line or two.
    """
    pieces, shifts, at, length = list[str](), [(0, 0)], 0, 0
    for found in _CHANGED.finditer(fragment):
        start, stop = found.span()
        one = chr(int(found[1], 16)) if found[1] else " " if found[2] else ""
        pieces += (fragment[at:start], one)
        length += start - at
        shifts.append((start, length))
        length += len(one)
        shifts.append((stop, length))
        at = stop
    pieces.append(fragment[at:])
    moved = [(_moved(shifts, start, after=False), _moved(shifts, stop, after=True)) for start, stop in marks]
    return Snippet("".join(pieces), _joined(sorted(moved)))


def _moved(shifts: list[tuple[int, int]], at: int, *, after: bool) -> int:
    """Return where a place is now; inside of what was replaced, that is before or `after` that."""
    number = bisect_right(shifts, at, key=lambda shift: shift[0]) - 1
    old, new = shifts[number]
    if number % 2 == 0:  # every second one begins what was replaced
        return new + at - old
    return shifts[number + 1][1] if after and at > old else new


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
