"""Membership: this process's bus as part of another process's."""

import asyncio
from collections.abc import Iterable
from itertools import count

from symphony.bus import line
from symphony.bus.core.registry import EndpointEntry, Pulse
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Subscription
from symphony.bus.core.topics import Trie, check_topic
from symphony.bus.errors import RAISED, EndpointBusy, EndpointLost, EndpointTaken
from symphony.bus.exchange import LINK, Exchange
from symphony.bus.line import PeerLine, fields, number, text, texts
from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import (
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    Payload,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.transports import Connection
from symphony.ports.values import Value

_TOPICS_MAX = 4096
_HUB_LINK = "hub"
LOST = "bus.hub.lost"
REFUSED = "bus.endpoint.refused"


class Membership:
    """The member's end of a connection to a hub: an `Uplink`. Use `enter`, then wait for `over`."""

    def __init__(self, exchange: Exchange, connection: Connection, pulse: Pulse) -> None:
        self._exchange, self._pulse = exchange, pulse
        self._line = PeerLine(connection, self, exchange.stationery(LINK))
        self._questions: dict[str, asyncio.Future[Payload]] = {}
        self._numbers = count(1)
        self._subscriptions: dict[int, Subscription] = {}
        self._keys: dict[Subscription, int] = {}
        self._consumed: dict[int, int] = {}
        self._registered: dict[str, None] = {}
        self._interest: Trie[str] = Trie()
        self._theirs: set[str] = set()
        self._wanted: dict[str, bool] = {}
        self._window = line.PUBLISH_WINDOW
        self._room: set[asyncio.Future[None]] = set()
        self._over: asyncio.Future[SymphonyError | None] = asyncio.get_running_loop().create_future()

    async def enter(self) -> None:
        """Make everything that this bus has known to the hub; from then on they are one.

        Raises a SymphonyError if the connection ends meanwhile.
        """
        self._pulse.heard(_HUB_LINK, self._exchange.clock.monotonic_s())
        self._line.open()
        while True:
            endpoint = next((e for e in self._exchange.endpoints() if e.name not in self._registered), None)
            subscription = next(
                (s for s in self._exchange.router.subscriptions() if s not in self._keys), None
            )
            if endpoint is not None:
                await self._introduce(endpoint.name)
            elif subscription is not None:
                await self.subscribe(subscription, self._exchange.unreplayed.pop(subscription, None))
            else:
                break
        self._exchange.uplink = self
        self._exchange.interest_changed()

    async def over(self) -> SymphonyError | None:
        """Wait until the connection has ended; beats meanwhile. Gives why, None for a goodbye."""
        beating = asyncio.get_running_loop().create_task(self._beat(), name="bus member")
        try:
            return await asyncio.shield(self._over)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def close(self) -> None:
        """Leave; what was sent before arrives."""
        await self._line.close()

    # The uplink.

    def try_publish(self, envelope: MessageEnvelope) -> bool:
        """See `Uplink`."""
        if not self._is_wanted(envelope):
            return True
        if self._window <= 0:
            return False
        self._line.post(envelope)
        self._window -= 1
        return True

    async def publish(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`."""
        while not self.try_publish(envelope):
            waiting = asyncio.get_running_loop().create_future()
            self._room.add(waiting)
            try:
                await waiting
            finally:
                self._room.discard(waiting)
            if self._over.done():
                await self._exchange.publish(envelope)
                return

    def forward(self, envelope: MessageEnvelope) -> None:
        """See `Uplink`."""
        if self._line.overfull and isinstance(envelope.payload, RequestPayload):
            self._exchange.refuse(envelope, EndpointBusy("the hub of the bus does not read"))
            return
        try:
            self._line.forward(envelope)
        except SymphonyError as error:
            self._exchange.refuse(envelope, error)

    async def register(self, entry: EndpointEntry) -> None:
        """See `Uplink`."""
        serves: list[Value] = [*entry.serves]
        capabilities: list[Value] = [*entry.capabilities]
        self._registered[entry.name] = None
        try:
            await self._ask(
                line.REGISTER, {"name": entry.name, "serves": serves, "capabilities": capabilities}
            )
        except SymphonyError as error:
            if error.code == EndpointTaken.code:
                raise EndpointTaken(error.message, hint=error.hint) from error
            raise

    def unregister(self, name: str) -> None:
        """See `Uplink`."""
        if self._registered.pop(name, "") is None:
            self._line.post(self._line.question(line.UNREGISTER, {"name": name}))

    async def subscribe(self, subscription: Subscription, replay: Replay | None) -> None:
        """See `Uplink`."""
        key = next(self._numbers)
        self._subscriptions[key], self._keys[subscription] = subscription, key
        self._interest.add(subscription.pattern, f"own {key}")
        self._wanted.clear()
        self._consumed[key] = 0
        box = self._exchange.mailbox_of(subscription)
        if box is not None:
            box.taken = lambda: self._take(key)
        past: Value = None if replay is None else {"last": replay.last, "after": replay.after}
        try:
            await self._ask(
                line.SUBSCRIBE,
                {
                    "subscription": key, "pattern": subscription.pattern, "owner": subscription.owner,
                    "group": subscription.group, "capacity": subscription.capacity,
                    "policy": str(subscription.policy), "replay": past,
                },
            )  # fmt: skip
        except BaseException:
            self._drop(subscription)
            raise

    def unsubscribe(self, subscription: Subscription) -> None:
        """See `Uplink`."""
        key = self._drop(subscription)
        if key is not None:
            self._line.post(self._line.question(line.UNSUBSCRIBE, {"subscription": key}))

    # For the line.

    def received(self, envelope: MessageEnvelope) -> None:
        """The next message of the hub."""
        self._pulse.heard(_HUB_LINK, self._exchange.clock.monotonic_s())
        payload, recipient = envelope.payload, envelope.header.recipient
        if type(payload) is EventPayload and recipient.startswith(line.SUBSCRIBER):
            self._deliver(envelope, recipient)
        elif type(payload) is EventPayload and not recipient:
            self._told(payload)
        elif isinstance(payload, ResponsePayload | ErrorPayload) and recipient == LINK:
            waiting = self._questions.pop(envelope.header.correlation_id or "", None)
            if waiting is not None and not waiting.done():
                waiting.set_result(payload)
        elif self._exchange.registry.find(recipient) is not None:
            self._exchange.send(envelope)
        else:
            self._exchange.calls.late += 1

    def roomy(self) -> None:
        """Nothing waits for the line's room but the hub's credit."""

    def ended(self, error: SymphonyError | None) -> None:
        """The hub is gone: requests to others fail, events stay in this process."""
        if self._exchange.uplink is self:
            self._exchange.uplink = None
        for box in map(self._exchange.mailbox_of, self._keys):
            if box is not None:
                box.taken = None
        self._over.set_result(error)
        self._exchange.interest_changed()
        lost = EndpointLost("the hub of the bus is gone", hint="ask again: another takes its place at once")
        for waiting in self._questions.values():
            if not waiting.done():
                waiting.set_exception(lost)
                waiting.exception()  # the caller may have gone, too
        for waiting_room in self._room:
            if not waiting_room.done():
                waiting_room.set_result(None)
        asked = {call.recipient for call in self._exchange.calls.waiting()}
        self._exchange.fail_calls(self._elsewhere(asked), "the hub of the bus vanished")
        why = "it said goodbye" if error is None else error.message
        self._exchange.announce(LOST, {"reason": why, "events_may_be_missing": True})

    # Inside.

    async def _introduce(self, name: str) -> None:
        entry = self._exchange.registry.find(name)
        assert entry is not None
        try:
            await self.register(entry)
        except EndpointTaken as error:
            self._exchange.announce(REFUSED, {"name": name, "reason": error.message})

    async def _ask(self, method: str, arguments: Value) -> None:
        question = self._line.question(method, arguments)
        waiting: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        if self._over.done():
            raise EndpointLost("the hub of the bus is gone")
        self._questions[question.header.message_id] = waiting
        try:
            self._line.post(question)
            answer = await waiting
        finally:
            self._questions.pop(question.header.message_id, None)
        if isinstance(answer, ErrorPayload):
            kind = RAISED.get(answer.code)
            raise answer.as_error() if kind is None else kind(answer.message, hint=answer.hint)

    def _deliver(self, envelope: MessageEnvelope, recipient: str) -> None:
        digits = recipient.removeprefix(line.SUBSCRIBER)
        key = int(digits) if digits.isascii() and digits.isdigit() else 0
        subscription = self._subscriptions.get(key)
        if subscription is None:
            return  # it ended while this was on its way
        self._exchange.give(subscription, envelope)
        if self._exchange.mailbox_of(subscription) is None:
            self._take(key)

    def _take(self, key: int) -> None:
        """One event was taken: the hub may send more, told once for half a mailbox."""
        subscription = self._subscriptions.get(key)
        if subscription is None:
            return
        self._consumed[key] += 1
        if self._consumed[key] * 2 >= subscription.capacity:
            self._line.tell(line.CREDIT, {"subscription": key, "count": self._consumed[key]})
            self._consumed[key] = 0

    def _told(self, event: EventPayload) -> None:
        if event.topic == line.CREDIT:
            self._window = min(self._window + number(fields(event.data), "count"), line.PUBLISH_WINDOW)
            for waiting in self._room:
                if not waiting.done():
                    waiting.set_result(None)
        elif event.topic == line.INTEREST:
            self._interest = Trie()
            self._theirs = set(texts(event.data, "patterns"))
            for pattern in self._theirs:
                self._interest.add(pattern, "theirs")
            for key, subscription in self._subscriptions.items():
                self._interest.add(subscription.pattern, f"own {key}")
            self._wanted.clear()
            self._exchange.interest_changed()
        elif event.topic == line.GONE:
            data = fields(event.data)
            names = texts(data.get("names"), "names")
            self._exchange.fail_calls(self._elsewhere(names), text(data, "reason"))

    def _elsewhere(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if self._exchange.registry.find(name) is None}

    def _is_wanted(self, envelope: MessageEnvelope) -> bool:
        assert isinstance(envelope.payload, EventPayload)
        return self.wants(envelope.payload.topic)

    def wants(self, topic: str) -> bool:
        """See `Uplink`."""
        found = self._wanted.get(topic)
        if found is None:
            check_topic(topic)
            if len(self._wanted) >= _TOPICS_MAX:
                self._wanted.clear()
            found = self._wanted[topic] = any(True for _ in self._interest.match(topic))
        return found

    def patterns(self) -> set[str]:
        """See `Uplink`."""
        return self._theirs | {one.pattern for one in self._keys}

    def _drop(self, subscription: Subscription) -> int | None:
        key = self._keys.pop(subscription, None)
        if key is not None:
            del self._subscriptions[key], self._consumed[key]
            self._interest.remove(subscription.pattern, f"own {key}")
            self._wanted.clear()
        return key

    async def _beat(self) -> None:
        while True:
            await self._exchange.clock.sleep(self._pulse.beat_s)
            self._line.tell(line.BEAT)
            if self._pulse.lost(self._exchange.clock.monotonic_s()):
                self._line.connection.abort(
                    SymphonyError(f"no sign of life for {self._pulse.lost_after_s:g} s", code="peer-silent")
                )
