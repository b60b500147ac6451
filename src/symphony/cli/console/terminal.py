"""The terminal while a view stands on it: what others print goes above the view.

A view is a few lines at the bottom that are drawn again and again. Whatever this process, its threads,
native code or child processes write to descriptors 1 and 2 meanwhile comes here through a pipe, is made
safe, and is written above the view.
"""

import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from select import select
from types import TracebackType
from typing import Final, NamedTuple, Self

from symphony.cli.console import output
from symphony.commons.widths import columns, first_columns

_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"
SHOW_CURSOR: Final = "\x1b[?25h"
HIDE_CURSOR: Final = "\x1b[?25l"
_COLOURS: Final = re.compile(r"\x1b\[[0-9;:]*m")
_PIECE_BYTES: Final = 65_536
_LINE_BYTES_MAX: Final = 65_536
"""A line without an end is printed in pieces of that size."""
_RESTORERS: "list[Callable[[], None]]" = []


def restore() -> None:
    """Set the terminal back at once: this process is about to be killed."""
    for undo in reversed(_RESTORERS):
        try:
            undo()
        except Exception:  # noqa: BLE001, S110  (nothing may stand in the way of a death)
            pass


def on_death(undo: Callable[[], None]) -> Callable[[], None]:
    """Have `restore` call `undo`, until what is returned is called."""
    _RESTORERS.append(undo)

    def forget() -> None:
        if undo in _RESTORERS:
            _RESTORERS.remove(undo)

    return forget


class Line(NamedTuple):
    """One line of a view: pieces of text, each with the names of its styles."""

    pieces: Sequence[tuple[str, str]]

    def cut(self, width: int, *, colours: bool, unicode: bool = True) -> tuple[str, int]:
        """Return what to write of it, and how many columns that takes: at most `width`."""
        out, used = "", 0
        for text, style in self.pieces:
            left = width - used
            if left <= 0:
                break
            kept = first_columns(output.shown(text), left)
            if not unicode:
                kept = kept.replace("…", "~").encode("ascii", "replace").decode()
            out += output.paint(kept, *style.split(), on=colours and bool(style))
            used += columns(kept)
        return out, used


class TerminalView:
    """The lines at the bottom, and everything else above them. Thread-safe; use it as a context manager.

    Leaving takes the lines away. `unicode` says whether the terminal can show more than ASCII.
    """

    def __init__(self, *, unicode: bool, colours: bool) -> None:
        self.unicode, self._colours = unicode, colours
        self._lock = threading.RLock()
        self._drawn: list[int] = []  # columns of the lines that stand there
        self._lines: Sequence[Line] = ()
        self._cursor: int | None = None
        self._tail = b""
        self._terminal = self._read_end = -1
        self._owns_stdout = False
        self._hidden = False
        self._encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._forget: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        sys.stderr.flush()
        self._terminal = os.dup(2)
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._owns_stdout = output.results_diverted()
        for number in self._taken():
            os.dup2(write_end, number)
        os.close(write_end)
        self._forget = on_death(self._set_back)
        threading.Thread(target=self._pump, name="terminal", daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        try:
            sys.stderr.flush()
        finally:
            with self._lock:
                self.draw(())
                self._drain()
                self._print_tail()
                self._write(self._shows_cursor())
                self._give_back()
            self._forget()

    def size(self) -> tuple[int, int]:
        """Columns and lines of the terminal."""
        return output.terminal_size(self._terminal)

    def draw(self, lines: Sequence[Line], cursor: int | None = None) -> None:
        """Show `lines` in place of those that stand there; `cursor` is its column in the last one."""
        with self._lock:
            self._lines, self._cursor = lines, cursor
            self._write(self._frame())

    def above(self, text: str) -> None:
        """Print lines above the view."""
        with self._lock:
            self._print(text.rstrip("\n") + "\n")

    # ---- inside -----------------------------------------------------------------------------

    def _taken(self) -> Sequence[int]:
        return (1, 2) if self._owns_stdout else (2,)

    def _give_back(self) -> None:
        for number in self._taken():
            os.dup2(self._terminal, number)

    def _set_back(self) -> None:
        """Without waiting for anybody: perhaps the lock is held by who will never run again."""
        self._give_back()
        os.write(2, (SHOW_CURSOR + "\r\n").encode() if self._drawn else SHOW_CURSOR.encode())

    def _pump(self) -> None:
        """Print what comes, until no process holds the other end. Ends with this process."""
        while True:
            select([self._read_end], [], [])
            with self._lock:
                if not self._drain():
                    return

    def _drain(self) -> bool:
        """Print what has come; return whether there is more to come."""
        while True:
            try:
                piece = os.read(self._read_end, _PIECE_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not piece:
                self._print_tail()
                return False
            *lines, self._tail = (self._tail + piece).split(b"\n")
            if lines:
                self._print("".join(f"{self._safe(line)}\n" for line in lines))
            if len(self._tail) > _LINE_BYTES_MAX:
                self._print_tail()

    def _print_tail(self) -> None:
        if self._tail:
            tail, self._tail = self._tail, b""
            self._print(f"{self._safe(tail)}\n")

    @staticmethod
    def _safe(line: bytes) -> str:
        """Return a line as the terminal would show it: what was overwritten is gone, nothing moves the
        cursor.
        """
        text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        return output.shown(_COLOURS.sub("", text), lines=True)

    def _print(self, text: str) -> None:
        erased = self._erasing() + _CLEAR_BELOW if self._drawn else ""
        self._drawn = []
        self._write(erased + text + self._frame())

    def _frame(self) -> str:
        """Return what to write so that the lines stand there, over those that stood there before."""
        out = self._erasing()
        width, height = self.size()
        lines = list(self._lines)[-max(1, height - 1) :]
        if not lines:
            self._drawn = []
            return out + (_CLEAR_BELOW if out else "") + self._shows_cursor()
        texts = [line.cut(width - 1, colours=self._colours, unicode=self.unicode) for line in lines]
        out += (_CLEAR_LINE + "\r\n").join(text for text, _ in texts) + _CLEAR_LINE + _CLEAR_BELOW
        self._drawn = [used for _, used in texts]
        if self._cursor is None:
            hide = "" if self._hidden else HIDE_CURSOR
            self._hidden = True
            return hide + out
        at = min(self._cursor, width - 1)
        return out + "\r" + (f"\x1b[{at}C" if at else "") + self._shows_cursor()

    def _shows_cursor(self) -> str:
        shown, self._hidden = SHOW_CURSOR if self._hidden else "", False
        return shown

    def _erasing(self) -> str:
        """Return the escape sequence to the beginning of the drawn view, also if the terminal has been made
        narrower.
        """
        if not self._drawn:
            return ""
        width = self.size()[0] if _reflows() else max(self._drawn) + 1
        rows = sum(max(1, -(-used // max(1, width))) for used in self._drawn[:-1])
        last = self._drawn[-1] if self._cursor is None else self._cursor
        rows += max(0, last - 1) // max(1, width)
        return "\r" + (f"\x1b[{rows}A" if rows else "")

    def _write(self, text: str) -> None:
        body = text.encode(self._encoding, "backslashreplace")
        try:
            while body:
                body = body[os.write(self._terminal, body) :]
        except OSError:  # it has gone away: so has who would read this
            pass


def _reflows() -> bool:
    """True if the terminal wraps long lines again when it is made narrower. Most do."""
    told, term = os.environ, os.environ.get("TERM", "")
    return not (
        "XTERM_VERSION" in told or term == "linux" or (term.startswith("screen") and "TMUX" not in told)
    )
