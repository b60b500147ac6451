"""How large a home is, by its parts."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PARTS: Final = {
    "artifacts": "artifacts", "journal": "runs", "logs": "logs", "models": "models", "templates": "templates",
}  # fmt: skip
_CACHE: Final = "cache.db"


def sizes(home: Path) -> dict[str, int]:
    """Return the bytes of each part of the home that is there: artifacts, cached results, runs, logs, others.

    Links are not followed, and what cannot be read counts nothing.
    """
    out = dict[str, int]()
    for entry in _entries(home):
        part = _PARTS.get(entry.name, "others")
        for file in _files(entry):
            name = "cached results" if part == "artifacts" and file.name.startswith(_CACHE) else part
            with suppress(OSError):
                out[name] = out.get(name, 0) + file.stat(follow_symlinks=False).st_size
    return out


def _files(entry: "os.DirEntry[str]") -> "Iterator[os.DirEntry[str]]":
    waiting = [entry]
    while waiting:
        found = waiting.pop()
        with suppress(OSError):
            if found.is_dir(follow_symlinks=False):
                waiting += _entries(Path(found.path))
            elif found.is_file(follow_symlinks=False):
                yield found


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
