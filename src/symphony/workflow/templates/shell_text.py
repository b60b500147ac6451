"""Puts values into the text of a shell command so that each is one word, whatever it holds. Pure.

A value is written in single quotes, in which the shell reads every character as it stands. That is safe
only where a quoted word may begin. A placeholder is refused wherever the shell would read the quotes
differently: inside quotes of the author's, comments, here-documents, backquotes, `${…}`, `$[…]` and
`$((…))`, after a backslash or a dollar sign; and wherever the shell evaluates the word once more.
Source: POSIX.1-2024, Shell Command Language, 2.2 and 2.3.
"""

import re
from collections.abc import Callable
from typing import Final

from symphony.workflow.templates.placeholders import PLACEHOLDER
from symphony.workflow.templates.shell_words import evaluated

_WORD_ENDS: Final = ";&|()<>"
_SIMPLE: Final = re.compile(r"\$\{(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#@*!-])\}")
_INSTEAD: Final = "hand it over as an input of the node, which arrives as a variable"
_OPENERS: Final = (
    ("`", "after a backquote: write $(…) in place of `…`"),
    ("<<", "after a here-document"),
    ("((", "after ((…))"),
    ("$[", "after $[…]"),
    ("${", "after ${…} with an operator in it"),
    ("$'", "after $'…'"),
    ('$"', 'after $"…"'),
)
"""Signs that change the meaning of quotes, perhaps far behind them. When in doubt, a place counts as
unsafe.
"""


def names_in(text: str) -> list[str]:
    """Return the names of the placeholders in `text`, in order."""
    return [match[1] for match in PLACEHOLDER.finditer(text)]


def filled(command: str, word: Callable[[str], str]) -> str:
    """Return `command` with `quoted(word(name))` in place of each placeholder.

    Raises ValueError, with what is around it, for one in a place where quoting would not hold.
    """
    pieces: list[str] = []
    at = 0
    for match in PLACEHOLDER.finditer(command):
        why = _unsafe(command, match.start())
        if why is None and (what := evaluated(command, match.start())) is not None:
            why = f"{what}, where the shell evaluates it once more; {_INSTEAD}"
        if why is not None:
            raise ValueError(f"{match[0]} stands {why}")
        pieces += (command[at : match.start()], quoted(word(match[1])))
        at = match.end()
    return "".join(pieces) + command[at:]


def quoted(word: str) -> str:
    """Return `word` as one word of a command. Raises ValueError for a null character, which none can hold.

    `${{`, which would begin an expression where commands are checked for them, is cut in two.
    """
    if "\0" in word:
        raise ValueError("a command cannot hold a null character")
    return "'" + word.replace("'", "'\"'\"'").replace("${{", "$''{{") + "'"


def _unsafe(command: str, end: int) -> str | None:
    """Return why a quoted word must not begin at `end`, as half a sentence; None if it may."""
    at, word_begins = 0, True
    while at < end:
        char = command[at]
        if char == "\\":
            if at + 1 == end:
                return "after a backslash"
            word_begins = word_begins and command[at + 1] == "\n"  # a continued line
            at += 2
            continue
        if (match := PLACEHOLDER.match(command, at)) is not None:  # an earlier one: a quoted word
            at, word_begins = match.end(), False
            continue
        if char in "'\"":
            closing = _closing(command, at)
            if closing is None or closing >= end:
                return f"inside {char} quotes: write it outside of them, it is quoted by itself"
            at, word_begins = closing + 1, False
            continue
        if char == "#" and word_begins:
            newline = command.find("\n", at, end)
            if newline < 0:
                return "in a comment"
            at, word_begins = newline, True
            continue
        if (match := _SIMPLE.match(command, at)) is not None:
            at, word_begins = match.end(), False
            continue
        for text, why in _OPENERS:
            if command.startswith(text, at):
                return f"{why}; {_INSTEAD}"
        word_begins = char in _WORD_ENDS or char.isspace()
        at += 1
    if end and command[end - 1] == "$":
        return "after a dollar sign"
    return None


def _closing(command: str, at: int) -> int | None:
    """Return where the quote that opens at `at` closes; None if it does not."""
    quote = command[at]
    if quote == "'":
        found = command.find("'", at + 1)
        return None if found < 0 else found
    at += 1
    while at < len(command):
        if command[at] == "\\":
            at += 2
            continue
        if command[at] == '"':
            return at
        if command[at] == "`" or command.startswith("$(", at):
            return None  # quotes inside have a meaning of their own: the rest is not checked
        at += 1
    return None
