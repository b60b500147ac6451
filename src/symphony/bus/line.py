"""A connection between two buses: what is said over it besides messages; it never makes a bus wait."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol

from symphony.bus.exchange import LINK
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.ipc.envelope import (
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.stationery import Stationery
from symphony.ipc.transports import Channel, Connection
from symphony.ports.values import Value

HUB: Final = "bus"
"""The endpoint of the hub itself."""
REGISTER, UNREGISTER = "bus.link.register", "bus.link.unregister"
SUBSCRIBE, UNSUBSCRIBE = "bus.link.subscribe", "bus.link.unsubscribe"
BEAT, CREDIT, INTEREST, GONE = "bus.link.beat", "bus.link.credit", "bus.link.interest", "bus.link.gone"
SUBSCRIBER: Final = "bus.subscriber."
"""Events to one subscription of a member have it, with the subscription's number, as recipient."""

OUTBOX_MAX: Final = 10_000
"""The most messages that wait for a peer to read."""
OUTBOX_BYTES_MAX: Final = 64 * 1024 * 1024
"""The most bytes of these together, not counting the last."""
PUBLISH_WINDOW: Final = 1024
"""Events of a member under way to its hub, not yet taken."""


class PeerSlow(SymphonyError):
    """The other side does not read what it is sent."""

    code = "peer-slow"


class LineOwner(Protocol):
    """The process at this end."""

    def received(self, envelope: MessageEnvelope) -> None: ...
    def roomy(self) -> None:
        """There is room again."""
        ...

    def ended(self, error: SymphonyError | None) -> None: ...


class PeerLine:
    """Messages to one peer, in order, without ever waiting; a bounded number waits for it."""

    def __init__(self, connection: Connection, owner: LineOwner, stationery: Stationery) -> None:
        self.connection = connection
        self._channel = Channel(connection)
        self._owner, self._stationery = owner, stationery
        self._encode = connection.codec.encode
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._over = False

    def open(self) -> None:
        """Deliver to the owner from now on."""
        self._channel.deliver_to(self)

    @property
    def room(self) -> bool:
        """True if a message would go out at once."""
        return not self._outbox and not self._over

    @property
    def overfull(self) -> bool:
        """True if too many messages wait already."""
        return len(self._outbox) >= OUTBOX_MAX or self._outbox_bytes >= OUTBOX_BYTES_MAX

    def post(self, envelope: MessageEnvelope) -> None:
        """Send when there is room. Ends the connection if the peer is too far behind.

        Raises SerializationFailed for what no codec carries.
        """
        if self._over:
            return
        if self._outbox and self.overfull:
            self.connection.abort(
                PeerSlow(f"{len(self._outbox):,} messages of {self._outbox_bytes:,} bytes wait to be read")
            )
            return
        body = self._encode(envelope)
        if self._outbox:
            self._keep(body)
            return
        try:
            if self.connection.try_send(body):
                return
        except SymphonyError:
            if self.connection.open:
                raise
            return  # its end is told to the owner
        self._keep(body)
        self._writing = asyncio.get_running_loop().create_task(self._write(), name="bus line")

    def forward(self, envelope: MessageEnvelope) -> None:
        """Send what others wrote. An answer that cannot be sent is replaced by the error that says why.

        Raises as `post` for anything else.
        """
        try:
            self.post(envelope)
        except SymphonyError as error:
            if type(envelope.payload) is not ResponsePayload:
                raise
            failed = ErrorPayload(error.code, f"the answer cannot be sent: {error.message}", hint=error.hint)
            self.post(MessageEnvelope(envelope.header, failed))

    def tell(self, topic: str, data: Value = None) -> None:
        """Say something about the connection itself."""
        self.post(self._stationery.envelope(topic, EventPayload(topic, data)))

    def answer(self, request: MessageEnvelope, payload: ResponsePayload | ErrorPayload) -> None:
        """Answer what the peer asked about the connection."""
        self.post(self._stationery.answer(request, payload))

    def question(self, method: str, arguments: Value) -> MessageEnvelope:
        """Return a request about the connection, to be posted."""
        return self._stationery.envelope(method, RequestPayload(method, arguments), recipient=LINK)

    async def close(self) -> None:
        """Say goodbye."""
        await self.connection.close()
        await self._stop_writing()

    async def _write(self) -> None:
        try:
            while self._outbox and not self._over:
                await self.connection.drained()
                while self._outbox and self.connection.try_send(self._outbox[0]):
                    self._outbox_bytes -= len(self._outbox.popleft())
        except SymphonyError as error:
            self._outbox.clear()
            self.connection.abort(error)
            return
        if not self._over:
            self._owner.roomy()

    def _keep(self, body: bytes) -> None:
        self._outbox.append(body)
        self._outbox_bytes += len(body)

    async def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    # For the channel.

    def received(self, envelope: MessageEnvelope) -> None:
        """The next message."""
        self._owner.received(envelope)

    def ended(self, error: SymphonyError | None) -> None:
        """No message will come."""
        self._over = True
        self._outbox.clear()
        if self._writing is not None:
            self._writing.cancel()
        self._owner.ended(error)


def fields(value: Value) -> Mapping[str, Value]:
    """Return a mapping. Raises ValidationFailed for anything else."""
    if isinstance(value, dict):
        return value
    raise ValidationFailed("a message about the connection holds no fields")


def text(value: Mapping[str, Value], name: str) -> str:
    """Return a text. Raises ValidationFailed."""
    found = value.get(name)
    if isinstance(found, str):
        return found
    raise ValidationFailed(f"{name!r} is no text", details={"field": name})


def optional_text(value: Mapping[str, Value], name: str) -> str | None:
    """Return a text or nothing. Raises ValidationFailed."""
    return None if value.get(name) is None else text(value, name)


def number(value: Mapping[str, Value], name: str, *, most: int = 1_000_000) -> int:
    """Return an integer in [1, most]. Raises ValidationFailed."""
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= most:
        return found
    raise ValidationFailed(f"{name!r} is not a number from 1 to {most:,}", details={"field": name})


def texts(value: Value, name: str) -> list[str]:
    """Return a list of texts. Raises ValidationFailed."""
    if not isinstance(value, list):
        raise ValidationFailed(f"{name!r} is no list", details={"field": name})
    found = [one for one in value if isinstance(one, str)]
    if len(found) != len(value):
        raise ValidationFailed(f"{name!r} holds something else than texts", details={"field": name})
    return found
