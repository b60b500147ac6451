"""The artifact store of `run --memory` and of tests: nothing outlives the process."""

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO, Self

from symphony.pit.artifacts.base.rules import (
    DIGEST,
    MIN_AGE_S,
    PREFIX,
    ambiguous,
    check_labels,
    check_rating,
    corrupt,
    invalid_digest,
    missing,
    require_range,
    writer_closed,
)
from symphony.ports.artifacts import ArtifactRecord, Collected, Provenance, Rating
from symphony.ports.values import ArtifactRef, Digest

_CHUNK_BYTES = 1 << 20


class _Entry:
    """One body and what is known of it.

    `names` maps names to the puts nobody's run has claimed, `types` to content types, the newest last.
    """

    def __init__(self, body: bytes, created_at: float) -> None:
        self.body, self.created_at = body, created_at
        self.content_type = ""
        self.put_at = created_at
        self.names: dict[str, int] = {}
        self.types: dict[str, str] = {}
        self.links: dict[tuple[str, str, str], Provenance] = {}
        self.ratings: dict[str, Rating] = {}


class MemoryArtifacts:
    """`symphony.ports.artifacts.ArtifactStore` in memory. Thread-safe.

    `now_s` gives seconds since the epoch; without it all bodies are of the same age, 0.
    """

    def __init__(self, now_s: Callable[[], float] = lambda: 0.0) -> None:
        self._now_s = now_s
        self._entries: dict[Digest, _Entry] = {}  # in the order of the last put
        self._named: dict[str, dict[Digest, None]] = {}  # by name, the body that was put last is the last
        self._unclaimed: Counter[tuple[str, Digest]] = Counter()
        self._mutex = threading.RLock()

    def put(
        self,
        body: bytes,
        *,
        content_type: str,
        name: str | None = None,
        encoding: str = "bytes",
        durable: bool = True,
    ) -> ArtifactRef:
        """Store a body. Nothing here is `durable`."""
        check_labels(name, content_type)
        digest = Digest(hashlib.sha256(body).hexdigest())
        with self._mutex:
            now_s = self._now_s()
            entry = self._entries.pop(digest, None) or _Entry(body, now_s)
            self._entries[digest] = entry
            entry.body, entry.content_type, entry.put_at = body, content_type, now_s
            if name is not None:
                entry.names[name] = entry.names.get(name, 0) + 1
                entry.types.pop(name, None)
                entry.types[name] = content_type
                digests = self._named.setdefault(name, {})
                digests.pop(digest, None)
                digests[digest] = None
                self._unclaimed[name, digest] += 1
        return ArtifactRef(
            digest=digest, size=len(body), content_type=content_type, name=name, encoding=encoding
        )

    def put_stream(self, stream: BinaryIO, *, content_type: str, name: str | None = None) -> ArtifactRef:
        """Store all that `stream` gives."""
        with self.writer(content_type=content_type, name=name) as writer:
            while chunk := stream.read(_CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def writer(self, *, content_type: str, name: str | None = None) -> "MemoryWriter":
        """For a body that arrives in pieces."""
        check_labels(name, content_type)
        return MemoryWriter(lambda body: self.put(body, content_type=content_type, name=name))

    def get(self, digest: Digest) -> bytes:
        """A whole body, verified."""
        if DIGEST.fullmatch(digest) is None:
            raise invalid_digest(digest)
        with self._mutex:
            entry = self._entries.get(digest)
        if entry is None:
            raise missing(digest)
        if hashlib.sha256(entry.body).hexdigest() != digest:
            raise corrupt(digest, "its bytes have changed")
        return entry.body

    def open(self, digest: Digest) -> BinaryIO:
        """A body as a stream."""
        return io.BytesIO(self.get(digest))

    def ranges(self, digest: Digest) -> "MemoryRanges":
        """A body to be read in parts."""
        return MemoryRanges(self.get(digest))

    def size(self, digest: Digest) -> int | None:
        """The bytes of a body, or None if it is not there."""
        if DIGEST.fullmatch(digest) is None:
            raise invalid_digest(digest)
        with self._mutex:
            entry = self._entries.get(digest)
        return None if entry is None else len(entry.body)

    def holds(self, ref: ArtifactRef) -> bool:
        """Return whether the body is there; collection spares it as if put now."""
        with self._mutex:
            entry = self._entries.get(ref.digest)
            if entry is not None:
                entry.put_at = self._now_s()
            return entry is not None

    def find(self, digest_or_name: str) -> ArtifactRecord:
        """By digest, by a prefix of 8 or more digits, or the newest of a name, in this order."""
        with self._mutex:
            if PREFIX.fullmatch(digest_or_name):
                found = sorted(digest for digest in self._entries if digest.startswith(digest_or_name))
                if len(found) > 1:
                    raise ambiguous(digest_or_name, found)
                if found:
                    return self._record(found[0])
            newest = next(reversed(self._named.get(digest_or_name, {})), None)
            if newest is not None:
                return self._record(newest, digest_or_name)
        raise missing(digest_or_name)

    def records(self, *, limit: int = 100) -> Iterator[ArtifactRecord]:
        """Newest first: what was put last comes first, again if it was put again."""
        with self._mutex:
            newest = list(self._entries)[::-1][: max(limit, 0)]
            return iter([self._record(digest) for digest in newest])

    def link(self, ref: ArtifactRef, provenance: Provenance, *, durable: bool = True) -> None:
        """Record that a run refers to `ref`. Raises ArtifactMissing."""
        if ref.sealed is not None:
            self.link(ArtifactRef(digest=ref.sealed, size=0), provenance)
        with self._mutex:
            entry = self._entries.get(ref.digest)
            if entry is None:
                raise missing(ref.digest)
            entry.links[provenance.run_id, provenance.node, provenance.port] = provenance
            if ref.name is not None and (claimed := self._unclaimed.pop((ref.name, ref.digest), 0)):
                entry.names[ref.name] -= claimed

    def rate(self, digest: Digest, rating: Rating) -> None:
        """Record how good somebody finds a body. Raises ArtifactMissing, ValidationFailed."""
        check_rating(rating)
        if self.size(digest) is None:
            raise missing(digest)
        with self._mutex:
            ratings = self._entries[digest].ratings
            ratings.pop(rating.by, None)
            if rating.score is not None:
                ratings[rating.by] = rating

    def require_room(self) -> None:
        """Memory has room."""

    def settle(self) -> None:
        """Nothing waits."""

    def unlink_run(self, run_id: str) -> None:
        """Forget what a run refers to."""
        with self._mutex:
            for entry in self._entries.values():
                entry.links = {key: by for key, by in entry.links.items() if by.run_id != run_id}

    def collect(self, min_age_s: float = MIN_AGE_S) -> Collected:
        """Delete the bodies that no run refers to and nobody outside of a run has named."""
        with self._mutex:
            latest = self._now_s() - min_age_s
            gone = [
                (digest, len(entry.body))
                for digest, entry in self._entries.items()
                if entry.put_at <= latest and not entry.links and not any(entry.names.values())
            ]
            for digest, _ in gone:
                for name in self._entries.pop(digest).types:
                    del self._named[name][digest]
                    if not self._named[name]:
                        del self._named[name]
            return Collected(len(gone), sum(size for _, size in gone))

    def close(self) -> None:
        """Nothing to close."""

    def _record(self, digest: Digest, name: str | None = None) -> ArtifactRecord:
        entry = self._entries[digest]
        by = sorted(entry.links.values(), key=lambda p: (p.created_at, p.run_id, p.node, p.port))
        types = dict(reversed(entry.types.items()))
        return ArtifactRecord(
            digest=digest,
            size=len(entry.body),
            content_type=types.get(name or "", next(iter(types.values()), entry.content_type)),
            names=tuple(types),
            created_at=entry.created_at,
            provenance=tuple(by),
            ratings=tuple(rating for _, rating in sorted(entry.ratings.items())),
        )


class MemoryWriter:
    """`symphony.ports.artifacts.ArtifactWriter` of a store in memory."""

    def __init__(self, put: Callable[[bytes], ArtifactRef]) -> None:
        self._put = put
        self._chunks: list[bytes] | None = []

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what was not committed."""
        self._chunks = None

    def write(self, chunk: bytes) -> None:
        """Add a piece."""
        self._required().append(bytes(chunk))

    def commit(self) -> ArtifactRef:
        """Store what was written."""
        body, self._chunks = b"".join(self._required()), None
        return self._put(body)

    def _required(self) -> list[bytes]:
        if self._chunks is None:
            raise writer_closed()
        return self._chunks


class MemoryRanges:
    """`symphony.ports.artifacts.ArtifactRanges` of a body in memory."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self._body)

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def read(self, start: int, length: int) -> bytes:
        """Part of the body."""
        require_range(start, length)
        return self._body[start : start + length]
