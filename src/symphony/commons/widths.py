"""The width of texts in columns, for terminals and tables in plain text. Pure."""

from typing import Final

_EMOJI: Final = "\ufe0f"
"""Asks for the wide, coloured form of the character before it."""


def columns(text: str) -> int:
    """Return how many columns `text` takes; wide characters, combining ones and emoji considered.

    Terminals disagree about joined emoji: this is the most that any of them takes.
    """
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    total = last = 0
    for c in text:
        if c == _EMOJI:
            wide = int(last == 1)
        elif c.isascii():
            wide = 1
        elif category(c) in ("Mn", "Me", "Cf"):
            wide = 0
        else:
            wide = 2 if east_asian_width(c) in "WF" else 1
        total, last = total + wide, wide
    return total


def first_columns(text: str, width: int) -> str:
    """Return `text`, or as much of its beginning as takes at most `width` columns with the mark `…`
    behind it.
    """
    if width >= len(text) * 2 or columns(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += 1 if character == _EMOJI else columns(character)
        if used > width:
            break
        kept += character
    return kept + "…"
