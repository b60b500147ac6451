"""The runs that have yet to tell of their end: an empty file for each, beside its lock."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from symphony.commons.filesystem import make_private, release_lock, sync_directory


class Untold:
    """One run's note, there from its beginning until its end has been told. Blocking.

    The notifying process holds a lock on it, so that no other does so at the same time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def leave(self) -> None:
        """Make the note, durably. Raises OSError."""
        make_private(self._path.parent)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_directory(self._path.parent)

    def is_there(self) -> bool:
        """Return whether the end of the run has yet to be told."""
        return self._path.exists()

    def take(self) -> bool:
        """Begin to tell; False if it has been told, or another process is doing so."""
        try:
            held = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.fstat(held).st_nlink > 0
        except OSError:
            there = False
        if not there:
            os.close(held)
            return False
        self._held = held
        return True

    def done(self, *, told: bool) -> None:
        """Tell no more; the note goes if it was `told`."""
        if told:
            with suppress(OSError):
                self._path.unlink()
        if self._held is not None:
            release_lock(self._held)
            self._held = None
