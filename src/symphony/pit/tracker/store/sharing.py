"""A segment and its owner: many small runs of one process, and one thread that commits for all of them.

What runs record while a commit is under way rides in the next, together: 200 runs at once cost the
disk as much as one. What the file looks like, and how others read it, is in `segments`.
"""

import contextlib
import functools
import logging
import os
import queue
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private
from symphony.pit.tracker.core.records import Record, encode_batch
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.journal import RunMeta, RunRequest, SoundRequests, SqliteStore, read_run
from symphony.pit.tracker.store.journal_rows import (
    Fenced,
    JournalFailed,
    connect,
    failure,
    leave_log,
    write_new,
)
from symphony.pit.tracker.store.locks import RunBusy, RunLock, SegmentLock
from symphony.pit.tracker.store.writers import (
    Buffer,
    Committed,
    Failed,
    Post,
    Reached,
    Settle,
    at_once,
    nothing,
)
from symphony.ports.runs import short_id

logger = logging.getLogger(__name__)

_HEAD = "UPDATE heads SET last = ?, sum = ? WHERE number = ? AND epoch = ? AND last = ?"
_FIRST_EPOCH = 1
Done: TypeAlias = Callable[[JournalFailed | None], None]
"""Called once what was asked is durable or has failed."""


class Segment:
    """A segment that this process owns. `add` puts a run into it; `close` when nothing runs any more."""

    def __init__(self, path: Path, lock: SegmentLock, own_lock: Callable[[str], RunLock], post: Post) -> None:
        """`own_lock` gives the lock that a run has for a file of its own; `post` has runs told of commits.

        One call tells all of them: every call from a thread costs the loop a turn.
        """
        self.path, self.lock, self._own_lock, self._post = path, lock, own_lock, post
        self._count = 0
        self._db = connect(path)
        self._reading: sqlite3.Connection | None = None
        self._going = 0
        self.commits = 0
        """How many transactions there were."""
        self._queue: queue.SimpleQueue[Sequence[_Work] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="symphony-segment", daemon=True)
        self._thread.start()

    @classmethod
    def create(
        cls, folder: Path, name: str, lock: SegmentLock, own_lock: Callable[[str], RunLock], post: Post
    ) -> "Segment":
        """A new segment, durable when this returns. Blocking. Raises JournalFailed; then nothing is left."""
        path = segments.segment_path(folder, name)
        made = path.with_name(f"{path.name}.new")
        make_private(folder)
        lock.acquire(os.getpid())
        try:
            write_new(made, path, segments.new_segment())
            return cls(path, lock, own_lock, post)
        except (OSError, sqlite3.Error) as error:
            for one in (made, path, lock.path):
                one.unlink(missing_ok=True)
            lock.release()
            raise failure(path, error) from error

    @property
    def full(self) -> bool:
        """Return whether the segment has no room for another run."""
        return self._count >= segments.RUNS_MAX

    @property
    def idle(self) -> bool:
        """Return whether this process owns none of the segment's runs any more."""
        return not self._going

    def add(self, meta: RunMeta, done: Done) -> "SegmentStore":
        """The journal of a new run, which this process owns; `done` is called when it is durable.

        It rides in the commit of the first that is recorded, or of `SegmentStore.begin`.
        """
        number = self._count + 1
        self.lock.take(number)
        self._count, self._going = number, self._going + 1
        store = SegmentStore(self, meta.run_id, number)
        store.beginning = (_Creation(store, msgspec.msgpack.encode(meta), done),)
        return store

    def put(self, works: "Sequence[_Work]") -> None:
        """Let these be done with the next commit, the same for all."""
        self._queue.put(works)

    def free(self, number: int) -> None:
        """This process does not own the run any more."""
        self.lock.free(number)
        self._going -= 1

    def own_file(self, run_id: str) -> tuple[Path, RunLock]:
        """The file that the run moves to if it grows, and the lock that it has there."""
        return self.path.with_name(f"{run_id}.db"), self._own_lock(run_id)

    def requests(self, number: int) -> list[tuple[int, bytes, int]]:
        """Return the rows of the requests to a run, the oldest first. Raises sqlite3.Error."""
        if self._reading is None:  # of its own: a look must not wait for a commit
            self._reading = connect(self.path, read_only=True)
        query = "SELECT id, body, sum FROM requests WHERE number = ? ORDER BY id"
        return self._reading.execute(query, (number,)).fetchall()

    def close(self) -> None:
        """Commit what is left, fold the write-ahead log into the file and let go. Blocking."""
        self._queue.put(None)
        self._thread.join()
        if self._reading is not None:
            self._reading.close()
        with contextlib.suppress(sqlite3.Error):  # somebody reads it: it stays as it is
            leave_log(self._db)
        self._db.close()
        self.lock.release()

    def _work(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA synchronous=FULL")
        going = True
        while going:
            wanted = self._queue.get()
            found: list[_Work] = []
            while True:  # drain all there is: one commit serves all that wait
                if wanted is None:
                    going = False
                else:
                    found += wanted
                try:
                    wanted = self._queue.get_nowait()
                except queue.Empty:
                    break
            self._commit(found)

    def _commit(self, found: "list[_Work]") -> None:
        """Everything in one transaction. What a run cannot write fails that run alone."""
        outcome = dict[_Work, JournalFailed | None]()
        inside = list[_Work]()
        settled = {settle: self._failure_of(settle) for settle in {work.settle for work in found}}
        for work in found:
            outcome[work] = work.failed(settled[work.settle] or self._failure_of(work.prepare))
        # What a run has recorded stays in order: all of it that is at hand goes the same way.
        for store in {work.store for work in found}:
            if store.crowded:
                store.grow()
        for work in found:
            outcome[work] = outcome[work] or work.failed(None)
            if outcome[work] is not None:
                continue
            if work.store.own is None:
                inside.append(work)
            else:
                outcome[work] = work.failed(self._failure_of(work.write_outside))
        try:
            if inside:
                with self._db:
                    self._db.execute("BEGIN IMMEDIATE")
                    for work in inside:
                        try:
                            outcome[work] = work.store.error
                            work.write(self._db)
                        except Fenced as error:
                            outcome[work] = work.failed(error)
        except Exception as error:  # noqa: BLE001  (a bug, too, must not leave every run waiting)
            why = failure(self.path, error)
            # Those that come after this one go on from what was not written.
            outcome |= {work: work.failed(why) for work in inside}
        self.commits += 1
        there = [work for work in found if not work.here]
        if there:
            self._post(functools.partial(_tell, there, outcome))
        _tell([work for work in found if work.here], outcome)

    def _failure_of(self, write: Callable[[], None]) -> JournalFailed | None:
        """Return the failure of `write`, which concerns one run alone; None if it succeeds."""
        try:
            write()
        except JournalFailed as error:
            return error
        except SymphonyError as error:
            return JournalFailed(error.message, details=error.details, hint=error.hint)
        except Exception as error:
            logger.exception("a record for %s cannot be written", self.path.name)
            return JournalFailed(f"a record for {self.path.name} cannot be written: {error!r}")
        return None


def _tell(works: "Sequence[_Work]", outcome: "Mapping[_Work, JournalFailed | None]") -> None:
    """Each is told, whatever happens where another is."""
    for work in works:
        try:
            work.done(outcome[work])
        except Exception:
            logger.exception("run %s cannot be told of a commit", work.store.run_id)


class SegmentStore:
    """The journal of one run in a segment of this process. When the run grows it gets a file of its own."""

    def __init__(self, segment: Segment, run_id: str, number: int) -> None:
        self.segment, self.run_id, self.number = segment, run_id, number
        self.path = segment.path.with_name(f"{run_id}.db")
        self.seq = self.size = 0
        self.made = False
        """True if the run is in the segment."""
        self.error: JournalFailed | None = None
        """Why a record of the run could not be written: none that comes after it is."""
        self.own: SqliteStore | None = None
        self.beginning: tuple[_Work, ...] = ()
        self._own_lock: RunLock | None = None
        self._sound = SoundRequests(run_id)

    def put(self, work: "_Work") -> None:
        """Let this be done with the next commit, after what makes the journal."""
        begin, self.beginning = self.beginning, ()
        self.segment.put((*begin, work))

    def begin(self) -> None:
        """Make the journal durable with the next commit, if nothing else has."""
        self.put(_Entry(self, [], lambda _: None, here=True))

    def commit(self, records: list[Record]) -> None:
        """Make the records durable, and wait until they are."""
        done = threading.Event()
        found: list[JournalFailed | None] = []

        def settle(error: JournalFailed | None) -> None:
            found.append(error)
            done.set()

        self.put(_Entry(self, records, settle, here=True))
        done.wait()
        if found[0] is not None:
            raise found[0]

    def records(self) -> Iterator[Record]:
        """Everything committed, in order; of a store that is closed, too."""
        yield from read_run(self.path)[1]

    def requests(self) -> list[tuple[int, RunRequest]]:
        """The requests of other processes, the oldest first. Damaged ones are told in the log, once."""
        if self.own is not None:
            return self.own.requests()
        try:
            found = self.segment.requests(self.number)
        except sqlite3.OperationalError:
            return []  # busy: the next look finds them
        except sqlite3.Error as error:
            raise failure(self.path, error) from error
        return self._sound.of(found, lambda id_, body: row_sum("requests", id_, self.number, body))

    def settled(self, numbers: Sequence[int]) -> None:
        """Forget these requests."""
        self.put(_Settling(self, numbers))

    def reuse(self) -> Mapping[str, bytes]:
        """A run that takes over results of another has a file of its own."""
        return {}

    def writer(
        self, committed: Committed, failed: Failed, settle: Settle = nothing, post: Post = at_once
    ) -> Buffer:
        """One that hands over to the segment's thread. It needs no `post`: the segment has one for all."""
        return _Sharing(self, committed, failed, settle)

    def close(self) -> None:
        """Let the file go that the run may have got. One that was never begun is recorded now."""
        if self.beginning:
            self.begin()
        if self.own is not None:
            self.own.close()

    def stamp(self) -> str | None:
        """Return the stamp of the journal in its segment as it is now; None if it has a file of its own."""
        if self.own is not None:
            return None
        return segments.stamp_at(self.segment.path, self.number, _FIRST_EPOCH, self.seq)

    def release(self) -> None:
        """Release the run: this process does not own it any more. Once."""
        self.segment.free(self.number)
        if self._own_lock is not None:
            self._own_lock.release()
            self._own_lock = None

    @property
    def crowded(self) -> bool:
        """Return whether the run is too large for the segment that it is in."""
        return self.made and self.own is None and self.error is None and self.size > segments.RUN_BYTES_MAX

    def grow(self) -> None:
        """Give the run a file of its own, if nobody asks for the run just now and there is room."""
        path, lock = self.segment.own_file(self.run_id)
        try:
            lock.acquire_file(os.getpid())
        except RunBusy:
            return
        try:
            segments.move_out(path)
            self.own = SqliteStore.own(path)
            self._own_lock = lock
        except JournalFailed as error:
            lock.release()
            logger.warning("run %s stays in %s: %s", self.run_id, self.segment.path.name, error)


class _Sharing(Buffer):
    """Hands what it gathers to the thread that commits for every run of a segment; told where that posts."""

    def __init__(self, store: SegmentStore, committed: Committed, failed: Failed, settle: Settle) -> None:
        super().__init__(store, committed, failed, settle)
        self._shared = store

    def flush(self) -> None:
        """Hand the buffer over now."""
        if self._buffer or self._waiters:
            records, self._buffer = self._buffer, []
            waiters, self._waiters = self._waiters, []
            done = functools.partial(self._done, records, waiters)
            self._shared.put(_Entry(self._shared, records, done, settle=self._settle))

    def finish(self, finished: Reached) -> None:
        """Commit what is left, then call `finished` in the thread that commits, whether it failed or not."""
        self.flush()
        self._shared.put(_Entry(self._shared, [], lambda _: finished(), here=True))

    def _done(self, records: list[Record], waiters: list[Reached], error: JournalFailed | None) -> None:
        if self._error is None and error is not None:
            self._error = error
            self._failed(error)
        elif self._error is None:
            self._tell(records, waiters)


class _Work(ABC):
    """A task of the segment's thread for one run."""

    def __init__(
        self, store: SegmentStore, done: Done, *, here: bool = False, settle: Settle = nothing
    ) -> None:
        """`here`: `done` is called in the segment's thread, not posted. `settle` comes before the write."""
        self.store, self.done, self.here, self.settle = store, done, here, settle

    def failed(self, error: JournalFailed | None) -> JournalFailed | None:
        """Why this cannot be done: by `error`, or since the run's journal has failed before."""
        self.store.error = self.store.error or error
        return self.store.error

    def prepare(self) -> None:  # noqa: B027  (most have nothing to prepare)
        """Do what must come before the transaction."""

    @abstractmethod
    def write(self, db: sqlite3.Connection) -> None:
        """Write it, in a transaction that others share. Raises Fenced, having written nothing."""

    def write_outside(self) -> None:  # noqa: B027  (only records go there)
        """Write it to the file that the run has got. Raises JournalFailed."""


class _Creation(_Work):
    def __init__(self, store: SegmentStore, body: bytes, done: Done) -> None:
        super().__init__(store, done)
        self._body = body

    def write(self, db: sqlite3.Connection) -> None:
        number, run_id, body = self.store.number, self.store.run_id, self._body
        told = row_sum("runs", number, run_id, body)
        db.execute("INSERT INTO runs VALUES (?, ?, ?, ?)", (number, run_id, body, told))
        told = row_sum("heads", number, _FIRST_EPOCH, 0)
        db.execute("INSERT INTO heads VALUES (?, ?, 0, ?)", (number, _FIRST_EPOCH, told))
        self.store.size += len(body)
        self.store.made = True


class _Entry(_Work):
    """Records, as one row. After a failure of the run's nothing of it is written any more."""

    def __init__(
        self,
        store: SegmentStore,
        records: list[Record],
        done: Done,
        *,
        here: bool = False,
        settle: Settle = nothing,
    ) -> None:
        super().__init__(store, done, here=here, settle=settle)
        self._records = records
        self._body: bytes | None = None

    def prepare(self) -> None:
        store = self.store
        if store.own is None and self._records:
            self._body = encode_batch(self._records)
            store.size += len(self._body)

    def write(self, db: sqlite3.Connection) -> None:
        store = self.store
        if self._body is None or store.error is not None:
            return
        number, seq = store.number, store.seq + 1
        told = row_sum("heads", number, _FIRST_EPOCH, seq)
        if db.execute(_HEAD, (seq, told, number, _FIRST_EPOCH, seq - 1)).rowcount != 1:
            raise Fenced(f"another process has taken over the run {short_id(store.run_id)}")
        row = (number, seq, _FIRST_EPOCH, self._body)
        db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (*row, row_sum("entries", *row)))
        store.seq = seq

    def write_outside(self) -> None:
        if self._records and self.store.own is not None and self.store.error is None:
            self.store.own.commit(self._records)


class _Settling(_Work):
    def __init__(self, store: SegmentStore, numbers: Sequence[int]) -> None:
        super().__init__(store, lambda _: None, here=True)
        self._numbers = numbers

    def failed(self, error: JournalFailed | None) -> JournalFailed | None:
        """No record is lost: what stays asked is found again, and means nothing any more."""
        return error

    def write(self, db: sqlite3.Connection) -> None:
        db.executemany("DELETE FROM requests WHERE id = ?", [(number,) for number in self._numbers])

    def write_outside(self) -> None:
        if self.store.own is not None:
            self.store.own.settled(self._numbers)
