"""Communication between Symphony's processes: envelopes, codecs, frames.

`transports` carries them, `jsonrpc` speaks with editors and language servers. Names load when first
used: a command that only spells values makes no codecs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_MODULES = {
    "CODECS": "codecs",
    "EndpointId": "envelope",
    "EnvelopeCodec": "codecs",
    "ErrorPayload": "envelope",
    "EventPayload": "envelope",
    "MessageEnvelope": "envelope",
    "MessageHeader": "envelope",
    "MessageId": "envelope",
    "Payload": "envelope",
    "RequestPayload": "envelope",
    "ResponsePayload": "envelope",
    "Stationery": "stationery",
}

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


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
