"""Results as the cache's file holds them: many in a block, found by numbers made of their keys. Pure.

A row for each result, with its key in an index, would be written to pages all over the file: 16 µs and
4 KB a result of a fan-out. Results that were put together lie in one row, and the index holds two
numbers for each. Two keys may have one number: the block has the keys themselves.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.cache.results import CacheEntry, references
from symphony.pit.artifacts.values.codec import decode_map, encode_value, encoded_map
from symphony.ports.values import ArtifactRef

ENTRIES_MAX: Final = 256
BYTES_MAX: Final = 64 << 10
"""The bytes of a block that holds more than one result: a look for one reads all of it."""
_BESIDE: Final = 32
"""Bytes of an entry beside its key, texts and values, about."""
_HOLDERS: Final = (ArtifactRef, list, dict)  # `list | dict` in a check makes a union each time
_SIGN: Final = 1 << 63


class CachedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A result: an entry with its outputs as `encode_value` gives them."""

    operator: str
    run_id: str
    node: str
    created_at: float
    outputs: bytes


Rows: TypeAlias = dict[str, CachedRow]
"""Results by key."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rows).decode


class Block(NamedTuple):
    """A row of the file. `places` has the numbers of its keys, in order; `operators` made the results."""

    rows: Rows
    operators: frozenset[str]
    places: Sequence[int]
    body: bytes
    sum: int


def place_of(key: str) -> int:
    """The number that a key is found by, of 64 bits with a sign: its first 16 digits."""
    try:
        return int(key[:16], 16) - _SIGN
    except ValueError:  # no key of ours
        return (
            int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big") - _SIGN
        )


def row_of(entry: CacheEntry) -> CachedRow:
    """The entry as a row. Raises SerializationFailed for something that is not a value."""
    body = encoded_outputs(entry) if entry.body is None else entry.body
    return CachedRow(entry.operator, entry.run_id, entry.node, entry.created_at, body)


def encoded_outputs(entry: CacheEntry) -> bytes:
    """The outputs as one map."""
    return encoded_map({port: encode_value(value) for port, value in entry.outputs.items()})


def blocks_of(
    rows: Iterable[tuple[str, CachedRow]], bytes_max: int = BYTES_MAX, row_bytes_max: int | None = None
) -> Iterator[Block]:
    """The rows in blocks of at most about `bytes_max` bytes; the last of those with one key counts.

    Rows of more than `row_bytes_max` bytes are left out.
    """
    part, size = Rows(), 0
    for key, row in rows:
        operator, run_id, node, outputs = row.operator, row.run_id, row.node, row.outputs
        more = len(key) + len(operator) + len(run_id) + len(node) + len(outputs) + _BESIDE
        if row_bytes_max is not None and more > row_bytes_max:
            continue
        if part and (size + more > bytes_max or len(part) >= ENTRIES_MAX):
            yield _block(part)
            part, size = {}, 0
        part[key] = row
        size += more
    if part:
        yield _block(part)


def _block(rows: Rows) -> Block:
    body = _encode(rows)
    operators = frozenset([row.operator for row in rows.values()])
    return Block(rows, operators, sorted(map(place_of, rows)), body, block_sum(body))


def block_sum(body: bytes) -> int:
    """The checksum of a block."""
    return row_sum("blocks", body)


def rows_in(body: bytes, told: int | None) -> Rows | None:
    """The results in a block whose checksum is said to be `told`; None if it is not what was written."""
    if block_sum(body) != told:
        return None
    try:
        return _decode(body)
    except msgspec.MsgspecError:
        return None


def entry_of(row: CachedRow, holds: Callable[[ArtifactRef], bool]) -> CacheEntry | None:
    """The entry, or None if its outputs are damaged or a body that they refer to is gone."""
    try:
        outputs = decode_map(row.outputs)
    except SerializationFailed:
        return None
    for value in outputs.values():
        if isinstance(value, _HOLDERS) and not all(map(holds, references(value))):
            return None
    return CacheEntry(
        operator=row.operator, outputs=outputs, run_id=row.run_id, node=row.node,
        created_at=row.created_at, body=row.outputs,
    )  # fmt: skip


class _FormerRow(msgspec.Struct, frozen=True, array_like=True):
    """A result in a row of its own, as earlier versions have it."""

    operator: str
    run_id: str
    node: str
    created_at: float
    outputs: dict[str, bytes]


_decode_former = msgspec.msgpack.Decoder(_FormerRow).decode


def former_rows(rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, CachedRow]]:
    """Keys and results of rows as earlier versions have them; those that make no sense are passed over."""
    for key, body in rows:
        with suppress(msgspec.MsgspecError):
            row = _decode_former(body)
            outputs = encoded_map(row.outputs)
            yield key, CachedRow(row.operator, row.run_id, row.node, row.created_at, outputs)


class Recent:
    """The results that were put last, at least `entries_max // 2` of them if they are small. Not thread-safe.

    Two halves, of which the older one is forgotten when the other is full.
    """

    def __init__(self, bytes_max: int, entries_max: int) -> None:
        self._bytes_max, self._entries_max = bytes_max // 2, entries_max // 2
        self._new, self._old = Rows(), Rows()
        self._bytes = 0

    def find(self, keys: Iterable[str]) -> Rows:
        """Those of the results with these keys that are still known."""
        new, old = self._new, self._old
        return {key: row for key in keys if (row := new.get(key) or old.get(key)) is not None}

    def put(self, rows: Mapping[str, CachedRow], size: int) -> None:
        """Remember results of about `size` bytes."""
        if self._bytes + size > self._bytes_max or len(self._new) + len(rows) > self._entries_max:
            self._old, self._new, self._bytes = self._new, {}, 0
        self._new.update(rows)
        self._bytes += size

    def drop(self, key: str) -> None:
        """Forget a result."""
        self._new.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._new, self._old, self._bytes = {}, {}, 0
