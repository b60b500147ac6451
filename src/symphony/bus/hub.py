"""The hub: lets other processes join the bus of this one."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count

import msgspec

from symphony.bus import line
from symphony.bus.core.mailbox import Policy
from symphony.bus.core.registry import EndpointEntry, Pulse
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Subscription
from symphony.bus.endpoint import Endpoint, open_endpoint
from symphony.bus.errors import EndpointBusy, SenderUnknown
from symphony.bus.exchange import JOINED, LEFT, LINK, OWN_TOPICS, Exchange
from symphony.bus.line import (
    BEAT,
    CREDIT,
    GONE,
    HUB,
    INTEREST,
    PUBLISH_WINDOW,
    SUBSCRIBER,
    PeerLine,
    fields,
    number,
    optional_text,
    text,
    texts,
)
from symphony.bus.mailboxes import Mailbox
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.ipc.envelope import (
    NAME_CHARACTERS_MAX,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    RequestPayload,
    ResponsePayload,
)
from symphony.ipc.transports import Connection, Listener, TransportConfig, listen
from symphony.ports.values import Value

SUBSCRIPTIONS_MAX = 4096
ENDPOINTS_MAX = 4096
ABILITIES_MAX = 256
"""Types of message that an endpoint serves, and capabilities that it has."""


class Hub:
    """Serves the members of a bus until it is closed. Made by `open_hub`."""

    def __init__(self, exchange: Exchange, pulse: Pulse) -> None:
        self.exchange, self.pulse = exchange, pulse
        self._members: dict[str, HubMember] = {}
        self._numbers = count(1)
        self._listener: Listener | None = None
        self._beating: asyncio.Task[None] | None = None
        self._endpoint: Endpoint | None = None
        self._interest_due = False

    async def open(self, address: str, config: TransportConfig | None) -> None:
        """Listen. Raises AddressInUse, IoFailed."""
        self._listener = await listen(address, self._accept, config, refused=self._refused)
        self._endpoint = await open_endpoint(self.exchange, HUB, self._asked)
        self.exchange.subscribed, self.exchange.endpoints_gone = self._interest_changed, self._gone
        self._beating = asyncio.get_running_loop().create_task(self._beat(), name="bus hub")

    async def close(self) -> None:
        """Say goodbye to all members."""
        self.exchange.subscribed = self.exchange.endpoints_gone = None
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        if self._listener is not None:
            await self._listener.close()
        if self._endpoint is not None:
            await self._endpoint.close()

    def patterns(self) -> list[Value]:
        """Return what somebody wants to hear."""
        return list(self.exchange.router.patterns())

    def left(self, member: "HubMember", error: SymphonyError | None) -> None:
        """A member is gone: its endpoints are, too."""
        if self._members.pop(member.name, None) is None:
            return
        self.exchange.links = len(self._members)
        self.pulse.forget(member.name)
        why = "its process left" if error is None else error.message
        names = [one.name for one in self.exchange.registry.entries() if one.link == member.name]
        for name in names:
            self.exchange.registry.remove(name)
        if error is None:
            self.exchange.gone(names, why, topic=LEFT)
        else:
            self.exchange.gone(names, why)

    def _accept(self, connection: Connection) -> None:
        pid = connection.peer.pid
        name = f"{next(self._numbers)}" if pid is None else f"{next(self._numbers)}, pid {pid}"
        member = HubMember(self, connection, name)
        self._members[name] = member
        self.exchange.links = len(self._members)
        self.pulse.heard(name, self.exchange.clock.monotonic_s())
        member.open()

    def _refused(self, error: SymphonyError) -> None:
        self.exchange.metrics.refused += 1

    def _asked(self, envelope: MessageEnvelope) -> Value:
        assert isinstance(envelope.payload, RequestPayload)
        if envelope.payload.method == "bus.stats":
            found: Value = msgspec.to_builtins(self.exchange.stats())
            return found
        raise SymphonyError("the bus answers bus.stats and bus.ping", code="method-unknown")

    def _interest_changed(self) -> None:
        if not self._interest_due:
            self._interest_due = True
            asyncio.get_running_loop().call_soon(self._tell_interest)

    def _tell_interest(self) -> None:
        self._interest_due = False
        patterns = self.patterns()
        for member in self._members.values():
            member.line.tell(INTEREST, patterns)

    def _gone(self, names: Iterable[str], why: str) -> None:
        data: Value = {"names": list(names), "reason": why}
        for member in self._members.values():
            member.line.tell(GONE, data)

    async def _beat(self) -> None:
        while True:
            await self.exchange.clock.sleep(self.pulse.beat_s)
            for name in self.pulse.lost(self.exchange.clock.monotonic_s()):
                member = self._members.get(name)
                if member is not None:
                    error = SymphonyError(
                        f"no sign of life for {self.pulse.lost_after_s:g} s", code="peer-silent"
                    )
                    self.left(member, error)
                    member.line.connection.abort(error)
            for member in tuple(self._members.values()):
                member.line.tell(BEAT)


class Remote:
    """A subscription of a member: a mailbox here, emptied as far as the member has room."""

    def __init__(
        self,
        member: "HubMember",
        box: Mailbox,
        number: int,
        window: int,
        dropped: Callable[[Subscription, MessageEnvelope], None],
    ) -> None:
        """`dropped` hears of each event that no codec carries."""
        self.box, self.credit, self._dropped = box, window, dropped
        self._line, self._recipient = member.line, f"{SUBSCRIBER}{number}"
        box.arrived = self.pump

    def pump(self) -> None:
        """Send what may be sent."""
        while self.credit > 0 and self._line.room and (envelope := self.box.take()) is not None:
            header = envelope.header
            addressed = MessageEnvelope(
                MessageHeader(
                    header.message_id, header.message_type, header.timestamp, header.sender,
                    self._recipient, header.correlation_id,
                ),
                envelope.payload,
            )  # fmt: skip
            try:
                self._line.post(addressed)
            except SymphonyError:
                self._dropped(self.box.subscription, envelope)
            else:
                self.credit -= 1


class HubMember:
    """The hub's end of one connection."""

    def __init__(self, hub: Hub, connection: Connection, name: str) -> None:
        self.name = name
        self._hub, self._exchange = hub, hub.exchange
        self.line = PeerLine(connection, self, hub.exchange.stationery(LINK))
        self._remotes: dict[int, Remote] = {}
        self._endpoints: set[str] = set()
        self._owed, self._window = 0, PUBLISH_WINDOW
        self._jammed: dict[str, int] = {}
        self._unjamming: dict[asyncio.Task[None], None] = {}

    def open(self) -> None:
        """Say what is wanted, and listen."""
        self.line.tell(INTEREST, self._hub.patterns())
        self.line.open()

    def received(self, envelope: MessageEnvelope) -> None:
        """For the line. What breaks the rules ends the connection, and it is told why."""
        self._hub.pulse.heard(self.name, self._exchange.clock.monotonic_s())
        payload, recipient = envelope.payload, envelope.header.recipient
        if type(payload) is EventPayload and not recipient:
            if payload.topic == CREDIT:
                self._credited(payload)
            elif payload.topic != BEAT:
                self._published(envelope, payload)
        elif type(payload) is RequestPayload and recipient == LINK:
            try:
                answer: ResponsePayload | ErrorPayload = ResponsePayload(self._control(payload))
            except SymphonyError as error:
                answer = ErrorPayload(error.code, error.message, hint=error.hint)
            self.line.answer(envelope, answer)
        elif type(payload) is EventPayload and recipient == LINK:
            self._exchange.cancel_given_out(envelope.header.correlation_id or "")
        elif type(payload) is EventPayload or envelope.header.sender in self._endpoints:
            self._exchange.send(envelope)
        elif type(payload) is RequestPayload:
            # Its own process may not know yet that the name went to another when it came back.
            unknown = SenderUnknown(
                f"{envelope.header.sender!r:.100} is not an endpoint of this process on the bus",
                hint="choose another name: this one may have been given to an endpoint elsewhere",
            )
            self.line.post(self._exchange.refusal(envelope, unknown))
        else:
            self._exchange.calls.late += 1

    def roomy(self) -> None:
        """For the line."""
        for remote in tuple(self._remotes.values()):
            remote.pump()

    def ended(self, error: SymphonyError | None) -> None:
        """For the line: the member is gone, or has said that it will say no more."""
        for remote in tuple(self._remotes.values()):
            remote.box.close()
        self._remotes.clear()
        for task in self._unjamming:
            task.cancel()
        self._hub.left(self, error)

    def forward(self, envelope: MessageEnvelope) -> None:
        """Send a message to one of its endpoints."""
        if self.line.overfull and isinstance(envelope.payload, RequestPayload):
            self._exchange.refuse(
                envelope, EndpointBusy(f"the process of {envelope.header.recipient!r} does not read")
            )
            return
        try:
            self.line.forward(envelope)
        except SymphonyError as error:
            self._exchange.refuse(envelope, error)

    # Publishing.

    def _published(self, envelope: MessageEnvelope, event: EventPayload) -> None:
        topic = event.topic
        self._window -= 1
        if self._window < 0:
            raise ValidationFailed(
                f"more than {PUBLISH_WINDOW:,} events were published that had not been taken yet",
                hint="publish what bus.link.credit has given room for",
            )
        if topic.startswith(OWN_TOPICS):
            raise ValidationFailed(f"{topic!r:.100} is for the bus itself to publish")
        if envelope.header.sender in self._endpoints:
            self._exchange.route(envelope)
        else:
            self._exchange.lost(f"member {self.name}", topic, topic)
        if topic in self._jammed:
            self._jammed[topic] += 1
            return
        self._owed += 1
        if self._exchange.router.route(topic).jam():
            # Its credit waits until there is room: then it waits, and nobody else.
            self._jammed[topic], self._owed = self._owed, 0
            task = asyncio.get_running_loop().create_task(self._unjam(topic), name="bus jam")
            self._unjamming[task] = None
            task.add_done_callback(lambda task: self._unjamming.pop(task, None))
        elif self._owed >= PUBLISH_WINDOW // 2:
            self._pay(self._owed)
            self._owed = 0

    async def _unjam(self, topic: str) -> None:
        await self._exchange.unjam(topic)
        self._pay(self._jammed.pop(topic))

    def _pay(self, owed: int) -> None:
        self._window += owed
        self.line.tell(CREDIT, {"count": owed})

    def _credited(self, payload: EventPayload) -> None:
        data = fields(payload.data)
        key, room = number(data, "subscription", most=2**62), number(data, "count")
        if (remote := self._remotes.get(key)) is not None:
            remote.credit = min(remote.credit + room, remote.box.capacity)
            remote.pump()

    # What members ask for.

    def _control(self, request: RequestPayload) -> Value:
        asked = fields(request.arguments)
        match request.method:
            case line.REGISTER:
                self._register(asked.get("serves"), asked.get("capabilities"), text(asked, "name"))
            case line.UNREGISTER:
                name = text(asked, "name")
                if name in self._endpoints:
                    self._endpoints.discard(name)
                    self._exchange.registry.remove(name)
                    self._exchange.gone([name], "it has been closed", topic=LEFT)
            case line.SUBSCRIBE:
                self._subscribe(asked.get("replay"), asked.get("policy"), request)
            case line.UNSUBSCRIBE:
                remote = self._remotes.pop(number(asked, "subscription", most=2**62), None)
                if remote is not None:
                    remote.box.close()
            case other:
                raise SymphonyError(f"there is no {other!r:.100}", code="method-unknown")
        return None

    def _register(self, serves: Value, capabilities: Value, name: str) -> None:
        if len(self._endpoints) >= ENDPOINTS_MAX:
            raise ValidationFailed(f"a process has at most {ENDPOINTS_MAX:,} endpoints")
        if name.startswith(OWN_TOPICS):
            raise ValidationFailed(f"{name!r:.100} is for the bus itself", details={"field": "name"})
        can, does = _abilities(capabilities, "capabilities"), _abilities(serves, "serves")
        self._exchange.registry.add(EndpointEntry(name, self.forward, does, can, self.name))
        self._endpoints.add(name)
        self._exchange.announce(JOINED, {"name": name, "capabilities": list(can)})

    def _subscribe(self, replay: Value, policy: Value, request: RequestPayload) -> None:
        asked = fields(request.arguments)
        key, capacity = number(asked, "subscription", most=2**62), number(asked, "capacity")
        if key in self._remotes or len(self._remotes) >= SUBSCRIPTIONS_MAX:
            raise ValidationFailed(f"a process has at most {SUBSCRIPTIONS_MAX:,} subscriptions, each once")
        if policy not in list(Policy):
            raise ValidationFailed(f"{policy!r:.100} is not a policy", details={"field": "policy"})
        box = self._exchange.box(
            text(asked, "pattern"), capacity, Policy(str(policy)),
            owner=text(asked, "owner"), group=optional_text(asked, "group"),
        )  # fmt: skip
        self._remotes[key] = Remote(self, box, key, capacity, self._exchange.dropped)
        wanted = None
        if replay is not None:
            past = fields(replay)
            last = None if past.get("last") is None else number(past, "last")
            wanted = Replay(last=last, after=optional_text(past, "after"))
        self._exchange.enter(box.subscription, wanted)


def _abilities(value: Value, field: str) -> tuple[str, ...]:
    found = tuple(texts(value, field))
    if len(found) > ABILITIES_MAX or any(len(one) > NAME_CHARACTERS_MAX for one in found):
        raise ValidationFailed(
            f"{field!r} holds over {ABILITIES_MAX} texts, or one of over {NAME_CHARACTERS_MAX} characters",
            details={"field": field},
        )
    return found
