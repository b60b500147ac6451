"""Who owns a run: an operating-system lock for each, which dies with its holder."""

import fcntl
import os
from pathlib import Path

from symphony.commons.errors import SymphonyError


class RunBusy(SymphonyError):
    """Another process owns the run."""

    code = "run-busy"


class RunLock:
    """The operating system's lock on a run: whoever holds it owns the run; it dies with its holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, pid: int) -> None:
        """Raises RunBusy if another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise RunBusy(
                f"process {owner or 'unknown'} owns the run", hint="wait for it, or cancel the run"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{pid}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the run free."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def held(self) -> bool:
        """Does a living process own the run?"""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False
