"""Results as the cache keeps them."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.codec import decode_value, encode_value
from symphony.ports.values import ArtifactRef, StoredValue

BYTES_MAX = 512 << 20


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One result: its ports, large ones by reference, and the run and node that computed it.

    `created_at` is in seconds since the epoch.
    """

    operator: str
    outputs: Mapping[str, StoredValue]
    run_id: str
    node: str
    created_at: float


class CacheSize(NamedTuple):
    """How many results are kept, and the bytes of what they hold inline."""

    entries: int
    bytes: int


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """An entry as bytes: its values as `codec` writes them."""

    operator: str
    run_id: str
    node: str
    created_at: float
    outputs: dict[str, bytes]


_decoder = msgspec.msgpack.Decoder(_Row)
_encoder = msgspec.msgpack.Encoder()


def row_of(entry: CacheEntry) -> bytes:
    """The bytes of an entry. Raises SerializationFailed."""
    values = {port: encode_value(value) for port, value in entry.outputs.items()}
    return _encoder.encode(_Row(entry.operator, entry.run_id, entry.node, entry.created_at, values))


def entry_of(body: bytes, holds: Callable[[ArtifactRef], bool]) -> CacheEntry | None:
    """The entry, or None if its bytes are damaged or a body it refers to is gone."""
    try:
        row = _decoder.decode(body)
        outputs = {port: decode_value(value) for port, value in row.outputs.items()}
    except (msgspec.DecodeError, SerializationFailed):
        return None
    for value in outputs.values():
        if isinstance(value, ArtifactRef | list | dict) and not all(map(holds, references(value))):
            return None
    return CacheEntry(
        operator=row.operator, outputs=outputs, run_id=row.run_id, node=row.node, created_at=row.created_at
    )


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


class Recent:
    """Entries as bytes, in order of use. Not thread-safe."""

    def __init__(self, bytes_max: int, entries_max: int) -> None:
        self._bytes_max, self._entries_max = bytes_max, entries_max
        self.bodies: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0

    def get(self, key: str) -> bytes | None:
        body = self.bodies.get(key)
        if body is not None:
            self.bodies.move_to_end(key)
        return body

    def put(self, key: str, body: bytes) -> None:
        self.drop(key)
        self.bodies[key] = body
        self.bytes += len(body)
        while self.bytes > self._bytes_max or len(self.bodies) > self._entries_max:
            self.drop(next(iter(self.bodies)))

    def drop(self, key: str) -> None:
        self.bytes -= len(self.bodies.pop(key, b""))

    def clear(self) -> int:
        count = len(self.bodies)
        self.bodies.clear()
        self.bytes = 0
        return count
