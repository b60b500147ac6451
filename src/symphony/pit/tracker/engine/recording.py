"""Writes a run's records: they are buffered at once, committed in groups, and announced when durable."""

import asyncio
import threading
from collections.abc import Callable

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.changes import Difference
from symphony.pit.tracker.core.records import FinishedFullyRecord, FinishedRecord, Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.feed import Feed
from symphony.pit.tracker.store.journal import JournalFailed, JournalStore
from symphony.pit.tracker.store.writers import BATCH_AGE_S


class Recorder:
    """The journal as a running engine uses it. Make it and call it on the run's loop.

    `failed` is called on the loop by `halt`, and if the journal can no longer be written.
    """

    def __init__(
        self,
        store: JournalStore,
        replay: RunReplay,
        feed: Feed,
        failed: Callable[[SymphonyError], None],
        settle: Callable[[], None],
    ) -> None:
        """`settle` makes durable the bodies that records may refer to. It is called before each commit."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._replay, self._failed = replay, failed
        self._waiting: set[asyncio.Future[None]] = set()
        self._error: JournalFailed | None = None
        self._store = store
        self._writer = store.writer(feed.publish, self._journal_failed, settle, self._call)
        self._flushing: asyncio.TimerHandle | None = None
        self._joining: list[asyncio.Future[None]] = []  # those of them that wait for the next commit

    def record(self, record: Record) -> None:
        """Buffer the record; it becomes durable with the next commit."""
        self._replay.note(record)
        self._writer.append(record)
        if self._flushing is None:
            self._flushing = self._loop.call_later(BATCH_AGE_S, self._flush_late)

    def record_result(
        self,
        slot: int,
        at: float,
        started: float,
        body: bytes | Difference,
        cached_from: str | None = None,
        *,
        quick: bool = False,
    ) -> None:
        """Buffer the record of a new result. It becomes durable with the next commit, as with `record`.

        This makes four calls fewer than `record`, a twentieth of the time of a small node. `cached_from` is
        the run of a cache hit. `quick`: it is not kept for other runs, because running again is quicker.
        """
        self._replay.seq += 1
        self._replay.note_result(slot, at, started)
        if cached_from is not None:
            self._replay.cached[slot] = cached_from
            self._writer.append(FinishedRecord(slot, at, started, body, None, cached_from))
        elif quick:
            self._replay.quick.add(slot)
            self._writer.append(FinishedFullyRecord(slot, at, started, body, None, None, quick=True))
        else:
            self._writer.append(FinishedRecord(slot, at, started, body, None, None))
        if self._flushing is None:
            self._flushing = self._loop.call_later(BATCH_AGE_S, self._flush_late)

    def flush(self) -> None:
        """Hand the buffered records to the writer now."""
        self._writer.flush()

    async def durable(self) -> None:
        """Return once everything recorded so far is durable. Raises JournalFailed if it cannot be."""
        await self.reached()

    def reached(self) -> "asyncio.Future[None]":
        """Return a future that is done once all recorded so far is durable. It may raise JournalFailed."""
        reached: asyncio.Future[None] = self._loop.create_future()
        reached.add_done_callback(self._over)
        if self._error is not None:
            reached.set_exception(self._error)
            return reached
        self._waiting.add(reached)
        if not self._joining:
            # One turn of the loop lets others join the same commit: that is what makes it a group.
            self._loop.call_soon(self._commit)
        self._joining.append(reached)
        return reached

    def _over(self, reached: "asyncio.Future[None]") -> None:
        self._waiting.discard(reached)
        if not reached.cancelled():
            reached.exception()  # perhaps nobody waits for it now: mark the exception as seen

    def _commit(self) -> None:
        joined, self._joining = self._joining, []

        def settle() -> None:
            for reached in joined:
                if not reached.done():
                    reached.set_result(None)

        self._writer.barrier(settle)
        self._writer.flush()

    def halt(self, why: SymphonyError) -> None:
        """Stop the run where it is: what is recorded stays, and nothing more is reported."""
        self._failed(why)

    async def close(self) -> None:
        """Commit what is left and close the journal, in its writer's thread: that may take a while."""
        if self._flushing is not None:
            self._flushing.cancel()
        closed: asyncio.Future[None] = self._loop.create_future()

        def finished() -> None:
            try:
                self._store.close()
            finally:
                self._call(lambda: None if closed.done() else closed.set_result(None))

        self._writer.finish(finished)
        await closed

    def _flush_late(self) -> None:
        self._flushing = None
        self._writer.flush()

    def _call(self, what: Callable[[], None]) -> None:
        """Call `what` on the loop. From a thread, each call costs a write to a pipe."""
        if threading.get_ident() == self._thread:
            self._loop.call_soon(what)  # already on the loop: nothing to wake
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _journal_failed(self, error: JournalFailed) -> None:
        self._error = error
        self._failed(error)
        for waiting in list(self._waiting):
            if not waiting.done():
                waiting.set_exception(error)
