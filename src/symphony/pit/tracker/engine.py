"""Runs one workflow: performs the machine's commands until the run ends or waits for a person.

Everything here runs on one event loop. `transitions` says what happened, `attempts` runs what
takes a while, `steering` decides what needs no operator, `recovery` goes on after a restart.
"""

import asyncio
from collections.abc import Iterable, Sequence

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.codec import encode_value
from symphony.pit.tracker.attempts import Attempts
from symphony.pit.tracker.bindings import Bindings
from symphony.pit.tracker.core.machine import Command, Do, Machine, Status
from symphony.pit.tracker.execution import Executor
from symphony.pit.tracker.feed import Feed
from symphony.pit.tracker.job import Job
from symphony.pit.tracker.journal import JournalFailed, JournalStore
from symphony.pit.tracker.recording import Recorder
from symphony.pit.tracker.records import Record
from symphony.pit.tracker.recovery import go_on, recover
from symphony.pit.tracker.replay import Replay, iso
from symphony.pit.tracker.steering import Steering
from symphony.pit.tracker.transitions import Transitions
from symphony.pit.tracker.values import Values
from symphony.ports.clock import Clock
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.ports.values import StoredValue

_SLICE = 256  # commands performed before the loop gets a turn
_REQUESTS_EVERY_S = 0.25
_ENDS = {Status.SUCCEEDED: RunStatus.SUCCEEDED, Status.FAILED: RunStatus.FAILED}


class Engine:
    """One run in this process; `run` drives it to its end, `cancel` stops it."""

    def __init__(self, job: Job, store: JournalStore, executor: Executor, clock: Clock, pid: int) -> None:
        self.job, self.clock, self._store, self._executor, self._pid = job, clock, store, executor, pid
        self.replay = Replay(job.plan, limit=job.limit)
        self.machine: Machine = self.replay.machine
        self.feed = Feed(job.plan, limit=job.limit)
        started_at = iso(job.started_at) or ""
        self.values = Values(job.inputs, job.environment, job.run_id, started_at, executor.load)
        self._bindings = Bindings(job, self.machine, self.values, executor)
        self._failure: JournalFailed | None = None
        self._ended = False
        self._outputs: dict[str, StoredValue] = {}
        self._status = RunStatus.RUNNING

    # ---- from outside ---------------------------------------------------------------------

    async def run(
        self, recorded: Iterable[Record] = (), retry: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> RunResult:
        """Run, or go on after `recorded`, until the run ends or waits for a person.

        `retry` and `skip` name nodes in doubt. Raises JournalFailed if the journal cannot be
        written: what was acknowledged before stays.
        """
        self._assemble()
        polling = asyncio.get_running_loop().create_task(self._poll_requests())
        try:
            self._start(list(recorded), retry, skip)
            await self._drive()
        finally:
            polling.cancel()
            await self._attempts.close()
            await self._recorder.close()
            self.finish()
            self._attempts.release()
        if self._failure is not None:
            raise self._failure
        return self.result()

    def cancel(self) -> None:
        """Cancel the run: durable, then running nodes are stopped. Call on the loop."""
        if not self._ended and self.machine.root.stopping is None and not self.machine.done:
            self._transitions.cancel()

    def finish(self) -> None:
        """Nothing more will be run: events end."""
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
        running = sorted((self.replay.started.get(slot, now), slot) for slot in self._attempts.running)
        return [(self.machine.name(slot), max(0.0, now - at)) for at, slot in running[:most]]

    # ---- start and end --------------------------------------------------------------------

    def _assemble(self) -> None:
        """The parts that need the loop of the run."""
        self._recorder = Recorder(self._store, self.replay, self.feed, self._journal_failed)
        self._transitions = Transitions(
            self.machine, self._bindings, self._executor, self._recorder, self.clock
        )
        self._steering = Steering(self.replay, self._bindings, self._transitions, self.clock)
        self._attempts = Attempts(
            self.machine,
            self._bindings,
            self._executor,
            self._recorder,
            self._transitions,
            self.clock,
            self._going,
            self.feed.tell,
        )

    def _start(self, recorded: list[Record], retry: Sequence[str], skip: Sequence[str]) -> None:
        if not recorded:
            self._transitions.began(self._pid)
            return
        recover(recorded, self.replay, self._bindings, self._executor)
        self.feed.publish(recorded)
        self._transitions.resumed(self._pid)
        go_on(self.replay, self._bindings, self._transitions, retry, skip)

    async def _drive(self) -> None:
        """Perform commands until the run has ended or nothing can go on without a person."""
        commands, woken = self._transitions.commands, self._transitions.woken
        while self._going():
            for _ in range(_SLICE):
                if not commands:
                    break
                self._perform(commands.popleft())
            if not self._going():
                break
            if commands:
                await asyncio.sleep(0)
            elif not self._attempts and self.machine.stuck():
                self._status = RunStatus.WAITING
                await self._recorder.durable()
                break
            else:
                woken.clear()
                await woken.wait()
        self._ended = True

    def _going(self) -> bool:
        return not self._ended and self._failure is None

    def _end(self) -> None:
        ended = self.machine.root.ended
        assert ended is not None
        status, body = _ENDS.get(ended, RunStatus.CANCELLED), None
        if status is RunStatus.SUCCEEDED:
            try:
                self._outputs = self._bindings.outputs()
                body = encode_value(self._executor.seal_all(self._outputs))
            except SymphonyError as failure:
                status = RunStatus.FAILED
                self.replay.errors[self.machine.root.base] = (failure.code, failure.message, failure.hint)
                self.machine.root.failed = self.machine.root.base
        shown = self.replay.run_error() if status is RunStatus.FAILED else None
        self._status = status
        self._transitions.ended(status, body, shown)
        self._recorder.flush()
        self._ended = True

    # ---- commands -------------------------------------------------------------------------

    def _perform(self, command: Command) -> None:
        slot = command.slot
        match command.do:
            case Do.START:
                if self.machine.frame(slot).stopping is not None:
                    self._attempts.stop(slot)
                elif self.machine.status[slot] == Status.RUNNING:
                    self._begin(slot)
            case Do.RETRY:
                self._attempts.retry_later(slot)
            case Do.STOP:
                self._attempts.stop(slot)
            case Do.GATHER:
                if self.machine.status[slot] == Status.RUNNING:  # else it was cancelled meanwhile
                    self._steering.gather(slot)
            case Do.END:
                self._end()

    def _begin(self, slot: int) -> None:
        work = self._bindings.work(slot)
        try:
            if slot not in self.machine.element_of:
                if not self._bindings.wanted(slot, work):
                    self._transitions.skipped(slot)
                    return
                if work.for_each is not None:
                    self._steering.expand(slot, work.for_each)
                    return
            if work.branch is not None:
                self._steering.branch(slot, work, work.branch)
            elif work.operator is None and work.model is None:
                self._steering.merge(slot)
            elif work.inline and work.timeout_s is None:
                self._attempts.run_inline(slot, work)
            else:
                self._attempts.launch(slot, work)
        except SymphonyError as error:
            self._transitions.failed(slot, error, self.clock.now_s(), final=True)

    # ---- journal --------------------------------------------------------------------------

    def _journal_failed(self, error: JournalFailed) -> None:
        self._failure = error
        self._attempts.abort()
        self._transitions.woken.set()

    async def _poll_requests(self) -> None:
        while True:
            await self.clock.sleep(_REQUESTS_EVERY_S)
            if "cancel" in self._store.requests():
                self.cancel()
