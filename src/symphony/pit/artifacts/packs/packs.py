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
from symphony.pit.artifacts.base.failures import io_errors
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
from symphony.pit.artifacts.packs.indexing import KeptIndex
from symphony.pit.artifacts.packs.manifests import CHUNK_MAX, Manifest, ManifestDamaged
from symphony.pit.artifacts.packs.scanning import (
    ItemAbsent,
    ItemDamaged,
    ItemFar,
    Scanned,
    lost_is_damaged,
    raw_of,
    row_of,
)
from symphony.ports.object_storage import StorageRefused, StorageUnreachable
from symphony.ports.retention import Tier

T = TypeVar("T")
Enter: TypeAlias = Callable[[PackIndex, int, Scanned], None]
"""Indexes what was appended to the pack of a number."""

FRAME_BYTES = 128 << 10
"""Chunks are compressed together up to so many bytes: a part of a body costs no more than that to read."""
TOGETHER_BYTES = 32 << 10
"""Small bodies that are put at once are compressed together up to so many bytes: each costs that to read."""
ENTRY_BYTES = 46
"""What an item takes in the head of its frame."""

_PAGE = 100_000
"""Each page costs a look at the whole index."""
_DIGESTS_PAGE = 1_000
_CANDIDATES = 16
_FRAMES_KEPT = 4
_RECENT = 2
_GUESSED_BYTES = 512

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
        self._indexed = KeptIndex(root, self.files, look=look)
        self._mutex = self._indexed.mutex
        self._pid = os.getpid()
        self._writing = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._appended: dict[Tier, tuple[Appended, int]] = {}
        """The pack of each tier that this store appends to, with its number."""
        self.recent = _RecentFrames()
        self._begun: list[str] = []
        """Packs that were begun for the cold tier."""

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
        """Let others append to the packs that this store has appended to."""
        with self._writing:
            for tier in Tier:
                self._let_go(tier)

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

    def move(
        self,
        frames: Sequence[PendingFrame],
        places: Sequence[Row],
        tier: Tier = Tier.HOT,
        *,
        mark: bool = False,
    ) -> int:
        """Store items again that are at `places`, each once; how many are found in the new place from now on.

        What has left its place meanwhile is left alone. With `mark`, the old places are marked as dead. The
        caller sees to it that nobody adds or forgets meanwhile.
        """
        moved, stray = list[Row](), list[Row]()

        def enter(index: PackIndex, number: int, found: Scanned) -> None:
            del moved[:], stray[:]
            pairs = list(zip(places, found.rows, strict=True))
            now = [index.find(old.digest, old.kind) for old, _ in pairs]
            with index.changes(durable=True):
                for (old, new), row in zip(pairs, now, strict=True):
                    at = None if row is None else row.place
                    (moved if at in (old.place, new.place) else stray).append(old if at == old.place else new)
                index.move(pairs)
                index.scanned(number, found.end)

        with self._writing:
            self._append(frames, enter, tier)
        self._mark_dead([*stray, *(row for row in moved if mark)])
        return len(moved)

    def begun(self) -> list[str]:
        """The packs that were begun for the cold tier, to be sent. Nothing more goes into them."""
        with self._writing:
            self._let_go(Tier.COLD)
            begun, self._begun = self._begun, []
        return begun

    def _append(
        self, frames: Sequence[PendingFrame], enter: Enter | None = None, tier: Tier = Tier.HOT
    ) -> None:
        (pack, pack_number), enter = self._appendable(tier), enter or self._indexed.enter
        rows, manifests, pieces, at = list[Row](), dict[bytes, Manifest](), list[bytes](), pack.size
        touched = self.now()
        for one in frames:
            head = frame_head(pack.name, one.codec, one.raw, one.payload, one.items)
            frame = PackFrame(at, one.codec, len(one.payload), one.raw, 0, one.items)
            rows += [row_of(frame, item, place, pack_number, touched) for place, item in enumerate(one.items)]
            if one.manifest is not None:
                manifests[one.items[0].digest] = one.manifest
            pieces += (head, one.payload)
            at = frame.end
        try:
            pack = append(pack, b"".join(pieces), sync=True)
            self._appended[tier] = pack, pack_number
        except BaseException:
            self._let_go(tier)  # its length is looked at again
            raise
        found = Scanned(pack.size, rows, manifests)
        self.ask(lambda index: enter(index, pack_number, found))
        if pack.size >= PACK_BYTES:
            self._let_go(tier)
            if self.on_full is not None:
                self.on_full()

    def _appendable(self, tier: Tier) -> tuple[Appended, int]:
        """A pack that only this store appends to, and its number."""
        self._check_fork()
        known = self._appended.get(tier)
        if known is not None and self.files.in_place(known[0]):
            return known
        self._let_go(tier)
        with io_errors(f"store a body in {self.files.folder}"):
            self.files.prepare()
            names = list[str]()
            if tier is not Tier.COLD:
                names = self.ask(lambda index: index.with_room(PACK_BYTES, _CANDIDATES))
            for name in names:
                pack = self.files.appendable(name, warm=tier is Tier.WARM)
                if pack is not None:
                    self._appended[tier] = pack, self.caught_up(pack)
                    return self._appended[tier]
        return self._open_new(tier)

    def _open_new(self, tier: Tier) -> tuple[Appended, int]:
        with io_errors(f"store a body in {self.files.folder}"):
            pack = self.files.new(warm=tier is not Tier.HOT)

        def begun(index: PackIndex) -> int:
            with index.changes():
                return index.add_pack(pack.name, pack.size)

        if tier is Tier.COLD:
            self._begun.append(pack.name)
        self._appended[tier] = pack, self.ask(begun)
        return self._appended[tier]

    def _let_go(self, tier: Tier) -> None:
        self._check_fork()
        if tier in self._appended:
            release_lock(self._appended.pop(tier)[0].fd)

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

    def tier(self, row: Row) -> Tier:
        """The tier of an item; hot if it is not at its place any more. Raises IoFailed."""
        name = self.name_of(row.pack)
        with self._mutex, suppress(PackGone), io_errors(f"read pack {name}"):
            return Tier.HOT if name is None else self.files.tier(name)
        return Tier.HOT

    def tiers(self) -> dict[int, Tier]:
        """By number of the pack, the tier of what is in it. Raises IoFailed."""
        found = dict[int, Tier]()
        for name, (number, _) in self.ask(lambda index: index.packs()).items():
            with self._mutex, suppress(PackGone), io_errors(f"read pack {name}"):
                found[number] = self.files.tier(name)
        return found

    def reading(self) -> "Reading":
        """Reads items; those of one frame cost little more than one of them."""
        return Reading(self)

    def manifest(self, row: Row, *, alive: bool = False, reading: "Reading | None" = None) -> Manifest:
        """The chunks of a body. Raises ItemAbsent, ItemDamaged."""
        try:
            found = (reading or self.reading()).item(row.digest, ItemKind.MANIFEST, alive=alive)
            return Manifest.decoded(found, row.size)
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

        def following(index: PackIndex) -> list[Row]:
            return index.bodies(after, _DIGESTS_PAGE)

        while page := self.ask(following):
            yield from page
            after = page[-1].digest

    def bodies_by_place(self) -> Iterator[Row]:
        """Yield every body, frame by frame: the quickest order to read them all."""
        after = (0, 0, -1)

        def following(index: PackIndex) -> list[Row]:
            return index.bodies_by_place(after, _PAGE)

        while page := self.ask(following):
            yield from page
            after = page[-1].place

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
        """Forget bodies. Their chunks stay until `sweep`; what is in a place that does not answer stays."""
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
                except (StorageUnreachable, StorageRefused) as why:
                    logger.warning("an artifact outside is not deleted for now: %s", why)
                    gone.pop()

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
        return self._indexed.ask(question)

    def refresh(self) -> None:
        """Bring the index up to what is in the folder."""
        self._indexed.refresh()

    def name_of(self, pack: int) -> str | None:
        """The name of a pack by its number."""
        return self._indexed.name_of(pack)

    def caught_up(self, pack: Appended) -> int:
        """Index what a writer that died had written to a locked pack; its number."""
        return self._indexed.caught_up(pack)

    @property
    def distrusted(self) -> bool:
        """True once a file of the index was found to be damaged that must not be changed."""
        return self._indexed.distrusted

    def now(self) -> float:
        """Now, by the clock of the file system, in seconds since the epoch."""
        return self._indexed.now()

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        self.release()
        self._indexed.close()
        with self._mutex:
            self.files.forget()
            self.recent.clear()

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            for pack, _ in self._appended.values():
                os.close(pack.fd)  # its lock is the parent's
            self._appended.clear()
            self._pid = os.getpid()


class _MarkedDead(ItemDamaged):
    """An item is marked as not needed."""


class _RecentFrames:
    """The large frames that were read last: what is read next is often in one of them. Thread-safe."""

    def __init__(self) -> None:
        self._frames = OrderedDict[tuple[str, int], tuple[PackFrame, bytes]]()
        self._mutex = threading.Lock()

    def get(self, pack: str, offset: int) -> tuple[PackFrame, bytes] | None:
        with self._mutex:
            return self._frames.get((pack, offset))

    def keep(self, pack: str, found: tuple[PackFrame, bytes]) -> None:
        if len(found[1]) > FRAME_BYTES + CHUNK_MAX:  # no hot frame is as large
            with self._mutex:
                self._frames[pack, found[0].offset] = found
                if len(self._frames) > _RECENT:
                    self._frames.popitem(last=False)

    def clear(self) -> None:
        with self._mutex:
            self._frames.clear()


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

    def item(
        self, digest: bytes, kind: ItemKind, *, alive: bool = False, near: bool = False, hot: bool = False
    ) -> bytes:
        """The bytes of an item, compared with their checksum, not with the digest.

        With `alive`, one that is marked as dead counts as damaged. With `near`, nothing is asked for outside.
        With `hot`, what is in another tier is absent. Raises ItemAbsent, ItemDamaged, IoFailed; ItemFar with
        `near`.
        """
        for again in (False, True):
            row = self._known.get(digest)
            if row is None or row.kind != kind:
                row = self._packs.find_item(digest, kind)
            if row is None or (hot and self._packs.tier(row) is not Tier.HOT):
                break
            try:
                return self._at(row, alive, near)
            except PackGone:  # it was rewritten, or somebody took it away
                if again:
                    break
            except _MarkedDead:  # perhaps it has just moved to another tier
                if again:
                    raise
            self._packs.refresh()
            self._known = {}
        raise ItemAbsent(digest.hex())

    def _at(self, row: Row, alive: bool, near: bool) -> bytes:
        place = (row.pack, row.offset)
        if place not in self._frames:
            if near and self._packs.is_away(row):
                raise ItemFar(row.digest.hex())
            self._frames[place] = self._frame(row, alive=alive)
            if len(self._frames) > _FRAMES_KEPT:
                self._frames.popitem(last=False)
        frame, raw = self._frames[place]
        item = frame.items[row.number] if row.number < len(frame.items) else None
        if item is None or item.digest != row.digest or item.kind != row.kind:
            raise ItemDamaged("another one is in its place")
        if alive and item.state != ALIVE:
            if item.state == DEAD:
                raise _MarkedDead("it is marked as deleted")
            raise ItemDamaged("its mark is damaged")
        return raw[item.start : item.start + item.length]

    def _frame(self, row: Row, *, alive: bool) -> tuple[PackFrame, bytes]:
        name = self._packs.name_of(row.pack)
        if name is None:
            raise PackGone(str(row.pack))
        if not alive and (known := self._packs.recent.get(name, row.offset)) is not None:
            return known  # but for its marks, which may have changed, a frame never does
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
            whole = frame, raw_of(reader, frame, found)
            self._packs.recent.keep(name, whole)
            return whole
