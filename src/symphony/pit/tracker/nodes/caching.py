"""The cache of results as the executor needs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from symphony.ports.values import StoredValue


class CacheHit(Protocol):
    """What the cache gives back."""

    @property
    def outputs(self) -> Mapping[str, StoredValue]: ...
    @property
    def run_id(self) -> str: ...


class Cache(Protocol):
    """Results of earlier runs, by key."""

    def get(self, key: str) -> CacheHit | None: ...
    def put(
        self,
        key: str,
        *,
        operator: str,
        outputs: Mapping[str, StoredValue],
        run_id: str,
        node: str,
        at: float,
    ) -> None: ...
    def content(self, path: Path) -> str | None:
        """A digest of the file at `path`; None for what is no regular file."""
        ...
