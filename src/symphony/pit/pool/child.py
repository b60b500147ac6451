"""One model's process, seen from its parent: start, ask, cancel, stop. Never restarts itself.

Built on transports and their callbacks: there is no task to own, forget or cancel.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from symphony.commons.environment import inherited
from symphony.commons.errors import IoFailed, SerializationFailed, SymphonyError
from symphony.commons.marks import unmarked
from symphony.ipc.frames import FrameReader, FrameTooLarge
from symphony.ipc.model_calls import (
    Answer,
    Cancel,
    Failure,
    Invoke,
    Ready,
    Refused,
    pack,
    pack_values,
    unpack_from_child,
    unpack_values,
)
from symphony.ports.models import ModelFailed, ModelUnavailable
from symphony.ports.values import Value

READY_S = 60.0
CANCEL_S = 10.0
"""A child that has not given up a cancelled call after this is killed."""
STOP_S = 2.0
_PIPES_S = 0.5
_STDERR_BYTES_MAX = 4096


@runtime_checkable
class _Pipe(Protocol):
    """A transport that can be written to; uvloop's derive from no class of asyncio's."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class _Process(Protocol):
    """A subprocess transport."""

    def get_pid(self) -> int: ...
    def get_returncode(self) -> int | None: ...
    def get_pipe_transport(self, fd: int) -> object: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class ChildDied(SymphonyError):
    """The process ended, or was ended, with a call unanswered. The message holds its last words."""

    code = "model-failed"


class Child(asyncio.SubprocessProtocol):
    """A running model process. `start` it once; use it from one event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader()
        self._errors = bytearray()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._abandoned: dict[int, asyncio.TimerHandle] = {}
        self._ids = 0
        self._transport: _Process | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._broken: str | None = None
        self._deaf = False

    async def start(self, argv: Sequence[str], *, ready_s: float = READY_S) -> None:
        """Start the process and wait until its model is loaded; if that fails, it is killed.

        Raises ModelUnavailable if the program is missing or the child refuses; ChildDied if it
        ends without a word or is not ready after `ready_s` seconds.
        """
        try:
            await self._loop.subprocess_exec(lambda: self, *argv, env=unmarked(inherited()))
            async with asyncio.timeout(ready_s):
                await self._ready
        except TimeoutError:
            self.kill()
            await self.stopped()
            late = f"model {self._name} was not ready after {ready_s:g} s{self._last_words()}"
            raise ChildDied(late) from None
        except OSError as error:
            why = IoFailed.of(error, f"start {argv[0]}")
            raise ModelUnavailable(f"model {self._name}: {why.message}") from error
        except BaseException:
            self.kill()
            raise

    @property
    def alive(self) -> bool:
        """May it be asked?"""
        return not self.ended and not self._deaf and self._broken is None and self._killer is None

    @property
    def ended(self) -> bool:
        """Is there no process, any more or yet?"""
        return self._transport is None or self._gone.done()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return None if self._transport is None else self._transport.get_pid()

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
        if not self.alive:
            raise self._death()
        reply: asyncio.Future[Answer] = self._loop.create_future()
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

    def retire(self) -> None:
        """Let it end: it does when its stdin closes; after 2 s it is killed."""
        if self.ended or self._killer is not None:
            return
        self._killer = self._loop.call_later(STOP_S, self.kill)
        if (stdin := self._stdin()) is not None:
            stdin.close()

    async def stopped(self) -> None:
        """Wait until the process, if it ever began, has ended; `retire` or `kill` it first."""
        if self._transport is not None:
            await asyncio.shield(self._gone)

    def kill(self) -> None:
        """End it at once."""
        if self._transport is not None and self._transport.get_returncode() is None:
            try:
                self._transport.kill()
            except ProcessLookupError:
                pass  # it ended by itself in this moment

    def _write(self, data: bytes) -> None:
        if (stdin := self._stdin()) is not None:
            stdin.write(data)

    def _stdin(self) -> _Pipe | None:
        stdin = self._transport.get_pipe_transport(0) if self._transport is not None else None
        return stdin if isinstance(stdin, _Pipe) else None

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = _process(transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._errors += data
            del self._errors[:-_STDERR_BYTES_MAX]
            return
        try:
            for body in self._frames.feed(data):
                self._received(unpack_from_child(body))
        except SymphonyError as error:
            self._broken = error.message
            self.kill()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd != 2:  # without stdin or stdout it is of no use, even if it lives on
            self._deaf = True
            if self._killer is None:
                # Mostly it is about to end. Killing asks for its exit status, and if that has come
                # just now, takes it away from the loop's own watcher.
                self._killer = self._loop.call_later(_PIPES_S, self.kill)

    def process_exited(self) -> None:
        # Its pipes usually close with it; someone it started may hold them open.
        self._loop.call_later(_PIPES_S, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _received(self, message: Ready | Refused | Answer | Failure) -> None:
        match message:
            case Ready():
                if not self._ready.done():
                    self._ready.set_result(None)
            case Refused():
                if not self._ready.done():
                    self._ready.set_exception(ModelUnavailable(message.message, hint=message.hint))
            case Answer() | Failure():
                self._settle(message)

    def _settle(self, message: Answer | Failure) -> None:
        if timer := self._abandoned.pop(message.id, None):
            timer.cancel()
        reply = self._calls.get(message.id)
        if reply is None or reply.done():
            return
        if isinstance(message, Answer):
            reply.set_result(message)
        else:
            reply.set_exception(ModelFailed(message.message, code=message.code, hint=message.hint))

    def _end(self) -> None:
        if self._gone.done():
            return
        self._gone.set_result(None)
        for timer in (*self._abandoned.values(), self._killer):
            if timer is not None:
                timer.cancel()
        self._abandoned.clear()
        if not self._ready.done():
            self._ready.set_exception(self._death())
        for call in self._calls.values():
            if not call.done():
                call.set_exception(self._death())
        if not self._ready.cancelled():
            self._ready.exception()  # nobody may be waiting any more
        if self._transport is not None:
            self._transport.close()

    def _death(self) -> ChildDied:
        status = None if self._transport is None else self._transport.get_returncode()
        how = "" if status is None else f" (signal {-status})" if status < 0 else f" (exit status {status})"
        why = f": {self._broken}" if self._broken is not None else ""
        return ChildDied(f"the process of model {self._name} ended{how}{why}{self._last_words()}")

    def _last_words(self) -> str:
        said = self._errors.decode(errors="replace").strip()
        return f"; it said: {said}" if said else ""


def _process(transport: object) -> _Process:
    assert isinstance(transport, _Process)
    return transport
