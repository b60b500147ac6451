"""What programs write for a terminal, as the text that a reader would see there. Pure."""

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
_STRUCK: Final = re.compile(r"[^\x08\n]\x08")


def visible(text: str) -> str:
    """`text` without escape sequences, each line as it was last drawn; other control characters stay.

    A carriage return draws a line again, as progress bars do. One before a line feed only ends the line.

    >>> visible("10%\\r100%\\r\\n\\x1b[31mred\\x1b[0m")
    '100%\\nred'
    """
    if "\x1b" in text:
        text = _SEQUENCE.sub("", text)
    if "\r" in text:
        text = "\n".join(_last_drawn(line) for line in text.split("\n"))
    while (struck := _STRUCK.sub("", text)) != text:
        text = struck
    return text


def _last_drawn(line: str) -> str:
    drawn = line.rstrip("\r")
    return drawn[drawn.rfind("\r") + 1 :]
