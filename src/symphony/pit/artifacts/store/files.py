"""The artifact store of a home: bodies in files, what is known of them in a log and an index."""

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.base.failures import file_lock
from symphony.pit.artifacts.base.naming import check_put, new_tag, normal
from symphony.pit.artifacts.base.rules import (
    DIGEST,
    MIN_AGE_S,
    PREFIX,
    UNKNOWN_TYPE,
    ambiguous,
    check_rating,
    missing,
    trashed,
)
from symphony.pit.artifacts.bodies.bodies import Bodies, BodyWriter
from symphony.pit.artifacts.bodies.objects import CHUNK_BYTES
from symphony.pit.artifacts.bodies.streams import PackWriter, ranges
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.metadata.index import Index
from symphony.pit.artifacts.metadata.ledger import Ledger
from symphony.pit.artifacts.metadata.records import Linked, Put, Rated, Record, Tagged, Unlinked, Untagged
from symphony.pit.artifacts.packs.away import OutsidePlaces, Sent
from symphony.pit.artifacts.store.adding import new_version, number_of
from symphony.pit.artifacts.store.converting import adopt_old
from symphony.pit.artifacts.store.deriving import derived
from symphony.pit.artifacts.store.finding import called, meant, numbered, tagged
from symphony.pit.artifacts.store.reads import PendingReads
from symphony.pit.artifacts.store.recovering import recovered, timed
from symphony.pit.artifacts.store.sender import Sender
from symphony.pit.artifacts.store.tiers import StoreTiers
from symphony.pit.artifacts.store.trash import Trash
from symphony.pit.artifacts.store.unsettled import Unsettled
from symphony.pit.artifacts.values.codec import value_digest
from symphony.ports.artifacts import (
    ArtifactFilter,
    ArtifactRanges,
    ArtifactRecord,
    ArtifactVersion,
    Collected,
    Derivation,
    Provenance,
    Rating,
)
from symphony.ports.retention import Standing, StandingPages, Standings, Tier
from symphony.ports.values import ArtifactRef, Digest

T = TypeVar("T")

logger = logging.getLogger(__name__)

SOON_BYTES_MAX = 1 << 20
"""Larger bodies are always written at once: sharing the sync would gain nothing, and they wait in memory."""
UNSETTLED_BYTES_MAX = 16 << 20
"""Bodies that wait for a sync hold no more memory than that; then the next `put` syncs them."""

_PAGE = 100


class FileArtifacts:
    """`symphony.ports.artifacts.ArtifactStore` in a directory, made at the first `put`.

    A body is durable when `put` returns, its name too, a link when `link` returns, or all of them when
    `settle` returns, which writes, syncs and logs them together. Bodies stay until `collect` finds
    them old and unreferenced. Under `root`:
    `packs/` (the bodies), `packs.db` (where each of them is, made of the packs), `records.log` (names,
    types, provenance and references: the truth), `index.db` (made of it), and lock files; `objects/` if an
    earlier version wrote there. Both databases may be deleted at any time.
    Errors: ArtifactMissing, ArtifactCorrupt, ArtifactAmbiguous, StorageFull, IoFailed; ValidationFailed for
    bad digests, names and types.
    """

    def __init__(
        self, root: Path, outside: OutsidePlaces | None = None, *, keys: StoreKeys | None = None
    ) -> None:
        """Without `keys` nothing is encrypted, and SYMPHONY_PASSPHRASE opens what is."""
        self.root, self.keys = root, StoreKeys(root) if keys is None else keys
        self._bodies = Bodies(root, outside=outside, keys=self.keys)
        self._sender = Sender(self._bodies.packs)
        self._ledger = Ledger(root, lambda: recovered(self._bodies))
        self._trash = Trash(root, self._bodies, self._ledger)
        self._tiers = StoreTiers(root, self._bodies, self._ledger, self._alone)
        self._reads = PendingReads()
        self._ready = False
        self._told = False
        self._unclaimed: Counter[tuple[str, Digest]] = Counter()
        self._unclaimed_mutex = threading.Lock()
        self._unsettled = Unsettled(self._write)

    def put(
        self,
        body: bytes,
        *,
        content_type: str,
        name: str | None = None,
        encoding: str = "bytes",
        durable: bool = True,
    ) -> ArtifactRef:
        """Store a body; cheap if it is there already and intact. Without `durable`, `settle` writes it."""
        name = check_put(name, content_type)
        self.make_ready()
        digest = Digest(hashlib.sha256(body).hexdigest())
        if not durable and len(body) <= SOON_BYTES_MAX:
            self._put_soon(digest, body, name, content_type)
        elif not self._refreshed(digest, len(body), name, content_type):
            self._bodies.require_room(len(body))
            with self._sharing():
                self._bodies.put({digest: body})
                self._log_put(digest, len(body), name, content_type)
        return ArtifactRef(
            digest=digest, size=len(body), content_type=content_type, name=name, encoding=encoding
        )

    def put_stream(self, stream: BinaryIO, *, content_type: str, name: str | None = None) -> ArtifactRef:
        """Store all that `stream` gives, of any length, in little memory."""
        with self.writer(content_type=content_type, name=name) as writer:
            while chunk := stream.read(CHUNK_BYTES):
                writer.write(chunk)
            return writer.commit()

    def writer(self, *, content_type: str, name: str | None = None) -> PackWriter:
        """For a body that arrives in pieces, of any length, in little memory."""
        named = check_put(name, content_type)
        self.make_ready()

        def publish(writer: BodyWriter) -> ArtifactRef:
            with self._sharing():
                digest = writer.end()
                self._log_put(digest, writer.size, named, content_type)
            return ArtifactRef(digest=digest, size=writer.size, content_type=content_type, name=named)

        return PackWriter(self._bodies, publish)

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
        """Store all that `stream` gives as a version of `name`, in little memory."""
        made = new_version(name, content_type, note, parents, tags)
        for parent in parents:
            if self.size(parent) is None:
                raise missing(parent)
        self.make_ready()
        numbers = list[int]()

        def publish(writer: BodyWriter) -> ArtifactRef:
            with self._sharing():
                digest = writer.end()
                records = made.records(digest, writer.size, self._bodies.now())
                numbers.append(number_of(self._ledger.append(*records, durable=True, by_hand=True)))
            return ArtifactRef(digest=digest, size=writer.size)

        with PackWriter(self._bodies, publish) as writer:
            while chunk := stream.read(CHUNK_BYTES):
                writer.write(chunk)
            writer.commit()
        found = self._ledger.ask(lambda index: index.versions.one(made.name, numbers[0]))
        assert found is not None
        return found

    def versions(self, name: str, *, limit: int = 100, before: int = INTEGER_MAX) -> list[ArtifactVersion]:
        """Return versions of a name, the newest first."""
        return self._known(lambda index: index.versions.of_name(called(index.versions, name), limit, before))

    def versions_of(self, digest: Digest, *, limit: int = 100) -> list[ArtifactVersion]:
        """Return the versions that have a body, the one that was put last first."""
        return self._known(lambda index: index.versions.of_body(digest, limit))

    def derived(self, digest: Digest, *, limit: int = 100) -> list[Derivation]:
        """Return what was made of a body directly."""
        return self._known(lambda index: derived(index, digest, limit))

    def sources(self, value: str) -> list[Digest]:
        """Return the bodies that are the value with this digest."""
        return self._known(lambda index: sorted(index.links.bodies_of(value)))

    def sources_of(self, values: Collection[str]) -> set[Digest]:
        """Return the bodies that are any of these values."""
        return self._known(lambda index: {one for of in values for one in index.links.bodies_of(of)})

    def users(self, digest: Digest, *, limit: int = 100) -> set[str]:
        """Return runs in which something was made of a body directly."""
        return self._known(lambda index: index.links.users_of(digest, limit))

    def made_by(self, run_id: str, *, limit: int = 1000) -> list[Derivation]:
        """Return what a run refers to."""
        found = self._known(lambda index: index.links.made_by(run_id, limit))
        return [Derivation(digest=digest, by=by) for digest, by in found]

    def tag(self, name: str, number: int, tag: str) -> int | None:
        """Give a version a tag, durably; return the version that had it before, if another one had it."""
        tag = new_tag(tag)
        self._known(lambda index: numbered(index.versions, name, number))
        with self._sharing():
            version = self._ledger.ask(lambda index: numbered(index.versions, name, number))
            before = self._ledger.ask(lambda index: index.versions.tags(version.name)).get(tag)
            told = Tagged(version.name, tag, version.digest, version.number, self._bodies.now())
            self._ledger.append(told, durable=True)
        return None if before == number else before

    def untag(self, name: str, tag: str) -> int:
        """Take a tag away, durably; return the version that had it."""
        known = self._known(lambda index: called(index.versions, name))
        number = self._ledger.ask(lambda index: tagged(index.versions, known, normal(tag)))
        self._ledger.append(Untagged(known, normal(tag)), durable=True)
        return number

    def get(self, digest: Digest) -> bytes:
        """A whole body, verified."""
        body = self._unsettled.body(digest)
        if body is None:
            body = self._bodies.read(digest)
        self._reads.note(digest)
        return body

    def open(self, digest: Digest) -> BinaryIO:
        """A body as a stream that cannot seek; it raises ArtifactCorrupt in place of its last bytes
        if they are not those that were put."""
        self._write_now(digest)
        stream = self._bodies.stream(digest)
        self._reads.note(digest)
        return stream

    def peek(self, digest: Digest, length: int) -> bytes:
        """The beginning of a body, verified. It does not count as a read."""
        if (body := self._unsettled.body(digest)) is not None:
            return body[:length]
        with ranges(self._bodies, digest) as found:
            return found.read(0, length)

    def ranges(self, digest: Digest) -> ArtifactRanges:
        """A body to be read in parts: no more of it is read, and verified, than is asked for."""
        self._write_now(digest)
        found = ranges(self._bodies, digest)
        self._reads.note(digest)
        return found

    def size(self, digest: Digest) -> int | None:
        """The bytes of a body, or None if it is not there. Not verified."""
        if (body := self._unsettled.body(digest)) is not None:
            return len(body)
        return None if (found := self._bodies.stat(digest)) is None else found.size

    def holds(self, ref: ArtifactRef) -> bool:
        """Return whether a body of this size is there, unverified; collection spares it as if put now."""
        if (body := self._unsettled.body(ref.digest)) is not None:
            return len(body) == ref.size
        found = self._bodies.stat(ref.digest)
        if found is None or found.size != ref.size:
            return False
        self._reads.note(ref.digest)
        with self._sharing():
            return self._bodies.touch(ref.digest)

    def require_room(self) -> None:
        """Raise StorageFull if there is no room for any further body."""
        self._bodies.require_room(0)

    def find(self, digest_or_name: str) -> ArtifactRecord:
        """By digest, prefix of 8 or more digits, name, or name and version, in this order."""
        self._tell_damage()
        if PREFIX.fullmatch(digest_or_name):
            whole = DIGEST.fullmatch(digest_or_name)  # saves a look at all that begin with its first digits
            found = [Digest(digest_or_name)] if whole else self._bodies.starting_with(digest_or_name)
            if len(found) > 1:
                raise ambiguous(digest_or_name, found)
            if found and (record := self._record(found[0])) is not None:
                if self._ledger.ask(lambda index: index.care_of(record.digest)).trashed is not None:
                    raise trashed(digest_or_name, record.digest)
                return record
        version = self._ledger.ask(
            lambda index: meant(
                index.versions, digest_or_name, lambda digest: index.care_of(digest).trashed is not None
            )
        )
        known = self._record(version.digest, version.name)
        if known is None:
            raise missing(version.label)
        return msgspec.structs.replace(known, content_type=version.content_type, version=version)

    def records(self, *, limit: int = 100, where: ArtifactFilter | None = None) -> Iterator[ArtifactRecord]:
        """Newest first, and first again if it was put again, unless `where` says otherwise."""
        self._tell_damage()
        if where is not None:
            found = self._ledger.ask(lambda index: index.select(where, max(limit, 0)))
            yield from filter(None, map(self._record, found))
            return
        before, left = INTEGER_MAX, limit
        while left > 0:
            page = self._page(before)
            for digest, sequence in page:
                before = sequence
                if left > 0 and (record := self._record(digest)) is not None:
                    left -= 1
                    yield record
            if len(page) < _PAGE:
                return

    def link(self, ref: ArtifactRef, provenance: Provenance, *, durable: bool = True) -> None:
        """Record that a run refers to `ref`: its body now stays until `unlink_run`.

        Linking again is harmless. Without `durable`, `settle` makes the record durable. Raises
        ArtifactMissing if the body is not there.
        """
        if ref.sealed is not None:
            self.link(ArtifactRef(digest=ref.sealed, size=0), provenance, durable=durable)
        if ref.digest not in self._unsettled and self._bodies.stat(ref.digest) is None:
            raise missing(ref.digest)
        if not durable:
            self._unsettled.add(self._linked(ref, provenance))
            return
        self.settle()  # the log keeps the order: a body is known before a run refers to it
        with self._sharing():
            if self._bodies.stat(ref.digest) is None:  # collected just now
                raise missing(ref.digest)
            self._ledger.append(self._linked(ref, provenance), durable=True)

    def settle(self) -> None:
        """Make durable all that was put and linked before without being so. Other processes see it then."""
        self._unsettled.settle()

    def rate(self, digest: Digest, rating: Rating) -> None:
        """Record, durably, how good somebody finds a body; see `symphony.ports.artifacts.Rating`."""
        check_rating(rating)
        self.settle()  # the log keeps the order: a body is known before it is rated
        if self._bodies.stat(digest) is None:
            raise missing(digest)
        with self._sharing():
            self._ledger.append(Rated(digest, rating), durable=True)

    def unlink_run(self, run_id: str) -> None:
        """Forget what a run refers to. Unknown runs are no error."""
        self.settle()
        if self.root.is_dir():
            self._ledger.append(Unlinked(run_id), durable=True)

    def collect(self, min_age_s: float = MIN_AGE_S) -> Collected:
        """Delete the bodies that no run refers to, that nobody outside of a run has named, and that
        were last put at least `min_age_s` seconds ago; clear what dead writers left behind.

        The age protects a body between its `put` and its `link`: keep it longer than that takes.
        Deletes nothing while the log has damaged lines, since references may be among them.
        """
        if not self._ready_to_clear():
            return Collected(0, 0)
        return self._tidied(self._trash.collect(min_age_s))

    def standings(self) -> Standings:
        """Return the facts about every artifact. Writes nothing but what was put and has not settled."""
        with self.look() as found:
            return Standings([one for page in found.pages() for one in page], found.damaged)

    @contextmanager
    def look(self, *, writes: bool = False) -> Iterator[StandingPages]:
        """Open a look at the facts about every artifact, page by page. It `writes` if it may."""
        self.settle()
        if not self.root.is_dir():
            yield StandingPages(lambda: iter(()))
            return
        with self._trash.look(writes=writes and self._ready_to_clear()) as found:
            yield found

    def counts(self) -> tuple[Collected, Collected]:
        """Return how many artifacts there are, with their bytes, and how many are in the trash."""
        return self._trash.counts()

    def about(self, digest: Digest) -> ArtifactRecord:
        """Return what is known of an artifact, which may be in the trash."""
        self.settle()
        if (record := self._record(digest)) is None:
            raise missing(digest)
        return record

    def trash(self, found: Iterable[tuple[Standing, str]], *, min_age_s: float = MIN_AGE_S) -> Collected:
        """Move artifacts that have not changed since `found` to the trash, each with the reason."""
        return self._trash.trash(found, min_age_s) if self._ready_to_clear() else Collected(0, 0)

    def restore(self, digests: Iterable[Digest] | None = None) -> Collected:
        """Take artifacts out of the trash; None: all."""
        return self._trash.restore(digests) if self._ready_to_clear() else Collected(0, 0)

    def sweep(self, found: Iterable[Standing], *, min_age_s: float = MIN_AGE_S) -> Collected:
        """Delete artifacts of the trash that have not changed since `found`."""
        if not self._ready_to_clear():
            return Collected(0, 0)
        return self._tidied(self._trash.sweep(found, min_age_s))

    def make_ready(self) -> None:
        """Get ready to put. Nobody is asked for a passphrase later, while others wait for a lock."""
        if self.keys.encrypts and self.keys.asks:
            self._bodies.packs.framing.make_ready()
        self._get_ready()

    def pin(self, digest: Digest, *, pinned: bool = True) -> bool:
        """Pin an artifact: it stays whatever rules say; whether that changed anything."""
        if not self._ready_to_clear():
            raise missing(digest)
        return self._trash.pin(digest, pinned=pinned)

    def is_pinned(self, digest: Digest) -> bool:
        """Return whether an artifact is pinned."""
        return self._known(lambda index: index.care_of(digest)).pinned is not None

    def move(
        self, found: Sequence[tuple[Standing, Tier, str]], *, out_of_time: Callable[[], bool] = lambda: False
    ) -> Collected:
        """Move artifacts to tiers, each with the reason; those that are there now and were not."""
        if not self._ready_to_clear() or self._trash.damaged():
            return Collected(0, 0)
        return self._tiers.move(found, tidy=True, out_of_time=out_of_time)

    def tier_of(self, digest: Digest) -> Tier:
        """Return the tier of an artifact, hot if it is not there."""
        return self._bodies.tier(digest)

    def tier_sizes(self) -> Mapping[Tier, int]:
        """Return how many bytes are stored in each tier."""
        self.settle()
        return self._tiers.sizes()

    def log_reads(self, *, forget: bool = False) -> None:
        """Record the reads of this process that are not recorded, and make hot what was read."""
        if (digests := self._reads.taken()) and not forget:
            with suppress(SymphonyError):  # a store that is not ours to write
                now_s = self._bodies.now()
                if records := self._ledger.ask(lambda index: index.news_of(digests, now_s)):
                    self._ledger.append(*records, durable=False)
                self._tiers.raise_read(digests)

    @property
    def wrote(self) -> bool:
        """Return whether this process has stored anything."""
        return self._ready

    def send(self) -> Sent:
        """Send all that was stored to where the settings say; see `packs.sending`."""
        self.settle()
        return self._sender.send() if self.root.is_dir() else Sent(0, 0)

    def sent(self) -> tuple[Sent, Sent]:
        """Return how much lies outside, but for what is cold, and how much has not been sent."""
        return self._sender.sent()

    def check_place(self, address: str) -> None:
        """Raise what is wrong with a place outside, also that it has nothing of what was sent there."""
        self._bodies.packs.files.away.check(address)

    def close(self) -> None:
        """Settle, and close what is open; the next use opens it again."""
        self.settle()
        self.log_reads()
        self._sender.close()
        self._ledger.close()
        self._bodies.close()

    # -- within

    def _known(self, question: Callable[[Index], T]) -> T:
        """Ask what is known, after this process's puts; what is not known for damage is told once."""
        self._tell_damage()
        return self._ledger.ask(question)

    def _tell_damage(self) -> None:
        """Report once that not everything is known. What this process has put is known."""
        self.settle()
        damaged = 0 if self._told else self._ledger.ask(lambda index: index.position().damaged)
        if damaged:
            self._told = True
            logger.warning(
                "%s has %d damaged lines: names and origins of artifacts may be missing (see symphony fsck)",
                self.root / "records.log",
                damaged,
            )

    def _get_ready(self) -> None:
        if not self._ready:
            self._bodies.prepare()
            self._ledger.ensure()
            self._ready = True

    def _ready_to_clear(self) -> bool:
        """Return whether there is anything that could go; all that was put is known then."""
        if not self.root.is_dir():
            return False
        self._get_ready()
        self.settle()
        return True

    def _tidied(self, collected: Collected) -> Collected:
        """Move bodies of an earlier version into packs, and free what bodies that are gone have taken."""
        if not self._trash.damaged():
            adopt_old(self._bodies, self._alone)
            self._bodies.tidy(self._alone)
        return collected

    def _alone(self) -> AbstractContextManager[None]:
        """Keep writers and other collections out."""
        return file_lock(self.root / "collect.lock", exclusive=True)

    @contextmanager
    def _sharing(self) -> Iterator[None]:
        """Keep collections out. Any number of writers may share."""
        with file_lock(self.root / "collect.lock", exclusive=False):
            yield

    def _put_soon(self, digest: Digest, body: bytes, name: str | None, content_type: str) -> None:
        """Have a body written where it belongs by the next `settle`, if it is not there."""
        if digest not in self._unsettled and self._bodies.stat(digest) is None:
            self._bodies.require_room(len(body) + self._unsettled.size)
        if name is not None:
            self._count_unclaimed(name, digest)
        self._unsettled.add(Put(digest, len(body), content_type, name), digest, body)
        if self._unsettled.size > UNSETTLED_BYTES_MAX:
            self.settle()

    def _write_now(self, digest: Digest) -> None:
        """Settle if the body may have no file."""
        if digest in self._unsettled:
            self.settle()

    def _write(self, bodies: Mapping[Digest, bytes], records: Sequence[Record]) -> None:
        """Write and sync bodies, then log what is known of them: what the log names is on the disk."""
        if self._reads.due:
            self.log_reads()
        with self._sharing():
            times = self._place_all(bodies)
            self._ledger.append(*[timed(record, times) for record in records], durable=True)

    def _place_all(self, bodies: Mapping[Digest, bytes]) -> dict[Digest, float]:
        """Have bodies where they belong; when each was put there, in seconds since the epoch."""
        new = dict[Digest, bytes]()
        for digest, body in bodies.items():
            if not self._bodies.intact(digest, len(body), trusting=True) or not self._bodies.touch(digest):
                new[digest] = body
        if new:
            self._bodies.require_room(sum(map(len, new.values())))
            self._bodies.put(new)
        return dict.fromkeys(bodies, self._bodies.now()) if bodies else {}

    def _refreshed(self, digest: Digest, size: int, name: str | None, content_type: str) -> bool:
        """Return whether an intact body was there already. Then it counts as put now."""
        if not self._bodies.intact(digest, size, trusting=True):
            return False
        with self._sharing():
            if not self._bodies.touch(digest):
                return False
            self._log_put(digest, size, name, content_type)
        return True

    def _log_put(self, digest: Digest, size: int, name: str | None, content_type: str) -> None:
        put = Put(digest, size, content_type, name, self._bodies.now(), given=name is not None)
        self._ledger.append(put, durable=name is not None)
        if name is not None:
            self._count_unclaimed(name, digest)

    def _count_unclaimed(self, name: str, digest: Digest) -> None:
        with self._unclaimed_mutex:
            self._unclaimed[name, digest] += 1

    def _claimed(self, ref: ArtifactRef) -> int:
        """Return how often this store has put the artifact that is now linked to a run, and forget it."""
        if ref.name is None:
            return 0
        with self._unclaimed_mutex:
            return self._unclaimed.pop((ref.name, ref.digest), 0)

    def _linked(self, ref: ArtifactRef, provenance: Provenance) -> Linked:
        return Linked(ref.digest, provenance, ref.name, self._claimed(ref), value=value_digest(ref))

    def _record(self, digest: Digest, name: str | None = None) -> ArtifactRecord | None:
        stored = self._bodies.stat(digest)
        if stored is None:
            return None
        record = self._ledger.ask(lambda index: index.record(digest, name))
        if record is not None:
            return msgspec.structs.replace(record, size=stored.size)
        return ArtifactRecord(
            digest=digest, size=stored.size, content_type=UNKNOWN_TYPE, created_at=stored.changed_at
        )

    def _page(self, before: int) -> list[tuple[Digest, int]]:
        return self._ledger.ask(lambda index: index.newest(_PAGE, before))
