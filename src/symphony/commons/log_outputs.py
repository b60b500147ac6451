"""How log lines look and where they land. Imported only once logging is set up."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from symphony.commons.filesystem import release_lock
from symphony.commons.log_text import Format, on_one_line
from symphony.commons.moments import iso
from symphony.commons.secrets import MASK

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_SECRET_WORDS = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential")
_PRIVATE_MODE = 0o600


class LateFormatter(logging.Formatter):
    """`formatter`, made when there is something to format: most commands log nothing."""

    def __init__(self, form: Format, *, colours: bool) -> None:
        super().__init__()
        self._form, self._colours = form, colours
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """As the real one does."""
        if self._made is None:
            self._made = formatter(self._form, colours=self._colours)
        return self._made.format(record)


def formatter(form: Format, *, colours: bool) -> logging.Formatter:
    """Text for people, or one JSON object a line: event, level, logger, timestamp and the fields."""
    import structlog  # slow

    plain = structlog.dev.plain_traceback  # others show local variables, and with them secrets
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, sort_keys=False)
        if form == "text"
        else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    processors = [_with_record, structlog.processors.add_log_level, _without_secrets]
    processors.append(structlog.processors.format_exc_info if form == "json" else _on_one_line)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[],
        processors=[*processors, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _with_record(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """What the record knows: its own time, not that of writing; its logger; its fields."""
    record: logging.LogRecord = event["_record"]
    fields = getattr(record, "fields", None)
    known: EventDict = {
        **event,
        "timestamp": iso(record.created),
        "logger": record.name,
    }
    for key, value in (fields or {}).items():
        known[f"{key}_" if key in known or key == "level" else key] = value
    return known


def _on_one_line(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """No event may forge a second line, or move the cursor of a terminal; fields are shown quoted."""
    return {**event, "event": on_one_line(str(event["event"]))}


def _without_secrets(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """A last net under `Secret`: fields whose very name says that nobody should read them."""
    return {
        key: MASK if any(word in key.lower() for word in _SECRET_WORDS) else value
        for key, value in event.items()
    }


class ConsoleOutput(logging.StreamHandler[TextIO]):
    """The console. A closed pipe is not a reason to end a run."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line if nobody reads; otherwise as usual."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


class SharedRotatingFile(RotatingFileHandler):
    """A rotating log file that several processes may write at once, readable by its owner only.

    Every line is one append. The one who rotates holds a lock beside the file; the others notice
    that the name means another file now, and follow. A full disk loses lines, not the run: it
    is said once on stderr.
    """

    def __init__(self, path: str, *, bytes_max: int, backups: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._complained = False
        super().__init__(
            path, maxBytes=bytes_max, backupCount=backups, encoding="utf-8", errors="backslashreplace"
        )

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=_private)

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line, to the file that now has the name."""
        try:
            if not self._is_current():
                self._reopen()
        except OSError:
            return self.handleError(record)
        return super().emit(record)

    def doRollover(self) -> None:
        """Rotate, unless another process just did."""
        with _locked(f"{self.baseFilename}.lock"):
            if self._is_current():
                super().doRollover()
            else:
                self._reopen()

    def handleError(self, record: logging.LogRecord) -> None:
        """Say once that lines are being lost, and why."""
        if not self._complained:
            self._complained = True
            print(f"warning: cannot log to {self.baseFilename}: {sys.exc_info()[1]}", file=sys.stderr)  # noqa: T201

    def _is_current(self) -> bool:
        """Does the name still mean the file that is open? If neither can be told, reopening is right."""
        if self.stream is None:
            return False
        try:
            named = Path(self.baseFilename).stat()
            opened = os.fstat(self.stream.fileno())
        except (OSError, ValueError):  # ValueError: closed, after a failed rotation
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _reopen(self) -> None:
        old, self.stream = self.stream, self._open()
        if old is not None:
            old.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), _PRIVATE_MODE)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    number = _private(path, os.O_RDWR | os.O_CREAT)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        release_lock(number)
