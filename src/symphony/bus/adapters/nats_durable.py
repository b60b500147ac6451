"""Durable topics: events stored by JetStream before their publisher is told, and given until handled.

The server writes at once and flushes the disk now and then: what it acknowledged survives its
death, and that of the machine as far as its `sync_interval` says.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError

from symphony.bus.adapters.nats_connection import FAILURES, NatsConfig, StoreRefused, in_force, unavailable
from symphony.bus.adapters.nats_storing import NOT_YET, STORE_TIMEOUT_S, Storing
from symphony.bus.core.retention import Replay
from symphony.bus.core.topics import check_pattern, covers, matches
from symphony.commons.errors import SerializationFailed, ValidationFailed
from symphony.ipc import CODECS, EventPayload, MessageEnvelope
from symphony.ports.clock import Clock

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_logger = logging.getLogger(__name__)

WINDOW_S: Final = 120.0
"""The time within which an event that is published again is stored once."""
_BATCH, _FETCH_S, _HANDLED_MAX = 64, 1.0, 4096
_OTHER_LIMITS: Final = 10058
"""The stream exists with other limits."""

Handle = Callable[[MessageEnvelope], Awaitable[None]]


class Store:
    """The streams of one bus, over one connection."""

    def __init__(self, client: Client, config: NatsConfig, clock: Clock) -> None:
        self._client, self._config, self._clock = client, config, clock
        self._stream: JetStreamContext = client.jetstream(timeout=STORE_TIMEOUT_S)
        self._codec = CODECS["msgpack"]
        self.storing = Storing(config, clock)

    async def open(self) -> None:
        """Make the streams that are not there yet. Raises StoreRefused, NatsUnavailable."""
        for pattern in self._config.durable:
            check_pattern(pattern)
            config = self._stream_config(pattern)
            try:
                try:
                    await self._stream.add_stream(config)
                except APIError as error:
                    if error.err_code != _OTHER_LIMITS:
                        raise
                    await self._stream.update_stream(config)
            except APIError as error:
                raise StoreRefused(
                    f"the NATS server keeps no events of {pattern!r}: {error.description}",
                    hint="start it with JetStream (-js -sd DIRECTORY); durable patterns must not overlap",
                ) from error
            except FAILURES as error:
                raise unavailable(error) from error
        if self._config.durable:
            await self.storing.open()

    def durable(self, topic: str) -> bool:
        """True if `topic` is stored."""
        return any(matches(pattern, topic) for pattern in self._config.durable)

    def offer(self, topic: str, envelope: MessageEnvelope) -> asyncio.Future[None]:
        """Have it stored, through losses of the server; the result is there when it is.

        It may raise StoreRefused. Raises FrameTooLarge, SerializationFailed.
        """
        body = self._codec.encode(envelope)
        return self.storing.offer(self._subject(topic), envelope.header.message_id, body)

    async def publish(self, topic: str, envelope: MessageEnvelope) -> None:
        """Publish as `offer` does, once there is room, and return when it is stored. Raises what
        `offer` raises, and StoreRefused.
        """
        await self.storing.room()
        await self.offer(topic, envelope)

    async def close(self) -> None:
        """Close. What was offered and is not stored yet is lost."""
        await self.storing.close()

    async def past(self, pattern: str, wanted: Replay) -> list[MessageEnvelope]:
        """Return what is stored of the topics that match and `wanted` asks for, the oldest first."""
        found: deque[MessageEnvelope] = deque(maxlen=wanted.last)
        for durable in self._config.durable:
            async for envelope in self._stored(durable, pattern if covers(durable, pattern) else durable):
                event = envelope.payload
                if not isinstance(event, EventPayload) or not matches(pattern, event.topic):
                    continue
                if envelope.header.message_id == wanted.after:
                    found.clear()
                else:
                    found.append(envelope)
        return list(found)

    async def _stored(self, durable: str, pattern: str) -> AsyncIterator[MessageEnvelope]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=30.0
        )
        try:
            reader = await self._stream.pull_subscribe(
                self._subject(pattern), stream=self._name(durable), config=config
            )
            left = (await reader.consumer_info()).num_pending or 0
            while left > 0:
                for message in await reader.fetch(min(left, _BATCH), timeout=STORE_TIMEOUT_S):
                    left -= 1
                    if (envelope := self._read(message)) is not None:
                        yield envelope
            await self._ended(reader)
        except FAILURES as error:
            raise unavailable(error) from error

    async def consume(self, pattern: str, consumer: str, handle: Handle, *, ack_wait_s: float = 30.0) -> None:
        """Have `handle` called for each stored event that matches, in order, until cancelled.

        An event is acknowledged when `handle` returns: one that it did not finish, because it
        raised or because this process or the server died, comes again, after `ack_wait_s` seconds
        at most. All who name the same `consumer` share its events. Raises ValidationFailed for a
        pattern that is not durable, or a consumer's name that is more than one token.
        """
        durable = next((one for one in self._config.durable if covers(one, pattern)), None)
        if durable is None or not consumer.isidentifier():
            raise ValidationFailed(
                f"nothing durable can be consumed as {consumer!r} from {pattern!r}",
                hint="consume a pattern within one of `durable`, under a name of letters, digits and _",
            )
        handled: OrderedDict[str, None] = OrderedDict()
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT, ack_wait=ack_wait_s, max_ack_pending=1,
            deliver_policy=DeliverPolicy.ALL,
        )  # fmt: skip
        while True:
            try:
                reader = await self._stream.pull_subscribe(
                    self._subject(pattern), durable=consumer, stream=self._name(durable), config=config
                )
                try:
                    while True:
                        await self._one(reader, handle, handled)
                finally:
                    await self._ended(reader)
            except APIError as error:
                if error.code != NOT_YET:
                    raise StoreRefused(f"no consumer {consumer!r}: {error.description}") from error
            except FAILURES as error:
                _logger.info("consumer %s goes on when the server is back: %s", consumer, error)
            await self._clock.sleep(self._config.again_s)

    async def _one(
        self, reader: JetStreamContext.PullSubscription, handle: Handle, handled: OrderedDict[str, None]
    ) -> None:
        try:
            messages = await reader.fetch(1, timeout=_FETCH_S)
        except TimeoutError:
            return
        for message in messages:
            envelope = self._read(message)
            if envelope is None:
                await message.term()
                continue
            message_id = envelope.header.message_id
            if message_id not in handled:  # otherwise only its acknowledgement was lost
                try:
                    await handle(envelope)
                except Exception:
                    _logger.exception("an event of %s was not handled, and comes again", message.subject)
                    await message.nak(delay=1)
                    continue
                handled[message_id] = None
                if len(handled) > _HANDLED_MAX:
                    handled.popitem(last=False)
            await message.ack_sync(timeout=STORE_TIMEOUT_S)

    async def _ended(self, reader: JetStreamContext.PullSubscription) -> None:
        """Messages that it asked for and did not get go to the next one that asks."""
        try:
            await reader.unsubscribe()
            if self._client.is_connected:
                await in_force(self._client)
        except FAILURES as error:
            _logger.debug("a consumer had ended: %s", error)

    def _read(self, message: "Msg") -> MessageEnvelope | None:
        try:
            return self._codec.decode(message.data)
        except SerializationFailed as error:
            _logger.warning("a broken message on %s: %s", message.subject, error)
            return None

    def _subject(self, topic: str) -> str:
        return f"{self._config.prefix}.event.{topic}"

    def _name(self, pattern: str) -> str:
        digest = hashlib.sha256(f"{self._config.prefix} {pattern}".encode()).hexdigest()
        return f"symphony-{digest[:16]}"

    def _stream_config(self, pattern: str) -> StreamConfig:
        return StreamConfig(
            name=self._name(pattern),
            description=pattern,
            subjects=[self._subject(pattern)],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_bytes=self._config.kept_bytes_max or -1,
            max_age=self._config.kept_s,
            duplicate_window=min(WINDOW_S, self._config.kept_s or WINDOW_S),
        )
