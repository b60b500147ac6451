"""Keys as they are pressed while somebody is asked something: the line is edited here.

So what is typed and a view that is drawn again and again do not disturb each other. The terminal is as it
was once this is closed, and whenever the process is stopped or about to be killed.
"""

import codecs
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Final, Self

from symphony.cli.console import output, terminal

_BYTES: Final = 4096
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What cursor and function keys send."""
_TEXT_MAX: Final = 4000
_ERASE: Final = "\x7f\x08"
_ERASE_LINE: Final = "\x15"
_ERASE_WORD: Final = "\x17"
_END: Final = "\x04"


def can_ask() -> bool:
    """True if there are terminals to ask on and to be answered from."""
    if sys.platform == "win32" or not output.is_terminal(sys.stdin):
        return False
    return output.is_terminal(sys.stderr)


def foreground(number: int = 0) -> bool:
    """True if the terminal belongs to this process's group, so that reading from it does not stop the
    process.
    """
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:
        return False


class TypedLine:
    """A line while it is typed. Pure."""

    def __init__(self) -> None:
        self.text = ""

    def press(self, keys: str) -> list[str | None]:
        """Return the lines that these keys finish; None for the end of input. What is begun stays in
        `text`.
        """
        done: list[str | None] = []
        for key in _SEQUENCE.sub("", keys):
            if key in "\r\n":
                done.append(self.text)
                self.text = ""
            elif key == _END:
                if not self.text:
                    done.append(None)
            elif key in _ERASE:
                self.text = self.text[:-1]
            elif key == _ERASE_LINE:
                self.text = ""
            elif key == _ERASE_WORD:
                self.text = self.text.rstrip().rpartition(" ")[0] + " " if " " in self.text.strip() else ""
            elif output.shown(key) == key and len(self.text) < _TEXT_MAX:
                self.text += key
        return done


class Keyboard:
    """The terminal behind stdin, key by key or, with `cooked`, line by line as it edits them itself."""

    def __init__(self, number: int = 0, *, cooked: bool = False) -> None:
        self._number, self._cooked = number, cooked
        self._before: list[object] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._forget: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self._forget = terminal.on_death(self.give_back)
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
        self._forget()

    @property
    def taken(self) -> bool:
        """True if key presses come here."""
        return self._before is not None

    def take(self) -> None:
        """Have keys come here one by one; what was typed before nobody had asked is dropped."""
        import termios

        if self._before is not None or not foreground(self._number):
            return
        try:
            before = termios.tcgetattr(self._number)
            if not self._cooked:
                changed = termios.tcgetattr(self._number)
                changed[3] &= ~(termios.ICANON | termios.ECHO)
                changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
                termios.tcsetattr(self._number, termios.TCSAFLUSH, changed)
            else:
                termios.tcflush(self._number, termios.TCIFLUSH)
        except termios.error:
            return
        self._before = before

    def give_back(self) -> None:
        """Leave the terminal as it was."""
        if self._before is None:
            return
        import termios

        before, self._before = self._before, None
        try:
            if not self._cooked and foreground(self._number):
                termios.tcsetattr(self._number, termios.TCSANOW, before)  # type: ignore[arg-type]  # as it gave it
        except termios.error:
            pass

    def read(self) -> str | None:
        """Return what was typed; None at the end of input. Call it when there is something to read."""
        if not foreground(self._number):
            return ""
        try:
            keys = os.read(self._number, _BYTES)
        except OSError:
            return None
        return self._decoder.decode(keys) if keys else None

    def stop(self) -> None:
        """Do what Ctrl-Z asks for, with the terminal as it was meanwhile."""
        self.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
