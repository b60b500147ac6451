"""Supervises one child process from start to end. What is said to it is up to its owner.

It leads a group of its own. Whatever it leaves in that group, or with its mark, is ended after it.
"""

import asyncio
import os
import secrets
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, Final

from symphony.commons.children import NOTHING, ChildProcess, start_child
from symphony.commons.marks import Mark
from symphony.commons.processes import (
    GRACE_S,
    await_group,
    end_below,
    end_marked,
    group_alive,
    signal_group,
)
from symphony.commons.waiting import uninterrupted

_REST_GRACE_S: Final = 0.5
_POLL_S: Final = 0.02


class SupervisedProcess:
    """A child process. `start` it once; use it from one event loop.

    `exited` is called with its exit status once it has ended, `gone` once nothing of it is left, also
    if it never began and `end` was called.
    """

    def __init__(
        self,
        *,
        exited: Callable[[int], None],
        gone: Callable[[], None],
        variable: str | None = None,
        unheard: bool = False,
    ) -> None:
        """`variable`: of its environment, by which those are found that leave its group.

        `unheard`: a thread notices its end, and the loop listens to nothing.
        """
        self._exited, self._gone, self._unheard = exited, gone, unheard
        self._loop = asyncio.get_running_loop()
        self._child: ChildProcess | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._killer: asyncio.TimerHandle | None = None
        self._mark: Mark | None = None
        self.status: int | None = None
        """Its exit status, -N if signal N ended it; None while it lives, or has not begun."""
        if variable is not None:
            self._mark = (variable, f"{os.getpid()}-{secrets.token_hex(8)}")

    # ---- its beginning ----------------------------------------------------------------------

    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: int = NOTHING,
        stdout: int | None = None,
        stderr: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the program. When cancelled, it is gone. Raises OSError and ValueError, as `start_child`."""
        marked = env if self._mark is None else {**env, self._mark[0]: self._mark[1]}
        self._child = await start_child(
            argv, env=marked, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds, new_session=True,
            held=True, by_thread=self._unheard,
        )  # fmt: skip
        self._child.ended.add_done_callback(self._ended)

    @asynccontextmanager
    async def readying(self, within_s: float) -> AsyncIterator[None]:
        """A block that starts it and hears that it is ready. If that fails, nothing of it is left.

        Raises TimeoutError if it takes longer.
        """
        try:
            async with asyncio.timeout(within_s):
                yield
        except BaseException:
            await self.end()
            raise

    @property
    def started(self) -> bool:
        """Return whether the process has been started."""
        return self._child is not None

    @property
    def over(self) -> bool:
        """Return whether nothing of the process is left, or it was never started."""
        return self._child is None or self._over.done()

    @property
    def pid(self) -> int | None:
        """Its number; None until it has begun."""
        return None if self._child is None else self._child.pid

    def pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        """Our ends of the pipes to it, if it was started with three."""
        assert self._child is not None
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        return self._child.stdin, self._child.stdout, self._child.stderr

    # ---- its end ----------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Signal its group: until its status has been taken, the number is nobody else's."""
        if self._child is not None and self._child.returncode is None:
            signal_group(self._child.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def kill_after(self, seconds: float) -> None:
        """End it then, unless it has ended by itself. Only the first such call counts."""
        if self._killer is None and not self._over.done():
            self._killer = self._loop.call_later(seconds, self.kill)

    @property
    def doomed(self) -> bool:
        """Return whether the time at which the process will be killed is set."""
        return self._killer is not None

    async def wait(self) -> None:
        """Wait until nothing of it is left, if it ever began."""
        if self._child is not None:
            await asyncio.shield(self._over)

    async def end(self, hang_up: Callable[[], None] | None = None, *, grace_s: float = GRACE_S) -> None:
        """End it and all it started, and wait until they are gone. Not cut short by cancellation.

        `hang_up` lets it leave by itself; without, it gets SIGTERM. `grace_s` later comes SIGKILL.
        """
        await uninterrupted(self._loop.create_task(self._end(hang_up, grace_s)))

    async def _end(self, hang_up: Callable[[], None] | None, grace_s: float) -> None:
        if self._child is None:
            self._left()
            return
        if hang_up is not None:
            hang_up()
        elif self.status is None:
            # Held, it starts no more; what it has started is its own to the last, and found below it.
            self._child.send_signal(signal.SIGSTOP)
            await asyncio.to_thread(end_below, self._child.pid)
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
        await asyncio.wait([self._over], timeout=grace_s)
        if not self._over.done():
            self.kill()
            await asyncio.wait([self._over])

    def _ended(self, _: object) -> None:
        """A thread ends what it leaves behind: first who is in its group, for its number is still its own."""
        threading.Thread(target=self._clear, name="symphony-process", daemon=True).start()

    def _clear(self) -> None:
        assert self._child is not None
        _end_rest(self._child.pid)
        self._tell(self._reap)
        if self._mark is not None:
            end_marked(self._mark)
        self._tell(self._left)

    def _tell(self, what: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self._loop.call_soon_threadsafe(what)

    def _reap(self) -> None:
        assert self._child is not None
        self.status = self._child.reap()
        if self._killer is not None:
            self._killer.cancel()
        self._exited(self.status)

    def _left(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
            self._gone()


def _end_rest(group: int) -> None:
    """End what an ended leader left in its group; its number is still its own."""
    if not group_alive(group):
        return
    signal_group(group, signal.SIGTERM)
    pause, waited_s = threading.Event(), 0.0
    while waited_s < _REST_GRACE_S and group_alive(group):
        pause.wait(_POLL_S)
        waited_s += _POLL_S
    signal_group(group, signal.SIGKILL)
    await_group(group)
