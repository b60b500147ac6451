"""Adds to a settings file without disturbing what people wrote there: comments and order stay."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from symphony.commons.config import check_settings, read_settings_text
from symphony.commons.errors import ConfigInvalid, IoFailed
from symphony.commons.filesystem import private_directory, release_lock, write_atomic
from symphony.commons.settings import Config

_MODE = 0o600


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


@contextmanager
def _turn(file: Path) -> Iterator[None]:
    """One writer at a time. The lock is on a file beside it: the file itself is replaced."""
    try:
        fd = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise IoFailed.of(error, f"lock {file}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        release_lock(fd)
