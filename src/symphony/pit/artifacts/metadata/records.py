"""The append-only log of the stored bodies' metadata. The index is made from it.

One line a record: eight hexadecimal digits of CRC-32, a space, JSON. The first line names the
log; a line that does not match its checksum was torn by a crash or damaged since.

The second line is the mark of the format. Versions of Symphony that do not know it count it as a damaged
line: they read the log, but neither delete a body nor rewrite the log, which would lose what they do not
know.
"""

import errno
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from symphony.commons.filesystem import sync_directory
from symphony.pit.artifacts.base.failures import io_errors
from symphony.ports.artifacts import Provenance, Rating
from symphony.ports.values import Digest

_READ_BYTES = 4 << 20
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Opened(msgspec.Struct, frozen=True, tag_field="kind", tag="opened"):
    """The first line: a log of another `id` is another log."""

    id: str


class Marked(msgspec.Struct, frozen=True, tag_field="kind", tag="format"):
    """The format of the log. Raise FORMAT for a kind of record that must not be lost."""

    number: int


FORMAT = 2
"""2: versions have numbers and tags, bodies pins and a trash."""


class Put(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="put"):
    """A body was put, perhaps under a name. `unclaimed`: how many times, by nobody's run (so far).

    `version` is its number under that name: where it is missing, the order of the log tells. `given` says
    that a person may give the body to runs, as a file: what is made of it is found then. A rewritten log
    has `created`, when the body was first put unless that was `at`, and whose version it is: `run`, `node`,
    `port`.
    """

    digest: Digest
    size: int
    content_type: str
    name: str | None = None
    at: float = 0.0
    unclaimed: int = 1
    version: int | None = None
    note: str = ""
    parents: tuple[Digest, ...] = ()
    given: bool = False
    created: float = 0.0
    run: str | None = None
    node: str = ""
    port: str = ""


class Linked(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="linked"):
    """A run refers to a body. `claims`: how many of the puts under `name` were the run's.

    `versions` are the numbers that these puts have made; None: an earlier Symphony, which gave none, wrote
    this. `value` is the digest of the value that the body is, as others have it among the inputs of their
    provenance.
    """

    digest: Digest
    provenance: Provenance
    name: str | None = None
    claims: int = 0
    versions: tuple[int, ...] | None = None
    value: str | None = None


class Tagged(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="tagged"):
    """A version of `name` has the tag from now on, and no other version of it. `version` 0: the last put."""

    name: str
    tag: str
    digest: Digest
    version: int = 0
    at: float = 0.0


class Untagged(msgspec.Struct, frozen=True, tag_field="kind", tag="untagged"):
    """No version of `name` has the tag any more."""

    name: str
    tag: str


class Unlinked(msgspec.Struct, frozen=True, tag_field="kind", tag="unlinked"):
    """All references of a run are gone."""

    run_id: str


class Rated(msgspec.Struct, frozen=True, tag_field="kind", tag="rated"):
    """Somebody rated a body."""

    digest: Digest
    rating: Rating


class Trashed(msgspec.Struct, frozen=True, tag_field="kind", tag="trashed"):
    """A body is in the trash since `at`: it is neither found nor listed, and goes after a while."""

    digest: Digest
    at: float
    why: str


class Restored(msgspec.Struct, frozen=True, tag_field="kind", tag="restored"):
    """A body was brought back from the trash."""

    digest: Digest
    at: float


class Pinned(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="pinned"):
    """A body stays whatever rules say; with `pinned` false, it is judged by them again."""

    digest: Digest
    at: float
    pinned: bool = True


class Used(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="used"):
    """Bodies were read, for the last time at `at`. That takes them out of the trash.

    One more read of a body counts if the last one that counted is an hour old. A log that was rewritten
    has `times` for all of them.
    """

    digests: tuple[Digest, ...]
    at: float
    times: int = 1


class Counting(msgspec.Struct, frozen=True, tag_field="kind", tag="counting"):
    """Reads are recorded since `since`."""

    since: float


class Moved(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="moved"):
    """Bodies lie in the tier `tier` since `at`. The packs say so, too: a rewritten log does not."""

    digests: tuple[Digest, ...]
    tier: str
    at: float
    why: str = ""


class Gone(msgspec.Struct, frozen=True, tag_field="kind", tag="gone"):
    """The body was deleted."""

    digest: Digest


Record: TypeAlias = (
    Opened
    | Marked
    | Put
    | Linked
    | Tagged
    | Untagged
    | Unlinked
    | Rated
    | Trashed
    | Restored
    | Pinned
    | Used
    | Counting
    | Moved
    | Gone
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class LoggedRecord(NamedTuple):
    """One line read: its record, or None if it is damaged, where it ends, and whether it has an end."""

    record: Record | None
    end: int
    whole: bool = True


def line_of(record: Record) -> bytes:
    """`record` as a line."""
    body = _encoder.encode(record)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def record_of(line: bytes) -> Record | None:
    """The record of a line without its end, or None if the line is damaged or unknown."""
    with suppress(ValueError):
        if len(line) > 9 and line[8:9] == b" " and int(line[:8], 16) == zlib.crc32(line[9:]):
            record = _decoder.decode(line[9:])
            return None if isinstance(record, Marked) and record.number > FORMAT else record
    return None


class RecordLog:
    """The log's file. Not thread-safe: the caller holds the lock, between processes too.

    Errors: StorageFull, IoFailed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self.id = ""
        self.format = 1
        """That of its mark; 1 if it has none."""
        self.headless = False
        """True if the file had not even its first line when it was opened."""

    def present(self) -> tuple[int, int, int] | None:
        """Device, inode and size of the file now, or None: differs whenever there is something new."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size

    @property
    def lost(self) -> bool:
        """True if not one whole line is in the file that is open: a new log always has its first one."""
        return self.headless or (self.present() or (0, 0, 0))[2] == 0

    def attach(self, *, write: bool) -> bool:
        """Open the file, or the one that replaced it. With `write`, create it if it is missing.

        Returns False if there is no file. Afterwards `id` is its name.
        """
        with io_errors(f"open {self.path}"):
            found = self.present()
            if found is not None and self._fd >= 0 and found[:2] == self._identity:
                return True
            self.close()
            if found is None:
                if not write:
                    return False
                self.replace(())
            self._open()
        return True

    def replace(self, records: Iterable[Record]) -> None:
        """Begin a new log, of a new id, with `records`; the old one stays whole until then."""
        temporary = self.path.with_suffix(".new")
        with io_errors(f"write {self.path}"):
            number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "wb") as stream:
                stream.write(line_of(Opened(os.urandom(8).hex())) + line_of(Marked(FORMAT)))
                stream.writelines(line_of(record) for record in records)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path)
            sync_directory(self.path.parent)
            self.close()

    def append(self, lines: Iterable[bytes], *, durable: bool) -> None:
        """Add whole lines at the end; after a failure the end is as before."""
        body = b"".join(lines)
        with io_errors(f"write {self.path}"):
            start = os.fstat(self._fd).st_size
            try:
                view = memoryview(body)
                while view:
                    view = view[os.write(self._fd, view) :]
                if durable:
                    _sync(self._fd)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._fd, start)
                raise

    def read(self, offset: int) -> Iterator[LoggedRecord]:
        """The lines from `offset` on. A last line without an end counts as damaged."""
        rest = b""
        while True:
            with io_errors(f"read {self.path}"):
                chunk = os.pread(self._fd, _READ_BYTES, offset + len(rest))
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                offset += len(line) + 1
                yield LoggedRecord(record_of(line), offset)
            if not chunk:
                break
        if rest:
            yield LoggedRecord(None, offset + len(rest), whole=False)

    def lines(self) -> int:
        """Return how many lines there are, damaged ones included."""
        count = offset = 0
        with io_errors(f"read {self.path}"):
            while chunk := os.pread(self._fd, _READ_BYTES, offset):
                count, offset = count + chunk.count(b"\n"), offset + len(chunk)
        return count

    def before(self, offset: int, length: int) -> bytes:
        """The last `length` bytes before `offset`, or as many as there are."""
        start = max(offset - length, 0)
        with io_errors(f"read {self.path}"):
            return os.pread(self._fd, offset - start, start)

    def cut(self, end: int) -> None:
        """Drop what lies behind `end`: a line that was torn when its writer died."""
        with io_errors(f"write {self.path}"):
            os.ftruncate(self._fd, end)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._identity, self.id = -1, None, ""

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, _OPEN)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            # A store that others own, or on a read-only medium, can be read all the same.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        first, second = [*islice(self.read(0), 2), None, None][:2]
        self.headless = first is None or not first.whole
        opened = first.record if first is not None else None
        marked = second.record if second is not None else None
        self.format = marked.number if isinstance(marked, Marked) else 1
        # A log whose first line is damaged still has its records: it goes by its inode.
        self.id = opened.id if isinstance(opened, Opened) else f"inode-{status.st_ino}"
