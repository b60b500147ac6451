"""Resumes a run after a restart: restores values, applies people's decisions, reports doubts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.pit.artifacts.values.codec import decode_sealed
from symphony.pit.artifacts.values.sealed import SealedValue
from symphony.pit.tracker.core.changes import Base, Difference, restored, size_of
from symphony.pit.tracker.core.machine import Command, Do, Machine, Status
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.core.outstanding import outstanding
from symphony.pit.tracker.core.records import (
    CancelledRecord,
    FailedRecord,
    FinishedRecord,
    OpenedRecord,
    Record,
    usage_of,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.transitions import Transitions
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.ports.values import ArtifactRef, StoredValue

IN_DOUBT = "in-doubt"
SECRET_MISSING = "secret-missing"  # noqa: S105  (a code)


class Closed(Protocol):
    """Is told of values that cannot be opened: a slot's result, or what the graph inside it begins with."""

    def finished(self, slot: int, error: SymphonyError) -> None: ...
    def opened(self, slot: int, error: SymphonyError) -> None: ...


def recover(recorded: Sequence[Record], replay: RunReplay, bindings: Bindings, executor: Executor) -> None:
    """Apply the records of earlier processes, to restore the machine and the values.

    Raises SecretMissing, and JournalFailed, as `recovering`.
    """
    try:
        for _ in recovering(recorded, replay, bindings, executor):
            pass
    except SymphonyError as error:
        if error.code == SECRET_MISSING:
            error.hint = f"{error.hint}; with another value: symphony runs rerun {executor.run_id}"
        raise


def recovering(
    recorded: Sequence[Record],
    replay: RunReplay,
    bindings: Bindings,
    executor: Executor,
    closed: Closed | None = None,
) -> Iterator[Record]:
    """Apply records of earlier processes one by one, and yield each once its values are restored.

    Values that cannot be opened, because a secret has changed, are reported to `closed` and left out.
    Raises SecretMissing without `closed`, or if other values need them, and JournalFailed for records that
    make no sense.
    """
    with journal_errors(Path(f"{executor.run_id}.db")):
        yield from _recovering(recorded, replay, bindings, executor, closed)


def _recovering(
    recorded: Sequence[Record],
    replay: RunReplay,
    bindings: Bindings,
    executor: Executor,
    closed: Closed | None,
) -> Iterator[Record]:
    missing: SymphonyError | None = None
    for record in recorded:
        slot = record.slot
        inner = replay.machine.children.get(slot)
        replay.apply(record)
        if (usage := usage_of(record)) is not None:
            executor.spending.recall(usage)
        try:
            _restore(record, slot, replay, bindings, executor)
        except SymphonyError as error:
            if error.code != SECRET_MISSING and missing is not None:
                raise missing from error  # it follows from what could not be opened
            if error.code != SECRET_MISSING or closed is None:
                raise
            missing = missing or error
            if isinstance(record, OpenedRecord):
                _open(record, slot, bindings, _references_alone)
                closed.opened(slot, error)
            else:
                bindings.values.put(slot, {})
                closed.finished(slot, error)
        yield record
        ends = isinstance(record, FinishedRecord | FailedRecord | CancelledRecord)
        if inner is not None and (ends or isinstance(record, OpenedRecord)):
            bindings.leave(inner)
        if ends:
            bindings.forget(slot)


def _whole(told: bytes | Difference, base: Base | None) -> bytes:
    """Return the bytes that a record holds, whole or as a difference from the state of its round.

    Raises SerializationFailed, and as `Base.whole`.
    """
    if isinstance(told, bytes):
        return told
    if base is None:
        raise SerializationFailed("a journal record holds no values where they are required")
    return restored(base.whole, told)


def _restore(record: Record, slot: int, replay: RunReplay, bindings: Bindings, executor: Executor) -> None:
    """Restore the values that a record holds."""
    unseal = executor.store.unseal
    match record:
        case FinishedRecord():
            if record.outputs is None:
                bindings.derive(slot)
            else:
                body = _whole(record.outputs, bindings.base(slot))
                bindings.values.put(slot, unseal(decode_sealed(body)))
        case OpenedRecord():
            _open(record, slot, bindings, unseal)
        case FailedRecord() if replay.machine.status[slot] == Status.SUCCEEDED:
            told = record.instead
            bindings.values.put(slot, bindings.instead(slot) if told is None else unseal(decode_sealed(told)))


def _open(
    record: OpenedRecord,
    slot: int,
    bindings: Bindings,
    opened: Callable[[SealedValue], Mapping[str, StoredValue]],
) -> None:
    """Restore the inputs or the state that the graph in a slot begins with; `opened` opens sealed values."""
    before = bindings.before(slot)
    body = _whole(record.values, before)
    change = None if isinstance(record.values, bytes) else record.values
    spent = 0 if before is None or change is None else before.spent + size_of(change)
    bindings.enter(slot, opened(decode_sealed(body)), body, spent)


def _references_alone(form: SealedValue) -> Mapping[str, StoredValue]:
    """Return substitutes for values that cannot be opened: null, except that references stay.

    The base of a state needs its references.
    """
    assert isinstance(form, dict)
    return {name: value if isinstance(value, ArtifactRef) else None for name, value in form.items()}


def go_on(
    replay: RunReplay, bindings: Bindings, transitions: Transitions, retry: Sequence[str], skip: Sequence[str]
) -> None:
    """Apply people's decisions, suspend steps that are in doubt, and schedule all that is outstanding.

    Raises SymphonyError `not-waiting` if a name of `retry` or `skip` waits for no decision.
    """
    machine = replay.machine
    _decide(replay, transitions, retry, skip)
    for slot in in_doubt(replay, bindings):
        _doubt(replay, transitions, slot)
    # Asking once, after all decisions, yields each command once.
    transitions.commands.clear()
    transitions.push(_outstanding(machine))


def in_doubt(replay: RunReplay, bindings: Bindings) -> list[int]:
    """Return the slots that would be in doubt if the process ended now: at work and not repeatable."""
    return [
        slot
        for do, slot in _outstanding(replay.machine)
        if do is Do.START and slot in replay.announced and not bindings.work(slot).repeatable
    ]


def _outstanding(machine: Machine) -> Iterator[Command]:
    """Yield the outstanding commands. Elements of a failed fan-out are stopped instead of begun again."""
    for command in outstanding(machine):
        element = machine.element_of.get(command.slot)
        over = element is not None and element[0].failed is not None
        begins = command.do in (Do.START, Do.RETRY)
        yield Command(Do.STOP, command.slot) if over and begins else command


def _decide(replay: RunReplay, transitions: Transitions, retry: Sequence[str], skip: Sequence[str]) -> None:
    machine = replay.machine
    waiting = {
        machine.name(slot): slot
        for slot, status in enumerate(machine.status)
        if status == Status.WAITING or (status == Status.RUNNING and slot in replay.announced)
    }
    chosen: dict[int, bool] = {}  # by slot: whether to skip it
    for name in sorted((*retry, *skip), key=waiting.__contains__):  # exact names come last, and win
        slots = (
            [waiting[name]]
            if name in waiting  # else all of its elements and rounds except approvals
            else [s for full, s in waiting.items() if folded(full) == name and s not in replay.asked]
        )
        if not slots:
            raise SymphonyError(
                f"node {name!r} waits for no decision",
                code="not-waiting",
                hint=f"waiting: {', '.join(waiting) or 'none'}",
            )
        chosen |= dict.fromkeys(slots, name in skip)
    for slot, skipped in chosen.items():
        if machine.status[slot] == Status.RUNNING:
            _doubt(replay, transitions, slot)
        if skipped:
            transitions.skipped(slot)
        else:
            transitions.again(slot)


def _doubt(replay: RunReplay, transitions: Transitions, slot: int) -> None:
    """Suspend a node that must not be repeated and was in flight when its process ended."""
    name = replay.machine.name(slot)
    message = "it had begun when its process ended, and it is not known whether it finished"
    hint = f"look, then resume with --retry {name} or --skip {name}"
    transitions.suspended(slot, (IN_DOUBT, message, hint))
