"""Recorded events as people see them. Pure."""

from typing import Final

from symphony.commons import moments
from symphony.pit.tracker.core.records import (
    AgainRecord,
    AskedRecord,
    BegunRecord,
    CancelledRecord,
    CancelRecord,
    EndedRecord,
    ErrorTuple,
    EventRecord,
    ExpandedRecord,
    ExpiredRecord,
    FailedRecord,
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
    error_of,
    usage_of,
)
from symphony.ports.models import usage_value
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value

_TYPES: Final[dict[type[EventRecord], str]] = {
    BegunRecord: "run.started",
    ResumedRecord: "run.resumed",
    StartedRecord: "node.started",
    StartedFullyRecord: "node.started",
    FailedRecord: "node.failed",
    SkippedRecord: "node.skipped",
    RetryDueRecord: "node.retrying",
    ExpandedRecord: "node.expanded",
    SuspendedRecord: "node.waiting",
    AgainRecord: "node.decided",
    CancelRecord: "run.cancelling",
    CancelledRecord: "node.cancelled",
    EndedRecord: "run.finished",
    OpenedRecord: "node.opened",
    ParkedRecord: "node.delayed",
    AskedRecord: "node.waiting",
    ExpiredRecord: "node.expired",
    PausedRecord: "run.paused",
    QueuedRecord: "node.queued",
    GrantedRecord: "node.granted",
}
SLOTLESS: Final = frozenset({BegunRecord, ResumedRecord, CancelRecord, EndedRecord, PausedRecord})
"""Records of the run itself, which belong to no slot."""


def event_of(
    record: Record,
    seq: int,
    *,
    name: str | None,
    label: str | None,
    final: bool,
    cause: ErrorTuple | None,
) -> RunEvent:
    """Return the record with number `seq` as people see it.

    `name` and `label` are those of its slot. For a failure, `final` is true if no other attempt followed.
    `cause` is why the slot had failed before, if the record does not say.
    """
    data: dict[str, Value] = {}
    match record:
        case StartedRecord():
            data["attempt"] = record.attempt
        case FinishedRecord():
            data["duration_ms"] = round((record.at - record.started) * 1000, 3)
            told = (("branch", record.taken), ("from_run", record.cached_from))
            data |= {key: value for key, value in told if value is not None}
        case FailedRecord():
            data["duration_ms"] = round(max(0.0, record.at - record.started) * 1000, 3)
            data["final"] = final
        case ExpandedRecord():
            data["count"] = record.count
        case OpenedRecord(round=int(number)):
            data["round"] = number
        case ParkedRecord():
            data["until"] = iso(record.until)
        case AskedRecord():
            data |= {"asks": record.question, "until": iso(record.until)}
        case EndedRecord():
            data["status"] = record.status
        case QueuedRecord():
            data |= {"resource": record.resource, "kind": record.kind}
            data |= {"reason": record.reason, "before": record.before}
        case GrantedRecord():
            data["reason"] = record.reason
        case PausedRecord(stopped_by=str(signal)) if signal:
            data["signal"] = signal
    if (usage := usage_of(record)) is not None:
        data["usage"] = usage_value(usage)
    error = error_in(record) or cause
    if error is not None:
        data["error"] = {"code": error[0], "message": error[1]}
    if label is not None:
        data["label"] = label
    return RunEvent(seq=seq, type=type_of(record), at=record.at, node=name, data=data)


def type_of(record: Record) -> str:
    """Return the type of event that a record stands for."""
    if isinstance(record, FinishedRecord):
        return "node.cached" if record.cached_from else "node.finished"
    if isinstance(record, PausedRecord) and record.stopped_by is not None:
        return "run.interrupted"
    if isinstance(record, StartedFullyRecord) and record.usage is not None:
        return "node.stopped"
    return _TYPES[type(record)]


def error_in(record: Record) -> ErrorTuple | None:
    """Return why the slot failed, was skipped or waits; None if the record does not say."""
    return (
        error_of(record.error) if isinstance(record, FailedRecord | SkippedRecord | SuspendedRecord) else None
    )


def iso(at: float | None) -> str | None:
    """Format epoch seconds as ISO 8601 in UTC with milliseconds; None stays None."""
    return None if at is None else moments.iso(at)
