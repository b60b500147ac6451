"""JSON: a C decoder builds the tree; our own reader steps in only if something is wrong.

msgspec is fast and strict, but accepts duplicate keys. Every key that it drops takes at least one comma with
it. So the decoded tree, written again, has as many commas as the text if and only if nothing was dropped.
Texts with commas spelled as escapes go to our own reader. That reader also locates problems, when necessary.
"""

import re
import sys
from contextlib import suppress

import msgspec

from symphony.commons.collector import seldom_collected
from symphony.commons.lines import column_number, line_number
from symphony.workflow.documents.json_reader import JsonReader
from symphony.workflow.documents.json_spots import TooDear, lazy_spot
from symphony.workflow.documents.tree import (
    RECURSION_USUAL,
    Document,
    Position,
    Positions,
    Spot,
    SyntaxProblem,
    Tree,
)

_ESCAPE = re.compile(
    r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_ESCAPED_COMMA = re.compile(r"\\u002c", re.IGNORECASE)


def parse(text: str) -> Document:
    """Return the document in `text`. Raises SyntaxProblem."""
    # A recursive decoder is safe only as long as Python's own limit keeps it from exhausting the stack.
    if sys.getrecursionlimit() <= RECURSION_USUAL:
        try:
            tree = msgspec.json.decode(text)
            if not _dropped(text, tree):
                return Document(tree, (), Located(text))
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass  # our own reader says what is wrong, and where
    reader = JsonReader(text).read()
    return Document(reader.root, tuple(reader.findings.found), Positions(text, lambda: reader.spot))


class Located(Positions):
    """Finds places one by one, until finding all of them is cheaper."""

    def __init__(self, text: str) -> None:
        super().__init__(text, lambda: lazy_spot(text))

    def of(self, place: str) -> Position:
        """Return the position of a place, as every `Positions` does."""
        with seldom_collected:
            try:
                return super().of(place)
            except TooDear:
                self.begin_with(_spots(self.text))
                return super().of(place)


def _spots(text: str) -> Spot:
    """Return where everything stands; of a text that nests too deep for our reader, all before that."""
    reader = JsonReader(text)
    with suppress(SyntaxProblem):
        reader.read()
    return reader.spot


def _dropped(text: str, tree: Tree) -> bool:
    """True if a key of `text` might be missing in `tree`."""
    if text.count(",") != msgspec.json.encode(tree).count(b","):
        return True
    return "\\u002" in text and _ESCAPED_COMMA.search(text) is not None


def half_pair(text: str) -> tuple[int, int] | None:
    """Line and column, from 1, of the first escape in `text` that is half of a surrogate pair."""
    at = next((found.start() for found in _ESCAPE.finditer(text) if found[1]), None)
    if at is None:
        return None
    return line_number(text, at), column_number(text, at)


def write(tree: Tree) -> bytes:
    """Return the shortest document that spells `tree`, with a line end."""
    return msgspec.json.encode(tree) + b"\n"


def write_pretty(tree: Tree) -> bytes:
    """Return the document that spells `tree`, indented by 2."""
    return msgspec.json.format(msgspec.json.encode(tree), indent=2) + b"\n"
