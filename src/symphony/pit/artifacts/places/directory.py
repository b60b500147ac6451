"""A directory as object storage: another disk, or a share of the network that is mounted."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import open_regular, replacing, sync_directory
from symphony.ports.artifacts import StorageFull
from symphony.ports.object_storage import (
    StorageRefused,
    StorageUnreachable,
    StoredObject,
    absent_object,
    check_object_name,
    object_exists,
)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP})
_ABSENT: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_COPIED_BYTES: Final = 1 << 20
_STRAY_S: Final = 86_400.0


class DirectoryStorage:
    """`symphony.ports.object_storage.ObjectStorage` in a directory, which must be there already.

    It is never made: a disk that is not mounted must not be taken for an empty one. Folders in it are made.
    A process that is killed may leave a file `.symphony-….tmp`, which a later process deletes after a day.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cleared = False

    @property
    def address(self) -> str:
        """The path."""
        return str(self._root)

    def put(self, name: str, stream: BinaryIO) -> None:
        """Store all of `stream`; see the protocol."""
        path = self._path(name)
        with self._errors(f"store {name} in {self._root}"):
            self.check()
            self._clear_strays()
            if not path.exists():
                self._make_folder(path.parent)
                stream.seek(0)
                try:
                    with replacing(path, mode=0o600, new=True) as target:
                        shutil.copyfileobj(stream, target, _COPIED_BYTES)
                    return
                except IoFailed as error:
                    cause = error.__cause__
                    if not isinstance(cause, FileExistsError):
                        raise cause if isinstance(cause, OSError) else error from None
            if path.is_dir() or not self._same(path, stream):
                raise object_exists(self.address, name)
            sync_directory(path.parent)  # whoever stored it may not have come so far

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return a part of a file; see the protocol."""
        with self._errors(f"read {name} in {self._root}"):
            try:
                with open_regular(self._path(name)) as file:
                    return _read_at(file.fileno(), start, length)
            except _ABSENT:
                self.check()
                raise absent_object(self.address, name) from None

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None if it is absent."""
        with self._errors(f"look at {name} in {self._root}"):
            try:
                found = self._path(name).stat(follow_symlinks=False)
            except _ABSENT:
                self.check()
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, folder: str = "") -> Iterator[StoredObject]:
        """Yield every file below a folder, in the order of names."""
        start = self._path(folder) if folder else self._root
        with self._errors(f"list {self._root}"):
            self.check()
            found = sorted(_files(start, f"{folder}/" if folder else ""))
        yield from found

    def delete(self, name: str) -> None:
        """Delete a file. It is no error if it is absent."""
        path = self._path(name)
        with self._errors(f"delete {name} in {self._root}"):
            try:
                path.unlink()
                sync_directory(path.parent)
            except _ABSENT:
                self.check()

    def check(self) -> None:
        """Raise StorageRefused if the directory is not there or not ours to write."""
        if not self._root.is_dir():
            raise StorageRefused(
                f"{self._root} is not there, or is no directory",
                details={"path": str(self._root)},
                hint=f"mount its disk, or make it: mkdir -p {self._root}",
            )
        if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise StorageRefused(
                f"{self._root} may not be read and written by this user",
                details={"path": str(self._root)},
                hint="check who owns the directory and whether it is mounted read-only",
            )

    # -- within

    def _path(self, name: str) -> Path:
        return self._root / check_object_name(name)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder in the root and those between, durably."""
        if folder == self._root or folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_directory(folder.parent)

    def _same(self, path: Path, stream: BinaryIO) -> bool:
        stream.seek(0)
        with path.open("rb") as file:
            while there := file.read(_COPIED_BYTES):
                if stream.read(len(there)) != there:
                    return False
        return not stream.read(1)

    def _clear_strays(self) -> None:
        """Delete what processes left behind that were killed, once."""
        if self._cleared:
            return
        self._cleared = True
        now_s = _touched(self._root)
        for path in self._root.rglob(".symphony-*.tmp"):
            try:
                if now_s - path.stat(follow_symlinks=False).st_mtime > _STRAY_S:
                    path.unlink()
            except FileNotFoundError:
                continue

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn OSError into StorageFull, StorageRefused or StorageUnreachable."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            details = {"errno": error.errno, "path": str(self._root)}
            if error.errno in _FULL:
                raise StorageFull(
                    f"cannot {doing}: {reason}", details=details, hint="free some room there"
                ) from error
            if error.errno in _REFUSED:
                hint = "check who owns the directory and whether it is mounted read-only"
                raise StorageRefused(f"cannot {doing}: {reason}", details=details, hint=hint) from error
            raise StorageUnreachable(
                f"cannot {doing}: {reason}",
                details=details,
                hint="check the disk or the mount, then try again",
            ) from error


def _files(folder: Path, prefix: str) -> Iterator[StoredObject]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            try:
                yield StoredObject(f"{prefix}{entry.name}", entry.stat(follow_symlinks=False).st_size)
            except FileNotFoundError:
                continue


def _read_at(fd: int, start: int, length: int) -> bytes:
    found = os.pread(fd, length, start)
    while 0 < len(found) < length and (more := os.pread(fd, length - len(found), start + len(found))):
        found += more
    return found


def _touched(folder: Path) -> float:
    """Return now, by the clock of the file system that the folder is on."""
    os.utime(folder)
    return folder.stat().st_mtime
