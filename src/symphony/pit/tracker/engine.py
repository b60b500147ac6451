"""Runs one workflow: performs the machine's commands, keeps values, writes the journal.

Everything here runs on one event loop. Between two awaits the machine, the values and the
journal's buffer change together, so a crash finds them in step.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.codec import decode_sealed, encode_value
from symphony.pit.tracker.core.machine import Command, Do, Machine, Status
from symphony.pit.tracker.execution import Executor, Finished, check_outputs
from symphony.pit.tracker.feed import Feed
from symphony.pit.tracker.job import Job
from symphony.pit.tracker.journal import BATCH_AGE_S, JournalFailed, JournalStore, Writer
from symphony.pit.tracker.records import Code, Record, integer
from symphony.pit.tracker.replay import Replay, iso
from symphony.pit.tracker.values import Values
from symphony.pit.tracker.work import Work, candidates, retry_delay_s, type_of_read
from symphony.ports.clock import Clock
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.ports.values import StoredValue, Value
from symphony.workflow.expressions import Compiler, Template

IN_DOUBT = "in-doubt"
_SLICE = 256  # commands performed before the loop gets a turn
_REQUESTS_EVERY_S = 0.25


class Engine:
    """One run in this process; `run` drives it to its end, `cancel` stops it."""

    def __init__(self, job: Job, store: JournalStore, executor: Executor, clock: Clock, pid: int) -> None:
        self.job, self.clock, self._store, self._executor, self._pid = job, clock, store, executor, pid
        self.replay = Replay(job.plan, limit=job.limit)
        self.machine: Machine = self.replay.machine
        self.feed = Feed(job.plan, limit=job.limit)
        self.values = Values(
            job.inputs, job.environment, job.run_id, iso(job.started_at) or "", executor.load
        )
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._commands: deque[Command] = deque()
        self._woken = asyncio.Event()
        self._flushing: asyncio.TimerHandle | None = None
        self._failure: JournalFailed | None = None
        self._ended = False
        self._outputs: dict[str, StoredValue] = {}
        self._status = RunStatus.RUNNING
        self._random = random.Random()  # noqa: S311  (jitter, not a secret)

    # ---- from outside ---------------------------------------------------------------------

    async def run(
        self, recorded: Iterable[Record] = (), retry: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> RunResult:
        """Run, or go on after `recorded`, until the run ends or waits for a person.

        `retry` and `skip` name nodes in doubt. Raises JournalFailed if the journal cannot be
        written: what was acknowledged before stays.
        """
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(self._store, self._committed, self._journal_failed)
        self._pool = ThreadPoolExecutor(max_workers=self._executor.threads, thread_name_prefix="symphony-op")
        polling = self._loop.create_task(self._poll_requests())
        try:
            self._start(list(recorded), retry, skip)
            await self._drive()
        finally:
            polling.cancel()
            await self._shut()
            self._pool.shutdown(wait=False, cancel_futures=True)  # a stuck thread must not hold the run
        if self._failure is not None:
            raise self._failure
        return self.result()

    def cancel(self) -> None:
        """Cancel the run: durable, then running nodes are stopped. Call on the loop."""
        if not self._ended and self.machine.root.stopping is None and not self.machine.done:
            self._record((Code.CANCEL, 0, self.clock.now_s()))
            self._commands.extend(self.machine.cancel())
            self._woken.set()

    def finish(self) -> None:
        """Nothing will be run: events end."""
        self._ended = True
        self.feed.close()

    def result(self) -> RunResult:
        """The run as it stands."""
        return self.replay.result(self.job.run_id, self._status, dict(self._outputs))

    def counts(self) -> dict[NodeStatus, int]:
        """How many nodes stand where, live; elements of fan-outs count, not their nodes."""
        out: dict[NodeStatus, int] = {}
        for slot in range(len(self.machine.status)):
            if slot not in self.machine.groups:
                status = self.replay.status(slot)
                out[status] = out.get(status, 0) + 1
        return out

    def slowest(self, most: int = 5) -> list[tuple[str, float]]:
        """The nodes that have been running longest: (name, seconds)."""
        now = self.clock.now_s()
        running = sorted((self.replay.started.get(slot, now), slot) for slot in self._tasks)
        return [(self.machine.name(slot), max(0.0, now - at)) for at, slot in running[:most]]

    # ---- start and end --------------------------------------------------------------------

    def _start(self, recorded: list[Record], retry: Sequence[str], skip: Sequence[str]) -> None:
        now = self.clock.now_s()
        if not recorded:
            self._record((Code.BEGUN, 0, now, self._pid))
            self._commands.extend(self.machine.begin())
            return
        for record in recorded:
            self.replay.apply(record)
            self._recover(record)
        self.feed.publish(recorded)
        self._record((Code.RESUMED, 0, now, self._pid))
        self._decide(retry, skip, now)
        for command in list(self.machine.outstanding()):
            doubtful = command.do is Do.START and not self._work(command.slot).repeatable
            if doubtful and command.slot in self.replay.announced:
                self._doubt(command.slot)
        # Asking once, after all decisions, gives everything once.
        self._commands.extend(self.machine.outstanding())

    def _recover(self, record: Record) -> None:
        """Bring back the values that a record tells of."""
        code, slot = Code(integer(record[0])), integer(record[1])
        if code not in (Code.FINISHED, Code.FAILED):
            return
        if code is Code.FINISHED and isinstance(record[4], bytes):
            form = self._executor.unseal(decode_sealed(record[4]))
            assert isinstance(form, dict)
            self.values.put(slot, form)
        elif code is Code.FINISHED:
            self._derive(slot)
        elif self.machine.status[slot] == Status.SUCCEEDED:
            self._substitute(slot)

    def _decide(self, retry: Sequence[str], skip: Sequence[str], now: float) -> None:
        waiting = {
            self.machine.name(slot): slot
            for slot, status in enumerate(self.machine.status)
            if status == Status.WAITING or (status == Status.RUNNING and slot in self.replay.announced)
        }
        for name in (*retry, *skip):
            if name not in waiting:
                known = ", ".join(waiting) or "none"
                raise SymphonyError(
                    f"node {name!r} waits for no decision", code="not-waiting", hint=f"waiting: {known}"
                )
            slot = waiting[name]
            if self.machine.status[slot] == Status.RUNNING:
                self._doubt(slot)
            if name in skip:
                self._record((Code.SKIPPED, slot, now, None))
                self.machine.skipped(slot)
            else:
                self._record((Code.AGAIN, slot, now))
                self.machine.again(slot)

    def _doubt(self, slot: int) -> None:
        """A node that must not be repeated was in flight when its process died."""
        message = "it had begun when its process died, and it is not known whether it finished"
        hint = f"look, then resume with --retry {self.machine.name(slot)} or --skip {self.machine.name(slot)}"
        self._record((Code.SUSPENDED, slot, self.clock.now_s(), (IN_DOUBT, message, hint)))
        self.machine.suspended(slot)

    async def _drive(self) -> None:
        """Perform commands until the run has ended or nothing can go on without a person."""
        while self._going():
            for _ in range(_SLICE):
                if not self._commands:
                    break
                self._perform(self._commands.popleft())
            if not self._going():
                break
            if self._commands:
                await asyncio.sleep(0)
            elif not self._tasks and not self._timers and self.machine.stuck():
                self._status = RunStatus.WAITING
                await self._durable()
                break
            else:
                self._woken.clear()
                await self._woken.wait()
        self._ended = True

    def _going(self) -> bool:
        return not self._ended and self._failure is None

    async def _shut(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._flushing is not None:
            self._flushing.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._loop.run_in_executor(None, self._writer.close)
        self._ended = True
        self.feed.close()

    def _end(self) -> None:
        ended = self.machine.root.ended
        assert ended is not None
        status = {Status.SUCCEEDED: RunStatus.SUCCEEDED, Status.FAILED: RunStatus.FAILED}.get(
            ended, RunStatus.CANCELLED
        )
        body, error = None, None
        if status is RunStatus.SUCCEEDED:
            try:
                self._outputs = self._render_outputs()
                body = encode_value(self._executor.seal_all(self._outputs))
            except SymphonyError as failure:
                status = RunStatus.FAILED
                self.replay.errors[self.machine.root.base] = (failure.code, failure.message, failure.hint)
                self.machine.root.failed = self.machine.root.base
        if status is RunStatus.FAILED:
            shown = self.replay.run_error()
            error = (
                None
                if shown is None
                else {"code": shown.code, "message": shown.message, "node": shown.node, "hint": shown.hint}
            )
        self._status = status
        self._record((Code.ENDED, 0, self.clock.now_s(), str(status), body, error))
        self._writer.flush()
        self._ended = True

    def _render_outputs(self) -> dict[str, StoredValue]:
        compiler = Compiler(type_of_read, value=False)
        out: dict[str, StoredValue] = {}
        for name, value in self.job.workflow.outputs.items():
            template = compiler.template(value)
            found = self.values.stored(template.bare, self._slot_of) if template.bare else None
            out[name] = found if template.bare else self._kept(self._render(template, None))
        return out

    def _kept(self, value: Value) -> StoredValue:
        return self._executor.keep_large(value)

    # ---- commands -------------------------------------------------------------------------

    def _perform(self, command: Command) -> None:
        slot = command.slot
        match command.do:
            case Do.START:
                if self.machine.frame(slot).stopping is not None:
                    self._stop(slot)
                elif self.machine.status[slot] == Status.RUNNING:
                    self._begin(slot)
            case Do.RETRY:
                self._retry(slot)
            case Do.STOP:
                self._stop(slot)
            case Do.GATHER:
                if self.machine.status[slot] == Status.RUNNING:  # else it was cancelled meanwhile
                    self._gather(slot)
            case Do.END:
                self._end()

    def _begin(self, slot: int) -> None:
        work = self._work(slot)
        try:
            if slot not in self.machine.element_of:
                if not self._wanted(slot, work):
                    self._record((Code.SKIPPED, slot, self.clock.now_s(), None))
                    self._commands.extend(self.machine.skipped(slot))
                    return
                if work.for_each is not None:
                    self._expand(slot, work.for_each)
                    return
            if work.branch is not None:
                self._branch(slot, work)
            elif work.operator is None and work.model is None:
                self._merge(slot)
            elif work.inline and work.timeout_s is None:
                self._run_inline(slot, work)
            else:
                self._launch(slot, work)
        except SymphonyError as error:
            self._fail(slot, error, self.clock.now_s(), final=True)

    def _wanted(self, slot: int, work: Work) -> bool:
        if work.conditions and not any(self._holds(slot, source, c) for source, c in work.conditions):
            return False
        return work.when is None or _truth(self._render(work.when, slot), "when")

    def _holds(self, slot: int, source: str, condition: Template) -> bool:
        """A conditional edge holds if its source and all it reads succeeded and it is true."""
        names = [source, *(read.name for read in condition.reads if read.kind in ("port", "node"))]
        if any(self.machine.status[self._slot_of(name)] != Status.SUCCEEDED for name in names):
            return False
        return _truth(self._render(condition, slot), "the edge's when")

    def _expand(self, slot: int, template: Template) -> None:
        items = self._render(template, slot)
        if not isinstance(items, list):
            raise SymphonyError(
                f"for_each needs a list, not {type(items).__name__}",
                code="type-mismatch",
                hint="give it a list",
            )
        self.values.items[slot] = items
        self._record((Code.EXPANDED, slot, self.clock.now_s(), len(items)))
        self._commands.extend(self.machine.expanded(slot, len(items)))

    def _branch(self, slot: int, work: Work) -> None:
        assert work.branch is not None
        value = self._render(work.branch, slot)
        taken: str | None
        if work.cases:
            taken = next(
                (case for case, expected in work.cases if _same(expected, value)),
                getattr(work.node, "default", None),
            )
        else:
            taken = "true" if _truth(value, "condition") else "false"
        self._finish(slot, Finished({"taken": taken}), self.clock.now_s(), taken=taken)

    def _merge(self, slot: int) -> None:
        now = self.clock.now_s()
        self._record((Code.FINISHED, slot, now, now, None, None, None))
        self._derive(slot)
        self._commands.extend(self.machine.finished(slot))

    def _derive(self, slot: int) -> None:
        """Values that follow from others: a fan-out's lists, what a merge chose."""
        if slot in self.machine.groups:
            self._gather_values(slot)
        else:
            chosen = self.machine.chosen.get(slot)
            source = chosen if chosen is not None else self._first_success(self._work(slot))
            self.values.put(slot, self.values.of(source))

    def _first_success(self, work: Work) -> int:
        slots = [self._slot_of(name) for name in candidates(work)]
        return next(slot for slot in slots if self.machine.status[slot] == Status.SUCCEEDED)

    def _gather(self, slot: int) -> None:
        now = self.clock.now_s()
        started = min((self.replay.started.get(s, now) for s in self._elements(slot)), default=now)
        self._gather_values(slot)
        self._record((Code.FINISHED, slot, now, started, None, None, None))
        self._commands.extend(self.machine.finished(slot))

    def _elements(self, slot: int) -> range:
        group = self.machine.groups[slot]
        return range(group.base, group.base + group.count)

    def _gather_values(self, slot: int) -> None:
        ports = self._executor.port_names(self._work(slot))
        rows = [self.values.of(element) for element in self._elements(slot)]
        self.values.put(slot, {port: [self.values.plain(row.get(port)) for row in rows] for port in ports})

    def _run_inline(self, slot: int, work: Work) -> None:
        """An async operator that never suspends: driven to its end without a task."""
        started = self.clock.now_s()
        try:
            inputs = self._inputs(slot, work)
            outputs = self._executor.call_inline(
                work, inputs, self._name_of(slot), self.machine.attempts[slot]
            )
        except Exception as error:  # noqa: BLE001  (an operator may raise anything)
            self._fail(slot, error, started)
            return
        self._finish(slot, Finished(outputs), started)

    def _launch(self, slot: int, work: Work) -> None:
        now = self.clock.now_s()
        attempt = self.machine.attempts[slot]
        self._record((Code.STARTED, slot, now, attempt))
        task = self._loop.create_task(self._execute(slot, work, attempt), name=self._name_of(slot))
        self._tasks[slot] = task
        task.add_done_callback(lambda _done: self._woken.set())

    async def _execute(self, slot: int, work: Work, attempt: int) -> None:
        """One attempt in a task of its own; its end is reported before the task ends."""
        started = self.clock.now_s()
        try:
            if work.barrier:
                await self._durable()
                started = self.clock.now_s()
            async with asyncio.timeout(work.timeout_s):
                inputs = await self._loaded_inputs(slot, work)
                finished = await self._executor.execute(
                    work, inputs, self._name_of(slot), attempt, self._pool
                )
            del self._tasks[slot]
            if self.machine.frame(slot).stopping is not None:
                self._report_cancelled(slot)
            else:
                self._finish(slot, finished, started)
        except asyncio.CancelledError:
            self._tasks.pop(slot, None)
            if not self._ended and self._failure is None:
                self._report_cancelled(slot)
        except TimeoutError as error:
            self._tasks.pop(slot, None)
            limit = work.node.timeout
            timed_out = SymphonyError(
                f"it took longer than {limit}", code="timeout", hint="raise timeout, or retry"
            )
            self._fail(slot, timed_out if work.timeout_s is not None else error, started)
        except Exception as error:  # noqa: BLE001  (an operator may raise anything)
            self._tasks.pop(slot, None)
            self._fail(slot, error, started)

    def _retry(self, slot: int) -> None:
        retry = self._work(slot).node.retry
        delay = (
            0.0 if retry is None else retry_delay_s(retry, self.machine.attempts[slot], self._random.random())
        )

        def due() -> None:
            del self._timers[slot]
            self._record((Code.RETRY_DUE, slot, self.clock.now_s()))
            self._commands.extend(self.machine.retry_due(slot))
            self._woken.set()

        self._timers[slot] = self._loop.call_later(delay, due)

    def _stop(self, slot: int) -> None:
        task = self._tasks.get(slot)
        if task is not None:
            task.cancel()
            return
        timer = self._timers.pop(slot, None)
        if timer is not None:
            timer.cancel()
        if self.machine.status[slot] < Status.SUCCEEDED:
            self._report_cancelled(slot)

    # ---- reports --------------------------------------------------------------------------

    def _finish(self, slot: int, finished: Finished, started: float, taken: str | None = None) -> None:
        try:
            outputs = check_outputs(self._work(slot), finished.outputs)
            body = encode_value(self._executor.seal_all(outputs))
        except SymphonyError as error:
            self._fail(slot, error, started)
            return
        self.values.put(slot, outputs)
        now = max(started, self.clock.now_s())
        self._record((Code.FINISHED, slot, now, started, body, taken, finished.cached_from))
        self._commands.extend(self.machine.finished(slot, taken))
        self._woken.set()

    def _fail(self, slot: int, error: BaseException, started: float, *, final: bool = False) -> None:
        told = self._executor.error_of(error)
        self._record((Code.FAILED, slot, self.clock.now_s(), started, told, final))
        self._commands.extend(self.machine.failed(slot, final=final))
        if self.machine.status[slot] == Status.SUCCEEDED:
            self._substitute(slot)
        self._woken.set()

    def _report_cancelled(self, slot: int) -> None:
        self._record((Code.CANCELLED, slot, self.clock.now_s()))
        self._commands.extend(self.machine.cancelled(slot))
        self._woken.set()

    def _substitute(self, slot: int) -> None:
        """The values that `on_error: {value: …}` gives."""
        work = self._work(slot)
        self.values.put(slot, dict(work.node.on_error.value))

    # ---- values ---------------------------------------------------------------------------

    def _work(self, slot: int) -> Work:
        element = self.machine.element_of.get(slot)
        return self.job.works[slot if element is None else element[0].slot]

    def _name_of(self, slot: int) -> str:
        return self.machine.name(slot)

    def _slot_of(self, name: str) -> int:
        """The slot whose values a reader of `name` gets: its fallback's if that stood in."""
        slot = self.job.plan.index[name]
        spare = self.job.plan.nodes[slot].fallback
        if (
            spare is not None
            and slot not in self.values.held
            and self.machine.status[spare] == Status.SUCCEEDED
        ):
            return spare
        return slot

    def _render(self, template: Template, slot: int | None) -> Value:
        return self.values.render(template, self._slot_of, self._element(slot))

    def _element(self, slot: int | None) -> tuple[Value, int] | None:
        element = None if slot is None else self.machine.element_of.get(slot)
        if element is None:
            return None
        group, index = element
        items = self.values.items.get(group.slot)
        if items is None:  # after a restart: the list is derived again
            template = self._work(group.slot).for_each
            assert template is not None
            rendered = self._render(template, group.slot)
            if not isinstance(rendered, list) or len(rendered) != group.count:
                raise SymphonyError(
                    "for_each gives another list than before the restart",
                    code="not-repeatable",
                    hint="restore the environment of the first start, or run anew",
                )
            items = self.values.items[group.slot] = rendered
        return items[index], index

    def _inputs(self, slot: int, work: Work) -> dict[str, StoredValue]:
        """What the node's inputs hold: bare references stay references."""
        element = self._element(slot)
        out: dict[str, StoredValue] = {}
        for name, template in work.inputs.items():
            if template.bare is not None and template.bare.kind == "port":
                out[name] = self.values.stored(template.bare, self._slot_of)
            else:
                out[name] = self.values.render(template, self._slot_of, element)
        return out

    async def _loaded_inputs(self, slot: int, work: Work) -> dict[str, StoredValue]:
        await self.values.preload(work.inputs.values(), self._slot_of, self._loop, self._pool)
        return self._inputs(slot, work)

    # ---- journal --------------------------------------------------------------------------

    def _record(self, record: Record) -> None:
        self.replay.note(record)
        self._writer.append(record)
        if self._flushing is None:
            self._flushing = self._loop.call_later(BATCH_AGE_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self._writer.flush()

    async def _durable(self) -> None:
        """Return once everything recorded so far is durable."""
        reached: asyncio.Future[None] = self._loop.create_future()

        def settle() -> None:
            if not reached.done():
                reached.set_result(None)

        def tell() -> None:
            self._call(settle)

        self._writer.barrier(tell)
        # One turn of the loop lets others join the same commit: that is what makes it a group.
        self._loop.call_soon(self._writer.flush)
        await reached

    def _call(self, what: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _committed(self, records: list[Record]) -> None:
        """In the writer's thread: tell subscribers, on the loop."""
        if records:
            self._call(lambda: self.feed.publish(records))

    def _journal_failed(self, error: JournalFailed) -> None:
        def stop() -> None:
            self._failure = error
            for task in self._tasks.values():
                task.cancel()
            self._woken.set()

        self._call(stop)

    async def _poll_requests(self) -> None:
        while True:
            await self.clock.sleep(_REQUESTS_EVERY_S)
            if "cancel" in self._store.requests():
                self.cancel()


def _same(expected: Value, value: Value) -> bool:
    """Equal as values: 1, 1.0 and true all differ."""
    return type(expected) is type(value) and expected == value


def _truth(value: Value, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise SymphonyError(
        f"{what} gave {type(value).__name__}, not true or false",
        code="type-mismatch",
        hint="compare the value, for instance x > 0",
    )
