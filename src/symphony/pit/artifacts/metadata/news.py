"""What happened in a store, read from the end of its log. Takes no lock, and changes nothing."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

from symphony.pit.artifacts.metadata.records import (
    Gone,
    Linked,
    Moved,
    Pinned,
    Put,
    Rated,
    Record,
    Restored,
    Tagged,
    Trashed,
    Unlinked,
    Untagged,
    record_of,
)
from symphony.ports.artifact_events import ArtifactChanged

LAST: Final = 64
"""How many of the last events are read when the log is first opened."""
LINES_MAX: Final = 1_000
_TAIL_BYTES: Final = 256 << 10
_LINE_BYTES_MAX: Final = 16 << 20


class LogNews:
    """Reads the events of a store's log, from the last few on. Use it from one thread at a time.

    When the store rewrites its log, what was recorded between the last look and that may be missed.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "records.log"
        self._identity: tuple[int, int] | None = None
        self._offset = self._size = 0
        self._begun = False

    @property
    def changed(self) -> bool:
        """True if there may be something to read."""
        try:
            found = self._path.stat()
        except OSError:
            self._begun = True  # whatever comes is new
            return False
        return (found.st_dev, found.st_ino) != self._identity or found.st_size != self._size

    def read(self) -> list[ArtifactChanged]:
        """Return what is new, up to `LINES_MAX` lines of it, without damaged ones. Does not raise."""
        try:
            with closing(self._path.open("rb")) as log:
                return self._read(log)
        except OSError:
            return []

    def _read(self, log: BinaryIO) -> list[ArtifactChanged]:
        status = os.fstat(log.fileno())
        found: list[ArtifactChanged] = []
        if (status.st_dev, status.st_ino) != self._identity or status.st_size < self._offset:
            again, self._identity = self._identity is not None, (status.st_dev, status.st_ino)
            if again:  # it was rewritten: all that is in it was known
                self._offset = status.st_size
            elif self._begun:
                self._offset = 0
            else:
                found = self._last(log, status.st_size)
            self._begun = True
        log.seek(self._offset)
        self._size = status.st_size
        for _ in range(LINES_MAX):
            line = log.readline(_LINE_BYTES_MAX)
            if not line.endswith(b"\n"):
                return found
            self._offset += len(line)
            found += told(record_of(line[:-1]), self._offset)
        self._size = -1  # there is more
        return found

    def _last(self, log: BinaryIO, size: int) -> list[ArtifactChanged]:
        self._offset = max(0, size - _TAIL_BYTES)
        log.seek(self._offset)
        if self._offset:
            self._offset += len(log.readline(_LINE_BYTES_MAX))
        found: list[ArtifactChanged] = []
        while (line := log.readline(_LINE_BYTES_MAX)).endswith(b"\n"):
            self._offset += len(line)
            found = [*found, *told(record_of(line[:-1]), self._offset)][-LAST:]
        return found


def told(record: Record | None, place: int) -> Iterator[ArtifactChanged]:
    """Yield the event that a record is; nothing for what changes no artifact, such as a read."""
    match record:
        case Put():
            yield ArtifactChanged(
                kind="put", place=place, digest=record.digest, name=record.name, version=record.version,
                size=record.size, content_type=record.content_type, at_s=record.at or None,
            )  # fmt: skip
        case Linked():
            made = record.provenance
            yield ArtifactChanged(
                kind="linked", place=place, digest=record.digest, name=record.name, run=made.run_id,
                node=made.node, port=made.port,
            )  # fmt: skip
        case Unlinked():
            yield ArtifactChanged(kind="unlinked", place=place, run=record.run_id)
        case Tagged():
            yield ArtifactChanged(
                kind="tagged", place=place, digest=record.digest, name=record.name,
                version=record.version or None, tag=record.tag, at_s=record.at or None,
            )  # fmt: skip
        case Untagged():
            yield ArtifactChanged(kind="untagged", place=place, name=record.name, tag=record.tag)
        case Rated():
            yield ArtifactChanged(kind="rated", place=place, digest=record.digest, rating=record.rating.score)
        case Trashed():
            yield ArtifactChanged(
                kind="trashed", place=place, digest=record.digest, why=record.why, at_s=record.at
            )
        case Restored():
            yield ArtifactChanged(kind="restored", place=place, digest=record.digest, at_s=record.at)
        case Pinned():
            yield ArtifactChanged(
                kind="pinned" if record.pinned else "unpinned",
                place=place, digest=record.digest, at_s=record.at,
            )  # fmt: skip
        case Moved():
            for digest in record.digests:
                yield ArtifactChanged(
                    kind="moved", place=place, digest=digest, tier=record.tier, why=record.why or None,
                    at_s=record.at,
                )  # fmt: skip
        case Gone():
            yield ArtifactChanged(kind="deleted", place=place, digest=record.digest)
        case _:
            pass
