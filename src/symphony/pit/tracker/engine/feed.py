"""The durable events of one run, for whoever subscribes in this process."""

import asyncio
from collections import deque
from collections.abc import Sequence

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.core.replay import Replay
from symphony.ports.runs import RunEvent

TOKENS = "node.tokens"
"""A piece of a model's answer, in `data["text"]`. Its `seq` is that of the last durable event."""
LIVE_MAX = 1000


class Feed:
    """Records go in as they become durable; events are made of them when somebody asks.

    Beside them stand live events: pieces of answers, for whoever watches now, kept nowhere.
    """

    def __init__(self, plan: Plan, *, limit: int) -> None:
        self._replay = Replay(plan, limit=limit)
        self._events: list[RunEvent] = []
        self._live: deque[RunEvent] = deque(maxlen=LIVE_MAX)
        self.told = 0  # how many live events there ever were
        self._untold: list[Record] = []
        self._news = asyncio.Event()
        self._closed = False

    def publish(self, records: Sequence[Record]) -> None:
        """These have become durable. Call it on the loop."""
        self._untold += records
        self._news.set()

    def tell(self, node: str, text: str, at: float) -> None:
        """A model has written `text` for `node`. Only who watches now will see it."""
        event = RunEvent(seq=self._replay.seq, type=TOKENS, at=at, node=node, data={"text": text})
        self._live.append(event)
        self.told += 1
        self._news.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def news(self, at: int, told: int) -> tuple[Sequence[RunEvent], Sequence[RunEvent]]:
        """Durable events from index `at` on, and live ones after the first `told`; waits for one.

        Both are empty when the run has ended. Who is slower than 1,000 live events misses some.
        """
        while not self._untold and len(self._events) <= at and self.told <= told and not self._closed:
            self._news.clear()
            await self._news.wait()
        missed = max(0, len(self._live) - (self.told - told))
        return self._up_to_date()[at:], list(self._live)[missed:]

    async def since(self, at: int, most: int | None = None) -> Sequence[RunEvent]:
        """Events from index `at` on, at most so many; waits for one; empty when the run has ended."""
        while not self._untold and len(self._events) <= at and not self._closed:
            self._news.clear()
            await self._news.wait()
        return self._up_to_date()[at : None if most is None else at + most]

    def after(self, seq: int) -> Sequence[RunEvent]:
        """Events after number `seq`, without waiting."""
        return self._up_to_date()[seq:]

    @property
    def closed(self) -> bool:
        """Has the run ended?"""
        return self._closed

    def count(self) -> int:
        """How many events there are by now."""
        return len(self._up_to_date())

    def _up_to_date(self) -> list[RunEvent]:
        untold, self._untold = self._untold, []
        for record in untold:
            self._replay.apply(record)
            self._events.append(self._replay.event(record))
        return self._events
