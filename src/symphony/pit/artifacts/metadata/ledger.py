"""The log and the index of one store, kept together: what several threads and processes share.

Records go to the log first and from there to the index, always under the lock file; an index
that is behind, broken or gone catches up from the log. Appends of several threads that arrive
together share one write and one sync (the first to get the lock writes for all).
"""

import copy
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.pit.artifacts.base.database import DatabaseBroken, set_aside
from symphony.pit.artifacts.base.failures import file_lock, unwritable
from symphony.pit.artifacts.metadata.index import Index, Position, Taken
from symphony.pit.artifacts.metadata.numbering import Made, Numbering
from symphony.pit.artifacts.metadata.records import FORMAT, LoggedRecord, Put, Record, RecordLog, line_of

T = TypeVar("T")

_BATCH = 5_000
_COMPACT_BYTES = 1 << 16

_abandoned: list[Index | None] = []

logger = logging.getLogger(__name__)


class _Ticket:
    """One append that waits for its turn."""

    __slots__ = ("by_hand", "done", "durable", "error", "records")

    def __init__(self, records: tuple[Record, ...], durable: bool, by_hand: bool) -> None:
        self.records, self.durable, self.by_hand = records, durable, by_hand
        self.done = False
        self.error: Exception | None = None


class Ledger:
    """Thread-safe, several processes at once.

    `recover` gives a record for every body found when there is no log: what refers to
    a body is not known then, so all must be kept. Errors: StorageFull, IoFailed.
    """

    def __init__(self, root: Path, recover: Callable[[], Iterable[Put]]) -> None:
        self._root, self._recover = root, recover
        self._log = RecordLog(root / "records.log")
        self._lock = root / "records.lock"
        self._index_path = root / "index.db"
        self._index: Index | None = None
        self._judge: Index | None = None
        self._read_only = False
        self._seen: tuple[int, int, int] | None = None
        self._judge_seen: tuple[int, int, int] | None = None
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._waiting: deque[_Ticket] = deque()
        self._made: Made = {}
        self._settled_format = ""

    def append(self, *records: Record, durable: bool, by_hand: bool = False) -> tuple[Record, ...]:
        """Log records; with `durable` they survive a power cut once this returns.

        No run claims versions that are put `by_hand`. Returns the records as they were logged: puts under a
        name with the numbers of their versions.
        """
        ticket = _Ticket(records, durable, by_hand)
        self._waiting.append(ticket)
        with self._mutex:
            if not ticket.done:
                self._append_waiting()
        if ticket.error is not None:
            raise copy.copy(ticket.error) from ticket.error
        return ticket.records

    def ask(self, question: Callable[[Index], T]) -> T:
        """`question`, put to an index that knows all that has been logged."""
        with self._mutex:
            if not self._root.is_dir():
                with closing(Index(None)) as nothing:
                    return question(nothing)
            self._refresh()
            try:
                return question(self._opened())
            except DatabaseBroken as error:
                self._discard_index(error)
            self._refresh()
            with _broken_is_final():
                return question(self._opened())

    def judged(self, question: Callable[[Index], T]) -> T:
        """Like `ask`, by the log alone: for what cannot be undone a damaged index must not count.

        The first call reads the whole log; `close` and a `compact` that looks closer forget it.
        """
        with self._mutex:
            self._refresh()
            with _broken_is_final():
                if self._judge is None or self._judge_seen != self._log.present():
                    self._judge = self._judge or Index(None)
                    with file_lock(self._lock, exclusive=not self._read_only):
                        self._catch_up(write=not self._read_only)
                        self._read_log(self._judge, write=False)
                        self._judge_seen = self._seen
                return question(self._judge)

    @contextmanager
    def peek(self) -> Iterator[Index]:
        """Like `judged`, but nothing is written: neither a lock nor an index, nor is a torn line cut off.

        Reads the whole log.
        """
        with _broken_is_final(), closing(Index(None)) as index:
            if not read_whole(self._root, index) and self._root.is_dir():
                numbered = (Taken(record, number) for number, record in enumerate(self._recover()))
                index.apply(numbered, Position("recovered", 0, 0))
            yield index

    def ensure(self) -> None:
        """Make the log if there is none. Call this before the first body is published."""
        with self._mutex:
            self._check_fork()
            if not self._log.attach(write=False):
                with file_lock(self._lock, exclusive=True):
                    self._catch_up(write=True)

    def compact(self) -> None:
        """Rewrite the log without outdated records, if that halves it."""
        with self._mutex, file_lock(self._lock, exclusive=True):
            self._check_fork()
            self._catch_up(write=True)
            if not self._worth_compacting():
                return
            judge, self._judge = self._judge or Index(None), None
            with closing(judge), _broken_is_final():
                self._read_log(judge, write=False)
                position, needed = judge.position(), judge.count()
                if position.damaged or position.offset < _COMPACT_BYTES:
                    return
                if sum(1 for _ in self._log.read(0)) > 2 * needed:
                    self._log.replace(judge.dump())
                    self._catch_up(write=True)

    def restore(self, keep: Callable[[Path], object]) -> bool:
        """Rewrite a damaged log from an index that had read its lines before they were damaged.

        `keep` is called with the path of the damaged one before. False if no index knows better: it has read
        damaged lines itself, is damaged, has not read all, or lacks what a line that is still good says.
        """
        with self._mutex, file_lock(self._lock, exclusive=True):
            self._check_fork()
            if not self._log.attach(write=False) or not self._index_path.is_file():
                return False
            self._close_index()
            try:
                with closing(Index(self._index_path)) as known, closing(Index(None)) as judge:
                    known.check()
                    self._read_log(judge, write=False)
                    if known.position() != judge.position()._replace(damaged=0) or not known.covers(judge):
                        return False
                    keep(self._log.path)
                    self._log.replace(known.dump())
            except DatabaseBroken:
                return False
            self._catch_up(write=True)
            return True

    def _worth_compacting(self) -> bool:
        """Return whether the log may be twice as long as needed, as the index has it: that is quick to tell.

        What is written then is judged by the log alone.
        """
        with suppress(DatabaseBroken):
            return self._log.lines() > 2 * self._opened().count()
        return True

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        with self._mutex:
            self._close()

    # -- under the mutex

    def _append_waiting(self) -> None:
        batch: list[_Ticket] = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        try:
            self._check_fork()
            with file_lock(self._lock, exclusive=True):
                self._catch_up(write=True)
                self._settle_format()
                self._number_and_log(batch)
                self._index_appended()
        except BaseException as error:
            failed = error if isinstance(error, SymphonyError) else IoFailed("storing was interrupted")
            for ticket in batch:
                ticket.error = failed
            if not isinstance(error, SymphonyError):
                raise
        finally:
            for ticket in batch:
                ticket.done = True

    def _number_and_log(self, batch: list[_Ticket]) -> None:
        """Write records with the numbers of their versions. Nobody else gives numbers meanwhile."""
        try:
            numbering, records = self._numbered(batch)
        except DatabaseBroken as error:
            self._discard_index(error)
            self._catch_up(write=True)
            with _broken_is_final():
                numbering, records = self._numbered(batch)
        lines = (line_of(record) for some in records for record in some)
        self._log.append(lines, durable=any(ticket.durable for ticket in batch))
        numbering.settle()
        for ticket, numbered in zip(batch, records, strict=True):
            ticket.records = numbered

    def _numbered(self, batch: list[_Ticket]) -> tuple[Numbering, list[tuple[Record, ...]]]:
        index = self._opened()
        numbering = Numbering(index.versions.newest, index.position().damaged, self._made)
        return numbering, [numbering.numbered(one.records, by_hand=one.by_hand) for one in batch]

    def _settle_format(self) -> None:
        """Rewrite the log of an earlier version: what it says of versions by its order is written down.

        One with damaged lines stays as it is: that version, too, rewrites no log and deletes nothing then.
        """
        if self._log.format >= FORMAT or self._log.id == self._settled_format:
            return
        with closing(Index(None)) as judge, _broken_is_final():
            self._read_log(judge, write=False)
            if not judge.position().damaged:
                self._log.replace(judge.dump())
                self._catch_up(write=True)
        self._settled_format = self._log.id

    def _index_appended(self) -> None:
        try:
            self._catch_up(write=True)
        except SymphonyError as error:
            # The records are safe in the log: the next reader finds them there.
            logger.warning("the index %s is behind its log: %s", self._index_path, error)

    def _refresh(self) -> None:
        self._check_fork()
        present = self._log.present()
        if self._index is not None and present is not None and present == self._seen:
            return
        try:
            with file_lock(self._lock, exclusive=not self._read_only):
                self._catch_up(write=not self._read_only)
        except IoFailed as error:
            if self._read_only or not unwritable(self._root, error):
                raise
            self._close()
            self._read_only = True
            self._refresh()

    def _catch_up(self, *, write: bool) -> None:
        """Read what is new in the log into the index. Under the lock between processes."""
        if not self._log.attach(write=False) or self._log.lost:
            records = self._unlogged()
            if write:
                self._log.replace(records)
                self._log.attach(write=True)
            else:
                numbered = (Taken(record, number) for number, record in enumerate(records))
                self._opened().apply(numbered, Position("recovered", 0, 0))
        elif write:
            self._lengthen()
        try:
            self._read_log(self._opened(), write=write)
        except DatabaseBroken as error:
            self._discard_index(error)
            with _broken_is_final():
                self._read_log(self._opened(), write=write)
        self._seen = self._log.present()

    def _lengthen(self) -> None:
        """Rewrite a log whose end was cut off, from an index that has read more than is there."""
        try:
            known = self._opened()
            at = known.position()
            if at.log != self._log.id or at.damaged or at.offset <= (self._log.present() or (0, 0, 0))[2]:
                return
            known.check()
            with closing(Index(None)) as judge:
                self._read_log(judge, write=False)
                if judge.position().damaged or not known.covers(judge):
                    return
            records = list(known.dump())
        except DatabaseBroken as error:
            self._discard_index(error)
            return
        logger.warning("%s was cut off: it is rewritten from its index", self._log.path)
        self._log.replace(records)
        self._log.attach(write=True)

    def _unlogged(self) -> list[Record]:
        """Return what is still known without the log: from the index, if it is sound, and the bodies."""
        try:
            known = list(self._opened().dump())
        except DatabaseBroken as error:
            self._discard_index(error)
            known = []
        digests = {record.digest for record in known if isinstance(record, Put)}
        found = [put for put in self._recover() if put.digest not in digests]
        if found:
            logger.warning("%s was missing: %d bodies found without it are kept", self._log.path, len(found))
        return [*known, *found]

    def _read_log(self, index: Index, *, write: bool) -> None:
        if not self._log.id or self._log.lost:
            return
        size = (self._log.present() or (0, 0, 0))[2]
        at = index.position()
        if at.log != self._log.id or at.offset > size:
            index.reset(self._log.id)
            at = index.position()
        torn = 0
        lines = self._log.read(at.offset)
        while batch := list(islice(lines, _BATCH)):
            # A last line without an end is a torn write; a damaged one with an end is a loss.
            whole = [read for read in batch if read.whole]
            torn = len(batch) - len(whole)
            if whole:
                found, damaged = _taken(whole, at.damaged)
                at = Position(self._log.id, whole[-1].end, damaged)
                index.apply(found, at)
        if torn and write:
            self._log.cut(at.offset)

    def _discard_index(self, why: DatabaseBroken) -> None:
        self._close_index()
        if not self._read_only:
            set_aside(self._index_path, why)

    def _opened(self) -> Index:
        if self._index is None:
            self._index = Index(None if self._read_only else self._index_path)
        return self._index

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            # SQLite's connections do not survive a fork, and closing one here would harm the parent.
            _abandoned.extend((self._index, self._judge))
            self._index, self._judge, self._pid, self._seen = None, None, os.getpid(), None

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index, self._seen = None, None

    def _close(self) -> None:
        self._close_index()
        if self._judge is not None:
            self._judge.close()
            self._judge = None
        self._log.close()


def read_whole(root: Path, index: Index) -> bool:
    """Take the log of the store in `root` into an empty index, which counts its damaged lines.

    False if there is no log, or not one line of it. Writes nothing.
    """
    with closing(RecordLog(root / "records.log")) as log:
        if not log.attach(write=False) or log.lost:
            return False
        damaged, lines, last = 0, log.read(0), 0
        while batch := list(islice(lines, _BATCH)):
            # One without an end was torn in a crash.
            records, damaged = _taken([read for read in batch if read.whole], damaged)
            last = records[-1].sequence if records else last
            index.apply(records, Position(log.id, last, damaged))
    return True


@contextmanager
def _broken_is_final() -> Iterator[None]:
    try:
        yield
    except DatabaseBroken as error:
        raise IoFailed(f"the artifact index is unusable even after it was rebuilt: {error}") from error


def _taken(lines: list[LoggedRecord], damaged: int) -> tuple[list[Taken], int]:
    """Return the records of lines, and the number of damaged ones, which was `damaged` before them."""
    found = list[Taken]()
    for record, end, _ in lines:
        if record is None:
            damaged += 1
        else:
            found.append(Taken(record, end, damaged))
    return found, damaged
