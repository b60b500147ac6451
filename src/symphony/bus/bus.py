"""The bus of one process, as its users see it."""

from collections.abc import Callable, Iterable

from symphony.bus.core.mailbox import CAPACITY, Policy
from symphony.bus.core.metrics import BusStats
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Deliver, Subscription
from symphony.bus.endpoint import Endpoint, Handler, open_endpoint
from symphony.bus.exchange import Exchange
from symphony.bus.mailboxes import Mailbox
from symphony.ipc.stationery import Stationery
from symphony.ports.clock import Clock


class Bus:
    """Endpoints that ask each other, publish, and subscribe. For more processes see `joining`."""

    def __init__(
        self, *, clock: Clock | None = None, stationery: Callable[[str], Stationery] | None = None
    ) -> None:
        """`stationery` makes the envelopes of the sender that it is given; for tests that need ids."""
        self.exchange = Exchange(clock=clock, stationery=stationery)
        """What carries the messages: for hubs, memberships and bridges."""

    @property
    def clock(self) -> Clock:
        """The time that requests and waits go by."""
        return self.exchange.clock

    async def endpoint(
        self,
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
        return await open_endpoint(
            self.exchange,
            name,
            handler,
            serves=serves,
            capabilities=capabilities,
            in_flight_max=in_flight_max,
        )

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
        return await self.exchange.subscribe(
            pattern, deliver, owner=owner, group=group, replay=replay, capacity=capacity, policy=policy
        )

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
        return await self.exchange.mailbox(
            pattern, owner=owner, group=group, replay=replay, capacity=capacity, policy=policy
        )

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more events for it. May be called twice."""
        self.exchange.unsubscribe(subscription)

    def retain(self, pattern: str, last: int) -> None:
        """Keep the last `last` events of each topic that matches, for those who come late."""
        self.exchange.retain(pattern, last)

    def wants(self, topic: str) -> bool:
        """True if anybody wants events of `topic`, here or in another process. If not, none need be made."""
        return self.exchange.wants(topic)

    def wants_below(self, prefix: str) -> bool:
        """True if anybody wants events of a topic that continues `prefix`."""
        return self.exchange.wants_below(prefix)

    def when_interest_changes(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have `tell` called whenever the answer of `wants` may change; return a function that ends that."""
        return self.exchange.when_interest_changes(tell)

    def stats(self) -> BusStats:
        """Return how it stands."""
        return self.exchange.stats()

    async def close(self) -> None:
        """Close every endpoint; wait for the handlers that are at work to be cancelled."""
        await self.exchange.close()
