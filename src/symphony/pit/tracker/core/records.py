"""The records of the journal: one short array for each event of a run, batched as MessagePack. Pure.

A record is an array: the number of its kind (the tag of its class), the slot, the time, and what the
kind adds. `slot` is 0 for an event of the run itself; `at` is epoch seconds.

Readers ignore fields that they do not know: later versions may add fields at the end of a record. Fields
that were added to a kind later (usage, `instead`, `quick`, labels, `stopped_by`) are written only if
they are set.

A list in place of bytes is a difference as in `changes`. Outputs differ from the state of the round that
the slot runs in, and a state from that of the previous round.

Usage is (calls, tokens in, tokens out, of these cached, cost as text or None, currency or None,
whether it is estimated).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.pit.tracker.core.changes import Difference
from symphony.ports.models import Usage

ErrorTuple: TypeAlias = tuple[str, str, str | None]

UNHANDLED = 2
"""A value of `ends`: the failure is the last one, and what `on_error` says could not be done."""


class EventRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields that every record has."""

    slot: int
    at: float


class BegunRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=0):
    """The run begins in process `pid`."""

    pid: int


class StartedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=1):
    """An attempt that takes a while begins."""

    attempt: int


class StartedFullyRecord(StartedRecord, frozen=True, array_like=True, gc=False, tag=1):
    """An attempt begins or, with `usage`, was stopped with its process. Reading always gives this class.

    Versions that do not know the usage read the stop as one more beginning, which changes nothing.
    """

    usage: object = None


class FinishedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=2):
    """The slot succeeded."""

    started: float
    outputs: bytes | Difference | None
    """An encoded map; None if the outputs are derived."""
    taken: str | None
    """The branch that a branch node took."""
    cached_from: str | None
    """The run that a cache hit came from."""


class FinishedFullyRecord(FinishedRecord, frozen=True, array_like=True, gc=False, tag=2):
    """The slot succeeded, with rarely used fields. Reading a record always gives this class."""

    usage: object = None
    quick: object = None
    """True if the result of the node, or of the fan-out's elements, is not kept: rerunning is quicker."""
    cached_as: str | None = None
    """The name of the step in the run that the result came from, if it differs."""


class FailedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=3):
    """An attempt failed."""

    started: float
    error: object
    """Code, message, hint."""
    ends: int | bool
    """True if it is the last one; or UNHANDLED."""
    usage: object = None
    instead: bytes | None = None
    """The values of `on_error`, encoded."""
    label: str | None = None
    """The label of an element whose fan-out records none."""


class SkippedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=4):
    """A condition did not hold, or a person skipped the node."""

    error: object = None


class RetryDueRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=5):
    """The back-off before the next attempt is over."""


class ExpandedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=6):
    """The slot becomes a fan-out of `count` elements."""

    count: int
    labels: Sequence[str | None] | None = None
    """The labels of the elements, in order."""


class SuspendedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=7):
    """The slot waits for a person."""

    error: object


class AgainRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=8):
    """A person decided to try the waiting slot again."""


class CancelRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=9):
    """Somebody cancelled the run."""


class CancelledRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=10):
    """The slot's work was stopped."""

    usage: object = None


class ResumedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=11):
    """Process `pid` goes on with the run."""

    pid: int


class EndedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=12):
    """The run has ended."""

    status: str
    outputs: bytes | None
    """An encoded map."""
    error: object
    """A map, with the node."""


class OpenedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=13):
    """The slot runs the graph inside it."""

    round: int | None
    """The round of a loop."""
    values: bytes | Difference
    """A loop's state, or a workflow's inputs."""


class ParkedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=14):
    """The slot only waits, until a moment in epoch seconds."""

    until: float


class AskedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=15):
    """A person is asked, and has time until a moment in epoch seconds."""

    question: str
    until: float | None


class ExpiredRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=16):
    """The graph inside the slot took longer than its timeout."""


class PausedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=17):
    """Nothing begins any more: somebody paused the run, or its process was stopped.

    A stop is written as a pause with fields that were added later, so that versions that do not know them
    can still go on with the run.
    """

    stopped_by: str | None = None
    """The name of the signal that stopped the process, empty if there was none; None for a pause."""
    doubtful: object = None
    """Slots in the middle of an effect that must not be repeated unless somebody asks for it."""


class QueuedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=18):
    """The slot waits until it may use a resource; its attempt has not begun."""

    resource: str
    """The name of the operator or model."""
    kind: str
    """What it is: operator or model."""
    reason: str
    """Why it has to wait, in words."""
    before: int
    """The number of requests that come before it."""


class GrantedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=19):
    """The slot that waited may use the resource."""

    reason: str
    """Why it was granted then, in words."""


Record: TypeAlias = (
    BegunRecord | StartedRecord | FinishedRecord | FailedRecord | SkippedRecord | RetryDueRecord
    | ExpandedRecord | SuspendedRecord | AgainRecord | CancelRecord | CancelledRecord | ResumedRecord
    | EndedRecord | OpenedRecord | ParkedRecord | AskedRecord | ExpiredRecord | PausedRecord
    | QueuedRecord | GrantedRecord
)  # fmt: skip
_Read: TypeAlias = (
    BegunRecord | StartedFullyRecord | FinishedFullyRecord | FailedRecord | SkippedRecord | RetryDueRecord
    | ExpandedRecord | SuspendedRecord | AgainRecord | CancelRecord | CancelledRecord | ResumedRecord
    | EndedRecord | OpenedRecord | ParkedRecord | AskedRecord | ExpiredRecord | PausedRecord
    | QueuedRecord | GrantedRecord
)  # fmt: skip

_LATER_FIELDS = {
    StartedFullyRecord: 1,
    FinishedFullyRecord: 3,
    FailedRecord: 3,
    CancelledRecord: 1,
    ExpandedRecord: 1,
    PausedRecord: 2,
}
"""The number of fields at the end that are written only where they say something."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Read])


def encode_batch(records: Sequence[Record]) -> bytes:
    """Return one blob for the records of one commit."""
    return _encoder.encode([one if type(one) not in _LATER_FIELDS else _short(one) for one in records])


def _short(record: Record) -> list[object]:
    """Return the record as an array, without later fields that are not set."""
    fields: list[object] = [record.__struct_config__.tag, *msgspec.structs.astuple(record)]
    for _ in range(_LATER_FIELDS[type(record)]):
        if fields[-1] is not None:
            break
        fields.pop()
    return fields


def decode_batch(body: bytes) -> Iterator[Record]:
    """Yield the records of one commit. Raises SerializationFailed if the bytes are damaged."""
    try:
        yield from _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise SerializationFailed(f"a batch of the journal is damaged: {error}") from error


def usage_row(usage: Usage | None) -> tuple[object, ...] | None:
    """Return what an attempt used, in the form of a record."""
    if usage is None:
        return None
    cost = None if usage.cost is None else str(usage.cost)
    counts = (usage.calls, usage.tokens_in, usage.tokens_out, usage.tokens_cached)
    return (*counts, cost, usage.currency, usage.estimated)


def usage_of(record: Record) -> Usage | None:
    """Return what the record's attempt used, or None. Raises SerializationFailed if the field is damaged."""
    if not isinstance(record, FinishedFullyRecord | FailedRecord | CancelledRecord | StartedFullyRecord):
        return None
    told = record.usage
    if told is None:
        return None
    if not isinstance(told, list | tuple) or len(told) < 7:
        raise SerializationFailed("a journal record holds no usage where one is required")
    calls, read, written, cached, cost, currency, estimated = told[:7]
    try:
        money = None if cost is None else Decimal(str(cost))
    except ArithmeticError as error:
        raise SerializationFailed("a journal record holds no amount where a cost is required") from error
    return Usage(
        calls=_integer(calls),
        tokens_in=_integer(read),
        tokens_out=_integer(written),
        tokens_cached=_integer(cached),
        cost=money,
        currency=None if currency is None else str(currency),
        estimated=bool(estimated),
    )


def _integer(value: object) -> int:
    if isinstance(value, int):
        return value
    raise SerializationFailed(f"a journal record holds {type(value).__name__} in place of an integer")


def doubtful_in(record: PausedRecord) -> list[int]:
    """Return `doubtful` of a stop. Raises SerializationFailed if the field is damaged."""
    told = record.doubtful
    if told is None:
        return []
    if not isinstance(told, list | tuple):
        raise SerializationFailed("a journal record holds no list where slots must stand")
    return [_integer(slot) for slot in told]


def error_of(value: object) -> ErrorTuple | None:
    """Return the error that a field holds, or None."""
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) >= 3:
        code, message, hint = value[:3]
        return str(code), str(message), None if hint is None else str(hint)
    raise SerializationFailed("a journal record holds no error where one is required")


class Reused(msgspec.Struct, frozen=True, array_like=True):
    """A result that a run takes from another.

    `outputs` is an encoded map of sealed values and `taken` the branch. `run` is the id of the run in which
    the step ran, and `name` its name there; None if the name is the same.
    """

    outputs: bytes
    taken: str | None
    run: str
    name: str | None = None


_reused = msgspec.msgpack.Decoder(Reused)


def encode_reused(result: Reused) -> bytes:
    """Encode a result for the journal."""
    return _encoder.encode(result)


def decode_reused(body: bytes) -> Reused:
    """Decode a result from the journal. Raises SerializationFailed if it is damaged."""
    try:
        return _reused.decode(body)
    except msgspec.MsgspecError as error:
        raise SerializationFailed(f"a reused result in the journal is damaged: {error}") from error
