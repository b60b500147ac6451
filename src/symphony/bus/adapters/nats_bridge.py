"""The bus of a hub joined to others through a NATS server: what is wanted there goes out, and the reverse.

The bus itself stays as it is, with or without the server: what happens here reaches those here
first and directly. The server is only told what somebody beyond it wants, and a bus that is away
from it loses nothing of its own. Events of the bus itself (`bus.…`) do not pass: each bus tells of
the others' endpoints what it sees.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import SlowConsumerError

from symphony.bus.adapters.nats_connection import FAILURES, NatsConfig, check_size, connected, unavailable
from symphony.bus.adapters.nats_link import SERVED, NatsLink, ended, served
from symphony.bus.core.metrics import BeyondStats
from symphony.bus.core.registry import BEAT_S, EndpointEntry
from symphony.bus.core.router import Subscription
from symphony.bus.core.topics import covers, has_wildcard
from symphony.bus.errors import EndpointBusy, EndpointTaken, EndpointUnknown
from symphony.bus.exchange import BEYOND_AWAY, BEYOND_JOINED, JOINED, LEFT, LOST, OWN_TOPICS, Exchange
from symphony.bus.membership import REFUSED
from symphony.commons.backoff import backoff_s
from symphony.commons.errors import SymphonyError
from symphony.ipc import CODECS, EventPayload, MessageEnvelope, RequestPayload

_logger = logging.getLogger(__name__)

OWNER: Final = "nats"
WAITING_MAX: Final = 4096
"""Messages of each kind that wait to be written: of events the oldest goes, requests are refused."""
PENDING_BYTES_MAX: Final = 1 << 20
"""The most bytes that may wait in the client library before the server must have taken it."""
AGAIN_MAX_S: Final = 3.0
LEAVE_S: Final = 1.0
"""The longest time that closing waits for the server."""
_REMEMBERED: Final = 8192


class Bridge:
    """Joins a hub's bus to a NATS server whenever it can be reached: a `Beyond`."""

    def __init__(self, exchange: Exchange, config: NatsConfig) -> None:
        self.exchange, self.config = exchange, config
        self.sent = self.received = 0
        self._session: Session | None = None
        self._error: SymphonyError | None = None
        self._tried = asyncio.Event()
        self._since_s = exchange.clock.monotonic_s()
        self._seen: OrderedDict[tuple[str | None, str], None] = OrderedDict()
        self._closing = asyncio.Event()
        self._staying = asyncio.get_running_loop().create_task(self._stay(), name="nats bridge")

    def forward(self, envelope: MessageEnvelope) -> None:
        """See `Beyond`."""
        if self._session is not None:
            self._session.forward(envelope)
            return
        name, error = envelope.header.recipient, self._error
        why = "is not reached yet" if error is None else f"is away: {error.message}"
        self.exchange.refuse(
            envelope,
            EndpointUnknown(
                f"there is no endpoint {name!r} in this home, and NATS {why}",
                hint=None if error is None else error.hint,
            ),
        )

    async def tried(self) -> None:
        """See `Beyond`."""
        await self._tried.wait()

    def stats(self) -> BeyondStats:
        """See `Beyond`."""
        session, error = self._session, self._error
        state = "joined" if session is not None else "joining" if error is None else "away"
        return BeyondStats(
            address=", ".join(self.config.servers),
            state=state,
            why="" if error is None else error.message,
            hint="" if error is None else error.hint or "",
            for_s=self.exchange.clock.monotonic_s() - self._since_s,
            processes=0 if session is None else len(session.link.peers),
            names=[] if session is None else sorted(session.link.peers.names()),
            sent=self.sent,
            received=self.received,
            waiting=0 if session is None else session.waiting,
        )

    async def close(self) -> None:
        """See `Beyond`. Waits a second at most."""
        self._closing.set()
        self._staying.cancel()
        await asyncio.gather(self._staying, return_exceptions=True)
        if self._session is not None:
            session, self._session = self._session, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await session.leave()
            await session.stop()

    def fresh(self, message_id: str, group: str | None = None) -> bool:
        """True if this event passes for the first time, in either direction."""
        key = (group, message_id)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    async def _stay(self) -> None:
        tries, base_s = 0, self.config.again_s
        while not self._closing.is_set():  # the library may keep a cancellation to itself
            session = Session(self)
            try:
                await session.open()
            except SymphonyError as error:
                await session.stop()
                self._away(error)
                tries += 1
                if not self._closing.is_set():
                    wait_s = backoff_s(tries, base_s=base_s, cap_s=max(base_s, AGAIN_MAX_S))
                    await self.exchange.clock.sleep(wait_s)
                continue
            except BaseException:
                await session.stop()
                raise
            self._here(session)
            if self._closing.is_set():
                return
            tries = 0
            why = await session.over()
            self._session = None
            await session.stop()
            self._away(why)

    def _here(self, session: "Session") -> None:
        self._session, self._error = session, None
        self._since_s = self.exchange.clock.monotonic_s()
        self._tried.set()
        self.exchange.announce(BEYOND_JOINED, {"address": ", ".join(self.config.servers)})

    def _away(self, error: SymphonyError) -> None:
        if self._error is None:
            self._since_s = self.exchange.clock.monotonic_s()
            _logger.info("NATS is away: %s", error.message)
            self.exchange.announce(BEYOND_AWAY, {"reason": error.message, "hint": error.hint})
        self._error = error
        self._tried.set()


class Session:
    """One connection to the server, from its beginning to its end."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge, self.exchange = bridge, bridge.exchange
        self.link = NatsLink(self.exchange, bridge.config.prefix, self._post)
        self._codec = CODECS["msgpack"]
        self._client: Client | None = None
        self._end = asyncio.Event()
        self._calls: deque[tuple[str, MessageEnvelope, str]] = deque()
        self._events: deque[tuple[MessageEnvelope, str]] = deque()
        self._wake, self._interest = asyncio.Event(), asyncio.Event()
        self._exports: dict[str, Subscription] = {}
        self._imports: dict[tuple[str, str | None], NatsSubscription] = {}
        self._stop_hearing: Callable[[], None] | None = None
        self._presence: Subscription | None = None

    @property
    def waiting(self) -> int:
        """Events that are not yet written."""
        return len(self._events)

    async def open(self) -> None:
        """Connect, and tell what there is here. Raises NatsUnavailable, ConfigInvalid."""
        self._client = await connected(
            self.bridge.config,
            f"symphony bridge {self.link.process[:8]}",
            no_echo=True,
            on_error=self._failed,
            on_end=self._ended,
        )
        try:
            self.link.wants_changed = self._export
            await self._follow()
            await self.link.open(self._client)
        except FAILURES as error:
            raise unavailable(error) from error
        self.link.own(self._write(), "nats writer")
        self.link.own(self._following(), "nats interest")
        self._stop_hearing = self.exchange.when_interest_changes(self._interest.set)
        self._interest.set()
        self._presence = await self.exchange.subscribe("bus.endpoint.*", self._came_or_went, owner=OWNER)
        for entry in self.exchange.registry.entries():
            self._claim(entry)

    @property
    def closed(self) -> bool:
        """True if the connection has ended."""
        return self._client is None or self._client.is_closed

    async def over(self) -> SymphonyError:
        """Wait until the connection has ended; gives why."""
        assert self._client is not None
        while not self.closed:
            with contextlib.suppress(TimeoutError):  # the library does not tell of every end
                async with asyncio.timeout(BEAT_S):
                    await self._end.wait()
        return unavailable(self._client.last_error or ConnectionError("it went away"))

    async def leave(self) -> None:
        """Send what waits, and say goodbye."""
        while (self._calls or self._events) and not self.closed:
            self._wake.set()
            await self.exchange.clock.sleep(0.005)
        if not self.closed:
            await self.link.leave()

    async def stop(self) -> None:
        """Nothing goes in or out any more."""
        if self._stop_hearing is not None:
            self._stop_hearing()
        for subscription in (*self._exports.values(), self._presence):
            if subscription is not None:
                self.exchange.unsubscribe(subscription)
        self._exports.clear()
        await self.link.stop()
        self.link.wants_changed = None
        self.link.forget_all("the NATS server is away")
        if self._client is not None:
            with contextlib.suppress(TimeoutError):  # a server that reads no more
                async with asyncio.timeout(LEAVE_S):
                    await self._client.close()

    async def _failed(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self.exchange.metrics.dropped(OWNER, error.subject.removeprefix(self.link.subject("event.")))
        else:
            _logger.info("NATS: %s", str(error) or type(error).__name__)

    async def _ended(self) -> None:
        self._end.set()

    # Endpoints.

    def forward(self, envelope: MessageEnvelope) -> None:
        """See `Beyond`."""
        if isinstance(envelope.payload, RequestPayload) and len(self._calls) >= WAITING_MAX:
            self.exchange.refuse(envelope, EndpointBusy("the NATS server does not take more"))
            return
        self.link.forward(envelope)

    def _post(self, subject: str, envelope: MessageEnvelope, reply: str) -> None:
        self._calls.append((subject, envelope, reply))
        self._wake.set()

    def _came_or_went(self, envelope: MessageEnvelope) -> None:
        event = envelope.payload
        assert isinstance(event, EventPayload)
        name = event.data.get("name") if isinstance(event.data, dict) else None
        if not isinstance(name, str):
            return
        entry = self.exchange.registry.find(name)
        if event.topic == JOINED and entry is not None:
            self._claim(entry)
        elif event.topic in (LEFT, LOST) and entry is None:
            self.link.withdraw(name)

    def _claim(self, entry: EndpointEntry) -> None:
        if entry.name != "bus" and not entry.name.startswith(OWN_TOPICS):
            self.link.own(self._claimed(entry), f"nats claim {entry.name}")

    async def _claimed(self, entry: EndpointEntry) -> None:
        """It is reached from here in any case; from beyond, once its name is ours."""
        while not self.closed and self.exchange.registry.find(entry.name) is entry:
            try:
                await self.link.claim(entry)
            except EndpointTaken as error:
                self.exchange.announce(REFUSED, {"name": entry.name, "reason": error.message})
                _logger.warning("%s cannot be reached over NATS: %s", entry.name, error.message)
                return
            except SymphonyError as error:
                _logger.info("%s cannot be reached over NATS yet: %s", entry.name, error.message)
                await self.exchange.clock.sleep(AGAIN_MAX_S)
                continue
            if self.exchange.registry.find(entry.name) is not entry:
                self.link.withdraw(entry.name)
            return

    # Events that go out.

    def _export(self) -> None:
        """Subscribe to what is wanted beyond, and to nothing else."""
        wanted = {one for one in self.link.peers.wants() if not one.startswith(OWN_TOPICS)}
        for pattern in [one for one in self._exports if one not in wanted]:
            self.exchange.unsubscribe(self._exports.pop(pattern))
        for pattern in wanted - self._exports.keys():
            subscription = Subscription(pattern, partial(self._leaves, pattern), owner=OWNER)
            self._exports[pattern] = subscription
            self.exchange.enter(subscription, None)

    def _leaves(self, pattern: str, envelope: MessageEnvelope) -> None:
        event = envelope.payload
        assert isinstance(event, EventPayload)
        if event.topic.startswith(OWN_TOPICS) or not self.bridge.fresh(envelope.header.message_id):
            return
        groups = self.exchange.router.route(event.topic).groups
        names = [str(group.members[0].group) for group in groups]
        if len(self._events) >= WAITING_MAX:
            lost, _ = self._events.popleft()
            self.exchange.dropped(self._exports[pattern], lost)
        self._events.append((envelope, msgspec.json.encode(names).decode() if names else ""))
        self._wake.set()

    async def _write(self) -> None:
        client = self._client
        assert client is not None
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._calls or self._events:
                    await self._next(client)
                    if client.pending_data_size > PENDING_BYTES_MAX:
                        await client.flush()
            except FAILURES as error:
                _logger.info("NATS: %s", str(error) or type(error).__name__)
                await client.close()  # all or nothing: the rest is not sent

    async def _next(self, client: Client) -> None:
        headers = None
        if self._calls:
            subject, envelope, reply = self._calls.popleft()
        else:
            envelope, groups = self._events.popleft()
            reply, headers = "", {SERVED: groups} if groups else None
            assert isinstance(envelope.payload, EventPayload)
            subject = self.link.subject(f"event.{envelope.payload.topic}")
            self.bridge.sent += 1
        try:
            body = self._codec.encode(envelope)
            check_size(client, body)
        except SymphonyError as error:
            _logger.warning("a message for %s is lost: %s", subject, error)
            self.exchange.refuse(envelope, error)
            return
        await client.publish(subject, body, reply=reply, headers=headers)

    # Events that come in.

    async def _following(self) -> None:
        while True:
            await self._interest.wait()
            self._interest.clear()
            try:
                await self._follow()
            except FAILURES as error:
                _logger.info("NATS: %s", str(error) or type(error).__name__)

    async def _follow(self) -> None:
        """Subscribe on the server to what is wanted here, and tell the others."""
        assert self._client is not None
        ours = set(self._exports.values()) | {self._presence}
        plain = {one.pattern for one in self.exchange.router.retentions()}
        groups: set[tuple[str, str | None]] = set()
        for one in self.exchange.router.subscriptions():
            if one not in ours and not one.pattern.startswith(OWN_TOPICS):
                groups.add((one.pattern, one.group)) if one.group is not None else plain.add(one.pattern)
        wanted = groups | {(pattern, None) for pattern in _widest(plain)}
        for key in wanted - self._imports.keys():
            pattern, group = key
            self._imports[key] = await self._client.subscribe(
                self.link.subject(f"event.{pattern}"), queue=group or "", cb=partial(self._came, group)
            )
        for key in self._imports.keys() - wanted:
            await ended(self._imports.pop(key))
        self.link.want({pattern for pattern, _ in wanted})

    async def _came(self, group: str | None, message: Msg) -> None:
        envelope = self.link.read(message)
        if envelope is None or not isinstance(event := envelope.payload, EventPayload):
            return
        own = event.topic.startswith(OWN_TOPICS)
        if own or envelope.header.recipient or message.subject != self.link.subject(f"event.{event.topic}"):
            return
        if served(message, group) or not self.bridge.fresh(envelope.header.message_id, group):
            return
        self.bridge.received += 1
        route = self.exchange.router.route(event.topic)
        if group is None:
            if route.retention is not None:
                envelope = route.retention.keep(envelope, event)
            for one in route.all:
                self.exchange.give(one, envelope)
        else:
            for members in route.groups:
                if members.members[0].group == group:
                    self.exchange.give(members.next(), envelope)
        if route.blocking:  # it waits here, and this subscription's next events on the way
            await self.exchange.unjam(event.topic)


def _widest(patterns: set[str]) -> set[str]:
    """Return the patterns that no other pattern covers."""
    wide = [one for one in patterns if has_wildcard(one)]
    return {one for one in patterns if not any(other != one and covers(other, one) for other in wide)}
