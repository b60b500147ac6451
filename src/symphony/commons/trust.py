"""Settings files of working trees that the user has read and trusted.

A cloned repository brings its `.symphony/config.toml` along, which may send keys and traces
anywhere. So such a file counts only with a note in the user's own folder, of its path and content:
the same file elsewhere, or changed by a later commit, wants to be looked at again.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import private_directory, read_bounded, write_atomic
from symphony.commons.ownership import distrusted

_BYTES_MAX = 1 << 20


class _Note(msgspec.Struct, frozen=True):
    """The file that was vouched for: its real path, and the SHA-256 of its bytes."""

    file: str
    sha256: str


class TrustStore:
    """The notes, one file each, in a folder that only the user may write to."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is made when the first note is written; by default it is in the user's data folder."""
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where the notes are."""
        if self._folder is None:
            import platformdirs

            self._folder = Path(platformdirs.user_data_dir("symphony", appauthor=False)) / "trusted"
        return self._folder

    def covers(self, file: Path) -> bool:
        """True if the user has vouched for `file` as it is now."""
        try:
            note = msgspec.json.decode(read_bounded(self._note(file), _BYTES_MAX), type=_Note)
            return distrusted(self.folder) is None and note == _note_of(file)
        except (IoFailed, msgspec.DecodeError):
            return False

    def add(self, file: Path) -> None:
        """Vouch for `file` as it is now. Raises IoFailed, FileTooLarge."""
        note = _note_of(file)
        private_directory(self.folder)
        if (why := distrusted(self.folder)) is not None:
            raise IoFailed(f"cannot keep a note in {self.folder}: {why}", hint=f"chmod 700 {self.folder}")
        write_atomic(self._note(file), msgspec.json.encode(note), mode=0o600)

    def drop(self, file: Path) -> bool:
        """Vouch for `file` no more; return whether it was vouched for in any form."""
        with suppress(FileNotFoundError):
            self._note(file).unlink()
            return True
        return False

    def _note(self, file: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(os.path.realpath(file))).hexdigest()}.json"


def _note_of(file: Path) -> _Note:
    body = read_bounded(file, _BYTES_MAX)
    return _Note(os.path.realpath(file), hashlib.sha256(body).hexdigest())


def keys_of(file: Path) -> list[str]:
    """Return what a settings file sets, as `section.key`; nothing if it is not TOML.

    Raises IoFailed, FileTooLarge.
    """
    import tomllib  # few homes have settings

    try:
        return list(_keys(tomllib.loads(read_bounded(file, _BYTES_MAX).decode("utf-8-sig"))))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return []


def _keys(tree: Mapping[str, object], before: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"
