"""The cache of results: what an operator gave for the same code, configuration and inputs.

A cache may forget, so nothing here is durable, and nothing that goes wrong with the file
reaches a run: it is logged, and results are computed again.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path

import msgspec

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.content import FileState, content_digest
from symphony.pit.artifacts.results import (
    BYTES_MAX,
    CacheEntry,
    CacheSize,
    Recent,
    all_held,
    entry_of,
    row_of,
)
from symphony.pit.artifacts.write_behind import Write, WriteBehind
from symphony.ports.values import ArtifactRef, StoredValue

logger = logging.getLogger(__name__)

_RECENT_MAX = 1_000
_RECENT_BYTES_MAX = 16 << 20
_CONTENTS_MAX = 200_000
_APPLICATION = 0x53594302
_FORMER = frozenset({0x53594301})
"""Of the tables without checksums."""
SCHEMA = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, used INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER
);
CREATE INDEX entries_oldest ON entries (used, size);
CREATE TABLE operators (operator TEXT PRIMARY KEY, sum INTEGER) WITHOUT ROWID;
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL, uses INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TRIGGER entry_added AFTER INSERT ON entries
BEGIN UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END;
CREATE TRIGGER entry_changed AFTER UPDATE OF size ON entries
BEGIN UPDATE totals SET bytes = bytes + new.size - old.size; END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries
BEGIN UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END;
CREATE TABLE contents (id INTEGER PRIMARY KEY, state TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, sum INTEGER);
"""
_TOGETHER = 32
"""Rows of one statement: SQLite lets other threads go first at each, not at each row."""


@cache
def _put(rows: int) -> str:
    """Puts so many entries, the last of those with one key."""
    return f"""
INSERT INTO entries (key, size, used, body, sum)
SELECT column1, column2, (SELECT uses FROM totals), column3, column4
FROM (VALUES {", ".join(["(?, ?, ?, ?)"] * rows)}) WHERE true ON CONFLICT (key)
DO UPDATE SET size = excluded.size, used = excluded.used, body = excluded.body, sum = excluded.sum
"""  # noqa: S608  (question marks alone)


ENTRY = "SELECT body, sum FROM entries WHERE key = ?"
_ENTRIES = """
SELECT json_group_array(json_array(key, hex(body), sum, used)), (SELECT uses FROM totals),
(SELECT bytes FROM totals) FROM entries WHERE key IN (SELECT value FROM json_each(?))
"""
"""In one row, for SQLite lets other threads go first at each."""
_USES_SPARED = 1_000
"""What was used so many commits ago is not marked again, as long as there is much room."""
_decode_found = msgspec.json.Decoder(list[tuple[str, str, int | None, int]]).decode
CONTENT = "SELECT digest, sum FROM contents WHERE state = ?"
_USE = """
UPDATE entries SET used = (SELECT uses FROM totals) WHERE key IN (SELECT value FROM json_each(?))
"""
_DROP = "DELETE FROM entries WHERE key IN (SELECT value FROM json_each(?))"
_OPERATOR = "INSERT OR IGNORE INTO operators VALUES (?, ?)"
_OLDEST = "DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY used, key LIMIT ?)"


class ResultCache:
    """`Cache` in a SQLite file of at most about `bytes_max` bytes of results.

    The results used longest ago go first. `holds` tells whether the store still has a body; by
    default all are taken to be there. Several processes may share the file. A loss of the newest
    results in a crash is possible; a broken file is set aside and begun anew.
    """

    def __init__(
        self, path: Path, *, bytes_max: int = BYTES_MAX, holds: Callable[[ArtifactRef], bool] = all_held
    ) -> None:
        self._bytes_max, self._holds = bytes_max, holds
        self._file = WriteBehind(
            path, application=_APPLICATION, schema=SCHEMA, former=_FORMER, tidy=self._tidy
        )
        self._recent = Recent(min(_RECENT_BYTES_MAX, bytes_max), _RECENT_MAX)
        self._operators: set[str] | None = None
        self._mutex = threading.Lock()
        self._memo = FileMemo(self._file)

    def content(self, path: Path) -> str | None:
        """`content.content_digest` of a file, remembered in the same file."""
        return content_digest(path, self._memo)

    def has_any(self, operator: str) -> bool:
        """Might there be a result of this operator? Looks into memory after the first call."""
        operators = self._operators
        if operators is None:
            found = self._file.read(tuple[str], "SELECT operator FROM operators")
            with self._mutex:
                operators = self._operators = {name for (name,) in found} | (self._operators or set())
        return operator in operators

    def get(self, key: str) -> CacheEntry | None:
        """The result, or None; also None if a body that it refers to is gone."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """What `get` gives for each of `keys` that has a result: one query for all of them."""
        with self._mutex:
            bodies = {key: body for key in keys if (body := self._recent.get(key)) is not None}
        unseen = [key for key in keys if key not in bodies]
        gone: list[str] = []
        if unseen:
            bodies |= self._read(unseen, gone)
        entries: dict[str, CacheEntry] = {}
        for key, body in bodies.items():
            entry = entry_of(body, self._holds)
            if entry is None:
                gone.append(key)
            else:
                entries[key] = entry
        if gone:
            with self._mutex:
                for key in gone:
                    self._recent.drop(key)
            self._write_keys(_DROP, gone)
        return entries

    def _read(self, keys: Sequence[str], damaged: list[str]) -> dict[str, bytes]:
        """Entries of the file, marked as used; the keys of those that are damaged go to `damaged`."""
        bodies: dict[str, bytes] = {}
        unmarked = list[str]()
        for found, uses, size in self._file.read(tuple[str, int, int], _ENTRIES, json.dumps(keys)):
            try:
                rows = _decode_found(found)
            except msgspec.DecodeError:
                rows = [(key, "", None, 0) for key in keys]
            spared = uses - _USES_SPARED if size < self._bytes_max // 2 else uses
            for key, digits, told, used in rows:
                body = bytes.fromhex(digits)
                if row_sum("entries", key, body) != told:
                    damaged.append(key)
                    continue
                bodies[key] = body
                if used < spared:
                    unmarked.append(key)
        if damaged:
            logger.warning("%d cached results were damaged and are computed again", len(damaged))
        if unmarked:
            self._write_keys(_USE, unmarked)
        return bodies

    def _write_keys(self, statement: str, keys: list[str]) -> None:
        self._file.write(statement, (json.dumps(keys),), 100 * len(keys))

    def put(
        self,
        key: str,
        *,
        operator: str,
        outputs: Mapping[str, StoredValue],
        run_id: str,
        node: str,
        at: float,
    ) -> None:
        """Keep a result. It is found at once, and in the file a little later.

        Raises SerializationFailed for what is no value.
        """
        entry = CacheEntry(operator=operator, outputs=outputs, run_id=run_id, node=node, created_at=at)
        self.put_many([(key, entry)])

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys, as `put` does; they go to the file in one transaction."""
        rows = [(key, entry.operator, row_of(entry)) for key, entry in entries]
        kept = [row for row in rows if len(row[2]) <= self._bytes_max // 4]
        new = {operator for _, operator, _ in kept if not self.has_any(operator)}
        with self._mutex:
            for key, _, body in kept:
                self._recent.put(key, body)
            if self._operators is not None:
                self._operators |= new
        writes = [Write(_OPERATOR, (name, row_sum("operators", name)), 100) for name in sorted(new)]
        for at in range(0, len(kept), _TOGETHER):
            part = kept[at : at + _TOGETHER]
            fields = [(key, len(body), body, row_sum("entries", key, body)) for key, _, body in part]
            size = sum(len(body) + 200 for _, _, body in part)
            writes.append(Write(_put(len(part)), tuple(chain.from_iterable(fields)), size))
        self._file.write_all(writes)

    def clear(self) -> int:
        """Forget all results and give back their room; how many there were. Digests of files stay.

        Raises StorageFull, IoFailed.
        """
        with self._mutex:
            self._recent.clear()
            self._operators = set()
        return self._file.change(_cleared)

    def size(self) -> CacheSize:
        """Of the file, with all that has been put."""
        self._file.flush()
        self._file.check()
        found = self._file.read(CacheSize, "SELECT count(*), coalesce(sum(length(body)), 0) FROM entries")
        return found[0] if found else CacheSize(0, 0)

    def close(self) -> None:
        """Write what is still to be written, and close the file. Results put later are forgotten."""
        self._file.close()

    def _tidy(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE totals SET uses = uses + 1")
        entries, size = connection.execute("SELECT entries, bytes FROM totals").fetchone()
        excess = size - self._bytes_max
        while excess > 0 and entries:
            # A tenth below the limit, so that the next batch finds room.
            share = (excess + self._bytes_max / 10) / size
            connection.execute(_OLDEST, (max(1, int(entries * share)),))
            entries, size = connection.execute("SELECT entries, bytes FROM totals").fetchone()
            excess = size - self._bytes_max
        connection.execute(
            "DELETE FROM contents WHERE id <= (SELECT max(id) FROM contents) - ?", (_CONTENTS_MAX,)
        )


def _cleared(connection: sqlite3.Connection) -> int:
    connection.execute("BEGIN IMMEDIATE")
    (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    connection.execute("DELETE FROM entries")
    connection.execute("DELETE FROM operators")
    connection.execute("COMMIT")
    with suppress(sqlite3.OperationalError):  # somebody reads just now, or no room: next time
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return int(count)


class FileMemo:
    """`ContentMemo` in the cache's file; what has not reached it yet is in memory."""

    def __init__(self, file: WriteBehind) -> None:
        self._file = file
        self._digests: dict[FileState, str] = {}

    def recall(self, state: FileState) -> str | None:
        known = self._digests.get(state)
        if known is None:
            text = _state_text(state)
            found = self._file.read(tuple[str, int | None], CONTENT, text)
            known = sound_content(text, found[0]) if found else None
        return known

    def remember(self, state: FileState, digest: str) -> None:
        if len(self._digests) >= _CONTENTS_MAX:
            self._digests.clear()
        self._digests[state] = digest
        row = (_state_text(state), digest)
        query = "INSERT OR REPLACE INTO contents (state, digest, sum) VALUES (?, ?, ?)"
        self._file.write(query, (*row, row_sum("contents", *row)), 200)


def sound_content(state: str, row: tuple[str, int | None]) -> str | None:
    """The digest in a row of `CONTENT`, if that is what was written."""
    digest, told = row
    return digest if row_sum("contents", state, digest) == told else None


def _state_text(state: FileState) -> str:
    return ":".join(map(str, state))
