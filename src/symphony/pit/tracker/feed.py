"""The durable events of one run, for whoever subscribes in this process."""

import asyncio
from collections.abc import Sequence

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.records import Record
from symphony.pit.tracker.replay import Replay
from symphony.ports.runs import RunEvent


class Feed:
    """Records go in as they become durable; events are made of them when somebody asks."""

    def __init__(self, plan: Plan, *, limit: int) -> None:
        self._replay = Replay(plan, limit=limit)
        self._events: list[RunEvent] = []
        self._untold: list[Record] = []
        self._news = asyncio.Event()
        self._closed = False

    def publish(self, records: Sequence[Record]) -> None:
        """These have become durable. Call it on the loop."""
        self._untold += records
        self._news.set()

    def close(self) -> None:
        """Nothing more will come."""
        self._closed = True
        self._news.set()

    async def since(self, at: int) -> Sequence[RunEvent]:
        """Events from index `at` on; waits for one; empty when the run has ended."""
        while not self._untold and len(self._events) <= at and not self._closed:
            self._news.clear()
            await self._news.wait()
        untold, self._untold = self._untold, []
        for record in untold:
            self._replay.apply(record)
            self._events.append(self._replay.event(record))
        return self._events[at:]
