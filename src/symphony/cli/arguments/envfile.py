"""Files of secrets: `KEY=VALUE` lines that only their owner can read."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.commons.lines import lines_of

BYTES_MAX: Final = 1024 * 1024
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvFileRefused(SymphonyError):
    """A file of secrets that other users can read, or that is not valid. Its content is never quoted."""

    code = "bad-usage"


def environment(path: Path | None) -> Mapping[str, str] | None:
    """Return the process's variables, over them those in `path`; None without one. Raises as
    `read_env_file`.
    """
    return None if path is None else {**os.environ, **read_env_file(path)}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables in `path`. Raises EnvFileRefused, or OSError if it cannot be read.

    The checks are made on the open file, not on its name: nobody can swap it in between. It must be a
    regular file of ours, with no permissions for group and others (0600 or 0400).
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise EnvFileRefused(f"{path} is not a regular file", hint="write KEY=VALUE lines into a file")
        if hasattr(os, "geteuid"):
            _check_private(path, about)
        body = file.read(BYTES_MAX + 1)
    if len(body) > BYTES_MAX:
        raise EnvFileRefused(f"{path} is larger than {BYTES_MAX:,} bytes", hint="is it the right file?")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise EnvFileRefused(f"{path} is not UTF-8", hint="save it as UTF-8") from None
    return parse_env(text, str(path))


def parse_env(text: str, name: str) -> dict[str, str]:
    """Return the variables in `text`: `KEY=VALUE`, `export KEY=VALUE`, comments after `#` at a line's start.

    A value in single or double quotes loses them; nothing else in it is interpreted. Raises
    EnvFileRefused naming `name` and the line.
    """
    found: dict[str, str] = {}
    for number, written in enumerate(lines_of(text), start=1):
        line = written.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key, value = key.rstrip(), value.strip()
        if not equals or not _NAME.fullmatch(key) or "\0" in value:
            raise EnvFileRefused(
                f"{name}, line {number}: not KEY=VALUE", hint="one variable a line, such as TOKEN=abc"
            )
        if key in found:
            raise EnvFileRefused(f"{name}, line {number}: {key} is set twice", hint="remove one of them")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[key] = value
    return found


def _check_private(path: Path, about: os.stat_result) -> None:
    if about.st_uid != os.geteuid():
        raise EnvFileRefused(f"{path} belongs to another user", hint=f"copy it: install -m 600 {path} my.env")
    if about.st_mode & 0o077:
        mode = f"{stat.S_IMODE(about.st_mode):04o}"
        raise EnvFileRefused(f"{path} can be read by others (mode {mode})", hint=f"chmod 600 {path}")
