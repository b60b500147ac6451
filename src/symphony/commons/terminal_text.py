"""Turns a program's terminal output into the text that a reader would see. Pure."""

import re
from typing import Final

_SEQUENCE: Final = re.compile(
    r"""\x1b (?:
        \[ [0-?]* [ -/]* [@-~]                      # colours, movements of the cursor
      | [\]PX^_] [^\x07\x1b]* (?: \x07 | \x1b\\ )   # titles, links
      | [ -/]* [0-Z\\^-~]                           # character sets, resets
    )""",
    re.VERBOSE,
)
"""An escape sequence (ECMA-48, section 5.4; the BEL that may end a title is xterm's)."""


def visible(text: str) -> str:
    """Return `text` without escape sequences, each line as it was last drawn; other control characters stay.

    A carriage return draws a line again, as progress bars do. One before a line feed only ends the line.

    >>> visible("10%\\r100%\\r\\n\\x1b[31mred\\x1b[0m")
    '100%\\nred'
    """
    if "\x1b" in text:
        text = _SEQUENCE.sub("", text)
    if "\r" in text:
        text = "\n".join(_last_drawn(line) for line in text.split("\n"))
    return _without_struck(text) if "\x08" in text else text


def _without_struck(text: str) -> str:
    """`text` without the characters that a backspace behind them removes. O(length)."""
    seen: list[str] = []
    first, *others = text.split("\x08")
    seen += first
    for after in others:
        if seen and seen[-1] not in "\x08\n":
            seen.pop()
        else:
            seen.append("\x08")
        seen += after
    return "".join(seen)


def _last_drawn(line: str) -> str:
    drawn = line.rstrip("\r")
    return drawn[drawn.rfind("\r") + 1 :]
