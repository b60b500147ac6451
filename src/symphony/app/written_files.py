"""The files that Symphony wrote in a folder: their digests, in a list that lies in it. Blocking.

The list lets a run replace what an earlier one wrote, from whatever home, and nothing else: a file that
somebody else made, or has edited since, is not in it with its present content.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import read_bounded, write_atomic

LIST: Final = ".symphony-files"
"""The name of the list. Its lines are those of `sha256sum`."""
_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")
_BYTES_MAX: Final = 64 << 20
_CHUNK_BYTES: Final = 1 << 20


class WrittenFiles:
    """The files in `folder` that Symphony wrote.

    A digest is added before its file takes its place, and those of earlier contents go when all files are
    written. So a kill at any moment leaves the digest of what is there in the list.
    """

    def __init__(self, folder: Path) -> None:
        """A list that is missing, or cannot be read, names nothing."""
        self._folder, self._path = folder, folder / LIST
        self._known: dict[str, set[str]] = {}
        self._last: dict[str, str] = {}
        self._added = False
        with suppress(SymphonyError):
            for line in read_bounded(self._path, _BYTES_MAX).decode("utf-8", "replace").split("\n"):
                if (found := _LINE.fullmatch(line)) is not None:
                    self._remember(found[2], found[1])

    def holds(self, name: str, digest: str) -> bool:
        """Return whether Symphony wrote the file `name`, a path in the folder, with this content."""
        return digest in self._known.get(name, ())

    def add(self, name: str, digest: str) -> None:
        """Symphony is about to write this content. Raises IoFailed."""
        if self._last.get(name) == digest:
            return
        try:
            # The leading line feed ends a line that a kill cut off.
            with self._path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(f"\n{digest}  {name}\n")
        except OSError as error:
            raise IoFailed.of(error, f"write {self._path}") from None
        self._remember(name, digest)
        self._added = True

    def settle(self) -> None:
        """All files are written: leave one line for each file that is there. Raises IoFailed."""
        if not self._added:
            return
        lines = (
            f"{digest}  {name}\n"
            for name, digest in sorted(self._last.items())
            if os.path.lexists(self._folder / name)
        )
        write_atomic(self._path, "".join(lines))

    def _remember(self, name: str, digest: str) -> None:
        self._known.setdefault(name, set()).add(digest)
        self._last[name] = digest


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a regular file; None for anything else, such as a link. Raises IoFailed."""
    if path.is_symlink() or not path.is_file():
        return None
    told = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                told.update(chunk)
    except OSError as error:
        raise IoFailed.of(error, f"read {path}") from None
    return told.hexdigest()


def listed(names: Iterable[str], most: int = 5) -> str:
    """Some names, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more
