"""The cache of results as the executor needs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from symphony.pit.artifacts.cache.results import CacheEntry


class Cache(Protocol):
    """Results of earlier runs, by key."""

    def has_any(self, operator: str) -> bool:
        """True if there might be a result of this operator."""
        ...

    def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """Return the results that exist, by key."""
        ...

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys."""
        ...

    def content(self, path: Path) -> str | None:
        """Return a digest of the file at `path`; None if it is not a regular file."""
        ...
