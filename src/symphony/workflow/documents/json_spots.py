"""Finds positions in a JSON text that has been read already, one at a time. Pure.

Each lookup reads the text up to its place and no further. The C scanner of the standard library skips what
comes before, about as fast as decoding it. Later lookups do not skip it again.
"""

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Final

from symphony.workflow.documents.tree import Spot

_BLANK: Final = re.compile(r"[ \t\n\r]*+")
_COMMA: Final = re.compile(r"[ \t\n\r]*+,[ \t\n\r]*+")
_KEY: Final = re.compile(r'"([^"\\]*+)(\\.(?:[^"\\]|\\.)*+)?"[ \t\n\r]*+:[ \t\n\r]*+', re.DOTALL)
_TIMES_MAX: Final = 4

# Numbers are measured, not converted: one with very many digits could not be.
_value = json.JSONDecoder(parse_int=len, parse_float=len, strict=False).raw_decode


class TooDear(Exception):
    """One part of the text was skipped again and again. Reading all of it once is cheaper."""


class _Text:
    """The text, and how many of its characters may still be skipped."""

    __slots__ = ("left", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = _TIMES_MAX * len(text)

    def behind(self, at: int) -> int:
        """Return where the value that begins at `at` ends. Raises TooDear."""
        try:
            _, end = _value(self.text, at)
        except RecursionError:  # the caller is deep in calls already
            raise TooDear from None
        self.left -= end - at
        if self.left < 0:
            raise TooDear
        return end

    def end(self, pattern: re.Pattern[str], at: int) -> int:
        """Return where the pattern, which the text is known to have at `at`, ends."""
        found = pattern.match(self.text, at)
        assert found is not None
        return found.end()


class LazySpot(Spot):
    """A spot that finds what is inside its value when it is asked, as far as it must."""

    __slots__ = ("_rest", "_value", "_whole")

    def __init__(self, at: int, whole: _Text, value: int) -> None:
        self.at = at
        self.inside = None
        self._whole, self._value = whole, value
        self._rest: Iterator[tuple[str | int, LazySpot]] = iter(())

    def below(self, key: str | int) -> Spot | None:
        """Return the spot of `key` inside. Raises TooDear."""
        if self.inside is None:
            self.inside = {}
            self._rest = _inside(self._whole, self._value)
        found = self.inside.get(key)
        if found is not None:
            return found
        for name, spot in self._rest:
            self.inside[name] = spot
            if name == key:
                return spot
        return None


def lazy_spot(text: str) -> LazySpot:
    """Return the spot of the whole document in `text`, which must be JSON without duplicate keys."""
    whole = _Text(text)
    at = whole.end(_BLANK, 0)
    return LazySpot(at, whole, at)


def _inside(whole: _Text, at: int) -> Iterator[tuple[str | int, LazySpot]]:
    """Yield the keys or numbers in the value at `at`, with their spots. Raises TooDear."""
    text = whole.text
    opening = text[at]
    at = whole.end(_BLANK, at + 1)
    if opening not in "[{" or text[at] in "]}":
        return
    for number in count():
        if opening == "[":
            yield number, LazySpot(at, whole, at)
        else:
            found = _KEY.match(text, at)
            assert found is not None
            name = found[1] if found[2] is None else json.loads(f'"{found[1]}{found[2]}"', strict=False)
            yield name, LazySpot(at, whole, found.end())
            at = found.end()
        comma = _COMMA.match(text, whole.behind(at))
        if comma is None:
            return
        at = comma.end()
