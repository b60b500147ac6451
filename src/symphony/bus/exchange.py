"""Carries messages within one process: endpoints by name, subscriptions, requests. One event loop.

Alone it connects the parts of its process; with an `Uplink` it is one of many on the bus of another
process, and then events go there first, so that everybody sees them in one order. Users see it through
`Bus`; hubs, memberships and bridges stand beside it.
"""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import Final, Protocol

import msgspec

from symphony.bus.core.calls import BUS, PendingCall, PendingCalls
from symphony.bus.core.mailbox import CAPACITY, Policy
from symphony.bus.core.metrics import BeyondStats, BusStats, EndpointStats, MailboxStats, Metrics
from symphony.bus.core.registry import EndpointEntry, Registry
from symphony.bus.core.retention import Replay, Retention
from symphony.bus.core.router import Deliver, Router, Subscription
from symphony.bus.core.topics import reaches_below
from symphony.bus.errors import EndpointLost, EndpointUnknown, RequestTimedOut
from symphony.bus.mailboxes import Mailbox
from symphony.commons.errors import SymphonyError
from symphony.commons.time import SystemClock
from symphony.ipc.envelope import (
    EndpointId,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    Payload,
    RequestPayload,
)
from symphony.ipc.stationery import Stationery
from symphony.ports.clock import Clock
from symphony.ports.values import Value

_logger = logging.getLogger(__name__)

JOINED: Final = "bus.endpoint.joined"
LEFT: Final = "bus.endpoint.left"
LOST: Final = "bus.endpoint.lost"
DROPPED: Final = "bus.dropped"
BEYOND_JOINED: Final = "bus.beyond.joined"
BEYOND_AWAY: Final = "bus.beyond.away"
CANCEL: Final = "bus.cancel"
OWN_TOPICS: Final = "bus."
"""The prefix of topics that only the bus itself publishes."""
LINK: Final = "bus.link"
"""The recipient of messages about a connection."""
_GIVEN_OUT_MAX: Final = 10_000
"""The most requests without recipient whose chosen endpoint is remembered until they are answered."""


class Uplink(Protocol):
    """The way to a bus that others share."""

    def try_publish(self, envelope: MessageEnvelope) -> bool:
        """False, and nothing done, if the bus must take some first."""
        ...

    async def publish(self, envelope: MessageEnvelope) -> None:
        """Publish there, waiting for room."""
        ...

    def forward(self, envelope: MessageEnvelope) -> None:
        """Send to the recipient. If that fails, answer with an error."""
        ...

    async def register(self, entry: EndpointEntry) -> None:
        """Raises EndpointTaken."""
        ...

    def unregister(self, name: str) -> None:
        """The endpoint has left."""
        ...

    async def subscribe(self, subscription: Subscription, replay: Replay | None) -> None:
        """In force when this returns; what is replayed has been delivered."""
        ...

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more events for it."""
        ...

    def wants(self, topic: str) -> bool:
        """True if anybody wants events of `topic`."""
        ...

    def patterns(self) -> set[str]:
        """Return the topics that somebody wants."""
        ...


class Beyond(Protocol):
    """Other buses, which the hub of this one joins to it. Events pass through its subscriptions."""

    def forward(self, envelope: MessageEnvelope) -> None:
        """Send to the recipient there. If that fails, answer with an error."""
        ...

    def stats(self) -> BeyondStats:
        """Return how it stands."""
        ...

    async def tried(self) -> None:
        """Returns when they have been reached, or could not be at the first try."""
        ...

    async def close(self) -> None:
        """Part from them; what was published before arrives there."""
        ...


class Resident(Protocol):
    """An endpoint of this process."""

    name: str

    async def close(self) -> None:
        """Leave the bus. May be called twice."""
        ...


class Exchange:
    """Endpoints, subscriptions and requests of one process."""

    def __init__(
        self, *, clock: Clock | None = None, stationery: Callable[[str], Stationery] | None = None
    ) -> None:
        """`stationery` makes the envelopes of the sender that it is given; for tests that need ids."""
        self.clock = clock or SystemClock()
        self.stationery = stationery or (lambda sender: Stationery(EndpointId(sender)))
        self.registry = Registry()
        self.router = Router()
        self.calls: PendingCalls[Payload | SymphonyError] = PendingCalls()
        self.metrics = Metrics()
        self.uplink: Uplink | None = None
        self.beyond: Beyond | None = None
        self.links = 0
        self.subscribed: Callable[[], None] | None = None
        """For the hub: called when subscriptions have come or gone."""
        self.endpoints_gone: Callable[[Iterable[str], str], None] | None = None
        """For the hub: called with the names of endpoints that left, and why."""
        self._interested: set[Callable[[], None]] = set()
        self._find = self.router.find
        self._monotonic_s = self.clock.monotonic_s
        self.unreplayed: dict[Subscription, Replay] = {}
        """Replays that were asked for while this bus was alone: those who hold its past are yet to be met."""
        self._mailboxes: dict[Subscription, Mailbox] = {}
        self._endpoints: dict[str, Resident] = {}
        self._given_out: dict[str, MessageEnvelope] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._untold: dict[tuple[str, str], int] = {}
        self._began_s = self.clock.monotonic_s()
        self._own = self.stationery(BUS)

    # Endpoints.

    async def admit(self, endpoint: Resident, entry: EndpointEntry) -> None:
        """Let an endpoint in under its name. Raises EndpointTaken, ValidationFailed for an invalid name."""
        self.registry.add(entry)
        self._endpoints[entry.name] = endpoint
        if self.uplink is not None:
            try:
                await self.uplink.register(entry)
            except BaseException:
                self.registry.remove(entry.name)
                del self._endpoints[entry.name]
                raise
        self.announce(JOINED, {"name": entry.name, "capabilities": list(entry.capabilities)})

    def remove(self, endpoint: Resident) -> None:
        """For the endpoint: it is closed."""
        if self._endpoints.pop(endpoint.name, None) is None:
            return
        self.registry.remove(endpoint.name)
        if self.uplink is not None:
            self.uplink.unregister(endpoint.name)
        self.gone([endpoint.name], "it has been closed", topic=LEFT)

    def gone(self, names: Iterable[str], why: str, *, topic: str = LOST) -> None:
        """These endpoints have left: requests to them fail, and watchers are told."""
        names = dict.fromkeys(names)
        for request in [one for one in self._given_out.values() if one.header.recipient in names]:
            del self._given_out[request.header.message_id]
            self.refuse(request, EndpointLost(f"{request.header.recipient!r} is gone: {why}"))
        self.fail_calls(names, why)
        for name in names:
            self.announce(topic, {"name": name, "reason": why})
        if names and self.endpoints_gone is not None:
            self.endpoints_gone(names, why)

    def fail_calls(self, names: Container[str], why: str) -> None:
        """Fail the requests that wait for an answer of one of `names`, in one pass over all that wait."""
        for call in self.calls.to(names):
            lost = EndpointLost(f"{call.recipient!r} is gone: {why}", hint="ask again when it is back")
            self._fail(call, lost)

    # Events.

    def try_publish(self, envelope: MessageEnvelope) -> bool:
        """Publish an event; False, and nothing done, if a subscriber must read first.

        Raises ValidationFailed for something that is not a topic.
        """
        if self.uplink is not None:
            return self.uplink.try_publish(envelope)
        assert isinstance(envelope.payload, EventPayload)
        if self.router.route(envelope.payload.topic).jam():
            return False
        self.route(envelope)
        return True

    async def publish(self, envelope: MessageEnvelope) -> None:
        """Publish an event; waits while a subscriber whose policy is to block has no room."""
        if self.uplink is not None:
            await self.uplink.publish(envelope)
            return
        self.route(envelope)
        assert isinstance(envelope.payload, EventPayload)
        await self.unjam(envelope.payload.topic)

    async def unjam(self, topic: str) -> None:
        """Wait until more may be published under `topic`."""
        while jam := self.router.route(topic).jam():
            waits = [asyncio.ensure_future(one.room()) for one in jam if one.room is not None]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def route(self, envelope: MessageEnvelope) -> None:
        """Deliver `envelope`, in this process and in those that joined it. Never waits.

        An event goes to all who subscribed to its topic; anything with a recipient to that one
        endpoint; a request without to one that serves its type. Who cannot be reached is
        answered for with an error.
        """
        payload = envelope.payload
        if type(payload) is not EventPayload or envelope.header.recipient:
            self.send(envelope)
            return
        route = self._find(payload.topic)
        if route is None:
            route = self.router.route(payload.topic)
        route.events += 1
        if route.retention is not None:
            envelope = route.retention.keep(envelope, payload)
        for one in route.all:
            try:
                one.deliver(envelope)
            except Exception as error:  # noqa: BLE001  one subscriber's mistake is not the others'
                self._subscriber_failed(one, error)
        for group in route.groups:
            self.give(group.next(), envelope)

    def give(self, one: Subscription, envelope: MessageEnvelope) -> None:
        """Deliver an event to one subscriber, whose mistakes are logged."""
        try:
            one.deliver(envelope)
        except Exception as error:  # noqa: BLE001  as above
            self._subscriber_failed(one, error)

    def retain(self, pattern: str, last: int) -> None:
        """Keep the last `last` events of each topic that matches, for those who come late."""
        self.router.retain(Retention(pattern, last))
        self._subscriptions_changed()

    async def subscribe(
        self,
        pattern: str,
        deliver: Deliver,
        *,
        owner: str,
        group: str | None = None,
        replay: Replay | None = None,
        capacity: int = CAPACITY,
        policy: Policy = Policy.DROP_OLDEST,
    ) -> Subscription:
        """Have `deliver` called for each event, in the order of publishing; it must not block."""
        subscription = Subscription(
            pattern, deliver, owner=owner, group=group, capacity=capacity, policy=policy
        )
        await self._enter(subscription, replay)
        return subscription

    async def mailbox(
        self,
        pattern: str,
        *,
        owner: str,
        group: str | None = None,
        replay: Replay | None = None,
        capacity: int = CAPACITY,
        policy: Policy = Policy.DROP_OLDEST,
    ) -> Mailbox:
        """Return a bounded queue of the events that match."""
        box = self.box(pattern, capacity, policy, owner=owner, group=group)
        await self._enter(box.subscription, replay)
        return box

    def box(self, pattern: str, capacity: int, policy: Policy, *, owner: str, group: str | None) -> Mailbox:
        """Return a mailbox that is not yet on any route: `enter` puts it there."""
        box = Mailbox(
            pattern, capacity, policy, owner=owner, group=group, dropped=self.dropped, closed=self._box_closed
        )
        self._mailboxes[box.subscription] = box
        return box

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more events for it. May be called twice."""
        self._mailboxes.pop(subscription, None)
        self.unreplayed.pop(subscription, None)
        self.router.remove(subscription)
        if self.uplink is not None:
            self.uplink.unsubscribe(subscription)
        self._subscriptions_changed()

    def replayed(self, subscription: Subscription, replay: Replay) -> None:
        """Deliver what is kept."""
        for retention in self.router.retentions():
            for envelope in retention.replay(subscription.pattern, replay):
                subscription.deliver(envelope)

    async def _enter(self, subscription: Subscription, replay: Replay | None) -> None:
        if self.uplink is None:
            if replay is not None:
                self.unreplayed[subscription] = replay
            self.enter(subscription, replay)
            return
        await self.uplink.subscribe(subscription, replay)
        self.enter(subscription, None)

    def enter(self, subscription: Subscription, replay: Replay | None) -> None:
        """From now on `subscription` gets what it wants, here; what is replayed first."""
        if replay is not None:
            self.replayed(subscription, replay)
        self.router.add(subscription)
        self._subscriptions_changed()

    def mailbox_of(self, subscription: Subscription) -> Mailbox | None:
        """Return the mailbox that it fills; None for a callback."""
        return self._mailboxes.get(subscription)

    def wants(self, topic: str) -> bool:
        """True if anybody wants events of `topic`, here or in another process. If not, none need be made."""
        if self.uplink is not None:
            return self.uplink.wants(topic)
        route = self.router.route(topic)
        return bool(route.all or route.groups or route.retention)

    def wants_below(self, prefix: str) -> bool:
        """True if anybody wants events of a topic that continues `prefix`."""
        patterns = self.router.patterns() if self.uplink is None else self.uplink.patterns()
        return any(reaches_below(pattern, prefix) for pattern in patterns)

    def when_interest_changes(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have `tell` called whenever the answer of `wants` may change; return a function that ends that."""
        self._interested.add(tell)
        return lambda: self._interested.discard(tell)

    def interest_changed(self) -> None:
        """Tell those who want to know."""
        for tell in tuple(self._interested):
            tell()

    def _subscriptions_changed(self) -> None:
        if self.subscribed is not None:
            self.subscribed()
        self.interest_changed()

    def _box_closed(self, box: Mailbox) -> None:
        self.unsubscribe(box.subscription)

    def _subscriber_failed(self, subscription: Subscription, error: Exception) -> None:
        _logger.error(
            "a subscriber of %s to %s failed", subscription.owner, subscription.pattern, exc_info=error
        )

    def dropped(self, subscription: Subscription, envelope: MessageEnvelope) -> None:
        """An event was lost for want of room: count it, and tell once for each turn of the loop."""
        assert isinstance(envelope.payload, EventPayload)
        self.lost(subscription.owner, subscription.pattern, envelope.payload.topic)

    def lost(self, owner: str, pattern: str, topic: str) -> None:
        """Count a dropped event that `owner` was to get for its `pattern`."""
        self.metrics.dropped(owner, topic)
        if topic.startswith(OWN_TOPICS):
            return  # telling of what was lost of the telling would have no end
        if not self._untold:
            asyncio.get_running_loop().call_soon(self._tell_drops)
        key = (owner, pattern)
        self._untold[key] = self._untold.get(key, 0) + 1

    def _tell_drops(self) -> None:
        untold, self._untold = self._untold, {}
        for (owner, pattern), count in untold.items():
            self.announce(DROPPED, {"endpoint": owner, "pattern": pattern, "count": count})

    def announce(self, topic: str, data: Value) -> None:
        """Publish an event of the bus itself. Where there is an uplink, that bus tells the same."""
        if self.uplink is None:
            self.route(self._own.envelope("event", EventPayload(topic, data)))

    # Requests.

    def ask(self, envelope: MessageEnvelope) -> PendingCall[Payload | SymphonyError]:
        """Send a request. An endpoint of this process may have answered when this returns."""
        header = envelope.header
        self.metrics.requests += 1
        call = self.calls.add(header.message_id, header.recipient, self._monotonic_s())
        try:
            self.send(envelope)
        except BaseException:
            self.calls.take(header.message_id)
            raise
        return call

    async def outcome(self, call: PendingCall[Payload | SymphonyError], timeout_s: float | None) -> Payload:
        """Wait for the answer. Raises EndpointLost, RequestTimedOut, EndpointUnknown."""
        if call.outcome is None:
            waiting = asyncio.get_running_loop().create_future()
            call.wake = partial(_wake, waiting)
            if timeout_s is not None and self.calls.limit(call, timeout_s):
                self._sweep_at(self.calls.next_s)
            try:
                await waiting
            except asyncio.CancelledError:
                if self.calls.take(call.message_id) is not None:
                    self._tell_cancelled(call.recipient, call.message_id)
                raise
        assert call.outcome is not None
        if isinstance(call.outcome, SymphonyError):
            raise call.outcome
        return call.outcome

    def answered(self, envelope: MessageEnvelope) -> None:
        """An answer for an endpoint of this process."""
        call = self.calls.answered(envelope.header.correlation_id, envelope.header.sender)
        if call is None:
            return
        self.metrics.latency.add(self._monotonic_s() - call.sent_s)
        payload = envelope.payload
        if type(payload) is ErrorPayload:
            self.metrics.failed += 1
        call.settle(payload)

    def sweep(self) -> None:
        """Fail the requests whose time is up; their endpoints are told to stop."""
        self._sweeping = None
        for call in self.calls.due(self.clock.monotonic_s()):
            self._fail(call, RequestTimedOut(f"no answer from {call.recipient or 'anyone'!r} in time"))
            self._tell_cancelled(call.recipient, call.message_id)
        self._sweep_at(self.calls.next_s)

    def _sweep_at(self, due_s: float | None) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if due_s is not None:
            after_s = max(0.0, due_s - self.clock.monotonic_s())
            self._sweeping = asyncio.get_running_loop().call_later(after_s, self.sweep)

    def _fail(self, call: PendingCall[Payload | SymphonyError], error: SymphonyError) -> None:
        self.metrics.failed += 1
        call.settle(error)

    def _tell_cancelled(self, recipient: str, message_id: str) -> None:
        """Cancellation travels; nobody minds if there is nobody any more."""
        if not recipient:
            self.cancel_given_out(message_id)
        else:
            self.send(
                self._own.envelope(
                    CANCEL, EventPayload(CANCEL), recipient=recipient, correlation_id=message_id
                )
            )

    def send(self, envelope: MessageEnvelope) -> None:
        """Give the endpoint what is addressed to it, or is not an event; or answer with an error."""
        header = envelope.header
        entry = self.registry.find(header.recipient)
        if entry is None:
            if not header.recipient and isinstance(envelope.payload, RequestPayload):
                try:
                    entry = self.registry.serving(header.message_type)
                except EndpointUnknown as error:
                    if self.uplink is None and self.beyond is None:
                        self.refuse(envelope, error)
                        return
            if entry is None:
                way = self.uplink or self.beyond
                if way is not None:
                    way.forward(envelope)
                else:
                    self.refuse(envelope, EndpointUnknown(f"there is no endpoint {header.recipient!r}"))
                return
            envelope = self._chosen(envelope, entry)
        elif header.correlation_id is not None and self._given_out:
            self._given_out.pop(header.correlation_id, None)
        entry.received += 1
        entry.deliver(envelope)

    def _chosen(self, envelope: MessageEnvelope, entry: EndpointEntry) -> MessageEnvelope:
        """Return a request without recipient, addressed to the endpoint that is to serve it."""
        addressed = MessageEnvelope(
            msgspec.structs.replace(envelope.header, recipient=entry.name), envelope.payload
        )
        if len(self._given_out) >= _GIVEN_OUT_MAX:
            del self._given_out[next(iter(self._given_out))]
        self._given_out[envelope.header.message_id] = addressed
        return addressed

    def cancel_given_out(self, message_id: str) -> None:
        """Nobody waits any more for the answer to a request that had no recipient."""
        request = self._given_out.pop(message_id, None)
        if request is not None:
            self._tell_cancelled(request.header.recipient, message_id)
        elif self.uplink is not None:
            self._tell_cancelled(LINK, message_id)

    def refuse(self, envelope: MessageEnvelope, error: SymphonyError) -> None:
        """Answer a request that does not reach anybody with `error`; other messages are counted."""
        if not isinstance(envelope.payload, RequestPayload):
            if not isinstance(envelope.payload, EventPayload):
                self.calls.late += 1
            return
        if self.registry.find(envelope.header.sender) is not None:
            self.send(self.refusal(envelope, error))
        elif self.beyond is not None:
            self.beyond.forward(self.refusal(envelope, error))

    def refusal(self, request: MessageEnvelope, error: SymphonyError) -> MessageEnvelope:
        """Return what answers `request` with `error`, in the name of the bus."""
        return self._own.answer(request, ErrorPayload(error.code, error.message, hint=error.hint))

    # The whole.

    def stats(self) -> BusStats:
        """Return how it stands."""
        metrics, latency = self.metrics, self.metrics.latency
        return BusStats(
            uptime_s=self.clock.monotonic_s() - self._began_s,
            events=self.router.events(),
            requests=metrics.requests,
            failed=metrics.failed,
            late_replies=self.calls.late,
            pending=len(self.calls),
            refused=metrics.refused,
            latency_counts=list(latency.counts),
            latency_sum_s=latency.sum_s,
            latency_p50_s=latency.quantile_s(0.5),
            latency_p99_s=latency.quantile_s(0.99),
            drops={owner: dict(topics) for owner, topics in metrics.drops.items()},
            endpoints=[
                EndpointStats(
                    name=one.name, serves=list(one.serves), capabilities=list(one.capabilities),
                    process=one.link, received=one.received,
                )
                for one in self.registry.entries()
            ],
            mailboxes=[
                MailboxStats(
                    owner=box.subscription.owner, pattern=box.subscription.pattern, policy=str(box.policy),
                    waiting=len(box), capacity=box.capacity, dropped=box.dropped,
                )
                for box in self._mailboxes.values()
            ],
            links=self.links,
            beyond=None if self.beyond is None else self.beyond.stats(),
        )  # fmt: skip

    def endpoints(self) -> tuple[Resident, ...]:
        """Return the endpoints of this process."""
        return tuple(self._endpoints.values())

    async def close(self) -> None:
        """Close every endpoint; wait for the handlers that are at work to be cancelled."""
        for endpoint in self.endpoints():
            await endpoint.close()
        self._sweep_at(None)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():  # else it was cancelled in this turn of the loop
        waiting.set_result(None)
