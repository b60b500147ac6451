"""A member of a bus that keeps to no rules."""

import asyncio
import contextlib

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.bus.core.registry import BEAT_S
from symphony.commons.errors import SymphonyError
from symphony.ipc import (
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ipc.envelope import EndpointId, Payload
from symphony.ipc.transports import Channel, Connection, TransportConfig, connect
from symphony.ports.values import Value


class Stranger:
    """A member that says what it likes, and gives life signs meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self._channel = connection, Channel(connection)
        self._senders: dict[str, Stationery] = {}
        self._beating = asyncio.ensure_future(self._beat())

    @classmethod
    async def at(cls, address: str) -> "Stranger":
        """Connected, and nothing said yet."""
        return cls(await connect(address, TransportConfig()))

    async def says(
        self,
        payload: Payload,
        *,
        kind: str = "x",
        sender: str = "stranger",
        recipient: str = "",
        correlation_id: str | None = None,
    ) -> None:
        stationery = self._senders.setdefault(sender, Stationery(EndpointId(sender)))
        await self._channel.send(
            stationery.envelope(kind, payload, recipient=recipient, correlation_id=correlation_id)
        )

    async def hears(self, kind: str) -> MessageEnvelope:
        """The next message of this type, after others."""
        async with asyncio.timeout(PATIENCE_S):
            while (envelope := await self._channel.receive()).header.message_type != kind:
                pass
            return envelope

    async def asks(self, method: str, arguments: Value) -> Payload:
        """What the hub answers about the connection."""
        await self.says(RequestPayload(method, arguments), kind=method, recipient="bus.link")
        return (await self.hears(method)).payload

    async def registers(self, name: str) -> None:
        answer = await self.asks("bus.link.register", {"name": name, "serves": [], "capabilities": []})
        assert isinstance(answer, ResponsePayload)

    async def is_cut_off(self) -> SymphonyError:
        """Why, as it is told."""
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(SymphonyError) as end:
                while True:
                    await self._channel.receive()
            await self.connection.closed()
        await self._beating
        return end.value

    async def leaves(self) -> None:
        await self.connection.close()
        await self._beating

    async def _beat(self) -> None:
        with contextlib.suppress(SymphonyError):
            while True:
                await self.says(EventPayload("bus.link.beat"))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.connection.closed(), BEAT_S)
