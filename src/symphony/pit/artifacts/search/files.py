"""The files of an index: whether they are what was written, and how others are kept from writing.

Segments never change and end with a checksum of their own; `checked.json` remembers which files were found
good, and the checksum of `meta.json`, which names the segments. While an index is being committed there is a
file `committing`: only then may `meta.json` differ from what is remembered.
"""

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from symphony.commons.filesystem import private_directory, release_lock, write_atomic
from symphony.pit.artifacts.base.failures import io_errors, no_room

_FOOTER_MAGIC: Final = 1337
_READ_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 4 << 20
_SPARE_BYTES: Final = 64 << 20
_TRIES: Final = 5
_ENDINGS: Final = ("idx", "pos", "term", "store", "fast", "fieldnorm")
"""The files of a segment, beside the one that tells which of its documents are gone."""


class SearchIndexBroken(Exception):
    """The files of an index are damaged, missing or of another version."""


class GoodFiles(msgspec.Struct, frozen=True):
    """Files that are good: by name their size, time in ns and inode; and the checksum of `meta.json`."""

    meta: int
    files: dict[str, tuple[int, int, int]]


_encode = msgspec.json.Encoder().encode
_checked = msgspec.json.Decoder(GoodFiles)


class IndexFiles:
    """The files of the index in `folder`, which has the index itself in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"
        self._memory = folder / "checked.json"
        self._committing = folder / "committing"

    def state(self) -> tuple[int, int, int] | None:
        """Return what differs whenever the index was written; None if there is none."""
        try:
            found = (self.index / "meta.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def check(self) -> None:
        """Raise SearchIndexBroken unless every file is the one that was written, as far as that can be told.

        Files that were found good are read again only if they have changed since.
        """
        for _ in range(_TRIES):  # another process may commit meanwhile, and delete what it has merged
            try:
                return self._check()
            except FileNotFoundError:
                continue
        raise SearchIndexBroken("files are missing")

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around a commit. What the block has written counts as good."""
        with io_errors(f"write {self._committing}"):
            self._committing.touch(mode=0o600)
        yield
        self.remember()

    def remember(self) -> None:
        """Count the files as good as they are."""
        body = (self.index / "meta.json").read_bytes()
        good = {path.name: _state(path) for path in self._segments(body)}
        with io_errors(f"write {self._memory}"):
            write_atomic(self._memory, _encode(GoodFiles(zlib.crc32(body), good)), mode=0o600)
            self._committing.unlink(missing_ok=True)

    def make(self) -> None:
        """Make the folder of the index, for its owner's eyes only, if there is none."""
        private_directory(private_directory(self.folder) / self.index.name)

    def discard(self) -> None:
        """Delete the index. Readers that have it open keep it."""
        with io_errors(f"delete {self.index}"):
            gone = self.folder / f"gone-{os.urandom(4).hex()}"
            with suppress(FileNotFoundError):
                self.index.rename(gone)
            for path in (self._memory, self._committing):
                path.unlink(missing_ok=True)
            for path in self.folder.glob("gone-*"):
                shutil.rmtree(path, ignore_errors=True)

    def require_room(self) -> None:
        """Raise StorageFull or IoFailed if an index of this size could not be written here."""
        with io_errors(f"write {self.folder}"):
            size = sum(path.stat().st_size for path in self.index.glob("*") if path.is_file())
            disk = os.statvfs(self.folder)
            needed, free = 2 * size + _SPARE_BYTES, disk.f_bavail * disk.f_frsize
            if disk.f_blocks and free < needed:
                raise no_room(f"write {self.folder}", needed=needed, free=free)
            probe = self.folder / f"probe-{os.getpid()}"
            try:
                write_atomic(probe, bytes(_PROBE_BYTES), mode=0o600)
            finally:
                probe.unlink(missing_ok=True)

    @contextmanager
    def writing(self, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of the writer; without `wait`, yield False if another process has it."""
        private_directory(self.folder)
        with io_errors(f"lock {self.folder}"):
            number = os.open(
                self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        try:
            try:
                fcntl.flock(number, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            release_lock(number)

    def _check(self) -> None:
        meta = self._meta()
        remembered = self._remembered()
        if remembered is None or zlib.crc32(meta) != remembered.meta:
            excused = self._committing.exists()
            if self._meta() != meta:
                raise FileNotFoundError  # committed just now: look again
            if not excused and self._remembered() == remembered:
                raise SearchIndexBroken("meta.json is not the one that was written")
        good = remembered.files if remembered is not None else {}
        for path in self._segments(meta):
            if good.get(path.name) != _state(path):
                _check_segment(path)

    def _meta(self) -> bytes:
        return (self.index / "meta.json").read_bytes()

    def _segments(self, meta: bytes) -> list[Path]:
        """Return the files of all segments that `meta.json` names. Raises SearchIndexBroken."""
        try:
            segments = json.loads(meta)["segments"]
            names = [(one["segment_id"].replace("-", ""), one["deletes"]) for one in segments]
            endings = [(*_ENDINGS, *((f"{gone['opstamp']}.del",) if gone else ())) for _, gone in names]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SearchIndexBroken(f"meta.json cannot be read: {error}") from None
        return [
            self.index / f"{name}.{ending}"
            for (name, _), all_of_it in zip(names, endings, strict=True)
            for ending in all_of_it
        ]

    def _remembered(self) -> GoodFiles | None:
        with suppress(OSError, ValueError):
            return _checked.decode(self._memory.read_bytes())
        return None


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _check_segment(path: Path) -> None:
    """Compare a file with the checksum in its footer: JSON, its length and a magic number, little-endian."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(size - 8, 0))
        end = file.read(8)
        length, magic = int.from_bytes(end[:4], "little"), int.from_bytes(end[4:], "little")
        if len(end) < 8 or magic != _FOOTER_MAGIC or length > size - 8:
            raise SearchIndexBroken(f"{path.name} is cut off")
        file.seek(size - 8 - length)
        try:
            expected = int(json.loads(file.read(length))["crc"])
        except (ValueError, KeyError, TypeError):
            raise SearchIndexBroken(f"{path.name} has no checksum") from None
        file.seek(0)
        found, left = 0, size - 8 - length
        while left > 0 and (chunk := file.read(min(left, _READ_BYTES))):
            found, left = zlib.crc32(chunk, found), left - len(chunk)
    if found != expected:
        raise SearchIndexBroken(f"{path.name} does not match its checksum")
