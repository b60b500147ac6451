"""The output of commands: results to stdout, all else to stderr; never a raw control character.

Names of nodes, messages and logs come from files and programs that nobody vouches for: what they
print must not move the cursor, colour the screen or rename the window.
"""

import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

from symphony.commons.unicode import UNSEEN, escaped
from symphony.commons.widths import columns, first_columns

if TYPE_CHECKING:
    from symphony.app.spelling import JSON

WIDTH_DEFAULT: Final = 80
_BLANKS: Final = re.compile(r"\s+")
_COLOURS: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}


def shown(text: str, *, lines: bool = False) -> str:
    """Return `text` with control characters, bidirectional overrides and lone surrogates escaped.

    Tabs and newlines become spaces, unless `lines`.
    """
    if not lines:
        text = text.replace("\n", " ").replace("\t", " ")
    return escaped(text)


def brief(text: str, width: int) -> str:
    """Return `text` on one line of at most `width` columns, shortened with `…`."""
    text = _BLANKS.sub(" ", shown(text)).strip()
    return first_columns(text, width)


def pad(text: str, width: int) -> str:
    """Return `text` followed by blanks up to `width` columns."""
    return text + " " * (width - columns(text))


def size(count: float) -> str:
    """Bytes for people: `812 B`, `12.3 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Seconds for people: `84 ms`, `12.3 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def span(seconds: float) -> str:
    """A long time for people, rounded: `7 days`, `12 h`, `5 min`."""
    if seconds >= 2 * 86_400:
        return count(round(seconds / 86_400), "day")
    if seconds >= 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 60)} min" if seconds >= 60 else f"{round(seconds)} s"


def count(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`, `2 indexes`."""
    many = "es" if noun.endswith(("s", "x", "ch")) else "s"
    return f"{number:,} {noun}" + ("" if number == 1 else many)


def several(names: Sequence[str], most: int = 10) -> str:
    """`a, b, c`, at most `most` of them, and how many more there are: a body may have thousands of names."""
    first = ", ".join(names[:most])
    if len(names) <= most:
        return first
    from symphony.ports.artifacts import RECORDED_MAX

    at_least = "at least " if len(names) >= RECORDED_MAX else ""
    return f"{first} and {at_least}{len(names) - most:,} more"


def moment(epoch_s: float) -> str:
    """Return a time for people: ISO 8601 in the local time zone, with its offset."""
    from symphony.commons.moments import local

    return local(epoch_s).isoformat(timespec="seconds")


def prepare() -> None:
    """Make the standard streams safe: what an encoding cannot hold is escaped, never fatal.

    Where one was closed by our caller, its number would go to the next file that is opened, perhaps
    a journal, and what is printed would go into that: the null device takes the place instead.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class _Results(TextIOWrapper):
    """Takes what the main thread prints; threads that operators leave behind print to stderr."""

    def write(self, text: str, /) -> int:
        """Write `text`: from the main thread to stdout, from others to stderr."""
        if threading.current_thread() is threading.main_thread() or sys.stderr is None:
            return super().write(text)
        return sys.stderr.write(text)


def divert_descriptor() -> None:
    """From now on results go out by a descriptor of our own; number 1 is another name for stderr.

    Child processes and native code write to number 1, even between our own lines.
    """
    out = sys.stdout
    try:
        if out is None or out.fileno() != 1:
            return  # it is somebody else's by now, such as a test's
    except (AttributeError, OSError, ValueError):
        return
    out.flush()
    own = os.fdopen(os.dup(1), "wb", closefd=False)  # like that of Python's own stdout, it stays open
    os.dup2(2, 1)
    sys.stdout = _Results(own, encoding=out.encoding, errors=out.errors, line_buffering=is_terminal(out))


def results_diverted() -> bool:
    """True if results go out through a descriptor of their own."""
    return isinstance(sys.stdout, _Results)


def colourful(stream: TextIO | None) -> bool:
    """True if colours may be written to `stream`. Honours NO_COLOR (https://no-color.org) and TERM=dumb."""
    return (
        is_terminal(stream)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") not in ("", "dumb")
    )


def is_terminal(stream: TextIO | None) -> bool:
    """True if `stream` is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def unicode_capable(stream: TextIO | None) -> bool:
    """True if `stream` can show box drawing and check marks."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def paint(text: str, *styles: str, on: bool) -> str:
    """Return `text` in the named styles, if colours are `on`."""
    return f"\x1b[{';'.join(_COLOURS[s] for s in styles)}m{text}\x1b[0m" if on and styles else text


def terminal_size(number: int) -> tuple[int, int]:
    """Columns and lines of the terminal behind a descriptor; `COLUMNS` and `LINES` win, as elsewhere."""
    try:
        found = os.get_terminal_size(number)
    except (OSError, ValueError):
        found = os.terminal_size((WIDTH_DEFAULT, 24))
    told = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    wide, high = (int(one) if one.isdecimal() else 0 for one in told)
    return max(20, wide or found.columns or WIDTH_DEFAULT), max(2, high or found.lines or 24)


def width(stream: TextIO | None) -> int:
    """Columns of the terminal behind `stream`, at least 20; 80 if it is not a terminal.

    `COLUMNS` wins, as it does elsewhere.
    """
    try:
        told = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        told = 0
    if told <= 0 and stream is not None:
        try:
            told = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            told = 0
    return max(20, told or WIDTH_DEFAULT)


class StdoutFailed(OSError):
    """stdout takes nothing more: its disk is full, for example. A pipe without a reader is another error."""


def say(text: str) -> None:
    """Print `text` (with its own newlines) as a result, to stdout. Raises StdoutFailed, BrokenPipeError."""
    if sys.stdout is not None:
        try:
            sys.stdout.write(text)
        except OSError as error:
            raise _not_taken(error) from None


def flush() -> None:
    """Hand on what was printed. Raises StdoutFailed, BrokenPipeError."""
    say_bytes(b"")


def say_bytes(body: bytes) -> None:
    """Print `body` as it is, to stdout, behind what was printed. Raises StdoutFailed, BrokenPipeError."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
            if body:
                sys.stdout.buffer.write(body)
        except OSError as error:
            raise _not_taken(error) from None


def _not_taken(error: OSError) -> OSError:
    return error if isinstance(error, BrokenPipeError) else StdoutFailed(error.errno, error.strerror)


def say_json(document: "JSON | Mapping[str, JSON] | Sequence[JSON]", *, line: bool = False) -> None:
    """Print one JSON document in UTF-8, whatever the locale: indented only for a terminal.

    Lone surrogates, which UTF-8 cannot hold, are written as JSON's own escapes; on a terminal control
    characters and bidirectional overrides are, too.
    """
    import json  # costs a tenth of the start-up that `--help` has

    indent = 2 if is_terminal(sys.stdout) and not line else None
    text = quiet_json(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent))
    say_bytes(text.encode("utf-8", "backslashreplace") + b"\n")


def quiet_json(text: str) -> str:
    """JSON as it may go to stdout: on a terminal nothing in it moves the cursor or turns the text round."""
    if not is_terminal(sys.stdout) or UNSEEN.search(text) is None:
        return text
    return UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def note(text: str) -> None:
    """Print one line about what is going on, to stderr. A closed stderr is ignored."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        pass
