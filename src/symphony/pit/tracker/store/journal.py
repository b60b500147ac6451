"""The journal of one run: append-only, group commit, fenced. One SQLite file for each run.

A commit is one blob row that holds every record buffered since the last one, so that a chain
of effects pays one fsync a step and a wide graph one for many. The event loop only appends to
a list; one writer thread encodes, commits and reports back.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.filesystem import make_private
from symphony.pit.artifacts.base.database import close_with
from symphony.pit.artifacts.values.codec import decode_sealed
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.core.records import (
    EndedRecord,
    FinishedRecord,
    OpenedRecord,
    Record,
    decode_batch,
    decode_reused,
    encode_batch,
)
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.documents import ChildDocument, Recorded
from symphony.pit.tracker.store.journal_rows import (
    FORMAT,
    Fenced,
    Found,
    JournalDamaged,
    JournalFailed,
    JournalNewer,
    batch_records,
    batches,
    blank,
    check_format,
    checked,
    connect,
    damaged,
    failure,
    journal_errors,
    leave_log,
    looked,
    meta_rows,
    packed,
    put_meta,
    reading,
    rows,
    summed,
    upgrade,
    write_new,
)
from symphony.pit.tracker.store.writers import (
    Buffer,
    Committed,
    Failed,
    JournalWriter,
    Post,
    Settle,
    at_once,
    nothing,
)
from symphony.ports.runs import short_id

__all__ = [
    "FORMAT",
    "Buffer",
    "Fenced",
    "JournalDamaged",
    "JournalFailed",
    "JournalNewer",
    "JournalStore",
    "JournalWriter",
    "MemoryStore",
    "RunMeta",
    "RunRequest",
    "SoundRequests",
    "SqliteStore",
    "examine",
    "is_asked",
    "read_all",
    "read_last",
    "read_meta",
    "read_run",
    "remove",
    "request",
]  # fmt: skip

logger = logging.getLogger(__name__)

_APPEND = """
INSERT INTO batches (seq, epoch, body, sum)
SELECT ?, ?, ?, ? WHERE (SELECT value FROM meta WHERE key = 'epoch') = ?
"""


class RunMeta(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a run that are known from its start, enough to resume it anywhere."""

    run_id: str
    workflow: bytes
    """The document as canonical JSON."""
    source: str | None
    """The file it came from."""
    digest: str = ""
    """What the bytes of the file were then."""
    inputs: bytes
    """The bound inputs, an encoded map of values."""
    cwd: str
    base: str
    created_at: float
    operators: tuple[str, ...] = ()
    cache: bool = True
    concurrency: int | None = None
    version: str = ""
    budget: Limits | None = None
    """The strictest of all that was said at the start."""
    variables: tuple[str, ...] = ()
    """Names of the listed environment variables that were set: a resume needs them too."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts that this run may ask, beside those of the configuration."""
    children: tuple[ChildDocument, ...] = ()
    """The sub-workflows, as they were at the start."""
    references: Mapping[str, int] = {}
    """Which of them the workflow's own `workflow:` nodes mean."""
    only: tuple[str, ...] = ()
    """The nodes that were asked for, if `workflow` has no more than these and what they need."""
    rerun_of: str | None = None
    """The run whose results this one reuses."""
    afresh: tuple[str, ...] = ()
    """Steps of a rerun that take no result of the cache, and neither does what comes after them."""
    fingerprints: Mapping[str, str] | None = None
    """The fingerprints of its nodes' operators, models and templates at its start; None if not recorded."""
    taken_prints: Mapping[str, Mapping[str, str] | None] = {}
    """The fingerprints of the runs that ran what a rerun has taken over, by their ids."""
    name: str | None = None
    """The name of the run; None for runs that began before runs had names."""
    user: str = ""
    """For whom it runs; empty if that is not known, as for runs of earlier versions. `project` likewise."""
    project: str = ""
    priority: int = 0
    """Runs of a higher priority go first."""

    def recorded(self) -> Recorded:
        """Finds the sub-workflows."""
        return Recorded(self.children, self.references, self.base)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of another process to the run's owner. Answers have `node`, `by` and `comment`."""

    kind: Literal["cancel", "pause", "approve", "reject"]
    node: str | None = None
    by: str | None = None
    comment: str | None = None


class SoundRequests:
    """Reads the requests to one run. A damaged one is told in the log, once, and passed over."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._told: set[int] = set()

    def of(
        self, rows: Iterable[tuple[int, bytes, int]], sum_of: Callable[[int, bytes], int]
    ) -> list[tuple[int, RunRequest]]:
        """The requests in rows of number, content and checksum; `sum_of` gives what that should be."""
        out = list[tuple[int, RunRequest]]()
        for number, body, told in rows:
            try:
                if sum_of(number, body) != told:
                    raise ValueError("it does not match its checksum")
                out.append((int(number), msgspec.msgpack.decode(body, type=RunRequest)))
            except (ValueError, TypeError, msgspec.MsgspecError) as error:
                if number not in self._told:
                    logger.warning("a request to run %s is damaged, ask again: %s", self._run_id, error)
                    self._told.add(number)
        return out


class JournalStore(Protocol):
    """A store of batches. Every adapter passes tests/contracts/test_journal.py."""

    def commit(self, records: list[Record]) -> None:
        """Make the records durable. Raises `Fenced` or `JournalFailed`."""
        ...

    def records(self) -> Iterator[Record]: ...
    def requests(self) -> list[tuple[int, RunRequest]]:
        """Return the requests of other processes to the run's owner with their numbers, the oldest first."""
        ...

    def settled(self, numbers: Sequence[int]) -> None:
        """Forget the requests with these numbers: they were carried out durably."""
        ...

    def reuse(self) -> Mapping[str, bytes]:
        """The results of another run that this one takes, by the nodes' full names."""
        ...

    def writer(
        self, committed: Committed, failed: Failed, settle: Settle = nothing, post: Post = at_once
    ) -> Buffer:
        """Return a buffer that commits records here, each time after `settle`, and reports by `post`."""
        ...

    def close(self) -> None: ...


class MemoryStore:
    """A journal that forgets: for `--memory` and tests. It commits at once, in the caller's thread."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    def commit(self, records: list[Record]) -> None:
        """Keep the batch, encoded as the real one does."""
        self.batches.append(encode_batch(records))

    def records(self) -> Iterator[Record]:
        """Everything committed, in order."""
        for body in self.batches:
            yield from decode_batch(body)

    def requests(self) -> list[tuple[int, RunRequest]]:
        """Nobody else can reach a run in memory."""
        return []

    def settled(self, numbers: Sequence[int]) -> None:
        """Nothing was asked."""

    def reuse(self) -> Mapping[str, bytes]:
        """There is no other run."""
        return {}

    def writer(
        self, committed: Committed, failed: Failed, settle: Settle = nothing, post: Post = at_once
    ) -> Buffer:
        """One that commits in the caller's thread."""
        return Buffer(self, committed, failed, settle, post)

    def close(self) -> None:
        """Nothing to release."""


class SqliteStore:
    """One run's file. `create` makes it, `own` takes it over with a new fencing epoch.

    WAL with synchronous=FULL: a commit is one fsync and survives a power cut.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: int, seq: int) -> None:
        """`seq` is the number of the last batch."""
        self.path, self._db, self._epoch, self._seq = path, connection, epoch, seq
        close_with(self, connection)
        self._lock = threading.Lock()
        self._asked: sqlite3.Connection | None = None  # of its own: a look must not wait for a commit
        self._sound = SoundRequests(path.stem)
        self._ended = False

    @classmethod
    def create(cls, path: Path, meta: RunMeta, reuse: Mapping[str, bytes] | None = None) -> "SqliteStore":
        """A new journal, durable with its meta data and the results to reuse when this returns.

        It is there as a whole or not at all. Raises JournalFailed, leaving nothing behind;
        FileExistsError if there is one.
        """
        make_private(path.parent)
        if path.exists():
            raise FileExistsError(path)
        made = path.with_name(f"{path.name}.new")
        try:
            write_new(made, path, image(meta, reuse or {}))
            db = _connected(path)
        except (OSError, sqlite3.Error) as error:
            remove(made)
            remove(path)
            raise failure(path, error) from error
        except JournalFailed:
            remove(path)
            raise
        return cls(path, db, 1, 0)

    @classmethod
    def own(cls, path: Path, meta: RunMeta | None = None) -> "SqliteStore":
        """Take over an existing journal. Earlier writers are fenced from now on.

        Everything in it is checked before. `meta` takes the place of what was recorded of the run.
        A run in a segment gets a file of its own. Raises JournalFailed.
        """
        segments.move_out(path)
        with reading(path) as look:  # to close a connection that may write would fold a damaged log in
            checked(path, look)
        db = connect(path)
        try:
            with journal_errors(path):
                db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    check_format(path, db)
                    last = max((seq for seq, _ in batches(path, db)), default=0)
                    epoch = meta_rows(path, db).get("epoch")
                    if type(epoch) is not int:
                        raise damaged(path, "it does not say who owns it")
                    upgrade(db)
                    put_meta(db, "epoch", epoch + 1)
                    if meta is not None:
                        put_meta(db, "run", msgspec.msgpack.encode(meta))
        except BaseException:
            db.close()
            raise
        return cls(path, db, epoch + 1, last)

    def commit(self, records: list[Record]) -> None:
        """One durable row, only while the epoch is still ours."""
        body, seq = encode_batch(records), self._seq + 1
        row = (seq, self._epoch, body)
        try:
            with self._lock, self._db:
                done = self._db.execute(_APPEND, (*row, row_sum("batches", *row), self._epoch)).rowcount
        except sqlite3.Error as error:
            raise failure(self.path, error) from error
        if done != 1:
            raise Fenced(f"another process has taken over the run {short_id(self.path.stem)}")
        self._seq, self._ended = seq, any(type(record) is EndedRecord for record in records)

    def records(self) -> Iterator[Record]:
        """Everything committed, in order; of a store that is closed, too."""
        with reading(self.path, quiet=True) as db:
            for _, record in batch_records(self.path, db):
                yield record

    def requests(self) -> list[tuple[int, RunRequest]]:
        """The requests of other processes, the oldest first. Damaged ones are told in the log, once."""
        try:
            if self._asked is None:
                self._asked = connect(self.path, read_only=True)
            found = self._asked.execute("SELECT id, body, sum FROM asked ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []  # busy: the next look finds them
        except sqlite3.Error as error:
            raise failure(self.path, error) from error
        return self._sound.of(found, lambda number, body: row_sum("asked", number, body))

    def settled(self, numbers: Sequence[int]) -> None:
        """Forget these requests."""
        try:
            with self._lock, self._db:
                self._db.executemany("DELETE FROM asked WHERE id = ?", [(number,) for number in numbers])
        except sqlite3.OperationalError:
            pass  # busy: they are found again, and mean nothing any more

    def reuse(self) -> Mapping[str, bytes]:
        """Return the `reuse` that was given at creation."""
        with self._lock, journal_errors(self.path):
            found = dict[str, bytes]()
            for name, body in rows(self.path, self._db, "reuse"):
                if not isinstance(body, bytes):
                    raise damaged(self.path, "a result to reuse is not bytes")
                found[str(name)] = body
            return found

    def writer(
        self, committed: Committed, failed: Failed, settle: Settle = nothing, post: Post = at_once
    ) -> Buffer:
        """One that commits in a thread of its own."""
        return JournalWriter(self, committed, failed, settle, post)

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it. Blocking.

        A run that has ended needs no such log any more, and readers must not make one.
        """
        with self._lock:
            if self._asked is not None:
                self._asked.close()
            if self._ended:
                with contextlib.suppress(sqlite3.Error):  # somebody reads it: it stays as it is
                    leave_log(self._db)
                self._ended = False
            self._db.close()


def _connected(path: Path) -> sqlite3.Connection:
    """A connection whose commits are durable. The first look makes the files beside the journal."""
    db = connect(path)
    try:
        db.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def image(meta: RunMeta, reuse: Mapping[str, bytes]) -> bytes:
    """The file of a new journal. Raises sqlite3.Error for what cannot be stored."""
    with contextlib.closing(blank()) as db:
        put_meta(db, "run", msgspec.msgpack.encode(meta))
        put_meta(db, "epoch", 1)
        put_meta(db, "format", FORMAT)
        given = [(name, body, row_sum("reuse", name, body)) for name, body in reuse.items()]
        db.executemany("INSERT INTO reuse VALUES (?, ?, ?)", given)
        return packed(db)


def read_meta(path: Path) -> RunMeta:
    """The meta data of a journal, without owning it. Raises JournalFailed."""
    return _looked(path, lambda db: _meta(path, db))


def read_run(path: Path) -> tuple[RunMeta, list[Record]]:
    """The meta data of a journal and every committed record, checked. Raises JournalFailed."""

    def look(db: sqlite3.Connection) -> tuple[RunMeta, list[Record]]:
        checked(path, db)
        return _meta(path, db), [record for _, record in batch_records(path, db)]

    return _looked(path, look)


def examine(path: Path) -> tuple[RunMeta, list[Record]]:
    """Like `read_run`, for all that is in a journal, seldom read parts too; leaves no file beside it."""

    def look(db: sqlite3.Connection) -> tuple[RunMeta, list[Record]]:
        checked(path, db)
        meta, records = _meta(path, db), [record for _, record in batch_records(path, db)]
        decode_sealed(meta.inputs)
        for record in records:
            held = record.values if isinstance(record, OpenedRecord) else None
            if isinstance(record, FinishedRecord | EndedRecord):
                held = record.outputs
            if isinstance(held, bytes):
                decode_sealed(held)
        for _, body in rows(path, db, "reuse"):
            decode_reused(body)  # type: ignore[arg-type]  # anything else raises, too
        for _, body in rows(path, db, "asked"):
            msgspec.msgpack.decode(body, type=RunRequest)  # type: ignore[call-overload]
        return meta, records

    with _lifted(path) as db:
        if db is not None:
            return look(db)
    with reading(path, quiet=True) as db:
        return look(db)


def read_all(path: Path, since: int = 0) -> list[tuple[int, Record]]:
    """Committed records with the row they came from, of rows after `since`. Raises JournalFailed."""

    def look(db: sqlite3.Connection) -> list[tuple[int, Record]]:
        if not since:  # who goes on from a row has had the file checked; a row has its own checksum
            checked(path, db)
        return list(batch_records(path, db, since))

    return _looked(path, look)


def read_last(path: Path) -> list[Record]:
    """The records that were committed last, checked by themselves alone. Raises JournalFailed."""

    def look(db: sqlite3.Connection) -> list[Record]:
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM batches").fetchone()
        return [record for _, record in batch_records(path, db, max(0, last - 1))]

    return _looked(path, look)


def _meta(path: Path, db: sqlite3.Connection) -> RunMeta:
    body = meta_rows(path, db).get("run")
    if not isinstance(body, bytes):
        raise damaged(path, "it holds no run")
    return msgspec.msgpack.decode(body, type=RunMeta)


def file_of(path: Path) -> Path:
    """Return the file that holds the run: its segment, or else its own, `path`, which may not exist."""
    place = segments.find(path)
    return path if place is None else place.segment


def _looked(path: Path, look: Callable[[sqlite3.Connection], Found]) -> Found:
    """Return what `look` finds in one state of the journal, in a segment or not. Raises as `reading`."""
    with _lifted(path) as db:
        if db is not None:
            return look(db)
    return looked(path, look)


@contextlib.contextmanager
def _lifted(path: Path) -> Iterator[sqlite3.Connection | None]:
    """The journal of a run in a segment, in memory; None for a run with a file of its own."""
    db = segments.lifted(path)
    if db is None:
        yield None
        return
    with contextlib.closing(db), journal_errors(path):
        yield db


def remove(path: Path) -> Path | None:
    """Delete a journal and what SQLite keeps beside it, as far as they are there.

    What a segment holds of the run goes first: a file hides it. Gives the segment if that was its last
    run. Raises OSError, JournalFailed.
    """
    emptied = None if segments.is_segment(path) else segments.erase(path)
    for suffix in ("-wal", "-shm", ""):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    return emptied


def request(path: Path, what: RunRequest) -> int:
    """Leave a request for the owner of a run, durably; its number. Raises JournalFailed."""
    left = segments.ask(path, msgspec.msgpack.encode(what))
    if left is not None:
        return left
    db = connect(path)
    try:
        with journal_errors(path):
            check_format(path, db)
            with db:
                db.execute("BEGIN IMMEDIATE")
                body = msgspec.msgpack.encode(what)
                if not summed(db):  # its owner is of an earlier version
                    db.execute("CREATE TABLE IF NOT EXISTS asked "
                               "(id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)")  # fmt: skip
                    return int(db.execute("INSERT INTO asked (body) VALUES (?)", (body,)).lastrowid or 0)
                number = int(db.execute("INSERT INTO asked (body) VALUES (?)", (body,)).lastrowid or 0)
                told = row_sum("asked", number, body)
                db.execute("UPDATE asked SET sum = ? WHERE id = ?", (told, number))
                return number
    finally:
        db.close()


def is_asked(path: Path, number: int) -> bool:
    """Return whether the request is still to be settled. Raises JournalFailed."""

    def look(db: sqlite3.Connection) -> bool:
        return db.execute("SELECT 1 FROM asked WHERE id = ?", (number,)).fetchone() is not None

    return _looked(path, look)
