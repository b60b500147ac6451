"""Approvals that are answered on the terminal on which the run is watched."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from symphony.cli.console import output
from symphony.cli.console.keyboard import Keyboard, TypedLine, foreground
from symphony.commons.users import login_name
from symphony.ports.insight import OpenQuestion

_YES: Final = frozenset({"y", "yes", "approve", "approved", "ok"})
_NO: Final = frozenset({"n", "no", "reject", "rejected"})

_ANSWER: Final = re.compile(r"([a-z]+)(?:(?:\s*[:,;]|\s)\s*(.*)|())", re.IGNORECASE)


class Answerable(Protocol):
    """A run in this process that takes answers."""

    def answer(
        self, node: str, *, approved: bool, by: str | None = None, comment: str | None = None
    ) -> None: ...
    def unattended(self) -> None: ...


class Decision(msgspec.Struct, frozen=True):
    """Yes or no, with what was written behind it."""

    approved: bool
    comment: str | None


def decision_of(line: str) -> Decision | None:
    """Return what a line decides: `y`, `no`, `y looks good`; None for any other."""
    found = _ANSWER.fullmatch(line.strip())
    if found is None or found[1].lower() not in _YES | _NO:
        return None
    return Decision(found[1].lower() in _YES, (found[2] or "").strip() or None)


class Prompt:
    """The question that is put, and what has been typed so far. Pure but for `tell`."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._left: set[str] = set()
        self._over = False
        self._questions: Sequence[OpenQuestion] = ()
        self._put: str | None = None
        self.line = TypedLine()
        self.hint = ""

    def about_to_answer(self, nodes: Sequence[str]) -> bool:
        """True if one of these is still put to somebody."""
        return not self._over and any(node not in self._left for node in nodes)

    @property
    def question(self) -> OpenQuestion | None:
        """The question that is open now; None if there is none."""
        return next((one for one in self._questions if one.node == self._put), None)

    @property
    def waiting(self) -> int:
        """Return the number of open questions, this one included."""
        return sum(one.node not in self._left for one in self._questions)

    def see(self, questions: Sequence[OpenQuestion]) -> bool:
        """Take the open questions; return whether another question is put than before, or none any more."""
        before = self._put
        self._questions = () if self._over else questions
        if self.question is None and before is not None:
            if before not in self._left:
                self._tell(f"{output.shown(before)}: no answer is needed any more")
            self._put = None
        if self._put is None:
            self._put = next((one.node for one in self._questions if one.node not in self._left), None)
        if self._put != before:
            self.line.text = self.hint = ""
        return self._put != before

    def press(self, keys: str | None, by: str | None, run: Answerable) -> None:
        """Take keys; None is the end of input."""
        for line in [None] if keys is None else self.line.press(keys):
            if line is None:
                self._over = True
                self._put = None
                run.unattended()
                return
            if self._put is not None:
                self._take(line, self._put, by, run)

    def _take(self, line: str, node: str, by: str | None, run: Answerable) -> None:
        self.hint = ""
        if not line.strip():
            self._left.add(node)
            self._tell(f"{output.shown(node)}: left waiting")
            self._put = None
            run.unattended()
        elif (decided := decision_of(line)) is None:
            self.line.text = ""
            self.hint = "begin with y or n"
        else:
            self._left.add(node)
            self._put = None
            said = f": {output.brief(decided.comment, 300)}" if decided.comment else ""
            self._tell(f"{output.shown(node)}: {'approved' if decided.approved else 'rejected'}{said}")
            run.answer(node, approved=decided.approved, by=by, comment=decided.comment)
        self.see(self._questions)


class Answering:
    """Listens to the keyboard while something is asked. Its methods are called on the loop."""

    def __init__(
        self, run: Answerable, prompt: Prompt, keyboard: Keyboard, changed: Callable[[], None]
    ) -> None:
        self._run, self.prompt, self._keyboard, self._changed = run, prompt, keyboard, changed
        self._loop = asyncio.get_running_loop()
        self._listening = False
        self._by = login_name()

    def see(self, questions: Sequence[OpenQuestion]) -> None:
        """Put what is asked now; listen while there is something, and only in the foreground."""
        if self.prompt.see(questions):
            self._changed()
        if self.prompt.question is None:
            self.close()
            return
        if not foreground():
            self.close()
            self._run.unattended()  # nobody can answer here: a run that waits for nothing else ends
        elif not self._listening:
            self._keyboard.take()
            self._listening = True
            self._loop.add_reader(0, self._read)
            with contextlib.suppress(ValueError, OSError, RuntimeError):
                if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
                    self._loop.add_signal_handler(signal.SIGTSTP, self._stop)
        elif not self._keyboard.taken:  # it was stopped, and goes on
            self._keyboard.take()

    @property
    def listening(self) -> bool:
        """True if the question may be answered here."""
        return self._listening and self._keyboard.taken

    def close(self) -> None:
        """Listen no more; the terminal is as it was."""
        if self._listening:
            self._listening = False
            self._loop.remove_reader(0)
            self._loop.remove_signal_handler(signal.SIGTSTP)
        self._keyboard.give_back()

    def _read(self) -> None:
        keys = self._keyboard.read()
        self.prompt.press(keys, self._by, self._run)
        if keys is None or self.prompt.question is None:
            self.close()
        self._changed()

    def _stop(self) -> None:
        self._keyboard.stop()
        self._changed()


@contextlib.contextmanager
def answering(
    run: Answerable, prompt: Prompt, changed: Callable[[], None], *, cooked: bool
) -> Iterator[Answering]:
    """Ready to listen; whatever happens inside, the terminal is as it was outside."""
    with Keyboard(cooked=cooked) as keyboard:
        made = Answering(run, prompt, keyboard, changed)
        try:
            yield made
        finally:
            made.close()
