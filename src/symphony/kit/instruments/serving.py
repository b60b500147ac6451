"""The loop of a model's process: calls in on stdin, answers out on stdout, one at a time.

The thread that reads also answers pings, so that they are answered while another thread computes.
The process lives exactly as long as its parent: when stdin ends, or the parent is no longer the
one that started it, it exits at once, whatever it is doing. Linux ends it also if no thread of it can run:
it was stopped, or native code holds the interpreter's lock.
"""

import faulthandler
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from symphony.commons.errors import SymphonyError
from symphony.commons.processes import die_with_parent
from symphony.ipc import own_streams
from symphony.ipc.frames import FrameReader
from symphony.ipc.model_calls import (
    CANCELLED,
    CallFailure,
    CallOutputs,
    FromChild,
    Invoke,
    ModelReady,
    ModelRefused,
    Ping,
    Pong,
    pack,
    pack_values,
    unpack_to_child,
    unpack_values,
)
from symphony.ports.models import ModelUnavailable
from symphony.ports.values import Value

EXIT_REFUSED = 3
_READ_BYTES = 256 * 1024
_PARENT_CHECK_S = 1.0


class Instrument(Protocol):
    """A loaded model."""

    def invoke(
        self, inputs: Mapping[str, Value], config: Mapping[str, Value], cancelled: Callable[[], bool]
    ) -> dict[str, Value]:
        """Return the output ports; what it returns once `cancelled()` is thrown away.

        Each call of `cancelled` also counts as a sign that the work gets on.
        """
        ...


class InstrumentServer:
    """Reads calls in one thread and works in another, the caller's."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        # The supervisor has no more calls outstanding than the model has slots, so neither of these grows.
        self._calls: queue.SimpleQueue[Invoke] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._answered = 0  # ids ascend, so this is the highest that was answered
        self._steps = 0
        self._sending = threading.Lock()

    def run(self, load: Callable[[], Instrument]) -> int:
        """Serve until the parent is gone; the exit status if the model cannot be loaded."""
        threading.Thread(target=self._read, name="calls", daemon=True).start()
        threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
        try:
            instrument = load()
        except ModelUnavailable as error:
            self._send(ModelRefused(error.message, error.hint))
            return EXIT_REFUSED
        self._send(ModelReady(os.getpid()))
        while True:
            call = self._calls.get()
            self._send(self._perform(instrument, call))
            self._answered = call.id
            self._steps += 1
            self._cancelled.discard(call.id)

    def _perform(self, instrument: Instrument, call: Invoke) -> FromChild:
        def cancelled() -> bool:
            self._steps += 1  # one of two threads may be lost: it is only seen whether it changes
            return call.id in self._cancelled

        try:
            inputs, config = unpack_values(call.inputs), unpack_values(call.config)
            outputs = instrument.invoke(inputs, config, cancelled)
            if cancelled():
                return CallFailure(call.id, CANCELLED, "cancelled")
            return CallOutputs(call.id, pack_values(outputs))
        except SymphonyError as error:
            return CallFailure(call.id, error.code, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 one bad call must not end the process
            return CallFailure(call.id, "model-failed", f"{type(error).__name__}: {error}")

    def _send(self, message: FromChild) -> None:
        try:
            rest = memoryview(pack(message))
        except SymphonyError as error:
            if not isinstance(message, CallOutputs):
                raise
            rest = memoryview(pack(CallFailure(message.id, error.code, error.message, error.hint)))
        try:
            with self._sending:
                while rest:
                    rest = rest[os.write(self._writing, rest) :]
        except BrokenPipeError:
            _leave()

    def _read(self) -> None:
        frames = FrameReader()
        try:
            while data := os.read(self._reading, _READ_BYTES):
                for body in frames.feed(data):
                    message = unpack_to_child(body)
                    if isinstance(message, Ping):
                        self._send(Pong(time.process_time(), self._steps))
                    elif isinstance(message, Invoke):
                        self._calls.put(message)
                    elif message.id > self._answered:
                        self._cancelled.add(message.id)
        except (OSError, SymphonyError) as error:
            sys.stderr.write(f"the connection to the supervisor broke: {error}\n")
        _leave()


def serve(load: Callable[[], Instrument]) -> int:
    """Serve `load()` over this process's stdin and stdout. What is printed goes to stderr."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    die_with_parent(os.getppid())
    return InstrumentServer(*own_streams.taken()).run(load)


def _watch_parent() -> None:
    """Ends this process if the parent died while someone else keeps our stdin open."""
    if os.name != "posix":
        return
    parent, never = os.getppid(), threading.Event()
    while not never.wait(_PARENT_CHECK_S):
        if os.getppid() != parent:
            _leave()


def _leave() -> NoReturn:
    # Not sys.exit: that would wait for a computation in another thread.
    os._exit(0)
