"""Starts programs, and notices their end, while the event loop goes on.

The call that starts a program returns only when the program has taken its place, so a thread makes
it. That thread lives as long as this process: Linux ends a child that asked to die with its parent
when the thread that started it ends.
"""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, ParamSpec, TypeVar

from symphony.commons.processes import await_end, await_group, group_alive, signal_group
from symphony.commons.waiting import uninterrupted

P = ParamSpec("P")
T = TypeVar("T")

PIPE: Final = subprocess.PIPE
NOTHING: Final = subprocess.DEVNULL


class ChildProcess:
    """A started program. Use it from the event loop that was running at its start."""

    def __init__(
        self, process: subprocess.Popen[bytes], *, held: bool = False, by_thread: bool = False
    ) -> None:
        """`held`: its number stays its own after its end, until `reap`.

        `by_thread`: a thread waits for its end, and the loop listens to nothing.
        """
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once it has ended. Shield it where the waiting may be cancelled."""
        self._process, self._held = process, held
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        if sys.platform == "linux" and not by_thread:
            with suppress(OSError):  # no descriptors left, or the sandbox forbids it
                self._descriptor = os.pidfd_open(process.pid)
        if self._descriptor is not None:
            self._loop.add_reader(self._descriptor, self._has_ended)
        else:
            threading.Thread(target=self._wait, name="symphony-child", daemon=True).start()

    @property
    def pid(self) -> int:
        """Return its process id; also that of its group, if it leads one."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return its exit status, -N if signal N ended it; None until the status has been taken."""
        return self._process.returncode

    @property
    def stdin(self) -> IO[bytes] | None:
        """Return our end of the pipe to it, unbuffered and blocking."""
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes] | None:
        """Return our end of the pipe from its standard output, unbuffered and blocking."""
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """Return our end of the pipe from its standard error, unbuffered and blocking."""
        return self._process.stderr

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        await asyncio.shield(self.ended)
        return self.reap()

    def reap(self) -> int:
        """Take its exit status. Only once it has ended."""
        assert self.ended.done()
        return self._process.wait()

    def send_signal(self, number: int) -> None:
        """Send it a signal. Another process that has reused its process id is never hit."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _wait(self) -> None:
        await_end(self._process)
        with suppress(RuntimeError):  # the loop is closed, so nothing waits any more
            self._loop.call_soon_threadsafe(self._has_ended)

    def _has_ended(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        if not self._held:
            self._process.wait()
        if not self.ended.done():
            self.ended.set_result(None)


async def start_child(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | None = NOTHING,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
    held: bool = False,
    by_thread: bool = False,
) -> ChildProcess:
    """Start a program: the arguments are those of `subprocess.Popen`, the last two of `ChildProcess`.

    It inherits standard output and error unless they are given. When the caller is cancelled
    meanwhile, the program is gone on return, with its group if it has a session of its own.
    Raises OSError and ValueError as `subprocess.Popen` does.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0,
            pass_fds=pass_fds, start_new_session=new_session,
        )  # fmt: skip

    starting = asyncio.get_running_loop().run_in_executor(_starter(), start)
    try:
        return ChildProcess(await uninterrupted(starting), held=held, by_thread=by_thread)
    except asyncio.CancelledError:
        if not starting.cancelled() and starting.exception() is None:
            undoing = asyncio.get_running_loop().create_task(_undone(starting.result(), group=new_session))
            await uninterrupted(undoing)
        raise


async def _undone(process: subprocess.Popen[bytes], *, group: bool) -> None:
    child = ChildProcess(process)
    if group:
        signal_group(child.pid, signal.SIGKILL)
    child.kill()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    await child.ended
    if group and group_alive(child.pid):
        await asyncio.to_thread(await_group, child.pid)


class _Starter(Executor):
    """One thread that makes one call after the other, for the process that made it.

    Loops are asked to run their calls in it, as in other executors: that of `symphony.testing` must
    know of all that goes on in threads.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="symphony-starter", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Return what `fn` gives or raises, once its turn has come."""
        future: Future[T] = Future()

        def make() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                made = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  (it is for the waiting thread)
                future.set_exception(error)
            else:
                future.set_result(made)

        self._calls.put(make)
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


_made: _Starter | None = None


def _starter() -> _Starter:
    global _made
    if _made is None or _made.owner != os.getpid():  # a forked copy has no threads
        _made = _Starter()
    return _made
