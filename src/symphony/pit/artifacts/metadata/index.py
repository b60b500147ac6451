"""The index of a store: its records as tables, to be searched. Made of the log, remade at will."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.base.database import (
    check_structure,
    close_with,
    connect,
    database_errors,
    run_script,
    transaction,
)
from symphony.pit.artifacts.metadata import care, facts, links, versions
from symphony.pit.artifacts.metadata.records import (
    Counting,
    Gone,
    Linked,
    Pinned,
    Put,
    Rated,
    Record,
    Restored,
    Trashed,
    Used,
)
from symphony.pit.artifacts.metadata.rows import IndexRows, require_sound
from symphony.pit.artifacts.metadata.selecting import select
from symphony.ports.artifacts import RECORDED_MAX, ArtifactFilter, ArtifactRecord, Rating
from symphony.ports.retention import Standing
from symphony.ports.values import Digest

_APPLICATION = 0x53594906
_CHECKED_BYTES_MAX = 16 << 20
_NAMED_TABLE = """
CREATE TABLE named (
    name TEXT NOT NULL, digest TEXT NOT NULL, sequence INTEGER NOT NULL, unclaimed INTEGER NOT NULL,
    content_type TEXT NOT NULL, sum INTEGER,
    PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE INDEX named_of ON named (digest);
"""
_RATINGS_TABLE = """
CREATE TABLE ratings (
    digest TEXT NOT NULL, rater TEXT NOT NULL, rating BLOB NOT NULL, sum INTEGER,
    PRIMARY KEY (digest, rater)
) WITHOUT ROWID;
"""
_SCHEMA = f"""
CREATE TABLE position (log TEXT NOT NULL, offset INTEGER NOT NULL, damaged INTEGER NOT NULL, sum INTEGER);
CREATE TABLE objects (
    digest TEXT PRIMARY KEY, size INTEGER NOT NULL, content_type TEXT NOT NULL, created_at REAL NOT NULL,
    sequence INTEGER NOT NULL, sum INTEGER
) WITHOUT ROWID;
CREATE INDEX objects_newest ON objects (sequence);
{_NAMED_TABLE}{_RATINGS_TABLE}{links.SCHEMA}{versions.SCHEMA}{care.TABLES}"""
_TABLES = ("objects", "named", "ratings", "care", "counting", *links.TABLES, *versions.TABLES)
_PUT = """
INSERT INTO objects SELECT a, b, c, d, e, row_sum('objects', a, b, c, d, e)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e) WHERE true
ON CONFLICT (digest) DO UPDATE SET content_type = excluded.content_type, sequence = excluded.sequence,
sum = row_sum('objects', digest, size, excluded.content_type, created_at, excluded.sequence)
"""
_TRASHED = """
SELECT count(*), coalesce(sum(size), 0) FROM objects
WHERE digest IN (SELECT digest FROM care WHERE trashed IS NOT NULL)
"""
_NAME = """
INSERT INTO named SELECT a, b, c, d, e, row_sum('named', a, b, c, d, e)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e) WHERE true
ON CONFLICT (name, digest)
DO UPDATE SET sequence = excluded.sequence, unclaimed = unclaimed + excluded.unclaimed,
content_type = excluded.content_type,
sum = row_sum('named', name, digest, excluded.sequence, unclaimed + excluded.unclaimed, excluded.content_type)
"""
_OF_NAMES = """
INSERT INTO named SELECT name, digest, names.sequence, unclaimed, content_type,
row_sum('named', name, digest, names.sequence, unclaimed, content_type)
FROM names JOIN objects USING (digest)
WHERE names.sum = row_sum('names', name, digest, names.sequence, unclaimed)
"""
_CLAIM = """
UPDATE named SET unclaimed = max(unclaimed - ?, 0),
sum = row_sum('named', name, digest, sequence, max(unclaimed - ?, 0), content_type)
WHERE name = ? AND digest = ?
"""
_RATE = """
INSERT OR REPLACE INTO ratings SELECT a, b, c, row_sum('ratings', a, b, c)
FROM (SELECT ? AS a, ? AS b, ? AS c)
"""
_PUTS = f"""
SELECT digest, size, content_type, NULL, created_at, 1, sequence,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence), NULL, '', '', 0, NULL, '', ''
FROM objects
UNION ALL {versions.DUMPED}
ORDER BY 7
"""  # noqa: S608
_OBJECT = """
SELECT size, content_type, created_at,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects WHERE digest = ?
"""
_NEWEST = f"""
SELECT digest, sequence, sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects WHERE sequence < ? AND {care.NOT_TRASHED} ORDER BY sequence DESC LIMIT ?
"""  # noqa: S608  # constants
_NAMES_OF = """
SELECT name, content_type, sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named WHERE digest = ? ORDER BY sequence DESC LIMIT ?
"""
_NAMED = """
SELECT digest, sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named WHERE name = ? ORDER BY sequence DESC
"""
_RATINGS = """
SELECT digest, rating, sum = row_sum('ratings', digest, rater, rating) FROM ratings
"""
_RATINGS_OF = """
SELECT rating, sum = row_sum('ratings', digest, rater, rating) FROM ratings WHERE digest = ? ORDER BY rater
"""
_COVERED = (
    "SELECT digest, size FROM objects ORDER BY digest",
    "SELECT name, digest FROM named ORDER BY name, digest",
    "SELECT run_id, node, port, digest FROM linked ORDER BY run_id, node, port, digest",
    "SELECT digest, rater FROM ratings ORDER BY digest, rater",
    "SELECT name, number, digest FROM versions ORDER BY name, number",
    "SELECT name, tag FROM tags ORDER BY name, tag",
    "SELECT digest FROM care WHERE pinned ORDER BY digest",
)
_DUMPED = ("objects", "ratings", "linked", "versions", "tags")
_COUNTED = " + ".join(f"(SELECT count(*) FROM {table})" for table in _DUMPED)  # noqa: S608  # constants
_COUNT = f"SELECT {_COUNTED} + {care.COUNT}"


def _with_types(connection: sqlite3.Connection) -> None:
    """Give each name of the version before the type of its body; the log, if there is one, knows better."""
    run_script(connection, _NAMED_TABLE)
    connection.execute(_OF_NAMES)
    connection.execute("DROP TABLE names")
    _with_ratings(connection)


def _with_ratings(connection: sqlite3.Connection) -> None:
    """Add the ratings; the log has them if anybody rated."""
    run_script(connection, _RATINGS_TABLE)
    _with_versions(connection)


def _with_versions(connection: sqlite3.Connection) -> None:
    """Make versions of the bodies of each name; the log, if there is one, is read again and knows better."""
    run_script(connection, links.SCHEMA + versions.SCHEMA)
    connection.execute(versions.OF_NAMES)
    tables = links.LinkTables(IndexRows(connection, None))
    for digest, provenance in connection.execute(links.FORMER).fetchall():
        tables.take(Linked(digest, links.decoded(provenance)))
    connection.execute("DROP TABLE links")
    _with_care(connection)


def _with_care(connection: sqlite3.Connection) -> None:
    """Add pins, the trash and reads; the log is read again."""
    run_script(connection, care.TABLES)
    connection.execute("DELETE FROM position")


_FORMER = MappingProxyType(
    {
        0x53594901: None,
        0x53594902: _with_types,
        0x53594903: _with_ratings,
        0x53594904: _with_versions,
        0x53594905: _with_care,
    }
)
"""Tables without checksums, types of names, ratings, versions, or pins and trash."""

_encode = msgspec.msgpack.Encoder().encode
_rating = msgspec.msgpack.Decoder(Rating)


class Position(NamedTuple):
    """The log that was read, the offset up to which it was read, and the damaged lines before that."""

    log: str
    offset: int
    damaged: int


class Taken(NamedTuple):
    """A record with its place in the log, and the number of damaged lines before it."""

    record: Record
    sequence: int
    damaged: int = 0


class Index:
    """One connection. Not thread-safe: the caller holds a lock.

    Every method raises `DatabaseBroken` if the file turns out to be damaged; StorageFull, IoFailed.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the index at `path`; None: in memory, empty."""
        self._path = path
        self._connection = connect(path, application=_APPLICATION, schema=_SCHEMA, former=_FORMER)
        try:
            if path is not None and path.stat().st_size <= _CHECKED_BYTES_MAX:  # rows that are gone, too
                with database_errors(f"read {path}"):
                    check_structure(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._any_trashed = self._ranked = False
        close_with(self, self._connection)
        self._rows = IndexRows(self._connection, path)
        self.versions = versions.VersionTables(self._rows)
        self.links = links.LinkTables(self._rows)

    def position(self) -> Position:
        """Where the index stands now: other processes move it too."""
        query = "SELECT log, offset, damaged, sum = row_sum('position', log, offset, damaged) FROM position"
        found = self._rows.sound(tuple[str, int, int, int | None], query)
        return Position(*found[0][:-1]) if found else Position("", 0, 0)

    def apply(self, records: Iterable[Taken], position: Position) -> None:
        """Take in records; afterwards the index stands at `position`."""
        with database_errors(f"write {self._path}"), transaction(self._connection):
            self._any_trashed = care.any_trashed(self._connection)
            for record, sequence, damaged in records:
                self._take(record, sequence, damaged)
            self._connection.execute("DELETE FROM position")
            told = row_sum("position", *position)
            self._connection.execute("INSERT INTO position VALUES (?, ?, ?, ?)", (*position, told))

    def reset(self, log: str) -> None:
        """Forget everything; the log `log` is to be read from its start."""
        with database_errors(f"write {self._path}"):
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # constants
        self.apply((), Position(log, 0, 0))

    def _take(self, record: Record, sequence: int, damaged: int) -> None:
        execute = self._connection.execute
        self.versions.take(record, sequence, damaged)
        self.links.take(record)
        match record:
            case Put():
                at = record.created or record.at
                execute(_PUT, (record.digest, record.size, record.content_type, at, sequence))
                if record.name is not None:
                    row = (record.name, record.digest, sequence, record.unclaimed, record.content_type)
                    execute(_NAME, row)
                if self._any_trashed:
                    care.bring_back(self._connection, record.digest)
            case Linked():
                if record.claims and record.name is not None:
                    execute(_CLAIM, (record.claims, record.claims, record.name, record.digest))
                if self._any_trashed:
                    care.bring_back(self._connection, record.digest)
            case Rated():
                rater = record.rating.by
                if record.rating.score is None:
                    execute("DELETE FROM ratings WHERE digest = ? AND rater = ?", (record.digest, rater))
                else:
                    execute(_RATE, (record.digest, rater, _encode(record.rating)))
            case Trashed() | Restored() | Pinned() | Used() | Counting():
                care.take(self._connection, record)
                self._any_trashed = self._any_trashed or isinstance(record, Trashed)
            case Gone():
                for table in ("objects", "named", "ratings", "care"):
                    execute(f"DELETE FROM {table} WHERE digest = ?", (record.digest,))  # noqa: S608
            case _:
                pass  # the log's first line: its id is in the position; or it is for other tables

    # -- questions

    def record(self, digest: Digest, name: str | None = None) -> ArtifactRecord | None:
        """All that is known of one body. Its type is that under which it was put as `name`.

        Without one, that of its newest name, or of the last put of a body that has none.
        """
        found = self._rows.sound(tuple[int, str, float, int | None], _OBJECT, digest)
        if not found:
            return None
        names = self._rows.sound(tuple[str, str, int | None], _NAMES_OF, digest, RECORDED_MAX)
        provenance = self.links.of_body(digest, RECORDED_MAX)
        rated = self._rows.sound(tuple[bytes, int | None], _RATINGS_OF, digest)
        with database_errors(f"read {self._path}"):
            ratings = [_rating.decode(rating) for rating, _ in rated]
        size, content_type, created_at, _ = found[0]
        types = {named: kind for named, kind, _ in reversed(names)}  # the newest name comes last
        content_type = types.get(name or "", next(reversed(types.values()), content_type))
        return ArtifactRecord(
            digest=digest,
            size=size,
            content_type=content_type,
            names=tuple(named for named, _, _ in names),
            created_at=created_at,
            provenance=tuple(sorted(provenance, key=lambda p: (p.created_at, p.run_id, p.node, p.port))),
            ratings=tuple(ratings),
            labels=tuple(f"{named}@{self.versions.newest_of(named, digest)}" for named, _, _ in names),
        )

    def named(self, name: str) -> list[Digest]:
        """Bodies put under `name`, the newest first."""
        return [Digest(digest) for digest, _ in self._rows.sound(tuple[str, int | None], _NAMED, name)]

    def newest(self, limit: int, before: int = INTEGER_MAX) -> list[tuple[Digest, int]]:
        """Up to `limit` bodies with their sequence, the newest first, older than sequence `before`."""
        rows = self._rows.sound(tuple[str, int, int | None], _NEWEST, before, limit)
        return [(Digest(digest), sequence) for digest, sequence, _ in rows]

    def select(self, where: ArtifactFilter, limit: int) -> list[Digest]:
        """Return up to `limit` bodies, as `selecting.select`."""
        return select(self._rows, where, limit)

    def knows(self, digest: Digest) -> bool:
        return bool(self._rows.all(tuple[int], "SELECT 1 FROM objects WHERE digest = ?", digest))

    def kept(self, digest: Digest) -> bool:
        """Return whether a body stays by default: see `Standing.kept`."""
        found = self.standings([digest]).get(digest)
        return found is not None and found.kept

    def standings(self, digests: Collection[Digest], *, ranked: bool = False) -> dict[Digest, Standing]:
        """Return the facts about these bodies, as far as they are known; see `facts.standings`."""
        with database_errors(f"read {self._path}"):
            if ranked and not self._ranked:
                facts.rank(self._connection)
                self._ranked = True
            return facts.standings(self._connection, digests, ranked=ranked)

    def counts(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return how many bodies are recorded, and their bytes: without those in the trash, and in it."""
        whole = self._rows.all(tuple[int, int], "SELECT count(*), coalesce(sum(size), 0) FROM objects")[0]
        trashed = self._rows.all(tuple[int, int], _TRASHED)[0]
        return (whole[0] - trashed[0], whole[1] - trashed[1]), trashed

    def trashed(self) -> list[care.Care]:
        """Return what is in the trash."""
        with database_errors(f"read {self._path}"):
            return care.trashed(self._connection)

    def care_of(self, digest: Digest) -> care.Care:
        """Return whether a body is pinned or in the trash, and how often it was read."""
        with database_errors(f"read {self._path}"):
            return care.care_of(self._connection, digest)

    def news_of(self, digests: Iterable[Digest], now_s: float) -> list[Record]:
        """Return what the log has yet to be told of bodies that were read just now."""
        with database_errors(f"read {self._path}"):
            return care.news_of(self._connection, digests, now_s)

    def differs(self, other: sqlite3.Connection, query: str) -> bool:
        """Return whether another index gives other rows than this one for a query that orders them."""
        with database_errors(f"read {self._path}"):
            rows = zip_longest(self._connection.execute(query), other.execute(query))
            return any(one != another for one, another in rows)

    def covers(self, other: "Index") -> bool:
        """Return whether this index knows every body, name, version, tag, link, rating and pin of another."""
        with database_errors(f"read {self._path}"):
            for query in _COVERED:
                here = self._connection.execute(query)
                # Both come in one order: what is passed over while looking for a row is not in the other.
                if not all(row in here for row in other._connection.execute(query)):  # noqa: SLF001
                    return False
        return True

    def digests(self) -> Iterator[Digest]:
        """Yield the digest of every body that is known, in order."""
        with database_errors(f"read {self._path}"):
            for (digest,) in self._connection.execute("SELECT digest FROM objects ORDER BY digest"):
                yield digest

    def count(self) -> int:
        """Return how many records `dump` yields."""
        return self._rows.all(tuple[int], _COUNT)[0][0]

    def dump(self) -> Iterator[Record]:
        """Yield the records of a log that says the same as the index."""
        with database_errors(f"read {self._path}"):
            for row in self._connection.execute(_PUTS):
                digest, size, content_type, name, at, unclaimed, _, sound, *rest = row
                require_sound(sound)
                number, note, parents, created, run, node, port = rest
                yield Put(
                    digest, size, content_type, name, at, unclaimed, number, note, tuple(parents.split()),
                    name is not None and run is None,
                    0.0 if created == at else created, run, node, port,
                )  # fmt: skip
            yield from self.links.dump()
            for digest, rating, sound in self._connection.execute(_RATINGS):
                require_sound(sound)
                yield Rated(digest, _rating.decode(rating))
            yield from self.versions.dump()
            yield from care.dump(self._connection)

    def check(self) -> None:
        """Raise DatabaseBroken if anything in the file is not what was written. O(size of the file)."""
        with database_errors(f"read {self._path}"):
            check_structure(self._connection)
        self.position()
        for _ in self.dump():
            pass

    def close(self) -> None:
        with database_errors(f"close {self._path}"):
            self._connection.close()
