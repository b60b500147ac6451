"""Bodies larger than memory: written piece by piece, read in parts."""

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.base.rules import corrupt, require_range, writer_closed
from symphony.pit.artifacts.bodies.objects import CHUNK_BYTES, ObjectFiles, Staged
from symphony.ports.values import ArtifactRef, Digest

_CHECK_SPACE_EVERY = 64 << 20


class StagedWriter:
    """`symphony.ports.artifacts.ArtifactWriter` of a store in files.

    `publish` moves a whole body to its place and records it.
    """

    def __init__(self, objects: ObjectFiles, publish: Callable[[Staged, Digest], ArtifactRef]) -> None:
        self._objects, self._publish = objects, publish
        self._open = ExitStack()
        self._staged: Staged | None = self._open.enter_context(objects.staged())
        self._hasher, self._checked = hashlib.sha256(), 0

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what was not committed."""
        self._staged = None
        self._open.close()

    def write(self, chunk: bytes) -> None:
        """Add a piece. Raises StorageFull, IoFailed."""
        staged = self._required()
        if staged.size >= self._checked:
            self._objects.require_room(len(chunk))
            self._checked = staged.size + _CHECK_SPACE_EVERY
        self._hasher.update(chunk)
        self._objects.fill(staged, chunk)

    def commit(self) -> ArtifactRef:
        """Store what was written. Raises StorageFull, IoFailed."""
        staged = self._required()
        try:
            return self._publish(staged, Digest(self._hasher.hexdigest()))
        finally:
            self.__exit__()

    def _required(self) -> Staged:
        if self._staged is None:
            raise writer_closed()
        return self._staged


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
