"""The index of a store: its records as tables, to be searched. Made of the log, remade at will."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from symphony.pit.artifacts.database import close_with, connect, database_errors
from symphony.pit.artifacts.records import Gone, Linked, Put, Record, Unlinked
from symphony.ports.artifacts import ArtifactRecord, Provenance
from symphony.ports.values import Digest

T = TypeVar("T")

_APPLICATION = 0x53594901
_SCHEMA = """
CREATE TABLE position (log TEXT NOT NULL, offset INTEGER NOT NULL, damaged INTEGER NOT NULL);
CREATE TABLE objects (
    digest TEXT PRIMARY KEY, size INTEGER NOT NULL, content_type TEXT NOT NULL, created_at REAL NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX objects_newest ON objects (sequence);
CREATE TABLE names (
    name TEXT NOT NULL, digest TEXT NOT NULL, sequence INTEGER NOT NULL, unclaimed INTEGER NOT NULL,
    PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE INDEX names_of ON names (digest);
CREATE TABLE links (
    run_id TEXT NOT NULL, node TEXT NOT NULL, port TEXT NOT NULL, digest TEXT NOT NULL,
    provenance BLOB NOT NULL,
    PRIMARY KEY (run_id, node, port, digest)
) WITHOUT ROWID;
CREATE INDEX links_of ON links (digest);
"""
_PUT = """
INSERT INTO objects VALUES (?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET content_type = excluded.content_type, sequence = excluded.sequence
"""
_NAME = """
INSERT INTO names VALUES (?, ?, ?, ?) ON CONFLICT (name, digest)
DO UPDATE SET sequence = excluded.sequence, unclaimed = unclaimed + excluded.unclaimed
"""
_CLAIM = "UPDATE names SET unclaimed = max(unclaimed - ?, 0) WHERE name = ? AND digest = ?"
_KEPT = """
SELECT EXISTS (SELECT 1 FROM links WHERE digest = ?1)
    OR EXISTS (SELECT 1 FROM names WHERE digest = ?1 AND unclaimed > 0)
"""
_PUTS = """
SELECT digest, size, content_type, NULL, created_at, 1, sequence FROM objects
UNION ALL
SELECT digest, size, content_type, name, created_at, unclaimed, names.sequence
FROM names JOIN objects USING (digest)
ORDER BY 7
"""
_OBJECT = "SELECT size, content_type, created_at FROM objects WHERE digest = ?"
_NEWEST = "SELECT digest, sequence FROM objects WHERE sequence < ? ORDER BY sequence DESC LIMIT ?"
_COUNT = """
SELECT (SELECT count(*) FROM objects) + (SELECT count(*) FROM names) + (SELECT count(*) FROM links)
"""

_encode = msgspec.msgpack.Encoder().encode
_provenance = msgspec.msgpack.Decoder(Provenance)


class Position(NamedTuple):
    """How far which log has been read, and how many damaged lines it had in between."""

    log: str
    offset: int
    damaged: int


class Index:
    """One connection. Not thread-safe: the caller holds a lock.

    Every method raises `database.Broken` if the file turns out to be damaged; StorageFull, IoFailed.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the index at `path`; None: in memory, empty."""
        self._path = path
        self._connection = connect(path, application=_APPLICATION, schema=_SCHEMA)
        close_with(self, self._connection)

    def position(self) -> Position:
        """Where the index stands now: other processes move it too."""
        found = self._rows(Position, "SELECT log, offset, damaged FROM position")
        return found[0] if found else Position("", 0, 0)

    def apply(self, records: Iterable[tuple[Record, int]], position: Position) -> None:
        """Take in records with their places in the log; afterwards the index stands at `position`."""
        with database_errors(f"write {self._path}"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for record, sequence in records:
                    self._take(record, sequence)
                self._connection.execute("DELETE FROM position")
                self._connection.execute("INSERT INTO position VALUES (?, ?, ?)", position)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def reset(self, log: str) -> None:
        """Forget everything; the log `log` is to be read from its start."""
        with database_errors(f"write {self._path}"):
            for table in ("objects", "names", "links"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # three constants
        self.apply((), Position(log, 0, 0))

    def _take(self, record: Record, sequence: int) -> None:
        execute = self._connection.execute
        match record:
            case Put():
                execute(_PUT, (record.digest, record.size, record.content_type, record.at, sequence))
                if record.name is not None:
                    execute(_NAME, (record.name, record.digest, sequence, record.unclaimed))
            case Linked():
                by = record.provenance
                row = (by.run_id, by.node, by.port, record.digest, _encode(by))
                execute("INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?)", row)
                if record.claims and record.name is not None:
                    execute(_CLAIM, (record.claims, record.name, record.digest))
            case Unlinked():
                execute("DELETE FROM links WHERE run_id = ?", (record.run_id,))
            case Gone():
                for table in ("objects", "names", "links"):
                    execute(f"DELETE FROM {table} WHERE digest = ?", (record.digest,))  # noqa: S608
            case _:
                pass  # the log's first line: its id is in the position

    # -- questions

    def record(self, digest: Digest) -> ArtifactRecord | None:
        """All that is known of one body."""
        found = self._rows(tuple[int, str, float], _OBJECT, digest)
        if not found:
            return None
        names = self._rows(
            tuple[str], "SELECT name FROM names WHERE digest = ? ORDER BY sequence DESC", digest
        )
        links = self._rows(tuple[bytes], "SELECT provenance FROM links WHERE digest = ?", digest)
        with database_errors(f"read {self._path}"):
            provenance = [_provenance.decode(link) for (link,) in links]
        size, content_type, created_at = found[0]
        return ArtifactRecord(
            digest=digest,
            size=size,
            content_type=content_type,
            names=tuple(name for (name,) in names),
            created_at=created_at,
            provenance=tuple(sorted(provenance, key=lambda p: (p.created_at, p.run_id, p.node, p.port))),
        )

    def named(self, name: str) -> list[Digest]:
        """Bodies put under `name`, the newest first."""
        query = "SELECT digest FROM names WHERE name = ? ORDER BY sequence DESC"
        return [Digest(digest) for (digest,) in self._rows(tuple[str], query, name)]

    def newest(self, limit: int, before: int = 2**63 - 1) -> list[tuple[Digest, int]]:
        """Up to `limit` bodies with their sequence, the newest first, older than sequence `before`."""
        rows = self._rows(tuple[str, int], _NEWEST, before, limit)
        return [(Digest(digest), sequence) for digest, sequence in rows]

    def knows(self, digest: Digest) -> bool:
        return bool(self._rows(tuple[int], "SELECT 1 FROM objects WHERE digest = ?", digest))

    def kept(self, digest: Digest) -> bool:
        """Does a run refer to it, or has somebody outside of any run named it?"""
        return self._rows(tuple[int], _KEPT, digest) == [(1,)]

    def count(self) -> int:
        """How many records a log would need that says the same as the index."""
        return self._rows(tuple[int], _COUNT)[0][0]

    def dump(self) -> Iterator[Record]:
        """The records of such a log."""
        with database_errors(f"read {self._path}"):
            for row in self._connection.execute(_PUTS):
                digest, size, content_type, name, at, unclaimed, _ = row
                yield Put(digest, size, content_type, name, at, unclaimed)
            for digest, provenance in self._connection.execute("SELECT digest, provenance FROM links"):
                yield Linked(digest, _provenance.decode(provenance))

    def close(self) -> None:
        with database_errors(f"close {self._path}"):
            self._connection.close()

    def _rows(self, kind: type[T], query: str, *arguments: str | int) -> list[T]:
        with database_errors(f"read {self._path}"):
            rows = self._connection.execute(query, arguments).fetchall()
            return [msgspec.convert(row, kind) for row in rows]
