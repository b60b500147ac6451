"""Results as the cache keeps them."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from symphony.ports.values import ArtifactRef, StoredValue

BYTES_MAX = 512 << 20


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One result: its ports, large ones by reference, and the run and node that computed it.

    `created_at` is in seconds since the epoch. `body` is what `encode_value` gives of the outputs, where
    somebody has made it before; it tells nothing of its own.
    """

    operator: str
    outputs: Mapping[str, StoredValue]
    run_id: str
    node: str
    created_at: float
    body: bytes | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CacheEntry) and self._told == other._told

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]  # the outputs have none

    @property
    def _told(self) -> tuple[object, ...]:
        return self.operator, self.outputs, self.run_id, self.node, self.created_at


class CacheSize(NamedTuple):
    """The number of results kept, and the bytes of what they hold inline."""

    entries: int
    bytes: int


def references(value: object) -> Iterator[ArtifactRef]:
    """Every reference in `value`, however deep."""
    if isinstance(value, ArtifactRef):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)


def all_held(_ref: ArtifactRef) -> bool:
    """Every body is taken to be there."""
    return True
