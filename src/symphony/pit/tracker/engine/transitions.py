"""Records each event of a run as it happens, passes it to the machine, and keeps its values.

Between two awaits the machine, the values and the journal's buffer change together, so they are
consistent after a crash.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import decode_sealed, encode_value
from symphony.pit.tracker.core.changes import WHOLE_BYTES_MAX, Difference
from symphony.pit.tracker.core.machine import Command, Machine
from symphony.pit.tracker.core.plan import OnFailure
from symphony.pit.tracker.core.records import (
    UNHANDLED,
    AgainRecord,
    AskedRecord,
    BegunRecord,
    CancelledRecord,
    CancelRecord,
    EndedRecord,
    ErrorTuple,
    ExpandedRecord,
    ExpiredRecord,
    FailedRecord,
    FinishedFullyRecord,
    FinishedRecord,
    GrantedRecord,
    OpenedRecord,
    ParkedRecord,
    PausedRecord,
    QueuedRecord,
    ResumedRecord,
    RetryDueRecord,
    Reused,
    SkippedRecord,
    StartedFullyRecord,
    StartedRecord,
    SuspendedRecord,
    usage_row,
)
from symphony.pit.tracker.engine.recording import Recorder
from symphony.pit.tracker.nodes.aside import Aside, Deferred
from symphony.pit.tracker.nodes.attempt import Finished
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.checking import check_outputs, check_references
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.labelling import Labels
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.artifacts import StorageFull
from symphony.ports.clock import Clock
from symphony.ports.models import Usage
from symphony.ports.runs import RunError, RunStatus
from symphony.ports.values import StoredValue

_HOPELESS = frozenset({"budget-exceeded", "host-not-allowed", "model-key-missing", "resource-refused"})
"""Codes of failures that would recur in the same process, however often it retries."""


class Transitions:
    """The events that may happen to a slot. `commands` collects what the machine wants done next.

    `halt` stops the run where it is, for a reason outside of the run. `defer` makes a value that the slot
    needs and then calls again.
    """

    defer: Callable[[int, Deferred, Callable[[], None]], None]

    def __init__(
        self,
        machine: Machine,
        bindings: Bindings,
        executor: Executor,
        recorder: Recorder,
        clock: Clock,
        aside: Aside,
        labels: Labels,
    ) -> None:
        self._aside, self._labels = aside, labels
        self._machine, self._bindings, self._executor = machine, bindings, executor
        self._record, self._record_result = recorder.record, recorder.record_result
        self._clock, self._now = clock, clock.now_s
        self.halt = recorder.halt
        self._put = bindings.values.held.__setitem__
        self.commands: deque[Command] = deque()
        self.woken = asyncio.Event()

    def push(self, commands: Iterable[Command]) -> None:
        """Add commands and wake the engine."""
        self.commands.extend(commands)
        self.woken.set()

    def began(self, pid: int) -> None:
        """The run begins in process `pid`."""
        self._record(BegunRecord(0, self._clock.now_s(), pid))
        self.push(self._machine.begin())

    def resumed(self, pid: int) -> None:
        """Process `pid` goes on with the run."""
        self._record(ResumedRecord(0, self._clock.now_s(), pid))
        self.push(self._machine.proceed())

    def started(self, slot: int, attempt: int, at: float | None = None) -> None:
        """An attempt that takes a while begins, or has begun at the moment `at`, epoch seconds."""
        self._record(StartedRecord(slot, self._clock.now_s() if at is None else at, attempt))

    def queued(self, slot: int, request: ResourceRequest, reason: str, before: int) -> None:
        """The slot waits until it may use what it requests, after `before` other requests."""
        now, what = self._clock.now_s(), (request.resource, str(request.kind))
        self._record(QueuedRecord(slot, now, *what, reason, before))
        self.push(self._machine.queued(slot))

    def granted(self, slot: int, reason: str) -> None:
        """The slot that waited may begin."""
        self._record(GrantedRecord(slot, self._clock.now_s(), reason))
        self.push(self._machine.granted(slot))

    def stopped(self, slot: int, usage: Usage) -> None:
        """The slot's attempt ended with its process, after its models used `usage`. It does not count."""
        attempt = self._machine.attempts[slot]
        self._record(StartedFullyRecord(slot, self._clock.now_s(), attempt, usage_row(usage)))

    def finished(self, slot: int, finished: Finished, started: float, taken: str | None = None) -> None:
        """The slot's work returned outputs; if one has the wrong type, the slot fails."""
        try:
            work, outputs, body = self._bindings.work(slot), finished.outputs, finished.body
            if body is None:
                outputs = check_outputs(work, outputs)
                body = self._executor.store.encoded_outputs(outputs)
            else:
                check_references(work, outputs)
        except SymphonyError as error:
            self.failed(slot, error, started, usage=finished.usage)
            return
        now = max(started, self._clock.now_s())
        self._bindings.forget(slot)
        change, hit, used = self._change(slot, body), finished.cached_from, usage_row(finished.usage)
        self._put(slot, outputs)
        if used is None:
            self._record(FinishedRecord(slot, now, started, change, taken, hit))
        else:
            self._record(FinishedFullyRecord(slot, now, started, change, taken, hit, used))
        self.push(self._machine.finished(slot, taken))

    def gave(
        self,
        slot: int,
        outputs: Mapping[str, StoredValue],
        body: bytes,
        started: float,
        cached_from: str | None = None,
        *,
        quick: bool = False,
    ) -> None:
        """The slot's work returned outputs, which have been checked; `body` is their recorded form.

        `cached_from` is the run that a cache hit came from; `quick` is as in `derived`.

        Does not wake the engine: it is between two commands, or the caller wakes it.
        """
        now = self._now()
        if now < started:  # the clock was set back
            now = started
        self._put(slot, outputs)
        # Short values are never recorded as a difference, so most nodes need not look for a round.
        change = body if len(body) <= WHOLE_BYTES_MAX else self._change(slot, body)
        self._record_result(slot, now, started, change, cached_from, quick=quick)
        self.commands.extend(self._machine.finished(slot))

    def _change(self, slot: int, body: bytes) -> bytes | Difference:
        """Return outputs as they are recorded: in a loop's round as a difference, if that is small.

        Outputs with a declared artifact are recorded whole, because they are read without the state.
        """
        base = self._bindings.base(slot)
        if base is not None and self._bindings.work(slot).node.artifact is not None:
            return body
        return (base and base.difference(body)) or body

    def reused(self, slot: int, result: Reused) -> None:
        """The slot's result is taken from another run."""
        self._bindings.values.put(slot, self._executor.store.unseal(decode_sealed(result.outputs)))
        now = self._clock.now_s()
        row = slot, now, now, result.outputs, result.taken, result.run
        if result.name is None or result.name == self._machine.name(slot):
            self._record(FinishedRecord(*row))
        else:
            self._record(FinishedFullyRecord(*row, cached_as=result.name))
        self.push(self._machine.finished(slot, result.taken))

    def derived(self, slot: int, started: float, taken: str | None = None, *, quick: bool = False) -> None:
        """The slot's outputs follow from other values: they are not recorded but derived again.

        `quick`: the result, or those of a fan-out's elements, are not kept, because running again is quicker.
        """
        self._bindings.derive(slot)
        told = (slot, self._clock.now_s(), started, None, taken, None)
        self._record(FinishedFullyRecord(*told, quick=True) if quick else FinishedRecord(*told))
        self.push(self._machine.finished(slot, taken))

    def failed(
        self,
        slot: int,
        error: BaseException,
        started: float,
        *,
        final: bool = False,
        usage: Usage | None = None,
    ) -> None:
        """An attempt failed, after its models used `usage`; `final` forbids another one."""
        told = self._executor.error_of(error)
        final = final or told[0] in _HOPELESS
        ends = int(final)
        body: bytes | None = None
        if self._machine.needs_value(slot, final=final):
            try:
                with self._aside.at(slot):
                    body = self._stand_in(slot)
            except Deferred as deferred:
                again = partial(self.failed, slot, error, started, final=final, usage=usage)
                self.defer(slot, deferred, again)
                return
            except StorageFull as full:  # not a failure of the node, which goes on when there is room
                self.halt(full)
                return
            except SymphonyError as why:
                code, message, _ = told
                told = (
                    code,
                    f"{message}; on_error gives no value: {self._executor.error_of(why)[1]}",
                    why.hint,
                )
                ends = UNHANDLED
        from symphony.commons.raised_places import traceback_text  # imported only if something failed

        if (text := traceback_text(error)) is not None:
            self._executor.log(self._machine.name(slot), text, "stderr")
        self._aside.forget(slot)
        self._bindings.forget(slot)
        now = self._clock.now_s()
        label = self._labels.unrecorded(slot)
        self._record(FailedRecord(slot, now, started, told, ends, usage_row(usage), body, label))
        self.push(self._machine.failed(slot, final=bool(ends), handled=ends != UNHANDLED))

    def elements_failed(self, slot: int, error: SymphonyError, started: float) -> None:
        """All elements of a fan-out have ended and some failed. Of `on_error`, only a fallback applies."""
        ends = int(True) if self._machine.node(slot).on_failure is OnFailure.FALLBACK else UNHANDLED
        now, told = self._clock.now_s(), self._executor.error_of(error)
        self._record(FailedRecord(slot, now, started, told, ends))
        self.push(self._machine.failed(slot, final=True, handled=ends != UNHANDLED))

    def _stand_in(self, slot: int) -> bytes | None:
        """Use the values of `on_error` as outputs. Return their recorded form; None if they are constants."""
        values = self._bindings.instead(slot)
        self._put(slot, values)
        if all(template.constant for template in self._bindings.work(slot).instead.values()):
            return None
        return encode_value(self._executor.store.seal_all(values))

    def skipped(self, slot: int) -> None:
        """A condition did not hold, or a person skipped the node."""
        self._record(SkippedRecord(slot, self._clock.now_s()))
        self.push(self._machine.skipped(slot))

    def expanded(self, slot: int, count: int, labels: Sequence[str | None] | None = None) -> None:
        """The slot becomes a fan-out of `count` elements with these labels."""
        self._record(ExpandedRecord(slot, self._clock.now_s(), count, labels))
        self.push(self._machine.expanded(slot, count))

    def opened(self, slot: int, given: Mapping[str, StoredValue], round_: int | None = None) -> None:
        """The slot runs the graph inside it, with a workflow's inputs or, in a round, a loop's state.

        A state is recorded as a difference from the previous round's, if that is small. Otherwise it is
        recorded whole, and its large values go to the store. Raises as `Bindings.kept`.
        """
        body = encode_value(self._executor.store.seal_all(given))
        before = self._bindings.before(slot) if round_ else None
        change, spent = (None, 0) if before is None else before.change(body)
        if change is None and round_ is not None:
            given = {name: self._bindings.kept(value, name, slot) for name, value in given.items()}
            body = encode_value(self._executor.store.seal_all(given))
        self._record(OpenedRecord(slot, self._clock.now_s(), round_, change or body))
        commands = self._machine.opened(slot, round_)
        self._bindings.enter(slot, given, body, spent)
        self.push(commands)

    def expired(self, slot: int) -> None:
        """The graph inside the slot took longer than its timeout."""
        self._record(ExpiredRecord(slot, self._clock.now_s()))
        self.push(self._machine.expired(slot))

    def parked(self, slot: int, until: float) -> None:
        """The slot only waits, until `until` in epoch seconds."""
        self._record(ParkedRecord(slot, self._clock.now_s(), until))
        self.push(self._machine.parked(slot))

    def asked(self, slot: int, question: str, until: float | None) -> None:
        """A person is asked, and may answer until `until` in epoch seconds; None: without a deadline."""
        shown = self._executor.sealer.mask(question)
        self._record(AskedRecord(slot, self._clock.now_s(), shown, until))
        self.push(self._machine.suspended(slot))

    def paused(self) -> None:
        """Somebody paused the run: nothing begins any more."""
        self._record(PausedRecord(0, self._clock.now_s()))
        self.push(self._machine.pause())

    def interrupted(self, by: str, doubtful: Sequence[int]) -> None:
        """The process is stopped, `by` a signal or by none (empty); `doubtful` slots may have had effects."""
        self._record(PausedRecord(0, self._clock.now_s(), by, doubtful or None))
        self.push(self._machine.pause())

    def retry_due(self, slot: int) -> None:
        """The back-off before the next attempt is over."""
        self._record(RetryDueRecord(slot, self._clock.now_s()))
        self.push(self._machine.retry_due(slot))

    def suspended(self, slot: int, why: ErrorTuple) -> None:
        """The slot waits for a person."""
        self._record(SuspendedRecord(slot, self._clock.now_s(), why))
        self.push(self._machine.suspended(slot))

    def again(self, slot: int) -> None:
        """A person decided to try the waiting slot again."""
        self._record(AgainRecord(slot, self._clock.now_s()))
        self.push(self._machine.again(slot))

    def cancelled(self, slot: int, usage: Usage | None = None) -> None:
        """The slot's work has been stopped, after its models used `usage`."""
        self._bindings.forget(slot)
        self._record(CancelledRecord(slot, self._clock.now_s(), usage_row(usage)))
        self.push(self._machine.cancelled(slot))

    def cancel(self) -> None:
        """Somebody cancelled the run."""
        self._record(CancelRecord(0, self._clock.now_s()))
        self.push(self._machine.cancel())

    def ended(self, status: RunStatus, body: bytes | None, error: RunError | None) -> None:
        """The run has ended; `body` holds its outputs."""
        said = {} if error is None else msgspec.structs.asdict(error)
        told = {key: value for key, value in said.items() if value not in (None, (), 0)} or None
        self._record(EndedRecord(0, self._clock.now_s(), str(status), body, told))
