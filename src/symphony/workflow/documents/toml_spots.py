"""Finds where keys and elements are in a TOML text, and how deep it nests, in one pass. Pure.

This is not a parser: it does not tell valid text from invalid. It limits what the parser is given, and knows
positions, which the parser does not report.
"""

import re
import tomllib
from dataclasses import dataclass, field

from symphony.workflow.documents.tree import DEPTH_MAX, Spot
from symphony.workflow.problems import child

# Possessive (`++`, `*+`): no backtracking state is kept, so memory does not grow with a long string.
_TOKEN = re.compile(
    r'''(?P<space>[ \t\r]++|\#[^\n]*+)
    |(?P<string>"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"""(?:""?)?|\'\'\'(?:[^']++|'{1,2}(?!'))*+\'\'\'(?:''?)?
        |"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+')
    |(?P<word>[^\s\#=\[\]{},."']++)
    |(?P<mark>.)''',
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class SpotSurvey:
    """The findings of one pass: all spots, the first duplicate key, and where the text nests too deep.

    `twice` is the duplicate: its place, its offset, and the spot of the key that it repeats.
    """

    root: Spot = field(default_factory=lambda: Spot(0))
    twice: tuple[str, int, Spot] | None = None
    too_deep_at: int | None = None


def survey(text: str) -> SpotSurvey:
    """Survey `text`, up to where it nests too deep. Linear in its length."""
    surveyor = _Surveyor(text)
    surveyor.run()
    return surveyor.found


def has_comment(text: str) -> bool:
    """True if the text contains a comment."""
    return any(m.lastgroup == "space" and m[0][0] == "#" for m in _TOKEN.finditer(text))


class _Open:
    """An open array or inline table inside a value."""

    __slots__ = ("array", "index", "place", "spot")

    def __init__(self, array: bool, spot: Spot, place: str) -> None:
        self.array, self.spot, self.place = array, spot, place
        self.index = 0


class _Surveyor:
    def __init__(self, text: str) -> None:
        self.found = SpotSurvey()
        self.signs = ((m.lastgroup, m[0], m.start()) for m in _TOKEN.finditer(text) if m.lastgroup != "space")
        self.table, self.place, self.depth = self.found.root, "", 1
        self.elements: dict[Spot, int] = {}
        self.closed: set[Spot] = set()
        self.kind: str | None = "mark"
        self.sign, self.at = "\n", 0

    def run(self) -> None:
        self._next()
        while self.kind is not None:
            if self.sign == "[":
                self._header()
            elif self.kind in ("word", "string"):
                self._statement()
            else:
                self._next()

    def _next(self) -> None:
        self.kind, self.sign, self.at = next(self.signs, (None, "", self.at))

    def _stop(self) -> None:
        """Note that the text nests too deep, and look no further."""
        self.found.too_deep_at = self.at
        self.kind, self.sign = None, ""

    def _key(self) -> list[tuple[str, int]]:
        """Return the parts of the dotted key that begins here, and where each stands."""
        parts: list[tuple[str, int]] = []
        while self.kind in ("word", "string") or (parts and self.sign == "."):
            if self.sign != ".":
                parts.append((self.sign if self.kind == "word" else _unquoted(self.sign), self.at))
                if len(parts) > DEPTH_MAX:
                    self._stop()
                    break
            self._next()
        return parts

    def _header(self) -> None:
        """`[a.b]` or `[[a.b]]`."""
        self._next()
        many = self.sign == "["
        if many:
            self._next()
        spot, place, depth = self.found.root, "", 1
        at = self.at
        for part, at in self._key():
            spot, place, depth = self._into_last(spot, place, depth)
            spot, place, depth = spot.put(part, at), child(place, part), depth + 1
        if many:
            index = self.elements.get(spot, 0)
            self.elements[spot] = index + 1
            spot, place, depth = spot.put(index, at), child(place, index), depth + 1
        elif spot in self.closed:
            self._twice(place, at, spot)
        self.closed.add(spot)
        self.table, self.place, self.depth = spot, place, depth
        self._skip_line()

    def _into_last(self, spot: Spot, place: str, depth: int) -> tuple[Spot, str, int]:
        """Enter the last table of an array of tables, which is the one that a header means."""
        count = self.elements.get(spot)
        if not count or spot.inside is None:
            return spot, place, depth
        return spot.inside[count - 1], child(place, count - 1), depth + 1

    def _skip_line(self) -> None:
        while self.kind is not None and self.sign != "\n":
            self._next()

    def _statement(self) -> None:
        """`a.b = value`, at the top or in a table."""
        spot, place, deeper = self._assigned(self.table, self.place)
        if self.sign == "=":
            self._next()
            self._value(spot, place, self.depth + deeper)
        self._skip_line()

    def _assigned(self, spot: Spot, place: str) -> tuple[Spot, str, int]:
        """Return the spot of the key that begins here, its place, and how many tables it opens."""
        parts = self._key()
        for part, at in parts:
            spot, place = spot.put(part, at), child(place, part)
        if parts:
            if spot in self.closed:
                self._twice(place, parts[-1][1], spot)
            self.closed.add(spot)
        return spot, place, max(0, len(parts) - 1)

    def _twice(self, place: str, at: int, first: Spot) -> None:
        if self.found.twice is None:
            self.found.twice = (place, at, first)

    def _value(self, spot: Spot, place: str, depth: int) -> None:
        """The value that begins here, with all that is nested in it."""
        stack: list[_Open] = []
        while self.kind is not None and (stack or self.sign != "\n"):
            if depth + len(stack) > DEPTH_MAX:
                self._stop()
                return
            top = stack[-1] if stack else None
            sign = self.sign
            if top is not None and top.array and sign not in (",", "]", "\n"):
                place = child(top.place, top.index)
                spot = top.spot.put(top.index, self.at)
            if sign == "[":
                stack.append(_Open(True, spot, place))
            elif sign in ("]", "}"):
                if stack:
                    stack.pop()
            elif sign == "," and top is not None and top.array:
                top.index += 1
            if sign == "{" or (sign == "," and top is not None and not top.array):
                if sign == "{":
                    top = _Open(False, spot, place)
                    stack.append(top)
                assert top is not None
                self._next()
                spot, place, _ = self._assigned(top.spot, top.place)
                if self.sign != "=":
                    continue
            self._next()


def _unquoted(token: str) -> str:
    """Return the text that a quoted key stands for; of an invalid one, as it is."""
    if token[0] == '"' and "\\" in token:
        try:
            return str(tomllib.loads(f"key = {token}")["key"])
        except ValueError:
            return token
    return token[1:-1]
