"""Ownership of folders, and who else may change their contents. Only `tighten` changes anything."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077
_OWN: Final = 0o700


def distrusted(folder: Path) -> str | None:
    """Return why what lies in `folder` may be somebody else's doing; None if only the user could put it
    there.

    The folder, and the link that leads to it, must belong to the user, and nobody else may write to it.
    A group counts as somebody else unless it is the user's own, of the user's name and without other
    members. Access lists beyond the mode are not looked at. On Windows the answer is always None.
    """
    if not hasattr(os, "geteuid"):
        return None
    try:
        link, found = folder.lstat(), folder.stat()
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if {link.st_uid, found.st_uid} != {os.geteuid()}:
        return "it belongs to another user"
    if found.st_mode & stat.S_IWOTH:
        return "everybody may write to it"
    if found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid):
        return "its group may write to it"
    return None


def is_own(folder: Path) -> bool:
    """True if `folder` belongs to the user, does not exist, or is on Windows."""
    if not hasattr(os, "geteuid"):
        return True
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return True


def is_loose(path: Path) -> bool:
    """True if others may read, change or enter `path`. False for links, and if it does not exist."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return hasattr(os, "geteuid") and not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def tighten(folder: Path) -> int:
    """Remove every permission of others from `folder` and everything below it; return how many files it
    changed.

    Links are not followed, and what belongs to another user, or cannot be changed, stays as it is.
    """
    changed = 0
    for path in _everything(folder):
        if is_loose(path):
            with suppress(OSError):
                path.chmod(stat.S_IMODE(path.lstat().st_mode) & _OWN)
                changed += 1
    return changed


def _everything(folder: Path) -> Iterator[Path]:
    yield folder
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(place, name)


def _is_own_group(gid: int) -> bool:
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
