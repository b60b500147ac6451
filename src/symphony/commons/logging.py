"""Logs: one line per event with fields, to the console, a rotating file, as text or JSON.

Components ask for `logger(__name__)`, which costs nothing until something is logged; only the
program (the command line, a child process) calls `init_logging`.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Annotated, Final, Literal, TextIO, TypeAlias

import msgspec

from symphony.commons.errors import IoFailed
from symphony.commons.log_text import Format, on_one_line

ROOT: Final = "symphony"
Level: TypeAlias = Literal["debug", "info", "warning", "error"]

_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
_fields: ContextVar[Mapping[str, object]] = ContextVar("symphony_log_fields", default=_NO_FIELDS)


class LoggingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where logs go. `file` rotates at `file_bytes_max`, keeping `file_backups` older ones.

    Several processes may share one file. Nothing is written anywhere but there and stderr.
    """

    level: Level = "warning"
    console: Literal["text", "json", "off"] = "text"
    file: str | None = None
    file_format: Format = "json"
    file_bytes_max: Annotated[int, msgspec.Meta(ge=1024, le=1 << 40)] = 10 * 1024 * 1024
    file_backups: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3


class Logger:
    """Logs events with fields: `log.info("node finished", node="parse", attempts=2)`."""

    __slots__ = ("_inner",)

    def __init__(self, name: str) -> None:
        self._inner = logging.getLogger(name)

    def debug(self, event: str, /, **fields: object) -> None:
        """Log a message for finding a bug."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Log what normally happens."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Log something to look at some day."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Log that something failed. Inside an `except` block, `exc_info=True` adds the traceback."""
        self._log(logging.ERROR, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._inner.isEnabledFor(level):
            exc_info = sys.exc_info() if fields.pop("exc_info", False) else None
            if not self._inner.hasHandlers():
                event = on_one_line(event)  # Python prints it as it is, and logging is not set up yet
            # Arguments stay empty: a `%` in an event is a `%`.
            self._inner.log(level, event, exc_info=exc_info, extra={"fields": {**_fields.get(), **fields}})


def logger(name: str) -> Logger:
    """Return the logger of a module; `name` is its `__name__`."""
    return Logger(name)


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add `fields` to everything logged in the block, in the tasks it starts too."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def init_logging(config: LoggingConfig, *, stream: TextIO | None = None) -> None:
    """Send the logs of Symphony where `config` says; `stream` (stderr) is the console.

    May be called again: the new settings replace the old. Raises IoFailed if the file cannot
    be opened, and then changes nothing.
    """
    handlers: list[logging.Handler] = []
    if config.console != "off":
        handlers.append(_console(config.console, stream))
    if config.file is not None:
        handlers.append(_file(config, config.file))
    root = logging.getLogger(ROOT)
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers or [logging.NullHandler()]:
        root.addHandler(handler)
    root.setLevel(config.level.upper())
    root.propagate = False


def _console(form: Format, stream: TextIO | None) -> logging.Handler:
    from symphony.commons.log_outputs import ConsoleOutput, LateFormatter

    handler = ConsoleOutput(stream)
    handler.setFormatter(LateFormatter(form, colours=_colours(stream or sys.stderr)))
    return handler


def _colours(stream: TextIO) -> bool:
    import os

    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _file(config: LoggingConfig, path: str) -> logging.Handler:
    from symphony.commons.log_files import SharedRotatingFile
    from symphony.commons.log_outputs import LateFormatter

    try:
        handler = SharedRotatingFile(path, bytes_max=config.file_bytes_max, backups=config.file_backups)
    except OSError as error:
        raise IoFailed.of(error, f"log to {path}", hint="choose another logging.file, or none") from error
    handler.setFormatter(LateFormatter(config.file_format, colours=False))
    return handler
