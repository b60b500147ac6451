"""One worker's process, seen from its supervisor: start, load, ask, stop. Never restarts itself.

It may be asked several things at once, which it does one after the other, in order.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from symphony.commons.cutting import ending
from symphony.commons.deadline import Allowance
from symphony.commons.errors import Detail, IoFailed, SymphonyError
from symphony.commons.marks import WORKER_VARIABLE
from symphony.commons.processes import GRACE_S, signal_named
from symphony.commons.waiting import uninterrupted
from symphony.ipc.operator_calls import (
    Done,
    Failed,
    FromWorker,
    Load,
    Origin,
    Recall,
    Recalled,
    Setup,
    Stop,
    ToWorker,
    encode,
    from_worker,
)
from symphony.pit.processes import SupervisedProcess
from symphony.pit.workers.channel import ChannelBroken, MessageReceiver, Parcel
from symphony.pit.workers.printed import Output, Printed

READY_S: Final = 60.0
_PROGRAM: Final = "symphony.pit.workers.process"
_PIPES_S: Final = 0.5
_CHUNK_BYTES: Final = 64 * 1024
_PIPE_CHUNKS_MAX: Final = 20
_LAST_WORDS_CHARS: Final = 2_000

_RECALL_S: Final = 0.2
"""What a worker has to give back calls: it does so at once, unless native code stops all its threads."""


class WorkerDied(SymphonyError):
    """The process of an operator ended, or was ended from outside, before it had answered."""

    code = "worker-died"
    status: int | None = None
    """As `subprocess` gives it: a negative number is that of a signal."""


class Question:
    """A question to a worker, which answers one after the other, in order.

    `reply` gets the answer, as bytes where it is large, or the worker that is to be made ready for the
    question. `limit_s` is how long it may take; `late` is called when that is over, counted from when
    its turn came.
    """

    limit_s: float | None = None

    def __init__(self, output: Output | None = None) -> None:
        self.output = output
        self.reply: asyncio.Future[FromWorker | memoryview | Worker] = (
            asyncio.get_running_loop().create_future()
        )

    def late(self) -> None:
        """The time for an answer is over."""


class Supervisor(Protocol):
    """The receiver of what becomes of a worker's questions."""

    def answered(self, worker: "Worker", question: Question, answer: FromWorker | memoryview) -> None:
        """It has its reply."""

    def returned(self, worker: "Worker", questions: Sequence[Question]) -> None:
        """They have not begun, and are not the worker's any more."""

    def lost(self, worker: "Worker", questions: Sequence[Question]) -> None:
        """The process ended before it answered; the first one may have begun."""

    def gone(self, worker: "Worker") -> None:
        """Nothing of the process is left."""


class Worker:
    """A worker process. `start` it once; use it from one event loop."""

    def __init__(self, supervisor: Supervisor, *, rests: bool = False) -> None:
        """`rests`: there are times when the loop is not to listen to it."""
        self.origins: set[Origin] = set()
        self.reserved = False
        """True if a caller is about to ask it something that must be alone."""
        self.asked: deque[Question] = deque()
        """The calls that it has not answered. It works on the first."""
        self.since_s = 0.0
        """When the first one's turn came, by the loop's clock."""
        self.ended_by_us = False
        """True if the first question is not to blame for what was left unanswered."""
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._process = SupervisedProcess(
            exited=self._exited, gone=self._left, variable=WORKER_VARIABLE, unheard=rests
        )
        self._waiting: dict[Question, asyncio.Future[None]] = {}
        self._timer: Allowance | None = None
        self._recalling = False
        self._broken: str | None = None
        self._words = ""
        self._connection, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._receiver = MessageReceiver(self._connection)
        self._end_mark = f"\0{secrets.token_hex(8)}\n".encode()
        self._pipes: dict[int, Printed] = {}

    # ---- life -------------------------------------------------------------------------------

    async def start(self, marks: Mapping[str, str], *, ready_s: float = READY_S) -> None:
        """Start the process, with `marks` in its environment, and wait until it takes calls.

        If that fails, it is gone.

        Raises IoFailed if it cannot be started, WorkerDied if it ends or says nothing for `ready_s`.
        """
        try:
            async with self._process.readying(ready_s):
                await self._begin({**os.environ, **marks})
                await self._ask(Setup(sys.path, self._end_mark))
        except TimeoutError:
            raise WorkerDied(f"a worker was not ready after {ready_s:g} s{self._said()}") from None

    async def _begin(self, environment: Mapping[str, str]) -> None:
        out, err = os.pipe(), os.pipe()
        self._connection.setblocking(False)
        self._loop.add_reader(self._connection.fileno(), self._receive)
        self._listen(out[0], Printed("stdout", self._end_mark))
        self._listen(err[0], Printed("stderr", self._end_mark, self._hear))
        mode = [f"-Xutf8={sys.flags.utf8_mode}"]  # names of files are the same text on both sides
        argv = [sys.executable, *mode, "-P", "-m", _PROGRAM, str(self._theirs.fileno()), str(os.getpid())]
        try:
            await self._process.start(
                argv, env=environment, stdout=out[1], stderr=err[1], pass_fds=[self._theirs.fileno()]
            )
        except OSError as error:
            raise IoFailed.of(error, f"start a worker with {sys.executable}") from error
        finally:
            self._theirs.close()
            os.close(out[1])
            os.close(err[1])

    @property
    def started(self) -> bool:
        """Return whether the process has been started."""
        return self._process.started

    @property
    def usable(self) -> bool:
        """Return whether the worker takes calls."""
        return not self.ended_by_us and self._process.status is None and self._connection.fileno() >= 0

    async def end(self, *, politely: bool = False) -> None:
        """End it and all it started, and wait until they are gone. Not cut short by cancellation.

        `politely`: it is idle, so it may leave by itself first. Else SIGTERM, `GRACE_S`, SIGKILL.
        """
        self.ended_by_us = self.ended_by_us or self.usable  # else it broke by itself
        await self._process.end(self._hang_up if politely else None, grace_s=GRACE_S)

    def rest(self) -> None:
        """Listen no more until `wake`: what it says waits in its pipes. Its end is noticed anyway."""
        for descriptor in (*self._pipes, self._connection.fileno()):
            self._loop.remove_reader(descriptor)

    def wake(self) -> None:
        """Listen again."""
        if self._connection.fileno() >= 0:
            self._loop.add_reader(self._connection.fileno(), self._receive)
        for pipe in list(self._pipes):
            self._loop.add_reader(pipe, self._read, pipe)

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

    async def _ask(self, message: ToWorker) -> None:
        """Ask what is not a call. Raises what it answers with, and WorkerDied."""
        parcel = await asyncio.to_thread(lambda: Parcel(encode(message)))
        if not self.usable:
            parcel.close()
            raise self.death()
        question = Question()
        self.send([question], parcel)
        answer = await question.reply
        if isinstance(answer, Failed):
            raise raised(answer)

    def send(self, questions: Sequence[Question], parcel: Parcel) -> None:
        """Ask what the parcel holds. What becomes of it, the supervisor is told."""
        idle = not self.asked
        self.asked.extend(questions)
        for question in questions:
            if question.output is not None:
                for printed in self._pipes.values():
                    printed.expect(question, question.output)
        if idle:
            self._turn()
        try:
            parcel.send(self._connection)
        except ChannelBroken as error:
            self._break(str(error))
        finally:
            parcel.close()

    def recall(self) -> None:
        """Have it give back what it has not begun."""
        if not self._recalling and len(self.asked) > 1:
            self._recalling = True
            self._tell(Recall())

    @property
    def recalling(self) -> bool:
        """Return whether the worker was told to give back calls. Until it has, it gets no others."""
        return self._recalling

    async def give_up(self, question: Question, number: int, patience_s: float) -> None:
        """Bring the call `number` to an end, nicely if it has patience; on return nothing of it is left.

        Not cut short by cancellation.
        """
        await uninterrupted(self._loop.create_task(self._give_up(question, number, patience_s)))

    async def _give_up(self, question: Question, number: int, patience_s: float) -> None:
        if question not in self.asked:
            return
        over = self._waiting.setdefault(question, self._loop.create_future())
        if self.asked[0] is not question:
            self.recall()
            await asyncio.wait([over], timeout=_RECALL_S)
        elif patience_s > 0:
            self._tell(Stop(number))
            await asyncio.wait([over], timeout=patience_s)
        if not over.done():
            await self.end()

    def _tell(self, message: ToWorker) -> None:
        parcel = Parcel(encode(message))
        with suppress(ChannelBroken):
            parcel.send(self._connection)
        parcel.close()

    def _turn(self) -> None:
        """It is the first one's turn."""
        self.since_s = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.asked and self.asked[0].limit_s is not None:
            self._timer = Allowance(self.asked[0].limit_s, self.asked[0].late)

    # ---- what arrives -----------------------------------------------------------------------

    def _receive(self) -> bool:
        """Take what has arrived; return whether there may be more."""
        try:
            bodies = self._receiver.receive()
            for body in bodies or ():
                self._take(body)
        except BlockingIOError:
            return False
        except (OSError, SymphonyError) as error:
            self._break(str(error))
            return False
        if bodies is None:
            self._break(None)
        return bodies is not None

    def _break(self, reason: str | None) -> None:
        if self._broken is None and reason is not None:
            self._broken = reason
        self._hang_up()
        # Mostly it is about to end; if it only closed the connection, it is of no use any more.
        self._process.kill_after(_PIPES_S)

    def _take(self, body: bytes | memoryview) -> None:
        answer = from_worker(body) if isinstance(body, bytes) else body
        if isinstance(answer, Recalled):
            self._take_back(answer.count)
            return
        if not self.asked:
            return
        question = self.asked[0]
        self._drain(question)
        self.asked.popleft()
        alone = not isinstance(answer, Done | Failed) or answer.alone
        if not alone:
            self.ended_by_us = True  # what it left running goes with it
        self._turn()
        self._over(question)
        if not question.reply.done():
            question.reply.set_result(answer)
        self._supervisor.answered(self, question, answer)
        if not alone and self.asked:  # none of them begins any more
            self._take_back(len(self.asked))

    def _take_back(self, count: int) -> None:
        self._recalling = False
        questions = [self.asked.pop() for _ in range(count)][::-1]
        for printed in self._pipes.values():
            printed.recall(count)
        for question in questions:
            self._over(question)
        self._supervisor.returned(self, questions)

    def _over(self, question: Question) -> None:
        if self._waiting and (waiting := self._waiting.pop(question, None)) is not None:
            waiting.set_result(None)

    def _listen(self, pipe: int, printed: Printed) -> None:
        os.set_blocking(pipe, False)
        self._pipes[pipe] = printed
        self._loop.add_reader(pipe, self._read, pipe)

    def _hear(self, text: str) -> None:
        self._words = ending(f"{self._words}\n{text}", _LAST_WORDS_CHARS)

    def _read(self, pipe: int) -> bool:
        """Hand on what is in the pipe now; return whether there may be more."""
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

    def _drain(self, question: Question | None) -> None:
        """Hand on what was printed before the answer: no more than a pipe holds, should it go on for ever."""
        for pipe, printed in list(self._pipes.items()):
            for _ in range(_PIPE_CHUNKS_MAX):
                if question is not None and question.output is not None and not printed.expects(question):
                    break
                if not self._read(pipe):
                    break
            if question is None or printed.expects(question):
                printed.end_call()

    def _hang_up(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
            self._receiver.close()

    # ---- its end ----------------------------------------------------------------------------

    def _exited(self, status: int) -> None:
        while self._connection.fileno() >= 0 and self._receive():
            pass  # what it answered before
        self._drain(None)
        questions = list(self.asked)
        self.asked.clear()
        self._turn()
        for question in questions:
            self._over(question)
        self._supervisor.lost(self, questions)

    def _left(self) -> None:
        self._hang_up()
        self._theirs.close()
        for pipe in list(self._pipes):
            self._loop.remove_reader(pipe)
            os.close(pipe)
        self._pipes.clear()
        self._supervisor.gone(self)

    def death(self) -> WorkerDied:
        """The error for what it was working on."""
        # What it said while it worked is in the node's log; what it said before, nowhere else.
        said = "" if self.origins else self._said()
        status = self._process.status
        died = WorkerDied(f"{_how(status, self._broken)}{said}", hint=_advice(status))
        died.status = status
        return died

    def _said(self) -> str:
        said = self._words.strip()
        return f"; it said: {said}" if said else ""


def raised(failed: Failed) -> SymphonyError:
    """The error that the operator, or loading it, raised."""
    details: Mapping[str, Detail] = failed.details  # type: ignore[assignment]  # they were such
    return SymphonyError(failed.message, code=failed.code, hint=failed.hint, details=details)


def _how(status: int | None, broken: str | None) -> str:
    process = "the worker process of this node"
    if broken is not None:
        return f"{process} broke its connection: {broken}"
    if status is None or status >= 0:
        return f"{process} ended by itself, with status {status}"
    return f"{process} was killed by {signal_named(-status)}"


def _advice(status: int | None) -> str:
    if status == -signal.SIGKILL:
        return "if nobody killed it, memory ran out: give it less at once, or lower --concurrency"
    if status is not None and status < 0:
        return "a fault in native code: symphony runs logs shows where it was"
    return "an operator must return or raise, not end its process"
