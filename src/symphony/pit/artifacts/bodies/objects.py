"""Bodies as files named by their digest: `objects/ab/cdef…`, written once, never changed.

Only files: what is known about the bodies is in `records`, who may delete them in `files`.
A body is written to `tmp/`, fsynced, renamed to its place, and the directory fsynced; or renamed first,
and many files and directories fsynced together.
"""

import fcntl
import hashlib
import io
import logging
import os
import stat
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from symphony.commons.filesystem import sync_directory
from symphony.pit.artifacts.base.failures import io_errors, no_room
from symphony.pit.artifacts.base.rules import DIGEST, corrupt, invalid_digest, missing
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing
from symphony.ports.values import Digest

CHUNK_BYTES = 1 << 20
SPARE_BYTES = 16 << 20
"""Room that bodies leave on the disk, so that journals and indexes can still be written."""

_SYNCS_AT_ONCE = 16
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY

logger = logging.getLogger(__name__)


class Stored(NamedTuple):
    """One object file; `changed_at` is in seconds since the epoch, by the file system's clock."""

    digest: Digest
    size: int
    changed_at: float


class Staged:
    """A body on its way: a locked temporary file, durable once `seal` has synced it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd
        self.size = 0
        self.published = False

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += len(chunk)

    def seal(self, *, sync: bool) -> None:
        os.fchmod(self._fd, 0o400)
        if sync:
            os.fsync(self._fd)

    def now_s(self) -> float:
        return os.fstat(self._fd).st_mtime


class ObjectFiles:
    """The files under `root`. Thread-safe, several processes at once. Creates nothing until a write.

    Errors: ArtifactMissing, ArtifactCorrupt, StorageFull, IoFailed.
    """

    def __init__(self, root: Path) -> None:
        self._objects, self._tmp = root / "objects", root / "tmp"
        self._root = root
        self._prepared = False

    # -- writing

    @contextmanager
    def staged(self) -> Iterator[Staged]:
        """A new temporary file, gone at the end unless it was published."""
        if not self._prepared:
            self.prepare()
        path, fd = self._new_file()
        staged = Staged(path, fd)
        try:
            yield staged
        finally:
            if not staged.published:
                with suppress(FileNotFoundError):
                    path.unlink()
            os.close(fd)

    def fill(self, staged: Staged, body: bytes) -> None:
        with io_errors(f"store a body in {self._objects}"):
            staged.write(body)

    def seal(self, staged: Staged, *, sync: bool = True) -> None:
        with io_errors(f"store a body in {self._objects}"):
            staged.seal(sync=sync)

    def publish(self, staged: Staged, digest: Digest, *, sync: bool = True) -> None:
        """Move a sealed body to its place; with `sync` durable on return."""
        target = self.place(digest)
        with io_errors(f"store a body in {self._objects}"):
            try:
                staged.path.rename(target)
            except FileNotFoundError:
                self.prepare()
                staged.path.rename(target)
            staged.published = True
            if sync:
                sync_directory(target.parent)

    def sync(self, digests: Collection[Digest]) -> None:
        """Make objects in their places durable. At once, since the disk serves many syncs in one go."""
        with io_errors(f"store a body in {self._objects}"):
            places = [self.place(digest) for digest in digests]
            folders = list({place.parent for place in places})
            if len(places) == 1:
                _sync_file(places[0])
                sync_directory(folders[0])
                return
            with ThreadPoolExecutor(min(_SYNCS_AT_ONCE, len(places) or 1)) as pool:
                deque(pool.map(_sync_file, places), 0)
                deque(pool.map(sync_directory, folders), 0)

    def touch(self, digest: Digest, *, sync: bool) -> bool:
        """Mark an object as just written, and durable with `sync`; False if it is not there."""
        place = self.place(digest)
        try:
            os.utime(place, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except PermissionError:
            # Another user's store: it may be read; only the age that protects it is unchanged.
            logger.debug("cannot refresh the age of %s", place)
        if sync:
            with io_errors(f"store a body in {self._objects}"):
                sync_directory(place.parent)
        return True

    def require_room(self, size: int) -> None:
        """Raise StorageFull if `size` bytes more would leave less than `SPARE_BYTES`."""
        try:
            disk = os.statvfs(self._root)
        except OSError:
            return
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and free < size + SPARE_BYTES:
            doing = f"store {size} bytes in {self._root}" if size else f"store anything in {self._root}"
            raise no_room(doing, needed=size, free=free, kept=SPARE_BYTES)

    def remove(self, digest: Digest) -> None:
        with io_errors(f"delete a body from {self._objects}"), suppress(FileNotFoundError):
            self.place(digest).unlink()

    def prepare(self) -> None:
        """Make every directory, durably, and clear what dead writers left in `tmp/`."""
        with io_errors(f"set up the artifact store {self._root}"):
            self._root.mkdir(parents=True, mode=0o700, exist_ok=True)
            self._tmp.mkdir(mode=0o700, exist_ok=True)
            self._objects.mkdir(mode=0o700, exist_ok=True)
            existing = {entry.name for entry in self._objects.iterdir()}
            for i in range(256):
                if f"{i:02x}" not in existing:
                    (self._objects / f"{i:02x}").mkdir(mode=0o700, exist_ok=True)
            # Always: another process may have made them and not have synced yet.
            for directory in (self._objects, self._root, self._root.parent):
                sync_directory(directory)
        self.clear_strays()
        self._prepared = True

    def clear_strays(self) -> int:
        """Delete temporary files whose writers are gone; how many. A living writer holds a lock."""
        cleared = 0
        for path in self._tmp.glob("*.part") if self._tmp.is_dir() else ():
            try:
                fd = os.open(path, _READ)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                cleared += 1
            except OSError:
                continue
            finally:
                os.close(fd)
        return cleared

    def strays(self) -> list[Path]:
        """Temporary files whose writers are gone."""
        found = []
        for path in sorted(self._tmp.glob("*.part")) if self._tmp.is_dir() else ():
            with suppress(OSError):
                fd = os.open(path, _READ)
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    found.append(path)
                finally:
                    os.close(fd)
        return found

    def _new_file(self) -> tuple[Path, int]:
        with io_errors(f"store a body in {self._tmp}"):
            for made_anew in (False, True):
                try:
                    return self._locked_file()
                except FileNotFoundError:
                    if made_anew:
                        raise
                    self.prepare()
        raise AssertionError("unreachable")

    def _locked_file(self) -> tuple[Path, int]:
        while True:
            path = self._tmp / f"{os.urandom(12).hex()}.part"
            fd = os.open(path, _WRITE, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:
                    return path, fd
            except BlockingIOError:
                pass  # a cleaner was faster than our lock and takes the file away: try another
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    # -- reading

    def read(self, digest: Digest) -> bytes:
        """The body, verified."""
        with closing(self.opened(digest)) as file, io_errors(f"read artifact {digest}"):
            body = file.read()
        if hashlib.sha256(body).hexdigest() != digest:
            raise corrupt(digest, "its bytes have changed")
        return body

    def stream(self, digest: Digest) -> BinaryIO:
        """The body as a stream which raises ArtifactCorrupt in place of its last bytes if they differ."""
        file = self.opened(digest)
        return io.BufferedReader(_Verifying(file, digest), CHUNK_BYTES)

    def intact(self, digest: Digest, size: int) -> bool:
        """Return whether the body is there, whole and unchanged."""
        try:
            file = self.opened(digest)
        except (ArtifactMissing, ArtifactCorrupt):
            return False
        with closing(file), io_errors(f"read artifact {digest}"):
            if os.fstat(file.fileno()).st_size != size:
                return False
            hasher = hashlib.sha256()
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
        return hasher.hexdigest() == digest

    def stat(self, digest: Digest) -> Stored | None:
        """Size and age of one object, or None if it is not there."""
        try:
            found = os.lstat(self.place(digest))
        except OSError:
            return None
        return Stored(digest, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None

    def starting_with(self, prefix: str) -> list[Digest]:
        """All digests that begin with `prefix`, which has at least two digits."""
        return [stored.digest for stored in self._listed(prefix[:2]) if stored.digest.startswith(prefix)]

    def all(self) -> Iterator[Stored]:
        """Every object, in order of the digests."""
        for i in range(256):
            yield from self._listed(f"{i:02x}")

    def _listed(self, shard: str) -> list[Stored]:
        found = []
        try:
            with os.scandir(self._objects / shard) as entries:
                for entry in entries:
                    if DIGEST.fullmatch(shard + entry.name) and entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found.append(Stored(Digest(shard + entry.name), status.st_size, status.st_mtime))
        except FileNotFoundError:
            return sorted(found)
        return sorted(found)

    def place(self, digest: Digest) -> Path:
        """Return the path of a body, whether it is there or not."""
        if DIGEST.fullmatch(digest) is None:
            raise invalid_digest(digest)
        return self._objects / digest[:2] / digest[2:]

    def opened(self, digest: Digest) -> io.FileIO:
        """The file of a body, of which nothing is verified."""
        place = self.place(digest)
        try:
            # Step by step, so that a symbolic link can lead nowhere else.
            directory = os.open(place.parent, _DIRECTORY | os.O_NOFOLLOW)
            try:
                fd = os.open(place.name, _READ, dir_fd=directory)
            finally:
                os.close(directory)
        except FileNotFoundError:
            raise missing(digest) from None
        except OSError as error:
            with io_errors(f"read artifact {digest}"):
                if place.is_symlink() or place.parent.is_symlink():
                    raise corrupt(digest, "a symbolic link is in its place") from None
                raise error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise corrupt(digest, "something else than a file is in its place")
        return io.FileIO(fd, "rb")


def _sync_file(place: Path) -> None:
    fd = os.open(place, _READ)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class _Verifying(io.RawIOBase):
    """Reads a file once from start to end and checks its digest before giving out the last bytes."""

    def __init__(self, file: io.FileIO, digest: Digest) -> None:
        self._file, self._digest = file, digest
        self._left = os.fstat(file.fileno()).st_size
        self._hasher = hashlib.sha256()
        self._verified = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]  # RawIOBase has no narrower name
        view = memoryview(buffer)[: self._left]
        with io_errors(f"read artifact {self._digest}"):
            count = self._file.readinto(view) or 0
        self._hasher.update(view[:count])
        self._left -= count
        ended = self._left == 0 or (count == 0 and len(view) > 0)
        if ended and not self._verified:
            if self._left or self._hasher.hexdigest() != self._digest:
                view[:count] = bytes(count)
                raise corrupt(self._digest, "its bytes have changed")
            self._verified = True
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
