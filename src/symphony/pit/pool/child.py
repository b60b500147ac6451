"""One model's process, seen from its parent: start, ask, cancel, stop. Never restarts itself.

Built on callbacks: there is no task to own, forget or cancel.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from symphony.commons.children import PIPE
from symphony.commons.environment import inherited
from symphony.commons.errors import IoFailed, SerializationFailed, SymphonyError
from symphony.commons.marks import unmarked
from symphony.ipc.frames import FrameReader, FrameTooLarge
from symphony.ipc.model_calls import (
    CallFailure,
    CallOutputs,
    Cancel,
    Invoke,
    ModelReady,
    ModelRefused,
    Ping,
    Pong,
    pack,
    pack_values,
    unpack_from_child,
    unpack_values,
)
from symphony.pit.pool.core.health import HealthWatch, PingAnswer
from symphony.pit.pool.vitals import vitals_of
from symphony.pit.processes import SupervisedProcess
from symphony.ports.models import ModelFailed, ModelUnavailable
from symphony.ports.values import Value

CANCEL_S = 10.0
"""A child that has not given up a cancelled call after this is killed."""
STOP_S = 2.0
_PIPES_S = 0.5
_STDERR_BYTES_MAX = 4096
_CHUNK_BYTES = 256 * 1024


class ChildDied(SymphonyError):
    """The process ended, or was ended, with a call unanswered. The message holds its last words."""

    code = "model-failed"


class ModelProcess:
    """A running model process. `start` it once; use it from one event loop.

    `lost` is called once, when it can be asked no more; `gone` once nothing of it is left.
    """

    def __init__(
        self,
        name: str,
        *,
        lost: Callable[["ModelProcess"], None] = lambda _: None,
        gone: Callable[["ModelProcess"], None] = lambda _: None,
        step_cpu_s: float | None = None,
    ) -> None:
        """`step_cpu_s` is that of its `ChildSpec`."""
        self._name, self._tell_lost, self._tell_gone = name, lost, gone
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Future[None] = self._loop.create_future()
        self._process = SupervisedProcess(exited=self._exited, gone=self._left)
        self._frames = FrameReader()
        self._errors = bytearray()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._calls: dict[int, asyncio.Future[CallOutputs]] = {}
        self._abandoned: dict[int, asyncio.TimerHandle] = {}
        self._ids = 0
        self._stdin: asyncio.WriteTransport | None = None
        self._outputs: dict[int, IO[bytes]] = {}
        self._errors_from: IO[bytes] | None = None
        self._broken: str | None = None
        self._deaf = False
        self._health, self._hung = HealthWatch(step_cpu_s), False
        self.asked = False
        """Whether it owes the answer to a ping."""

    async def start(self, argv: Sequence[str], *, ready_s: float) -> None:
        """Start the process and wait until its model is loaded; if that fails, it is gone.

        Raises ModelUnavailable if the program is missing, the child refuses or is not ready after
        `ready_s` seconds; ChildDied if it ends without a word.
        """
        try:
            async with self._process.readying(ready_s):
                await self._process.start(
                    argv, env=unmarked(inherited()), stdin=PIPE, stdout=PIPE, stderr=PIPE
                )
                await self._listen()
                await self._ready
        except TimeoutError:
            late = f"model {self._name} was not ready after {ready_s:g} s{self._last_words()}"
            raise ModelUnavailable(late, hint="raise `pool.load_s` if it needs longer to load") from None
        except OSError as error:
            why = IoFailed.of(error, f"start {argv[0]}")
            raise ModelUnavailable(f"model {self._name}: {why.message}") from error

    async def _listen(self) -> None:
        stdin, *outputs = self._process.pipes()
        for pipe in outputs:
            os.set_blocking(pipe.fileno(), False)
            self._outputs[pipe.fileno()] = pipe
            self._loop.add_reader(pipe.fileno(), self._read, pipe)
        self._errors_from = outputs[1]
        self._stdin, _ = await self._loop.connect_write_pipe(lambda: _Watch(self._lost), stdin)

    @property
    def alive(self) -> bool:
        """Return whether the process takes requests."""
        return not self.ended and not self._deaf and self._broken is None and not self._process.doomed

    @property
    def ended(self) -> bool:
        """Return whether there is no process, any more or yet."""
        return self._process.over

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    async def call(self, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> dict[str, Value]:
        """Ask the model. Cancelling the task tells the child to stop, and does not wait for it.

        Raises ModelFailed if the model says no, ChildDied if the process ends first.
        """
        self._ids += 1
        number = self._ids
        try:
            request = pack(Invoke(number, pack_values(inputs), pack_values(config)))
        except (FrameTooLarge, SerializationFailed) as error:
            why = f"model {self._name}: {error.message}"
            raise ModelFailed(why, code=error.code, hint=error.hint) from error
        self.check()
        reply: asyncio.Future[CallOutputs] = self._loop.create_future()
        self._calls[number] = reply
        self._write(request)
        try:
            return unpack_values((await reply).outputs)
        except asyncio.CancelledError:
            if self.alive:
                self._write(pack(Cancel(number)))
                self._abandoned[number] = self._loop.call_later(CANCEL_S, self.kill)
            raise
        finally:
            self._calls.pop(number, None)

    def check(self) -> None:
        """Raises ChildDied unless it may be asked."""
        if not self.alive:
            raise self._death()

    def retire(self) -> None:
        """Let it end: it does when its stdin closes; after 2 s it is killed."""
        if self.ended or self._process.doomed:
            return
        self._process.kill_after(STOP_S)
        if self._stdin is not None:
            self._stdin.close()

    async def stopped(self) -> None:
        """Wait until the process, if it ever began, has ended; `retire` or `kill` it first."""
        await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def beat(self, *, used: bool, late: bool) -> None:
        """Ask whether it is there, unless it was asked and has not answered: then, see why.

        `used`: somebody may have given it work. `late`: nobody has listened to it for a while.
        """
        if not self.alive or self._stdin is None or self.pid is None:
            return
        why: str | None = None
        if not self.asked:
            if self._health.suspicious and (seen := vitals_of(self.pid)) is not None:
                why = self._health.asleep(seen)
            self.asked = True
            self._write(pack(Ping()))
        elif late:
            self._health.heard()
        elif (seen := vitals_of(self.pid)) is not None:
            why = self._health.missed(seen, used=used or bool(self._calls or self._abandoned))
        if why is not None:
            self._give_up(why)

    async def lost(self, within_s: float) -> bool:
        """Return whether it takes no more calls, or will not `within_s` seconds from now."""
        await asyncio.wait([self._told], timeout=within_s)
        return self._told.done()

    def death(self) -> ChildDied:
        """Return why it takes no more calls."""
        return self._death()

    def _give_up(self, why: str) -> None:
        """It hangs: end it, and let nobody wait for it, however long its end takes."""
        self._broken, self._hung = f"it hung: {why}", True
        self.kill()
        self._fail_calls()
        self._tell()

    def _fail_calls(self) -> None:
        for call in self._calls.values():
            if not call.done():
                call.set_exception(self._death())

    def _write(self, data: bytes) -> None:
        if self._stdin is not None:
            self._stdin.write(data)

    # What the process tells.

    def _read(self, pipe: IO[bytes]) -> bool:
        """Take what is in the pipe now; return whether there may be more."""
        try:
            data = os.read(pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close(pipe)
            if pipe is not self._errors_from:
                self._lost()
        elif pipe is self._errors_from:
            self._errors += data
            del self._errors[:-_STDERR_BYTES_MAX]
        else:
            self._health.heard()
            self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._received(unpack_from_child(body))
        except SymphonyError as error:
            self._broken = error.message
            self.kill()
            self._tell()

    def _lost(self) -> None:
        """Without stdin or stdout it is of no use, even if it lives on. Mostly it is about to end."""
        self._deaf = True
        self._process.kill_after(_PIPES_S)
        self._tell()

    def _close(self, pipe: IO[bytes]) -> None:
        if self._outputs.pop(pipe.fileno(), None) is not None:
            self._loop.remove_reader(pipe.fileno())
            pipe.close()

    def _exited(self, _: int) -> None:
        for pipe in list(self._outputs.values()):
            while pipe.fileno() in self._outputs and self._read(pipe):
                pass  # what it said before
        for timer in self._abandoned.values():
            timer.cancel()
        self._abandoned.clear()
        if not self._ready.done():
            self._ready.set_exception(self._death())
            self._ready.exception()  # nobody may be waiting any more
        self._fail_calls()
        self._tell()

    def _tell(self) -> None:
        if not self._told.done():
            self._told.set_result(None)
            self._tell_lost(self)

    def _left(self) -> None:
        for pipe in list(self._outputs.values()):
            self._close(pipe)
        if self._stdin is not None:
            self._stdin.close()
        self._tell_gone(self)

    def _received(self, message: ModelReady | ModelRefused | CallOutputs | CallFailure | Pong) -> None:
        match message:
            case Pong():
                self.asked = False
                answer = PingAnswer(message.cpu_s, message.steps, self._ids if self._calls else None)
                if (why := self._health.answered(answer)) is not None:
                    self._give_up(why)
            case ModelReady():
                self._health.ready()
                if not self._ready.done():
                    self._ready.set_result(None)
            case ModelRefused():
                if not self._ready.done():
                    self._ready.set_exception(ModelUnavailable(message.message, hint=message.hint))
            case CallOutputs() | CallFailure():
                self._settle(message)

    def _settle(self, message: CallOutputs | CallFailure) -> None:
        if timer := self._abandoned.pop(message.id, None):
            timer.cancel()
        reply = self._calls.get(message.id)
        if reply is None or reply.done():
            return
        if isinstance(message, CallOutputs):
            reply.set_result(message)
        else:
            reply.set_exception(ModelFailed(message.message, code=message.code, hint=message.hint))

    def _death(self) -> ChildDied:
        if self._broken is not None:
            hint = "this input may be too much for the model" if self._hung and self._calls else None
            words = f"the process of model {self._name} was ended: {self._broken}{self._last_words()}"
            return ChildDied(words, hint=hint)
        status = self._process.status
        how = "" if status is None else f" (signal {-status})" if status < 0 else f" (exit status {status})"
        return ChildDied(f"the process of model {self._name} ended{how}{self._last_words()}")

    def _last_words(self) -> str:
        said = self._errors.decode(errors="replace").strip()
        return f"; it said: {said}" if said else ""


class _Watch(asyncio.BaseProtocol):
    """Tells when nobody reads a pipe any more."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone, or we closed it."""
        self._lost()
