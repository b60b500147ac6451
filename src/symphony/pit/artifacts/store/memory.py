"""The artifact store of `run --memory` and of tests: nothing outlives the process."""

import hashlib
import io
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, Self

import msgspec

from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.base.naming import check_put, new_tag, normal
from symphony.pit.artifacts.base.rules import (
    DIGEST,
    MIN_AGE_S,
    PREFIX,
    READ_AGAIN_S,
    ambiguous,
    check_rating,
    corrupt,
    invalid_digest,
    missing,
    require_range,
    trashed,
    writer_closed,
)
from symphony.pit.artifacts.metadata.links import forms_of, given_forms_of
from symphony.pit.artifacts.metadata.records import Put
from symphony.pit.artifacts.store.adding import new_version
from symphony.pit.artifacts.store.choosing import chosen
from symphony.pit.artifacts.store.deriving import derived_when
from symphony.pit.artifacts.store.finding import called, meant, numbered, tagged
from symphony.pit.artifacts.store.memory_versions import MemoryVersions
from symphony.pit.artifacts.store.unchanged import compared
from symphony.pit.artifacts.values.codec import value_digest
from symphony.ports.artifacts import (
    RECORDED_MAX,
    ArtifactFilter,
    ArtifactRecord,
    ArtifactVersion,
    Collected,
    Derivation,
    Provenance,
    Rating,
)
from symphony.ports.retention import Standing, StandingPages, Standings, Tier
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
        self.values: set[str] = set()
        self.given = False
        self.ratings: dict[str, Rating] = {}
        self.pinned = False
        self.trashed_at: float | None = None
        self.restored_at: float | None = None
        self.uses = 0
        self.used_at: float | None = None
        self.tier = Tier.HOT


class MemoryArtifacts:
    """`symphony.ports.artifacts.ArtifactStore` in memory. Thread-safe.

    `now_s` gives seconds since the epoch; without it all bodies are of the same age, 0.
    """

    def __init__(self, now_s: Callable[[], float] = lambda: 0.0) -> None:
        self._now_s = now_s
        self._entries: dict[Digest, _Entry] = {}  # in the order of the last put
        self._versions = MemoryVersions(lambda digest: digest in self._entries, self._findable)
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
        name = check_put(name, content_type)
        digest = Digest(hashlib.sha256(body).hexdigest())
        with self._mutex:
            put = Put(
                digest, len(body), content_type, name, self._now_s(), given=durable and name is not None
            )
            self._keep(put, body)
        return ArtifactRef(
            digest=digest, size=len(body), content_type=content_type, name=name, encoding=encoding
        )

    def put_stream(self, stream: BinaryIO, *, content_type: str, name: str | None = None) -> ArtifactRef:
        """Store all that `stream` gives."""
        with self.writer(content_type=content_type, name=name) as writer:
            while chunk := stream.read(_CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def add_version(
        self,
        stream: BinaryIO,
        *,
        name: str,
        content_type: str,
        note: str = "",
        parents: Sequence[Digest] = (),
        tags: Sequence[str] = (),
    ) -> ArtifactVersion:
        """Store all that `stream` gives as a version of `name`."""
        made = new_version(name, content_type, note, parents, tags)
        for parent in parents:
            if self.size(parent) is None:
                raise missing(parent)
        body = stream.read()
        digest = Digest(hashlib.sha256(body).hexdigest())
        with self._mutex:
            at = self._now_s()
            put = Put(
                digest, len(body), content_type, made.name, at, note=note, parents=made.parents, given=True
            )
            number = self._keep(put, body, by_hand=True)
            for tag in made.tags:
                self._versions.tag(made.name, number, tag)
            return numbered(self._versions, made.name, number)

    def versions(self, name: str, *, limit: int = 100, before: int = INTEGER_MAX) -> list[ArtifactVersion]:
        """Return versions of a name, the newest first."""
        with self._mutex:
            return self._versions.of_name(called(self._versions, name), limit, before)

    def versions_of(self, digest: Digest, *, limit: int = 100) -> list[ArtifactVersion]:
        """Return the versions that have a body, the one that was put last first."""
        with self._mutex:
            return self._versions.of_body(digest, limit)

    def derived(self, digest: Digest, *, limit: int = 100) -> list[Derivation]:
        """Return what was made of a body directly. O(all that was made)."""
        with self._mutex:
            entry = self._entries.get(digest)
            values = forms_of(digest) | (set() if entry is None else entry.values)
            found = [
                Derivation(digest=made, by=by, inputs=names)
                for made, other in self._entries.items()
                for by in other.links.values()
                if (names := tuple(name for name, of in by.inputs.items() if of in values))
            ]
            children = self._versions.children(digest)[:limit]
            by_nodes = sorted(found, key=derived_when)[:limit]
            return [*by_nodes, *(Derivation(digest=one.digest, version=one) for one in children)]

    def sources(self, value: str) -> list[Digest]:
        """Return the bodies that are the value with this digest. O(all bodies)."""
        with self._mutex:
            return sorted(
                digest
                for digest, entry in self._entries.items()
                if value in entry.values or (entry.given and value in given_forms_of(digest))
            )

    def sources_of(self, values: Collection[str]) -> set[Digest]:
        """Return the bodies that are any of these values. O(values × bodies)."""
        return {digest for value in values for digest in self.sources(value)}

    def users(self, digest: Digest, *, limit: int = 100) -> set[str]:
        """Return runs in which something was made of a body directly. O(all that was made)."""
        made = self.derived(digest, limit=INTEGER_MAX)
        return set(sorted({one.by.run_id for one in made if one.by is not None})[:limit])

    def made_by(self, run_id: str, *, limit: int = 1000) -> list[Derivation]:
        """Return what a run refers to."""
        with self._mutex:
            found = [
                Derivation(digest=digest, by=by)
                for digest, entry in self._entries.items()
                for by in entry.links.values()
                if by.run_id == run_id
            ]
            return found[:limit]

    def tag(self, name: str, number: int, tag: str) -> int | None:
        """Give a version a tag; return the version that had it before, if another one had it."""
        tag = new_tag(tag)
        with self._mutex:
            version = numbered(self._versions, name, number)
            return self._versions.tag(version.name, number, tag)

    def untag(self, name: str, tag: str) -> int:
        """Take a tag away; return the version that had it."""
        with self._mutex:
            known = called(self._versions, name)
            number = tagged(self._versions, known, normal(tag))
            self._versions.untag(known, normal(tag))
            return number

    def writer(self, *, content_type: str, name: str | None = None) -> "MemoryWriter":
        """For a body that arrives in pieces."""
        check_put(name, content_type)
        return MemoryWriter(lambda body: self.put(body, content_type=content_type, name=name))

    def get(self, digest: Digest) -> bytes:
        """A whole body, verified."""
        entry = self._verified(digest)
        self._read(entry)
        return entry.body

    def open(self, digest: Digest) -> BinaryIO:
        """A body as a stream."""
        return io.BytesIO(self.get(digest))

    def peek(self, digest: Digest, length: int) -> bytes:
        """The beginning of a body; all of it is verified. It does not count as a read."""
        return self._verified(digest).body[:length]

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
                self._read(entry)
            return entry is not None

    def find(self, digest_or_name: str) -> ArtifactRecord:
        """By digest, prefix of 8 or more digits, name, or name and version, in this order."""
        with self._mutex:
            if PREFIX.fullmatch(digest_or_name):
                found = sorted(digest for digest in self._entries if digest.startswith(digest_or_name))
                if len(found) > 1:
                    raise ambiguous(digest_or_name, found)
                if found:
                    if self._entries[found[0]].trashed_at is not None:
                        raise trashed(digest_or_name, found[0])
                    return self._record(found[0])
            version = meant(self._versions, digest_or_name, lambda digest: not self._findable(digest))
            known = self._record(version.digest, version.name)
            return msgspec.structs.replace(known, content_type=version.content_type, version=version)

    def records(self, *, limit: int = 100, where: ArtifactFilter | None = None) -> Iterator[ArtifactRecord]:
        """Newest first, and first again if it was put again, unless `where` says otherwise."""
        with self._mutex:
            shown = [digest for digest, entry in self._entries.items() if entry.trashed_at is None]
            if where is not None:
                every = map(self._record, reversed(shown))
                found = chosen(every, where, self._types_of, self._tags_of, self._runs_of)
                return iter(found[: max(limit, 0)])
            newest = shown[::-1][: max(limit, 0)]
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
            entry.trashed_at = None
            entry.values.add(value_digest(ref))
            if ref.name is not None and (claimed := self._unclaimed.pop((ref.name, ref.digest), 0)):
                entry.names[ref.name] -= claimed
                self._versions.claim(ref.name, ref.digest, provenance)

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
        """Delete the bodies that nobody needs at once, past the trash."""
        with self._mutex:
            latest = self._now_s() - min_age_s
            return self._delete(
                [one for one in self.standings().all if one.put_at <= latest and not one.kept]
            )

    def standings(self) -> Standings:
        """Return the facts about every artifact."""
        with self._mutex:
            return Standings([self._standing(digest) for digest in sorted(self._entries)])

    @contextmanager
    def look(self, *, writes: bool = False) -> Iterator[StandingPages]:
        """Open a look at all artifacts."""
        yield StandingPages(lambda: iter([self.standings().all]))

    def about(self, digest: Digest) -> ArtifactRecord:
        """Return what is known of an artifact, which may be in the trash."""
        with self._mutex:
            if digest not in self._entries:
                raise missing(digest)
            return self._record(digest)

    def trash(self, found: Iterable[tuple[Standing, str]], *, min_age_s: float = MIN_AGE_S) -> Collected:
        """Move artifacts that have not changed since `found` to the trash."""
        with self._mutex:
            now_s = self._now_s()
            going = [one for one, _ in found if self._unchanged(one, now_s - min_age_s)]
            for one in going:
                self._entries[one.digest].trashed_at = now_s
            return _counted(going)

    def restore(self, digests: Iterable[Digest] | None = None) -> Collected:
        """Take artifacts out of the trash; None: all."""
        with self._mutex:
            wanted = set(self._entries if digests is None else digests)
            found = [
                one for one in self.standings().all if one.trashed_at is not None and one.digest in wanted
            ]
            for one in found:
                entry = self._entries[one.digest]
                entry.trashed_at, entry.restored_at = None, self._now_s()
            return _counted(found)

    def sweep(self, found: Iterable[Standing], *, min_age_s: float = MIN_AGE_S) -> Collected:
        """Delete artifacts of the trash that have not changed since `found`."""
        with self._mutex:
            latest = self._now_s() - min_age_s
            return self._delete(
                [one for one in found if one.trashed_at is not None and self._unchanged(one, latest)]
            )

    def pin(self, digest: Digest, *, pinned: bool = True) -> bool:
        """Pin an artifact: it stays whatever rules say; whether that changed anything."""
        with self._mutex:
            entry = self._entries.get(digest)
            if entry is None:
                raise missing(digest)
            changed = entry.pinned is not pinned or (pinned and entry.trashed_at is not None)
            entry.pinned = pinned
            if pinned:
                entry.trashed_at = None
            return changed

    def move(
        self,
        found: Sequence[tuple[Standing, Tier, str]],
        *,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Collected:
        """Move artifacts to tiers, which here are no more than words."""
        with self._mutex:
            going = itertools.takewhile(lambda _: not out_of_time(), found)
            moved = [(one, tier) for one, tier, _ in going if one.digest in self._entries]
            for one, tier in moved:
                self._entries[one.digest].tier = tier
            return _counted([one for one, _ in moved])

    def tier_of(self, digest: Digest) -> Tier:
        """Return the tier of an artifact, hot if it is not there."""
        entry = self._entries.get(digest)
        return Tier.HOT if entry is None else entry.tier

    def tier_sizes(self) -> Mapping[Tier, int]:
        """Return how many bytes are stored in each tier."""
        with self._mutex:
            found = dict.fromkeys(Tier, 0)
            for entry in self._entries.values():
                found[entry.tier] += len(entry.body)
            return found

    def is_pinned(self, digest: Digest) -> bool:
        """Return whether an artifact is pinned."""
        with self._mutex:
            return digest in self._entries and self._entries[digest].pinned

    def make_ready(self) -> None:
        """Nothing is encrypted."""

    def log_reads(self, *, forget: bool = False) -> None:
        """Reads are counted at once."""

    def close(self) -> None:
        """Nothing to close."""

    def _types_of(self, record: ArtifactRecord) -> list[str]:
        entry = self._entries[record.digest]
        return [entry.content_type, *entry.types.values()]

    def _runs_of(self, record: ArtifactRecord) -> set[str]:
        return {run_id for run_id, _, _ in self._entries[record.digest].links}

    def _tags_of(self, record: ArtifactRecord) -> list[str]:
        return [tag for one in self._versions.of_body(record.digest, INTEGER_MAX) for tag in one.tags]

    def _keep(self, put: Put, body: bytes, *, by_hand: bool = False) -> int:
        """Keep a body, and its version if it has a name; return the number of that."""
        number = 0 if put.name is None else self._versions.put(put, by_hand=by_hand)
        entry = self._entries.pop(put.digest, None) or _Entry(body, put.at)
        self._entries[put.digest] = entry
        entry.body, entry.content_type, entry.put_at = body, put.content_type, put.at
        entry.trashed_at = None
        if put.name is not None:
            entry.names[put.name] = entry.names.get(put.name, 0) + 1
            entry.types.pop(put.name, None)
            entry.types[put.name] = put.content_type
            entry.given |= put.given
            if not by_hand:
                self._unclaimed[put.name, put.digest] += 1
        return number

    def _findable(self, digest: Digest) -> bool:
        entry = self._entries.get(digest)
        return entry is not None and entry.trashed_at is None

    def _read(self, entry: _Entry) -> None:
        """Count a read, once an hour at most; it takes the body out of the trash."""
        now_s = self._now_s()
        entry.tier = Tier.HOT
        if entry.used_at is None or now_s - entry.used_at >= READ_AGAIN_S:
            entry.uses, entry.used_at = entry.uses + 1, now_s
        if entry.trashed_at is not None:
            entry.trashed_at, entry.restored_at = None, now_s

    def _standing(self, digest: Digest) -> Standing:
        entry = self._entries[digest]
        names = self._versions.names_of(digest, lambda name: entry.names.get(name, 0) > 0)
        return Standing(
            digest=digest, size=len(entry.body), put_at=entry.put_at, names=names,
            tags=self._versions.tags_of(digest),
            content_type=next(reversed(entry.types.values()), entry.content_type),
            runs=frozenset(by.run_id for by in entry.links.values()), pinned=entry.pinned, uses=entry.uses,
            tier=entry.tier, used_at=entry.used_at, counted_since=0.0, trashed_at=entry.trashed_at,
            restored_at=entry.restored_at,
        )  # fmt: skip

    def _unchanged(self, one: Standing, latest: float) -> bool:
        if one.digest not in self._entries or not self._entries[one.digest].put_at == one.put_at <= latest:
            return False
        return compared(self._standing(one.digest)) == compared(one)

    def _delete(self, going: Sequence[Standing]) -> Collected:
        for one in going:
            del self._entries[one.digest]
        return _counted(going)

    def _verified(self, digest: Digest) -> "_Entry":
        if DIGEST.fullmatch(digest) is None:
            raise invalid_digest(digest)
        with self._mutex:
            entry = self._entries.get(digest)
        if entry is None:
            raise missing(digest)
        if hashlib.sha256(entry.body).hexdigest() != digest:
            raise corrupt(digest, "its bytes have changed")
        return entry

    def _record(self, digest: Digest, name: str | None = None) -> ArtifactRecord:
        entry = self._entries[digest]
        by = sorted(entry.links.values(), key=lambda p: (p.created_at, p.run_id, p.node, p.port))
        types = dict(islice(reversed(entry.types.items()), RECORDED_MAX))
        return ArtifactRecord(
            digest=digest,
            size=len(entry.body),
            content_type=types.get(name or "", next(iter(types.values()), entry.content_type)),
            names=tuple(types),
            created_at=entry.created_at,
            provenance=tuple(by[:RECORDED_MAX]),
            labels=tuple(f"{called}@{self._versions.newest_of(called, digest)}" for called in types),
            ratings=tuple(rating for _, rating in sorted(entry.ratings.items())),
        )


def _counted(found: Sequence[Standing]) -> Collected:
    return Collected(len(found), sum(one.size for one in found))


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
