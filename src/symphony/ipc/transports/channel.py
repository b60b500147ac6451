"""Envelopes over a connection, in the codec that both sides agreed on."""

from typing import Protocol

from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import MessageEnvelope
from symphony.ipc.transports.connection import Connection


class EnvelopeReceiver(Protocol):
    """A receiver of the messages of a channel."""

    def received(self, envelope: MessageEnvelope) -> None:
        """The next message. A SymphonyError that it raises ends the connection and is told to the peer."""
        ...

    def ended(self, error: SymphonyError | None) -> None:
        """Called once, last: no message will come. None: the peer said so; else why the connection broke."""
        ...


class Channel:
    """Envelopes over a connection. One that cannot be decoded ends it, and both sides are told why."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._codec = connection.codec
        self._receiver: EnvelopeReceiver | None = None

    def try_send(self, envelope: MessageEnvelope) -> bool:
        """Send without waiting, like `Connection.try_send`; SerializationFailed for unsupported values."""
        return self.connection.try_send(self._codec.encode(envelope))

    async def send(self, envelope: MessageEnvelope) -> None:
        """Send, like `Connection.send`. Raises SerializationFailed for unsupported values."""
        await self.connection.send(self._codec.encode(envelope))

    async def receive(self) -> MessageEnvelope:
        """Receive, like `Connection.receive`. A broken message ends the connection: SerializationFailed."""
        body = await self.connection.receive()
        try:
            return self._codec.decode(body)
        except SymphonyError as error:
            self.connection.abort(error)
            raise

    def deliver_to(self, receiver: EnvelopeReceiver) -> None:
        """Have envelopes delivered from now on."""
        self._receiver = receiver
        self.connection.deliver_to(self)

    def received(self, body: bytes) -> None:
        """For the connection."""
        assert self._receiver is not None
        self._receiver.received(self._codec.decode(body))

    def ended(self, error: SymphonyError | None) -> None:
        """For the connection."""
        assert self._receiver is not None
        self._receiver.ended(error)
