"""One worker's process, seen from its supervisor: start, load, ask, stop. Never restarts itself.

A thread of its own starts the process and waits for its end: so the process dies with us (Linux
ties that to the thread that started it), and its end is seen on every loop and platform. All else
happens on the event loop.
"""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Literal, Self, TypeAlias, TypeVar

from symphony.commons.cutting import ending
from symphony.commons.errors import Detail, IoFailed, SymphonyError
from symphony.commons.marks import WORKER_VARIABLE
from symphony.commons.processes import (
    GRACE_S,
    await_end,
    end_below,
    end_marked,
    group_alive,
    signal_group,
)
from symphony.ipc.lines import Lines
from symphony.ipc.operator_calls import (
    Call,
    Done,
    Failed,
    FromWorker,
    Load,
    Origin,
    Setup,
    Stop,
    ToWorker,
    encode,
    from_worker,
    ports_of,
)
from symphony.pit.workers.channel import ChannelBroken, Parcel, Receiver
from symphony.ports.values import Value

READY_S: Final = 60.0
_PROGRAM: Final = "symphony.pit.workers.process"
_PIPES_S: Final = 0.5
_REST_GRACE_S: Final = 0.5
_POLL_S: Final = 0.02
_CHUNK_BYTES: Final = 64 * 1024
_PIPE_CHUNKS_MAX: Final = 20
_LAST_WORDS_CHARS: Final = 2_000

R = TypeVar("R")

Output: TypeAlias = Callable[[str, Literal["stdout", "stderr"]], None]


class WorkerDied(SymphonyError):
    """The process of an operator ended, or was ended from outside, before it had answered."""

    code = "worker-died"
    status: int | None = None
    """As `subprocess` gives it: of a signal, its number below zero."""


class Worker:
    """A worker process. `start` it once; use it from one event loop, for one call at a time."""

    def __init__(self) -> None:
        self.mark = (WORKER_VARIABLE, f"{os.getpid()}-{secrets.token_hex(8)}")
        self.origins: set[Origin] = set()
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._reaping = threading.Lock()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._reply: asyncio.Future[bytes | memoryview] | None = None
        self._status: int | None = None
        self._broken: str | None = None
        self._ending = False
        self._output: Output = _nowhere
        self._words = ""
        self._connection, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._receiver = Receiver(self._connection)
        self._pipes: dict[int, Lines] = {}

    # ---- life -------------------------------------------------------------------------------

    async def start(self, marks: Mapping[str, str], *, ready_s: float = READY_S) -> None:
        """Start the process, with `marks` in its environment, and wait until it takes calls.

        If that fails, it is gone.

        Raises IoFailed if it cannot be started, WorkerDied if it ends or says nothing for `ready_s`.
        """
        out, err = os.pipe(), os.pipe()
        self._connection.setblocking(False)
        self._loop.add_reader(self._connection.fileno(), self._receive)
        self._listen(out[0], "stdout")
        self._listen(err[0], "stderr")
        environment = {**os.environ, **marks, self.mark[0]: self.mark[1]}
        threading.Thread(
            target=self._live, args=(environment, out[1], err[1]), name="symphony-worker", daemon=True
        ).start()
        try:
            async with asyncio.timeout(ready_s):
                await asyncio.shield(self._started)
                await self._ask(Setup(sys.path))
        except TimeoutError:
            await self.end()
            raise WorkerDied(f"a worker was not ready after {ready_s:g} s{self._said()}") from None
        except BaseException:
            await self.end()
            raise

    @property
    def usable(self) -> bool:
        """May it be asked?"""
        return not self._ending and self._broken is None and self._status is None

    async def end(self, *, politely: bool = False) -> None:
        """End it and all it started, and wait until they are gone. Not cut short by cancellation.

        `politely`: it is idle, so it may leave by itself first. Else SIGTERM, `GRACE_S`, SIGKILL.
        """
        self._ending = True
        await uninterrupted(self._loop.create_task(self._end(politely=politely)))

    async def _end(self, *, politely: bool) -> None:
        await asyncio.wait([self._started])  # there is nothing to end before
        if politely:
            self._hang_up()
        elif self._process is not None and self._status is None:
            # Held, it starts no more; what it has started is its own to the last, and found below it.
            self._signal(signal.SIGSTOP, alone=True)
            await asyncio.to_thread(end_below, self._process.pid)
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        await asyncio.wait([self._gone], timeout=GRACE_S)
        if not self._gone.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait([self._gone])

    def _signal(self, number: int, *, alone: bool = False) -> None:
        """Signal its group, or it alone."""
        with self._reaping:  # afterwards its number may be another's
            if self._process is not None and self._process.returncode is None:
                if alone:
                    os.kill(self._process.pid, number)
                else:
                    signal_group(self._process.pid, number)

    def rest(self) -> None:
        """Listen no more until `wake`: what it says waits in its pipes. Its end is noticed all the same."""
        for descriptor in (*self._pipes, self._connection.fileno()):
            self._loop.remove_reader(descriptor)

    def wake(self) -> Self:
        """Listen again."""
        if self._connection.fileno() >= 0:
            self._loop.add_reader(self._connection.fileno(), self._receive)
        for pipe in list(self._pipes):
            self._loop.add_reader(pipe, self._read, pipe)
        return self

    # ---- work -------------------------------------------------------------------------------

    async def load(self, origin: Origin, source: bytes | None) -> None:
        """Have it load the operators of `origin`, once.

        Raises what loading raises, WorkerDied. When cancelled, the process is gone on return.
        """
        if origin in self.origins:
            return
        try:
            await self._ask(Load(origin, source))
        except asyncio.CancelledError:
            await self.end()
            raise
        self.origins.add(origin)

    async def call(self, call: Call, output: Output, *, patience_s: float) -> dict[str, Value]:
        """The output ports; `output` sees the lines it prints, those before its end before this returns.

        When cancelled, the operator is told, and has `patience_s` to end; else its process is
        ended, and gone on return. Raises what the operator raises, as SymphonyError; WorkerDied.
        """
        self._output = output
        try:
            answer = await self._ask(call)
            assert isinstance(answer, Done)
            return ports_of(answer)
        except asyncio.CancelledError:
            await self._stop(call.id, patience_s)
            raise
        finally:
            self._output = _nowhere

    async def _ask(self, message: ToWorker) -> FromWorker:
        """Send, and wait for the answer. Whoever is cancelled meanwhile finds the rest in `_reply`."""
        self._reply = None
        parcel = await asyncio.to_thread(lambda: Parcel(encode(message)))
        if self._status is not None or self._broken is not None:
            raise self._death()
        self._reply = self._loop.create_future()
        try:
            parcel.send(self._connection)
        except ChannelBroken as error:
            await self.end()
            raise self._death() from error
        finally:
            parcel.close()
        body = await asyncio.shield(self._reply)
        answer = from_worker(body) if isinstance(body, bytes) else await asyncio.to_thread(from_worker, body)
        if isinstance(answer, Done | Failed) and not answer.alone:
            self._ending = True  # what it left running goes with it
        if isinstance(answer, Failed):
            details: Mapping[str, Detail] = answer.details  # type: ignore[assignment]  # they were such
            raise SymphonyError(answer.message, code=answer.code, hint=answer.hint, details=details)
        return answer

    async def _stop(self, number: int, patience_s: float) -> None:
        """Bring the call to an end: nicely if it listens."""
        if self._reply is None:
            return  # it was not sent yet
        if patience_s > 0 and not self._reply.done():
            parcel = Parcel(encode(Stop(number)))
            with suppress(ChannelBroken):
                parcel.send(self._connection)
                waiting = asyncio.wait([self._reply], timeout=patience_s)
                await uninterrupted(self._loop.create_task(waiting))
        if not self._reply.done():
            await self.end()

    # ---- what arrives -----------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            bodies = self._receiver.receive()
        except BlockingIOError:
            return
        except (OSError, ChannelBroken) as error:
            self._broken = str(error)
            bodies = None
        if bodies is None:
            self._hang_up()
            # Mostly it is about to end; if it only closed the connection, it is of no use any more.
            self._loop.call_later(_PIPES_S, self._signal, signal.SIGKILL)
            return
        for body in bodies:
            self._drain()
            if self._reply is not None and not self._reply.done():
                self._reply.set_result(body)

    def _listen(self, pipe: int, stream: Literal["stdout", "stderr"]) -> None:
        os.set_blocking(pipe, False)

        def take(text: str) -> None:
            if stream == "stderr":
                self._words = ending(f"{self._words}\n{text}", _LAST_WORDS_CHARS)
            self._output(text, stream)

        self._pipes[pipe] = Lines(take)
        self._loop.add_reader(pipe, self._read, pipe)

    def _read(self, pipe: int) -> bool:
        """Hand on what is in the pipe now; may there be more?"""
        try:
            chunk = os.read(pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        self._pipes[pipe].feed(chunk)
        if not chunk:
            self._loop.remove_reader(pipe)
            os.close(pipe)
            del self._pipes[pipe]
        return bool(chunk)

    def _drain(self) -> None:
        """Hand on what was printed before the answer: no more than a pipe holds, should it go on for ever."""
        for pipe in list(self._pipes):
            for _ in range(_PIPE_CHUNKS_MAX):
                if not self._read(pipe):
                    break
            if pipe in self._pipes:
                self._pipes[pipe].feed(b"")

    def _hang_up(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
            self._receiver.close()

    # ---- the thread -------------------------------------------------------------------------

    def _live(self, environment: Mapping[str, str], out: int, err: int) -> None:
        """Start the process, wait for its end, and end what it leaves behind."""
        argv = [sys.executable, "-P", "-m", _PROGRAM, str(self._theirs.fileno()), str(os.getpid())]
        try:
            process = subprocess.Popen(
                argv, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                pass_fds=[self._theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._tell(self._not_started, error)
            return
        finally:
            self._theirs.close()
            os.close(out)
            os.close(err)
        self._process = process
        self._tell(self._begun)
        await_end(process)
        _end_rest(process.pid)
        with self._reaping:
            status = process.wait()
        self._tell(self._exited, status)
        end_marked(self.mark)
        self._tell(self._left)

    def _tell(self, what: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self._loop.call_soon_threadsafe(what, *arguments)

    def _begun(self) -> None:
        self._started.set_result(None)

    def _not_started(self, error: OSError) -> None:
        self._started.set_exception(IoFailed.of(error, f"start a worker with {sys.executable}"))
        self._left()

    def _exited(self, status: int) -> None:
        self._status = status
        self._drain()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self._death())
            self._reply.exception()  # nobody may be waiting any more

    def _left(self) -> None:
        self._hang_up()
        for pipe in list(self._pipes):
            self._loop.remove_reader(pipe)
            os.close(pipe)
        self._pipes.clear()
        self._gone.set_result(None)

    def _death(self) -> WorkerDied:
        # What it said while it worked is in the node's log; what it said before, nowhere else.
        said = "" if self.origins else self._said()
        died = WorkerDied(f"{_how(self._status, self._broken)}{said}", hint=_advice(self._status))
        died.status = self._status
        return died

    def _said(self) -> str:
        said = self._words.strip()
        return f"; it said: {said}" if said else ""


def _how(status: int | None, broken: str | None) -> str:
    process = "the worker process of this node"
    if broken is not None:
        return f"{process} broke its connection: {broken}"
    if status is None or status >= 0:
        return f"{process} ended by itself, with status {status}"
    try:
        return f"{process} was killed by signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        return f"{process} was killed by signal {-status}"


def _advice(status: int | None) -> str:
    if status == -signal.SIGKILL:
        return "if nobody killed it, memory ran out: give it less at once, or lower --concurrency"
    if status is not None and status < 0:
        return "a fault in native code: symphony runs logs shows where it was"
    return "an operator must return or raise, not end its process"


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


def _nowhere(text: str, stream: str) -> None:
    """Between calls: a thread that an operator left behind may print."""


async def uninterrupted(task: asyncio.Task[R]) -> R:
    """Wait for `task` to its end however often the caller is cancelled, and then raise that."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
