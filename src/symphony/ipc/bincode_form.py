"""Envelopes as Bincode: byte for byte what Rust's bincode 1.3 makes of the same structures. Pure.

Identifiers are UUIDs there (a length of 16, then the bytes), the timestamp is a `SystemTime`, the
payload an enum, free values an enum too (see `symphony.commons.bincode`). Maps are sorted by key,
so that equal envelopes have equal bytes. Loaded when first used: compiling takes milliseconds.
"""

from typing import TypeAlias

import msgspec

from symphony.commons.bincode import U64, Codec, Finite, Nanoseconds, Plain
from symphony.commons.errors import SerializationFailed
from symphony.ipc.envelope import (
    NAME_CHARACTERS_MAX,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.values import DEPTH_MAX, INTEGER_MAX

_ID_BYTES = 16


class _Header(msgspec.Struct):
    message_id: bytes
    message_type: str
    timestamp: Nanoseconds
    correlation_id: bytes | None
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


_Payload: TypeAlias = _Request | _Response | _Event | _Error


class _Envelope(msgspec.Struct):
    header: _Header
    payload: _Payload


_codec: Codec[_Envelope] = Codec(_Envelope, depth_max=DEPTH_MAX)
_OF = {RequestPayload: _Request, ResponsePayload: _Response, EventPayload: _Event, ErrorPayload: _Error}
_TO = {there: here for here, there in _OF.items()}


def encode(envelope: MessageEnvelope) -> bytes:
    """The bytes of `envelope`. Raises SerializationFailed, and what a value of a wrong type raises."""
    asked = envelope.header
    header = _Header(
        _id_bytes(asked.message_id),
        asked.message_type,
        asked.timestamp,
        None if asked.correlation_id is None else _id_bytes(asked.correlation_id),
        asked.sender,
        asked.recipient,
    )
    payload = envelope.payload
    return _codec.encode(_Envelope(header, _OF[type(payload)](*msgspec.structs.astuple(payload))))


def decode(body: bytes | bytearray | memoryview) -> MessageEnvelope:
    """The envelope in `body`. Raises SerializationFailed."""
    found = _codec.decode(body)
    said = found.header
    names = (said.message_type, said.sender, said.recipient)
    sequence = found.payload.sequence if isinstance(found.payload, _Event) else None
    if max(map(len, names)) > NAME_CHARACTERS_MAX or max(said.timestamp, sequence or 0) > INTEGER_MAX:
        raise SerializationFailed("a message is broken: a field of its header is out of bounds")
    header = MessageHeader(
        _id_text(said.message_id),
        said.message_type,
        said.timestamp,
        said.sender,
        said.recipient,
        None if said.correlation_id is None else _id_text(said.correlation_id),
    )
    return MessageEnvelope(header, _TO[type(found.payload)](*msgspec.structs.astuple(found.payload)))


def _id_bytes(text: str) -> bytes:
    """Raises SerializationFailed for what is no UUID, or not written in the usual way."""
    try:
        body = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        body = b""
    if len(body) != _ID_BYTES or _id_text(body) != text:
        raise SerializationFailed(f"{text!r:.50} is no UUID in lower case")
    return body


def _id_text(body: bytes) -> str:
    if len(body) != _ID_BYTES:
        raise SerializationFailed(f"an identifier of {len(body)} bytes, where {_ID_BYTES} are due")
    digits = body.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
