"""The form of log lines, and the console output. Imported only once logging is set up."""

import logging
import sys
from typing import TYPE_CHECKING, TextIO

from symphony.commons.log_text import Format, on_one_line
from symphony.commons.moments import iso
from symphony.commons.secrets import MASK

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_SECRET_WORDS = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential")


class LateFormatter(logging.Formatter):
    """Makes the formatter only when there is something to format: most commands log nothing."""

    def __init__(self, form: Format, *, colours: bool) -> None:
        super().__init__()
        self._form, self._colours = form, colours
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Format the record with the real formatter."""
        if self._made is None:
            self._made = formatter(self._form, colours=self._colours)
        return self._made.format(record)


def formatter(form: Format, *, colours: bool) -> logging.Formatter:
    """Return the formatter: text for people, or one JSON object a line with event, level, logger,
    timestamp and fields.
    """
    import structlog  # slow

    plain = structlog.dev.plain_traceback  # other formats show local variables, which may be secrets
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
    """Return what the record knows: its own time, not that of writing; its logger; its fields."""
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
    """Return the event so that it cannot forge a second line or move the cursor; fields are quoted."""
    return {**event, "event": on_one_line(str(event["event"]))}


def _without_secrets(_logger: "WrappedLogger", _name: str, event: "EventDict") -> "EventDict":
    """Hide fields whose names say that they are secret: a last safety net under `Secret`."""
    return {
        key: MASK if any(word in key.lower() for word in _SECRET_WORDS) else value
        for key, value in event.items()
    }


class ConsoleOutput(logging.Handler):
    """The console: `stream`, or what stderr is at the time. A closed pipe is not a reason to end a run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        stream = self._stream or sys.stderr
        try:
            stream.write(f"{self.format(record)}\n")
            stream.flush()
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line if the reader is gone; otherwise handle the error as usual."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)
