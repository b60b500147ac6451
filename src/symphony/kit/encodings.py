"""The encodings that inputs called `encoding` accept."""

import codecs
from typing import Final

from symphony.commons.cutting import beginning
from symphony.kit.errors import InputRefused

_NO_CHARACTER_SETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})
"""Python's notations for other texts. The time of some grows with the square of the text."""


def encoding_named(name: str) -> str:
    """Return Python's name for the encoding `name`. Raises InputRefused if it is unknown."""
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except (LookupError, ValueError):
        found = ""
    if not found or found.replace("_", "-") in _NO_CHARACTER_SETS:
        raise InputRefused(
            f"input encoding: {beginning(name, 40)!r} is unknown", hint="write for instance utf-8 or latin-1"
        )
    return found
