"""The envelope that every message between parts of Symphony travels in. Values; no I/O.

Fields are only ever added, at the end and with a default: then an older receiver skips them and
a newer one fills them in (see `codecs` for which codec allows that).
"""

from typing import TYPE_CHECKING, Annotated, NewType, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.integers import INTEGER_MAX

if TYPE_CHECKING:
    from symphony.ports.values import Value
else:
    Value = object  # msgspec cannot tell text from bytes in a union; the codecs check values themselves

MessageId = NewType("MessageId", str)
"""A UUID of version 7 in its usual 36 characters, lower case: sorts by time within one sender."""

EndpointId = NewType("EndpointId", str)
"""The name of an endpoint, such as `tracker` or `editor.1`."""

NAME_CHARACTERS_MAX = 255
_ID_CHARACTERS = 36
_Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=_ID_CHARACTERS, max_length=_ID_CHARACTERS)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS_MAX)]
_Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


class MessageHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The header of a message: sender, recipient, type and time.

    `timestamp` is in nanoseconds since the Unix epoch, UTC. `correlation_id` is the id of the
    message that this one answers or belongs to. `recipient` may be empty where the message goes
    to all listeners.
    """

    message_id: _Id
    message_type: _Name
    timestamp: _Nanoseconds
    sender: _Name
    recipient: _Name = ""
    correlation_id: _Id | None = None


class RequestPayload(msgspec.Struct, frozen=True, array_like=True, tag="request"):
    """A request to run `method` and answer. The sender stops waiting after `timeout_s` seconds; None:
    never.
    """

    method: str
    arguments: Value = None
    timeout_s: float | None = None


class ResponsePayload(msgspec.Struct, frozen=True, array_like=True, tag="response"):
    """The result of the request that the header's `correlation_id` names."""

    result: Value = None


class EventPayload(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """Something happened. `sequence` counts the events of a topic that can be replayed, from 1."""

    topic: str
    data: Value = None
    sequence: _Count | None = None


class ErrorPayload(msgspec.Struct, frozen=True, array_like=True, tag="error"):
    """The request that `correlation_id` names failed: a `SymphonyError`, field by field."""

    code: str
    message: str
    details: Value = None
    hint: str | None = None

    def as_error(self) -> SymphonyError:
        """To raise on this side what failed on the other; its code is kept, its class is not."""
        details = self.details if isinstance(self.details, dict) else None
        return SymphonyError(self.message, code=self.code, details=details, hint=self.hint)


Payload: TypeAlias = RequestPayload | ResponsePayload | EventPayload | ErrorPayload


class MessageEnvelope(msgspec.Struct, frozen=True, array_like=True):
    """One message."""

    header: MessageHeader
    payload: Payload
