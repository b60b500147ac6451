"""The endpoints on a NATS server, of this process and of others: names, requests, heartbeats.

| subject | carries |
|---|---|
| `PREFIX.to.NAME` | requests and cancellations for an endpoint |
| `PREFIX.serves.TYPE` | requests for the servers of a type; one of them gets each |
| `PREFIX.claim.NAME` | who comes asks here whether its name is taken |
| `PREFIX.alive`, `PREFIX.here` | life signs of processes, and what there is of each; see `nats_peers` |
| `PREFIX.ask`, `PREFIX.ask.PROCESS` | tell what there is of you |
| `PREFIX.gone` | a process left |
| an inbox | answers, for the endpoint that asked, which need not be known to anybody |
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import NoRespondersError

from symphony.bus.adapters.nats_connection import FAILURES, in_force, unavailable
from symphony.bus.adapters.nats_peers import Changes, Peers, State
from symphony.bus.core.registry import BEAT_S, EndpointEntry
from symphony.bus.core.topics import check_topic
from symphony.bus.errors import EndpointLost, EndpointTaken, EndpointUnknown
from symphony.bus.exchange import JOINED, LEFT, LOST, Exchange
from symphony.bus.membership import REFUSED
from symphony.commons.errors import SerializationFailed, SymphonyError, ValidationFailed
from symphony.commons.time import random_bits
from symphony.ipc import CODECS, ErrorPayload, EventPayload, MessageEnvelope, RequestPayload
from symphony.ports.values import Value

_logger = logging.getLogger(__name__)

_CLAIM_S, _ASK_S = 3.0, 0.3
_STATES_EVERY_S: Final = 0.02
_NOBODY: Final = "503"
_ASKED_MAX: Final = 10_000
"""The most requests whose way back is remembered until they are answered."""
_TAKEN, _FREE = b"taken", b"free"
SERVED: Final = "Symphony-Served"
"""The header of an event that names, as JSON, the queue groups that have got it where it happened."""

Post = Callable[[str, MessageEnvelope, str], None]
"""Sends an envelope to a subject, with a subject for answers or an empty text. Never waits."""


class _Claim:
    """A name on its way to be ours, or ours."""

    def __init__(self) -> None:
        self.held = self.yielded = False
        self.capabilities: tuple[str, ...] = ()
        self.parts: list[NatsSubscription] = []


class NatsLink:
    """This process's part of the endpoints, over one connection that does not echo."""

    def __init__(self, exchange: Exchange, prefix: str, post: Post) -> None:
        self.exchange, self.prefix = exchange, prefix
        self.process = f"{random_bits(128):032x}"
        self.peers = Peers()
        self.wants_changed: Callable[[], None] | None = None
        """Called when the others may want something else than before."""
        self._post = post
        self._codec = CODECS["msgpack"]
        stationery = exchange.stationery("bus")
        self._envelope, self._answer = stationery.envelope, stationery.answer
        self._claims: dict[str, _Claim] = {}
        self._wants: list[str] = []
        self._ended: list[str] = []
        self._reply_to: dict[str, str] = {}
        self._version = 0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, client: Client) -> None:
        """Listen, and ask who is there. Raises what the client library raises."""
        self._client, self._inbox = client, client.new_inbox()
        for subject, hear in (
            (f"{self._inbox}.>", self._answered),
            (self.subject("alive"), self._alive),
            (self.subject("here"), self._here),
            (self.subject("gone"), self._gone),
            (self.subject("ask"), self._asked),
            (self.subject(f"ask.{self.process}"), self._asked),
        ):
            await client.subscribe(subject, cb=hear)
        await client.publish(self.subject("ask"), b"")
        await in_force(client)
        self.own(self._beat(), "nats beat")
        self.own(self._tell(), "nats state")

    async def leave(self) -> None:
        """Say goodbye; no life sign follows."""
        await self.stop()
        try:
            await self._client.publish(self.subject("gone"), self.process.encode())
            await in_force(self._client)
        except FAILURES as error:
            _logger.info("the others notice later that this process left: %s", error)

    async def stop(self) -> None:
        """End what runs on its behalf."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def own(self, work: Coroutine[object, None, None], name: str) -> None:
        """Have something done meanwhile; it ends with this."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def subject(self, rest: str) -> str:
        """Return a subject of this bus."""
        return f"{self.prefix}.{rest}"

    def read(self, message: Msg) -> MessageEnvelope | None:
        """Return what `message` carries; None, and it is logged, if that is broken."""
        try:
            return self._codec.decode(message.data)
        except SerializationFailed as error:
            _logger.warning("a broken message on %s: %s", message.subject, error)
            return None

    def want(self, patterns: Iterable[str]) -> None:
        """Tell the others which events are wanted here."""
        if (wants := sorted(patterns)) != self._wants:
            self._wants = wants
            self._has_changed()

    # Names.

    async def claim(self, entry: EndpointEntry) -> None:
        """Make `entry` reachable. If several claim a name at once, exactly one gets it.

        Who holds a name answers that it is taken. Of two that both claim it, the one whose process
        has the lower number does; the other gives way. A name that nobody answers for is ours.
        Raises EndpointTaken, NatsUnavailable.
        """
        subject, claim = self.subject(f"claim.{entry.name}"), _Claim()
        self._claims[entry.name] = claim
        try:
            claim.parts.append(await self._client.subscribe(subject, cb=self._claimed))
            await self._won(subject, claim)
            claim.capabilities = entry.capabilities
            claim.parts.append(
                await self._client.subscribe(self.subject(f"to.{entry.name}"), cb=self._arrived)
            )
            for kind in entry.serves:
                check_topic(kind)
                claim.parts.append(
                    await self._client.subscribe(
                        self.subject(f"serves.{kind}"), queue="serves", cb=self._arrived
                    )
                )
            await in_force(self._client)
        except BaseException as error:
            self.withdraw(entry.name, claim)
            if isinstance(error, FAILURES):
                raise unavailable(error) from error
            raise
        self._has_changed()

    def withdraw(self, name: str, claim: _Claim | None = None) -> None:
        """The name is free; nothing happens if it is not ours, or no longer as `claim`ed."""
        if (found := self._claims.get(name)) is not None and claim in (None, found):
            del self._claims[name]
            for one in found.parts:
                self.own(ended(one), "nats withdraw")
            if found.held:
                self._ended.append(name)
                self._has_changed()

    def holds(self, name: str) -> bool:
        """True if it is reached through this process."""
        return (claim := self._claims.get(name)) is not None and claim.held

    async def _won(self, subject: str, claim: _Claim) -> None:
        async with asyncio.timeout(_CLAIM_S):
            while not claim.yielded:
                try:
                    answer = await self._client.request(subject, self.process.encode(), timeout=_ASK_S)
                except NoRespondersError:
                    break
                except TimeoutError:
                    continue  # whom it reached has just ended
                # Who is free or gives way no longer listens: asked again, the rest answer.
                claim.yielded |= answer.data != _FREE
        if claim.yielded:
            raise _taken(subject.removeprefix(self.subject("claim.")))
        claim.held = True

    async def _claimed(self, message: Msg) -> None:
        """Another asks for a name."""
        claim = self._claims.get(message.subject.removeprefix(self.subject("claim.")))
        if not message.reply:
            return
        if claim is not None and not claim.yielded:
            if claim.held or self.process < message.data.decode(errors="replace"):
                await message.respond(_TAKEN)
                return
            claim.yielded = True
            self.own(_give_way(claim.parts[0], message), "nats give way")  # not from its own callback
            return
        await message.respond(_FREE)

    # Requests.

    def forward(self, envelope: MessageEnvelope) -> None:
        """Send to the endpoint it is for, or to one that serves its type; see `Uplink.forward`."""
        header = envelope.header
        to = f"to.{header.recipient}" if header.recipient else f"serves.{header.message_type}"
        try:
            check_topic(to)
        except ValidationFailed:
            self.exchange.refuse(envelope, EndpointUnknown(f"there is no endpoint {header.recipient!r}"))
            return
        subject, reply = self.subject(to), ""
        if isinstance(envelope.payload, RequestPayload):
            reply = f"{self._inbox}.{header.message_id}.{header.sender}"
        elif not isinstance(envelope.payload, EventPayload):
            subject = self._reply_to.pop(header.correlation_id or "", subject)
        self._post(subject, envelope, reply)

    async def _arrived(self, message: Msg) -> None:
        envelope = self.read(message)
        if envelope is None:
            return
        recipient, request = envelope.header.recipient, isinstance(envelope.payload, RequestPayload)
        if request and message.reply:
            if len(self._reply_to) >= _ASKED_MAX:
                del self._reply_to[next(iter(self._reply_to))]
            self._reply_to[envelope.header.message_id] = message.reply
        here = self.holds(recipient) and self.exchange.registry.find(recipient) is not None
        if here or (
            request and not recipient and self.exchange.registry.serves(envelope.header.message_type)
        ):
            self.exchange.send(envelope)
        elif request:  # it was on its way when the endpoint went
            self.forward(self._answer(envelope, _error(EndpointLost(f"{recipient!r} is gone"))))
        else:
            self.exchange.calls.late += 1

    async def _answered(self, message: Msg) -> None:
        """An answer, or the server says that nobody is there: for whom we asked, or any more."""
        asked, _, sender = message.subject.removeprefix(f"{self._inbox}.").partition(".")
        nobody = message.headers is not None and message.headers.get("Status") == _NOBODY
        if nobody and not sender:
            self._vanished(asked, "its connection has ended")
            return
        if nobody:
            lost = EndpointLost(
                "nobody of that name is on the bus: nothing was done",
                hint="check the name, or ask when it is there",
            )
            answer = self._envelope("error", _error(lost), recipient=sender, correlation_id=asked)
        elif (found := self.read(message)) is not None and found.header.recipient == sender:
            answer = found
        else:
            return
        if self.exchange.registry.find(sender) is not None:
            self.exchange.send(answer)
        else:
            self.exchange.calls.late += 1

    # Who is there.

    def announce(self, topic: str, data: Value) -> None:
        """Tell those who subscribed in this process, or on its hub."""
        self.exchange.route(self._envelope("event", EventPayload(topic, data)))

    def forget_all(self, why: str) -> None:
        """Nobody is reached any more."""
        for process in self.peers.processes():
            self._vanished(process, why)

    def _vanished(self, process: str, why: str, topic: str = LOST) -> None:
        self._tell_changes(self.peers.forget(process), why, topic)

    def _tell_changes(self, changes: Changes, why: str, topic: str = LEFT) -> None:
        for name, capabilities in changes.joined.items():
            self.announce(JOINED, {"name": name, "capabilities": list(capabilities)})
        gone = [name for name in changes.gone if self.exchange.registry.find(name) is None]
        self.exchange.fail_calls(set(gone), why)
        for name in gone:
            self.announce(topic, {"name": name, "reason": why})
        if gone and self.exchange.endpoints_gone is not None:
            self.exchange.endpoints_gone(gone, why)
        if self.wants_changed is not None:
            self.wants_changed()

    async def _alive(self, message: Msg) -> None:
        process, _, version = message.data.decode(errors="replace").partition(" ")
        if not (version.isascii() and version.isdigit() and len(version) < 20):
            return
        if self.peers.heard(process, int(version), self.exchange.clock.monotonic_s()):
            await self._client.publish(self.subject(f"ask.{process}"), b"")

    async def _here(self, message: Msg) -> None:
        try:
            state = msgspec.msgpack.decode(message.data, type=State)
            changes = self.peers.told(state, self.exchange.clock.monotonic_s())
        except (msgspec.MsgspecError, ValueError, ValidationFailed) as error:
            _logger.warning("a broken message on %s: %s", message.subject, error)
            return
        self._tell_changes(changes, "it has been closed")
        for name in state.names:
            if self.holds(name) and state.process < self.process:
                # Only when the server was away from one of us, or is several that were apart.
                self.withdraw(name)
                self.announce(REFUSED, {"name": name, "reason": "another endpoint has this name"})

    async def _gone(self, message: Msg) -> None:
        self._vanished(message.data.decode(errors="replace"), "its process left", LEFT)

    async def _asked(self, message: Msg) -> None:
        self._changed.set()

    def _has_changed(self) -> None:
        self._version += 1
        self._changed.set()

    async def _tell(self) -> None:
        """Tell the others what there is here, whenever it changes and when they ask."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            names = {name: list(one.capabilities) for name, one in self._claims.items() if one.held}
            state = State(self.process, self._version, names, self._wants, self._ended)
            self._ended = []
            try:
                await self._client.publish(self.subject("here"), msgspec.msgpack.encode(state))
            except FAILURES as error:
                _logger.info("the others hear later what there is here: %s", error)
            await self.exchange.clock.sleep(_STATES_EVERY_S)

    async def _beat(self) -> None:
        while True:
            if self._client.is_connected:
                try:
                    await self._look()
                except FAILURES as error:
                    _logger.info("no life sign to NATS: %s", error)
            await self.exchange.clock.sleep(BEAT_S)

    async def _look(self) -> None:
        await self._client.publish(self.subject("alive"), f"{self.process} {self._version}".encode())
        suspects, lost = self.peers.silent(self.exchange.clock.monotonic_s())
        for process in suspects:
            # A process that has died listens no more, and the server says so at once.
            await self._client.publish(self.subject(f"ask.{process}"), b"", reply=f"{self._inbox}.{process}")
        for process in lost:
            self._vanished(process, "its process gives no sign of life")


def served(message: Msg, group: str | None) -> bool:
    """True if a member of `group` got this event in the process where it was published."""
    if group is None or not message.headers or not (names := message.headers.get(SERVED)):
        return False
    try:
        return group in msgspec.json.decode(names, type=list[str])
    except msgspec.MsgspecError:
        return False


async def _give_way(subscription: NatsSubscription, message: Msg) -> None:
    """The order matters: if asked again, we are no longer there."""
    await ended(subscription)
    try:
        await message.respond(_FREE)
    except FAILURES as error:
        _logger.debug("who asked for a name asks again: %s", error)


async def ended(subscription: NatsSubscription) -> None:
    """Nothing more comes of it."""
    try:
        await subscription.unsubscribe()
    except FAILURES as error:
        _logger.debug("a subscription had ended: %s", error)


def _error(error: SymphonyError) -> ErrorPayload:
    return ErrorPayload(error.code, error.message, hint=error.hint)


def _taken(name: str) -> EndpointTaken:
    return EndpointTaken(f"another endpoint is called {name!r}", hint="choose another name, or end that one")
