"""The folder in which Symphony keeps its state, and whether its settings can be trusted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from symphony.commons.config import load_config
from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import FileTooLarge
from symphony.commons.logging import logger
from symphony.commons.ownership import distrusted, is_loose, is_own, tighten
from symphony.commons.settings import Config
from symphony.commons.trust import TrustStore, keys_of

FOLDER: Final = ".symphony"
CONFIG: Final = "config.toml"
_PARTS: Final = frozenset(
    {CONFIG, "artifacts", "data", "extensions", "journal", "logs", "models", "run", "templates"}
)
"""What a home holds, beside hidden files. A folder with anything else in it is never tightened."""
_FILES_ONCE_LOOSE: Final = ("artifacts/cache.db", "artifacts/index.db")

log = logger(__name__)


class Home(msgspec.Struct, frozen=True):
    """A place for the state; it need not exist.

    `origin`: `named` by an option or SYMPHONY_HOME, found in the `tree` above the current folder, or
    the user's `own` data folder.
    """

    path: Path
    origin: Literal["named", "tree", "own"]

    @property
    def config(self) -> Path:
        """Return the path of its settings file."""
        return self.path / CONFIG

    def vouched(self) -> bool:
        """True if its settings count. Those found in a tree count only once the user has vouched for them."""
        return self.origin != "tree" or not self.config.exists() or TrustStore().covers(self.config)


def find_home(given: Path | str | None = None, *, start: Path | None = None) -> Path:
    """Return the path of `locate_home`."""
    return locate_home(given, start=start).path


def locate_home(given: Path | str | None = None, *, start: Path | None = None) -> Home:
    """Return the home: `given`, else `SYMPHONY_HOME`, else the nearest `.symphony/` upward from `start`

    (the current directory), else the platform's user data directory. A `.symphony/` that belongs to
    somebody else, or that others may write to, is passed over with a warning, unless it is the user's
    own: then `secure` mends it. So is one with a link inside to such a place. A folder that is named is
    used even if another user owns it.
    """
    if given is not None:
        return Home(Path(given).expanduser().absolute(), "named")
    if named := os.environ.get("SYMPHONY_HOME"):
        return Home(Path(named).expanduser().absolute(), "named")
    folder = (start or Path.cwd()).absolute()
    for parent in (folder, *folder.parents):
        place = parent / FOLDER
        if not place.is_dir():
            continue
        why = distrusted(place)
        if why is None or (is_own(place) and not place.is_symlink()):
            why = _led_astray(place)
        if why is None:
            return Home(place, "tree")
        _tell_once(f"{place} is not used as the home: {why}; name it in SYMPHONY_HOME to use it anyway")
    import platformdirs

    return Home(Path(platformdirs.user_data_dir("symphony", appauthor=False)), "own")


def _led_astray(place: Path) -> str | None:
    """Return why one of the links in a home leads to where others may read or change what is written;
    None if not.

    A link to a folder of the user's own, such as one on a larger disk, is followed.
    """
    for name in (*sorted(_PARTS), "artifacts/objects", "logs/runs"):
        part = place / name
        if part.is_symlink() and part.exists() and (why := distrusted(part)) is not None:
            return f"its {name} leads to {part.resolve()}, and {why}"
    return None


def secure(home: Home) -> None:
    """Close the user's own home to others where it is open to them; log that, and what stays open."""
    place = home.path
    if not is_own(place):
        _tell_once(f"the home {place} belongs to another user, who can read and change all that is in it")
        return
    parts = [place, *(place / name for name in ("artifacts", "journal", "logs", "run"))]
    if not any(map(is_loose, [*parts, *(place / name for name in _FILES_ONCE_LOOSE)])):
        return
    if not _holds_only_parts(place):
        if (why := distrusted(place)) is not None:
            _tell_once(f"the home {place} is not safe: {why}; chmod go-w {place}")
        return
    if changed := tighten(place):
        _tell_once(f"the home {place} was open to other users: {changed} permissions were taken from them")


def _holds_only_parts(place: Path) -> bool:
    try:
        names = {entry.name for entry in os.scandir(place)}
    except OSError:
        return False
    return all(name in _PARTS or name.startswith(".") for name in names)


def config_of(home: Home) -> Config:
    """Return the settings. Those of a working tree that nobody has vouched for are left out, and named.

    Raises ConfigInvalid, IoFailed.
    """
    if home.vouched():
        return load_config(home=home.path)
    _tell_once(_ignored(home))
    return load_config()


def _ignored(home: Home) -> str:
    try:
        keys = ", ".join(keys_of(home.config)) or "it cannot be read as TOML"
    except (IoFailed, FileTooLarge) as error:
        keys = error.message
    return (
        f"{home.config} does not count, for nobody has vouched for it ({keys}); "
        f"read it, then say: symphony trust {home.path.parent}"
    )


@contextmanager
def keeping_trust(home: Home) -> Iterator[None]:
    """Keep the trust in the settings across a block that changes them."""
    vouched = home.vouched()
    yield
    if vouched and home.origin == "tree" and home.config.exists():
        TrustStore().add(home.config)


@lru_cache(maxsize=256)
def _tell_once(words: str) -> None:
    """Report it once in a process, however often a home is looked for."""
    log.warning(words)
