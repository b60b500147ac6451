"""A bus that many processes share through a NATS server: the same endpoints, topics and requests.

Events go over `PREFIX.event.TOPIC`; queue groups are those of NATS. How endpoints find each other
is in `nats_link`.

Each subscription of the bus is one of NATS. Events go out in the order of their publishing and
arrive so; those of two publishers may arrive in two orders. While the server is away, what is
sent waits, up to a bound; an event on its way then may be lost unless its topic is durable.
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import SlowConsumerError

from symphony.bus.adapters.nats_connection import (
    FAILURES,
    NatsConfig,
    check_size,
    connected,
    in_force,
    unavailable,
)
from symphony.bus.adapters.nats_durable import Handle, Store
from symphony.bus.adapters.nats_link import NatsLink, ended, served
from symphony.bus.bus import Bus
from symphony.bus.core.registry import EndpointEntry
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Subscription
from symphony.bus.core.topics import check_topic
from symphony.bus.errors import EndpointBusy, EndpointLost
from symphony.bus.exchange import JOINED, LEFT, Exchange
from symphony.commons.errors import SymphonyError
from symphony.ipc import CODECS, EventPayload, MessageEnvelope, RequestPayload

_logger = logging.getLogger(__name__)

WAITING_MAX: Final = 4096
"""The most messages that wait to be written; beyond that, publishers wait and requests are refused."""
_UNWRITTEN_BYTES_MAX: Final = 1 << 20
"""The most bytes that may wait in the client library."""
_TOPICS_MAX: Final = 4096
_PENDING_BYTES_MAX: Final = 64 * 1024 * 1024

_LEAVE_S: Final = 5.0
"""The longest time that closing waits for unsent messages."""

_Outgoing = tuple[str, MessageEnvelope, str]


class NatsUplink:
    """This process's part of the bus on a NATS server: an `Uplink`. Made by `join_nats`."""

    def __init__(self, exchange: Exchange, config: NatsConfig) -> None:
        self._exchange, self._config = exchange, config
        self._codec = CODECS["msgpack"]
        self._out: deque[_Outgoing] = deque()
        self._wake, self._room, self._written_out = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._durable: dict[str, bool] = {}
        self._subscribed: dict[Subscription, NatsSubscription] = {}
        self._owners: dict[int, Subscription] = {}
        self._store: Store | None = None
        self._link = NatsLink(exchange, config.prefix, self._post)

    async def open(self) -> None:
        """Connect, and become the way of the bus. Raises NatsUnavailable, StoreRefused, ConfigInvalid."""
        self._events = await self._connect("events", no_echo=False)
        try:
            self._calls = await self._connect("calls", no_echo=True)
        except BaseException:
            await self._events.close()
            raise
        try:
            self._store = Store(self._events, self._config, self._exchange.clock)
            await self._store.open()
            await self._link.open(self._calls)
            for endpoint in self._exchange.endpoints():
                entry = self._exchange.registry.find(endpoint.name)
                assert entry is not None
                await self._link.claim(entry)
            for subscription in tuple(self._exchange.router.subscriptions()):
                await self.subscribe(subscription, None)
        except BaseException as error:
            await self._link.stop()
            await self._disconnect()
            if isinstance(error, FAILURES):
                raise unavailable(error) from error
            raise
        self._exchange.uplink = self
        self._exchange.interest_changed()
        self._link.own(self._write(), "nats writer")

    async def close(self) -> None:
        """Leave; what waits to be written goes out first. The bus goes on within this process."""
        if self._exchange.uplink is self:
            self._exchange.uplink = None
            self._exchange.interest_changed()
        if self._calls.is_connected and self._events.is_connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await self._all_written()
                    if self._store is not None:
                        await self._store.storing.settled()
                    await self._link.leave()
        await self._link.stop()
        await self._disconnect()

    async def consume(self, pattern: str, consumer: str, handle: Handle, *, ack_wait_s: float = 30.0) -> None:
        """Durable events, each acknowledged after `handle`; see `Store.consume`."""
        assert self._store is not None
        await self._store.consume(pattern, consumer, handle, ack_wait_s=ack_wait_s)

    # Events.

    def try_publish(self, envelope: MessageEnvelope) -> bool:
        """See `Uplink`. An event of a durable topic is stored soon; `publish` waits until it is."""
        topic, durable = self._topic(envelope)
        if durable:
            assert self._store is not None
            if self._store.storing.full:
                return False
            self._store.offer(topic, envelope).add_done_callback(_not_stored)
            return True
        if len(self._out) >= WAITING_MAX:
            return False
        self._post(self._link.subject(f"event.{topic}"), envelope, "")
        return True

    async def publish(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`. Raises StoreRefused where the topic is durable."""
        topic, durable = self._topic(envelope)
        if durable:
            assert self._store is not None
            await self._store.publish(topic, envelope)
            return
        while len(self._out) >= WAITING_MAX:
            self._room.clear()
            await self._room.wait()
        self._post(self._link.subject(f"event.{topic}"), envelope, "")

    def _topic(self, envelope: MessageEnvelope) -> tuple[str, bool]:
        """Its topic, and whether that is stored. Raises ValidationFailed."""
        assert isinstance(envelope.payload, EventPayload)
        topic = envelope.payload.topic
        durable = self._durable.get(topic)
        if durable is None:
            check_topic(topic)
            assert self._store is not None
            if len(self._durable) >= _TOPICS_MAX:
                self._durable.clear()
            durable = self._durable[topic] = self._store.durable(topic)
        return topic, durable

    async def subscribe(self, subscription: Subscription, replay: Replay | None) -> None:
        """See `Uplink`. Replayed is what is stored: events of durable topics."""
        assert self._store is not None
        past_ids: set[str] = set()
        ready = asyncio.Event()

        async def deliver(message: Msg) -> None:
            await ready.wait()
            envelope = None if served(message, subscription.group) else self._link.read(message)
            if envelope is None or envelope.header.message_id in past_ids:
                return
            if subscription.blocking and subscription.room is not None and subscription.full():
                await subscription.room()
            self._exchange.give(subscription, envelope)

        try:
            found = await self._events.subscribe(
                self._link.subject(f"event.{subscription.pattern}"),
                queue=subscription.group or "",
                cb=deliver,
                pending_bytes_limit=_PENDING_BYTES_MAX,
            )
            self._subscribed[subscription] = found
            self._owners[id(found)] = subscription
            await in_force(self._events)
            self._link.want({one.pattern for one in self._subscribed})
            if replay is not None:
                for envelope in await self._store.past(subscription.pattern, replay):
                    past_ids.add(envelope.header.message_id)
                    self._exchange.give(subscription, envelope)
        except FAILURES as error:
            self.unsubscribe(subscription)
            raise unavailable(error) from error
        except BaseException:
            self.unsubscribe(subscription)
            raise
        ready.set()

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Uplink`."""
        found = self._subscribed.pop(subscription, None)
        if found is not None:
            self._owners.pop(id(found), None)
            self._link.own(ended(found), "nats unsubscribe")
            self._link.want({one.pattern for one in self._subscribed})

    def wants(self, topic: str) -> bool:
        """See `Uplink`. Somebody may: the server does not say."""
        return True

    def patterns(self) -> set[str]:
        """See `Uplink`."""
        return {">"}

    # Endpoints.

    async def register(self, entry: EndpointEntry) -> None:
        """See `Uplink`."""
        await self._link.claim(entry)
        self._link.announce(JOINED, {"name": entry.name, "capabilities": list(entry.capabilities)})

    def unregister(self, name: str) -> None:
        """See `Uplink`."""
        self._link.withdraw(name)
        self._link.announce(LEFT, {"name": name, "reason": "it has been closed"})

    def forward(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`."""
        if isinstance(envelope.payload, RequestPayload) and len(self._out) >= WAITING_MAX:
            self._exchange.refuse(envelope, EndpointBusy("the NATS server does not take more"))
            return
        self._link.forward(envelope)

    def _post(self, subject: str, envelope: MessageEnvelope, reply: str) -> None:
        self._out.append((subject, envelope, reply))
        self._wake.set()

    # What leaves.

    async def _write(self) -> None:
        out = self._out
        while True:
            self._wake.clear()
            while out:
                subject, envelope, reply = out[0]  # it is there until it is written
                try:
                    body = self._codec.encode(envelope)
                    event = type(envelope.payload) is EventPayload and not envelope.header.recipient
                    await self._written(self._events if event else self._calls, subject, body, reply)
                except SymphonyError as error:
                    _logger.warning("a message for %s is lost: %s", subject, error)
                    self._exchange.refuse(envelope, error)
                out.popleft()
                self._room.set()
            self._written_out.set()
            await self._wake.wait()

    async def _all_written(self) -> None:
        while self._out:
            self._written_out.clear()
            await self._written_out.wait()

    async def _written(self, client: Client, subject: str, body: bytes, reply: str) -> None:
        check_size(client, body)
        while True:
            if client.is_connected:
                try:
                    await client.publish(subject, body, reply=reply)
                    break
                except FAILURES:
                    pass
            if client.is_closed:
                raise EndpointLost("the connection to NATS is closed")
            await self._exchange.clock.sleep(self._config.again_s)
        if client.pending_data_size > _UNWRITTEN_BYTES_MAX:
            with contextlib.suppress(*FAILURES):
                await in_force(client)  # the server has to take some first

    # The connections.

    async def _connect(self, part: str, *, no_echo: bool) -> Client:
        async def failed(error: Exception) -> None:
            if isinstance(error, SlowConsumerError) and (one := self._owners.get(id(error.sub))) is not None:
                self._exchange.metrics.dropped(
                    one.owner, error.subject.removeprefix(self._link.subject("event."))
                )
            else:
                _logger.info("NATS: %s", str(error) or type(error).__name__)

        async def back() -> None:
            _logger.info("NATS is back")

        name = f"symphony {part} {self._link.process[:8]}"
        return await connected(self._config, name, no_echo=no_echo, on_error=failed, on_back=back)

    async def _disconnect(self) -> None:
        if self._store is not None:
            await self._store.close()
        await self._events.close()
        await self._calls.close()


def _not_stored(stored: asyncio.Future[None]) -> None:
    if not stored.cancelled() and (error := stored.exception()) is not None:
        _logger.warning("an event is lost: %s", error)


async def join_nats(bus: Bus, config: NatsConfig) -> NatsUplink:
    """Make `bus` part of the one on a NATS server until what this gives is closed.

    Raises NatsUnavailable, StoreRefused, ConfigInvalid, EndpointTaken.
    """
    check_topic(config.prefix)
    uplink = NatsUplink(bus.exchange, config)
    await uplink.open()
    return uplink
