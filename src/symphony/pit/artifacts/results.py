"""Results as a cache keeps them, and the cache of `run --memory`: nothing outlives the process."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.codec import decode_value, encode_value
from symphony.pit.artifacts.content import MemoryMemo, content_digest
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


class Cache(Protocol):
    """Results by key (`keys.cache_key`). Thread-safe. Passes tests/contracts/test_result_cache.py."""

    def has_any(self, operator: str) -> bool:
        """Might there be a result of this operator? Cheap: else its key need not be computed."""
        ...

    def get(self, key: str) -> CacheEntry | None:
        """The result, or None; also None if a body that it refers to is gone."""
        ...

    def put(
        self,
        key: str,
        *,
        operator: str,
        outputs: Mapping[str, StoredValue],
        run_id: str,
        node: str,
        at: float,
    ) -> None:
        """Keep a result, computed at `at` (seconds since the epoch). It must hold no secrets.

        Raises SerializationFailed for what is no value.
        """
        ...

    def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """What `get` gives for each of `keys` that has a result."""
        ...

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys, as `put` does."""
        ...

    def content(self, path: Path) -> str | None:
        """`content.content_digest` of a file, remembered."""
        ...

    def clear(self) -> int:
        """Forget all results; how many there were."""
        ...

    def size(self) -> CacheSize: ...
    def close(self) -> None: ...


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
    if not all(holds(ref) for value in outputs.values() for ref in references(value)):
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


class MemoryCache:
    """`Cache` for as long as the process lives."""

    def __init__(
        self, *, bytes_max: int = BYTES_MAX, holds: Callable[[ArtifactRef], bool] = all_held
    ) -> None:
        self._bytes_max, self._holds = bytes_max, holds
        self._entries = Recent(bytes_max, 2**63)
        self._operators: set[str] = set()
        self._mutex = threading.Lock()
        self._memo = MemoryMemo()

    def content(self, path: Path) -> str | None:
        """`content.content_digest` of a file, remembered."""
        return content_digest(path, self._memo)

    def has_any(self, operator: str) -> bool:
        """Might there be a result of this operator?"""
        return operator in self._operators

    def get(self, key: str) -> CacheEntry | None:
        """The result, or None; also None if a body that it refers to is gone."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """What `get` gives for each of `keys` that has a result."""
        with self._mutex:
            bodies = {key: body for key in keys if (body := self._entries.get(key)) is not None}
        entries = {key: entry_of(body, self._holds) for key, body in bodies.items()}
        with self._mutex:
            for key in (key for key, entry in entries.items() if entry is None):
                self._entries.drop(key)
        return {key: entry for key, entry in entries.items() if entry is not None}

    def put(
        self,
        key: str,
        *,
        operator: str,
        outputs: Mapping[str, StoredValue],
        run_id: str,
        node: str,
        at: float,
    ) -> None:
        """Keep a result. Raises SerializationFailed for what is no value."""
        entry = CacheEntry(operator=operator, outputs=outputs, run_id=run_id, node=node, created_at=at)
        self.put_many([(key, entry)])

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys, as `put` does."""
        rows = [(key, entry.operator, row_of(entry)) for key, entry in entries]
        with self._mutex:
            for key, operator, body in rows:
                if len(body) <= self._bytes_max // 4:
                    self._entries.put(key, body)
                    self._operators.add(operator)

    def clear(self) -> int:
        """Forget all results; how many there were."""
        with self._mutex:
            self._operators.clear()
            return self._entries.clear()

    def size(self) -> CacheSize:
        """What is kept now."""
        with self._mutex:
            return CacheSize(len(self._entries.bodies), self._entries.bytes)

    def close(self) -> None:
        """Nothing to close."""
