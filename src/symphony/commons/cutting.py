"""Shortens texts for people to read, with a mark where something is missing.

Code that later takes secrets out of a text finds by the mark where one may have been cut in two.
"""

from typing import Final

CUT: Final = "…"


def beginning(text: str, length: int) -> str:
    """Return at most `length` characters of `text`, and a mark if there are more."""
    return text if len(text) <= length else text[:length] + CUT


def ending(text: str, length: int) -> str:
    """Return the last `length` characters of `text`, behind a mark if there are more."""
    return text if len(text) <= length else CUT + text[-length:]
