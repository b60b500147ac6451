"""A worker's process: `python -P -m symphony.pit.workers.process DESCRIPTOR PARENT`.

Runs operators one at a time, in its main thread; what it prints goes out by stdout and stderr. It
lives exactly as long as its supervisor: when the connection ends in the middle of a call, it ends
itself and its process group at once.
"""

import contextvars
import faulthandler
import os
import queue
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.forks import end_copy, generation
from symphony.commons.marks import NODE_VARIABLE, RUN_VARIABLE
from symphony.commons.processes import (
    adopt_orphans,
    die_with_parent,
    has_children,
    reap_children,
)
from symphony.commons.raised import contained, error_text
from symphony.commons.raised_places import traceback_text
from symphony.commons.time import SystemClock
from symphony.ipc.operator_calls import (
    Done,
    Failed,
    FileOrigin,
    FromWorker,
    Load,
    Loaded,
    OperatorCall,
    Origin,
    Recall,
    Recalled,
    Setup,
    Stop,
    ToWorker,
    WorkerReady,
    encode,
    for_worker,
)
from symphony.pit.workers.channel import ChannelBroken, MessageReceiver, Parcel
from symphony.pit.workers.memory import memory_limited
from symphony.pit.workers.surroundings import Surroundings
from symphony.sdk import Context, Operator
from symphony.sdk.origins import load_origin
from symphony.sdk.plain import to_value
from symphony.sdk.sizes import ports_of

OPERATORS_CHANGED = "operators-changed"
_OOM_SCORE = "500"  # where memory runs out, the kernel should take a worker before its supervisor


class WorkerServer:
    """Reads in one thread, works in another (the caller's, the process's main one)."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._mark = b""
        self._outputs = (os.dup(1), os.dup(2))  # an operator may close or replace its own
        self._surroundings = Surroundings(self._outputs)
        self._closing = False
        self._inbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._operators: dict[Origin, dict[str, Operator]] = {}
        self._stopped: set[int] = set()
        self._busy = False

    def run(self) -> None:
        """Serve until the supervisor hangs up."""
        threading.Thread(target=self._read, name="calls", daemon=True).start()
        while (message := self._inbox.get()) is not None:
            if not self._closing:  # else what the last call left running is about to be ended with us
                self._busy = True
                self._answer(message)
                self._busy = False

    def _answer(self, message: ToWorker) -> None:
        match message:
            case Setup():
                sys.path[:], self._mark = message.path, message.mark
                self._send(WorkerReady())
            case Load():
                self._send(self._load(message))
            case OperatorCall():
                answer = self._perform(message)
                self._write_marks()
                self._closing = not answer.alone
                self._send(answer)
                self._stopped.discard(message.id)
            case Stop() | Recall():
                raise AssertionError

    def _load(self, message: Load) -> FromWorker:
        try:
            self._operators[message.origin] = load_origin(message.origin, message.source)
        except BaseException as error:  # noqa: BLE001  (modules may raise anything)
            return failure(0, error)
        self._surroundings = Surroundings(self._outputs)  # what modules change as a whole is meant to last
        return Loaded()

    def _perform(self, call: OperatorCall) -> Done | Failed:
        os.environ[RUN_VARIABLE], os.environ[NODE_VARIABLE] = call.run_id, call.node
        before = generation()
        try:
            if call.folder:
                os.chdir(call.folder)
            operator = self._operator(call)
            arguments = dict(call.inputs)
            if operator.context_name is not None:
                arguments[operator.context_name] = self._context(call)
            with memory_limited(call.memory_mb, call.operator):
                ports = ports_of(operator, call.node, call.value_bytes_max)
                begun_s = SystemClock.monotonic_s()
                # In a context of its own: what it sets there is not for the next call.
                called = partial(operator.function, **arguments)
                outputs: dict[str, object] = {**ports(contextvars.copy_context().run(called))}
                seconds = SystemClock.monotonic_s() - begun_s
        except BaseException as error:  # noqa: BLE001  (an operator may raise anything)
            answer: Done | Failed = failure(call.id, error)
            with suppress(BaseException):  # as below
                if (text := traceback_text(error)) is not None:
                    sys.stderr.write(text + "\n")
        else:
            answer = Done(id=call.id, outputs=outputs, seconds=seconds)
        end_copy(before)
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):  # the operator may have closed it, or put another in its place
                stream.flush()
        self._surroundings.put_back()
        return answer if _alone() else msgspec.structs.replace(answer, alone=False)

    def _operator(self, call: OperatorCall) -> Operator:
        operator = self._operators[call.origin].get(call.operator)
        same = isinstance(call.origin, FileOrigin) or (operator and operator.fingerprint == call.fingerprint)
        if operator is None or not same:
            from symphony.ports.runs import short_id  # seldom needed

            raise SymphonyError(
                f"the code of {call.operator} has changed since Symphony was started",
                code=OPERATORS_CHANGED,
                hint=f"symphony runs resume {short_id(call.run_id)} goes on with the code as it is now",
            )
        return operator

    def _context(self, call: OperatorCall) -> Context:
        return Context(
            run_id=call.run_id,
            node=call.node,
            attempt=call.attempt,
            cwd=Path(call.cwd),
            base=Path(call.base),
            log=_log,
            cancelled=lambda: call.id in self._stopped,
            environment=call.environment,
            config={name: to_value(value) for name, value in call.config.items()},
            allowed_hosts=call.allowed_hosts,
        )

    def _send(self, message: FromWorker) -> None:
        try:
            parcel = Parcel(encode(message))
        except SymphonyError as error:
            assert isinstance(message, Done | Failed)
            parcel = Parcel(encode(failure(message.id, error)))
        try:
            with self._sending:
                parcel.send(self._connection)
        except ChannelBroken:
            _leave()
        finally:
            parcel.close()

    def _write_marks(self) -> None:
        """Say on both outputs that what comes next is another call's."""
        for output in self._outputs:
            with suppress(OSError, ValueError):  # an operator may have closed whatever it found
                while True:
                    try:
                        os.write(output, self._mark)
                        break
                    except BlockingIOError:  # it may have changed how they are written, too
                        select.select([], [output], [])

    def _recall(self) -> None:
        """Give back the calls that wait."""
        kept, count = list[ToWorker | None](), 0
        with suppress(queue.Empty):
            while True:
                message = self._inbox.get_nowait()
                if isinstance(message, OperatorCall):
                    count += 1
                else:
                    kept.append(message)
        for other in kept:
            self._inbox.put(other)
        self._send(Recalled(count))

    def _read(self) -> None:
        receiver = MessageReceiver(self._connection)
        try:
            while (bodies := receiver.receive()) is not None:
                for body in bodies:
                    message = for_worker(body)
                    if isinstance(message, Stop):
                        self._stopped.add(message.id)
                    elif isinstance(message, Recall):
                        self._recall()
                    else:
                        self._inbox.put(message)
        except (OSError, SymphonyError) as error:
            sys.stderr.write(f"the connection to the supervisor broke: {error}\n")
        if self._busy:
            _leave()
        self._inbox.put(None)


def failure(number: int, error: BaseException) -> Failed:
    """The error that an operator raised, as a message."""
    plain = error_text(contained(error))
    failed = Failed(id=number, code=plain.code, message=plain.message, hint=plain.hint)
    if not isinstance(error, SymphonyError):
        return failed
    try:
        detailed = msgspec.structs.replace(failed, details=dict(error.details))
        encode(detailed)
    except Exception:  # noqa: BLE001  (they are the author's, and may be anything)
        return failed
    return detailed


def _log(text: str, stream: Literal["stdout", "stderr"]) -> None:
    out = sys.stdout if stream == "stdout" else sys.stderr
    out.write(text + "\n")
    out.flush()


def _alone() -> bool:
    """Return whether no process is left that the operator started, its zombies aside."""
    reap_children()
    return not has_children()


def _leave() -> NoReturn:
    # Not sys.exit: that would wait for the operator.
    os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    """Serve on the descriptor until the supervisor, process `PARENT`, hangs up."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    adopt_orphans()
    faulthandler.enable(all_threads=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which then ends us
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    os.set_inheritable(descriptor, False)
    sys.argv[1:] = []
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    WorkerServer(socket.socket(fileno=descriptor)).run()


if __name__ == "__main__":
    main()
