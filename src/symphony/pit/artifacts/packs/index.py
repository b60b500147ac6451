"""The index of all packs: where each item is. Made of the packs, and made again of them at will.

Every row has a checksum: a damaged one counts as absent, never as permission to delete.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    close_with,
    connect,
    database_errors,
    transaction,
)

_APPLICATION = 0x53595001
_SCHEMA = """
CREATE TABLE packs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, scanned INTEGER NOT NULL
);
CREATE TABLE items (
    digest BLOB NOT NULL, kind INTEGER NOT NULL, pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    number INTEGER NOT NULL, stored INTEGER NOT NULL, size INTEGER NOT NULL, refs INTEGER NOT NULL,
    touched REAL NOT NULL, sum INTEGER NOT NULL,
    PRIMARY KEY (digest, kind)
) WITHOUT ROWID;
CREATE INDEX unused ON items (digest) WHERE kind = 2 AND refs = 0;
"""
ABSENT = 0
"""The pack of a chunk that manifests refer to and that is nowhere."""

_PUT = """
INSERT INTO items SELECT *, row_sum('items', a, b, c, d, e, f, g, h)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, ? AS g, ? AS h, ?) WHERE true
ON CONFLICT (digest, kind) DO UPDATE SET pack = excluded.pack, offset = excluded.offset,
number = excluded.number, stored = excluded.stored, size = excluded.size,
touched = max(touched, excluded.touched),
refs = iif(sum = row_sum('items', digest, kind, pack, offset, number, stored, size, refs), refs, 1 << 40),
sum = row_sum(
    'items', digest, kind, excluded.pack, excluded.offset, excluded.number, excluded.stored, excluded.size,
    iif(sum = row_sum('items', digest, kind, pack, offset, number, stored, size, refs), refs, 1 << 40)
)
"""
"""The references of a damaged row are not known: there may be any number."""
_REFER = """
INSERT INTO items SELECT a, 2, 0, 0, 0, 0, 0, b, 0.0, row_sum('items', a, 2, 0, 0, 0, 0, 0, b)
FROM (SELECT ? AS a, ? AS b) WHERE true
ON CONFLICT (digest, kind) DO UPDATE SET refs = refs + excluded.refs, sum = iif(
    sum = row_sum('items', digest, kind, pack, offset, number, stored, size, refs),
    row_sum('items', digest, kind, pack, offset, number, stored, size, refs + excluded.refs), 0
)
"""
_MOVE = """
UPDATE items SET pack = :pack, offset = :offset, number = :number, stored = :stored,
sum = row_sum('items', digest, kind, :pack, :offset, :number, :stored, size, refs)
WHERE digest = :digest AND kind = :kind AND pack = :old_pack AND offset = :old_offset
"""
_LOSE = """
UPDATE items SET pack = 0, offset = 0, number = 0, stored = 0,
sum = row_sum('items', digest, kind, 0, 0, 0, 0, size, refs)
WHERE digest = ? AND kind = ? AND kind = 2 AND refs > 0
"""
_LOSE_PACK = """
UPDATE items SET pack = 0, offset = 0, number = 0, stored = 0,
sum = row_sum('items', digest, kind, 0, 0, 0, 0, size, refs)
WHERE pack = ? AND kind = 2 AND refs > 0
"""
_FIND = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched, sum
FROM items WHERE digest = ? AND kind = ?
"""
_BODY = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched, sum
FROM items WHERE digest = ? AND kind < 2
"""
_BODIES = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched
FROM items WHERE digest > ? AND kind < 2 ORDER BY digest LIMIT ?
"""
_BODIES_BY_PLACE = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched
FROM items WHERE kind < 2 AND (pack, offset, number) > (?, ?, ?) ORDER BY pack, offset, number LIMIT ?
"""
_UNUSED = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched
FROM items WHERE kind = 2 AND refs = 0
AND sum = row_sum('items', digest, kind, pack, offset, number, stored, size, refs) LIMIT ?
"""
_ALL = """
SELECT digest, kind, pack, offset, number, stored, size, refs, touched,
    sum = row_sum('items', digest, kind, pack, offset, number, stored, size, refs)
FROM items ORDER BY digest
"""


class Row(NamedTuple):
    """Where one item is: the frame at `offset` of a pack, and its `number` there.

    `stored`: its share of the bytes of the frame. `refs`: how often manifests refer to a chunk. `touched`:
    when a body was last put, in seconds since the epoch.
    """

    digest: bytes
    kind: int
    pack: int
    offset: int
    number: int
    stored: int
    size: int
    refs: int = 0
    touched: float = 0.0

    @property
    def place(self) -> tuple[int, int, int]:
        """The pack, the frame in it and the number in that."""
        return self.pack, self.offset, self.number


class PackIndex:
    """The tables. Not thread-safe. None: in memory. Raises DatabaseBroken, StorageFull, IoFailed."""

    def __init__(self, path: Path | None) -> None:
        self._db = connect(path, application=_APPLICATION, schema=_SCHEMA)
        close_with(self, self._db)

    @classmethod
    def copied(cls, path: Path) -> "PackIndex":
        """A copy in memory of the index in a file, which is not changed. Raises DatabaseBroken, IoFailed."""
        ahead = path.with_name(f"{path.name}-wal")
        quiet = "" if ahead.exists() and ahead.stat().st_size else "&immutable=1"  # makes no files
        copy = cls(None)
        with database_errors(f"read {path}"):
            uri = f"{path.absolute().as_uri()}?mode=ro{quiet}"
            with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
                if db.execute("PRAGMA application_id").fetchone() != (_APPLICATION,):
                    raise DatabaseBroken("it belongs to another application or version")
                db.backup(copy._db)
        return copy

    def close(self) -> None:
        with database_errors("close the index of the packs"):
            self._db.close()

    @contextmanager
    def changes(self, *, durable: bool = False) -> Iterator[None]:
        """All changes of the block, or none. With `durable` they survive a power cut."""
        with database_errors("write the index of the packs"):
            if durable:
                self._db.execute("PRAGMA synchronous=FULL")
            try:
                with transaction(self._db):
                    yield
            finally:
                if durable:
                    self._db.execute("PRAGMA synchronous=NORMAL")

    # -- packs

    def packs(self) -> dict[str, tuple[int, int]]:
        """By name, the number of each pack and the bytes of it that are indexed."""
        with database_errors("read the index of the packs"):
            query = "SELECT name, id, scanned FROM packs"
            return {name: (number, scanned) for name, number, scanned in self._db.execute(query)}

    def pack_name(self, number: int) -> str | None:
        with database_errors("read the index of the packs"):
            found = self._db.execute("SELECT name FROM packs WHERE id = ?", (number,)).fetchone()
        return None if found is None else str(found[0])

    def with_room(self, size: int, limit: int) -> list[str]:
        """The newest packs that are shorter than `size`."""
        with database_errors("read the index of the packs"):
            query = "SELECT name FROM packs WHERE scanned < ? ORDER BY id DESC LIMIT ?"
            return [name for (name,) in self._db.execute(query, (size, limit))]

    def add_pack(self, name: str, scanned: int) -> int:
        """The number of a pack, which is new or was known to the index already."""
        self._db.execute("INSERT OR IGNORE INTO packs (name, scanned) VALUES (?, ?)", (name, scanned))
        (number,) = self._db.execute("SELECT id FROM packs WHERE name = ?", (name,)).fetchone()
        return int(number)

    def scanned(self, pack: int, end: int) -> None:
        """Note how much of a pack is indexed."""
        self._db.execute("UPDATE packs SET scanned = ? WHERE id = ?", (end, pack))

    def drop_pack(self, pack: int) -> None:
        """Forget a pack that is gone, and what was in it."""
        self._db.execute(_LOSE_PACK, (pack,))
        self._db.execute("DELETE FROM items WHERE pack = ?", (pack,))
        self._db.execute("DELETE FROM packs WHERE id = ?", (pack,))

    def forget_pack(self, pack: int) -> None:
        """Forget a pack that nothing is found in."""
        self._db.execute("DELETE FROM packs WHERE id = ?", (pack,))

    # -- items

    def find(self, digest: bytes, kind: int) -> Row | None:
        """Where an item is. Raises DatabaseBroken if its row is damaged."""
        return self.find_all((digest,), kind)[0]

    def find_all(self, digests: Iterable[bytes], kind: int) -> list[Row | None]:
        """Where items of one kind are. Raises DatabaseBroken if a row is damaged."""
        execute, number = self._db.execute, int(kind)
        with database_errors("read the index of the packs"):
            return [_sound(execute(_FIND, (digest, number)).fetchone()) for digest in digests]

    def body(self, digest: bytes) -> Row | None:
        """Where a body is, or its manifest. Raises DatabaseBroken if its row is damaged."""
        with database_errors("read the index of the packs"):
            return _sound(self._db.execute(_BODY, (digest,)).fetchone())

    def put(self, rows: Iterable[Row]) -> None:
        """Note where items are now. What refers to them, and a later touch, stays."""
        self._db.executemany(_PUT, rows)

    def move(self, moves: Iterable[tuple[Row, Row]]) -> None:
        """Note where items have gone to, if they are still where they were."""
        fields = ("pack", "offset", "number", "stored", "digest", "kind")
        self._db.executemany(
            _MOVE,
            (
                {name: getattr(new, name) for name in fields}
                | {"old_pack": old.pack, "old_offset": old.offset}
                for old, new in moves
            ),
        )

    def refer(self, chunks: Iterable[bytes], count: int) -> None:
        """Count a manifest's references to its chunks: 1 for one that came, -1 for one that went."""
        self._db.executemany(_REFER, ((digest, count) for digest in chunks))

    def remove(self, digest: bytes, kind: int) -> None:
        """Forget an item. A chunk that manifests refer to stays known, as one that is nowhere."""
        key = (digest, int(kind))
        self._db.execute(_LOSE, key)
        unused = "DELETE FROM items WHERE digest = ? AND kind = ? AND NOT (kind = 2 AND refs > 0)"
        self._db.execute(unused, key)

    def touch(self, digest: bytes, at: float) -> bool:
        """Note that a body was put just now; False if it is not there."""
        with database_errors("write the index of the packs"):
            query = "UPDATE items SET touched = ? WHERE digest = ? AND kind < 2"
            return self._db.execute(query, (at, digest)).rowcount > 0

    def bodies(self, after: bytes, limit: int) -> list[Row]:
        """The next bodies in order of their digests."""
        with database_errors("read the index of the packs"):
            return [Row(*found) for found in self._db.execute(_BODIES, (after, limit))]

    def bodies_by_place(self, after: tuple[int, int, int], limit: int) -> list[Row]:
        """The next bodies in order of their places. Looks at all items."""
        with database_errors("read the index of the packs"):
            return [Row(*found) for found in self._db.execute(_BODIES_BY_PLACE, (*after, limit))]

    def starting_with(self, low: bytes, high: bytes) -> list[bytes]:
        """The digests of bodies between two bounds, both included."""
        query = "SELECT DISTINCT digest FROM items WHERE digest BETWEEN ? AND ? AND kind < 2 ORDER BY digest"
        with database_errors("read the index of the packs"):
            return [digest for (digest,) in self._db.execute(query, (low, high))]

    def unused_chunks(self, limit: int) -> list[Row]:
        """Chunks that no manifest refers to, by rows that are sound."""
        with database_errors("read the index of the packs"):
            return [Row(*found) for found in self._db.execute(_UNUSED, (limit,))]

    def holds(self, pack: int) -> bool:
        """Return whether anything is found in a pack. Looks at all items."""
        with database_errors("read the index of the packs"):
            return (
                self._db.execute("SELECT 1 FROM items WHERE pack = ? LIMIT 1", (pack,)).fetchone() is not None
            )

    def live_bytes(self) -> dict[int, int]:
        """By number of the pack, the bytes that are needed."""
        with database_errors("read the index of the packs"):
            return dict(self._db.execute("SELECT pack, sum(stored) FROM items GROUP BY pack").fetchall())

    def all(self) -> Iterator[tuple[Row, bool]]:
        """Every row, and whether it is sound."""
        with database_errors("read the index of the packs"):
            for found in self._db.execute(_ALL):
                yield Row(*found[:-1]), bool(found[-1])


def _sound(found: tuple[int, ...] | None) -> Row | None:
    """The row with its checksum as one that is right, or None. Raises DatabaseBroken."""
    if found is None:
        return None
    row = Row(*found[:-1])  # type: ignore[arg-type]  # the digest comes first
    if row_sum("items", *row[:8]) != found[-1]:
        raise DatabaseBroken("a row of `items` does not match its checksum")
    return None if row.pack == ABSENT else row
