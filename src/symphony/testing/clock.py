"""A clock of the test's own, and an event loop whose timers it drives.

The loop jumps to its next timer as soon as nothing else can happen. Work outside of it, in threads,
child processes and sockets, takes its real time: then nothing is jumped, and the clock follows.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.SubprocessProtocol)
Ts = TypeVarTuple("Ts")


class FakeClock:
    """A `symphony.ports.clock.Clock` that stands still until it is told to move.

    `start_s`: the wall clock's time at the beginning, epoch seconds. `slept` lists every sleep.
    """

    def __init__(self, start_s: float = 1_750_000_000.0) -> None:
        self._start_s, self._passed_s, self._set_by_s = start_s, 0.0, 0.0
        self.slept: list[float] = []

    def now_s(self) -> float:
        """Return the wall clock: what has passed, and by how much it was set."""
        return self._start_s + self._passed_s + self._set_by_s

    def monotonic_s(self) -> float:
        """Seconds that have passed."""
        return self._passed_s

    async def sleep(self, seconds: float) -> None:
        """Wait without waiting: on a `VirtualLoop` with its other timers, elsewhere time jumps at once."""
        self.slept.append(seconds)
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop) and loop.clock is self:
            await asyncio.sleep(seconds)
        else:
            self.advance(seconds)
            await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go back; set_wall may")
        self._passed_s += seconds

    def set_wall(self, by_s: float) -> None:
        """Somebody sets the wall clock forward or back; no time passes."""
        self._set_by_s += by_s


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a `FakeClock`'s."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self._threads = 0
        self._children: list[asyncio.SubprocessTransport] = []
        self._starting = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds that have passed by the clock."""
        return self.clock.monotonic_s()

    def outside(self) -> bool:
        """True if something is under way whose end this loop cannot foresee."""
        self._children = [child for child in self._children if child.get_returncode() is None]
        return bool(self._threads or self._starting or self._children)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` in the executor; while it runs, real time passes."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # its own name for it
        """Shut the executor down; while its threads end, real time passes.

        `timeout`, which Python 3.12 brought, is left out: it would be measured on a clock that may jump.
        """
        self._threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads -= 1

    def _thread_ended(self, _: asyncio.Future[T]) -> None:
        self._threads -= 1

    async def subprocess_exec(  # type: ignore[override]  # as usual, whatever the options
        self, protocol_factory: Callable[[], P], program: str, *args: str, **options: object
    ) -> tuple[asyncio.SubprocessTransport, P]:
        """Start the process; while it lives, real time passes."""
        self._starting += 1
        try:
            started = await super().subprocess_exec(protocol_factory, program, *args, **options)  # type: ignore[arg-type]
        finally:
            self._starting -= 1
        self._children.append(started[0])
        return started


class _JumpingSelector(selectors.DefaultSelector):
    """Waits by letting the clock jump, unless something outside may happen meanwhile."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; the loop's own wake-up is the one that is always registered."""
        found = super().select(0)
        if found or timeout is None or timeout <= 0:
            return found if found or timeout is not None else super().select(None)
        if len(self.get_map()) > 1 or self._loop.outside():
            began_s = time.monotonic()
            found = super().select(timeout)
            self._loop.clock.advance(time.monotonic() - began_s)
        else:
            self._loop.clock.advance(timeout)
        return found


def drive(work: Coroutine[object, object, T], clock: FakeClock | None = None) -> T:
    """Run `work` to its end on a loop of its own whose time is `clock`'s."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock or FakeClock())) as runner:
        return runner.run(work)
