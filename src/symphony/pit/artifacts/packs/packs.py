"""Items by their digest, in pack files: added many at a time, read one by one, forgotten in the end."""

import copy
import logging
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import release_lock
from symphony.pit.artifacts.base.database import DatabaseBroken, set_aside
from symphony.pit.artifacts.base.failures import file_lock, io_errors, unwritable
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import AwayReader, OutsidePlaces
from symphony.pit.artifacts.packs.files import (
    PACK_BYTES,
    Appended,
    PackFiles,
    PackGone,
    PackReader,
    append,
)
from symphony.pit.artifacts.packs.frames import (
    ALIVE,
    DEAD,
    ItemKind,
    PackFrame,
    frame_at,
    frame_head,
    head_bytes,
)
from symphony.pit.artifacts.packs.framing import FrameMaker, PendingFrame
from symphony.pit.artifacts.packs.index import PackIndex, Row
from symphony.pit.artifacts.packs.manifests import Manifest, ManifestDamaged
from symphony.pit.artifacts.packs.scanning import (
    ItemAbsent,
    ItemDamaged,
    ItemFar,
    Scanned,
    item_of,
    lost_is_damaged,
    raw_of,
    row_of,
    scan,
)
from symphony.ports.artifacts import StorageFull

T = TypeVar("T")
Enter: TypeAlias = Callable[[PackIndex, int, Scanned], None]
"""Indexes what was appended to the pack of a number."""

FRAME_BYTES = 128 << 10
"""Chunks are compressed together up to so many bytes: a part of a body costs no more than that to read."""

_CANDIDATES = 8
_FRAMES_KEPT = 4
_GUESSED_BYTES = 512

_abandoned: list[object] = []

logger = logging.getLogger(__name__)


class _Ticket:
    """Frames that wait for their turn."""

    __slots__ = ("done", "error", "frames")

    def __init__(self, frames: Sequence[PendingFrame]) -> None:
        self.frames, self.done = frames, False
        self.error: Exception | None = None


class Packs:
    """Thread-safe, several processes at once. Creates nothing until something is added.

    What was added is durable when `add` returns. Additions of several threads that arrive together share one
    write and one sync. With `look` no file is changed: the index is a copy in memory. Under `root`: `packs/`,
    `packs.db`, which is made of it, and `packs.lock`.
    Errors: ItemAbsent, ItemDamaged, StorageFull, IoFailed.
    """

    def __init__(
        self,
        root: Path,
        *,
        look: bool = False,
        outside: OutsidePlaces | None = None,
        keys: StoreKeys | None = None,
    ) -> None:
        self._root, self.keys = root, StoreKeys(root) if keys is None else keys
        outside = outside or OutsidePlaces()
        self.files = PackFiles(root / "packs", outside, self.keys)
        self.framing = FrameMaker(self.files.folder, outside, self.keys)
        self.on_full: Callable[[], None] | None = None
        """Called when this store has filled a pack."""
        self._index_path, self._lock = root / "packs.db", root / "packs.lock"
        self._index: PackIndex | None = None
        self._nothing: PackIndex | None = None
        self._inode = (0, 0)
        self._read_only = look
        self.distrusted = False
        """True once a file of the index was found to be damaged that must not be changed."""
        self._names: dict[int, str] = {}
        self._mutex = threading.RLock()
        self._pid = os.getpid()
        self._writing = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._appended: Appended | None = None
        self._number = 0

    # -- adding

    def add(self, frames: Sequence[PendingFrame]) -> None:
        """Store items, durably. Those that are there already are found in the new place from now on."""
        if not frames:
            return
        ticket = _Ticket(frames)
        self._waiting.append(ticket)
        with self._writing:
            if not ticket.done:
                self._add_waiting()
        if ticket.error is not None:
            raise copy.copy(ticket.error) from ticket.error

    def release(self) -> None:
        """Let others append to the pack that this store has appended to."""
        with self._writing:
            self._let_go()

    def _add_waiting(self) -> None:
        batch: list[_Ticket] = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        try:
            self._append([frame for ticket in batch for frame in ticket.frames])
        except BaseException as error:
            failed = error if isinstance(error, SymphonyError) else IoFailed("storing was interrupted")
            for ticket in batch:
                ticket.error = failed
            if not isinstance(error, SymphonyError):
                raise
        finally:
            for ticket in batch:
                ticket.done = True

    def move(self, frames: Sequence[PendingFrame], places: Sequence[Row]) -> None:
        """Store items again that are at `places`, each once. They are found in the new place from then on."""
        with self._writing:

            def enter(index: PackIndex, number: int, found: Scanned) -> None:
                with index.changes(durable=True):
                    index.move(zip(places, found.rows, strict=True))
                    index.scanned(number, found.end)

            self._append(frames, enter)

    def _append(self, frames: Sequence[PendingFrame], enter: Enter | None = None) -> None:
        pack, enter = self._appendable(), enter or self._enter
        rows, manifests, pieces, at = list[Row](), dict[bytes, Manifest](), list[bytes](), pack.size
        touched = self.now()
        for one in frames:
            head = frame_head(pack.name, one.codec, one.raw, one.payload, one.items)
            frame = PackFrame(at, one.codec, len(one.payload), one.raw, 0, one.items)
            rows += [
                row_of(frame, item, place, self._number, touched) for place, item in enumerate(one.items)
            ]
            if one.manifest is not None:
                manifests[one.items[0].digest] = one.manifest
            pieces += (head, one.payload)
            at = frame.end
        try:
            pack = self._appended = append(pack, b"".join(pieces), sync=True)
        except BaseException:
            self._let_go()  # its length is looked at again
            raise
        found = Scanned(pack.size, rows, manifests)
        self.ask(lambda index: enter(index, self._number, found))
        if pack.size >= PACK_BYTES:
            self._let_go()
            if self.on_full is not None:
                self.on_full()

    def _appendable(self) -> Appended:
        """A pack that only this store appends to."""
        self._check_fork()
        if self._appended is not None and not self.files.in_place(self._appended):
            self._let_go()
        if self._appended is None:
            with io_errors(f"store a body in {self.files.folder}"):
                self.files.prepare()
                for name in self.ask(lambda index: index.with_room(PACK_BYTES, _CANDIDATES)):
                    pack = self.files.appendable(name)
                    if pack is not None:
                        self._appended, self._number = pack, self.caught_up(pack)
                        return pack
                pack = self._appended = self.files.new()
                self._number = self.ask(lambda index: self._begun(index, pack))
        return self._appended

    def caught_up(self, pack: Appended) -> int:
        """Index what a writer that died had written to a locked pack; its number."""

        def number(index: PackIndex) -> int:
            number, scanned = index.packs().get(pack.name, (0, 0))
            if scanned == pack.size:
                return number
            return self._scanned(index, pack.name, scanned if scanned < pack.size else 0)

        return self.ask(number)

    def _begun(self, index: PackIndex, pack: Appended) -> int:
        with index.changes():
            return index.add_pack(pack.name, pack.size)

    def _let_go(self) -> None:
        self._check_fork()
        if self._appended is not None:
            release_lock(self._appended.fd)
            self._appended = None

    # -- reading

    def find(self, digest: bytes) -> Row | None:
        """Where a body or its manifest is, without looking at it."""
        return self.ask(lambda index: index.body(digest))

    def find_item(self, digest: bytes, kind: ItemKind) -> Row | None:
        """Where an item is, without looking at it."""
        return self.ask(lambda index: index.find(digest, kind))

    def reader(self, name: str) -> PackReader | AwayReader:
        """An open pack. Raises PackGone."""
        with self._mutex:
            return self.files.reader(name)

    def is_away(self, row: Row) -> bool:
        """Return whether reading an item would ask for it outside."""
        name = self.name_of(row.pack)
        return name is not None and self.files.is_only_away(name)

    def reading(self) -> "Reading":
        """Reads items; those of one frame cost little more than one of them."""
        return Reading(self)

    def manifest(self, row: Row, *, alive: bool = False) -> Manifest:
        """The chunks of a body. Raises ItemAbsent, ItemDamaged."""
        try:
            return Manifest.decoded(self.reading().item(row.digest, ItemKind.MANIFEST, alive=alive), row.size)
        except ManifestDamaged as error:
            raise ItemDamaged(str(error)) from error

    def encrypted(self, row: Row) -> bool:
        """Return whether an item is encrypted; False also if it is not at its place any more."""
        name = self.name_of(row.pack)
        with self._mutex, suppress(PackGone), io_errors(f"read pack {name}"):
            frame = None if name is None else self.files.frame(name, row.offset)
            return frame is not None and frame.encrypted
        return False

    def bodies(self) -> Iterator[Row]:
        """Every body, in order of the digests."""
        after = b""
        while page := self.ask(lambda index, after=after: index.bodies(after, 1000)):  # type: ignore[misc]
            yield from page
            after = page[-1].digest

    # -- forgetting; the caller sees to it that nobody adds meanwhile

    def touch(self, digest: bytes) -> bool:
        """Make a body count as put just now; False if it is not there."""
        try:
            now = self.now()
            return self.ask(lambda index: index.touch(digest, now))
        except IoFailed:
            # Another user's store: it may be read; only the age that protects it is unchanged.
            if self.find(digest) is not None and not os.access(self._root, os.W_OK):
                return True
            if not self._root.is_dir():
                return False
            raise

    def remove(self, digests: Collection[bytes]) -> None:
        """Forget bodies. Their chunks stay until `sweep`."""
        gone, manifests = list[Row](), list[Manifest]()
        for digest in digests:
            if (row := self.find(digest)) is None:
                continue
            gone.append(row)
            if row.kind == ItemKind.MANIFEST:
                try:
                    manifests.append(self.manifest(row))
                except (ItemAbsent, ItemDamaged):
                    logger.debug("the chunks of a damaged body stay", exc_info=True)

        def forget(index: PackIndex) -> None:
            with index.changes():
                for manifest in manifests:
                    index.refer((digest for digest, _ in manifest), -1)
                for row in gone:
                    index.remove(row.digest, row.kind)

        self.ask(forget)
        self._mark_dead(gone)

    def sweep(self) -> None:
        """Forget the chunks that no body needs."""
        while rows := self.ask(lambda index: index.unused_chunks(1000)):

            def forget(index: PackIndex, rows: Sequence[Row] = rows) -> None:
                with index.changes():
                    for row in rows:
                        index.remove(row.digest, row.kind)

            self.ask(forget)
            self._mark_dead(rows)

    def _mark_dead(self, rows: Iterable[Row]) -> None:
        """Mark what the index has forgotten in the packs too, in this order: a mark must never be wrong."""
        places: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            if (name := self.name_of(row.pack)) is not None:
                places.setdefault(name, []).append((row.offset, row.number))
        for name, found in places.items():
            self.files.mark_dead(name, found)

    # -- the index

    def ask(self, question: Callable[[PackIndex], T]) -> T:
        """`question`, put to an index that knows what this process and those before it have added."""
        with self._mutex:
            try:
                return question(self._opened())
            except DatabaseBroken as error:
                self._discard(error)
            try:
                return question(self._opened())
            except DatabaseBroken as error:
                raise IoFailed(
                    f"the index of the packs is unusable even after it was rebuilt: {error}"
                ) from error

    def refresh(self) -> None:
        """Bring the index up to what is in the folder."""
        with self._mutex:
            self._close_index()
            self._opened()

    def name_of(self, pack: int) -> str | None:
        """The name of a pack by its number."""
        with self._mutex:
            if pack not in self._names:
                name = self.ask(lambda index: index.pack_name(pack))
                if name is None:
                    return None
                self._names[pack] = name
            return self._names[pack]

    def now(self) -> float:
        """Now, by the clock of the file system, in seconds since the epoch."""
        with io_errors(f"write {self._root}"):
            os.utime(self._root)
            return self._root.stat().st_mtime

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        self.release()
        with self._mutex:
            self._check_fork()
            self._close_index()
            self.files.forget()

    def _opened(self) -> PackIndex:
        self._check_fork()
        if self._index is not None and (self._read_only or _inode(self._index_path) == self._inode):
            return self._index
        self._close_index()
        if not self.files.folder.is_dir():
            self._nothing = self._nothing or PackIndex(None)
            return self._nothing
        try:
            if not self._read_only:
                return self._open_file()
        except IoFailed as error:
            if not unwritable(self._root, error):
                raise
            self._read_only = True
        self._index = self._copied()
        self._catch_up(self._index)
        return self._index

    def _copied(self) -> PackIndex:
        """An index in memory, of the file if there is a sound one."""
        if not self.distrusted and self._index_path.exists():
            try:
                return PackIndex.copied(self._index_path)
            except (DatabaseBroken, IoFailed) as error:
                logger.debug("%s is made again in memory: %s", self._index_path, error)
                self.distrusted = not isinstance(error, StorageFull)
        return PackIndex(None)

    def _open_file(self) -> PackIndex:
        with file_lock(self._lock, exclusive=True):
            try:
                index = PackIndex(self._index_path)
                self._catch_up(index)
            except DatabaseBroken as error:
                set_aside(self._index_path, error)
                index = PackIndex(self._index_path)
                self._catch_up(index)
            self._index, self._inode = index, _inode(self._index_path)
        return index

    def _catch_up(self, index: PackIndex) -> None:
        """Index what writers have written that died before they indexed it, or all of it."""
        known, present = index.packs(), self.files.sizes()
        gone = known.keys() - present.keys()
        if gone:
            with index.changes():
                for name in gone:
                    index.drop_pack(known[name][0])
        for name, size in present.items():
            scanned = known.get(name, (0, 0))[1]
            if scanned != size:
                with suppress(PackGone):
                    self._scanned(index, name, scanned if scanned < size else 0)

    def _scanned(self, index: PackIndex, name: str, start: int) -> int:
        with index.changes():
            number = index.add_pack(name, 0)
        with io_errors(f"read pack {name}"):
            touched = self._root.stat().st_mtime if self._read_only else self.now()
            dead = self.files.away.dead(name)
            found = scan(name, number, self.files.reader(name), start, touched, dead)
        if (away := self.files.away.find(name)) is not None:
            found = found._replace(end=away.size)
        self._enter_found(index, number, found)
        return number

    def _enter_found(self, index: PackIndex, number: int, found: Scanned) -> None:
        """Index what somebody else wrote, unless it is known, or was moved while it was looked at."""
        with index.changes():
            packs = {number for number, _ in index.packs().values()}
            if number not in packs:
                return
            was = [index.find(row.digest, row.kind) for row in found.rows]
            new = [
                row for row, was in zip(found.rows, was, strict=True) if was is None or was.pack not in packs
            ]
            self._put(index, number, Scanned(found.end, new, found.manifests))

    def _enter(self, index: PackIndex, number: int, found: Scanned) -> None:
        """Index what was appended to a pack, all or nothing."""
        with index.changes():
            self._put(index, number, found)

    def _put(self, index: PackIndex, number: int, found: Scanned) -> None:
        for row in found.rows:
            if row.kind != ItemKind.MANIFEST:
                continue
            manifest, before = found.manifests[row.digest], self._known_manifest(index, row.digest)
            if manifest != before:
                index.refer((chunk for chunk, _ in manifest), 1)
                if before is not None:
                    index.refer((chunk for chunk, _ in before), -1)
        index.put(found.rows)
        index.scanned(number, found.end)

    def _known_manifest(self, index: PackIndex, digest: bytes) -> Manifest | None:
        """The manifest whose references are counted; None also if it cannot be read."""
        row = index.find(digest, ItemKind.MANIFEST)
        name = None if row is None else index.pack_name(row.pack)
        if row is None or name is None:
            return None
        try:
            frame = self.files.frame(name, row.offset)
            if frame is None or row.number >= len(frame.items):
                return None
            body = item_of(self.files.reader(name), frame, frame.items[row.number])
            return Manifest.decoded(body, row.size)
        except (PackGone, OSError, IoFailed, ItemDamaged, ManifestDamaged):
            return None  # its references count on: what they keep stays too long, never too short

    def _discard(self, why: DatabaseBroken) -> None:
        self._close_index()
        if self._read_only:
            self.distrusted = True
            return
        with file_lock(self._lock, exclusive=True):
            set_aside(self._index_path, why)

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._names = None, {}

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            # SQLite's connections do not survive a fork, and closing one here would harm the parent.
            _abandoned.extend((self._index, self._nothing))
            if self._appended is not None:
                os.close(self._appended.fd)  # its lock is the parent's
            self._index = self._nothing = self._appended = None
            self._pid = os.getpid()


class Reading:
    """Reads items of several frames, the last ones of which it keeps. One thread at a time."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._frames = OrderedDict[tuple[int, int], tuple[PackFrame, bytes]]()
        self._known: dict[bytes, Row] = {}

    def look_up(self, digests: Sequence[bytes], kind: ItemKind) -> None:
        """Find the places of items that are read next, all at once."""
        rows = self._packs.ask(lambda index: index.find_all(digests, kind))
        self._known = {row.digest: row for row in rows if row is not None}

    def item(self, digest: bytes, kind: ItemKind, *, alive: bool = False, near: bool = False) -> bytes:
        """The bytes of an item, compared with their checksum, not with the digest.

        With `alive`, one that is marked as dead counts as damaged. With `near`, nothing is asked for outside.
        Raises ItemAbsent, ItemDamaged, IoFailed; ItemFar with `near`.
        """
        for again in (False, True):
            row = self._known.get(digest)
            if row is None or row.kind != kind:
                row = self._packs.find_item(digest, kind)
            if row is None:
                break
            try:
                return self._at(row, alive, near)
            except PackGone:  # it was rewritten, or somebody took it away
                if again:
                    break
                self._packs.refresh()
                self._known = {}
        raise ItemAbsent(digest.hex())

    def _at(self, row: Row, alive: bool, near: bool) -> bytes:
        place = (row.pack, row.offset)
        if place not in self._frames:
            if near and self._packs.is_away(row):
                raise ItemFar(row.digest.hex())
            self._frames[place] = self._frame(row)
            if len(self._frames) > _FRAMES_KEPT:
                self._frames.popitem(last=False)
        frame, raw = self._frames[place]
        item = frame.items[row.number] if row.number < len(frame.items) else None
        if item is None or item.digest != row.digest or item.kind != row.kind:
            raise ItemDamaged("another one is in its place")
        if alive and item.state != ALIVE:
            raise ItemDamaged("it is marked as deleted" if item.state == DEAD else "its mark is damaged")
        return raw[item.start : item.start + item.length]

    def _frame(self, row: Row) -> tuple[PackFrame, bytes]:
        name = self._packs.name_of(row.pack)
        if name is None:
            raise PackGone(str(row.pack))
        reader = self._packs.reader(name)
        with io_errors(f"read pack {name}"), lost_is_damaged():
            found = reader.read(row.offset, row.stored + _GUESSED_BYTES)
            if len(found) > head_bytes(0):
                needed = head_bytes(int.from_bytes(found[6:8], "little"))
                if len(found) < needed:
                    found += reader.read(row.offset + len(found), needed - len(found))
            frame = frame_at(name, row.offset, found)
            if frame is None:
                raise ItemDamaged("the head of its frame has changed")
            return frame, raw_of(reader, frame, found)


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino
