"""Runs one workflow: performs the machine's commands until the run ends or waits for a person.

Everything here runs on one event loop. `transitions` records what happens, `attempts` runs work that
takes a while, `branching` handles nodes without an operator, `recovery` resumes after a restart.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, assert_never

import msgspec

from symphony.commons.collector import seldom_collected
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import encode_value
from symphony.pit.tracker.core.causes import placed
from symphony.pit.tracker.core.events import iso
from symphony.pit.tracker.core.machine import Command, Do, Group, Machine, Status
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.core.outstanding import stuck
from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.attempts import Attempts
from symphony.pit.tracker.engine.branching import Branching
from symphony.pit.tracker.engine.feed import Feed
from symphony.pit.tracker.engine.inline import Inline
from symphony.pit.tracker.engine.models_ahead import ModelsAhead, models_of
from symphony.pit.tracker.engine.nesting import Nesting
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.engine.recording import Recorder
from symphony.pit.tracker.engine.recovery import go_on, in_doubt, recover
from symphony.pit.tracker.engine.standing import questions
from symphony.pit.tracker.engine.timers import Timers
from symphony.pit.tracker.engine.transitions import Transitions
from symphony.pit.tracker.engine.waits import Waits
from symphony.pit.tracker.nodes.aside import END, Aside, Deferred
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.labelling import Labels
from symphony.pit.tracker.nodes.values import Values
from symphony.pit.tracker.nodes.work import (
    ApprovalWork,
    BranchWork,
    DelayWork,
    LoopWork,
    MergeWork,
    ModelWork,
    OperatorWork,
    SubWorkflowWork,
    Work,
)
from symphony.pit.tracker.store.journal import JournalFailed, JournalStore, MemoryStore, RunRequest
from symphony.ports.artifacts import StorageFull
from symphony.ports.clock import Clock
from symphony.ports.insight import QueueProgress
from symphony.ports.runs import NodeStatus, RunError, RunResult, RunStatus
from symphony.ports.values import StoredValue

if TYPE_CHECKING:
    from symphony.pit.tracker.engine.reruns.reused import Borrow, RerunScope, Reusable
    from symphony.pit.tracker.engine.reruns.takeover import Takeover
    from symphony.pit.tracker.nodes.prints import RunPrints

_SLICE = 256  # commands performed before the loop gets a turn
_REQUESTS_EVERY_S = 0.25
_ENDS = {Status.SUCCEEDED: RunStatus.SUCCEEDED, Status.FAILED: RunStatus.FAILED}
_START, _RUNNING = Do.START, Status.RUNNING  # globals: see `core.machine`


class Engine:
    """One run in this process; `run` drives it to its end, `cancel` stops it."""

    def __init__(self, job: Job, store: JournalStore, executor: Executor, clock: Clock, pid: int) -> None:
        self.job, self.clock, self._store, self._executor, self._pid = job, clock, store, executor, pid
        self.replay = RunReplay(job.plan, limit=job.limit)
        self.machine: Machine = self.replay.machine
        self.feed = Feed(self.replay, store.records)
        started_at = iso(job.started_at) or ""
        self.load = executor.store.load
        self.values = Values(job.inputs, job.environment, job.run_id, started_at, executor.store.load)
        self._aside = self.values.aside = Aside(executor)
        self._bindings = Bindings(job, self.machine, self.values, executor)
        self._works = job.graph.works  # by slot: the workflow's own nodes have the first ones
        self._nodes = len(self._works)
        self._failure: SymphonyError | None = None
        self._error: RunError | None = None  # why the run failed, once it has
        self._gathering: tuple[Group, OperatorWork] | None = None  # the last batched fan-out
        self._begun = False
        self._reuse: Takeover | None = None
        self._answers: dict[str, RunRequest] = {}
        self._early: list[Callable[[], None]] = []  # requests that came before the run began
        self._bugs: list[BaseException] = []
        self._ended = False
        self._stopped_by: str | None = None  # the signal, if any, that stops this process
        self._outputs: dict[str, StoredValue] = {}
        self._status = RunStatus.RUNNING
        self.attended: Callable[[Sequence[str]], bool] = lambda _: False
        """True if somebody is about to answer one of these nodes. Then a run that only waits does not end."""

    # ---- from outside ---------------------------------------------------------------------

    async def run(
        self, recorded: Iterable[Record] = (), retry: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> RunResult:
        """Run, or go on after `recorded`, until the run ends or waits for a person.

        `retry` and `skip` name nodes in doubt. Raises JournalFailed or StorageFull if the journal or an
        output cannot be written. What was acknowledged before then stays.
        """
        with seldom_collected:
            return await self._run(list(recorded), retry, skip)

    async def _run(self, recorded: list[Record], retry: Sequence[str], skip: Sequence[str]) -> RunResult:
        self._assemble()
        polling = asyncio.get_running_loop().create_task(self._poll_requests())
        try:
            self._start(recorded, retry, skip)
            self._begun = True
            for ask in self._early:
                ask()
            await self._drive()
        except asyncio.CancelledError:
            self._leave("")
            raise
        finally:
            polling.cancel()
            if self._ahead is not None:
                self._ahead.close()
            await self._attempts.close()
            await self._recorder.close()
            self.finish()
            self._attempts.release()
        if self._failure is not None:
            raise self._failure
        return self.result()

    def cancel(self) -> None:
        """Cancel the run. Running nodes are stopped once that is durable. Call on the loop."""
        if not self._begun:
            self._early.append(self.cancel)
        elif not self._ended and self.machine.root.stopping is None and not self.machine.done:
            self._transitions.cancel()
        elif not self._ended and self._attempts.undefer(END):  # only the outputs were missing
            self._end(cancelled=True)
            self._transitions.woken.set()

    def interrupt(self, by: str = "") -> None:
        """Stop what runs and leave the run to be resumed; `by` is the signal that asked for it.

        A run that is already about to end as failed or cancelled still ends. Call on the loop.
        """
        if self._stopped_by is None:
            self._stopped_by = by
        if self._begun:
            self._transitions.woken.set()

    def pause(self) -> None:
        """Begin nothing more, wait for what runs, then end with the status `paused`. Call on the loop."""
        if not self._begun:
            self._early.append(self.pause)
        elif self._going() and not self.machine.done and not self.machine.paused:
            self._transitions.paused()

    def answer(self, node: str, answer: RunRequest) -> None:
        """Answer what `node` asks, now or once it asks; its name may lack the numbers of rounds and elements.

        An answer in advance is lost when this process ends. Call on the loop.
        """
        self._answers[node] = answer
        for name, slot in self.replay.waiting().items() if self._begun and self._going() else ():
            if slot in self.replay.asked and node in (name, folded(name)):
                self._waits.answer_with(slot, answer)

    def reusable(
        self, recorded: Sequence[Record], scope: "RerunScope", borrow: "Borrow", prints: "RunPrints"
    ) -> "Reusable":
        """Return what another run may take from the run `recorded`. This engine must not have run.

        Writes nothing; `Reusable.kept` does. Raises SymphonyError `unknown-node`, and SecretMissing.
        """
        from symphony.pit.tracker.engine.reruns.reuse import reusable  # for reruns alone

        graph, bindings = self.job.graph, self._bindings
        return reusable(recorded, self.replay, bindings, self._executor, graph, scope, borrow, prints)

    def finish(self) -> None:
        """End the events, because nothing more will be run."""
        self._ended = True
        self.feed.close()

    def result(self) -> RunResult:
        """Return the run in its present state."""
        result = self.replay.result(self.job.run_id, self._status, dict(self._outputs))
        return result if self._error is None else msgspec.structs.replace(result, error=self._error)

    def counts(self) -> dict[NodeStatus, int]:
        """Return how many nodes have each status, live; elements of fan-outs count, not their nodes."""
        return self.replay.standing()

    def slowest(self, most: int = 5) -> list[tuple[str, str | None, float, int]]:
        """Return the nodes that have been running longest: name, label, seconds, slot."""
        now = self.clock.now_s()
        slots = self._attempts.running if self._begun else ()
        running = sorted((self.replay.started.get(slot, now), slot) for slot in slots)
        return [
            (self.machine.name(slot), self.replay.label(slot), max(0.0, now - at), slot)
            for at, slot in running[:most]
        ]

    def queues(self) -> list[QueueProgress]:
        """Return what nodes wait for until the arbiter grants it, as of now."""
        return self._attempts.queues() if self._begun else []

    # ---- start and end --------------------------------------------------------------------

    def _assemble(self) -> None:
        """Make the parts that need the loop of the run."""
        self._recorder = Recorder(
            self._store, self.replay, self.feed, self._halt, self._executor.artifacts.settle
        )
        labels = Labels(self.machine, self._bindings, self._aside, self._executor.sealer)
        self._transitions = Transitions(
            self.machine, self._bindings, self._executor, self._recorder, self.clock, self._aside, labels
        )
        parts = RunParts(
            replay=self.replay,
            bindings=self._bindings,
            executor=self._executor,
            aside=self._aside,
            labels=labels,
            recorder=self._recorder,
            transitions=self._transitions,
            timers=Timers(self.clock, self._bug),
            clock=self.clock,
            alive=self._going,
            tell=self.feed.tell,
            bug=self._bug,
        )
        self._branching = Branching(parts)
        self._nesting = Nesting(parts, self.job.cwd)
        self._waits = Waits(parts, self._answers)
        self._attempts = Attempts(parts)
        self._transitions.defer = self._attempts.defer
        self._inline = Inline(parts, self._attempts.store)
        self._ahead: ModelsAhead | None = None
        if models := models_of(self.job.graph):
            foresee = partial(self._executor.models.foresee, self.job.run_id)
            self._ahead = ModelsAhead(models, self.job.plan, self.machine, foresee)

    def _start(self, recorded: list[Record], retry: Sequence[str], skip: Sequence[str]) -> None:
        if rows := self._store.reuse():
            from symphony.pit.tracker.engine.reruns.takeover import Takeover  # for reruns alone

            self._reuse = Takeover(rows, self.machine, self._bindings, self._executor.sealer)
        if not recorded:
            self._transitions.began(self._pid)
            return
        recover(recorded, self.replay, self._bindings, self._executor)
        self.feed.publish(recorded)
        self._transitions.resumed(self._pid)
        go_on(self.replay, self._bindings, self._transitions, retry, skip)
        for slot in list(self.replay.due):
            self._waits.remind(slot)
        for slot, frame in self.machine.children.items():
            if self.machine.status[slot] == Status.RUNNING and frame.ended is None:
                self._nesting.watch(slot, self._bindings.work(slot))

    async def _drive(self) -> None:
        """Perform commands until the run has ended or nothing can go on without a person."""
        commands, woken, aside = self._transitions.commands, self._transitions.woken, self._aside
        while self._going():
            if self._bugs:
                raise self._bugs[0]
            if self._stopped_by is not None and self._leave(self._stopped_by):
                break
            for _ in range(_SLICE):
                if not commands or aside.tired:
                    break
                command = commands.popleft()
                if self._gathering is None or not self._gathered_too(command):
                    self._perform(command)
            self._attempts.flush()
            self._attempts.sweep()
            if not self._going():
                break
            if commands:
                await asyncio.sleep(0)
            elif self._rests():
                woken.clear()
                await self._recorder.durable()
                if await self._heed() or commands or woken.is_set():  # there is more to do meanwhile
                    continue
                if not self._attended():
                    break
                await woken.wait()
            else:
                woken.clear()
                if self._ahead is not None:
                    self._ahead.changed()
                await woken.wait()
        self._ended = True

    def _attended(self) -> bool:
        """True if somebody is about to answer here what the run asks."""
        if self._status is not RunStatus.WAITING or not self._going():
            return False
        return self.attended([one.node for one in questions(self.replay, self.clock.now_s())])

    def unattended(self) -> None:
        """Check again whether somebody is about to answer. Call on the loop."""
        if self._begun and self._going():
            self._transitions.woken.set()

    def _rests(self) -> bool:
        """True if nothing can go on without a person. A pause does not wait for moments."""
        if self.machine.paused:
            self._status = RunStatus.PAUSED
            return not self._attempts.busy
        self._status = RunStatus.RUNNING
        if self._attempts.pending or not stuck(self.machine):
            return False
        self._status = RunStatus.WAITING
        return True

    def _going(self) -> bool:
        return not self._ended and self._failure is None

    def _leave(self, by: str) -> bool:
        """Record that the process is stopped, and nothing after it. False if the run's end is decided."""
        if not self._begun or not self._going() or self.machine.root.stopping is not None:
            return False
        self._transitions.interrupted(by, in_doubt(self.replay, self._bindings))
        self._recorder.flush()
        self._status = self.replay.left_as()
        self._ended = True
        return True

    def _end(self, *, cancelled: bool = False) -> None:
        ended = self.machine.root.ended
        assert ended is not None
        status, body = _ENDS.get(ended, RunStatus.CANCELLED), None
        if cancelled:
            status = RunStatus.CANCELLED
        if status is RunStatus.SUCCEEDED:
            try:
                self._outputs = self._bindings.outputs(self.machine.root)
                body = encode_value(self._executor.store.seal_all(self._outputs))
            except SymphonyError as failure:
                status = RunStatus.FAILED
                code, message, hint = self._executor.error_of(failure)
                self._error = self._at_output(RunError(code=code, message=message, hint=hint), failure)
        if status is RunStatus.FAILED and self._error is None:
            self._error = self._placed_error()
        self._status = status
        self._transitions.ended(status, body, self._error)
        self._recorder.flush()
        self._ended = True

    def _placed_error(self) -> RunError | None:
        """Return why the run failed, with the place of the node at fault."""
        error, failed = self.replay.run_error(), self.machine.root.failed
        if error is None or failed is None:
            return error
        sources = self.job.sources
        return placed(error, failed, self.replay, _nowhere if sources is None else sources.of)

    def _at_output(self, error: RunError, failure: SymphonyError) -> RunError:
        """Return the error with the place of the output that could not be made."""
        name, sources = failure.details.get("output"), self.job.sources
        return error if sources is None or not isinstance(name, str) else error.at(sources.of_output(name))

    # ---- commands -------------------------------------------------------------------------

    def _perform(self, command: Command) -> None:
        """Perform a command now, or once the values that take long to make are there."""
        aside = self._aside
        do, slot = command
        aside.slot = slot
        try:
            if do is _START:
                self._start_attempt(slot)
            else:
                self._do(do, slot)
        except Deferred as deferred:
            self._attempts.defer(slot, deferred, lambda: self._transitions.push([command]))
        else:
            if aside.found:
                aside.forget(slot)
        finally:
            aside.slot = None

    def _start_attempt(self, slot: int) -> None:
        machine = self.machine
        if machine.frame(slot).stopping is not None:
            self._attempts.stop(slot)
        elif machine.status[slot] == _RUNNING and not machine.paused:
            work = self._works[slot] if slot < self._nodes else self._bindings.work(slot)
            if type(work) is OperatorWork and work.direct and self._reuse is None:
                self._run_inline(slot, work)
            else:
                self._begin(slot, work)

    def _do(self, do: Do, slot: int) -> None:
        match do:
            case Do.RETRY:
                self._attempts.retry_later(slot)
            case Do.STOP:
                self._attempts.stop(slot)
            case Do.GATHER | Do.SETTLE:
                if self.machine.status[slot] == Status.RUNNING:  # otherwise it was cancelled meanwhile
                    self._close(slot, do)
            case Do.END:
                self._end()

    def _close(self, slot: int, do: Do) -> None:
        """End a slot after everything that ran inside it has ended."""
        try:
            if do is Do.GATHER:
                self._branching.gather(slot, quick=self._attempts.quick(slot))
            else:
                self._nesting.settle(slot, self._bindings.work(slot))
        except StorageFull as error:  # no failure of the node: it goes on when there is room
            self._halt(error)
        except SymphonyError as error:
            self._transitions.failed(slot, error, self.clock.now_s(), final=True)

    def _begin(self, slot: int, work: Work) -> None:
        if self._reuse is not None and self._takes(slot, self._reuse):
            return
        if isinstance(work, OperatorWork) and (
            work.direct or (work.direct_elements and slot in self.machine.element_of)
        ):
            self._run_inline(slot, work)
            return
        try:
            if slot not in self.machine.element_of:
                if not self._bindings.wanted(slot, work):
                    self._transitions.skipped(slot)
                    return
                if work.for_each is not None:
                    self._branching.expand(slot, work.for_each)
                    return
            self._begin_kind(slot, work)
        except StorageFull as error:  # no failure of the node: it goes on when there is room
            self._halt(error)
        except SymphonyError as error:
            self._transitions.failed(slot, error, self.clock.now_s(), final=True)

    def _takes(self, slot: int, reuse: "Takeover") -> bool:
        """Take the slot's result from another run; False if there is none."""
        try:
            found = reuse.of(slot)
        except SymphonyError:  # its inputs cannot be read: the attempt will report why
            return False
        if found is not None:
            self._transitions.reused(slot, found)
        return found is not None

    def _begin_kind(self, slot: int, work: Work) -> None:
        """Begin an element, or a node that is not a fan-out, after its conditions held."""
        match work:
            case OperatorWork(short=True):
                self._attempts.gather(slot, work)
                element = self.machine.element_of.get(slot)
                if element is not None and self._reuse is None and self._bindings.only_reads(work):
                    self._gathering = element[0], work
            case OperatorWork(inline=True, timeout_s=None):
                self._run_inline(slot, work)
            case OperatorWork() | ModelWork():
                self._attempts.launch(slot, work)
            case LoopWork() | SubWorkflowWork():
                self._nesting.begin(slot, work)
            case BranchWork():
                self._branching.branch(slot, work)
            case MergeWork():
                self._branching.merge(slot)
            case DelayWork():
                self._waits.delay(slot, work)
            case ApprovalWork():
                self._waits.ask(slot, work)
            case _:
                assert_never(work)

    def _gathered_too(self, command: Command) -> bool:
        """Add an element to the batch of its fan-out's previous one; False if it is another kind of command.

        The checks of `_begin` were made for the first element, which saves half of the way to the batch.
        """
        assert self._gathering is not None
        (do, slot), machine, (group, work) = command, self.machine, self._gathering
        element = machine.element_of.get(slot)
        if do is not _START or element is None or element[0] is not group or machine.paused:
            return False
        if machine.status[slot] != _RUNNING or machine.frame(slot).stopping is not None:
            return False
        self._attempts.gather(slot, work)
        return True

    def _run_inline(self, slot: int, work: OperatorWork) -> None:
        try:
            self._inline.run(slot, work)
        except Deferred:  # its inputs take a while and may be large, so it may too
            self._attempts.launch(slot, work)

    # ---- journal --------------------------------------------------------------------------

    def _halt(self, error: SymphonyError) -> None:
        """Leave the run interrupted, ready to be resumed: the journal or the store cannot be written."""
        self._failure = error
        self._attempts.abort()
        self._transitions.woken.set()

    # ---- requests of other processes ------------------------------------------------------

    def _bug(self, error: BaseException) -> None:
        self._bugs.append(error)
        self._transitions.woken.set()

    async def _poll_requests(self) -> None:
        if isinstance(self._store, MemoryStore):
            return  # no other process can reach it
        while True:
            await self.clock.sleep(_REQUESTS_EVERY_S)
            try:
                await self._heed()
            except JournalFailed:
                return  # the engine has been notified and will end
            except Exception as error:  # noqa: BLE001  (a bug must end the run, not stall it)
                self._bug(error)
                return

    async def _heed(self) -> bool:
        """Do what other processes ask. A request is dropped once its effect is durable."""
        asked = self._store.requests()
        if not asked:
            return False
        for _, request in asked:
            self._answer(request)
        await self._recorder.durable()
        self._store.settled([number for number, _ in asked])
        return True

    def _answer(self, request: RunRequest) -> None:
        """Do what is asked, if the request still makes sense in the run's present state."""
        match request.kind:
            case "cancel":
                self.cancel()
            case "pause":
                self.pause()
            case "approve" | "reject":
                slot = self.replay.waiting().get(request.node or "")
                if self._going() and slot is not None and slot in self.replay.asked:
                    self._waits.answer_with(slot, request)


def _nowhere(name: str) -> None:
    """Return None: the steps of a workflow that came from no file have no place in one."""
