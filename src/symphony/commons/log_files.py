"""A log file that several processes share. Imported only if the settings name one."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from symphony.commons.filesystem import release_lock

_PRIVATE_MODE = 0o600


class SharedRotatingFile(RotatingFileHandler):
    """A rotating log file that several processes may write at once, readable by its owner only.

    Every line is one append. The process that rotates holds a lock beside the file. The others notice
    that the name now means another file, and reopen it. A full disk loses lines but does not fail the
    run: one message on stderr says so.
    """

    def __init__(self, path: str, *, bytes_max: int, backups: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._complained = False
        super().__init__(
            path, maxBytes=bytes_max, backupCount=backups, encoding="utf-8", errors="backslashreplace"
        )

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_private)

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line to the file that has the name now."""
        try:
            if not self._is_current():
                self._reopen()
        except OSError:
            return self.handleError(record)
        return super().emit(record)

    def doRollover(self) -> None:
        """Rotate, unless another process just did."""
        with _locked(f"{self.baseFilename}.lock"):
            if self._is_current():
                super().doRollover()
            else:
                self._reopen()

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that lines are being lost, and why."""
        if not self._complained:
            self._complained = True
            print(f"warning: cannot log to {self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)  # noqa: T201

    def _is_current(self) -> bool:
        """True if the name still means the open file. If that cannot be told, False is right: the file
        is reopened.
        """
        if self.stream is None:
            return False
        try:
            named = Path(self.baseFilename).stat()
            opened = os.fstat(self.stream.fileno())
        except (OSError, ValueError):  # ValueError: closed, after a failed rotation
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _reopen(self) -> None:
        old, self.stream = self.stream, self._open()
        if old is not None:
            old.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), _PRIVATE_MODE)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    number = _private(path, os.O_RDWR | os.O_CREAT)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        release_lock(number)
