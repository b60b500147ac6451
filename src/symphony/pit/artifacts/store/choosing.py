"""Which artifacts a list shows, and in which order, for a store without an index. Pure."""

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase

from symphony.ports.artifacts import ArtifactFilter, ArtifactRecord


def chosen(
    records: Iterable[ArtifactRecord],
    where: ArtifactFilter,
    types_of: Callable[[ArtifactRecord], Collection[str]],
    tags_of: Callable[[ArtifactRecord], Collection[str]],
    runs_of: Callable[[ArtifactRecord], Collection[str]],
) -> list[ArtifactRecord]:
    """Return the records that `where` lets through; they are given newest first."""
    found = [
        one
        for one in records
        if _fits(where.names, one.names)
        and set(where.tags) <= set(tags_of(one))
        and _fits([p for kind in where.types for p in (kind, f"{kind};*")], types_of(one), lower=True)
        and (not where.runs or not set(where.runs).isdisjoint(runs_of(one)))
        and (where.since_s is None or one.created_at >= where.since_s)
        and (where.until_s is None or one.created_at < where.until_s)
    ]
    match where.order:
        case "newest":
            return found
        case "oldest":
            return found[::-1]
        case "largest" | "smallest":
            return sorted(found, key=lambda one: one.size if where.order == "smallest" else -one.size)
        case "name":
            return sorted(found, key=lambda one: (not one.names, min(one.names, default="")))


def _fits(patterns: Collection[str], texts: Collection[str], *, lower: bool = False) -> bool:
    if lower:
        patterns, texts = [one.lower() for one in patterns], [one.lower() for one in texts]
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns for text in texts)
