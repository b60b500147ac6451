"""Ownership of runs: an operating-system lock for each, which ends with its holder."""

import fcntl
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private, release_lock

_PATIENCE_S = 1.0
_POLL_S = 0.01


class RunBusy(SymphonyError):
    """Another process owns the run."""

    code = "run-busy"


class RunLock:
    """The operating system's lock on a run: its holder owns the run, and it dies with its holder.

    The lock is a file of the run's, and for a run in a segment also a byte of the segment's lock: its
    owner there holds that byte alone (`SegmentLock`).
    """

    def __init__(self, path: Path, within: "Callable[[], LockedByte | None]" = lambda: None) -> None:
        """`within` gives the byte of a run that is in a segment."""
        self.path, self._within = path, within
        self._fd: int | None = None
        self._byte: int | None = None

    def acquire(self, pid: int) -> None:
        """Raises RunBusy if another living process holds it. Blocks for at most twice `_PATIENCE_S`."""
        self.acquire_file(pid)
        try:
            byte = self._within()
            if byte is not None:
                self._byte = byte.acquire()
        except BaseException:
            self.release()
            raise

    def acquire_file(self, pid: int) -> None:
        """The file alone: of a run that is new, or whose byte this process holds already. Raises RunBusy."""
        make_private(self.path.parent)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(fd, lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BaseException:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{pid}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Release the run."""
        if self._byte is not None:
            _free_bytes(self._byte)
            os.close(self._byte)
        if self._fd is not None:
            release_lock(self._fd)
        self._fd = self._byte = None

    def held(self) -> bool:
        """Return whether a living process owns the run. Blocks for at most three times `_PATIENCE_S`."""
        if self._file_held():
            return True
        byte = self._within()
        if byte is not None and byte.held():
            return True
        return self._file_held()  # it may have got a file of its own meanwhile

    def _file_held(self) -> bool:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return not _taken(fd, lambda: fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB))
        finally:
            os.close(fd)


class LockedByte(NamedTuple):
    """A byte of a segment's lock file: that of a run, by its number, or 0, that of the segment."""

    path: Path
    number: int

    def acquire(self) -> int:
        """The file in which it is locked now; closing that file releases it. Raises RunBusy."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(fd, lambda: _lock_byte(fd, self.number))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def held(self) -> bool:
        """Return whether a living process holds the lock. Blocks for at most `_PATIENCE_S`."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return not _taken(fd, lambda: _ask_byte(fd, self.number))
        finally:
            os.close(fd)


class SegmentLock:
    """The lock of a segment's owner: on the segment, and on each of its runs that the owner drives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, pid: int) -> None:
        """Own the segment. Raises RunBusy."""
        make_private(self.path.parent)
        self._fd = LockedByte(self.path, 0).acquire()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{pid}\n".encode(), 0)

    def take(self, number: int) -> None:
        """Own the run of this number, too. Raises RunBusy."""
        assert self._fd is not None
        fd = self._fd
        _take(fd, lambda: _lock_byte(fd, number))

    def free(self, number: int) -> None:
        """Let the run of this number go."""
        if self._fd is not None:
            _lock_byte(self._fd, number, fcntl.F_UNLCK)

    def release(self) -> None:
        """Release the segment and all of its runs."""
        if self._fd is not None:
            _free_bytes(self._fd)
            os.close(self._fd)
            self._fd = None


def segments_can_be_locked() -> bool:
    """Return whether this system has locks on bytes that belong to an open file, not to a process."""
    return _SET_LOCK is not None


_SET_LOCK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
_GET_LOCK: int | None = getattr(fcntl, "F_OFD_GETLK", None)
_LOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process (0: of the open file)
_FIRST_BYTE = 1 << 20  # far behind what the file says of its owner


def _lock_byte(fd: int, number: int, kind: int = fcntl.F_WRLCK) -> None:
    """Raises OSError if another has it."""
    assert _SET_LOCK is not None
    fcntl.fcntl(fd, _SET_LOCK, _LOCK.pack(kind, os.SEEK_SET, _FIRST_BYTE + number, 1, 0))


def _free_bytes(fd: int) -> None:
    """Unlock every byte; closing alone leaves them to a process that was forked off meanwhile."""
    assert _SET_LOCK is not None
    with suppress(OSError):  # somebody else may have closed it
        fcntl.fcntl(fd, _SET_LOCK, _LOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, _FIRST_BYTE, 0, 0))


def _ask_byte(fd: int, number: int) -> None:
    """Raises OSError if somebody has it. Nothing is locked for asking."""
    assert _GET_LOCK is not None
    wanted = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _FIRST_BYTE + number, 1, 0)
    if _LOCK.unpack(fcntl.fcntl(fd, _GET_LOCK, wanted))[0] != fcntl.F_UNLCK:
        raise BlockingIOError


def _take(fd: int, take: Callable[[], object]) -> None:
    """Raises RunBusy if a living process owns what `take` takes."""
    if not _taken(fd, take):
        owner = _owner(fd)
        who = f"process {owner}" if owner else "another process"  # it has not written its id yet
        raise RunBusy(f"{who} owns the run", hint="wait for it, or cancel the run")


def _taken(fd: int, take: Callable[[], object]) -> bool:
    """Take the lock, by `take`, if no living process owns it.

    It can outlive its owner for a moment: a child that the owner was just starting shares it until
    that becomes another program, and a process that asks whether it is held holds it while it asks.
    """
    pause = threading.Event()
    for _ in range(round(_PATIENCE_S / _POLL_S)):
        try:
            take()
        except OSError:
            if _alive(_owner(fd)):
                return False
            pause.wait(_POLL_S)
        else:
            return True
    return False


def _owner(fd: int) -> int | None:
    """The process that the file names; None while a new owner has not written its number."""
    number = os.pread(fd, 32, 0).strip()
    return int(number) if number.isdigit() else None


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as somebody else
    return True
