"""Runs the attempts that are under way, one task for each."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.raised import contained
from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.engine.batches import Batches
from symphony.pit.tracker.engine.grants import Grants
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.aside import END, Deferred
from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.failures import NotStored, perhaps_stopped
from symphony.pit.tracker.nodes.graphs import reads_port
from symphony.pit.tracker.nodes.spending import BudgetAwaited, Meter
from symphony.pit.tracker.nodes.threads import DaemonThreads
from symphony.pit.tracker.nodes.work import CallWork, ModelWork, OperatorWork, Work, retry_delay_s
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.insight import QueueProgress
from symphony.ports.models import Estimate, Usage
from symphony.ports.outputs import OutputCut
from symphony.ports.values import ArtifactRef, StoredValue, Value

STOP_COMES_S: Final = 0.5
"""A signal sent to all processes reaches this one at most so many seconds after the first."""


class Attempts:
    """Runs slots whose work takes a while; how an attempt ended is reported before its task ends.

    An exception out of a task is a bug: its slot would never be reported.
    """

    def __init__(self, parts: RunParts) -> None:
        self._machine, self._bindings, self._executor = parts.machine, parts.bindings, parts.executor
        self._aside, self._recorder, self._transitions = parts.aside, parts.recorder, parts.transitions
        self._timers, self._clock = parts.timers, parts.clock
        self._alive, self._tell, self._bug = parts.alive, parts.tell, parts.bug
        self._loop = asyncio.get_running_loop()
        self._pool = DaemonThreads(parts.executor.threads, "symphony-op")
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._batches = Batches(parts, self._pool)
        self._grants = Grants(parts)
        self._limits: dict[str, bool] = {}  # by short operator
        self._deferred: dict[int, asyncio.Task[None]] = {}  # make the values that commands need first
        self._ended: set[asyncio.Task[None]] = set()  # the cancelled ones of these that have yet to end
        self._replay = parts.replay
        self._failed_at = parts.replay.finished  # by slot that is retried: when its last attempt failed
        self._unbegun: set[int] = set()  # slots whose task has not had its first turn
        self._unwanted: set[int] = set()  # slots that were asked to stop
        self._random = random.Random()  # noqa: S311  (jitter, not a secret)

    @property
    def pending(self) -> bool:
        """True if anything is under way, or due at some moment."""
        if self.busy:
            return True
        for slot in self._timers.slots:  # skip slots that were cancelled meanwhile
            if self._machine.status[slot] >= Status.SUCCEEDED:
                self._timers.cancel(slot)
        return bool(self._timers.slots)

    @property
    def busy(self) -> bool:
        """True if anything is under way."""
        return bool(self._tasks or self._deferred or self._batches.busy)

    @property
    def running(self) -> list[int]:
        """Return the slots with an attempt under way."""
        return [*self._tasks, *self._batches.slots]

    def gather(self, slot: int, work: OperatorWork) -> None:
        """Begin an attempt of a short operator with the next batch, or alone if it does not suit one.

        A batch asks for nothing: where calls of the operator are limited, each begins alone, with a grant.
        """
        try:
            suits = not self._limited(slot, work) and self._batches.add(slot, work)
        except Deferred:  # its inputs take long to make
            suits = False
        if not suits:
            self.launch(slot, work)

    def quick(self, slot: int) -> bool:
        """True if results of the fan-out's elements were not kept because it is quicker to run them again."""
        return self._batches.quick(slot)

    def flush(self) -> None:
        """Begin the attempts that have gathered."""
        self._batches.flush()

    def queues(self) -> list[QueueProgress]:
        """Return what slots wait for, as of now."""
        return self._grants.standing()

    def sweep(self) -> None:
        """Give up requests for resources that nobody needs any more."""
        self._grants.sweep()

    def launch(self, slot: int, work: CallWork) -> None:
        """Begin an attempt in a task of its own, or queue it until the arbiter grants what it needs.

        The run stops before an effect if the disk is full. A pure operator that cannot suspend needs no
        grant, whichever way it comes here: it would be over before anybody could use what it left free.
        """
        if work.barrier and (full := self._executor.store.full()) is not None:
            self._transitions.halt(full)  # what it gives could not be kept: it does not begin
            return
        if not (isinstance(work, OperatorWork) and work.inline) and not self._granted(slot, work):
            return
        attempt = self._machine.attempts[slot]
        self._transitions.started(slot, attempt)
        durable = self._recorder.reached() if work.barrier else None
        self._begin(slot, self._execute(slot, work, attempt, durable))

    def _limited(self, slot: int, work: OperatorWork) -> bool:
        """Return whether the arbiter limits what calls of the operator need. It does, or not, for the run."""
        known = self._limits.get(work.runs)
        if known is None:
            known = self._limits[work.runs] = self._executor.arbiter.limits(self._request(slot, work))
        return known

    def _granted(self, slot: int, work: CallWork) -> bool:
        """Return whether the attempt may begin. Otherwise the slot is queued, or has ended."""
        request = self._request(slot, work)
        try:
            if self._grants.take(slot, request):
                return True
        except SymphonyError as refused:
            self._transitions.failed(slot, refused, self._clock.now_s(), final=True)
            return False
        if work.cacheable and self._executor.cache is not None:
            self._begin(slot, self._look_up(slot, work, request))  # a result that is known needs no grant
        else:
            self._grants.queue(slot, request)
        return False

    def _request(self, slot: int, work: CallWork) -> ResourceRequest:
        """Return what an attempt of the slot needs."""
        model, resources = isinstance(work, ModelWork), self._executor
        return ResourceRequest(
            run=resources.run_id,
            node=self._machine.name(slot),
            resource=work.runs,
            kind="model" if model else "operator",
            user=resources.user,
            project=resources.project,
            priority=resources.priority,
            cores=work.cores,
            memory_bytes=work.memory_bytes,
            estimate=self._estimate(slot, work) if isinstance(work, ModelWork) else None,
        )

    def _estimate(self, slot: int, work: ModelWork) -> Estimate | None:
        """Return the most that a request to the model may use up; None if its inputs are not at hand."""
        if self._aside.tired or self._bindings.must_load(slot, work):
            return None
        try:
            with self._aside.at(slot):
                inputs, config = self._bindings.inputs(slot, work), self._bindings.config(slot, work)
            if any(isinstance(value, ArtifactRef) for value in (*inputs.values(), *config.values())):
                return None
            plain = self._executor.store.all_plain
            return self._executor.models.estimate(work.model, plain(inputs), plain(config))
        except (Deferred, SymphonyError):
            return None  # the attempt itself waits for them, or reports what is wrong with them

    async def _look_up(self, slot: int, work: CallWork, request: ResourceRequest) -> None:
        """Take the result from the cache; if there is none, queue the slot."""
        self._unbegun.discard(slot)
        started, attempt = self._clock.now_s(), self._machine.attempts[slot]
        meter = self._meter(self._machine.name(slot)) if isinstance(work, ModelWork) else None
        try:
            if self._bindings.must_load(slot, work):
                await self._bindings.preload(slot, work, self._pool)
            ready = await self._ready(slot, work, attempt, meter)
            _, _, hit = await self._executor.look_up(ready, self._pool)
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001
            self._unfinished(slot, error, started, None)
            return
        if hit is not None or not self._alive() or self._machine.frame(slot).stopping is not None:
            self._finished(slot, hit or Finished({}), started)
            return
        del self._tasks[slot]
        self._grants.queue(slot, request)

    def store(
        self,
        slot: int,
        work: CallWork,
        inputs: Mapping[str, StoredValue],
        returned: Mapping[str, Value],
        started: float,
    ) -> None:
        """Store a large result of an inline operator in a thread, because it would hold up the loop."""
        self._begin(slot, self._store(slot, work, inputs, returned, started))

    def _begin(self, slot: int, work: Coroutine[None, None, None]) -> None:
        self._unwanted.discard(slot)
        task = self._loop.create_task(work, name=self._machine.name(slot))
        self._tasks[slot] = task
        self._unbegun.add(slot)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bug(error)

    def _made(self, task: asyncio.Task[None]) -> None:
        self._done(task)
        self._transitions.woken.set()  # it may have been the last thing under way

    def defer(self, slot: int, deferred: Deferred, again: Callable[[], None]) -> None:
        """Make the deferred value in a task of its own, then call `again`."""
        work = None if slot == END else self._bindings.work(slot)

        async def make() -> None:
            try:
                await self._make(slot, work, deferred)
            finally:
                self._ended.discard(task)
                mine = self._deferred.get(slot) is task  # otherwise it is no longer wanted
                if mine:
                    del self._deferred[slot]
            if mine and self._alive():
                again()

        task = self._loop.create_task(make(), name=f"expression of slot {slot}")
        self._deferred[slot] = task
        task.add_done_callback(self._made)

    def undefer(self, slot: int) -> bool:
        """Drop what was deferred for the slot. Return False if there was nothing."""
        task = self._deferred.pop(slot, None)
        if task is None:
            return False
        self._ended.add(task)
        task.add_done_callback(self._ended.discard)
        task.cancel()
        self._aside.forget(slot)
        return True

    def retry_later(self, slot: int) -> None:
        """Report `retry_due` after the back-off of the slot's next attempt.

        The time before a restart counts, even if the wall clock was set meanwhile.
        """
        retry = self._bindings.work(slot).node.retry
        delay = (
            0.0
            if retry is None
            else retry_delay_s(retry, self._machine.attempts[slot], self._random.random())
        )

        def due() -> None:
            if self._machine.status[slot] == Status.RETRYING:
                self._transitions.retry_due(slot)

        now = self._clock.now_s()
        passed = max(0.0, now - self._failed_at.get(slot, now))
        self._timers.after(slot, max(0.0, delay - passed), due)

    def stop(self, slot: int) -> None:
        """End the slot's work; it is reported as cancelled, by the attempt itself if there is one."""
        if self._batches.stop(slot):
            return
        task = self._tasks.get(slot)
        if task is not None:
            self._end(slot, task)
            if slot not in self._unbegun:
                return
            del self._tasks[slot]  # a task that is cancelled before its first turn reports nothing
            self._unbegun.discard(slot)
        self._grants.release(slot)
        self.undefer(slot)
        self._timers.cancel(slot)
        if self._machine.status[slot] < Status.SUCCEEDED:
            self._transitions.cancelled(slot)

    def abort(self) -> None:
        """Stop everything without a report, because the journal has failed."""
        self._batches.abort()
        self._grants.abort()
        for slot, task in self._tasks.items():
            self._end(slot, task)
        for slot in list(self._deferred):
            self.undefer(slot)

    def _end(self, slot: int, task: asyncio.Task[None]) -> None:
        self._unwanted.add(slot)
        task.cancel()

    async def close(self) -> None:
        """Stop everything and wait for it; nothing is reported if the engine no longer takes reports."""
        tasks = list(self._tasks.values())
        self._batches.close()
        self.abort()
        tasks += self._ended
        await self._timers.close()
        if tasks:
            await asyncio.wait(tasks)
        await self._grants.close()

    def release(self) -> None:
        """Release the threads without waiting: a stuck one must not hold up the run."""
        self._pool.shutdown()

    async def _execute(
        self, slot: int, work: CallWork, attempt: int, durable: "asyncio.Future[None] | None"
    ) -> None:
        self._unbegun.discard(slot)
        started = self._clock.now_s()
        meter = self._meter(self._machine.name(slot)) if isinstance(work, ModelWork) else None
        try:
            if durable is not None:
                await durable
                started = self._clock.now_s()
            if self._bindings.must_load(slot, work):
                await self._bindings.preload(slot, work, self._pool)
            try:  # nearly always at once, without a coroutine
                ready = None if self._aside.tired else self._prepared(slot, work, attempt, meter)
            except Deferred:
                ready = None
            if ready is None:
                ready = await self._ready(slot, work, attempt, meter)
            try:
                finished = await self._executor.execute(ready, self._pool)
            except OutputCut as cut:
                finished = await self._cut(slot, ready, cut)
            self._finished(slot, finished, started)
        except BudgetAwaited as short:
            self._requeue(slot, work, short)
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001  (an operator may raise anything)
            why = await _unless_stopped(error) if perhaps_stopped(error) else error
            self._unfinished(slot, why, started, _used(meter))

    async def _cut(self, slot: int, attempt: NodeAttempt, cut: OutputCut) -> Finished:
        """Keep what there is of output that nothing reads. Raises `cut` if something does."""
        work, frame = attempt.work, self._machine.frame(slot)
        read = work.node.artifact is not None
        read = read or self._bindings.level(slot).graph.reads(work.name, cut.ports)
        if frame.parent >= 0:  # a loop reads its body
            around = self._bindings.work(frame.parent)
            read = read or reads_port(around.templates(), work.name, cut.ports)
        if read:
            raise cut
        store = self._executor.store.store_outputs
        return await self._loop.run_in_executor(self._pool, store, attempt, cut.outputs)

    async def _store(
        self,
        slot: int,
        work: CallWork,
        inputs: Mapping[str, StoredValue],
        returned: Mapping[str, Value],
        started: float,
    ) -> None:
        self._unbegun.discard(slot)
        attempt = NodeAttempt(work, inputs, self._machine.name(slot), self._machine.attempts[slot])
        store = self._executor.store.store_outputs
        try:
            self._finished(
                slot, await self._loop.run_in_executor(self._pool, store, attempt, returned), started
            )
        except (asyncio.CancelledError, Exception) as error:  # noqa: BLE001
            self._unfinished(slot, error, started, None)

    def _finished(self, slot: int, finished: Finished, started: float) -> None:
        del self._tasks[slot]
        self._grants.release(slot)
        if not self._alive():  # too late: the run has been stopped
            self._left(slot, finished.usage)
            return
        if self._machine.frame(slot).stopping is not None:
            self._transitions.cancelled(slot, finished.usage)
        else:
            self._transitions.finished(slot, finished, started)

    def _unfinished(self, slot: int, error: BaseException, started: float, used: Usage | None) -> None:
        self._tasks.pop(slot, None)
        self._grants.release(slot)
        if not self._alive():
            self._left(slot, used)
            return
        if isinstance(error, NotStored):
            self._transitions.halt(error.why)
        elif not isinstance(error, asyncio.CancelledError):
            self._transitions.failed(slot, error, started, usage=used)
        elif slot in self._unwanted:
            self._transitions.cancelled(slot, used)
        else:  # not cancelled by us, but for example with all tasks of the loop
            self._transitions.failed(slot, contained(error), started, usage=used)

    def _requeue(self, slot: int, work: CallWork, short: BudgetAwaited) -> None:
        """The attempt asked for nothing yet, and waits for a budget: it is queued, and begins again."""
        del self._tasks[slot]
        self._grants.release(slot)
        if not self._alive():
            return
        if self._machine.frame(slot).stopping is not None or slot in self._unwanted:
            self._transitions.cancelled(slot)
            return
        request = msgspec.structs.replace(self._request(slot, work), estimate=short.most)
        self._grants.queue(slot, request)

    def _left(self, slot: int, used: Usage | None) -> None:
        """The attempt ends with its process: only its usage counts."""
        if used is not None and self._replay.stopped_by is not None:
            self._transitions.stopped(slot, used)

    async def _ready(self, slot: int, work: CallWork, attempt: int, meter: Meter | None) -> NodeAttempt:
        """Return the attempt with all of its expressions evaluated, heavy ones in worker processes."""
        try:
            while True:
                await self._aside.rest()
                try:
                    return self._prepared(slot, work, attempt, meter)
                except Deferred as deferred:
                    await self._make(slot, work, deferred)
        finally:
            self._aside.forget(slot)

    def _prepared(self, slot: int, work: CallWork, attempt: int, meter: Meter | None) -> NodeAttempt:
        """Return the attempt with all of its expressions evaluated. Raises Deferred."""
        with self._aside.at(slot):
            inputs = self._bindings.inputs(slot, work)
            ready = self._bindings.named(slot, work)
            if not isinstance(work, ModelWork):
                ready = self._bindings.configured(slot, ready)
            config = None if meter is None else self._bindings.config(slot, ready)
        name, base = self._machine.name(slot), self._bindings.base(slot)
        afresh = self._bindings.afresh is not None and self._bindings.afresh(slot)
        release = partial(self._grants.release, slot)
        return NodeAttempt(ready, inputs, name, attempt, base, config, meter, afresh, release)

    async def _make(self, slot: int, work: Work | None, deferred: Deferred) -> None:
        name = "outputs" if slot == END else self._machine.name(slot)
        await self._aside.make(slot, deferred, name, self._pool, work)

    def _meter(self, node: str) -> Meter:
        """Return the meter of an attempt that asks a model."""
        return self._executor.meter(node, lambda text: self._tell(node, text, self._clock.now_s()))


def _used(meter: Meter | None) -> Usage | None:
    return None if meter is None else meter.total


async def _unless_stopped(error: BaseException) -> BaseException:
    """Return the error, or a cancellation if this process is asked to stop within `STOP_COMES_S`."""
    try:
        await asyncio.sleep(STOP_COMES_S)
    except asyncio.CancelledError as cancelled:
        return cancelled
    return error
