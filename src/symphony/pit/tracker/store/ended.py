"""One row for each ended run, so that lists need not open their journals. Blocking.

Derived data. A row counts while the files of its journal are those that it was made of, by size and
time of change, and it matches its checksum; a run without such a row is looked up in its journal, and
gets one. The file itself is made again when it is damaged, missing or of another version.
"""

import logging
import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    close_with,
    connect,
    database_errors,
    set_aside,
)
from symphony.ports.insight import Overview
from symphony.ports.runs import RunSummary

logger = logging.getLogger(__name__)

_APPLICATION: Final = 0x53594533  # "SYE3"
_FORMER: Final = MappingProxyType({0x53594531: None, 0x53594532: None})
_SCHEMA: Final = """
CREATE TABLE ended
  (run_id TEXT PRIMARY KEY, stamp TEXT NOT NULL, summary BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE overviews
  (run_id TEXT PRIMARY KEY, stamp TEXT NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL);
"""
_MANY: Final = 500
_summary: Final = msgspec.msgpack.Decoder(RunSummary)
_overview: Final = msgspec.msgpack.Decoder(Overview)


def stamp_of(journal: Path) -> str:
    """Return a stamp that changes when a journal is written to. Raises OSError."""
    path = os.fspath(journal)  # 10,000 runs are listed at once: a Path for each takes half of the time
    found = os.stat(path)  # noqa: PTH116
    told = f"{found.st_size}:{found.st_mtime_ns}"
    try:
        log = os.stat(f"{path}-wal")  # noqa: PTH116
    except FileNotFoundError:
        return told
    # An empty log was made by a reader of the journal.
    return f"{told}:{log.st_size}:{log.st_mtime_ns}" if log.st_size else told


class EndedRun(msgspec.Struct, frozen=True):
    """One row. `stamp` is that of the journal from which the rest was made."""

    stamp: str
    summary: RunSummary
    overview: Callable[[], Overview] | None = None
    """How the run went, worked out when it is wanted."""


class EndedRuns:
    """The rows, in the file `path`, which is made when there is something to write.

    Whatever is wrong with it costs time, never an answer: no method raises. Usable from any thread and
    by several processes at once.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._pending: deque[EndedRun] = deque()

    def find(self, run_ids: Sequence[str]) -> Mapping[str, EndedRun]:
        """The sound rows of these runs. Whether their stamps still hold is for the caller to see."""
        added = {one.summary.run_id: one for one in list(self._pending)}
        out = {run_id: added[run_id] for run_id in run_ids if run_id in added}
        with self._lock:
            for at in range(0, len(run_ids), _MANY):
                some = run_ids[at : at + _MANY]
                places = ", ".join("?" * len(some))
                query = f"SELECT run_id, stamp, summary, sum FROM ended WHERE run_id IN ({places})"  # noqa: S608
                for row in self._do(query, [some], make=False):
                    if (found := _row(row)) is not None:
                        out[found.summary.run_id] = found
        return out

    def overview(self, run_id: str, stamp: str) -> Overview | None:
        """Return the overview of the run, or None if there is no sound row with this stamp."""
        for one in list(self._pending):
            if one.summary.run_id == run_id and one.stamp == stamp:
                return one.overview and one.overview()
        query = "SELECT run_id, stamp, body, sum FROM overviews WHERE run_id = ?"
        with self._lock:
            for *fields, told in self._do(query, [(run_id,)], make=False):
                if row_sum("overviews", *fields) == told and fields[1] == stamp:
                    return _unpacked(fields[2])
        return None

    def add(self, row: EndedRun) -> None:
        """Keep a row, from the next `flush` on for good."""
        self._pending.append(row)

    def flush(self) -> None:
        """Write what was added."""
        with self._lock:
            self._write()

    def forget(self, run_id: str) -> None:
        """The run has been deleted."""
        with self._lock:
            self._write()
            for table in ("ended", "overviews"):
                self._do(f"DELETE FROM {table} WHERE run_id = ?", [(run_id,)], make=False)  # noqa: S608

    def close(self) -> None:
        """Write what was added, and let go of the file."""
        self.flush()
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def _write(self) -> None:
        rows = list[EndedRun]()
        while self._pending:
            rows.append(self._pending.popleft())
        if rows:
            given = [_fields("ended", row, msgspec.msgpack.encode(row.summary)) for row in rows]
            self._do("INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)", given, make=True)
            bodies = [(row, _packed(row.overview())) for row in rows if row.overview is not None]
            given = [_fields("overviews", row, body) for row, body in bodies]
            self._do("INSERT OR REPLACE INTO overviews VALUES (?, ?, ?, ?)", given, make=True)

    def _do(
        self, query: str, given: Sequence[Sequence[object]], *, make: bool
    ) -> Iterable[tuple[object, ...]]:
        """The rows that a query gives, or none; in one transaction for all that are given."""
        for _ in range(2):
            try:
                with database_errors(f"use {self._path}"):
                    if self._db is None:
                        if not make and not self._path.is_file():
                            return []
                        self._db = connect(
                            self._path, application=_APPLICATION, schema=_SCHEMA, former=_FORMER
                        )
                        close_with(self, self._db)
                    return self._run(self._db, query, given)
            except DatabaseBroken as why:
                self._let_go()
                try:
                    set_aside(self._path, why)
                except SymphonyError:
                    return []
            except (SymphonyError, OSError) as error:  # busy, full or not ours to write
                logger.debug("the index of ended runs is not used: %s", error)
                return []
        return []

    @staticmethod
    def _run(
        db: sqlite3.Connection, query: str, given: Sequence[Sequence[object]]
    ) -> Iterable[tuple[object, ...]]:
        if len(given) == 1:
            return db.execute(query, given[0]).fetchall()
        db.execute("BEGIN IMMEDIATE")
        try:
            db.executemany(query, given)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return []

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _fields(table: str, row: EndedRun, body: bytes) -> tuple[object, ...]:
    fields = (row.summary.run_id, row.stamp, body)
    return (*fields, row_sum(table, *fields))


def _packed(overview: Overview) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(overview), 1)  # bars are mostly empty


def _unpacked(body: object) -> Overview | None:
    try:
        return _overview.decode(zlib.decompress(body)) if isinstance(body, bytes) else None
    except (zlib.error, msgspec.MsgspecError):
        return None


def _row(row: tuple[object, ...]) -> EndedRun | None:
    *fields, told = row
    run_id, stamp, body = fields
    if row_sum("ended", *fields) != told or not isinstance(stamp, str) or not isinstance(body, bytes):
        return None
    try:
        summary = _summary.decode(body)
    except msgspec.MsgspecError:
        return None
    return EndedRun(stamp, summary) if summary.run_id == run_id else None
