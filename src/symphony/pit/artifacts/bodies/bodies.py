"""Bodies by their digest: small ones whole, large ones as chunks, all of them in packs; old ones in files.

What is known about the bodies is in `metadata`; who may delete them, `store.files` decides.
"""

import fcntl
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from symphony.commons.filesystem import release_lock, sync_directory
from symphony.pit.artifacts.base.failures import file_lock, io_errors, require_room
from symphony.pit.artifacts.base.rules import DIGEST, corrupt, invalid_digest, missing, tampered
from symphony.pit.artifacts.bodies.objects import CHUNK_BYTES, ObjectFiles, Stored
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.packs.files import PackGone
from symphony.pit.artifacts.packs.frames import ItemKind
from symphony.pit.artifacts.packs.framing import PendingFrame
from symphony.pit.artifacts.packs.index import Row
from symphony.pit.artifacts.packs.manifests import WHOLE_MAX, Cutter, Manifest
from symphony.pit.artifacts.packs.packs import (
    ENTRY_BYTES,
    FRAME_BYTES,
    TOGETHER_BYTES,
    Packs,
    Reading,
)
from symphony.pit.artifacts.packs.scanning import ItemAbsent, ItemDamaged, ItemFar, ItemTampered
from symphony.ports.retention import Tier
from symphony.ports.values import Digest

SMALL_MAX = 8 << 10


class Bodies:
    """The bodies under `root`. Thread-safe, several processes at once. Creates nothing until a write.

    With `look` it changes no file. Errors: ArtifactMissing, ArtifactCorrupt, StorageFull, IoFailed.
    """

    def __init__(
        self,
        root: Path,
        *,
        look: bool = False,
        outside: OutsidePlaces | None = None,
        keys: StoreKeys | None = None,
    ) -> None:
        self._root, self.outside = root, outside
        self.packs, self.old = Packs(root, look=look, outside=outside, keys=keys), ObjectFiles(root)

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        self.packs.close()

    # -- writing

    def prepare(self) -> None:
        """Make the folders, durably, and clear what dead writers of earlier versions left."""
        with io_errors(f"set up the artifact store {self._root}"):
            self._root.mkdir(parents=True, mode=0o700, exist_ok=True)
            self.packs.files.prepare()
        self.old.clear_strays()

    def now(self) -> float:
        """Now, by the clock that tells when bodies were put, in seconds since the epoch."""
        return self.packs.now()

    def put(self, bodies: Mapping[Digest, bytes]) -> None:
        """Store bodies, durably, whether they are there or not."""
        frames, cut, small = list[PendingFrame](), Chunks(self.packs), list[tuple[bytes, bytes]]()
        for digest, body in bodies.items():
            key = bytes.fromhex(digest)
            if len(body) <= SMALL_MAX and len(bodies) > 1:
                small.append((key, body))
                continue
            if len(body) <= WHOLE_MAX:
                frames.append(self.packs.framing.framed(ItemKind.BODY, [(key, body)]))
                continue
            if len(body) > _FLUSHED_BYTES:
                writer = BodyWriter(self.packs)
                writer.write(body)
                writer.end()
                continue
            cutter, manifest = Cutter(), Manifest()
            for chunk in (*cutter.feed(body), *cutter.end()):
                cut.add(chunk, manifest)
            frames.append(self.packs.framing.framed_manifest(key, manifest))
        self.packs.add([*cut.taken(), *frames, *self._together(small)])

    def _together(self, small: Sequence[tuple[bytes, bytes]]) -> Iterator[PendingFrame]:
        """Frames of small bodies that came at once: they compress better together."""
        some, size = list[tuple[bytes, bytes]](), 0
        for key, body in small:
            if some and size + len(body) + ENTRY_BYTES > TOGETHER_BYTES:
                yield self.packs.framing.framed(ItemKind.BODY, some)
                some, size = [], 0
            some.append((key, body))
            size += len(body) + ENTRY_BYTES
        if some:
            yield self.packs.framing.framed(ItemKind.BODY, some)

    def require_room(self, size: int) -> None:
        """Raise StorageFull if `size` bytes more would leave less than what is spared."""
        require_room(self._root, size)

    def touch(self, digest: Digest) -> bool:
        """Make a body count as put just now; False if it is not there."""
        return self.packs.touch(body_key(digest)) or self.old.touch(digest)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Keep chunks that no body needs yet from being swept, however long it takes."""
        with file_lock(self._root / "streams.lock", exclusive=False):
            yield

    # -- deleting; the caller sees to it that nobody puts meanwhile

    def remove(self, digests: Iterable[Digest]) -> None:
        keys = list(digests)
        self.packs.remove([body_key(digest) for digest in keys])
        for digest in keys:
            self.old.remove(digest)

    def tidy(self, exclusively: Callable[[], AbstractContextManager[None]]) -> int:
        """Sweep chunks that nobody needs, and rewrite packs of which most is not needed; the bytes freed.

        `exclusively` keeps others from putting meanwhile. It is entered for one pack at a time.
        """
        from symphony.pit.artifacts.packs.repacking import repack

        self.old.clear_strays()
        with exclusively(), alone(self._root / "streams.lock") as nobody:
            if nobody:
                self.packs.sweep()
        return repack(self.packs, exclusively)

    def adopt(self, digests: Iterable[Digest]) -> None:
        """Move bodies out of files of an earlier version into packs."""
        for digest in digests:
            found = self.old.stat(digest)
            if found is None or not self.old.intact(digest, found.size):
                continue
            if self.packs.find(body_key(digest)) is None:
                with self.old.stream(digest) as stream:
                    writer = BodyWriter(self.packs)
                    while piece := stream.read(CHUNK_BYTES):
                        writer.write(piece)
                    writer.end()
            self.old.remove(digest)

    # -- repairing; the caller sees to it that nobody puts meanwhile

    def revive(self, digest: Digest, size: int) -> bool:
        """Set right the marks of a body that is damaged in nothing else; False if it is."""
        from symphony.pit.artifacts.packs.checking import revive

        row = self.packs.find(body_key(digest))
        if row is None or not self._same(row):
            return False
        chunks = self.packs.manifest(row) if row.kind == ItemKind.MANIFEST else ()
        revive(self.packs, row)
        for chunk, _ in chunks:
            if (found := self.packs.find_item(chunk, ItemKind.CHUNK)) is not None:
                revive(self.packs, found)
        return self.intact(digest, size)

    def drop_copies(self, digest: Digest) -> bool:
        """Delete what is kept here of packs outside that a body is in; False if nothing was."""
        row = self.packs.find(body_key(digest))
        rows = [] if row is None else [row]
        if row is not None and row.kind == ItemKind.MANIFEST:
            with suppress(ItemAbsent, ItemDamaged):
                chunks = self.packs.manifest(row)
                found = [self.packs.find_item(chunk, ItemKind.CHUNK) for chunk, _ in chunks]
                rows += [one for one in found if one is not None]
        names = {self.packs.name_of(one.pack) for one in rows}
        dropped = [self.packs.files.drop_copy(name) for name in names if name is not None]
        return any(dropped)

    def set_aside(self, digest: Digest, target: Path) -> None:
        """Move what is left of a damaged body into a file. Its chunks that are good stay for others."""
        row = self.packs.find(body_key(digest))
        with io_errors(f"move a damaged body into {target.parent}"):
            if row is None:
                self.old.place(digest).rename(target)
            else:
                with target.open("wb") as copy:
                    copy.writelines(self._left(row))
            sync_directory(target.parent)
        if row is not None:
            self.packs.remove([row.digest])

    def _left(self, row: Row) -> Iterator[bytes]:
        """What is found at the places of a body's parts."""
        from symphony.pit.artifacts.packs.checking import salvage

        rows = [row]
        if row.kind == ItemKind.MANIFEST:
            with suppress(ItemAbsent, ItemDamaged):
                chunks = self.packs.manifest(row)
                found = [self.packs.find_item(chunk, ItemKind.CHUNK) for chunk, _ in chunks]
                rows = [one for one in found if one is not None]
        for one in rows:
            name = self.packs.name_of(one.pack)
            with suppress(PackGone):
                yield b"" if name is None else salvage(self.packs, one, name)

    def _same(self, row: Row) -> bool:
        with suppress(ItemAbsent, ItemDamaged):
            require_same(self.packs, row)
            return True
        return False

    # -- reading

    def read(self, digest: Digest) -> bytes:
        """The body, verified."""
        row = self.packs.find(body_key(digest))
        if row is None:
            return self.old.read(digest)
        with refusals(digest):
            body = b"".join(parts(self.packs, row))
            if hashlib.sha256(body).digest() != row.digest:
                raise ItemDamaged("its bytes have changed")
        return body

    def stream(self, digest: Digest) -> BinaryIO:
        """The body as a stream which raises ArtifactCorrupt in place of its last bytes if they differ."""
        row = self.packs.find(body_key(digest))
        if row is None:
            return self.old.stream(digest)
        return io.BufferedReader(_Verifying(self.packs, row), CHUNK_BYTES)

    def intact(
        self, digest: Digest, size: int, *, trusting: bool = False, reading: Reading | None = None
    ) -> bool:
        """Return whether the body is there, whole and unchanged.

        With `trusting`, what lies outside of the home is taken to be so: nothing is asked for there. What is
        not hot is taken to be absent then, so that it is stored again. `reading` keeps what several bodies
        need that are looked at one after the other.
        """
        row = self.packs.find(body_key(digest))
        if row is None:
            return self.old.intact(digest, size)
        if row.size != size or (trusting and self.packs.tier(row) is not Tier.HOT):
            return False
        hasher = hashlib.sha256()
        try:
            for part in parts(self.packs, row, alive=True, near=trusting, reading=reading):
                hasher.update(part)
        except ItemFar:
            return self._intact_here(row)
        except (ItemAbsent, ItemDamaged):
            return False
        return hasher.digest() == row.digest

    def _intact_here(self, row: Row) -> bool:
        """Return whether those parts of a body that are in the home are unchanged, and none is nowhere."""
        if self.packs.is_away(row):
            return True
        reading = self.packs.reading()
        try:
            for digest, _ in self.packs.manifest(row, alive=True):
                with suppress(ItemFar):
                    chunk = reading.item(digest, ItemKind.CHUNK, alive=True, near=True)
                    if hashlib.sha256(chunk).digest() != digest:
                        return False
        except (ItemAbsent, ItemDamaged):
            return False
        return True

    def tampered(self, digest: Digest) -> bool:
        """Return whether somebody has changed what is stored of a body, and made it look right."""
        row = self.packs.find(body_key(digest))
        try:
            for _ in () if row is None else parts(self.packs, row):
                pass
        except ItemTampered:
            return True
        except (ItemAbsent, ItemDamaged):
            return False
        return False

    def stat(self, digest: Digest) -> Stored | None:
        """Size and age of one body, or None if it is not there."""
        row = self.packs.find(body_key(digest))
        return self.old.stat(digest) if row is None else _stored(row)

    def starting_with(self, prefix: str) -> list[Digest]:
        """All digests that begin with `prefix`, which has at least two digits."""
        low, high = bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))
        packed = self.packs.ask(lambda index: index.starting_with(low, high))
        return sorted({*map(_digest, packed), *self.old.starting_with(prefix)})

    def tier(self, digest: Digest) -> Tier:
        """How a body lies; hot if it is not there. Raises IoFailed."""
        row = self.packs.find(body_key(digest))
        return Tier.HOT if row is None else self.packs.tier(row)

    def all(self) -> Iterator[Stored]:
        """Every body, in order of the digests."""
        tiers, last = self.packs.tiers(), ""
        packed = (_stored(row)._replace(tier=tiers.get(row.pack, Tier.HOT)) for row in self.packs.bodies())
        for stored in merge(packed, self.old.all()):
            if stored.digest != last:
                yield stored
            last = stored.digest

    def by_place(self) -> Iterator[Stored]:
        """Every body, in the order in which reading all of them takes the least time."""
        yield from map(_stored, self.packs.bodies_by_place())
        yield from self.old.all()


class Chunks:
    """Chunks on their way into packs, several to a frame; those that are there already are left out."""

    def __init__(self, packs: Packs) -> None:
        self._packs, self._reading = packs, packs.reading()
        self._seen = set[bytes]()
        self._frame: list[tuple[bytes, bytes]] = []
        self._frames: list[PendingFrame] = []
        self._raw, self.size = 0, 0
        """`size`: the bytes that wait."""

    def add(self, chunk: bytes, manifest: Manifest) -> None:
        """Have a chunk stored, and list it."""
        digest = hashlib.sha256(chunk).digest()
        manifest.add(digest, len(chunk))
        if digest in self._seen or self._there(digest):
            return
        self._seen.add(digest)
        if self._frame and self._raw + len(chunk) > FRAME_BYTES:
            self._close_frame()
        self._frame.append((digest, chunk))
        self._raw += len(chunk)

    def taken(self) -> list[PendingFrame]:
        """Every frame that waits. They are the caller's now."""
        if self._frame:
            self._close_frame()
        frames, self._frames, self.size, self._seen = self._frames, [], 0, set()
        return frames

    def _close_frame(self) -> None:
        self._frames.append(self._packs.framing.framed(ItemKind.CHUNK, self._frame))
        self.size += len(self._frames[-1].payload)
        self._frame, self._raw = [], 0

    def _there(self, digest: bytes) -> bool:
        """Look at a chunk, since a damaged one helps nobody."""
        try:
            found = self._reading.item(digest, ItemKind.CHUNK, alive=True, near=True, hot=True)
        except ItemFar:
            return True
        except (ItemAbsent, ItemDamaged):
            return False
        return hashlib.sha256(found).digest() == digest


class BodyWriter:
    """Writes one body of any length piece by piece, in little memory. One thread at a time."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._cutter, self._manifest, self._chunks = Cutter(), Manifest(), Chunks(packs)
        self._hasher, self._head = hashlib.sha256(), b""
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises StorageFull, IoFailed."""
        self._hasher.update(piece)
        self.size += len(piece)
        if self.size <= WHOLE_MAX:
            self._head += piece
            return
        self._cut(self._head + piece if self._head else bytes(piece))
        self._head = b""

    def end(self) -> Digest:
        """Store what was written, durably. Raises StorageFull, IoFailed."""
        key = self._hasher.digest()
        row = self._packs.find(key)
        if row is not None and row.size == self.size and self._far_and_hot(row):
            self._packs.touch(key)
        elif self.size <= WHOLE_MAX:
            self._packs.add([self._packs.framing.framed(ItemKind.BODY, [(key, self._head)])])
        else:
            for chunk in self._cutter.end():
                self._chunks.add(chunk, self._manifest)
            self._packs.add([*self._chunks.taken(), self._packs.framing.framed_manifest(key, self._manifest)])
        return _digest(key)

    def _far_and_hot(self, row: Row) -> bool:
        return self._packs.is_away(row) and self._packs.tier(row) is Tier.HOT

    @property
    def digest(self) -> Digest:
        """Of what was written so far."""
        return Digest(self._hasher.hexdigest())

    def _cut(self, body: bytes) -> None:
        for start in range(0, len(body), CHUNK_BYTES):
            for chunk in self._cutter.feed(body[start : start + CHUNK_BYTES]):
                self._chunks.add(chunk, self._manifest)
            if self._chunks.size > _FLUSHED_BYTES:
                self._packs.add(self._chunks.taken())


def parts(
    packs: Packs, row: Row, *, alive: bool = False, near: bool = False, reading: Reading | None = None
) -> Iterator[bytes]:
    """The bytes of a body, chunk by chunk. Raises ItemAbsent, ItemDamaged, IoFailed; ItemFar with `near`."""
    reading = reading or packs.reading()
    if near and packs.is_away(row):
        raise ItemFar(row.digest.hex())
    if row.kind == ItemKind.BODY:
        yield reading.item(row.digest, ItemKind.BODY, alive=alive)
        return
    chunks = iter(packs.manifest(row, alive=alive, reading=reading))
    while some := [digest for digest, _ in islice(chunks, _LOOKED_UP)]:
        reading.look_up(some, ItemKind.CHUNK)
        for digest in some:
            yield chunk_of(reading, digest, alive=alive, near=near)


def require_same(packs: Packs, row: Row) -> None:
    """Raise ItemDamaged unless a body has its digest; ItemAbsent, IoFailed."""
    hasher = hashlib.sha256()
    for part in parts(packs, row):
        hasher.update(part)
    if hasher.digest() != row.digest:
        raise ItemDamaged("its bytes have changed")


def chunk_of(reading: Reading, digest: bytes, *, alive: bool = False, near: bool = False) -> bytes:
    """One chunk of a body, not compared with its digest. Raises ItemDamaged also if it is not there."""
    try:
        return reading.item(digest, ItemKind.CHUNK, alive=alive, near=near)
    except ItemAbsent:
        raise ItemDamaged("a part of it is gone") from None


class _Verifying(io.RawIOBase):
    """Reads a body once from start to end and checks its digest before giving out the last bytes."""

    def __init__(self, packs: Packs, row: Row) -> None:
        self._digest, self._key = _digest(row.digest), row.digest
        self._parts, self._hasher = parts(packs, row), hashlib.sha256()
        self._part = memoryview(b"")
        self._left, self._verified = row.size, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]  # RawIOBase has no narrower name
        with refusals(self._digest):
            while not self._part and not self._verified:
                self._next()
        view = memoryview(buffer)
        count = min(len(view), len(self._part))
        view[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def _next(self) -> None:
        part = next(self._parts, None)
        if part is not None:
            self._hasher.update(part)
            self._left -= len(part)
        if self._left <= 0 or part is None:
            if self._left or self._hasher.digest() != self._key:
                raise ItemDamaged("its bytes have changed")
            self._verified = True
        self._part = memoryview(part or b"")


@contextmanager
def refusals(digest: Digest) -> Iterator[None]:
    """What is wrong with items as what is wrong with a body."""
    try:
        yield
    except ItemAbsent:
        raise missing(digest) from None
    except ItemTampered as why:
        raise tampered(digest, str(why)) from why
    except ItemDamaged as why:
        raise corrupt(digest, str(why)) from why


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold a lock exclusively, or find that others hold it."""
    with io_errors(f"open {path}"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        release_lock(fd)


def body_key(digest: Digest) -> bytes:
    if DIGEST.fullmatch(digest) is None:
        raise invalid_digest(digest)
    return bytes.fromhex(digest)


def _digest(key: bytes) -> Digest:
    return Digest(key.hex())


def _stored(row: Row) -> Stored:
    return Stored(_digest(row.digest), row.size, row.touched)


_LOOKED_UP = 64
_FLUSHED_BYTES = 8 << 20
"""A body that arrives in pieces waits in memory for no more than that, and is then synced."""
