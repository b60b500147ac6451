"""The search of artifacts: what is asked, and what is found."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.artifacts import ArtifactRecord

Sorting: TypeAlias = Literal["score", "newest", "oldest", "largest", "smallest", "quality"]
SORTINGS: Final[tuple[Sorting, ...]] = ("score", "newest", "oldest", "largest", "smallest", "quality")


class QueryInvalid(SymphonyError):
    """A query cannot be read. `details` has the `column` of the place, from 1."""

    code = "query-invalid"


class QualityPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a score: its `value` from 0 to 1, None if it cannot be known, and why it is that."""

    name: str
    value: float | None
    weight: float
    why: str


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How good an artifact is, from 0 to 1: the weighted mean of its known parts; None without any."""

    score: float | None
    parts: tuple[QualityPart, ...] = ()


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A query and what else must hold. Times are seconds since the epoch; `until_s` itself is excluded.

    `text` is in the language of queries. An artifact must have one of the `types` (`text/*` too), all `tags`,
    and one of the `runs`.
    """

    text: str = ""
    types: Sequence[str] = ()
    tags: Sequence[str] = ()
    runs: Sequence[str] = ()
    since_s: float | None = None
    until_s: float | None = None
    size_min: int | None = None
    size_max: int | None = None
    quality_min: float | None = None
    sort: Sorting = "score"
    limit: int = 20


class Snippet(NamedTuple):
    """Part of an artifact's text; `marks` are the places in it, start and stop, that match the query."""

    text: str
    marks: Sequence[tuple[int, int]] = ()


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact that was found.

    `score`: how well it matches, to be compared within one search only; None if something else sorts them.
    """

    record: ArtifactRecord
    score: float | None
    quality: Quality
    tags: Sequence[str] = ()
    snippet: Snippet | None = None


class SearchResults(msgspec.Struct, frozen=True, kw_only=True):
    """The hits, best first, of the `total` that match.

    `indexed`: how many artifacts were searched. `partial`: that is not all, since the index is being built.
    """

    hits: Sequence[Hit]
    total: int
    indexed: int
    partial: bool = False
