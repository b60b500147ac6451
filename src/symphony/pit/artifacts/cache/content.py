"""Digests of files that inputs point to, remembered for as long as the files do not change."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from symphony.commons.time import SystemClock

SETTLED_S = 2.0
"""A file changed later than this many seconds ago may change again without a trace in its times."""

_now_s = SystemClock().now_s
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK_BYTES = 1 << 20


class FileState(NamedTuple):
    """The attributes that change when a file does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class ContentMemo(Protocol):
    """Remembers digests of files."""

    def recall(self, state: FileState) -> str | None:
        """The digest of the file that was in this state, if it is known."""
        ...

    def remember(self, state: FileState, digest: str) -> None: ...


def content_digest(path: str | Path, memo: ContentMemo, *, now_s: Callable[[], float] = _now_s) -> str | None:
    """SHA-256 of the file that `path` points to, through symbolic links, in 64 hexadecimal digits.

    None for what has no content of its own to depend on: directories, pipes and devices, missing
    and unreadable files, and files that change while they are read. A file is read at most once
    for each of its states; one that changed within the last `SETTLED_S` seconds every time, since
    times of files are coarse. `now_s` gives seconds since the epoch.
    """
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):  # ValueError: a null character
        return None
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            return None
        state = state_of(before)
        if (known := memo.recall(state)) is not None:
            return known
        digest = _read(fd)
        if state_of(os.fstat(fd)) != state:
            return None
        if max(before.st_mtime, before.st_ctime) < now_s() - SETTLED_S:
            memo.remember(state, digest)
    except OSError:
        return None
    finally:
        os.close(fd)
    return digest


def state_of(status: os.stat_result) -> FileState:
    """The state that a file was in when `status` was asked for."""
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(fd: int) -> str:
    hasher = hashlib.sha256()
    while chunk := os.read(fd, _CHUNK_BYTES):
        hasher.update(chunk)
    return hasher.hexdigest()
