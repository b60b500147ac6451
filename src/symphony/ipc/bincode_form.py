"""Envelopes as Bincode: byte for byte what Rust's bincode 1.3 makes of the same structures. Pure.

Identifiers are UUIDs there (a length of 16, then the bytes), the timestamp is a `SystemTime`, the
payload an enum, free values an enum too (see `symphony.commons.bincode`), whose maps keep the order
of their keys. Loaded when first used: compiling takes milliseconds.
"""

import msgspec

from symphony.commons.bincode import U64, Finite, Nanoseconds, Plain, TypeCodec, UuidText
from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX
from symphony.ipc.envelope import (
    NAME_CHARACTERS_MAX,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.values import DEPTH_MAX


class _Header(msgspec.Struct):
    message_id: UuidText
    message_type: str
    timestamp: Nanoseconds
    correlation_id: UuidText | None
    sender: str
    recipient: str


class _Request(msgspec.Struct):
    method: str
    arguments: Plain
    timeout_s: Finite | None


class _Response(msgspec.Struct):
    result: Plain


class _Event(msgspec.Struct):
    topic: str
    data: Plain
    sequence: U64 | None


class _Error(msgspec.Struct):
    code: str
    message: str
    details: Plain
    hint: str | None


class _Envelope(msgspec.Struct):
    header: _Header
    payload: _Request | _Response | _Event | _Error


_codec: TypeCodec[MessageEnvelope] = TypeCodec(
    _Envelope,
    depth_max=DEPTH_MAX,
    stands_for={
        _Envelope: MessageEnvelope,
        _Header: MessageHeader,
        _Request: RequestPayload,
        _Response: ResponsePayload,
        _Event: EventPayload,
        _Error: ErrorPayload,
    },
)

encode = _codec.encode
"""The bytes of an envelope. Raises SerializationFailed."""


def decode(body: bytes | bytearray | memoryview) -> MessageEnvelope:
    """Return the envelope in `body`. Raises SerializationFailed."""
    found = _codec.decode(body)
    said, payload = found.header, found.payload
    if (
        len(said.message_type) > NAME_CHARACTERS_MAX
        or len(said.sender) > NAME_CHARACTERS_MAX
        or len(said.recipient) > NAME_CHARACTERS_MAX
        or said.timestamp > INTEGER_MAX
        or (type(payload) is EventPayload and (payload.sequence or 0) > INTEGER_MAX)
    ):
        raise SerializationFailed("a message is broken: a field of its header is out of bounds")
    return found
