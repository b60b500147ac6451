"""Bodies larger than memory: written piece by piece, read in parts."""

import hashlib
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.base.rules import corrupt, require_range, writer_closed
from symphony.pit.artifacts.bodies.bodies import Bodies, BodyWriter, chunk_of, refusals, require_same
from symphony.pit.artifacts.bodies.objects import CHUNK_BYTES, ObjectFiles
from symphony.pit.artifacts.packs.frames import ItemKind
from symphony.pit.artifacts.packs.index import Row
from symphony.pit.artifacts.packs.manifests import Manifest
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.scanning import ItemDamaged
from symphony.ports.artifacts import ArtifactRanges
from symphony.ports.values import ArtifactRef, Digest

_CHECK_SPACE_EVERY = 64 << 20


class PackWriter:
    """`symphony.ports.artifacts.ArtifactWriter` of a store in packs.

    `publish` stores what is left of a body and records it.
    """

    def __init__(self, bodies: Bodies, publish: Callable[[BodyWriter], ArtifactRef]) -> None:
        self._bodies, self._publish = bodies, publish
        self._open = ExitStack()
        self._open.enter_context(bodies.streaming())
        self._writer: BodyWriter | None = BodyWriter(bodies.packs)
        self._checked = 0

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what was not committed."""
        self._writer = None
        self._open.close()

    def write(self, chunk: bytes) -> None:
        """Add a piece. Raises StorageFull, IoFailed."""
        writer = self._required()
        if writer.size >= self._checked:
            self._bodies.require_room(len(chunk))
            self._checked = writer.size + _CHECK_SPACE_EVERY
        writer.write(chunk)

    def commit(self) -> ArtifactRef:
        """Store what was written. Raises StorageFull, IoFailed."""
        writer = self._required()
        try:
            return self._publish(writer)
        finally:
            self.__exit__()

    def _required(self) -> BodyWriter:
        if self._writer is None:
            raise writer_closed()
        return self._writer


def ranges(bodies: Bodies, digest: Digest) -> ArtifactRanges:
    """A body to be read in parts. Raises ArtifactMissing, ArtifactCorrupt."""
    row = bodies.packs.find(bytes.fromhex(digest)) if bodies.stat(digest) else None
    return FileRanges(bodies.old, digest) if row is None else PackRanges(bodies.packs, digest, row)


class PackRanges:
    """`symphony.ports.artifacts.ArtifactRanges` of a body in packs.

    The list of its chunks is verified once, and each chunk whenever it is read, so that no more of a body is
    read than is asked for.
    """

    def __init__(self, packs: Packs, digest: Digest, row: Row) -> None:
        self._digest, self._row, self._reading = digest, row, packs.reading()
        self._chunks, self._starts = Manifest(), array("Q")
        with refusals(digest):
            if row.kind == ItemKind.BODY:
                self._chunks.add(row.digest, row.size)
            else:
                self._chunks = packs.manifest(row)
                if packs.keys.encrypts and not packs.encrypted(row):
                    # Anybody could have written this list: the digest of the body alone proves it.
                    require_same(packs, row)
        start = 0
        for _, length in self._chunks:
            self._starts.append(start)
            start += length
        self._part = (-1, b"")
        self.read(0, 1)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._row.size

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to do."""

    def read(self, start: int, length: int) -> bytes:
        """Part of the body. Raises ArtifactCorrupt."""
        require_range(start, length)
        length, found = max(0, min(length, self.size - start)), list[bytes]()
        number = bisect_right(self._starts, start) - 1
        with refusals(self._digest):
            while length > 0:
                at = start - self._starts[number]
                found.append(self._chunk(number)[at : at + length])
                start, length = start + len(found[-1]), length - len(found[-1])
                number += 1
        return b"".join(found)

    def _chunk(self, number: int) -> bytes:
        """A part that is what was stored."""
        if self._part[0] != number:
            digest, length = self._chunks[number]
            if self._row.kind == ItemKind.BODY:
                body = self._reading.item(digest, ItemKind.BODY)
            else:
                body = chunk_of(self._reading, digest)
            if len(body) != length or hashlib.sha256(body).digest() != digest:
                raise ItemDamaged("its bytes have changed")
            self._part = (number, body)
        return self._part[1]


class FileRanges:
    """`symphony.ports.artifacts.ArtifactRanges` of a body in a file of its own.

    A digest says nothing of a part, so the whole body is read once and compared before any part is given out,
    and again if the file seems to have changed since.
    """

    def __init__(self, objects: ObjectFiles, digest: Digest) -> None:
        self._file, self._digest = objects.opened(digest), digest
        try:
            self._state = self._verified()
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        """In bytes."""
        return self._state[0]

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._file.close()

    def read(self, start: int, length: int) -> bytes:
        """Part of the body. Raises ArtifactCorrupt if somebody has written into the file since."""
        require_range(start, length)
        with io_errors(f"read artifact {self._digest}"):
            number, parts = self._file.fileno(), []
            while length > 0 and (part := os.pread(number, length, start)):
                parts.append(part)
                start, length = start + len(part), length - len(part)
            if _state(number) != self._state:  # its age was renewed, or it was written: look again
                self._state = self._verified()
        return b"".join(parts)

    def _verified(self) -> tuple[int, int]:
        """The state of the file whose bytes were found to be the body."""
        with io_errors(f"read artifact {self._digest}"):
            state, hasher, at = _state(self._file.fileno()), hashlib.sha256(), 0
            while chunk := os.pread(self._file.fileno(), CHUNK_BYTES, at):
                hasher.update(chunk)
                at += len(chunk)
        if hasher.hexdigest() != self._digest:
            raise corrupt(self._digest, "its bytes have changed")
        return state


def _state(number: int) -> tuple[int, int]:
    """The size of a file, and when something was written into it."""
    status = os.fstat(number)
    return status.st_size, status.st_mtime_ns
