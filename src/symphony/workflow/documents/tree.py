"""The result of a parser: a plain tree, the problems that it found, and positions in the text. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from symphony.commons.lines import line_starts
from symphony.workflow.problems import Code, Problem

BYTES_MAX: Final = 16 * 1024 * 1024
DEPTH_MAX: Final = 100
SCHEMA_BELIEVABLE: Final = 1_000
"""A greater number is not a version of the schema: these are other bytes."""
RECURSION_USUAL: Final = 3_000
"""Only while Python's own limit is no more than this does it keep C decoders from the stack's end."""

Tree: TypeAlias = object
"""What a parser found: None, bool, int, float, str, list and dict; bytes in binary formats; TOML's dates."""

Position: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


class Spot:
    """The place of one key or element in the text, and what is inside it."""

    __slots__ = ("at", "inside")

    def __init__(self, at: int) -> None:
        self.at = at
        self.inside: dict[str | int, Spot] | None = None

    def put(self, key: str | int, at: int) -> "Spot":
        """Return the spot of `key` inside, made if it is not there."""
        if self.inside is None:
            self.inside = {}
        spot = self.inside.get(key)
        if spot is None:
            spot = self.inside[key] = Spot(at)
        return spot

    def below(self, key: str | int) -> "Spot | None":
        """Return the spot of `key` inside, if it is there."""
        return None if self.inside is None else self.inside.get(key)


class Positions:
    """Positions of places in a text. The spots are made on the first lookup, which most texts never have."""

    def __init__(self, text: str, spots: Callable[[], Spot]) -> None:
        self.text, self._spots = text, spots
        self._root: Spot | None = None
        self._starts: list[int] | None = None

    def of(self, place: str) -> Position:
        """Line and column of `place`, or of the nearest thing around it that the text has."""
        if self._root is None:
            self._root = self._spots()
        _, spot = _deepest(self._root, place or None, {})
        return self.at(spot.at)

    def begin_with(self, root: Spot) -> None:
        """Look from `root` from now on."""
        self._root = root

    def at(self, offset: int) -> Position:
        """Line and column of a character."""
        if self._starts is None:
            self._starts = line_starts(self.text)
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def duplicate_hint(self, first: Spot | None) -> str:
        """Return what to do about a key that is there already, at the spot `first`."""
        todo = "rename or remove one"
        return todo if first is None else f"{todo}: the first is in line {self.at(first.at)[0]}"


def _deepest(
    spot: Spot, place: str | None, known: dict[tuple[Spot, int], tuple[int, Spot]]
) -> tuple[int, Spot]:
    """Return the spot that `place`, or most of it, leads to, and how much is left: keys may hold dots.

    `known` keeps it from going one way twice: keys can be made so that there are very many ways.
    """
    if place is None:
        return 0, spot
    best = len(place) + 1, spot
    if (spot, len(place)) in known:
        return known[spot, len(place)]
    for head, tail in _heads(place):
        below = spot.below(head)
        if below is not None:
            best = min(best, _deepest(below, tail, known), key=lambda found: found[0])
            if best[0] == 0:
                break
    known[spot, len(place)] = best
    return best


def _heads(place: str) -> Iterator[tuple[str | int, str | None]]:
    """Yield every way to part a place into its first key and the rest, None for none; the shortest key
    first.
    """
    if place[:1] == "[":
        number, closed, tail = place[1:].partition("]")
        if closed and number.isdecimal() and len(number) < 10:
            yield int(number), tail.removeprefix(".") if tail else None
    for i, char in enumerate(place):
        if char == ".":
            yield place[:i], place[i + 1 :]
        elif char == "[" and i:
            yield place[:i], place[i:]
    yield place, None


class Document(msgspec.Struct, frozen=True):
    """One parsed text. `readable` is false where there is no tree: the problems say why."""

    tree: Tree
    problems: tuple[Problem, ...]
    positions: Positions | None
    readable: bool = True


class SyntaxProblem(Exception):
    """The text is not a document; nothing of it can be used."""

    def __init__(self, code: Code, message: str, hint: str, position: Position | None = None) -> None:
        super().__init__(message)
        line, column = position or (None, None)
        self.problem = Problem(code=code, place="", message=message, hint=hint, line=line, column=column)

    def locate(self, place: str) -> None:
        """Name the place, where it is known."""
        self.problem = msgspec.structs.replace(self.problem, place=place)


def too_deep(position: Position | None = None) -> SyntaxProblem:
    """The document is nested beyond `DEPTH_MAX`."""
    return SyntaxProblem(
        "limit-exceeded",
        f"the document is nested more than {DEPTH_MAX} deep",
        "flatten it, or keep the value in a file of its own",
        position,
    )


def too_large() -> SyntaxProblem:
    """The document has more than `BYTES_MAX`, unpacked."""
    return SyntaxProblem(
        "limit-exceeded",
        f"the document has more than {BYTES_MAX // 2**20} MiB",
        "keep large values in files of their own",
    )


def not_readable(what: str, why: str) -> SyntaxProblem:
    """The bytes are not of the binary format `what`."""
    return SyntaxProblem(
        "syntax", f"this is not {what}: {why}", "check the format, or convert the file again"
    )
