"""Worker processes, kept warm and shared: no more of them at work than there are cores."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from symphony.commons.integers import INTEGER_MAX
from symphony.commons.marks import RUN_VARIABLE
from symphony.commons.waiting import uninterrupted
from symphony.ipc.frames import frame
from symphony.ipc.operator_calls import (
    Done,
    Failed,
    FromWorker,
    OperatorCall,
    Origin,
    encode,
    from_worker,
    ports_of,
)
from symphony.pit.workers.channel import Parcel
from symphony.pit.workers.printed import Output
from symphony.pit.workers.worker import READY_S, Question, Worker, WorkerDied, raised
from symphony.ports.values import Value

BATCH_S: Final = 0.005
"""How much work travels in one message."""
BATCH_MAX: Final = 64
BATCH_BYTES_MAX: Final = 32 * 1024
HELD_UP_S: Final = 0.02
"""Calls that wait in a worker for so long are given to one that has nothing to do."""
_SMALL_BYTES: Final = 8 * 1024
_OVERHEAD_S: Final = 50e-6
_SLOWER, _FASTER = 0.5, 0.1
"""How much the latest call counts, in what is known of an operator's calls."""

PATIENCE_S = 2.0
"""What an operator that asks its context whether it was cancelled has to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One call of an operator. `source`: of a file's origin. `listens`: it may end by itself when it is
    cancelled, and has time for it. `memory_mb`: what it may use, in MiB. `repeatable`: it may begin
    again in another process if this one ends.
    """

    origin: Origin
    source: bytes | None
    operator: str
    fingerprint: str
    listens: bool
    inputs: Mapping[str, Value]
    run_id: str
    node: str
    attempt: int
    cwd: Path
    base: Path
    environment: Mapping[str, str]
    config: Mapping[str, Value] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    memory_mb: int | None = None
    repeatable: bool = False
    value_bytes_max: int = INTEGER_MAX
    marks: Mapping[str, str] = field(default_factory=dict)


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Assignment(Question):
    """One call on its way through a pool."""

    def __init__(self, task: Task, call: OperatorCall, output: Output, timeout_s: float | None) -> None:
        super().__init__(output)
        self.task, self.call, self.limit_s = task, call, timeout_s
        self.limit = asyncio.timeout(None)
        self.frame = frame(encode(call)) if is_small(call.inputs) else None
        """The message, unless it takes a thread to make."""
        self.worker: Worker | None = None
        self.readying: Worker | None = None
        """What was set aside for it, and not taken yet."""

    @property
    def key(self) -> tuple[Origin, str]:
        """Calls of one operator take about as long."""
        return self.task.origin, self.task.operator

    @property
    def joins(self) -> bool:
        """Return whether the call may wait in a worker behind others, and begin again elsewhere."""
        return self.frame is not None and self.task.repeatable and self.task.memory_mb is None

    def late(self) -> None:
        """The time for an answer is over."""
        with suppress(RuntimeError):  # the waiting task gives it up already
            self.limit.reschedule(asyncio.get_running_loop().time())


class Workers:
    """Runs operators in processes that can be ended at any moment. Use from one loop; `close` it.

    Short calls of operators that may be repeated travel several to a message, and wait in the
    worker for their turn: `BATCH_S` of work a message, by what calls of the operator took before.
    Those that have not begun when their worker ends, or is held up, are given to another.
    """

    def __init__(
        self, *, size: int | None = None, ready_s: float = READY_S, listen_idle: bool = True
    ) -> None:
        """`size`: how many work at once, the number of cores if None. `ready_s`: time to start.

        `listen_idle`: the loop also listens to processes that wait for their next call.
        """
        self._size, self._ready_s, self._listen_idle = size or cores(), ready_s, listen_idle
        self._queue: deque[Assignment] = deque()
        self._all: list[Worker] = []
        self._costs_s: dict[tuple[Origin, str], float] = {}
        self._handing_out: asyncio.Handle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._calls = 0
        self._closed = False

    async def call(self, task: Task, output: Output, *, timeout_s: float | None) -> Mapping[str, Value]:
        """The operator's output ports. `output` sees the lines that it prints.

        The time runs from when a worker has loaded the operator and is at it: waiting costs none
        of it. On cancellation and on TimeoutError nothing of the call is left running. Raises what
        the operator raises, as SymphonyError; WorkerDied, IoFailed, OperatorsNotLoaded.
        """
        if self._closed:
            raise WorkerDied("the workers are closed")
        one = Assignment(task, self._message(task), output, timeout_s)
        self._queue.append(one)
        self._hand_out_soon()
        try:
            if timeout_s is None:
                return await self._performed(one)
            async with one.limit:
                return await self._performed(one)
        finally:
            if one.worker is not None and not one.worker.usable:
                await one.worker.end()

    async def close(self) -> None:
        """End every process; calls under way fail."""
        self._closed = True
        for handle in (self._handing_out, self._looking):
            if handle is not None:
                handle.cancel()
        for one in self._queue:
            _fail(one, WorkerDied("the workers are closed"))
        self._queue.clear()
        endings = [worker.end(politely=not worker.asked and not worker.reserved) for worker in self._all]
        if endings:
            await uninterrupted(asyncio.get_running_loop().create_task(_all_of(endings)))

    # ---- one call ---------------------------------------------------------------------------

    async def _performed(self, one: Assignment) -> Mapping[str, Value]:
        try:
            while isinstance(answer := await one.reply, Worker):
                one.reply = asyncio.get_running_loop().create_future()
                await self._make_ready(answer, one)
            if isinstance(answer, memoryview):
                answer = await self._decoded(answer, one)
        except asyncio.CancelledError:
            await self._withdraw(one)
            raise
        if isinstance(answer, Failed):
            raise raised(answer)
        assert isinstance(answer, Done)
        return ports_of(answer)

    async def _make_ready(self, worker: Worker, one: Assignment) -> None:
        """Have the worker load what `one` needs, and send it that alone."""
        one.readying = None
        try:
            if not worker.started:
                await worker.start({RUN_VARIABLE: one.task.run_id, **one.task.marks}, ready_s=self._ready_s)
            elif not self._listen_idle:
                worker.wake()
            await worker.load(one.task.origin, one.task.source)
            parcel = Parcel.framed(one.frame) if one.frame else await made(lambda: encode(one.call))
            if not worker.usable:
                parcel.close()
                raise worker.death()
        finally:
            worker.reserved = False
            self._hand_out_soon()
        worker.send([one], parcel)

    async def _decoded(self, body: memoryview, one: Assignment) -> FromWorker:
        """A large answer. Until it is known, its worker is given nothing more."""
        worker = one.worker
        assert worker is not None
        try:
            answer = await asyncio.to_thread(from_worker, body)
        finally:
            worker.reserved = False
            self._hand_out_soon()
        if isinstance(answer, Done | Failed) and not answer.alone:
            worker.ended_by_us = True
        return answer

    async def _withdraw(self, one: Assignment) -> None:
        """Leave nothing of it running."""
        with suppress(ValueError):
            self._queue.remove(one)
        if (worker := one.readying) is not None:
            one.readying, worker.reserved = None, False
            self._hand_out_soon()
            if not worker.started:
                await worker.end()
        elif one.worker is not None:
            patience_s = PATIENCE_S if one.task.listens else 0.0
            await one.worker.give_up(one, one.call.id, patience_s)

    # ---- all calls --------------------------------------------------------------------------

    def _hand_out_soon(self) -> None:
        """Hand out once all that is about to come has come."""
        if self._handing_out is None and not self._closed:
            self._handing_out = asyncio.get_running_loop().call_soon(self._hand_out)

    def _hand_out(self) -> None:
        self._handing_out = None
        while self._queue:
            one = self._queue[0]
            if one.reply.done():  # cancelled, though its task has not had its turn yet
                self._queue.popleft()
                continue
            worker = self._idle(one.task.origin)
            if worker is None and len(self._all) < self._size:
                worker = Worker(self, rests=not self._listen_idle)
                self._all.append(worker)
            if worker is None:
                worker = self._with_room(one)
                if worker is None:
                    return
            elif one.frame is None or one.task.origin not in worker.origins:
                worker.reserved = True
                one.worker = one.readying = worker
                self._queue.popleft().reply.set_result(worker)
                continue
            self._fill(worker, one)
        self._look_soon()

    def _idle(self, origin: Origin) -> Worker | None:
        """A worker that waits, rather one that knows the operator."""
        found = None
        for worker in self._all:
            if not worker.asked and not worker.reserved and worker.usable:
                if origin in worker.origins:
                    return worker
                found = worker
        return found

    def _with_room(self, one: Assignment) -> Worker | None:
        """A worker that is at work on others like it, and has little before it."""
        most = self._batch(one)
        if most == 1:
            return None
        able = [
            worker
            for worker in self._all
            if worker.usable and not worker.reserved and not worker.recalling
            if len(worker.asked) <= most and one.task.origin in worker.origins
            if all(map(_joins, islice(worker.asked, 1)))
        ]  # fmt: skip
        return min(able, key=lambda worker: len(worker.asked), default=None)

    def _batch(self, one: Assignment) -> int:
        """Return how many such calls make a message: 1 if it must be alone, or its duration is not known."""
        cost_s = self._costs_s.get(one.key)
        if cost_s is None or not one.joins:
            return 1
        return max(1, min(BATCH_MAX, int(BATCH_S / (cost_s + _OVERHEAD_S))))

    def _fill(self, worker: Worker, one: Assignment) -> None:
        """Send the worker the first of the queue, `one`, and others that may come with it."""
        most = self._batch(one)
        if most > 1:
            most = min(2 * most - len(worker.asked), -(-len(self._queue) // self._size))
        batch, size = [self._queue.popleft()], len(one.frame or b"")
        while self._queue and len(batch) < most and size < BATCH_BYTES_MAX:
            other = self._queue[0]
            if other.key != one.key or not other.joins:
                break
            batch.append(self._queue.popleft())
            size += len(other.frame or b"")
        if not worker.asked and not self._listen_idle:
            worker.wake()
        for assigned in batch:
            assigned.worker = worker
        worker.send(batch, Parcel.framed(b"".join(assigned.frame or b"" for assigned in batch)))

    def _look_soon(self) -> None:
        """Nothing waits here: look after a while whether something waits behind what takes long."""
        if self._looking is None and any(len(worker.asked) > 1 for worker in self._all):
            self._looking = asyncio.get_running_loop().call_later(HELD_UP_S, self._look)

    def _look(self) -> None:
        self._looking = None
        if not self._queue and (len(self._all) < self._size or any(not one.asked for one in self._all)):
            held_s = asyncio.get_running_loop().time() - HELD_UP_S
            for worker in self._all:
                if worker.since_s <= held_s:
                    worker.recall()
        self._look_soon()

    # ---- what workers tell ------------------------------------------------------------------

    def answered(self, worker: Worker, question: Question, answer: FromWorker | memoryview) -> None:
        """It has its reply."""
        if not isinstance(question, Assignment):
            return
        if isinstance(answer, memoryview):
            worker.reserved = not question.reply.cancelled()
        elif isinstance(answer, Done):
            before = self._costs_s.get(question.key, answer.seconds)
            weight = _SLOWER if answer.seconds > before else _FASTER
            self._costs_s[question.key] = before + (answer.seconds - before) * weight
        if not worker.asked and not self._listen_idle and worker.usable:
            worker.rest()
        if self._queue or not worker.asked:
            self._hand_out_soon()

    def returned(self, worker: Worker, questions: Sequence[Question]) -> None:
        """They wait for another worker, before all others."""
        for question in reversed(questions):
            if isinstance(question, Assignment) and not question.reply.done():
                question.worker = None
                self._queue.appendleft(question)
        self._hand_out_soon()

    def lost(self, worker: Worker, questions: Sequence[Question]) -> None:
        """The one that it was at fails, unless it is we who ended the worker; the others are not touched."""
        for place, question in enumerate(questions):
            begun = place == 0 and not worker.ended_by_us
            if begun or self._closed or not isinstance(question, Assignment):
                _fail(question, worker.death())
        self.returned(worker, questions)

    def gone(self, worker: Worker) -> None:
        """Its place is free."""
        self._all.remove(worker)
        self._hand_out_soon()

    def _message(self, task: Task) -> OperatorCall:
        self._calls += 1
        return OperatorCall(
            id=self._calls,
            origin=task.origin,
            operator=task.operator,
            fingerprint=task.fingerprint,
            inputs=task.inputs,
            run_id=task.run_id,
            node=task.node,
            attempt=task.attempt,
            cwd=str(task.cwd),
            base=str(task.base),
            environment=task.environment,
            config=task.config,
            allowed_hosts=task.allowed_hosts,
            memory_mb=task.memory_mb,
            value_bytes_max=task.value_bytes_max,
            folder=_folder(),
        )


def _folder() -> bytes:
    """Return the folder that this process is in; empty if that is gone."""
    try:
        return bytes(Path.cwd())
    except OSError:
        return b""


async def _all_of(endings: list[Coroutine[object, object, None]]) -> None:
    await asyncio.gather(*endings)


def _joins(question: Question) -> bool:
    return isinstance(question, Assignment) and question.joins


def _fail(question: Question, error: WorkerDied) -> None:
    if not question.reply.done():
        question.reply.set_exception(error)
        question.reply.exception()  # nobody may be waiting any more


def is_small(inputs: Mapping[str, object]) -> bool:
    """Return whether encoding these inputs surely takes less time than a hop to a thread."""
    left, stack = _SMALL_BYTES, list(inputs.values())
    while stack and left >= 0:
        value = stack.pop()
        left -= 9
        if isinstance(value, str | bytes):
            left -= len(value)
        elif isinstance(value, list):
            left -= len(value) * 9
            if left >= 0:
                stack += value
        elif isinstance(value, dict):
            left -= sum(map(len, value)) + len(value) * 9
            if left >= 0:
                stack += value.values()
    return left >= 0


async def made(body: Callable[[], bytes]) -> Parcel:
    """The parcel of a large message, made in a thread. On cancellation, nothing of it is left."""
    making = asyncio.get_running_loop().create_task(asyncio.to_thread(lambda: Parcel(body())))
    try:
        return await uninterrupted(making)
    except asyncio.CancelledError:
        if not making.cancelled() and making.exception() is None:
            making.result().close()
        raise
