"""Makes messages to send, with an id and the time. Reads the clock; no other I/O."""

from collections.abc import Callable

from symphony.commons.moments import nanoseconds
from symphony.commons.time import SortableIds, SystemClock, random_bits
from symphony.ipc.envelope import (
    EndpointId,
    ErrorPayload,
    MessageEnvelope,
    MessageHeader,
    Payload,
    ResponsePayload,
)

_system_now_s = SystemClock().now_s


class Stationery:
    """Makes the envelopes of one sender: ids that increase, and the time of making."""

    def __init__(
        self,
        sender: EndpointId,
        *,
        now_s: Callable[[], float] = _system_now_s,
        random_bits: Callable[[int], int] = random_bits,
    ) -> None:
        """`now_s` gives seconds since the Unix epoch, `random_bits(n)` a number of n random bits."""
        self._sender = sender
        self._now_s = now_s
        self._id_at = SortableIds(now_s, random_bits).at

    def envelope(
        self, message_type: str, payload: Payload, *, recipient: str = "", correlation_id: str | None = None
    ) -> MessageEnvelope:
        """Return a message of this sender, now."""
        now_s = self._now_s()
        header = MessageHeader(
            self._id_at(now_s), message_type, nanoseconds(now_s), self._sender, recipient, correlation_id
        )
        return MessageEnvelope(header, payload)

    def answer(self, request: MessageEnvelope, payload: ResponsePayload | ErrorPayload) -> MessageEnvelope:
        """Return the answer to `request`: back to its sender, with its id."""
        asked, now_s = request.header, self._now_s()
        header = MessageHeader(
            self._id_at(now_s), asked.message_type, nanoseconds(now_s), self._sender, asked.sender,
            asked.message_id,
        )  # fmt: skip
        return MessageEnvelope(header, payload)
