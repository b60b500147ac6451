"""Who owns a run: an operating-system lock for each, which dies with its holder."""

import fcntl
import os
import threading
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private

_PATIENCE_S = 1.0
_POLL_S = 0.01


class RunBusy(SymphonyError):
    """Another process owns the run."""

    code = "run-busy"


class RunLock:
    """The operating system's lock on a run: whoever holds it owns the run; it dies with its holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, pid: int) -> None:
        """Raises RunBusy if another living process holds it. Blocks for at most `_PATIENCE_S`."""
        make_private(self.path.parent)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _taken(fd, fcntl.LOCK_EX):
            owner = _owner(fd)
            os.close(fd)
            who = f"process {owner}" if owner else "another process"  # it has not written its id yet
            raise RunBusy(f"{who} owns the run", hint="wait for it, or cancel the run")
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{pid}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the run free."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def held(self) -> bool:
        """Does a living process own the run? Blocks for at most `_PATIENCE_S`."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return not _taken(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)


def _taken(fd: int, kind: int) -> bool:
    """Take the lock if no living process owns it.

    It can outlive its owner for a moment: a child that the owner was just starting shares it until
    that becomes another program, and who asks whether it is held holds it while asking.
    """
    pause = threading.Event()
    for _ in range(round(_PATIENCE_S / _POLL_S)):
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
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
