"""Envelopes as bytes: JSON to be read by people, MessagePack for everything else. Pure.

| codec | fields unknown to the receiver | fields that the sender did not know |
|---|---|---|
| `msgpack` | skipped | get their defaults |
| `json` | skipped | get their defaults |
| `bincode` | refused, for nothing marks where they end | refused |

Every codec carries every envelope without loss and refuses, with `SerializationFailed`, what is
none; after that nothing of the envelope has been used.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import astuple

from symphony.commons.errors import SerializationFailed
from symphony.ipc import values
from symphony.ipc.envelope import (
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    Payload,
    RequestPayload,
    ResponsePayload,
)
from symphony.ports.values import Value

T = TypeVar("T")
Body: TypeAlias = bytes | bytearray | memoryview
"""The types of encoded bytes that a connection gives."""


class EnvelopeCodec(Protocol):
    """One way to write envelopes. Stateless: one object serves all connections."""

    @property
    def name(self) -> str:
        """Return the name by which two sides agree on the codec."""
        ...

    def encode(self, envelope: MessageEnvelope) -> bytes:
        """Return the bytes of `envelope`. Raises SerializationFailed for what no codec carries."""
        ...

    def decode(self, body: Body) -> MessageEnvelope:
        """Return the envelope in `body`, and nothing after it. Raises SerializationFailed."""
        ...


class MessagePackCodec:
    """The default: small, fast, and open to fields of the future."""

    name: Final = "msgpack"

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(MessageEnvelope).decode

    def encode(self, envelope: MessageEnvelope) -> bytes:
        """See `EnvelopeCodec.encode`."""
        try:
            _check(envelope.payload)
            return self._encode(envelope)
        except _BROKEN as error:
            raise _unsendable(error) from error

    def decode(self, body: Body) -> MessageEnvelope:
        """See `EnvelopeCodec.decode`."""
        try:
            envelope = self._decode(body)
            _check(envelope.payload)
            return envelope
        except _BROKEN as error:
            raise _broken(error) from error


class JsonCodec:
    """Readable, for people and for programs in other languages: objects with the fields' names.

    Bytes are spelled `{"$bytes": base64}`, as in workflow files.
    """

    name: Final = "json"

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_JsonEnvelope).decode

    def encode(self, envelope: MessageEnvelope) -> bytes:
        """See `EnvelopeCodec.encode`."""
        try:
            heads, payload = astuple(envelope.header), envelope.payload
            header = _JsonHeader(*heads)
            if type(payload) not in _TO_JSON:
                raise _foreign(payload)
            (made, free), fields = _TO_JSON[type(payload)], astuple(payload)
            if not _FIXED.issuperset(map(type, (*heads, *fields[:free], *fields[free + 1 :]))):
                raise _unsendable(TypeError("a name, a time or a number is of another type"))
            if values.is_json(fields[free]) and (made is not _JsonRequest or values.is_json(fields[2])):
                body = self._encode(_JsonEnvelope(header, made(*fields)))
                if _DOLLAR not in body:
                    return body  # no key needs spelling either
            _check(payload)
            return self._encode(_JsonEnvelope(header, made(*_respelled(fields, free, values.spelled))))
        except _BROKEN as error:
            raise _unsendable(error) from error

    def decode(self, body: Body) -> MessageEnvelope:
        """See `EnvelopeCodec.decode`."""
        try:
            found = self._decode(body)
            made, free = _FROM_JSON[type(found.payload)]
            fields = astuple(found.payload)
            whole = body if isinstance(body, bytes) else bytes(body)
            if _DOLLAR in whole or (_BACKSLASH in whole and b"\\u0024" in whole):
                fields = _respelled(fields, free, values.unspelled)
            payload = made(*fields)
            _check(payload)
            return MessageEnvelope(MessageHeader(*astuple(found.header)), payload)
        except _BROKEN as error:
            raise _broken(error) from error


def _respelled(fields: tuple[Value, ...], free: int, spell: Callable[[Value], T]) -> tuple[Value | T, ...]:
    """Return `fields` with the free one spelled otherwise."""
    return (*fields[:free], spell(fields[free]), *fields[free + 1 :])


_DOLLAR, _BACKSLASH = b"$\\"
"""The characters as numbers, which are found in bytes ten times as fast."""


_FIXED = frozenset({str, int, float, type(None)})
"""What fields of fixed types may hold; other types, such as dates, the encoder would turn into text."""


class _JsonHeader(MessageHeader, frozen=True, array_like=False, gc=False): ...


class _JsonRequest(RequestPayload, frozen=True, array_like=False, tag="request"): ...


class _JsonResponse(ResponsePayload, frozen=True, array_like=False, tag="response"): ...


class _JsonEvent(EventPayload, frozen=True, array_like=False, tag="event"): ...


class _JsonError(ErrorPayload, frozen=True, array_like=False, tag="error"): ...


class _JsonEnvelope(msgspec.Struct, frozen=True):
    header: _JsonHeader
    payload: _JsonRequest | _JsonResponse | _JsonEvent | _JsonError


_TO_JSON = {
    RequestPayload: (_JsonRequest, 1),
    ResponsePayload: (_JsonResponse, 0),
    EventPayload: (_JsonEvent, 1),
    ErrorPayload: (_JsonError, 2),
}
"""How JSON spells each payload, and which of its fields is a free value."""

_FROM_JSON = {json: (plain, free) for plain, (json, free) in _TO_JSON.items()}


def _check(payload: Payload) -> None:
    """Raises SerializationFailed if the free part of `payload` is not a `Value`."""
    if isinstance(payload, EventPayload):
        values.check(payload.data)
    elif isinstance(payload, ResponsePayload):
        values.check(payload.result)
    elif isinstance(payload, RequestPayload):
        values.check(payload.arguments)
        values.check(payload.timeout_s)
    elif isinstance(payload, ErrorPayload):
        values.check(payload.details)
    else:
        raise _foreign(payload)


def _foreign(payload: object) -> SerializationFailed:
    return SerializationFailed(f"a {type(payload).__name__} is not a message's payload")


class BincodeCodec:
    """For peers written in Rust; see `bincode_form`. Identifiers must be UUIDs."""

    name: Final = "bincode"

    def encode(self, envelope: MessageEnvelope) -> bytes:
        """See `EnvelopeCodec.encode`."""
        try:
            from symphony.ipc import bincode_form

            return bincode_form.encode(envelope)
        except _BROKEN as error:
            raise _unsendable(error) from error

    def decode(self, body: Body) -> MessageEnvelope:
        """See `EnvelopeCodec.decode`."""
        from symphony.ipc import bincode_form

        return bincode_form.decode(body)


_BROKEN = (ValueError, TypeError, RecursionError, OverflowError)
"""What msgspec raises: for values it cannot write, for bytes that are not what they should be."""


def _unsendable(error: Exception) -> SerializationFailed:
    return SerializationFailed(f"a message cannot be sent: {error}")


def _broken(error: Exception) -> SerializationFailed:
    return SerializationFailed(f"a message is broken: {error}")


CODECS: Final[dict[str, EnvelopeCodec]] = {
    codec.name: codec for codec in (MessagePackCodec(), JsonCodec(), BincodeCodec())
}
"""Every codec of this version by its name, the preferred first."""
