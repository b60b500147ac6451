"""The durable events of one run, for subscribers in this process.

Records are added as they become durable, and are kept only for readers that have yet to read them: a run
that nobody watches keeps none, however long it is. A reader that comes later gets earlier records from
the journal. Events are made from records on demand.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import Final, Self

from symphony.pit.tracker.core.events import type_of
from symphony.pit.tracker.core.records import (
    BegunRecord,
    CancelRecord,
    EndedRecord,
    FailedRecord,
    FinishedRecord,
    PausedRecord,
    Record,
    ResumedRecord,
    RetryDueRecord,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.runs import RunEvent

TOKENS = "node.tokens"
"""A piece of a model's answer, in `data["text"]`. Its `seq` is that of the last durable event."""
LIVE_MAX = 1000
NOTABLE_MAX: Final = 1000
LATEST_MAX: Final = 3
_NOTABLE: Final = frozenset({
    BegunRecord, ResumedRecord, PausedRecord, CancelRecord, EndedRecord, FailedRecord, RetryDueRecord,
})  # fmt: skip


class Feed:
    """The durable events of a run; `replay` must have applied at least the published records.

    `recorded` returns all durable records from the first. There are also live events, which are pieces of
    models' answers for present observers and are not stored.
    """

    def __init__(self, replay: RunReplay, recorded: Callable[[], Iterable[Record]]) -> None:
        self._replay, self._recorded = replay, recorded
        self.count = 0  # how many events there are by now
        self._held: deque[Record] = deque()  # the last ones, which readers have yet to take
        self._readers: set[Reader] = set()
        self._notable: list[tuple[int, Record]] = []
        self.failed = 0  # attempts
        self._latest: deque[tuple[int, Record]] = deque(maxlen=LATEST_MAX)
        self._live: deque[RunEvent] = deque(maxlen=LIVE_MAX)
        self.told = 0  # how many live events there have been
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    def publish(self, records: Sequence[Record]) -> None:
        """Publish records that have become durable. Call it on the loop."""
        for seq, record in enumerate(records, self.count + 1):
            if type(record) in _NOTABLE:
                self.failed += type(record) is FailedRecord
                if len(self._notable) < NOTABLE_MAX:
                    self._notable.append((seq, record))
        places = (at for at in range(len(records) - 1, -1, -1) if isinstance(records[at], FinishedRecord))
        last = list(islice(places, LATEST_MAX))
        self._latest.extend((self.count + at + 1, records[at]) for at in reversed(last))
        self.count += len(records)
        if self._readers:
            self._held.extend(records)
        self._news.set()

    def tell(self, node: str, text: str, at: float) -> None:
        """Tell present observers that a model has written `text` for `node`; `at` is epoch seconds."""
        event = RunEvent(seq=self.count, type=TOKENS, at=at, node=node, data={"text": text})
        self._live.append(event)
        self.told += 1
        self._news.set()

    def close(self) -> None:
        """End the feed: nothing more will come."""
        self._ended.set()
        self._news.set()

    @property
    def kept(self) -> int:
        """Return how many records are kept for readers."""
        return len(self._held)

    @property
    def closed(self) -> bool:
        """True if the run has ended."""
        return self._ended.is_set()

    async def ended(self) -> None:
        """Return when the run has ended here."""
        await self._ended.wait()

    def reader(self, at: int = 0) -> "Reader":
        """Return a reader from event number `at` + 1 on. Use it as a context manager."""
        return Reader(self, at)

    def live_since(self, told: int) -> Sequence[RunEvent]:
        """Return live events after the first `told`. Events more than 1,000 back are gone."""
        missed = max(0, len(self._live) - (self.told - told))
        return list(self._live)[missed:]

    def latest(self) -> list[RunEvent]:
        """Return the last few results, the newest last."""
        return [self._replay.event(record, seq) for seq, record in self._latest]

    def failures(self, most: int) -> list[RunEvent]:
        """Return the first failures, at most `most`."""
        found = (one for one in self._notable if isinstance(one[1], FailedRecord))
        return [self._replay.event(record, seq) for seq, record in islice(found, most)]

    async def notable(self, after: int) -> AsyncIterator[RunEvent]:
        """Yield failures, retries and events of the run itself after event number `after`.

        Yields at most the first 1,000. Ends with the run.
        """
        at = 0
        while True:
            while at < len(self._notable):
                seq, record = self._notable[at]
                at += 1
                if seq > after:
                    yield self._replay.event(record, seq)
            if self.closed:
                return
            await self.news()

    async def news(self) -> None:
        """Wait until a record is published, a live event is told, or the run ends."""
        self._news.clear()
        await self._news.wait()

    # ---- for readers ----------------------------------------------------------------------

    def enter(self, reader: "Reader") -> None:
        """Keep records from now on until the reader has read them."""
        first = self.count - len(self._held)
        if reader.at < first:  # a late reader: read the dropped records back once
            self._held = deque(islice(self._recorded(), reader.at, self.count))
        self._readers.add(reader)

    def leave(self, reader: "Reader") -> None:
        """Stop keeping records for the reader."""
        self._readers.discard(reader)
        self.trim()

    def trim(self) -> None:
        """Drop the records that every reader has read."""
        kept = self.count - min((reader.at for reader in self._readers), default=self.count)
        while len(self._held) > kept:
            self._held.popleft()

    def events(self, after: int, most: int | None, wanted: Callable[[str], bool] | None) -> list[RunEvent]:
        """Return the events of the wanted types among at most `most` records after number `after`."""
        skipped = after - (self.count - len(self._held))
        taken = islice(self._held, skipped, None if most is None else skipped + most)
        event = self._replay.event
        return [
            event(record, seq)
            for seq, record in enumerate(taken, after + 1)
            if wanted is None or wanted(type_of(record))
        ]


class Reader:
    """Reads the events of a run in order; `at` is the number of the last event read."""

    def __init__(self, feed: Feed, at: int) -> None:
        self._feed, self.at = feed, min(at, feed.count)
        feed.enter(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.leave(self)

    def skip_to(self, seq: int) -> None:
        """Skip events up to number `seq`, which the caller knows from elsewhere."""
        if seq > self.at:
            self.at = min(seq, self._feed.count)
            self._feed.trim()

    def take(
        self, most: int | None = None, wanted: Callable[[str], bool] | None = None
    ) -> Sequence[RunEvent]:
        """Return the next events without waiting: of at most `most`, those of the wanted types."""
        found = self._feed.events(self.at, most, wanted)
        self.skip_to(self._feed.count if most is None else self.at + most)
        return found

    async def next(
        self, most: int | None = None, wanted: Callable[[str], bool] | None = None
    ) -> Sequence[RunEvent] | None:
        """Return what comes next, as `take` does; None when the run has ended and all was read."""
        while self._feed.count <= self.at:
            if self._feed.closed:
                return None
            await self._feed.news()
        return self.take(most, wanted)
