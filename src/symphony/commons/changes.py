"""Tells which of some files have changed, by remembering what they looked like."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

Look: TypeAlias = tuple[int, int, int, int] | None
"""What the file system knows about a file: when it was written and changed, its size and its number."""

ROUNDS_MAX: Final = 20
"""The number of looks at a file that keeps changing before its change counts."""


def look_at(path: Path) -> Look:
    """Return what `path` looks like, behind links; None if nothing can be said of it."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class SeenFiles(set[Path]):
    """Files, each with what it looked like when it was added: before anybody read it.

    It is a set, so that readers of files can note them in it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looks: dict[Path, Look] = {}

    def add(self, path: Path) -> None:
        """Note a file, unless it has been noted."""
        if path not in self:
            self._looks[path] = look_at(path)
            super().add(path)

    def update(self, *paths: Iterable[Path]) -> None:
        """Note several files."""
        for some in paths:
            for path in some:
                self.add(path)

    def changed(self) -> list[Path]:
        """Return the files that look otherwise than when they were added, by name."""
        return sorted(path for path, look in self._looks.items() if look_at(path) != look)


def settled(paths: Iterable[Path]) -> Iterator[None]:
    """Yield until all of `paths` look as they did one step before; the caller waits between two steps."""
    files = list(paths)
    before = [look_at(path) for path in files]
    for _ in range(ROUNDS_MAX):
        yield
        now = [look_at(path) for path in files]
        if now == before:
            return
        before = now
