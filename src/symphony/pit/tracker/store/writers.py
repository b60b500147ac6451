"""Gather the records of a run and commit them in groups, in the loop's thread or another."""

import functools
import logging
import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeAlias

from symphony.commons.errors import SymphonyError
from symphony.commons.switching import switching
from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.store.journal_rows import JournalFailed

logger = logging.getLogger(__name__)

BATCH_MAX = 1024
BATCH_AGE_S = 0.005

Committed: TypeAlias = Callable[[list[Record]], None]
"""Called after each commit, in order, with what was committed."""
Failed: TypeAlias = Callable[[JournalFailed], None]
"""Called when a commit has failed; nothing follows it."""
Reached: TypeAlias = Callable[[], None]
"""Called once all that was appended before is durable."""
Post: TypeAlias = Callable[[Callable[[], None]], None]
"""Has something called elsewhere: on the event loop."""
Settle: TypeAlias = Callable[[], None]
"""Makes durable what is stored elsewhere. Where it raises SymphonyError, the journal has failed."""


class Committing(Protocol):
    """A store that makes records durable."""

    def commit(self, records: list[Record]) -> None:
        """Make the records durable. Raises `JournalFailed`."""
        ...


def nothing() -> None:
    """Nothing is stored elsewhere."""


def at_once(told: Callable[[], None]) -> None:
    """Call it here: nobody listens elsewhere."""
    told()


class Buffer:
    """Gathers the records of one run and those who wait for them; `flush` commits them.

    Only the event loop's thread calls its methods. After a failed commit nothing else is written,
    and no barrier is reached any more. `settle` is called before each commit: it makes durable the
    bodies that records may refer to. What came of a commit is told with one call of `post`.
    """

    def __init__(
        self,
        store: Committing,
        committed: Committed,
        failed: Failed,
        settle: Settle = nothing,
        post: Post = at_once,
    ) -> None:
        self._store, self._committed, self._failed, self._settle = store, committed, failed, settle
        self._post = post
        self._buffer: list[Record] = []
        self._waiters: list[Reached] = []
        self._error: JournalFailed | None = None

    def append(self, record: Record) -> None:
        """Buffer a record; it rides in the next commit."""
        self._buffer.append(record)
        if len(self._buffer) >= BATCH_MAX:
            self.flush()

    def barrier(self, reached: Reached) -> None:
        """Have `reached` called once all that was appended is durable, after it was told of."""
        self._waiters.append(reached)

    def flush(self) -> None:
        """Commit at once, in this thread."""
        records, self._buffer = self._buffer, []
        waiters, self._waiters = self._waiters, []
        self._commit(records, waiters)

    def finish(self, finished: Reached) -> None:
        """Commit what is left, then call `finished` in the thread that commits, whether it failed or not."""
        self.flush()
        finished()

    def close(self) -> None:
        """Commit what is left. Blocks until that is done."""
        done = threading.Event()
        self.finish(done.set)
        done.wait()

    def _commit(self, records: list[Record], waiters: list[Reached]) -> None:
        if self._error is not None:
            return
        try:
            if records:
                self._settle()
                self._store.commit(records)
        except SymphonyError as error:
            if not isinstance(error, JournalFailed):
                error = JournalFailed(error.message, details=error.details, hint=error.hint)
            self._fail(error)
            return
        if records or waiters:
            self._post(functools.partial(self._tell, records, waiters))

    def _tell(self, records: list[Record], waiters: list[Reached]) -> None:
        if records:
            self._committed(records)
        for reached in waiters:
            reached()

    def _fail(self, error: JournalFailed) -> None:
        self._error = error
        self._post(functools.partial(self._failed, error))


class JournalWriter(Buffer):
    """A buffer that commits in a thread of its own."""

    def __init__(
        self,
        store: Committing,
        committed: Committed,
        failed: Failed,
        settle: Settle = nothing,
        post: Post = at_once,
    ) -> None:
        super().__init__(store, committed, failed, settle, post)
        self._queue: queue.SimpleQueue[tuple[list[Record], list[Reached]] | Reached] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="symphony-journal", daemon=True)
        switching.writer_begins()
        self._thread.start()

    def flush(self) -> None:
        """Hand the buffer over now."""
        if self._buffer or self._waiters:
            self._queue.put((self._buffer, self._waiters))
            self._buffer, self._waiters = [], []

    def finish(self, finished: Reached) -> None:
        """Commit what is left, then call `finished`: the last thing that the thread does."""
        self.flush()
        self._queue.put(finished)

    def close(self) -> None:
        """Commit what is left and end the thread. Blocks until it has."""
        super().close()
        self._thread.join()

    def _write(self) -> None:
        finished: Reached | None = None
        while finished is None:
            item = self._queue.get()
            records: list[Record] = []
            waiters: list[Reached] = []
            while True:  # drain all there is: one commit serves everybody who waits
                if isinstance(item, tuple):
                    records += item[0]
                    waiters += item[1]
                else:
                    finished = item
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            try:
                self._commit(records, waiters)
            except Exception as error:  # a bug must end the run, not leave it waiting for this thread
                logger.exception("records cannot be written")
                self._fail(JournalFailed(f"records cannot be written: {error!r}"))
        switching.writer_ends()
        finished()
