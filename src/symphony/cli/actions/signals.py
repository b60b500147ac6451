"""Handles signals while a run is driven: see `symphony.cli.actions.running`."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol, Self, TypeVar

from symphony.cli.console import exits, terminal
from symphony.cli.views import ending
from symphony.commons.processes import kill_descendants

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_KILLING: Final = ("SIGQUIT",)


class Interruptible(Protocol):
    """A run as far as signals go."""

    @property
    def resumable(self) -> bool: ...
    @property
    def label(self) -> str: ...
    def interrupt(self, signal: str = "") -> None: ...


H = TypeVar("H", bound=Interruptible)


class StoppedEarly(Exception):
    """A signal came before the run had begun; `number` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """Handles signals while it is open; afterwards restores the earlier handlers.

    Each kills, unless it is the first one while `gently` is open: that cancels what begins the run, or
    interrupts the run once it has `begun`. So there is no moment at which a signal ends this process
    and leaves its children.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, note: Callable[[str], None]) -> None:
        self._loop, self._note = loop, note
        self._before: dict[int, object] = {}
        self._stop: Callable[[str], None] | None = None
        self._gentle = False
        self._word, self._parting = "stopping", "killed"
        self.received: int | None = None

    def __enter__(self) -> Self:
        for number in (*_heeded(_NAMES), *_heeded(_KILLING)):
            self._before[number] = signal.getsignal(number)
            signal.signal(number, self._kill)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            try:
                self._loop.remove_signal_handler(number)
            except NotImplementedError:  # Windows
                pass
            raising = before is signal.default_int_handler and self.received is not None
            # Once a signal has stopped the run, a late Ctrl-C ends the process without a traceback.
            signal.signal(number, before if callable(before) and not raising else signal.SIG_DFL)

    @contextmanager
    def gently(self) -> Iterator[None]:
        """While this is open, the first signal lets everything come to its end."""
        gentle = [number for number in _heeded(_NAMES) if number in self._before]
        self._gentle = True
        for number in gentle:
            try:  # so that the loop wakes up, whichever thread the signal comes to
                self._loop.add_signal_handler(number, self._first, number, None)
            except NotImplementedError:  # Windows, where the handler below has to do
                pass
            # Not through the loop: the second one must work even if the loop is stuck.
            signal.signal(number, self._first)
        try:
            yield
        finally:
            self._gentle = False
            self._harden(gentle)

    async def begun(self, beginning: Awaitable[H]) -> H:
        """Return the run that `beginning` gives. Raises StoppedEarly if a signal comes before."""
        task = asyncio.current_task()
        assert task is not None

        def cancel(_: str) -> None:
            task.cancel()

        self._stop = cancel
        try:
            handle = await beginning
        except asyncio.CancelledError:
            if self.received is None:
                raise
            raise StoppedEarly(self.received) from None
        finally:
            self._stop = None
        self._stop = handle.interrupt
        if handle.resumable:
            self._parting = f"killed; {ending.GO_ON} {handle.label}"
        else:
            self._word = "cancelling the run"
        if self.received is not None:  # between two turns of the loop: nobody has been asked yet
            self._ask()
        return handle

    def _first(self, number: int, _: FrameType | None) -> None:
        if self.received is None and self._gentle:
            self.received = number
            self._harden(self._before)
            self._loop.call_soon_threadsafe(self._ask)

    def _ask(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None and self.received is not None:
            stop(signal.Signals(self.received).name)
            again = "; press Ctrl-C again to stop at once" if self.received == signal.SIGINT else ""
            self._note(f"{self._word}{again}")

    def _harden(self, numbers: Iterable[int]) -> None:
        """From now on they kill. The loop keeps its handlers: to remove one leaves none for a moment."""
        for number in numbers:
            signal.signal(number, self._kill)

    def _kill(self, number: int, _: FrameType | None) -> None:
        """End this process and all below it now, leaving the terminal usable."""
        terminal.restore()
        try:
            os.write(2, f"{self._parting}\n".encode())
        except OSError:
            pass
        try:
            kill_descendants()
        except Exception:  # noqa: BLE001, S110  (we are about to die: nothing may stand in the way)
            pass
        os._exit(exits.SIGNALLED + number)


def _heeded(names: Sequence[str]) -> list[int]:
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
