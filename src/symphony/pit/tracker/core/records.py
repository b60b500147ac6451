"""The records of the journal: one short array for each event of a run, batched as MessagePack. Pure.

A record is an array: the number of its kind (the tag of its class), the slot, the moment, and what the
kind adds. `slot` is 0 where the event is the run's; `at` is epoch seconds.

Readers take what they know of a record: later versions may add fields at its end. Fields that came
later than their kind (usage, `instead`, `quick`, labels, `stopped_by`) are written only where they
say something.

A difference, a list in place of bytes, is that of `changes` from the state of the round that the slot
runs in, and of a state from that of the round before.

Usage is (calls, tokens in, tokens out, of these cached, cost as text or None, currency or None,
is it estimated).
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
"""In place of `final`: the failure is the last one, and what `on_error` says could not be done."""


class EventRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields that every record has."""

    slot: int
    at: float


class BegunRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=0):
    """The run begins in the process `pid`."""

    pid: int


class StartedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=1):
    """An attempt that takes a while begins."""

    attempt: int


class StartedFullyRecord(StartedRecord, frozen=True, array_like=True, gc=False, tag=1):
    """An attempt begins or, with `usage`, was stopped with its process. Whatever is read is of this class.

    Versions that do not know the usage take the stop for one more beginning, which changes nothing.
    """

    usage: object = None


class FinishedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=2):
    """The slot succeeded."""

    started: float
    outputs: bytes | Difference | None
    """An encoded map; None if they are derived."""
    taken: str | None
    """The branch."""
    cached_from: str | None
    """The run of a cache hit."""


class FinishedFullyRecord(FinishedRecord, frozen=True, array_like=True, gc=False, tag=2):
    """The slot succeeded, with rarely used fields. Reading a record always gives this class."""

    usage: object = None
    quick: object = None
    """True of a node, or a fan-out's elements, whose result is not kept: it is quicker to run again."""
    cached_as: str | None = None
    """The name of the step in the run that the result came from, if it had another there."""


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
    """Theirs, in order."""


class SuspendedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=7):
    """The slot waits for a person."""

    error: object


class AgainRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=8):
    """A person wants the waiting slot tried again."""


class CancelRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=9):
    """Somebody cancelled the run."""


class CancelledRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=10):
    """The slot's work was stopped."""

    usage: object = None


class ResumedRecord(EventRecord, frozen=True, array_like=True, gc=False, tag=11):
    """The process `pid` goes on with the run."""

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

    A stop is written as a pause, with fields that came later: versions that do not know them go on
    with the run anyway.
    """

    stopped_by: str | None = None
    """The name of the signal that stopped the process, empty without one; None of a pause."""
    doubtful: object = None
    """Slots that were in the middle of an effect which must not be repeated unasked."""


Record: TypeAlias = (
    BegunRecord | StartedRecord | FinishedRecord | FailedRecord | SkippedRecord | RetryDueRecord
    | ExpandedRecord | SuspendedRecord | AgainRecord | CancelRecord | CancelledRecord | ResumedRecord
    | EndedRecord | OpenedRecord | ParkedRecord | AskedRecord | ExpiredRecord | PausedRecord
)  # fmt: skip
_Read: TypeAlias = (
    BegunRecord | StartedFullyRecord | FinishedFullyRecord | FailedRecord | SkippedRecord | RetryDueRecord
    | ExpandedRecord | SuspendedRecord | AgainRecord | CancelRecord | CancelledRecord | ResumedRecord
    | EndedRecord | OpenedRecord | ParkedRecord | AskedRecord | ExpiredRecord | PausedRecord
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
    """The record as an array, without later fields that say nothing."""
    fields: list[object] = [record.__struct_config__.tag, *msgspec.structs.astuple(record)]
    for _ in range(_LATER_FIELDS[type(record)]):
        if fields[-1] is not None:
            break
        fields.pop()
    return fields


def decode_batch(body: bytes) -> Iterator[Record]:
    """The records of one blob. Raises SerializationFailed if it is damaged."""
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
    """Return what the record's attempt used. Raises SerializationFailed if that is damaged."""
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
    """The slots of a stop that were in the middle of an effect. Raises SerializationFailed if damaged."""
    told = record.doubtful
    if told is None:
        return []
    if not isinstance(told, list | tuple):
        raise SerializationFailed("a journal record holds no list where slots must stand")
    return [_integer(slot) for slot in told]


def error_of(value: object) -> ErrorTuple | None:
    """A field that holds an error or nothing."""
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) >= 3:
        code, message, hint = value[:3]
        return str(code), str(message), None if hint is None else str(hint)
    raise SerializationFailed("a journal record holds no error where one is required")


class Reused(msgspec.Struct, frozen=True, array_like=True):
    """A result that a run takes from another.

    `outputs`: an encoded map of sealed values; `taken`: the branch; `run`: the id of where it ran, as the
    step `name`; None if it is known by its name.
    """

    outputs: bytes
    taken: str | None
    run: str
    name: str | None = None


_reused = msgspec.msgpack.Decoder(Reused)


def encode_reused(result: Reused) -> bytes:
    """The result as the journal keeps it."""
    return _encoder.encode(result)


def decode_reused(body: bytes) -> Reused:
    """A result that the journal keeps. Raises SerializationFailed if it is damaged."""
    try:
        return _reused.decode(body)
    except msgspec.MsgspecError as error:
        raise SerializationFailed(f"a reused result in the journal is damaged: {error}") from error
