"""Keeps the index of the packs open, and up to what is in the folder: it is made of the packs."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.base.database import DatabaseBroken, set_aside
from symphony.pit.artifacts.base.failures import file_lock, io_errors, unwritable
from symphony.pit.artifacts.packs.files import Appended, PackFiles, PackGone
from symphony.pit.artifacts.packs.frames import ItemKind
from symphony.pit.artifacts.packs.index import PackIndex
from symphony.pit.artifacts.packs.manifests import Manifest, ManifestDamaged
from symphony.pit.artifacts.packs.scanning import ItemDamaged, Scanned, item_of, scan
from symphony.ports.artifacts import StorageFull

T = TypeVar("T")

_abandoned: list[object] = []

logger = logging.getLogger(__name__)


class KeptIndex:
    """Thread-safe, several processes at once. With `look` no file is changed: the index is a copy in memory.

    Under `root`: `packs.db`, and `packs.lock`. Errors: IoFailed, StorageFull.
    """

    def __init__(self, root: Path, files: PackFiles, *, look: bool) -> None:
        self._root, self._files = root, files
        self._path, self._lock = root / "packs.db", root / "packs.lock"
        self._index: PackIndex | None = None
        self._nothing: PackIndex | None = None
        self._inode = (0, 0)
        self._read_only = look
        self.distrusted = False
        """True once a file of the index was found to be damaged that must not be changed."""
        self._names: dict[int, str] = {}
        self.mutex = threading.RLock()
        self._pid = os.getpid()

    def ask(self, question: Callable[[PackIndex], T]) -> T:
        """`question`, put to an index that knows what this process and those before it have added."""
        with self.mutex:
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
        with self.mutex:
            self._close()
            self._opened()

    def name_of(self, pack: int) -> str | None:
        """The name of a pack by its number."""
        with self.mutex:
            if pack not in self._names:
                name = self.ask(lambda index: index.pack_name(pack))
                if name is None:
                    return None
                self._names[pack] = name
            return self._names[pack]

    def caught_up(self, pack: Appended) -> int:
        """Index what a writer that died had written to a locked pack; its number."""

        def number(index: PackIndex) -> int:
            number, scanned = index.packs().get(pack.name, (0, 0))
            if scanned == pack.size:
                return number
            return self._scanned(index, pack.name, scanned if scanned < pack.size else 0)

        return self.ask(number)

    def now(self) -> float:
        """Now, by the clock of the file system, in seconds since the epoch."""
        with io_errors(f"write {self._root}"):
            os.utime(self._root)
            return self._root.stat().st_mtime

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self.mutex:
            self._check_fork()
            self._close()

    def _opened(self) -> PackIndex:
        self._check_fork()
        if self._index is not None and (self._read_only or _inode(self._path) == self._inode):
            return self._index
        self._close()
        if not self._files.folder.is_dir():
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
        if not self.distrusted and self._path.exists():
            try:
                return PackIndex.copied(self._path)
            except (DatabaseBroken, IoFailed) as error:
                logger.debug("%s is made again in memory: %s", self._path, error)
                self.distrusted = not isinstance(error, StorageFull)
        return PackIndex(None)

    def _open_file(self) -> PackIndex:
        with file_lock(self._lock, exclusive=True):
            try:
                index = PackIndex(self._path)
                self._catch_up(index)
            except DatabaseBroken as error:
                set_aside(self._path, error)
                index = PackIndex(self._path)
                self._catch_up(index)
            self._index, self._inode = index, _inode(self._path)
        return index

    def _catch_up(self, index: PackIndex) -> None:
        """Index what writers have written that died before they indexed it, or all of it."""
        known, present = index.packs(), self._files.sizes()
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
            dead = self._files.away.dead(name)
            found = scan(name, number, self._files.reader(name), start, touched, dead)
        if (away := self._files.away.find(name)) is not None:
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

    def enter(self, index: PackIndex, number: int, found: Scanned) -> None:
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
            frame = self._files.frame(name, row.offset)
            if frame is None or row.number >= len(frame.items):
                return None
            body = item_of(self._files.reader(name), frame, frame.items[row.number])
            return Manifest.decoded(body, row.size)
        except (PackGone, OSError, IoFailed, ItemDamaged, ManifestDamaged):
            return None  # its references count on: what they keep stays too long, never too short

    def _discard(self, why: DatabaseBroken) -> None:
        self._close()
        if self._read_only:
            self.distrusted = True
            return
        with file_lock(self._lock, exclusive=True):
            set_aside(self._path, why)

    def _close(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._names = None, {}

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            # SQLite's connections do not survive a fork, and closing one here would harm the parent.
            _abandoned.extend((self._index, self._nothing))
            self._index = self._nothing = None
            self._pid = os.getpid()


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino
