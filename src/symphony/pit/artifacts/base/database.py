"""SQLite files that can be made again: what is not ours or broken is set aside with a warning."""

import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.base.failures import io_errors, no_room

_BROKEN = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_CONSTRAINT,
    }
)
_BUSY_MS = 10_000
_AGAIN_S = 0.001
_MEMORY_KIB = 128 << 10
Former: TypeAlias = Mapping[int, Callable[[sqlite3.Connection], None] | None]
"""By the mark of an earlier version, what makes this version's tables of its own; None: it is emptied."""
SUMMED = {
    "entries": "SELECT 1 FROM entries WHERE sum IS NOT row_sum('entries', key, body) "
    "OR size IS NOT length(body) LIMIT 1",
    "blocks": "SELECT 1 FROM blocks WHERE sum IS NOT row_sum('blocks', body) "
    "OR size IS NOT length(body) LIMIT 1",
    "operators": "SELECT 1 FROM operators WHERE sum IS NOT row_sum('operators', operator) LIMIT 1",
    "contents": "SELECT 1 FROM contents WHERE sum IS NOT row_sum('contents', state, digest) LIMIT 1",
    "position": "SELECT 1 FROM position WHERE sum IS NOT row_sum('position', log, offset, damaged) LIMIT 1",
    "objects": "SELECT 1 FROM objects WHERE sum IS NOT "
    "row_sum('objects', digest, size, content_type, created_at, sequence) LIMIT 1",
    "names": "SELECT 1 FROM names WHERE sum IS NOT "
    "row_sum('names', name, digest, sequence, unclaimed) LIMIT 1",
    "named": "SELECT 1 FROM named WHERE sum IS NOT "
    "row_sum('named', name, digest, sequence, unclaimed, content_type) LIMIT 1",
    "items": "SELECT 1 FROM items WHERE sum IS NOT "
    "row_sum('items', digest, kind, pack, offset, number, stored, size, refs) LIMIT 1",
    "links": "SELECT 1 FROM links WHERE sum IS NOT "
    "row_sum('links', run_id, node, port, digest, provenance) LIMIT 1",
    "linked": "SELECT 1 FROM linked WHERE sum IS NOT "
    "row_sum('linked', run_id, node, port, digest, provenance, value) LIMIT 1",
    "versions": "SELECT 1 FROM versions WHERE sum IS NOT row_sum('versions', name, number, digest, size, "
    "content_type, created_at, sequence, damaged, run, node, port, note, parents) LIMIT 1",
    "tags": "SELECT 1 FROM tags WHERE sum IS NOT row_sum('tags', name, tag, number, digest, at) LIMIT 1",
    "ratings": "SELECT 1 FROM ratings WHERE sum IS NOT row_sum('ratings', digest, rater, rating) LIMIT 1",
    "care": "SELECT 1 FROM care WHERE sum IS NOT "
    "row_sum('care', digest, pinned, trashed, why, restored, uses, used) LIMIT 1",
    "counting": "SELECT 1 FROM counting WHERE sum IS NOT row_sum('counting', since) LIMIT 1",
}
"""By table, of the cache and the index, a row that does not match its checksum."""

logger = logging.getLogger(__name__)


class DatabaseBroken(Exception):
    """The file is damaged, or it is somebody else's."""


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """SQLite's errors as DatabaseBroken, StorageFull or IoFailed; `doing` as in `failures.io_errors`."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # also of SQLite's own words about a file
        raise DatabaseBroken(f"a damaged row: {error}") from error
    except sqlite3.Error as error:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # A query that does not suit the tables found there: they are not ours, or not any more.
        foreign = primary == sqlite3.SQLITE_ERROR and "transaction" not in str(error)
        foreign = foreign or "decode" in str(error)  # a text that is not UTF-8 comes without a code
        if primary in _BROKEN or foreign:
            raise DatabaseBroken(str(error)) from error
        # SQLite has a word of its own for a disk on which the memory that connections share has no room.
        if primary == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE":
            raise no_room(doing, reason=str(error)) from error
        raise IoFailed(f"cannot {doing}: {error}", details={"sqlite": str(error)}) from error


def connect(
    path: Path | None, *, application: int, schema: str, former: Former = MappingProxyType({})
) -> sqlite3.Connection:
    """A connection to the database at `path`, with the tables of `schema`.

    None: to one of its own that is gone when it is closed. It is in memory, but for what is beyond
    `_MEMORY_KIB`: SQLite has that in a file without a name, in the system's folder for temporary files.

    `application` marks the file as ours, of this version of the tables; one of a `former` version is
    made one of this first. Queries may use `row_sum` of `commons.checksums`. Usable by several threads under
    the caller's lock. Raises DatabaseBroken, StorageFull, IoFailed.
    """
    if path is not None:
        _make_private(path)
    with database_errors(f"open {path or 'a database in memory'}"):
        connection = sqlite3.connect(
            path or "", timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            connection.create_function("row_sum", -1, row_sum, deterministic=True)
            _prepare(connection, application, schema, former)
        except BaseException:
            connection.close()
            raise
    return connection


def _make_private(path: Path) -> None:
    """Make an empty file, which SQLite takes for a new database, for the owner's eyes only.

    SQLite would heed the umask alone. What it puts beside the file gets the file's permissions.
    """
    with io_errors(f"make {path}"), suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def close_with(owner: object, connection: sqlite3.Connection) -> None:
    """Close `connection` when `owner` is forgotten without having been closed, at the latest at exit.

    Only in the process that opened it: a connection does not survive a fork, and closing it in the
    child would harm the parent.
    """
    weakref.finalize(owner, _close_here, connection, os.getpid())


def _close_here(connection: sqlite3.Connection, pid: int) -> None:
    if os.getpid() == pid:
        with suppress(sqlite3.Error):
            connection.close()


def _prepare(connection: sqlite3.Connection, application: int, schema: str, former: Former) -> None:
    (marked,) = connection.execute("PRAGMA application_id").fetchone()
    if marked in former:
        marked = _renewed(connection, application, former)
    if marked not in (0, application):
        raise DatabaseBroken(f"it belongs to another application or version ({marked})")
    if connection.execute("PRAGMA database_list").fetchone()[2]:
        _log_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
    else:
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute(f"PRAGMA cache_size=-{_MEMORY_KIB}")
    if marked == 0:
        _fill(connection, application, schema)


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, waiting for others who do the same to a new file.

    SQLite's own patience does not cover that: of two connections that both read the file, neither could
    become its only one, so it tells one of them at once that the file is locked.
    """
    until = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
        time.sleep(_AGAIN_S)


def _fill(connection: sqlite3.Connection, application: int, schema: str) -> None:
    """Make the tables in an empty file, unless another process has just done so."""
    with transaction(connection):
        if connection.execute("PRAGMA application_id").fetchone() != (application,):
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise DatabaseBroken("it belongs to another application")
            run_script(connection, schema)
            connection.execute(f"PRAGMA application_id={application}")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # the write-ahead log begins again


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all that the block writes, or, if it raises, none of it. Others cannot write meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script one by one: `executescript` would end the transaction that it is in."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):  # a trigger has semicolons inside
            connection.execute(statement)
            statement = ""


def _renewed(connection: sqlite3.Connection, application: int, former: Former) -> int:
    """Make this version's tables of an earlier one's, or drop those; the mark now.

    Unless another process has done so.
    """
    with transaction(connection):
        (marked,) = connection.execute("PRAGMA application_id").fetchone()
        if marked in former:
            upgrade = former[marked]
            if upgrade is None:
                tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                for (name,) in connection.execute(tables).fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                marked = 0
            else:
                upgrade(connection)
                marked = application
            connection.execute(f"PRAGMA application_id={marked}")
    return int(marked)


def check_structure(connection: sqlite3.Connection) -> None:
    """Raise DatabaseBroken if SQLite finds fault with the file, its indexes included. O(size of the file)."""
    ((found, *_),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if found != "ok":
        raise DatabaseBroken(str(found).replace("\n", " "))


def set_aside(path: Path, why: object) -> None:
    """Rename a broken database and what belongs to it, so that a new one can take its place.

    Renamed, not deleted: other processes may still have it open.
    """
    for number in range(1000):
        aside = path.with_name(f"{path.name}.broken-{number}")
        if not aside.exists():
            break
    else:
        aside = path.with_name(f"{path.name}.broken-0")
    with io_errors(f"set aside {path}"):
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    logger.warning("%s was unusable (%s): set aside as %s and rebuilt", path, why, aside.name)
