"""The journal of one run: append-only, group commit, fenced. One SQLite file for each run.

A commit is one blob row that holds every record buffered since the last one, so that a chain
of effects pays one fsync a step and a wide graph one for many. The event loop only appends to
a list; one writer thread encodes, commits and reports back.
"""

import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import sync_directory
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.documents import ChildDocument, Recorded
from symphony.pit.tracker.records import Record, decode_batch, encode_batch

BATCH_MAX = 1024
BATCH_AGE_S = 0.005
_SWITCH_INTERVAL_S = 0.0002  # the default 5 ms starves the writer thread while the loop is busy
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, body BLOB NOT NULL);
"""
_LATER = """
CREATE TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS reuse (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""
FORMAT = 2
"""The version of the journal's format. 1 had no record kinds after `ENDED` and other requests."""
_APPEND = """
INSERT INTO batches (epoch, body) SELECT ?, ? WHERE (SELECT value FROM meta WHERE key = 'epoch') = ?
"""


class JournalFailed(SymphonyError):
    """The journal could not be written: nothing after the last commit is acknowledged."""

    code = "journal-failed"


class JournalNewer(JournalFailed):
    """A later version of Symphony wrote the journal."""

    code = "journal-newer"


class Fenced(JournalFailed):
    """Another process has taken over the run; this one must not write any more."""

    code = "journal-fenced"


class RunMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run from its start: enough to resume it anywhere."""

    run_id: str
    workflow: bytes
    """The document as canonical JSON."""
    source: str | None
    """The file it came from."""
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
    rerun_of: str | None = None
    """The run whose results this one reuses."""

    def recorded(self) -> Recorded:
        """Finds the sub-workflows."""
        return Recorded(self.children, self.references, self.base)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What another process asks of the run's owner. `node`, `by`, `comment`: of an answer."""

    kind: Literal["cancel", "pause", "approve", "reject"]
    node: str | None = None
    by: str | None = None
    comment: str | None = None


Committed = Callable[[list[Record]], None]
"""Called in the writer's thread after each commit, in order, with the records committed."""


class JournalStore(Protocol):
    """Where batches go. Every adapter passes tests/contracts/test_journal.py."""

    def commit(self, records: list[Record]) -> None:
        """Make the records durable. Raises `Fenced` or `JournalFailed`."""
        ...

    def records(self) -> Iterator[Record]: ...
    def requests(self) -> list[tuple[int, Request]]:
        """What other processes ask of the run's owner, by number, the oldest first."""
        ...

    def settled(self, numbers: Sequence[int]) -> None:
        """What was asked under these numbers has been done, durably: forget it."""
        ...

    def reuse(self) -> Mapping[str, bytes]:
        """The results of another run that this one takes, by the nodes' full names."""
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

    def requests(self) -> list[tuple[int, Request]]:
        """Nobody else can reach a run in memory."""
        return []

    def settled(self, numbers: Sequence[int]) -> None:
        """Nothing was asked."""

    def reuse(self) -> Mapping[str, bytes]:
        """There is no other run."""
        return {}

    def close(self) -> None:
        """Nothing to release."""


class SqliteStore:
    """One run's file. `create` makes it, `own` takes it over with a new fencing epoch.

    WAL with synchronous=FULL: a commit is one fsync and survives a power cut.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: int) -> None:
        self.path, self._db, self._epoch = path, connection, epoch
        self._lock = threading.Lock()
        self._asked: sqlite3.Connection | None = None  # of its own: who looks must not wait for a commit

    @classmethod
    def create(cls, path: Path, meta: RunMeta, reuse: Mapping[str, bytes] | None = None) -> "SqliteStore":
        """A new journal, durable with its meta data and the results to reuse when this returns.

        Raises JournalFailed, leaving nothing behind; FileExistsError if there is one.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        db = _connect(path)
        try:
            db.executescript(
                "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA + _LATER
            )
            with db:
                db.execute("INSERT INTO meta VALUES ('run', ?)", (msgspec.msgpack.encode(meta),))
                db.execute("INSERT INTO meta VALUES ('epoch', 1)")
                db.execute("INSERT INTO meta VALUES ('format', ?)", (FORMAT,))
                db.executemany("INSERT INTO reuse VALUES (?, ?)", (reuse or {}).items())
            sync_directory(path.parent)
        except (OSError, sqlite3.Error) as error:
            db.close()
            remove(path)
            raise _failure(path, error) from error
        return cls(path, db, 1)

    @classmethod
    def own(cls, path: Path) -> "SqliteStore":
        """Take over an existing journal: whoever wrote to it before is fenced from now on."""
        try:
            db = _connect(path)
            _check_format(path, db)
            db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _LATER)
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (FORMAT,))
                db.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
                row = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        except sqlite3.Error as error:
            raise _failure(path, error) from error
        return cls(path, db, int(row[0]))

    def commit(self, records: list[Record]) -> None:
        """One durable row, only while the epoch is still ours."""
        body = encode_batch(records)
        try:
            with self._lock, self._db:
                done = self._db.execute(
                    _APPEND,
                    (self._epoch, body, self._epoch),
                ).rowcount
        except sqlite3.Error as error:
            raise _failure(self.path, error) from error
        if done != 1:
            raise Fenced(f"another process has taken over the run in {self.path.name}")

    def records(self) -> Iterator[Record]:
        """Everything committed, in order."""
        yield from read_records(self._db)

    def requests(self) -> list[tuple[int, Request]]:
        """The requests of other processes, the oldest first."""
        try:
            if self._asked is None:
                self._asked = _connect(self.path, read_only=True)
            rows = self._asked.execute("SELECT id, body FROM asked ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []  # busy: the next look finds them
        return [(int(row[0]), msgspec.msgpack.decode(row[1], type=Request)) for row in rows]

    def settled(self, numbers: Sequence[int]) -> None:
        """Forget these requests."""
        try:
            with self._lock, self._db:
                self._db.executemany("DELETE FROM asked WHERE id = ?", [(number,) for number in numbers])
        except sqlite3.OperationalError:
            pass  # busy: they are found again, and mean nothing any more

    def reuse(self) -> Mapping[str, bytes]:
        """What was given at the creation."""
        with self._lock:
            return dict(self._db.execute("SELECT name, body FROM reuse").fetchall())

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it."""
        with self._lock:
            if self._asked is not None:
                self._asked.close()
            self._db.close()


def read_meta(path: Path) -> RunMeta:
    """The meta data of a journal, without owning it."""
    db = _connect(path, read_only=True)
    try:
        _check_format(path, db)
        row = db.execute("SELECT value FROM meta WHERE key='run'").fetchone()
        if row is None:
            raise JournalFailed(f"{path.name} holds no run", hint="its creation was cut off: delete the file")
        return msgspec.msgpack.decode(row[0], type=RunMeta)
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise _failure(path, error) from error
    finally:
        db.close()


def read_all(path: Path, since: int = 0) -> list[tuple[int, Record]]:
    """Committed records with the row they came from, of rows after `since`."""
    db = _connect(path, read_only=True)
    try:
        rows = db.execute("SELECT seq, body FROM batches WHERE seq > ? ORDER BY seq", (since,)).fetchall()
    except sqlite3.Error as error:
        raise _failure(path, error) from error
    finally:
        db.close()
    return [(int(seq), record) for seq, body in rows for record in decode_batch(body)]


def remove(path: Path) -> None:
    """Delete a journal and what SQLite keeps beside it, as far as they are there. Raises OSError."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _check_format(path: Path, db: sqlite3.Connection) -> None:
    """Raises JournalNewer for a journal that a later version wrote."""
    row = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if row is not None and int(row[0]) > FORMAT:
        raise JournalNewer(
            f"the journal {path.name} has format {int(row[0])}; this version knows formats up to {FORMAT}",
            hint="use the version of symphony that wrote it, or a later one",
        )


def request(path: Path, what: Request) -> int:
    """Leave a request for the owner of a run, durably; its number. Raises JournalFailed."""
    db = _connect(path)
    try:
        _check_format(path, db)
        db.executescript(_LATER)
        with db:
            body = msgspec.msgpack.encode(what)
            return int(db.execute("INSERT INTO asked (body) VALUES (?)", (body,)).lastrowid or 0)
    except sqlite3.Error as error:
        raise _failure(path, error) from error
    finally:
        db.close()


def is_asked(path: Path, number: int) -> bool:
    """Has the request not been settled yet?"""
    db = _connect(path, read_only=True)
    try:
        return db.execute("SELECT 1 FROM asked WHERE id = ?", (number,)).fetchone() is not None
    except sqlite3.Error as error:
        raise _failure(path, error) from error
    finally:
        db.close()


def read_records(db: sqlite3.Connection) -> Iterator[Record]:
    """Every record of an open journal, in order."""
    for (body,) in db.execute("SELECT body FROM batches ORDER BY seq"):
        yield from decode_batch(body)


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rw")
    if read_only and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        uri += "&immutable=1"  # SQLite would want to write beside it, and nobody else can either
    try:
        return sqlite3.connect(uri, uri=True, timeout=10, check_same_thread=False)
    except sqlite3.Error as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: Exception) -> JournalFailed:
    return JournalFailed(
        f"the journal {path.name} cannot be used: {error}",
        hint="check that the disk has space and that the home is writable",
        details={"path": str(path)},
    )


class Buffer:
    """Gathers the records of one run and who waits for them; `flush` commits them.

    Only the event loop's thread calls its methods. After a failed commit nothing else is written,
    and no barrier is reached any more.
    """

    def __init__(
        self, store: JournalStore, committed: Committed, failed: Callable[[JournalFailed], None]
    ) -> None:
        self._store, self._committed, self._failed = store, committed, failed
        self._buffer: list[Record] = []
        self._waiters: list[Callable[[], None]] = []
        self._error: JournalFailed | None = None

    @property
    def pending(self) -> int:
        """Records in the buffer, not yet handed over."""
        return len(self._buffer)

    def append(self, record: Record) -> None:
        """Buffer a record; it rides in the next commit."""
        self._buffer.append(record)
        if len(self._buffer) >= BATCH_MAX:
            self.flush()

    def barrier(self, reached: Callable[[], None]) -> None:
        """Call `reached`, in the thread that commits, once all that was appended is durable."""
        self._waiters.append(reached)

    def flush(self) -> None:
        """Commit at once, in this thread."""
        records, self._buffer = self._buffer, []
        waiters, self._waiters = self._waiters, []
        self._commit(records, waiters)

    def close(self) -> None:
        """Commit what is left."""
        self.flush()

    def _commit(self, records: list[Record], waiters: list[Callable[[], None]]) -> None:
        if self._error is not None:
            return
        try:
            if records:
                self._store.commit(records)
        except JournalFailed as error:
            self._error = error
            self._failed(error)
            return
        self._committed(records)
        for reached in waiters:
            reached()


class Writer(Buffer):
    """A buffer that commits in a thread of its own."""

    def __init__(
        self, store: JournalStore, committed: Committed, failed: Callable[[JournalFailed], None]
    ) -> None:
        super().__init__(store, committed, failed)
        self._queue: queue.SimpleQueue[tuple[list[Record], list[Callable[[], None]]] | None] = (
            queue.SimpleQueue()
        )
        self._interval = sys.getswitchinterval()
        self._thread = threading.Thread(target=self._write, name="symphony-journal", daemon=True)
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._thread.start()

    def flush(self) -> None:
        """Hand the buffer over now."""
        if self._buffer or self._waiters:
            self._queue.put((self._buffer, self._waiters))
            self._buffer, self._waiters = [], []

    def close(self) -> None:
        """Commit what is left and end the thread. Blocks until it has."""
        self.flush()
        self._queue.put(None)
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def _write(self) -> None:
        ending = False
        while not ending:
            item = self._queue.get()
            records: list[Record] = []
            waiters: list[Callable[[], None]] = []
            while True:  # drain all there is: one commit serves everybody who waits
                if item is None:
                    ending = True
                else:
                    records += item[0]
                    waiters += item[1]
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            self._commit(records, waiters)
