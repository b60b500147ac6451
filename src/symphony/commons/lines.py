"""Splits text into lines by the rule that all of Symphony follows. Pure.

Only a line feed, a carriage return, and both together end a line, as editors, compilers and other
programs count. `str.splitlines` has more ends, such as form feeds, U+0085 and U+2028.
"""

import re
from itertools import accumulate
from typing import Final

_END: Final = re.compile(r"\r\n|\r|\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of `text` without their ends. What follows the last end is a line unless it is empty.

    >>> lines_of("a\\r\\nb\\x0cc\\n")
    ['a', 'b\\x0cc']
    """
    found = unified(text).split("\n")
    if not found[-1]:
        found.pop()
    return found


def unified(text: str) -> str:
    """Return `text` with a line feed at the end of every line that has an end."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def line_starts(text: str) -> list[int]:
    """Return where each line of `text` begins."""
    if "\r" in text:
        return [0, *(found.end() for found in _END.finditer(text))]
    return [*accumulate((len(line) + 1 for line in text.split("\n")[:-1]), initial=0)]


def line_number(text: str | bytes, at: int) -> int:
    """Return the line, from 1, in which the character or byte `at` stands."""
    if isinstance(text, bytes):  # the same number of characters, and the same line ends
        text = text[: at + 1].decode("latin-1")
    feeds, returns = text.count("\n", 0, at), text.count("\r", 0, at)
    both = text.count("\r\n", 0, at) + (text[at - 1 : at + 1] == "\r\n" if at else 0)
    return feeds + returns - both + 1


def column_number(text: str, at: int) -> int:
    """Return the column, from 1, at which the character `at` stands in its line."""
    return at - max(text.rfind("\n", 0, at), text.rfind("\r", 0, at))
