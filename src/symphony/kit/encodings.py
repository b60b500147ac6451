"""The encodings that inputs called `encoding` may name."""

import codecs
from typing import Final

from symphony.commons.cutting import beginning
from symphony.kit.errors import InputRefused

_NO_CHARACTER_SETS: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})
"""Python's notations for other texts. The time of some grows with the square of the text."""


def encoding_named(name: str) -> str:
    """What Python calls the encoding `name`. Raises InputRefused for one that is unknown."""
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
