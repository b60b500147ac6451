"""The pack files of a store: `packs/NAME.pack`. One process at a time appends to a pack, any may read it."""

import fcntl
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from symphony.commons.filesystem import release_lock, sync_directory
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import AwayPacks, AwayReader, OutsidePlaces
from symphony.pit.artifacts.packs.away import PackGone as PackGone
from symphony.pit.artifacts.packs.away import PackLost as PackLost
from symphony.pit.artifacts.packs.frames import (
    DEAD,
    PACK_HEAD_BYTES,
    PackFrame,
    pack_head,
    read_frame,
    state_offset,
)
from symphony.ports.retention import Tier

PACK_BYTES = 64 << 20
"""A pack that has reached this length gets nothing more."""

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_OPEN_AT_ONCE = 32
_NAME_CHARS = 16

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class PackReader:
    """One open pack. It is closed with its last user; what it reads stays what it was, even once deleted."""

    def __init__(self, path: Path, keys: StoreKeys) -> None:
        self.keys = keys
        """Open what is encrypted in it."""
        self._fd = -1
        self._fd = os.open(path, _READ)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` on, fewer only at the end. Raises OSError."""
        found = os.pread(self._fd, length, offset)
        while 0 < len(found) < length and (
            more := os.pread(self._fd, length - len(found), offset + len(found))
        ):
            found += more
        return found

    def size(self) -> int:
        return os.fstat(self._fd).st_size


class Appended(NamedTuple):
    """A pack that this process may append to."""

    name: str
    fd: int
    size: int


class PackFiles:
    """The files in `folder`. Creates nothing until a pack is made. Not thread-safe; a `PackReader` is.

    Errors: OSError, PackGone.
    """

    def __init__(self, folder: Path, outside: OutsidePlaces, keys: StoreKeys) -> None:
        self.folder, self.away, self._keys = folder, AwayPacks(folder, outside, keys), keys
        self._warm: dict[str, bool] = {}
        self._readers = OrderedDict[str, PackReader | AwayReader]()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pack"

    def sizes(self) -> dict[str, int]:
        """The packs that there are, with their lengths."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(".pack")
                if len(name) == _NAME_CHARS and entry.name != name and entry.is_file(follow_symlinks=False):
                    with suppress(ValueError, FileNotFoundError):
                        bytes.fromhex(name)
                        found[name] = entry.stat(follow_symlinks=False).st_size
        found |= self.away.sizes()
        return dict(sorted(found.items()))

    def reader(self, name: str) -> PackReader | AwayReader:
        """An open pack, here or outside. Raises PackGone."""
        found = self._readers.get(name)
        if found is None:
            try:
                found = PackReader(self.path(name), self._keys)
            except FileNotFoundError:
                found = self.away.reader(name)
                if found is None:
                    raise PackGone(name) from None
            self._readers[name] = found
            if len(self._readers) > _OPEN_AT_ONCE:
                self._readers.popitem(last=False)
        self._readers.move_to_end(name)
        return found

    def is_only_away(self, name: str) -> bool:
        """Return whether a pack is outside, and not here as well."""
        return not self.path(name).exists() and self.away.find(name) is not None

    def drop_copy(self, name: str) -> bool:
        """Delete what is kept here of a pack that is outside; False if nothing was."""
        if self.away.find(name) is None:
            return False
        self.forget(name)
        dropped = self.away.drop(name)
        if self.path(name).exists():
            self.path(name).unlink(missing_ok=True)
            dropped = True
        return dropped

    def tier(self, name: str) -> Tier:
        """The tier of what is in a pack. Raises PackGone, OSError."""
        away = self.away.find(name)
        if away is not None:
            return away.tier
        if name not in self._warm:
            try:
                head = PackReader(self.path(name), self._keys).read(0, PACK_HEAD_BYTES)
            except FileNotFoundError:
                raise PackGone(name) from None
            self._warm[name] = head == pack_head(name, warm=True)
        return Tier.WARM if self._warm[name] else Tier.HOT

    def forget(self, name: str | None = None) -> None:
        """Close what is open, or one pack, once its users are done."""
        self.away.forget(name)
        if name is None:
            self._readers.clear()
        else:
            self._readers.pop(name, None)

    # -- appending

    def prepare(self) -> None:
        """Make the folder, durably."""
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        for directory in (self.folder.parent, self.folder.parent.parent):
            sync_directory(directory)

    def new(self, *, warm: bool = False) -> Appended:
        """A new pack, durable but for its contents, locked by this process."""
        while True:
            name = os.urandom(_NAME_CHARS // 2).hex()
            fd = os.open(self.path(name), _WRITE | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                write_at(fd, pack_head(name, warm=warm), 0)
                sync_directory(self.folder)
            except BlockingIOError:  # somebody looks whether it is left over, and will see that it is empty
                os.close(fd)
            except BaseException:
                with suppress(OSError):
                    self.path(name).unlink()
                release_lock(fd)
                raise
            else:
                return Appended(name, fd, PACK_HEAD_BYTES)

    def locked(self, name: str) -> Appended | None:
        """A pack that is there already, here or outside, if nobody else appends to it."""
        away = self.away.find(name)
        try:
            fd = os.open(self.path(name) if away is None else self.away.marker(name), _WRITE)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(fd)
        except OSError:
            os.close(fd)
            return None
        if not status.st_nlink or not stat.S_ISREG(status.st_mode):
            release_lock(fd)
            return None
        if away is None and self.away.find(name) is not None:  # sent meanwhile
            release_lock(fd)
            return None
        return Appended(name, fd, status.st_size if away is None else away.size)

    @contextmanager
    def idle(self, name: str) -> Iterator[bool]:
        """Keep others from appending to a pack or sending it; False if somebody does. It may be gone."""
        if not self.path(name).exists() and not self.away.marker(name).exists():
            yield True
            return
        pack = self.locked(name)
        try:
            yield pack is not None
        finally:
            if pack is not None:
                release_lock(pack.fd)

    def appendable(self, name: str, *, warm: bool = False) -> Appended | None:
        """A pack of this tier that is there and whole at its head, if nobody else appends to it."""
        pack = self.locked(name)
        if pack is not None and os.pread(pack.fd, PACK_HEAD_BYTES, 0) != pack_head(name, warm=warm):
            release_lock(pack.fd)
            return None
        return pack

    def in_place(self, pack: Appended) -> bool:
        """Return whether nobody has taken a pack away since it was opened."""
        try:
            there, mine = self.path(pack.name).stat(), os.fstat(pack.fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def opened(self, name: str) -> int:
        """Open a pack for writing, also one that another process appends to. Raises OSError."""
        return os.open(self.path(name), _WRITE)

    def unlink(self, name: str) -> None:
        self.forget(name)
        away = self.away.find(name) is not None
        if away:
            self.away.retire(name)
        with suppress(FileNotFoundError):
            self.path(name).unlink()
        sync_directory(self.folder)
        if away:
            self.away.clear()

    def mark_dead(self, name: str, places: list[tuple[int, int]]) -> None:
        """Mark items, by the offset of their frame and their number in it, as not needed. Best effort."""
        if self.away.find(name) is not None:
            self.away.mark_dead(name, places)
            return
        try:
            fd = self.opened(name)
        except OSError:
            return
        try:
            with suppress(OSError):
                for offset, number in places:
                    os.pwrite(fd, bytes([DEAD]), state_offset(offset, number))
        finally:
            os.close(fd)

    def frame(self, name: str, offset: int) -> PackFrame | None:
        """The frame at `offset` of a pack, or None if it has no sound head. Raises PackGone."""
        return read_frame(name, self.reader(name).read, offset)


def append(pack: Appended, body: bytes, *, sync: bool) -> Appended:
    """Write at the end of a pack; after a failure it is as it was. Raises StorageFull, IoFailed."""
    with io_errors(f"store a body in pack {pack.name}"):
        try:
            write_at(pack.fd, body, pack.size)
            if sync:
                _sync(pack.fd)
        except OSError:
            with suppress(OSError):
                os.ftruncate(pack.fd, pack.size)
            raise
    return pack._replace(size=pack.size + len(body))


def write_at(fd: int, body: bytes, offset: int) -> None:
    """Write all of `body`. Raises OSError."""
    view = memoryview(body)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
