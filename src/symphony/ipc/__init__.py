"""How Symphony's processes talk to each other: envelopes, codecs, frames.

`transports` carries them, `jsonrpc` speaks with editors and language servers.
"""

from symphony.ipc.codecs import CODECS, EnvelopeCodec
from symphony.ipc.envelope import (
    EndpointId,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    MessageId,
    Payload,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.stationery import Stationery

__all__ = [
    "CODECS",
    "EndpointId",
    "EnvelopeCodec",
    "ErrorPayload",
    "EventPayload",
    "MessageEnvelope",
    "MessageHeader",
    "MessageId",
    "Payload",
    "RequestPayload",
    "ResponsePayload",
    "Stationery",
]
