"""What the journal holds: one short tuple for each event of a run, batched as MessagePack. Pure.

A record is `(code, slot, at, *rest)`; `at` is epoch seconds. The rest depends on the code:

| code | rest |
|---|---|
| BEGUN, RESUMED | owner's process id |
| STARTED | attempt |
| FINISHED | started_at, outputs (map, difference; None: derived), branch, run of a cache hit, usage, flag |
| FAILED | started_at, error (code, message, hint), final or UNHANDLED, usage, values of `on_error` |
| SKIPPED, SUSPENDED | error or None |
| EXPANDED | count |
| CANCELLED | usage |
| RETRY_DUE, AGAIN, CANCEL | nothing |
| ENDED | status, outputs (encoded map), error with node |
| OPENED | round of a loop or None, a loop's state or a workflow's inputs (encoded map or a difference) |
| PARKED | the moment until which the slot waits, epoch seconds |
| ASKED | what a person is asked, the moment until which to answer or None |
| EXPIRED, PAUSED | nothing |

Readers take what they know of a record: later versions may add fields at its end.

A difference, a list in place of bytes, is that of `changes` from the state of the round that the slot
runs in, and of a state from that of the round before.

The flag stands on fan-outs whose results are not kept, for they are quicker to run again.

Usage of models, and after it the values that `on_error` gave, stand last and only where there are
some. Usage is (calls, tokens in, tokens out, of these cached, cost as text or None, currency or None,
is it estimated).
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.ports.models import Usage

Record: TypeAlias = tuple[object, ...]
ErrorTuple: TypeAlias = tuple[str, str, str | None]


class Code(IntEnum):
    """The kinds of record."""

    BEGUN = 0
    STARTED = 1
    FINISHED = 2
    FAILED = 3
    SKIPPED = 4
    RETRY_DUE = 5
    EXPANDED = 6
    SUSPENDED = 7
    AGAIN = 8
    CANCEL = 9
    CANCELLED = 10
    RESUMED = 11
    ENDED = 12
    OPENED = 13
    PARKED = 14
    ASKED = 15
    EXPIRED = 16
    PAUSED = 17


UNHANDLED = 2
"""In place of `final`: the failure is the last one, and what `on_error` says could not be done."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[object, ...]])


def encode_batch(records: list[Record]) -> bytes:
    """One blob for the records of one commit."""
    return _encoder.encode(records)


def decode_batch(body: bytes) -> Iterator[Record]:
    """The records of one blob. Raises SerializationFailed if it is damaged."""
    try:
        yield from _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise SerializationFailed(f"a batch of the journal is damaged: {error}") from error


_USAGE_AT: dict[object, int] = {Code.FINISHED: 7, Code.FAILED: 6, Code.CANCELLED: 3}

_QUICK_AT = 8


def with_usage(record: Record, usage: Usage | None) -> Record:
    """The record with what its attempt used up, if anything."""
    if usage is None:
        return record
    cost = None if usage.cost is None else str(usage.cost)
    counts = (usage.calls, usage.tokens_in, usage.tokens_out, usage.tokens_cached)
    return (*record, (*counts, cost, usage.currency, usage.estimated))


def with_quick(record: Record) -> Record:
    """The record of a fan-out, without usage, whose results are not kept: it is quicker to run again."""
    return (*record, None, True)


def is_quick(record: Record) -> bool:
    """Does the record say that it is quicker to run again than to look up?"""
    return len(record) > _QUICK_AT and bool(record[_QUICK_AT])


def usage_of(record: Record) -> Usage | None:
    """What the record's attempt used up. Raises SerializationFailed if that is damaged."""
    at = _USAGE_AT.get(record[0])  # a code is an integer, and found by one
    if at is None or len(record) <= at:
        return None
    told = record[at]
    if told is None:
        return None
    if not isinstance(told, list | tuple) or len(told) < 7:
        raise SerializationFailed("a journal record holds no usage where it must stand")
    calls, read, written, cached, cost, currency, estimated = told[:7]
    try:
        money = None if cost is None else Decimal(str(cost))
    except ArithmeticError as error:
        raise SerializationFailed("a journal record holds no amount where a cost must stand") from error
    return Usage(
        calls=integer(calls),
        tokens_in=integer(read),
        tokens_out=integer(written),
        tokens_cached=integer(cached),
        cost=money,
        currency=None if currency is None else str(currency),
        estimated=bool(estimated),
    )


def with_instead(record: Record, instead: bytes | None) -> Record:
    """A failure's record with the values that stand in for the outputs, if there are any."""
    if instead is None:
        return record
    return (*record, instead) if len(record) > _USAGE_AT[Code.FAILED] else (*record, None, instead)


def instead_of(record: Record) -> bytes | None:
    """The values that stand in after a failure. Raises SerializationFailed if they are damaged."""
    at = _USAGE_AT[Code.FAILED] + 1
    if len(record) <= at:
        return None
    told = record[at]
    if not isinstance(told, bytes):
        raise SerializationFailed("a journal record holds no values where they must stand")
    return told


def number(value: object) -> float:
    """A field that must be a number."""
    if isinstance(value, int | float):
        return float(value)
    raise SerializationFailed(f"a journal record holds {type(value).__name__} in place of a number")


def integer(value: object) -> int:
    """A field that must be an integer."""
    if isinstance(value, int):
        return value
    raise SerializationFailed(f"a journal record holds {type(value).__name__} in place of an integer")


def error_of(value: object) -> ErrorTuple | None:
    """A field that holds an error or nothing."""
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) >= 3:
        code, message, hint = value[:3]
        return str(code), str(message), None if hint is None else str(hint)
    raise SerializationFailed("a journal record holds no error where one must stand")


class Reused(msgspec.Struct, frozen=True, array_like=True):
    """A result that a run takes from another.

    `outputs`: an encoded map of sealed values; `taken`: the branch; `run`: the id of where it ran.
    """

    outputs: bytes
    taken: str | None
    run: str


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
