"""The index of a store: its records as tables, to be searched. Made of the log, remade at will."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from symphony.commons.checksums import row_sum
from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    check_structure,
    close_with,
    connect,
    database_errors,
    run_script,
    transaction,
)
from symphony.pit.artifacts.metadata.records import Gone, Linked, Put, Rated, Record, Unlinked
from symphony.ports.artifacts import ArtifactRecord, Provenance, Rating
from symphony.ports.values import Digest

T = TypeVar("T")
S = TypeVar("S", bound=tuple[object, ...])

_APPLICATION = 0x53594904
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
{_NAMED_TABLE}CREATE TABLE links (
    run_id TEXT NOT NULL, node TEXT NOT NULL, port TEXT NOT NULL, digest TEXT NOT NULL,
    provenance BLOB NOT NULL, sum INTEGER,
    PRIMARY KEY (run_id, node, port, digest)
) WITHOUT ROWID;
CREATE INDEX links_of ON links (digest);
{_RATINGS_TABLE}"""
_TABLES = ("objects", "named", "links", "ratings")
_PUT = """
INSERT INTO objects SELECT a, b, c, d, e, row_sum('objects', a, b, c, d, e)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e) WHERE true
ON CONFLICT (digest) DO UPDATE SET content_type = excluded.content_type, sequence = excluded.sequence,
sum = row_sum('objects', digest, size, excluded.content_type, created_at, excluded.sequence)
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
_LINK = """
INSERT OR REPLACE INTO links SELECT a, b, c, d, e, row_sum('links', a, b, c, d, e)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e)
"""
_RATE = """
INSERT OR REPLACE INTO ratings SELECT a, b, c, row_sum('ratings', a, b, c)
FROM (SELECT ? AS a, ? AS b, ? AS c)
"""
_KEPT = """
SELECT EXISTS (SELECT 1 FROM links WHERE digest = ?)
    OR EXISTS (SELECT 1 FROM named WHERE digest = ? AND unclaimed > 0)
"""
_PUTS = """
SELECT digest, size, content_type, NULL, created_at, 1, sequence,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects
UNION ALL
SELECT digest, size, named.content_type, name, created_at, unclaimed, named.sequence,
    named.sum = row_sum('named', name, digest, named.sequence, unclaimed, named.content_type)
FROM named JOIN objects USING (digest)
ORDER BY 7
"""
_OBJECT = """
SELECT size, content_type, created_at,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects WHERE digest = ?
"""
_NEWEST = """
SELECT digest, sequence, sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects WHERE sequence < ? ORDER BY sequence DESC LIMIT ?
"""
_NAMES_OF = """
SELECT name, content_type, sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named WHERE digest = ? ORDER BY sequence DESC
"""
_LINKS_OF = """
SELECT provenance, sum = row_sum('links', run_id, node, port, digest, provenance)
FROM links WHERE digest = ?
"""
_NAMED = """
SELECT digest, sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named WHERE name = ? ORDER BY sequence DESC
"""
_LINKS = """
SELECT digest, provenance, sum = row_sum('links', run_id, node, port, digest, provenance)
FROM links
"""
_RATINGS = """
SELECT digest, rating, sum = row_sum('ratings', digest, rater, rating) FROM ratings
"""
_RATINGS_OF = """
SELECT rating, sum = row_sum('ratings', digest, rater, rating) FROM ratings WHERE digest = ? ORDER BY rater
"""
_COUNT = f"SELECT {' + '.join(f'(SELECT count(*) FROM {table})' for table in _TABLES)}"  # noqa: S608  # constants


def _with_types(connection: sqlite3.Connection) -> None:
    """Give each name of the version before the type of its body; the log, if there is one, knows better."""
    run_script(connection, _NAMED_TABLE)
    connection.execute(_OF_NAMES)
    connection.execute("DROP TABLE names")
    _with_ratings(connection)


def _with_ratings(connection: sqlite3.Connection) -> None:
    """Add the ratings; the log, which has them if anybody rated, is read again."""
    run_script(connection, _RATINGS_TABLE)
    connection.execute("DELETE FROM position")


_FORMER = MappingProxyType({0x53594901: None, 0x53594902: _with_types, 0x53594903: _with_ratings})
"""Tables without checksums, without the types of names, and without ratings."""

_encode = msgspec.msgpack.Encoder().encode
_provenance = msgspec.msgpack.Decoder(Provenance)
_rating = msgspec.msgpack.Decoder(Rating)


def _require(sound: object) -> None:
    """Raises DatabaseBroken unless the comparison of a checksum gave 1; it is null where there is none."""
    if sound != 1:
        raise DatabaseBroken("a row does not match its checksum")


class Position(NamedTuple):
    """The log that was read, the offset up to which it was read, and the damaged lines before that."""

    log: str
    offset: int
    damaged: int


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
        close_with(self, self._connection)

    def position(self) -> Position:
        """Where the index stands now: other processes move it too."""
        query = "SELECT log, offset, damaged, sum = row_sum('position', log, offset, damaged) FROM position"
        found = self._sound(tuple[str, int, int, int | None], query)
        return Position(*found[0][:-1]) if found else Position("", 0, 0)

    def apply(self, records: Iterable[tuple[Record, int]], position: Position) -> None:
        """Take in records with their places in the log; afterwards the index stands at `position`."""
        with database_errors(f"write {self._path}"), transaction(self._connection):
            for record, sequence in records:
                self._take(record, sequence)
            self._connection.execute("DELETE FROM position")
            told = row_sum("position", *position)
            self._connection.execute("INSERT INTO position VALUES (?, ?, ?, ?)", (*position, told))

    def reset(self, log: str, damaged: int = 0) -> None:
        """Forget everything; the log `log` is to be read from its start, `damaged` before that."""
        with database_errors(f"write {self._path}"):
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # constants
        self.apply((), Position(log, 0, damaged))

    def _take(self, record: Record, sequence: int) -> None:
        execute = self._connection.execute
        match record:
            case Put():
                execute(_PUT, (record.digest, record.size, record.content_type, record.at, sequence))
                if record.name is not None:
                    row = (record.name, record.digest, sequence, record.unclaimed, record.content_type)
                    execute(_NAME, row)
            case Linked():
                made = record.provenance
                execute(_LINK, (made.run_id, made.node, made.port, record.digest, _encode(made)))
                if record.claims and record.name is not None:
                    execute(_CLAIM, (record.claims, record.claims, record.name, record.digest))
            case Unlinked():
                execute("DELETE FROM links WHERE run_id = ?", (record.run_id,))
            case Rated():
                rater = record.rating.by
                if record.rating.score is None:
                    execute("DELETE FROM ratings WHERE digest = ? AND rater = ?", (record.digest, rater))
                else:
                    execute(_RATE, (record.digest, rater, _encode(record.rating)))
            case Gone():
                for table in _TABLES:
                    execute(f"DELETE FROM {table} WHERE digest = ?", (record.digest,))  # noqa: S608
            case _:
                pass  # the log's first line: its id is in the position

    # -- questions

    def record(self, digest: Digest, name: str | None = None) -> ArtifactRecord | None:
        """All that is known of one body. Its type is that under which it was put as `name`.

        Without one, that of its newest name, or of the last put of a body that has none.
        """
        found = self._sound(tuple[int, str, float, int | None], _OBJECT, digest)
        if not found:
            return None
        names = self._sound(tuple[str, str, int | None], _NAMES_OF, digest)
        links = self._sound(tuple[bytes, int | None], _LINKS_OF, digest)
        rated = self._sound(tuple[bytes, int | None], _RATINGS_OF, digest)
        with database_errors(f"read {self._path}"):
            provenance = [_provenance.decode(link) for link, _ in links]
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
        )

    def named(self, name: str) -> list[Digest]:
        """Bodies put under `name`, the newest first."""
        return [Digest(digest) for digest, _ in self._sound(tuple[str, int | None], _NAMED, name)]

    def newest(self, limit: int, before: int = INTEGER_MAX) -> list[tuple[Digest, int]]:
        """Up to `limit` bodies with their sequence, the newest first, older than sequence `before`."""
        rows = self._sound(tuple[str, int, int | None], _NEWEST, before, limit)
        return [(Digest(digest), sequence) for digest, sequence, _ in rows]

    def knows(self, digest: Digest) -> bool:
        return bool(self._rows(tuple[int], "SELECT 1 FROM objects WHERE digest = ?", digest))

    def kept(self, digest: Digest) -> bool:
        """Return whether a run refers to the artifact, or it was given a name outside of any run."""
        return self._rows(tuple[int], _KEPT, digest, digest) == [(1,)]

    def keys(self, query: str) -> set[tuple[str | int, ...]]:
        """The rows of a query, to be compared with those of another index."""
        with database_errors(f"read {self._path}"):
            return set(self._connection.execute(query))

    def count(self) -> int:
        """Return how many records `dump` yields."""
        return self._rows(tuple[int], _COUNT)[0][0]

    def dump(self) -> Iterator[Record]:
        """Yield the records of a log that says the same as the index."""
        with database_errors(f"read {self._path}"):
            for row in self._connection.execute(_PUTS):
                digest, size, content_type, name, at, unclaimed, _, sound = row
                _require(sound)
                yield Put(digest, size, content_type, name, at, unclaimed)
            for digest, provenance, sound in self._connection.execute(_LINKS):
                _require(sound)
                yield Linked(digest, _provenance.decode(provenance))
            for digest, rating, sound in self._connection.execute(_RATINGS):
                _require(sound)
                yield Rated(digest, _rating.decode(rating))

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

    def _sound(self, kind: type[S], query: str, *arguments: str | int) -> list[S]:
        """Rows whose last column says whether they match their checksums. Raises DatabaseBroken."""
        found = self._rows(kind, query, *arguments)
        for row in found:
            _require(row[-1])
        return found

    def _rows(self, kind: type[T], query: str, *arguments: str | int) -> list[T]:
        with database_errors(f"read {self._path}"):
            rows = self._connection.execute(query, arguments).fetchall()
            return [msgspec.convert(row, kind) for row in rows]
