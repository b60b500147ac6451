"""Views of a run that are drawn again and again, and those that take answers to what it asks."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from symphony.cli.actions.answering import Answering, Prompt, answering
from symphony.cli.console import output
from symphony.cli.console.keyboard import foreground
from symphony.cli.views.watching import Handle, LineView

if TYPE_CHECKING:
    from symphony.cli.console.terminal import TerminalView

DRAW_EVERY_S: Final = 0.125
CLOCK_EVERY_S: Final = 1.0
"""The interval at which the view is drawn while only time has changed."""
FIRST_DRAW_S: Final = 0.25
"""A run that is shorter than this is never drawn."""


class LiveView:
    """A few lines at the bottom of the terminal; with `asks`, approvals are answered there."""

    def __init__(self, title: str, *, asks: bool = False) -> None:
        self._title, self._asks = title, asks
        self._prompt = Prompt(output.note)
        self._view: TerminalView | None = None

    def note(self, text: str) -> None:
        """Print one line above the view: whatever goes to stderr goes there."""
        output.note(text)

    @contextlib.contextmanager
    def _standing(self) -> Iterator[None]:
        from symphony.cli.console.terminal import TerminalView

        unicode, colours = output.unicode_capable(sys.stderr), output.colourful(sys.stderr)
        with TerminalView(unicode=unicode, colours=colours) as self._view:
            yield
        self._view = None

    def standing(self) -> AbstractContextManager[object]:
        """Return a context in which others print above the view; afterwards the terminal is as it was."""
        return self._standing()

    def about_to_answer(self, nodes: Sequence[str]) -> bool:
        """True if what one of these asks is put to the person at the terminal."""
        return self._asks and foreground() and self._prompt.about_to_answer(nodes)

    async def watch(self, handle: Handle) -> None:
        """Draw until the run ends; the lines are then gone and the cursor back."""
        ending = asyncio.get_running_loop().create_task(handle.ended(), name="view")
        try:
            await asyncio.wait({ending}, timeout=FIRST_DRAW_S)
            if not ending.done() and self._view is not None:
                await self._draw(handle, self._view, ending)
        finally:
            ending.cancel()

    async def _draw(self, handle: Handle, view: "TerminalView", ending: asyncio.Task[None]) -> None:
        from symphony.cli.views.live import Board, PutQuestion

        board, changed = Board(self._title, handle.label), asyncio.Event()
        with contextlib.ExitStack() as stack:
            keys: Answering | None = None
            if self._asks:
                keys = stack.enter_context(answering(handle, self._prompt, changed.set, cooked=False))
            drawn_s, size = 0.0, (0, 0)
            while not ending.done():
                progress, before = handle.progress(), size
                if keys is not None:
                    keys.see(progress.questions)
                now_s, size = time.monotonic(), view.size()
                if (
                    board.see(progress)
                    or changed.is_set()
                    or size != before
                    or now_s - drawn_s >= CLOCK_EVERY_S
                ):
                    drawn_s = now_s
                    changed.clear()
                    question = self._prompt.question if keys is not None and keys.listening else None
                    put = (
                        None
                        if question is None
                        else PutQuestion(question.node, self._prompt.line.text, self._prompt.hint)
                    )
                    lines, cursor = board.lines(*size, unicode=view.unicode, put=put)
                    # In a thread: a terminal that is held (Ctrl-S) holds only the drawing.
                    await asyncio.to_thread(view.draw, lines, cursor)
                await _either(ending, changed)


class AskingLines(LineView):
    """Lines for a terminal that can show nothing else; approvals are answered there."""

    def __init__(self) -> None:
        super().__init__()
        self._prompt = Prompt(output.note)

    def about_to_answer(self, nodes: Sequence[str]) -> bool:
        """True if what one of these asks is put to the person at the terminal."""
        return foreground() and self._prompt.about_to_answer(nodes)

    async def watch(self, handle: Handle) -> None:
        """Print events until the run ends, and put its questions."""
        asking = asyncio.get_running_loop().create_task(self._ask(handle), name="asking")
        try:
            await super().watch(handle)
        finally:
            asking.cancel()
            await asyncio.wait({asking})

    async def _ask(self, handle: Handle) -> None:
        changed = asyncio.Event()
        ending = asyncio.get_running_loop().create_task(handle.ended(), name="view")
        put: str | None = None
        try:
            await asyncio.wait({ending}, timeout=FIRST_DRAW_S)  # what leads to the question is printed first
            with answering(handle, self._prompt, changed.set, cooked=True) as keys:
                while not ending.done():
                    keys.see(handle.progress().questions)
                    question = self._prompt.question
                    if question is None:
                        put = None
                    elif question.node != put or changed.is_set():
                        put = question.node
                        hint = f" ({self._prompt.hint})" if self._prompt.hint else ""
                        output.note(
                            f"{output.shown(put)}: {output.shown(question.text)}\n"
                            f"answer y or n, with a comment if you like; Enter leaves it waiting{hint}"
                        )
                    changed.clear()
                    await _either(ending, changed)
        finally:
            ending.cancel()


async def _either(ending: asyncio.Task[None], changed: asyncio.Event) -> None:
    """Wait a moment, or less if the run ends or a key is pressed."""
    pressed = asyncio.get_running_loop().create_task(changed.wait(), name="key")
    try:
        await asyncio.wait({ending, pressed}, timeout=DRAW_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pressed.cancel()
