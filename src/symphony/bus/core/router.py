"""Routes events: subscriptions by topic, with a cache of routes. Pure.

A route is found once for each topic and kept. A new or ended subscription to one topic forgets
the route of that topic; one with wildcards forgets them all.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from symphony.bus.core.mailbox import CAPACITY, Policy
from symphony.bus.core.metrics import count
from symphony.bus.core.retention import Retention
from symphony.bus.core.topics import Trie, check_pattern, check_topic, has_wildcard, matches
from symphony.ipc.envelope import MessageEnvelope

Deliver: TypeAlias = Callable[[MessageEnvelope], None]
ROUTES_MAX: Final = 4096
"""The most topics whose routes are remembered; the oldest goes first."""


def _never() -> bool:
    return False


class Subscription:
    """Interest in the topics that match `pattern`.

    Of the subscriptions in one `group` that match a topic, one gets each event. `full` says that
    the subscriber has no room: in a group another is taken then.
    """

    __slots__ = ("capacity", "deliver", "full", "group", "owner", "pattern", "policy", "room")

    def __init__(
        self,
        pattern: str,
        deliver: Deliver,
        *,
        owner: str = "",
        group: str | None = None,
        capacity: int = CAPACITY,
        policy: Policy = Policy.DROP_OLDEST,
        full: Callable[[], bool] = _never,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`capacity` and `policy`: of the mailbox, here or, for a callback, on the way from another process.

        `room` waits until there is some. Raises ValidationFailed for something that is not a pattern.
        """
        check_pattern(pattern)
        self.pattern, self.deliver, self.owner, self.group = pattern, deliver, owner, group
        self.capacity, self.policy, self.full, self.room = capacity, policy, full, room

    @property
    def blocking(self) -> bool:
        """True if publishers wait when it is full."""
        return self.policy is Policy.BLOCK and self.room is not None


class QueueGroup:
    """Subscriptions of which each event goes to one, in turn; to those that have room first."""

    __slots__ = ("_at", "members")

    def __init__(self, members: list[Subscription]) -> None:
        self.members = members
        self._at = 0

    def next(self) -> Subscription:
        """Return the subscription whose turn it is."""
        members = self.members
        for step in range(len(members)):
            at = (self._at + step) % len(members)
            if not members[at].full():
                self._at = at + 1
                return members[at]
        self._at = (self._at + 1) % len(members)
        return members[self._at]


class Route:
    """The destinations of one topic's events, and how many went there."""

    __slots__ = ("all", "blocking", "events", "groups", "retention")

    def __init__(self, found: list[Subscription], retention: Retention | None) -> None:
        self.events, self.retention = 0, retention
        groups: dict[str, list[Subscription]] = {}
        for one in found:
            if one.group is not None:
                groups.setdefault(one.group, []).append(one)
        self.all = tuple(one for one in found if one.group is None)
        self.groups = tuple(QueueGroup(members) for members in groups.values())
        self.blocking = tuple((one,) for one in self.all if one.blocking) + tuple(
            tuple(members) for members in groups.values() if all(one.blocking for one in members)
        )

    def jam(self) -> tuple[Subscription, ...]:
        """Subscriptions of which one must have room before more is published; empty: go on."""
        for members in self.blocking:
            if all(one.full() for one in members):
                return members
        return ()


class Router:
    """Subscriptions, and the route of each topic."""

    def __init__(self, routes_max: int = ROUTES_MAX) -> None:
        """`routes_max` ≥ 1: topics that are remembered."""
        self._trie: Trie[Subscription] = Trie()
        self._order: dict[Subscription, int] = {}
        self._made = 0
        self._routes: dict[str, Route] = {}
        self._routes_max = routes_max
        self._retentions: list[Retention] = []
        self._events: Counter[str] = Counter()
        self.find = self._routes.get
        """The remembered route of a topic, or None: for those who are in a hurry."""

    def __len__(self) -> int:
        return len(self._order)

    def add(self, subscription: Subscription) -> None:
        """From now on it is on the routes of the topics that it matches, after those before it."""
        self._made += 1
        self._order[subscription] = self._made
        self._trie.add(subscription.pattern, subscription)
        self._forget(subscription.pattern)

    def remove(self, subscription: Subscription) -> None:
        """Remove the subscription from every route. Nothing happens if it is not there."""
        if self._order.pop(subscription, None) is not None:
            self._trie.remove(subscription.pattern, subscription)
            self._forget(subscription.pattern)

    def retain(self, retention: Retention) -> None:
        """From now on it keeps the events that it wants, unless one before it does."""
        self._retentions.append(retention)
        self._forget(retention.pattern)

    def retentions(self) -> tuple[Retention, ...]:
        """In the order in which they came."""
        return tuple(self._retentions)

    def route(self, topic: str) -> Route:
        """Return where events of `topic` go now. Raises ValidationFailed for something that is not a
        topic.
        """
        found = self._routes.get(topic)
        if found is None:
            check_topic(topic)
            keeps = next((one for one in self._retentions if matches(one.pattern, topic)), None)
            found = Route(sorted(self._trie.match(topic), key=self._order.__getitem__), keeps)
            if len(self._routes) >= self._routes_max:
                self._forget(next(iter(self._routes)))
            self._routes[topic] = found
        return found

    def subscriptions(self) -> tuple[Subscription, ...]:
        """In the order in which they came."""
        return tuple(self._order)

    def patterns(self) -> set[str]:
        """Return every pattern that somebody subscribed to, or whose events are kept."""
        return {one.pattern for one in self._order} | {one.pattern for one in self._retentions}

    def events(self) -> dict[str, int]:
        """Return how many events there were, by the first token of their topic."""
        total = self._events.copy()
        for topic, route in self._routes.items():
            count(total, topic, route.events)
        return {family: number for family, number in total.items() if number}

    def _forget(self, pattern: str) -> None:
        topics = tuple(self._routes) if has_wildcard(pattern) else (pattern,)
        for topic in topics:
            if (route := self._routes.pop(topic, None)) is not None:
                count(self._events, topic, route.events)
