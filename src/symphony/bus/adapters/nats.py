"""A bus that many processes share through a NATS server: the same endpoints, topics and requests.

| subject | carries |
|---|---|
| `PREFIX.event.TOPIC` | events; queue groups are those of NATS |
| `PREFIX.to.NAME` | requests, answers and cancellations for an endpoint |
| `PREFIX.serves.TYPE` | requests for whoever serves a type; one gets each |
| `PREFIX.claim.NAME` | who comes asks here whether its name is taken |
| `PREFIX.alive`, `PREFIX.gone` | life signs of processes, and names that ended |

Each subscription of the bus is one of NATS. Events go out in the order of their publishing and
arrive so; those of two publishers may arrive in two orders. While the server is away, what is
sent waits, up to a bound; an event on its way then may be lost unless its topic is durable.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import NoRespondersError, SlowConsumerError

from symphony.bus.adapters.nats_connection import FAILURES, NatsConfig, check_size, connected, unavailable
from symphony.bus.adapters.nats_durable import Handle, Store
from symphony.bus.bus import LOST, Bus
from symphony.bus.core.registry import Entry, Pulse
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Subscription
from symphony.bus.core.topics import check_topic
from symphony.bus.errors import EndpointBusy, EndpointLost, EndpointTaken, EndpointUnknown
from symphony.commons.errors import SerializationFailed, SymphonyError, ValidationFailed
from symphony.commons.time import random_bits
from symphony.ipc import CODECS, ErrorPayload, EventPayload, MessageEnvelope, RequestPayload

_logger = logging.getLogger(__name__)

WAITING_MAX: Final = 4096
"""Messages that wait to be written; then publishers wait and requests are refused."""
_CLAIM_S, _PENDING_BYTES_MAX = 2.0, 64 * 1024 * 1024
_NOBODY: Final = "503"

_Outgoing = tuple[str, MessageEnvelope, str]


class NatsUplink:
    """This process's part of the bus on a NATS server: an `Uplink`. Made by `join_nats`."""

    def __init__(self, bus: Bus, config: NatsConfig) -> None:
        self._bus, self._config = bus, config
        self.process = f"{random_bits(128):032x}"
        self._codec = CODECS["msgpack"]
        self._envelope = bus.stationery("bus").envelope
        self._out: asyncio.Queue[_Outgoing] = asyncio.Queue()
        self._to_store: asyncio.Queue[_Outgoing] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._durable_order = asyncio.Lock()
        self._subscribed: dict[Subscription, NatsSubscription] = {}
        self._owners: dict[int, Subscription] = {}
        self._serving: dict[str, list[NatsSubscription]] = {}
        self._names: dict[str, set[str]] = {}
        self._pulse = Pulse()
        self._tasks: set[asyncio.Task[None]] = set()
        self._store: Store | None = None

    async def open(self) -> None:
        """Connect, and become the way of the bus. Raises NatsUnavailable, StoreRefused, ConfigInvalid."""
        self._events = await self._connect("events", no_echo=False)
        try:
            self._calls = await self._connect("calls", no_echo=True)
        except BaseException:
            await self._events.close()
            raise
        try:
            self._store = Store(self._events, self._config, self._bus.clock)
            await self._store.open()
            self._inbox = self._calls.new_inbox()
            await self._calls.subscribe(f"{self._inbox}.*", cb=self._unanswered)
            await self._calls.subscribe(self._subject("alive"), cb=self._heard)
            await self._calls.subscribe(self._subject("gone"), cb=self._told_gone)
            for endpoint in self._bus.endpoints():
                entry = self._bus.registry.find(endpoint.name)
                assert entry is not None
                await self.register(entry)
            for subscription in tuple(self._bus.router.subscriptions()):
                await self.subscribe(subscription, None)
        except BaseException as error:
            await self._disconnect()
            if isinstance(error, FAILURES):
                raise unavailable(error) from error
            raise
        self._bus.uplink = self
        self._bus.interest_changed()
        self._own(self._write(self._out), "nats writer")
        self._own(self._write(self._to_store), "nats storer")
        self._own(self._beat(), "nats beat")

    async def close(self) -> None:
        """Leave; what waits to be written goes out first. The bus goes on within this process."""
        if self._bus.uplink is self:
            self._bus.uplink = None
            self._bus.interest_changed()
        if self._calls.is_connected and self._events.is_connected:
            await self._out.join()
            await self._to_store.join()
            await self._tell_gone(list(self._serving))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()

    async def consume(self, pattern: str, consumer: str, handle: Handle, *, ack_wait_s: float = 30.0) -> None:
        """Durable events, each acknowledged after `handle`; see `Store.consume`."""
        assert self._store is not None
        await self._store.consume(pattern, consumer, handle, ack_wait_s=ack_wait_s)

    # Events.

    def try_publish(self, envelope: MessageEnvelope) -> bool:
        """See `Uplink`. An event of a durable topic is stored soon; `publish` waits until it is."""
        topic = _topic(envelope)
        assert self._store is not None
        out = self._to_store if self._store.durable(topic) else self._out
        if out.qsize() >= WAITING_MAX:
            return False
        out.put_nowait((self._subject(f"event.{topic}"), envelope, ""))
        return True

    async def publish(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`. Raises StoreRefused where the topic is durable."""
        topic = _topic(envelope)
        assert self._store is not None
        if self._store.durable(topic):
            body = self._codec.encode(envelope)
            async with self._durable_order:
                await self._store.publish(topic, envelope, body)
            return
        while not self.try_publish(envelope):
            self._room.clear()
            await self._room.wait()

    async def subscribe(self, subscription: Subscription, replay: Replay | None) -> None:
        """See `Uplink`. Replayed is what is stored: events of durable topics."""
        assert self._store is not None
        past_ids: set[str] = set()
        ready = asyncio.Event()

        async def deliver(message: Msg) -> None:
            await ready.wait()
            envelope = self._read(message)
            if envelope is None or envelope.header.message_id in past_ids:
                return
            if subscription.blocking and subscription.room is not None and subscription.full():
                await subscription.room()
            self._bus.give(subscription, envelope)

        try:
            found = await self._events.subscribe(
                self._subject(f"event.{subscription.pattern}"),
                queue=subscription.group or "",
                cb=deliver,
                pending_bytes_limit=_PENDING_BYTES_MAX,
            )
            self._subscribed[subscription] = found
            self._owners[id(found)] = subscription
            await self._events.flush()
            if replay is not None:
                for envelope in await self._store.past(subscription.pattern, replay):
                    past_ids.add(envelope.header.message_id)
                    self._bus.give(subscription, envelope)
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
            self._own(_ended(found), "nats unsubscribe")

    def wants(self, topic: str) -> bool:
        """See `Uplink`. Somebody may: the server does not say."""
        return True

    def patterns(self) -> set[str]:
        """See `Uplink`."""
        return {">"}

    # Endpoints.

    async def register(self, entry: Entry) -> None:
        """See `Uplink`. Of two that come at once, none or one gets the name."""
        claim, serving = self._subject(f"claim.{entry.name}"), list[NatsSubscription]()
        self._serving[entry.name] = serving
        try:
            serving.append(await self._calls.subscribe(claim, cb=self._claimed))
            await self._calls.flush()
            try:
                await self._calls.request(claim, self.process.encode(), timeout=_CLAIM_S)
            except NoRespondersError:
                pass
            else:
                raise EndpointTaken(
                    f"another endpoint is called {entry.name!r}", hint="choose another name, or end that one"
                )
            serving.append(await self._calls.subscribe(self._subject(f"to.{entry.name}"), cb=self._arrived))
            for kind in entry.serves:
                check_topic(kind)
                subject = self._subject(f"serves.{kind}")
                serving.append(await self._calls.subscribe(subject, queue="serves", cb=self._arrived))
            await self._calls.flush()
        except BaseException as error:
            self._withdraw(entry.name)
            if isinstance(error, FAILURES):
                raise unavailable(error) from error
            raise

    def unregister(self, name: str) -> None:
        """See `Uplink`."""
        self._withdraw(name)
        self._own(self._tell_gone([name]), "nats gone")

    def forward(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`."""
        header, is_request = envelope.header, isinstance(envelope.payload, RequestPayload)
        to = f"serves.{header.message_type}" if header.recipient in ("", "bus") else f"to.{header.recipient}"
        try:
            check_topic(to)
        except ValidationFailed:
            self._bus.refuse(envelope, EndpointUnknown(f"there is no endpoint {header.recipient!r}"))
            return
        if is_request and self._out.qsize() >= WAITING_MAX:
            self._bus.refuse(envelope, EndpointBusy("the NATS server does not take more"))
            return
        reply = f"{self._inbox}.{header.message_id}" if is_request else ""
        self._out.put_nowait((self._subject(to), envelope, reply))

    # What arrives.

    async def _arrived(self, message: Msg) -> None:
        envelope = self._read(message)
        if envelope is None:
            return
        recipient = envelope.header.recipient
        if self._bus.registry.find(recipient) is not None or recipient in ("", "bus"):
            self._bus.send(envelope)
        else:
            self._bus.calls.late += 1

    async def _unanswered(self, message: Msg) -> None:
        """The server says that nobody is there."""
        if message.headers is None or message.headers.get("Status") != _NOBODY:
            return
        lost = EndpointLost(
            "nobody of that name is on the bus: nothing was done",
            hint="check the name, or ask when it is there",
        )
        payload = ErrorPayload(lost.code, lost.message, hint=lost.hint)
        message_id = message.subject.rpartition(".")[2]
        self._bus.answered(self._envelope("error", payload, correlation_id=message_id))

    async def _claimed(self, message: Msg) -> None:
        """Another asks for a name of ours; when both have just come, neither may know it yet."""
        if message.reply:
            await message.respond(self.process.encode())

    async def _heard(self, message: Msg) -> None:
        try:
            process, *names = msgspec.msgpack.decode(message.data, type=list[str])
        except (msgspec.MsgspecError, ValueError):
            return
        self._pulse.heard(process, self._bus.clock.monotonic_s())
        self._names[process] = set(names)

    async def _told_gone(self, message: Msg) -> None:
        try:
            process, *names = msgspec.msgpack.decode(message.data, type=list[str])
        except (msgspec.MsgspecError, ValueError):
            return
        self._names.get(process, set()).difference_update(names)
        for name in names:
            if self._bus.registry.find(name) is None:
                self._bus.fail_calls(name, "it has been closed")

    async def _lost(self, process: str) -> None:
        for name in sorted(self._names.pop(process, ())):
            if self._bus.registry.find(name) is None:
                reason = "its process gives no sign of life"
                self._bus.fail_calls(name, reason)
                self._bus.route(self._envelope("event", EventPayload(LOST, {"name": name, "reason": reason})))

    def _read(self, message: Msg) -> MessageEnvelope | None:
        try:
            return self._codec.decode(message.data)
        except SerializationFailed as error:
            _logger.warning("a broken message on %s: %s", message.subject, error)
            return None

    # What leaves.

    async def _write(self, out: asyncio.Queue[_Outgoing]) -> None:
        assert self._store is not None
        while True:
            subject, envelope, reply = await out.get()
            try:
                body = self._codec.encode(envelope)
                event = isinstance(envelope.payload, EventPayload) and not envelope.header.recipient
                if out is self._to_store:
                    await self._store.publish(_topic(envelope), envelope, body)
                else:
                    await self._written(self._events if event else self._calls, subject, body, reply)
            except SymphonyError as error:
                _logger.warning("a message for %s is lost: %s", subject, error)
                self._bus.refuse(envelope, error)
            finally:
                out.task_done()
                self._room.set()

    async def _written(self, client: Client, subject: str, body: bytes, reply: str) -> None:
        check_size(client, body)
        while True:
            if client.is_connected:
                try:
                    await client.publish(subject, body, reply=reply)
                    return
                except FAILURES:
                    pass
            if client.is_closed:
                raise EndpointLost("the connection to NATS is closed")
            await self._bus.clock.sleep(self._config.again_s)

    async def _beat(self) -> None:
        while True:
            if self._calls.is_connected:
                try:
                    await self._calls.publish(
                        self._subject("alive"), msgspec.msgpack.encode([self.process, *self._serving])
                    )
                except FAILURES as error:
                    _logger.info("no life sign to NATS: %s", error)
                for process in self._pulse.lost(self._bus.clock.monotonic_s()):
                    await self._lost(process)
            await self._bus.clock.sleep(self._pulse.beat_s)

    async def _tell_gone(self, names: list[str]) -> None:
        try:
            await self._calls.publish(self._subject("gone"), msgspec.msgpack.encode([self.process, *names]))
            await self._calls.flush()
        except FAILURES as error:
            _logger.info("others hear later that %s ended: %s", names, error)

    # The connections.

    async def _connect(self, part: str, *, no_echo: bool) -> Client:
        async def failed(error: Exception) -> None:
            if isinstance(error, SlowConsumerError) and (one := self._owners.get(id(error.sub))) is not None:
                self._bus.metrics.dropped(one.owner, error.subject.removeprefix(self._subject("event.")))
            else:
                _logger.info("NATS: %s", str(error) or type(error).__name__)

        async def back() -> None:
            _logger.info("NATS is back")

        name = f"symphony {part} {self.process[:8]}"
        return await connected(self._config, name, no_echo=no_echo, on_error=failed, on_back=back)

    async def _disconnect(self) -> None:
        await self._events.close()
        await self._calls.close()

    def _subject(self, rest: str) -> str:
        return f"{self._config.prefix}.{rest}"

    def _withdraw(self, name: str) -> None:
        for one in self._serving.pop(name, ()):
            self._own(_ended(one), "nats withdraw")

    def _own(self, work: Coroutine[object, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _ended(subscription: NatsSubscription) -> None:
    try:
        await subscription.unsubscribe()
    except FAILURES as error:
        _logger.debug("a subscription had ended: %s", error)


def _topic(envelope: MessageEnvelope) -> str:
    assert isinstance(envelope.payload, EventPayload)
    check_topic(envelope.payload.topic)
    return envelope.payload.topic


async def join_nats(bus: Bus, config: NatsConfig) -> NatsUplink:
    """Make `bus` part of the one on a NATS server until what this gives is closed.

    Raises NatsUnavailable, StoreRefused, ConfigInvalid, EndpointTaken.
    """
    check_topic(config.prefix)
    uplink = NatsUplink(bus, config)
    await uplink.open()
    return uplink
