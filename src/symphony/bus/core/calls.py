"""Requests that wait for their answer, with one queue of deadlines for all of them. Pure.

Deadlines are gathered into ticks: adding and answering cost the same however many wait, and an
answered request leaves nothing behind. A deadline is never told early, and late by one tick at most.
"""

import heapq
from collections.abc import Callable, Container, Iterator
from typing import Final, Generic, TypeVar

import msgspec

TICK_S: Final = 0.02
BUS: Final = "bus"
"""The sender of the bus's own messages."""

_Outcome = TypeVar("_Outcome")


class PendingCall(msgspec.Struct, Generic[_Outcome], eq=False):
    """A request under way. Times are monotonic seconds.

    `wake` is called once there is an `outcome`. Most requests within a process have theirs before
    anybody waits: then nothing is made to wait with.
    """

    message_id: str
    recipient: str
    sent_s: float
    tick: int | None = None
    outcome: _Outcome | None = None
    wake: Callable[[], None] | None = None

    def settle(self, outcome: _Outcome) -> None:
        """This is how it ended."""
        self.outcome = outcome
        if self.wake is not None:
            self.wake()


class PendingCalls(Generic[_Outcome]):
    """Every request under way."""

    def __init__(self) -> None:
        self._waiting: dict[str, PendingCall[_Outcome]] = {}
        self._ticks: dict[int, dict[str, None]] = {}
        self._queue: list[int] = []
        self.late = 0
        """Late and unexpected answers, and answers from an endpoint that was not asked."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_s(self) -> float | None:
        """When to sweep next; None: there is no deadline."""
        return self._queue[0] * TICK_S if self._queue else None

    def add(self, message_id: str, recipient: str, now_s: float) -> PendingCall[_Outcome]:
        """Await the answer to `message_id`, without a deadline as yet."""
        call = self._waiting[message_id] = PendingCall(message_id, recipient, now_s)
        return call

    def limit(self, call: PendingCall[_Outcome], timeout_s: float) -> bool:
        """Await it for `timeout_s` after it was sent. True: `next_s` is earlier than before."""
        tick, earlier = int((call.sent_s + timeout_s) / TICK_S) + 1, False
        due = self._ticks.get(tick)
        if due is None:
            earlier = not self._queue or tick < self._queue[0]
            due = self._ticks[tick] = {}
            heapq.heappush(self._queue, tick)
        due[call.message_id] = None
        call.tick = tick
        return earlier

    def answered(self, message_id: str | None, sender: str) -> PendingCall[_Outcome] | None:
        """Return the call that waits for the answer to `message_id`. None, and the answer is counted,
        if none does.

        An answer to a call by name must come from that endpoint or from the bus.
        """
        call = None if message_id is None else self._waiting.get(message_id)
        if call is None or (call.recipient not in ("", sender) and sender != BUS):
            self.late += 1
            return None
        del self._waiting[call.message_id]
        if call.tick is not None:
            self._forget(call.tick, call.message_id)
        return call

    def take(self, message_id: str) -> PendingCall[_Outcome] | None:
        """Wait for it no longer."""
        call = self._waiting.pop(message_id, None)
        if call is not None and call.tick is not None:
            self._forget(call.tick, message_id)
        return call

    def _forget(self, tick: int, message_id: str) -> None:
        if (due := self._ticks.get(tick)) is not None:
            due.pop(message_id, None)

    def due(self, now_s: float) -> Iterator[PendingCall[_Outcome]]:
        """Yield the calls whose deadline has passed. They wait no longer."""
        while self._queue and self._queue[0] * TICK_S <= now_s:
            for message_id in self._ticks.pop(heapq.heappop(self._queue)):
                # Telling of one may have ended others of the same tick.
                if (call := self._waiting.pop(message_id, None)) is not None:
                    yield call

    def waiting(self) -> list[PendingCall[_Outcome]]:
        """Return all that wait."""
        return list(self._waiting.values())

    def to(self, recipients: Container[str]) -> list[PendingCall[_Outcome]]:
        """Return the calls that wait for one of `recipients`. They wait no longer."""
        found = [call for call in self._waiting.values() if call.recipient in recipients]
        for call in found:
            self.take(call.message_id)
        return found
