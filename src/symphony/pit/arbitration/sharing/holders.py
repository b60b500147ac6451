"""Which other processes may hold grants, in a file, so that the next owner knows whom to wait for."""

import json
import os
from contextlib import suppress
from pathlib import Path

from symphony.commons.filesystem import write_atomic


class HoldersFile:
    """The names of endpoints of processes that may hold grants. Written before a grant is told.

    A file that is missing or damaged means that nobody is known to hold anything. It need not survive a
    power failure, which ends all holders.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: set[str] = set()

    def inherit(self) -> set[str]:
        """Return the names that the owner before left, of processes that live; they are kept."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = []
        names = {name for name in found if isinstance(name, str) and _lives(name)}
        self._names |= names
        return names

    def add(self, name: str) -> None:
        """The process may hold something from now on. Raises OSError."""
        if name not in self._names:
            self._names.add(name)
            self._write()

    def discard(self, name: str) -> None:
        """The process is gone."""
        if name in self._names:
            self._names.discard(name)
            with suppress(OSError):  # the next owner finds that it does not live
                self._write()

    def _write(self) -> None:
        write_atomic(self._path, json.dumps(sorted(self._names)).encode())


def _lives(name: str) -> bool:
    """True if the process of an endpoint `role.PID.random` may live."""
    parts = name.split(".")
    if len(parts) < 3 or not parts[-2].isdigit():
        return False
    try:
        os.kill(int(parts[-2]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
