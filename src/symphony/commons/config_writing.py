"""Adds and removes sections of a settings file; comments and order of everything else stay."""

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from symphony.commons.config import check_settings, read_settings_text
from symphony.commons.errors import ConfigInvalid, IoFailed
from symphony.commons.filesystem import private_directory, release_lock, write_atomic
from symphony.commons.settings import Config

_MODE = 0o600
_HEADER = re.compile(r"\s*\[")


def add_section(file: Path, path: tuple[str, str], values: Mapping[str, object]) -> None:
    """Append the section `[path]` to a settings file, which is made if need be.

    Atomic, also among processes. Raises ConfigInvalid, before anything is written, if the
    section is there already or the file would not be valid; IoFailed.
    """
    private_directory(file.parent)
    with _turn(file):
        text = read_settings_text(file)
        before = check_settings(Config, text, str(file))
        section = before.get(path[0], {})
        if isinstance(section, dict) and path[1] in section:
            raise ConfigInvalid(
                f"{file}: {path[0]}.{path[1]} is there already", hint="edit the file, or take another name"
            )
        import tomli_w

        table = tomli_w.dumps({path[0]: {path[1]: dict(values)}})
        joint = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        after = f"{text}{joint}{table}"
        if check_settings(Config, after, str(file), whole=True) == before:
            raise ConfigInvalid(f"{file}: the section could not be added", hint="add it by hand")
        write_atomic(file, after, mode=None if text else _MODE)


def remove_section(file: Path, path: tuple[str, str]) -> None:
    """Take the section `[path]` out of a settings file, with the sections and comments inside it.

    Atomic, also among processes. Raises ConfigInvalid, before anything is written, if the file has no
    such section or does not spell it with headers; IoFailed.
    """
    name = ".".join(path)
    with _turn(file):
        text = read_settings_text(file)
        before = check_settings(Config, text, str(file))
        section = before.get(path[0], {})
        if not isinstance(section, dict) or path[1] not in section:
            raise ConfigInvalid(
                f"{file}: there is no {name}", hint="another settings file or a variable sets it"
            )
        after = _without(text, path)
        left = {key: value for key, value in section.items() if key != path[1]}
        wanted = {key: value for key, value in {**before, path[0]: left}.items() if key != path[0] or left}
        if not _says(after, wanted):
            hint = f"edit the file: {name} is not written as a section of its own"
            raise ConfigInvalid(f"{file}: {name} could not be taken out", hint=hint)
        write_atomic(file, after)


def _says(text: str, wanted: Mapping[str, object]) -> bool:
    try:
        return check_settings(Config, text, "", whole=True) == wanted
    except ConfigInvalid:
        return False


def _without(text: str, path: tuple[str, str]) -> str:
    """Return the text without the lines from each header of `path`, or of what is inside it, to the
    next header.

    Comments right before a header stay, also before one that goes: they may be about more than it.
    """
    kept: list[str] = []
    pending: list[str] = []
    inside = False
    for line in re.split(r"(?<=\n)", text):
        if _HEADER.match(line) and (found := _header(line)) is not None:
            if not inside or found[: len(path)] != path:
                kept += pending
            inside, pending = found[: len(path)] == path, []
        elif not line.strip() or line.lstrip().startswith("#"):
            pending.append(line)
            continue
        else:
            kept += [] if inside else pending
            pending = []
        kept += [] if inside else [line]
    return "".join([*kept, *pending]).lstrip("\n")


def _header(line: str) -> tuple[str, ...] | None:
    """Return the keys of a table's header; None if the line is not a header."""
    try:
        found: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    keys: list[str] = []
    while isinstance(found, dict) and len(found) == 1:
        ((key, found),) = found.items()
        keys.append(key)
    return tuple(keys)


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """Wait for a turn to write: one writer at a time. The lock is on a file beside it, as the file
    itself is replaced.
    """
    try:
        fd = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IoFailed.of(error, f"lock {file}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        release_lock(fd)
