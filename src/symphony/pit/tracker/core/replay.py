"""Applies recorded events to a machine, and shows them to people. Pure.

Recovery, `runs show` and the live event stream all go through here, so that they agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias, assert_never

import msgspec

from symphony.pit.tracker.core.events import SLOTLESS, error_in, event_of, iso
from symphony.pit.tracker.core.labels import joined
from symphony.pit.tracker.core.lazy_nodes import LazyNodes
from symphony.pit.tracker.core.machine import Frame, Machine, Status
from symphony.pit.tracker.core.names import together
from symphony.pit.tracker.core.outstanding import stuck
from symphony.pit.tracker.core.plan import OnFailure, Plan
from symphony.pit.tracker.core.queues import Queues
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
    Record,
    ResumedRecord,
    RetryDueRecord,
    SkippedRecord,
    StartedFullyRecord,
    StartedRecord,
    SuspendedRecord,
    doubtful_in,
    usage_of,
)
from symphony.ports.models import Usage
from symphony.ports.runs import NodeResult, NodeStatus, RunError, RunEvent, RunResult, RunStatus, titled
from symphony.ports.values import StoredValue

QUICKER = "quicker to run again"
_OVERCOME = frozenset({Status.READY, Status.RUNNING, Status.SUCCEEDED})
"""The statuses of a slot once an attempt has followed the one that failed."""
_NODE_STATUS = {
    Status.PENDING: NodeStatus.PENDING,
    Status.READY: NodeStatus.PENDING,
    Status.QUEUED: NodeStatus.PENDING,
    Status.RUNNING: NodeStatus.RUNNING,
    Status.RETRYING: NodeStatus.RUNNING,
    Status.WAITING: NodeStatus.WAITING,
    Status.SPARED: NodeStatus.RUNNING,
    Status.SUCCEEDED: NodeStatus.SUCCEEDED,
    Status.FAILED: NodeStatus.FAILED,
    Status.SKIPPED: NodeStatus.SKIPPED,
    Status.CANCELLED: NodeStatus.CANCELLED,
}
_HANDLED = frozenset({Status.SUCCEEDED, Status.SKIPPED})
Attempt: TypeAlias = tuple[float, float, str | None, float | None]
"""Start, end, error, and when the next attempt could begin. Epoch seconds; None if not known."""
ELEMENTS_FAILED = "elements-failed"
"""The error code of a fan-out whose elements all ran and some of them failed."""
INTERRUPTED = "interrupted"
"""The error code of an attempt whose process died."""


class RunReplay:
    """A machine together with the history that its statuses do not show."""

    def __init__(self, plan: Plan, *, limit: int) -> None:
        self.machine = Machine(plan, limit=limit)
        self.seq = 0
        self.started: dict[int, float] = {}
        self.finished: dict[int, float] = {}
        self.errors: dict[int, ErrorTuple] = {}
        self.cached: dict[int, str] = {}
        self.cached_as: dict[int, str] = {}  # names that slots had in the run of their result
        self.quick: set[int] = set()  # nodes and fan-outs whose results are not kept
        self.usage: dict[int, Usage] = {}  # by slot, summed over its attempts
        self.announced: set[int] = set()  # slots whose current attempt has a durable start
        self.due: dict[int, float] = {}  # until when slots wait, for a time or for a person
        self.asked: dict[int, str] = {}  # what people are asked
        self.owners: list[float] = []  # when processes took the run over
        self.opened: dict[int, float] = {}  # when fan-outs were expanded
        self._labels: dict[int, Sequence[str | None]] = {}  # by fan-out, one for each element
        self._own_labels: dict[int, str] = {}  # by failed element of a fan-out that records no labels
        self._on_error: dict[int, None] = {}  # slots whose last attempt failed and was left to `on_error`
        self.frames_at: list[float] = []  # when each of the machine's frames but the root was opened
        self.tries: dict[int, list[Attempt]] = {}  # by slot, the attempts that were followed by another
        self.idle: set[int] = set()  # slots that were skipped or cancelled while nothing ran
        self.queues = Queues()
        self._lost: set[int] = set()  # slots whose attempt died with its process
        self._last = 0.0
        self.retried: set[int] = set()  # record numbers of failures that another attempt followed
        self.causes: dict[int, ErrorTuple] = {}  # by record number, why the slot had failed before
        self.stopped_by: str | None = None
        """The signal that stopped its last process, empty if it was none; None if nothing has stopped it."""
        self.doubtful: list[int] = []  # slots that were in the middle of an effect then
        self.begun_at: float | None = None
        self.ended_at: float | None = None
        self.owner = 0
        self.ended: tuple[RunStatus, bytes | None, RunError | None] | None = None

    def apply(self, record: Record) -> None:
        """Feed one record to the machine. Raises SerializationFailed if it is damaged."""
        self.note(record)
        slot, machine = record.slot, self.machine
        match record:
            case FinishedRecord():
                machine.finished(slot, record.taken)
            case StartedRecord():
                pass
            case FailedRecord():
                machine.failed(slot, final=bool(record.ends), handled=record.ends != UNHANDLED)
            case SkippedRecord():
                machine.skipped(slot)
            case RetryDueRecord():
                machine.retry_due(slot)
            case ExpandedRecord():
                machine.expanded(slot, record.count)
            case OpenedRecord():
                machine.opened(slot, record.round)
            case SuspendedRecord() | AskedRecord():
                machine.suspended(slot)
            case AgainRecord():
                machine.again(slot)
            case ParkedRecord():
                machine.parked(slot)
            case ExpiredRecord():
                machine.expired(slot)
            case CancelledRecord():
                machine.cancelled(slot)
            case CancelRecord():
                machine.cancel()
            case QueuedRecord():
                machine.queued(slot)
            case GrantedRecord():
                machine.granted(slot)
            case PausedRecord():  # or a stop: nothing begins until somebody resumes the run
                machine.pause()
            case BegunRecord():
                machine.begin()
            case ResumedRecord():
                machine.proceed()
            case EndedRecord():
                pass
            case _:
                assert_never(record)

    def note(self, record: Record) -> None:
        """Remember what the record says beyond the machine's own state."""
        self.seq += 1
        slot, at = record.slot, record.at
        if isinstance(record, FinishedRecord):  # nearly every record is of this kind: skip the other checks
            if record.cached_from is not None:
                self.cached[slot] = record.cached_from
            if isinstance(record, FinishedFullyRecord):
                self._note_usage(record)
                if record.cached_as is not None:
                    self.cached_as[slot] = record.cached_as
                if record.quick:
                    self.quick.add(slot)
            self.note_result(slot, at, record.started)
            return
        if isinstance(record, BegunRecord | ResumedRecord):
            self._lose_attempts()  # before this record becomes the last one seen
        if at > self._last:
            self._last = at
        self._note_usage(record)
        match record:
            case OpenedRecord():
                if not record.round:  # the first round of an attempt, or a sub-workflow
                    self.started[slot] = at
                if self.machine.frame(slot).stopping is None:
                    self.frames_at.append(at)
            case ExpandedRecord():
                self.opened[slot] = at
                if record.labels is not None:
                    self._labels[slot] = record.labels
            case ParkedRecord():
                self.started[slot], self.due[slot] = at, record.until
            case AskedRecord():
                self.started[slot], self.asked[slot] = at, record.question
                if record.until is not None:
                    self.due[slot] = record.until
            case BegunRecord() | ResumedRecord():
                self.begun_at = at if self.begun_at is None else self.begun_at
                self.owners.append(at)
                self.owner, self.stopped_by, self.doubtful = record.pid, None, []
            case PausedRecord():
                self.stopped_by, self.doubtful = record.stopped_by, doubtful_in(record)
            case StartedFullyRecord() if record.usage is not None:
                pass  # it was stopped: what it has used is counted already
            case StartedRecord():
                self.started[slot] = at
                self.announced.add(slot)
                self._lost.discard(slot)
            case FailedRecord() | SkippedRecord() | CancelledRecord():
                self.due.pop(slot, None)
                self.asked.pop(slot, None)
                if slot not in self.announced and not isinstance(record, FailedRecord):
                    self.idle.add(slot)
                self._note_failure(record)
            case SuspendedRecord() | RetryDueRecord() | AgainRecord():
                self._note_failure(record)
            case QueuedRecord() | GrantedRecord():
                self.announced.discard(slot)
                self.queues.note(record)
            case EndedRecord():
                self.ended_at = at
                error = msgspec.convert(record.error, RunError | None)
                self.ended = (RunStatus(record.status), record.outputs, error)

    def _note_usage(self, record: Record) -> None:
        if (usage := usage_of(record)) is not None:
            self.usage[record.slot] = self.usage.get(record.slot, Usage()) + usage

    def note_result(self, slot: int, at: float, started: float) -> None:
        """Note the result of a slot, as `note` does for its record. The caller increments `seq`."""
        self.started[slot], self.finished[slot] = started, at
        if self.due:
            self.due.pop(slot, None)
        if self.asked:
            self.asked.pop(slot, None)

    def _note_failure(self, record: Record) -> None:
        slot, at = record.slot, record.at
        self.announced.discard(slot)
        if isinstance(record, FailedRecord):
            self.started[slot] = record.started
            if record.label is not None:
                self._own_labels[slot] = record.label
        if isinstance(record, FailedRecord | SkippedRecord | CancelledRecord):
            self.finished[slot] = at
            self.queues.leave(slot, at)
        error = error_in(record)
        if error is not None:
            self.errors[slot] = error
        elif isinstance(record, SkippedRecord | SuspendedRecord) and slot in self.errors:
            self.causes[self.seq] = self.errors[slot]
        if isinstance(record, FailedRecord) and self.machine.tried_again(slot, final=bool(record.ends)):
            self.retried.add(self.seq)
            code_ = "failed" if error is None else error[0]
            self.tries.setdefault(slot, []).append((self.started[slot], at, code_, None))
        elif isinstance(record, FailedRecord) and self._on_error_decides(record):
            self._on_error[slot] = None
        elif isinstance(record, RetryDueRecord) and slot in self.tries:
            *before, (started, finished, why, _) = self.tries[slot]
            self.tries[slot] = [*before, (started, finished, why, at)]

    def _on_error_decides(self, record: FailedRecord) -> bool:
        """True if `on_error` says what the last failure of a slot means."""
        slot, machine = record.slot, self.machine
        if record.ends == UNHANDLED or machine.frame(slot).stopping is not None:
            return False
        return machine.node(slot).on_failure is not OnFailure.FAIL

    def _lose_attempts(self) -> None:
        """End the attempts that died with the previous process. Nobody knows when they died."""
        last = self.last_at
        self.queues.lose(last)
        for slot in self.announced - self._lost:
            if self.machine.status[slot] == Status.RUNNING:
                self._lost.add(slot)
                self.tries.setdefault(slot, []).append((self.started[slot], last, INTERRUPTED, None))

    def took_s(self, now: float | None = None) -> float | None:
        """Return the time from its start to its end, or else to `now` or the last event; None before."""
        if self.begun_at is None:
            return None
        return max(0.0, self.until(now) - self.begun_at)

    def node_took_s(self, slot: int) -> float | None:
        """Return the time from the start of a slot's first attempt to its end; None before it has both."""
        started, finished = self.started.get(slot), self.finished.get(slot)
        if started is None or finished is None:
            return None
        tries = self.tries.get(slot)
        return max(0.0, finished - (started if tries is None else min(tries[0][0], started)))

    def until(self, now: float | None = None) -> float:
        """Return the time of its end, or else `now`, or the time of its last event."""
        if self.ended_at is not None:
            return self.ended_at
        return self.last_at if now is None else now

    @property
    def last_at(self) -> float:
        """Return the time of the last event; epoch seconds. O(slots)."""
        return max(self._last, max(self.finished.values(), default=0.0))

    def event(self, record: Record, seq: int) -> RunEvent:
        """Return an already noted record, with number `seq`, as people see it."""
        name = label = None
        if type(record) not in SLOTLESS:
            name, label = self.machine.name(record.slot), self.label(record.slot)
        final, cause = seq not in self.retried, self.causes.get(seq)
        return event_of(record, seq, name=name, label=label, final=final, cause=cause)

    def status(self, slot: int) -> NodeStatus:
        """Return the status of a slot as people see it."""
        status = Status(self.machine.status[slot])
        if status is Status.SUCCEEDED and slot in self.cached:
            return NodeStatus.CACHED
        return _NODE_STATUS[status]

    def queued(self, slot: int) -> str | None:
        """Return for what a slot is queued and why, in words; None if it is not queued."""
        return self.queues.told(slot) if self.machine.status[slot] == Status.QUEUED else None

    def waiting(self) -> dict[str, int]:
        """Return the slots that wait for a person, by name."""
        return {
            self.machine.name(slot): slot
            for slot, status in enumerate(self.machine.status)
            if status == Status.WAITING
        }

    def left_as(self) -> RunStatus:
        """Return the status of a run that has not ended, once no process owns it."""
        if self.machine.paused and self.stopped_by is None:
            return RunStatus.PAUSED
        return RunStatus.WAITING if self.seq and stuck(self.machine) else RunStatus.INTERRUPTED

    def run_error(self) -> RunError | None:
        """Return why the run failed: the first failure that nothing handled."""
        frame = self.machine.root
        if frame.failed is None:
            return None
        return self.failure(frame.failed)

    def ended_error(self) -> RunError | None:
        """Return why the run failed, as recorded or else as it follows from its nodes; None if it did not."""
        if self.ended is None or self.ended[0] is not RunStatus.FAILED:
            return None
        return self.ended[2] or self.run_error()

    def failure(self, slot: int) -> RunError:
        """Return why a slot failed; for a fan-out, why its first element did, which the message names."""
        element = self._failed_element(slot)
        if element is not None:
            return msgspec.structs.replace(self.told(element), node=self.machine.name(slot))
        code, message, hint = self.errors.get(slot, ("failed", "the node failed", None))
        return RunError(code=code, message=message, node=self.machine.name(slot), hint=hint)

    def told(self, slot: int) -> RunError:
        """Return `failure` with a message that names the innermost failed step."""
        error, inner = self.failure(slot), self.machine.children.get(slot)
        if self._failed_element(slot) is not None or (inner is not None and inner.failed is not None):
            return error  # its message already names the step
        return msgspec.structs.replace(error, message=f"{self.title(slot)}: {error.message}")

    def innermost(self, slot: int) -> Iterator[int]:
        """Yield, in order, the innermost slots that made a slot fail: several if elements failed."""
        machine, todo = self.machine, [slot]
        while todo:
            slot = todo.pop()
            inner, group = machine.children.get(slot), machine.groups.get(slot)
            if inner is not None and inner.failed is not None:
                todo.append(inner.failed)
            elif group is not None and group.failed is not None:
                todo.append(group.failed)
            elif group is not None and self.errors.get(slot, ("",))[0] == ELEMENTS_FAILED:
                last = group.base + group.count - 1
                todo += (
                    one for one in range(last, group.base - 1, -1) if machine.status[one] == Status.FAILED
                )
            else:
                yield slot

    def fails(self, slot: int) -> bool:
        """True if the slot's last error is that of its present state, not of an attempt since overcome."""
        if slot not in self.errors:
            return False
        return slot in self._on_error or self.machine.status[slot] not in _OVERCOME

    def _failed_element(self, slot: int) -> int | None:
        """Return the element that made a fan-out fail; None if the slot failed for another reason."""
        group = self.machine.groups.get(slot)
        return None if group is None or slot in self.errors else group.failed

    def handled(self) -> list[int]:
        """Return the nodes and elements, at any depth, whose final failure `on_error` has handled.

        Inside a node that was tried again, only its last attempt counts.
        """
        groups = self.machine.groups.values()
        failed = [*self._on_error, *(group.slot for group in groups if group.failed is not None)]
        if not failed:
            return []
        last = {frame.number for frames in self.inner_frames().values() for frame in frames}
        ended = (slot for slot in dict.fromkeys(failed) if self.machine.status[slot] in _HANDLED)
        return [slot for slot in ended if self._lasts(slot, last)]

    def _lasts(self, slot: int, last: AbstractSet[int]) -> bool:
        """True if the slot is inside last attempts alone. `last` are the numbers of their frames."""
        frame = self.machine.frame(slot)
        while frame.parent >= 0:
            if frame.number not in last:
                return False
            frame = self.machine.frame(frame.parent)
        return True

    def label(self, slot: int) -> str | None:
        """Return the slot's label after the labels of the elements around it; None if it has none."""
        if not self._labels and not self._own_labels:
            return None
        machine, found = self.machine, list[str]()
        at = slot
        while at >= 0:
            element = machine.element_of.get(at)
            if element is not None:
                group, index = element
                of_all = self._labels.get(group.slot)
                own = self._own_labels.get(at) if of_all is None else of_all[index]
                if own:
                    found.append(own)
            at = machine.frame(at).parent
        return joined(reversed(found))

    def labelled(self) -> dict[str, str]:
        """Return the label of each element that has one, by name. O(elements)."""
        machine = self.machine
        out = {machine.name(slot): label for slot, label in self._own_labels.items()}
        for slot, labels in self._labels.items():
            name = machine.name(slot)
            out |= {f"{name}[{index}]": label for index, label in enumerate(labels) if label}
        return out

    def title(self, slot: int) -> str:
        """Return the title that people see of a slot: its full name, and its label if it has one."""
        return titled(self.machine.name(slot), self.label(slot))

    def nodes(self) -> dict[str, NodeResult]:
        """Return every node in the workflow's order, each followed by its elements, rounds and inner nodes.

        Inside a node that was tried again, only its last attempt is included.
        """
        usage = self._usage_by_slot()
        out: dict[str, NodeResult] = {}
        frames = self.inner_frames()
        todo = list(reversed(self._slots(self.machine.root)))
        while todo:
            slot = todo.pop()
            out[self.machine.name(slot)] = self._node(slot, usage.get(slot))
            inner = [s for frame in frames.get(slot, ()) for s in self._slots(frame)]
            group = self.machine.groups.get(slot)
            if group is not None:
                inner += range(group.base, group.base + group.count)
            todo += reversed(inner)
        return out

    def inner_frames(self) -> dict[int, list[Frame]]:
        """Return, by slot, the frames inside its last attempt, in order."""
        frames: dict[int, list[Frame]] = {}
        for frame in self.machine.frames[1:]:
            if not frame.round:  # a new attempt begins
                frames[frame.parent] = []
            frames[frame.parent].append(frame)
        return frames

    @staticmethod
    def _slots(frame: Frame) -> range:
        return range(frame.base, frame.base + len(frame.plan.nodes))

    def _node(self, slot: int, usage: Usage | None) -> NodeResult:
        started, finished = self.started.get(slot), self.finished.get(slot)
        attempts, status = self.machine.attempts[slot], self.status(slot)
        failed = self.fails(slot) or self._failed_element(slot) is not None
        if status is NodeStatus.RUNNING and not failed:
            finished = None  # only an earlier attempt has ended
        took = None if started is None or finished is None else round(max(0.0, finished - started) * 1000, 3)
        return NodeResult(
            status=status,
            attempts=attempts,
            started_at=iso(started),
            finished_at=iso(finished),
            duration_ms=took,
            took_s=None if finished is None else self.node_took_s(slot),
            error=self.failure(slot) if failed else None,
            label=self.label(slot),
            cached_from=self.cached.get(slot),
            cached_as=self.cached_as.get(slot),
            not_cached=QUICKER if slot in self.quick else None,
            usage=usage,
            asks=self.asked.get(slot),
            until=iso(self.due.get(slot)),
            queued=self.queued(slot),
        )

    def _usage_by_slot(self) -> dict[int, Usage]:
        """Return the usage of each slot that asked models, and of those it is an element or a part of."""
        machine, total = self.machine, dict[int, Usage]()
        for slot, usage in self.usage.items():
            at: int | None = slot
            while at is not None:
                total[at] = total.get(at, Usage()) + usage
                element, frame = machine.element_of.get(at), machine.frame(at)
                at = (
                    element[0].slot
                    if element is not None
                    else None
                    if frame is machine.root
                    else frame.parent
                )
        return total

    def result(
        self,
        run_id: str,
        status: RunStatus,
        outputs: Mapping[str, StoredValue],
        *,
        now: float | None = None,
    ) -> RunResult:
        """Return the run as `run --json` shows it; the time of a run that goes on is taken until `now`."""
        error = self.run_error() if status is RunStatus.FAILED else None
        total = sum(self.usage.values(), Usage()) if self.usage else None
        return RunResult(
            run_id=run_id,
            status=status,
            outputs=outputs,
            error=error,
            nodes=LazyNodes(lambda: self),
            counts=self.counts(),
            handled_failures=len(self.handled()),
            usage=total,
            started_at=iso(self.begun_at),
            finished_at=iso(self.ended_at),
            took_s=self.took_s(now),
            doubtful=together([self.machine.name(slot) for slot in self.doubtful]),
        )

    def cut_off(self) -> list[str]:
        """Return the steps that were at work when the last process died; empty if it was asked to stop."""
        if self.stopped_by is not None:
            return []
        at_work = (slot for slot in sorted(self.announced) if self.machine.status[slot] == Status.RUNNING)
        return [self.machine.name(slot) for slot in at_work]

    def counts(self) -> dict[NodeStatus, int]:
        """Return how many of the workflow's own nodes have each status."""
        own = len(self.machine.root.plan.nodes)  # the root's slots come first
        return self.counted(self.machine.status[:own], sum(map(self.cached.__contains__, range(own))))

    def standing(self) -> dict[NodeStatus, int]:
        """Return how many slots have each status; elements of fan-outs count, not their nodes.

        O(slots), 0.2 ms for 100,000, and O(fan-outs).
        """
        out = self.counted(self.machine.status, len(self.cached))
        for slot in self.machine.groups:
            out[self.status(slot)] -= 1
        return {status: number for status, number in out.items() if number}

    @staticmethod
    def counted(slots: bytearray, hits: int) -> dict[NodeStatus, int]:
        """Return how many slots have each status that people see; `hits` that succeeded were cached."""
        out = dict.fromkeys(NodeStatus, 0)
        for status, shown in _NODE_STATUS.items():
            out[shown] += slots.count(status)
        out[NodeStatus.CACHED] += hits
        out[NodeStatus.SUCCEEDED] -= hits
        return {status: number for status, number in out.items() if number}
