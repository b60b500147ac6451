"""Refusals by the operating system as errors that say what to do, and locks between processes."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import release_lock
from symphony.ports.artifacts import StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_LOCK_WAIT_S = 60.0
SPARE_BYTES = 16 << 20
"""Room that bodies leave on the disk, so that journals and indexes can still be written."""


@contextmanager
def io_errors(doing: str) -> Iterator[None]:
    """Turn OSError into StorageFull or IoFailed; `doing` is such as `store a body in DIR`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_room(doing, reason=error.strerror or "no room") from error
        hint = "check who owns the directory and whether it is mounted read-only"
        raise IoFailed.of(error, doing, hint=hint if error.errno in _REFUSED else None) from error


def require_room(place: Path, size: int = 0) -> None:
    """Raise StorageFull if `size` bytes more at `place` would leave less than `SPARE_BYTES`."""
    try:
        disk = os.statvfs(place)
    except OSError:
        return
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < size + SPARE_BYTES:
        doing = f"store {size} bytes in {place}" if size else f"store anything in {place}"
        raise no_room(doing, needed=size, free=free, kept=SPARE_BYTES)


def no_room(
    doing: str, *, reason: str = "", needed: int = 0, free: int | None = None, kept: int = 0
) -> StorageFull:
    """The error for a full disk; `needed`, `free` and `kept`, which is left free, are in bytes."""
    why = reason or f"{free} bytes are free, and Symphony leaves {kept} of the disk for its journals"
    return StorageFull(
        f"cannot {doing}: {why}",
        details={"needed_bytes": needed, "free_bytes": free},
        hint="free some room (symphony cache clear, symphony runs delete, symphony artifacts gc --now), "
        "then do it again, or resume the run",
    )


def unwritable(root: Path, error: IoFailed) -> bool:
    """Return whether `error` came of a disk that is full or read-only: what is on it can still be read."""
    return isinstance(error, StorageFull) or (error.code == IoFailed.code and not os.access(root, os.W_OK))


@contextmanager
def file_lock(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock `path` between processes and threads alike.

    Waits up to a minute, then raises IoFailed with code `store-busy`. On a read-only medium,
    where nobody can write, a lock that cannot be made is not needed.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _REFUSED and not exclusive:
            yield
            return
        with io_errors(f"lock {path}"):
            raise
    try:
        _wait_for_lock(fd, path, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        release_lock(fd)


def _wait_for_lock(fd: int, path: Path, kind: int) -> None:
    # Locks are held for about a millisecond: first look often, then ever more rarely.
    begun, waited_s = None, 0.0
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            begun = begun or time.monotonic()
            waited_s = time.monotonic() - begun
            if waited_s > _LOCK_WAIT_S:
                raise IoFailed(
                    f"{path} has been locked for {_LOCK_WAIT_S:.0f} s by another process",
                    code="store-busy",
                    hint="look for a stopped or hanging symphony process",
                ) from None
        time.sleep(min(max(waited_s / 10, 0.0002), 0.02))
