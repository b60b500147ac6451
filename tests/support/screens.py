"""A process on a pseudo-terminal, and the screen that it writes to."""

import contextlib
import os
import re
import select
import signal
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.waiting import PATIENCE_S

from symphony.commons.widths import columns

_SEQUENCE: Final = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """What a terminal of so many columns and lines shows. Raises ValueError for what it does not know.

    `above` holds the lines that have scrolled out of it.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows: list[list[str]] = [[]]
        self.above: list[str] = []
        self.row = self.column = 0
        self.cursor = True
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take what a program has written."""
        body = self._rest + piece
        text = body.decode("utf-8", "ignore")
        self._rest = b""
        for end in range(1, min(4, len(body)) + 1):  # a character that has not come whole
            with contextlib.suppress(UnicodeDecodeError):
                body[:-end].decode()
                if not _decodes(body):
                    self._rest, text = body[-end:], body[:-end].decode()
                break
        if (begun := re.search(r"\x1b(\[[?0-9;]*)?$", text)) is not None:
            self._rest = text[begun.start() :].encode() + self._rest
            text = text[: begun.start()]
        at = 0
        while at < len(text):
            found = _SEQUENCE.match(text, at)
            if found is not None:
                self._obey(found[1] + found[3], [int(one or 0) for one in found[2].split(";")])
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    @property
    def lines(self) -> list[str]:
        """The lines, without the blanks at their ends and the empty ones at the bottom."""
        texts = ["".join(row).rstrip() for row in self.rows]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    @property
    def all(self) -> list[str]:
        """The lines, after those that have scrolled out."""
        return [*self.above, *self.lines]

    def resize(self, width: int, height: int) -> None:
        """Become narrower or wider, and wrap again what no longer fits, as most terminals do."""
        texts: list[list[str]] = []
        row, column = 0, 0
        for number, cells in enumerate(self.rows):
            kept = cells[:]
            while kept and kept[-1] == " ":
                kept.pop()
            pieces = [kept[at : at + width] for at in range(0, max(1, len(kept)), width)]
            if number == self.row:
                row, column = len(texts) + self.column // width, self.column % width
            texts += pieces
        while len(texts) <= row:
            texts.append([])
        self.rows, self.row, self.column = texts, row, column
        self.width, self.height = width, height
        while len(self.rows) > height:
            self._scroll()

    def _scroll(self) -> None:
        self.above.append("".join(self.rows.pop(0)).rstrip())
        self.row -= 1

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self.column = 0
            case "\n":
                self.row += 1
                while len(self.rows) <= self.row:
                    self.rows.append([])
                while len(self.rows) > self.height:
                    self._scroll()
            case "\t":
                self.column = min(self.width - 1, (self.column // 8 + 1) * 8)
            case "\x07":
                pass
            case _ if character < " ":
                raise ValueError(f"unexpected {character!r}")
            case _:
                self._write(character, columns(character))

    def _write(self, character: str, wide: int) -> None:
        if self.column + wide > self.width:
            self.column = 0
            self._put("\n")
        cells = self.rows[self.row]
        if wide == 0:
            if cells and self.column:
                cells[self.column - 1] += character
            return
        while len(cells) < self.column + wide:
            cells.append(" ")
        cells[self.column] = character
        if wide == 2:
            cells[self.column + 1] = ""
        self.column += wide

    def _obey(self, name: str, numbers: Sequence[int]) -> None:
        first = numbers[0]
        cells = self.rows[self.row]
        match name:
            case "m":
                pass
            case "A":
                self.row = max(0, self.row - max(1, first))
            case "C":
                self.column = min(self.width - 1, self.column + max(1, first))
            case "K" if first == 0:
                del cells[self.column :]
            case "J" if first == 0:
                del cells[self.column :]
                del self.rows[self.row + 1 :]
            case "?h" if first == 25:
                self.cursor = True
            case "?l" if first == 25:
                self.cursor = False
            case _:
                raise ValueError(f"unexpected sequence {name} {numbers}")


def _decodes(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class Terminal:
    """A program on a pseudo-terminal of its own, its controlling one; `screen` shows what it wrote."""

    def __init__(
        self, words: Sequence[str], *, cwd: Path | None = None, width: int = 80, height: int = 24,
        **environment: str,
    ) -> None:  # fmt: skip
        import fcntl
        import pty
        import termios

        self.seen = b""
        self.screen = Screen(width, height)
        self.status: int | None = None
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            signal.signal(signal.SIGINT, signal.default_int_handler)
            hidden = ("NO_COLOR", "COLUMNS", "LINES")
            env = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("SYMPHONY_")}
            env |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
            if cwd is not None:
                os.chdir(cwd)
            os.execve(words[0], [*words], env)

    def read(self, deadline: float) -> bool:
        """Take what comes next; False at the end, or when it is too late."""
        left = select.poll()  # which takes descriptors of any number
        left.register(self.end, select.POLLIN)
        if not left.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        try:
            piece = os.read(self.end, 65_536)
        except OSError:
            return False
        self.seen += piece
        self.screen.feed(piece)
        return bool(piece)

    def wait_for(self, text: str) -> None:
        """Return when a line on the screen, or above it, holds `text`."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(text in line for line in self.screen.all):
            self._go_on(deadline, f"{text!r} never came")

    def wait_until_gone(self, text: str) -> None:
        """Return when no line on the screen holds `text`."""
        deadline = time.monotonic() + PATIENCE_S
        while any(text in line for line in self.screen.lines):
            self._go_on(deadline, f"{text!r} stays")

    def _go_on(self, deadline: float, otherwise: str) -> None:
        """Take what comes next; a program that is too late is ended."""
        if not self.read(deadline):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"{otherwise}:\n" + "\n".join(self.screen.all))

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.end, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        import fcntl
        import termios

        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(width, height)

    def echoes(self) -> bool:
        """Does the terminal show what is typed, and hand it on line by line?"""
        import termios

        flags = termios.tcgetattr(self.end)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def read_to_end(self) -> None:
        """Take all that comes until the program has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read(deadline):
            pass

    def leave(self) -> int:
        """Read to the end; the exit status, negative for a signal."""
        self.read_to_end()
        self.close()
        assert self.status is not None
        return self.status

    def close(self) -> None:
        """End the program if it has not."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 0 if _ended(self) else signal.SIGKILL)
            if self.status is None:
                self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.end)


def _ended(terminal: Terminal) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            terminal.status = os.waitstatus_to_exitcode(status)
            return True
        select.select([], [], [], 0.01)
    return False
