"""Bodies as earlier versions stored them: files named by their digest, `objects/ab/cdef…`, never changed.

They are read, and moved into packs when the store is collected. Nothing is written here any more.
"""

import fcntl
import hashlib
import io
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.base.rules import DIGEST, corrupt, invalid_digest, missing
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing
from symphony.ports.retention import Tier
from symphony.ports.values import Digest

CHUNK_BYTES = 1 << 20

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY

logger = logging.getLogger(__name__)


class Stored(NamedTuple):
    """One body; `changed_at`, when it was last put, is in seconds since the epoch."""

    digest: Digest
    size: int
    changed_at: float
    tier: Tier = Tier.HOT


class ObjectFiles:
    """The files under `root`. Thread-safe, several processes at once.

    Errors: ArtifactMissing, ArtifactCorrupt, IoFailed.
    """

    def __init__(self, root: Path) -> None:
        self._objects, self._tmp = root / "objects", root / "tmp"

    def touch(self, digest: Digest) -> bool:
        """Mark an object as just written; False if it is not there."""
        place = self.place(digest)
        try:
            os.utime(place, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except PermissionError:
            # Another user's store: it may be read; only the age that protects it is unchanged.
            logger.debug("cannot refresh the age of %s", place)
        return True

    def remove(self, digest: Digest) -> None:
        with io_errors(f"delete a body from {self._objects}"), suppress(FileNotFoundError):
            self.place(digest).unlink()

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

    def stream(self, digest: Digest) -> BinaryIO:
        """The body as a stream which raises ArtifactCorrupt in place of its last bytes if they differ."""
        file = self.opened(digest)
        return io.BufferedReader(_Verifying(file, digest), CHUNK_BYTES)

    def read(self, digest: Digest) -> bytes:
        """The body, verified."""
        with closing(self.opened(digest)) as file, io_errors(f"read artifact {digest}"):
            body = file.read()
        if hashlib.sha256(body).hexdigest() != digest:
            raise corrupt(digest, "its bytes have changed")
        return body

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
        for i in range(256) if self._objects.is_dir() else ():
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
