"""The tables of the index about keeping bodies: pins, the trash, and reads.

Functions over the index's connection; errors are SQLite's.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.base.database import DatabaseBroken
from symphony.pit.artifacts.base.rules import READ_AGAIN_S
from symphony.pit.artifacts.metadata.records import Counting, Pinned, Record, Restored, Trashed, Used
from symphony.ports.values import Digest

TABLES: Final = """
CREATE TABLE care (
    digest TEXT PRIMARY KEY, pinned REAL, trashed REAL, why TEXT NOT NULL, restored REAL,
    uses INTEGER NOT NULL, used REAL, sum INTEGER
) WITHOUT ROWID;
CREATE INDEX care_trashed ON care (digest) WHERE trashed IS NOT NULL;
CREATE TABLE counting (since REAL NOT NULL, sum INTEGER);
"""
NOT_TRASHED: Final = "digest NOT IN (SELECT digest FROM care WHERE trashed IS NOT NULL)"
COUNT: Final = """
(SELECT coalesce(sum((used IS NOT NULL AND uses > 0) + (restored IS NOT NULL) + (pinned IS NOT NULL)
    + (trashed IS NOT NULL)), 0) FROM care) + (SELECT count(*) FROM counting)
"""
"""How many records `dump` yields."""
_COLUMNS: Final = "digest, pinned, trashed, why, restored, uses, used"
_READ: Final = f"SELECT {_COLUMNS}, sum = row_sum('care', {_COLUMNS}) FROM care"  # noqa: S608  # constants
_AMONG: Final = "digest IN (SELECT value FROM json_each(?))"
_WRITE: Final = "INSERT OR REPLACE INTO care VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_BACK: Final = """
UPDATE care SET trashed = NULL, sum = row_sum('care', digest, pinned, NULL, why, restored, uses, used)
WHERE digest = ? AND trashed IS NOT NULL
"""


class Care(NamedTuple):
    """One row: when a body was pinned, put into the trash and brought back, and how often it was read."""

    digest: Digest
    pinned: float | None = None
    trashed: float | None = None
    why: str = ""
    restored: float | None = None
    uses: int = 0
    used: float | None = None


def take(connection: sqlite3.Connection, record: Trashed | Restored | Pinned | Used | Counting) -> None:
    """Take in one record."""
    match record:
        case Trashed():
            _write(connection, care_of(connection, record.digest)._replace(trashed=record.at, why=record.why))
        case Restored():
            _write(connection, care_of(connection, record.digest)._replace(trashed=None, restored=record.at))
        case Pinned():
            found = care_of(connection, record.digest)._replace(pinned=record.at if record.pinned else None)
            _write(connection, found._replace(trashed=None) if record.pinned else found)
        case Used():
            for digest in record.digests:
                _write(connection, _read(care_of(connection, digest), record))
        case Counting():
            if counting_since(connection) is None:
                told = row_sum("counting", float(record.since))
                connection.execute("INSERT INTO counting VALUES (?, ?)", (float(record.since), told))


def bring_back(connection: sqlite3.Connection, digest: Digest) -> None:
    """Take a body out of the trash if it is there, because it was put or linked."""
    connection.execute(_BACK, (digest,))


def any_trashed(connection: sqlite3.Connection) -> bool:
    """Return whether the trash has anything."""
    query = "SELECT EXISTS (SELECT 1 FROM care WHERE trashed IS NOT NULL)"
    return bool(connection.execute(query).fetchone()[0])


def care_of(connection: sqlite3.Connection, digest: Digest) -> Care:
    """Return the row of a body, or an empty one. Raises DatabaseBroken."""
    return next(_sound(connection.execute(f"{_READ} WHERE digest = ?", (digest,))), Care(digest))


def cares(connection: sqlite3.Connection, digests: Iterable[Digest]) -> Mapping[Digest, Care]:
    """Return the rows of these bodies. Raises DatabaseBroken."""
    rows = connection.execute(f"{_READ} WHERE {_AMONG}", (json.dumps(list(digests)),))
    return {care.digest: care for care in _sound(rows)}


def trashed(connection: sqlite3.Connection) -> list[Care]:
    """Return the rows of all bodies in the trash. Raises DatabaseBroken."""
    return list(_sound(connection.execute(f"{_READ} WHERE trashed IS NOT NULL")))


def counting_since(connection: sqlite3.Connection) -> float | None:
    """Return since when reads are recorded. Raises DatabaseBroken."""
    for since, told in connection.execute("SELECT since, sum FROM counting"):
        if told != row_sum("counting", since):
            raise DatabaseBroken("a row does not match its checksum")
        return float(since)
    return None


def news_of(connection: sqlite3.Connection, digests: Iterable[Digest], now_s: float) -> list[Record]:
    """Return the records for bodies that were read just now, without reads that would not count.

    Raises DatabaseBroken.
    """
    wanted = sorted(set(digests))
    known = cares(connection, wanted)
    fresh = [
        digest
        for digest in wanted
        if (care := known.get(digest)) is None
        or care.used is None
        or care.trashed is not None
        or now_s - care.used >= READ_AGAIN_S
    ]
    first: list[Record] = [] if counting_since(connection) is not None else [Counting(now_s)]
    return [*first, Used(tuple(fresh), now_s)] if fresh else first


def dump(connection: sqlite3.Connection) -> Iterator[Record]:
    """Yield the records of a log that say the same as the tables."""
    since = counting_since(connection)
    if since is not None:
        yield Counting(since)
    for care in _sound(connection.execute(f"{_READ} ORDER BY digest")):
        if care.used is not None and care.uses:
            yield Used((care.digest,), care.used, care.uses)
        if care.restored is not None:
            yield Restored(care.digest, care.restored)
        if care.pinned is not None:
            yield Pinned(care.digest, care.pinned)
        if care.trashed is not None:
            yield Trashed(care.digest, care.trashed, care.why)


def _read(care: Care, record: Used) -> Care:
    at = float(record.at)
    counts = care.used is None or at - care.used >= READ_AGAIN_S or record.times > 1
    back = care.restored if care.trashed is None else at
    return care._replace(
        trashed=None,
        restored=back,
        uses=care.uses + (record.times if counts else 0),
        used=at if counts else care.used,
    )


def _sound(rows: Iterable[tuple[object, ...]]) -> Iterator[Care]:
    for *columns, sound in rows:
        if sound != 1:
            raise DatabaseBroken("a row does not match its checksum")
        digest, pinned, at, why, restored, uses, used = columns
        yield Care(
            Digest(str(digest)),
            _moment(pinned),
            _moment(at),
            str(why),
            _moment(restored),
            _count(uses),
            _moment(used),
        )


def _moment(value: object) -> float | None:
    if value is not None and not isinstance(value, float):
        raise DatabaseBroken("a time is not a number")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise DatabaseBroken("a count is not a number")
    return value


def _write(connection: sqlite3.Connection, care: Care) -> None:
    row = Care(
        care.digest, _float(care.pinned), _float(care.trashed), care.why, _float(care.restored), care.uses,
        _float(care.used),
    )  # fmt: skip
    connection.execute(_WRITE, (*row, row_sum("care", *row)))


def _float(value: float | None) -> float | None:
    """Return what SQLite gives back: the checksum is that of what is read."""
    return None if value is None else float(value)
