"""Detects write-ahead logs that are broken in their middle, from the log alone.

SQLite takes a log up to the first frame whose checksum is wrong, as a power cut leaves it. Each commit is
synced before the next begins: if two stand behind that frame, they were once durable.

SQLite's own index of the log (`-shm`) would tell at once how far SQLite reads. But a process that closes
any file releases all the locks that it holds there, SQLite's too, and then another process may write
while this one does. Nothing is locked in the log itself. Format: https://www.sqlite.org/fileformat.html, 4.
"""

import os
import struct
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from symphony.commons.filesystem import open_regular

_HEAD, _FRAME_HEAD = 32, 24
_PAGES: Final = frozenset(512 << shift for shift in range(8))
_MASK: Final = 0xFFFFFFFF
_REMEMBERED_MAX = 64
_Sums: TypeAlias = tuple[int, int]


class _Sound(NamedTuple):
    """The first frames of a log, all whole. `head` is other in each generation of the log."""

    file: tuple[int, int]
    head: bytes
    frames: int
    sums: _Sums


class SoundLogs:
    """Remembers how far logs were whole: another look at one compares only what was added. Thread-safe."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, _Sound] = OrderedDict()
        self._mutex = threading.Lock()
        self.compared = 0
        """How many frames were compared with their checksums."""

    def broken(self, journal: Path) -> bool:
        """Return whether the log of this journal is broken in its middle."""
        try:
            # A writer may be in the middle of a frame just now, but not of the same one twice.
            return self._broken_at(journal) is not None and self._broken_at(journal) is not None
        except (OSError, struct.error):
            return False

    def _broken_at(self, journal: Path) -> int | None:
        path = journal.with_name(f"{journal.name}-wal")
        with open_regular(path) as log:
            head = log.read(_HEAD)
            if len(head) < _HEAD:
                return None
            found = self._sound(path, log, head)
            behind = _commits_behind(log, head, found.frames)
            log.seek(0)
            return found.frames if behind >= 2 and log.read(_HEAD) == head else None

    def _sound(self, path: Path, log: BinaryIO, head: bytes) -> _Sound:
        file = _file_of(log)
        with self._mutex:
            found = self._known.get(path)
        if found is None or (found.file, found.head) != (file, head):
            first, second = struct.unpack(">II", head[24:])
            found = _Sound(file, head, 0, (first, second))
        if not _intact(head):
            return found
        sums, frames, size, order = found.sums, found.frames, _page_bytes(head), _order(head)
        log.seek(_HEAD + frames * (_FRAME_HEAD + size))
        while len(frame := log.read(_FRAME_HEAD + size)) == _FRAME_HEAD + size:
            after = _summed(order, frame[_FRAME_HEAD:], _summed(order, frame[:8], sums))
            self.compared += 1
            if frame[8:16] != head[16:24] or struct.pack(">II", *after) != frame[16:24]:
                break
            sums, frames = after, frames + 1
        found = _Sound(file, head, frames, sums)
        with self._mutex:
            self._known[path] = found
            self._known.move_to_end(path)
            while len(self._known) > _REMEMBERED_MAX:
                self._known.popitem(last=False)
        return found


SOUND_LOGS: Final = SoundLogs()


def _file_of(log: BinaryIO) -> tuple[int, int]:
    found = os.fstat(log.fileno())
    return found.st_dev, found.st_ino


def _commits_behind(log: BinaryIO, head: bytes, frames: int) -> int:
    """Return how many frames after the first `frames` end a transaction of the log's current generation."""
    size = _page_bytes(head)
    log.seek(_HEAD + frames * (_FRAME_HEAD + size))
    found = list[bytes]()
    while len(frame := log.read(_FRAME_HEAD)) == _FRAME_HEAD:
        found.append(frame)
        log.seek(size, os.SEEK_CUR)
    if not found:
        return 0
    # Frames with another salt than an intact head are left over from an earlier generation.
    salt = head[16:24] if _intact(head) else Counter(frame[8:16] for frame in found).most_common(1)[0][0]
    return sum(frame[8:16] == salt and frame[4:8] != bytes(4) for frame in found)


def _page_bytes(head: bytes) -> int:
    size = int(struct.unpack_from(">I", head, 8)[0])
    return size if size in _PAGES else 4096


def _order(head: bytes) -> str:
    return ">" if head[3] & 1 else "<"


def _intact(head: bytes) -> bool:
    return struct.pack(">II", *_summed(_order(head), head[:24], (0, 0))) == head[24:]


def _summed(order: str, body: bytes, sums: _Sums) -> _Sums:
    """The checksum of SQLite's logs, carried on."""
    first, second = sums
    for one, other in struct.iter_unpack(f"{order}II", body):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
