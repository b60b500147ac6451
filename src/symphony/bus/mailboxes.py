"""Mailboxes: events that wait until their subscriber asks for them."""

import asyncio
from collections.abc import AsyncIterator, Callable

from symphony.bus.core.mailbox import Bounded, Policy
from symphony.bus.core.router import Subscription
from symphony.bus.errors import MailboxClosed, MailboxOverflowed
from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import MessageEnvelope


class Mailbox:
    """A bounded queue of events, read by one task. Iterate over it, or call `receive`."""

    def __init__(
        self,
        pattern: str,
        capacity: int,
        policy: Policy,
        *,
        owner: str,
        group: str | None,
        dropped: Callable[[Subscription, MessageEnvelope], None],
        closed: Callable[["Mailbox"], None],
    ) -> None:
        """`dropped` hears of each event that is lost, `closed` that nothing is taken any more."""
        self._box: Bounded[MessageEnvelope] = Bounded(capacity, policy)
        self._dropped, self._on_closed = dropped, closed
        self._reader: asyncio.Future[None] | None = None
        self._room: set[asyncio.Future[None]] = set()
        self._error: SymphonyError | None = None
        self.arrived: Callable[[], None] | None = None
        """Called after each event that was put in."""
        self.taken: Callable[[], None] | None = None
        """Called after each event that was taken out."""
        self.subscription = Subscription(
            pattern, self.put, owner=owner, group=group, capacity=capacity, policy=policy,
            full=self._is_full, room=self.room,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._box)

    @property
    def capacity(self) -> int:
        """Return how many events it holds."""
        return self._box.capacity

    @property
    def policy(self) -> Policy:
        """Return what happens when it is full."""
        return self._box.policy

    @property
    def dropped(self) -> int:
        """Events that were lost for want of room."""
        return self._box.dropped

    @property
    def full(self) -> bool:
        """True if there is no room: publishers must wait then, if that is its policy."""
        return self._box.full

    def put(self, envelope: MessageEnvelope) -> None:
        """For the bus: take an event, as the policy says."""
        if self._error is not None:
            return
        lost = self._box.put(envelope)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        if lost is not None:
            self._dropped(self.subscription, lost)
            if self._box.overflowed:
                self._close(
                    MailboxOverflowed(
                        f"the mailbox of {self.subscription.owner!r} for {self.subscription.pattern!r} had "
                        f"{self.capacity:,} events waiting, and its policy is to be closed then",
                        hint="read faster, give it more capacity, or choose another policy",
                    )
                )
        if self.arrived is not None:
            self.arrived()

    def take(self) -> MessageEnvelope | None:
        """Return the next event if there is one."""
        if not self._box:
            return None
        envelope = self._box.take()
        if self._room and not self._box.full:
            self._release()
        if self.taken is not None:
            self.taken()
        return envelope

    async def receive(self) -> MessageEnvelope:
        """Return the next event. Raises MailboxClosed, MailboxOverflowed: both after all that had arrived."""
        while True:
            if (envelope := self.take()) is not None:
                return envelope
            if self._error is not None:
                raise self._error
            assert self._reader is None, "a mailbox is read by one task"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def __aiter__(self) -> AsyncIterator[MessageEnvelope]:
        """Events until it is closed. Raises MailboxOverflowed."""
        while True:
            try:
                envelope = await self.receive()
            except MailboxClosed:
                return
            yield envelope

    async def room(self) -> None:
        """Wait until there is room or it is closed."""
        while self._error is None and self._box.full:
            waiting = asyncio.get_running_loop().create_future()
            self._room.add(waiting)
            try:
                await waiting
            finally:
                self._room.discard(waiting)

    def close(self) -> None:
        """Take nothing any more; what is in it can still be read."""
        self._close(MailboxClosed("this mailbox has been closed"))

    def end(self, error: SymphonyError) -> None:
        """Close it, and tell the reader why."""
        self._close(error)

    def _is_full(self) -> bool:
        return self._box.full

    def _close(self, error: SymphonyError) -> None:
        if self._error is None:
            self._error = error
            self._release()
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)
            self._on_closed(self)

    def _release(self) -> None:
        for waiting in self._room:
            if not waiting.done():
                waiting.set_result(None)
