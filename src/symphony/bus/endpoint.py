"""Endpoints: the parts that have a name on the bus."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Final, TypeAlias

from symphony.bus.core.mailbox import CAPACITY, Policy
from symphony.bus.core.registry import EndpointEntry
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Deliver, Subscription
from symphony.bus.errors import RAISED, EndpointBusy
from symphony.bus.exchange import CANCEL, OWN_TOPICS, Exchange
from symphony.bus.mailboxes import Mailbox
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.commons.unicode import described, sound
from symphony.ipc.envelope import (
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
)
from symphony.ports.values import Value

_logger = logging.getLogger(__name__)

PING: Final = "bus.ping"
TIMEOUT_S: Final = 30.0

Handler: TypeAlias = Callable[[MessageEnvelope], Value | Coroutine[object, None, Value]]
"""Answers a request: at once, or, as an `async def`, in a task that is cancelled when nobody waits any more.

A SymphonyError that it raises reaches the caller, field by field.
"""


class Endpoint:
    """One named part. Made by `Bus.endpoint`."""

    def __init__(self, exchange: Exchange, name: str, handler: Handler | None, *, in_flight_max: int) -> None:
        self.name = name
        self._exchange, self._handler, self._in_flight_max = exchange, handler, in_flight_max
        stationery = exchange.stationery(name)
        self._envelope, self._answer = stationery.envelope, stationery.answer
        self._working: dict[str, asyncio.Task[Value]] = {}
        self._subscriptions: dict[Subscription, None] = {}

    # Asking.

    async def request(
        self, recipient: str, method: str, arguments: Value = None, *, timeout_s: float | None = TIMEOUT_S
    ) -> Value:
        """Ask `recipient`, or with "" one of those who serve `method`, and give its answer.

        Raises RequestTimedOut after `timeout_s` seconds (None: never), EndpointUnknown,
        EndpointLost, EndpointBusy, and what the other side raised. When this is cancelled, the
        other side is told.
        """
        envelope = self._envelope(method, RequestPayload(method, arguments, timeout_s), recipient=recipient)
        call = self._exchange.ask(envelope)
        if type(call.outcome) is ResponsePayload:
            return call.outcome.result
        answer = await self._exchange.outcome(call, timeout_s)
        if type(answer) is ResponsePayload:
            return answer.result
        assert isinstance(answer, ErrorPayload)
        kind = RAISED.get(answer.code)
        raise answer.as_error() if kind is None else kind(answer.message, hint=answer.hint)

    # Events.

    async def publish(self, topic: str, data: Value = None, *, message_type: str = "event") -> None:
        """Publish to every subscriber of `topic`. Waits while a subscriber that blocks has no room.

        Raises ValidationFailed for something that is not a topic, or one of the bus itself.
        """
        if topic.startswith(OWN_TOPICS):
            raise _reserved(topic)
        await self._exchange.publish(self._envelope(message_type, EventPayload(topic, data)))

    def try_publish(self, topic: str, data: Value = None, *, message_type: str = "event") -> bool:
        """Publish an event without waiting; False, and nothing done, if a subscriber must read first."""
        if topic.startswith(OWN_TOPICS):
            raise _reserved(topic)
        return self._exchange.try_publish(self._envelope(message_type, EventPayload(topic, data)))

    async def subscribe(
        self,
        pattern: str,
        deliver: Deliver,
        *,
        group: str | None = None,
        replay: Replay | None = None,
        capacity: int = CAPACITY,
        policy: Policy = Policy.DROP_OLDEST,
    ) -> Subscription:
        """Have `deliver` called for each event that matches, in order, from the event loop.

        Of the subscriptions in one `group` one gets each event. `capacity` and `policy` hold for
        events on their way from other processes. In force when this returns.
        """
        found = await self._exchange.subscribe(
            pattern, deliver, owner=self.name, group=group, replay=replay, capacity=capacity, policy=policy
        )
        self._subscriptions[found] = None
        return found

    async def mailbox(
        self,
        pattern: str,
        *,
        group: str | None = None,
        replay: Replay | None = None,
        capacity: int = CAPACITY,
        policy: Policy = Policy.DROP_OLDEST,
    ) -> Mailbox:
        """Return a bounded mailbox of the events that match, to be read at leisure."""
        box = await self._exchange.mailbox(
            pattern, owner=self.name, group=group, replay=replay, capacity=capacity, policy=policy
        )
        self._subscriptions[box.subscription] = None
        return box

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more events for it. May be called twice."""
        self._subscriptions.pop(subscription, None)
        self._exchange.unsubscribe(subscription)

    async def close(self) -> None:
        """Leave the bus: subscriptions end, handlers at work are cancelled. May be called twice."""
        for subscription in tuple(self._subscriptions):
            self.unsubscribe(subscription)
        self._exchange.remove(self)
        working = tuple(self._working.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    # For the bus.

    def deliver(self, envelope: MessageEnvelope) -> None:
        """A message for this endpoint. Never waits."""
        payload = envelope.payload
        if type(payload) is RequestPayload:
            self._serve(envelope, payload)
        elif type(payload) is EventPayload:
            if payload.topic == CANCEL and envelope.header.correlation_id is not None:
                self._cancelled(envelope.header.correlation_id)
        else:
            self._exchange.answered(envelope)

    def _serve(self, envelope: MessageEnvelope, request: RequestPayload) -> None:
        if request.method == PING:
            self._reply(envelope, ResponsePayload(request.arguments))
            return
        try:
            if self._handler is None:
                raise SymphonyError(f"{self.name!r} takes no requests", code="method-unknown")
            if len(self._working) >= self._in_flight_max:
                raise EndpointBusy(f"{self.name!r} is at work on {self._in_flight_max:,} requests")
            found = self._handler(envelope)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller hears of it
            self._reply(envelope, self._error(error))
            return
        if not isinstance(found, _VALUE) and isinstance(found, Coroutine):
            self._work(envelope, found)
        else:
            self._exchange.send(self._answer(envelope, ResponsePayload(found)))

    def _work(self, envelope: MessageEnvelope, coroutine: Coroutine[object, None, Value]) -> None:
        message_id = envelope.header.message_id

        def done(task: asyncio.Task[Value]) -> None:
            del self._working[message_id]
            if task.cancelled():
                return  # the caller has stopped waiting, or hears that this endpoint is gone
            error = task.exception()
            answer = ResponsePayload(task.result()) if error is None else self._error(error)
            self._reply(envelope, answer)

        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.name} {message_id}")
        self._working[message_id] = task
        task.add_done_callback(done)

    def _cancelled(self, message_id: str) -> None:
        if (task := self._working.get(message_id)) is not None:
            task.cancel()

    def _error(self, error: BaseException) -> ErrorPayload:
        if isinstance(error, SymphonyError):
            details: dict[str, Value] = {
                key: value for key, value in error.details.items() if isinstance(value, _SIMPLE)
            }
            return ErrorPayload(error.code, error.message, details or None, error.hint)
        _logger.error("a handler of %s failed", self.name, exc_info=error)
        return ErrorPayload("handler-failed", f"{self.name!r} failed: {sound(described(error))}")

    def _reply(self, request: MessageEnvelope, payload: ResponsePayload | ErrorPayload) -> None:
        self._exchange.send(self._answer(request, payload))


async def open_endpoint(
    exchange: Exchange,
    name: str,
    handler: Handler | None = None,
    *,
    serves: Iterable[str] = (),
    capabilities: Iterable[str] = (),
    in_flight_max: int = 1024,
) -> Endpoint:
    """Return a new endpoint; `handler` answers its requests, up to `in_flight_max` at once.

    Raises EndpointTaken, ValidationFailed for a name with wildcards or spaces.
    """
    endpoint = Endpoint(exchange, name, handler, in_flight_max=in_flight_max)
    await exchange.admit(endpoint, EndpointEntry(name, endpoint.deliver, tuple(serves), tuple(capabilities)))
    return endpoint


def _reserved(topic: str) -> ValidationFailed:
    return ValidationFailed(
        f"{topic!r:.100} is for the bus itself to publish",
        details={"field": "topic"},
        hint=f"begin topics with something else than {OWN_TOPICS}",
    )


_SIMPLE: Final = (bool, int, float, str, type(None))
_VALUE: Final = (dict, str, type(None), list, bool, int, float, bytes)
"""Types that are not coroutines, known without the abstract class, which takes five times as long."""
