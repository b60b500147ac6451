"""The rows of a journal's file: their format, their checksums, and how damage is told.

Each row carries a CRC-32 of its table, its key and its content, numbers of batches have no gaps,
and `checked` compares the file's structure with itself: so that whatever is read is what was
written, or an error that names the run. Journals before format 3 have no checksums; they get them
when they are taken over.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.commons.filesystem import sync_directory
from symphony.pit.tracker.core.records import Record, decode_batch
from symphony.pit.tracker.store.log_frames import SOUND_LOGS
from symphony.ports.runs import short_id
from symphony.workflow.problems import WorkflowInvalid

FORMAT = 5
"""The version of the journal's format.

1 had no record kinds after `ENDED` and other requests, 2 no checksums, 3 no record kinds after `PAUSED`.
4 was that of segments, whose runs had none of these either.
"""
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER) WITHOUT ROWID;
CREATE TABLE batches (seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER);
CREATE TABLE asked (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, sum INTEGER);
CREATE TABLE reuse (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER) WITHOUT ROWID;
"""
_LATER = """
CREATE TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, sum INTEGER);
CREATE TABLE IF NOT EXISTS reuse (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER) WITHOUT ROWID;
"""
_KEYS = {"meta": "key, value", "batches": "seq, epoch, body", "asked": "id, body", "reuse": "name, body"}
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT,
                     sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR})  # fmt: skip
_UNREADABLE = (
    SerializationFailed, WorkflowInvalid, msgspec.MsgspecError, ValueError, TypeError, LookupError,
    AttributeError, AssertionError, ArithmeticError, RuntimeError,
)  # fmt: skip
"""What decoding raises on bytes that are not what they should be."""
PAGE_BYTES = 4096
_VERSIONS, _WITH_LOG = slice(18, 20), b"\x02\x02"  # https://www.sqlite.org/fileformat.html, 1.3.3
Found = TypeVar("Found")


class JournalFailed(SymphonyError):
    """The journal could not be written: nothing after the last commit is acknowledged."""

    code = "journal-failed"


class JournalNewer(JournalFailed):
    """A later version of Symphony wrote the journal."""

    code = "journal-newer"


class JournalDamaged(JournalFailed, SerializationFailed):
    """The journal's content is not what was written. Nothing in it may be acted upon."""


class Fenced(JournalFailed):
    """Another process has taken over the run; this one must not write any more."""

    code = "journal-fenced"


def damaged(path: Path, why: str) -> JournalDamaged:
    """The error for a damaged journal: names the run, and what can be done."""
    run_id = path.stem
    return JournalDamaged(
        f"the journal of run {short_id(run_id)} ({path.name}) is damaged: {why}",
        details={"path": str(path), "run_id": run_id},
        hint=f"restore {path} from a copy (keep what lies beside it, -wal and -shm), or give the run up "
        f"with `symphony runs delete --damaged {short_id(run_id)}`; `symphony fsck` looks at the whole home",
    )


def failure(path: Path, error: Exception) -> JournalFailed:
    """Return the JournalFailed for an error of SQLite or of the system."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # A text that is not UTF-8 comes without a code.
    if isinstance(error, sqlite3.DatabaseError) and (primary in _DAMAGE or "decode" in str(error)):
        return damaged(path, str(error))
    return JournalFailed(
        f"the journal {path.name} cannot be used: {error}",
        hint="check that the disk has space and that the home is writable",
        details={"path": str(path)},
    )


@contextmanager
def journal_errors(path: Path) -> Iterator[None]:
    """SQLite's errors, and those of decoding what a journal holds, as JournalFailed and JournalDamaged."""
    try:
        yield
    except JournalFailed:
        raise
    except sqlite3.Error as error:
        raise failure(path, error) from error
    except _UNREADABLE as error:
        told = error.message if isinstance(error, SymphonyError) else f"{type(error).__name__}: {error}"
        raise damaged(path, f"what it holds makes no sense ({told[:200]})") from error


def connect(path: Path, *, read_only: bool = False, quiet: bool = False) -> sqlite3.Connection:
    """A connection to a journal that exists; a `quiet` one makes no file beside it. Raises JournalFailed."""
    uri = path.absolute().as_uri()
    quiet = quiet or not os.access(path.parent, os.W_OK)
    if read_only:
        _undo(path)
    if read_only and quiet and not _writes(path):
        uri += "?mode=ro&immutable=1"  # SQLite would want to write beside it, and nobody writes just now
    else:
        uri += "?mode=ro" if read_only else "?mode=rw"
    try:
        return sqlite3.connect(uri, uri=True, timeout=10, check_same_thread=False)
    except sqlite3.Error as error:
        raise failure(path, error) from error


def leave_log(db: sqlite3.Connection) -> None:
    """Let the file be all there is: fold the write-ahead log in, and keep readers from making one.

    SQLite keeps in memory what would undo that. In a file it would be in the way of readers if this
    process were killed, and what is written lies within the first sector. Raises sqlite3.Error if
    somebody reads it.
    """
    db.executescript("PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY;")


def _undo(path: Path) -> None:
    """Undo what somebody was writing who was killed, if there is no write-ahead log: readers may not."""
    if path.with_name(f"{path.name}-journal").exists():
        with suppress(sqlite3.Error):
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
            with closing(db):
                db.execute("SELECT count(*) FROM sqlite_master")


def _writes(path: Path) -> bool:
    """Return whether a process is writing the file, or was killed while writing it."""
    name = os.fspath(path)  # 10,000 runs are listed at once: a Path for each takes half of the time
    return any(os.path.exists(f"{name}{suffix}") for suffix in ("-wal", "-journal"))  # noqa: PTH110


@contextmanager
def reading(path: Path, *, quiet: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the journal throughout. Raises as `journal_errors`."""
    db = connect(path, read_only=True, quiet=quiet)
    try:
        with journal_errors(path):
            db.execute("BEGIN")
            check_format(path, db)
            yield db
    finally:
        db.close()


class Opening(Protocol):
    """Opens a file for reading; `quiet`: without making files beside it."""

    def __call__(
        self, path: Path, /, *, quiet: bool = False
    ) -> AbstractContextManager[sqlite3.Connection]: ...


def looked(path: Path, look: Callable[[sqlite3.Connection], Found], opening: Opening = reading) -> Found:
    """Return what `look` finds in one state of the file. Raises as `opening`.

    A file that nobody writes is read without SQLite's files beside it, which it would leave there:
    reading changes nothing. Where somebody begins to write meanwhile, it is looked at once more.
    """
    before = _untouched(path)
    if before is not None:
        with suppress(JournalFailed), opening(path, quiet=True) as db:
            found = look(db)
            if _untouched(path) == before:
                return found
    with opening(path) as db:
        return look(db)


def _untouched(path: Path) -> tuple[int, int, int] | None:
    """Which file it is and how it stands, if nobody writes it, and nobody was killed while doing so."""
    if _writes(path):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def blank() -> sqlite3.Connection:
    """An empty journal in memory, to be filled and `packed`."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(f"PRAGMA page_size={PAGE_BYTES}; {SCHEMA}")
    return db


def packed(db: sqlite3.Connection) -> bytes:
    """The file that holds what is in memory, as one with a write-ahead log."""
    body = bytearray(db.serialize())
    body[_VERSIONS] = _WITH_LOG
    return bytes(body)


def write_new(made: Path, path: Path, body: bytes) -> None:
    """The file `path`, durable, whole or not there at all; `made` is its name until then. Raises OSError."""
    number = os.open(made, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(number)
    made.rename(path)
    sync_directory(path.parent)


def check_format(path: Path, db: sqlite3.Connection) -> None:
    """Raises JournalNewer for a journal that a later version wrote; JournalDamaged if that is unclear."""
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        raise damaged(path, "it is empty")
    row = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    number = 1 if row is None else row[0]
    if type(number) is not int or number < 1:
        raise damaged(path, "it does not say its format")
    check_later(path, number, FORMAT, lambda: _told_format(db, number))
    if number >= 3 and not _summed(db, "meta"):
        raise damaged(path, "its rows have no checksums, as those of its format have")


def check_later(path: Path, number: int, known: int, sound: Callable[[], bool] = lambda: True) -> None:
    """Raises JournalNewer for a format later than the `known` one; its details say if the row is `sound`."""
    if number > known:
        raise JournalNewer(
            f"the journal {path.name} has format {number}; this version knows formats up to {known}",
            hint="use the version of symphony that wrote it, or a later one; `symphony fsck` tells whether "
            "the file is damaged instead",
            details={"sound": sound()},
        )


def _told_format(db: sqlite3.Connection, number: int) -> bool:
    """Return whether the row with the format matches its checksum, or the journal has no checksums."""
    if not _summed(db, "meta"):
        return True
    (told,) = db.execute("SELECT sum FROM meta WHERE key = 'format'").fetchone()
    return bool(told == row_sum("meta", "format", number))


def checked(path: Path, db: sqlite3.Connection) -> None:
    """Compare the structure of the file, and of its write-ahead log, with itself. Raises JournalDamaged.

    SQLite reads past a page that says it has fewer rows than it had, and past a log whose middle is
    broken. O(size of the file).
    """
    ((found, *_),) = db.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise damaged(path, str(found).replace("\n", " "))
    check_log(path)


def check_log(path: Path) -> None:
    """Raises JournalDamaged if the write-ahead log of this file is broken in its middle."""
    if SOUND_LOGS.broken(path):
        raise damaged(path, "its write-ahead log is broken in the middle")


def rows(path: Path, db: sqlite3.Connection, table: str, where: str = "") -> Iterator[tuple[object, ...]]:
    """The rows of a table in order of their keys, each compared with its checksum.

    Raises JournalDamaged. A journal of an early format may lack the table.
    """
    columns = _columns(db, table)
    if not columns and table in ("asked", "reuse"):
        return
    summed = "sum" in columns
    fields = _KEYS[table] + (", sum" if summed else "")
    query = f"SELECT {fields} FROM {table} {where} ORDER BY 1"  # noqa: S608  (constants)
    for row in db.execute(query):
        if summed and row_sum(table, *row[:-1]) != row[-1]:
            raise damaged(path, f"a row of `{table}` ({str(row[0])[:60]!r}) does not match its checksum")
        yield row[:-1] if summed else row


def meta_rows(path: Path, db: sqlite3.Connection) -> Mapping[str, object]:
    """Return the rows of `meta`, which describe the run from its start, by key."""
    return {str(key): value for key, value in rows(path, db, "meta")}


def batch_records(path: Path, db: sqlite3.Connection, since: int = 0) -> Iterator[tuple[int, Record]]:
    """Committed records with the row they came from, of rows after `since`. Raises JournalDamaged."""
    with journal_errors(path):
        for seq, body in batches(path, db, since):
            for record in decode_batch(body):
                yield seq, record


def batches(path: Path, db: sqlite3.Connection, since: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the body of each batch after number `since`. Raises JournalDamaged."""
    expected = since + 1
    for seq, _, body in rows(path, db, "batches", f"WHERE seq > {since:d}"):
        if seq != expected:
            raise damaged(path, f"row {expected} of `batches` is missing")
        if not isinstance(body, bytes):
            raise damaged(path, f"row {expected} of `batches` holds no bytes")
        yield expected, body
        expected += 1


def upgrade(db: sqlite3.Connection) -> None:
    """Bring a journal of an earlier format to this one. Within a transaction of the caller's."""
    for statement in _LATER.split(";"):
        db.execute(statement)
    for table, fields in _KEYS.items():
        if not _summed(db, table):
            db.execute(f"ALTER TABLE {table} ADD COLUMN sum INTEGER")
            key = fields.partition(",")[0]
            found = db.execute(f"SELECT {fields} FROM {table}").fetchall()  # noqa: S608  (constants)
            for row in found:
                query = f"UPDATE {table} SET sum = ? WHERE {key} = ?"  # noqa: S608
                db.execute(query, (row_sum(table, *row), row[0]))
    put_meta(db, "format", FORMAT)


def put_meta(db: sqlite3.Connection, key: str, value: bytes | int) -> None:
    """Write one row of `meta`, with its checksum."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, value, row_sum("meta", key, value)))


def summed(db: sqlite3.Connection) -> bool:
    """Return whether the journal has checksums."""
    return _summed(db, "meta")


def _summed(db: sqlite3.Connection, table: str) -> bool:
    return "sum" in _columns(db, table)


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in db.execute(f"PRAGMA table_info({table})")]
