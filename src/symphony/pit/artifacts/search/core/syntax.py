"""What a query means, as a tree. Pure values."""

from typing import Literal, TypeAlias

import msgspec

How: TypeAlias = Literal["words", "phrase", "prefix", "wildcard", "fuzzy", "regex"]


class TextMatch(msgspec.Struct, frozen=True, tag=True):
    """Text to be found in `field`, or in the usual ones if that is empty.

    `words`: in this order, one after the other, as they are typed; `phrase`: so in quotes, with at most
    `slack` moves between them, the last one perhaps only begun (`open`). `prefix`: the beginning of a word;
    `wildcard`: a word with * and ?, each behind a NUL; `fuzzy`: one with at most `slack` letters changed;
    `regex`: one that a regular expression describes. `at` is the place in the query, from 1.
    """

    text: str
    how: How = "words"
    field: str = ""
    slack: int = 0
    open: bool = False
    at: int = 1


class Between(msgspec.Struct, frozen=True, tag=True):
    """A number in `field`: from `low` to `high`, None where there is no bound; the ends may be excluded."""

    field: str
    low: float | None = None
    high: float | None = None
    low_in: bool = True
    high_in: bool = True
    at: int = 1


class Known(msgspec.Struct, frozen=True, tag=True):
    """Anything at all in `field`."""

    field: str
    at: int = 1


class Everything(msgspec.Struct, frozen=True, tag=True):
    """Every artifact."""


class Every(msgspec.Struct, frozen=True, tag=True):
    """All of `parts`."""

    parts: "tuple[Query, ...]"


class Either(msgspec.Struct, frozen=True, tag=True):
    """At least one of `parts`."""

    parts: "tuple[Query, ...]"


class Without(msgspec.Struct, frozen=True, tag=True):
    """Whatever is not `part`."""

    part: "Query"


class Boosted(msgspec.Struct, frozen=True, tag=True):
    """`part`, which counts `by` times as much."""

    part: "Query"
    by: float


Query: TypeAlias = TextMatch | Between | Known | Everything | Every | Either | Without | Boosted


def every(*parts: Query) -> Query:
    """Return the query for all of `parts`."""
    kept = tuple(part for part in parts if not isinstance(part, Everything))
    return kept[0] if len(kept) == 1 else Every(kept) if kept else Everything()
