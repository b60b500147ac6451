"""The messages between a model's process and its supervisor: MessagePack in frames. No I/O.

The child speaks first: `ModelReady`, or `ModelRefused` when it cannot load its model. Then each
`Invoke` gets exactly one `CallOutputs` or `CallFailure` with its id, a cancelled one too. A `Ping` is
answered by a `Pong` at any time, also while the child loads its model or computes.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.ipc.frames import FRAME_BYTES_MAX, frame
from symphony.ipc.values import check
from symphony.ports.values import Value

CANCELLED = "cancelled"
"""Code of the `CallFailure` that answers a cancelled call."""


class Invoke(msgspec.Struct, frozen=True, tag="invoke"):
    """Run the model. `id` is chosen by the supervisor, ascending."""

    id: int
    inputs: msgspec.Raw
    config: msgspec.Raw


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop working on call `id` soon; unknown ids are ignored."""

    id: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Are you there?"""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The child is there. `cpu_s`: the processor time that it has used, in all its threads, seconds.

    `steps` increases whenever the model, within a call, shows that it gets on.
    """

    cpu_s: float
    steps: int


class ModelReady(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded."""

    pid: int


class ModelRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The model cannot be loaded, and trying again will not help; the child ends."""

    message: str
    hint: str | None = None


class CallOutputs(msgspec.Struct, frozen=True, tag="answer"):
    """The output ports of call `id`."""

    id: int
    outputs: msgspec.Raw


class CallFailure(msgspec.Struct, frozen=True, tag="failure"):
    """Call `id` failed; the child goes on."""

    id: int
    code: str
    message: str
    hint: str | None = None


ToChild: TypeAlias = Invoke | Cancel | Ping
FromChild: TypeAlias = ModelReady | ModelRefused | CallOutputs | CallFailure | Pong

_BROKEN = (ValueError, RecursionError)
"""What msgspec raises for bytes that are not what they should be."""

_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


def pack(message: ToChild | FromChild, *, limit: int = FRAME_BYTES_MAX) -> bytes:
    """Return `message` as one frame. Raises FrameTooLarge."""
    return frame(_encoder.encode(message), limit=limit)


def pack_values(values: Mapping[str, Value]) -> msgspec.Raw:
    """Ports with their values, ready to go into a message.

    Raises SerializationFailed for something that is not a `Value`: a surrogate in a string, an integer
    beyond 64 bits, a number that is not finite, an object.
    """
    try:
        check(dict(values))
        return msgspec.Raw(_encoder.encode(values))
    except (SerializationFailed, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SerializationFailed(f"a value cannot be sent to a model: {error}") from error


def unpack_values(raw: msgspec.Raw) -> dict[str, Value]:
    """The reverse of `pack_values`. Raises SerializationFailed."""
    try:
        values: dict[str, Value] = msgspec.msgpack.decode(raw)
    except _BROKEN as error:
        raise SerializationFailed(f"a value from another process is broken: {error}") from error
    if not isinstance(values, dict):
        raise SerializationFailed("a message from another process has no ports")
    return values


def unpack_to_child(body: bytes) -> ToChild:
    """Return a message for the child. Raises SerializationFailed."""
    try:
        return _to_child.decode(body)
    except _BROKEN as error:
        raise SerializationFailed(f"a message to a model is broken: {error}") from error


def unpack_from_child(body: bytes) -> FromChild:
    """Return a message for the supervisor. Raises SerializationFailed."""
    try:
        return _from_child.decode(body)
    except _BROKEN as error:
        raise SerializationFailed(f"a message from a model is broken: {error}") from error
