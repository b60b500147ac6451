"""A bounded queue, and what is done when it is full. Pure."""

from collections import deque
from enum import StrEnum
from typing import Final, Generic, TypeVar

CAPACITY: Final = 1000
"""The events that a mailbox holds by default."""

_Item = TypeVar("_Item")


class Policy(StrEnum):
    """The treatment of an event for which a mailbox has no room."""

    BLOCK = "block"
    """The event is taken, and its publisher waits. The mailbox holds at most one more for each publisher."""
    DROP_OLDEST = "drop-oldest"
    """The oldest event is dropped to make room."""
    DROP_NEWEST = "drop-newest"
    """The new event is dropped."""
    DISCONNECT = "disconnect"
    """The new event is dropped, and the mailbox takes nothing from then on."""


class Bounded(Generic[_Item]):
    """At most `capacity` items, in the order in which they came."""

    __slots__ = ("_items", "capacity", "dropped", "overflowed", "policy")

    def __init__(self, capacity: int, policy: Policy) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs a capacity of at least 1, not {capacity}")
        self._items: deque[_Item] = deque()
        self.capacity, self.policy = capacity, policy
        self.dropped = 0
        self.overflowed = False
        """True once it was full and its policy is to take nothing from then on."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """True if there is no room for one more."""
        return len(self._items) >= self.capacity

    def put(self, item: _Item) -> _Item | None:
        """Take `item`. Gives what was dropped: nothing, the oldest, or `item` itself."""
        items = self._items
        if self.overflowed:
            self.dropped += 1
            return item
        if len(items) < self.capacity or self.policy is Policy.BLOCK:
            items.append(item)
            return None
        self.dropped += 1
        if self.policy is Policy.DROP_OLDEST:
            items.append(item)
            return items.popleft()
        self.overflowed = self.policy is Policy.DISCONNECT
        return item

    def take(self) -> _Item:
        """Return the oldest item. Raises IndexError if there is none."""
        return self._items.popleft()
