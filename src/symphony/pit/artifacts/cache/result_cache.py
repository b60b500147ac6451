"""The cache of results: what an operator gave for the same code, configuration and inputs.

A cache may forget, so nothing here is durable, and nothing that goes wrong with the file
reaches a run: it is logged, and results are computed again.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.base.database import run_script
from symphony.pit.artifacts.cache.blocks import BYTES_MAX as BLOCK_BYTES_MAX
from symphony.pit.artifacts.cache.blocks import (
    Recent,
    Rows,
    blocks_of,
    entry_of,
    former_rows,
    place_of,
    row_of,
    rows_in,
)
from symphony.pit.artifacts.cache.content import FileState, content_digest
from symphony.pit.artifacts.cache.results import BYTES_MAX, CacheEntry, CacheSize, all_held
from symphony.pit.artifacts.cache.retaining import retain
from symphony.pit.artifacts.cache.write_behind import Write, WriteBehind
from symphony.ports.values import ArtifactRef, StoredValue

logger = logging.getLogger(__name__)

_RECENT_MAX = 16_000
"""Half of it are more than gather before they are committed: what was put is found at once."""
_RECENT_BYTES_MAX = 16 << 20
_CONTENTS_MAX = 200_000
_APPLICATION = 0x53594303
_RESULTS = """
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, used INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER
);
CREATE INDEX blocks_oldest ON blocks (used);
CREATE TABLE places (place INTEGER PRIMARY KEY, block INTEGER NOT NULL);
CREATE TABLE totals (blocks INTEGER NOT NULL, bytes INTEGER NOT NULL, uses INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 0);
CREATE TRIGGER block_added AFTER INSERT ON blocks
BEGIN UPDATE totals SET blocks = blocks + 1, bytes = bytes + new.size; END;
CREATE TRIGGER block_removed AFTER DELETE ON blocks
BEGIN UPDATE totals SET blocks = blocks - 1, bytes = bytes - old.size; END;
"""
SCHEMA = f"""{_RESULTS}
CREATE TABLE operators (operator TEXT PRIMARY KEY, sum INTEGER) WITHOUT ROWID;
CREATE TABLE contents (id INTEGER PRIMARY KEY, state TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, sum INTEGER);
"""
_PUT = """
INSERT INTO blocks (used, size, body, sum) SELECT uses, length(body), body, sum
FROM totals, (SELECT ? AS body, ? AS sum)
"""
_PLACE = """
INSERT INTO places SELECT value, (SELECT max(id) FROM blocks) FROM json_each(?) WHERE true
ON CONFLICT (place) DO UPDATE SET block = excluded.block
"""
BLOCKS = """
SELECT body, sum, id, used, uses, bytes FROM blocks, totals
WHERE id IN (SELECT block FROM places WHERE place IN (SELECT value FROM json_each(?))) ORDER BY id
"""
"""Those that may hold the results with these places: a key's is `blocks.place_of`. The last one counts."""
_USES_SPARED = 1_000
"""What was used so many commits ago is not marked again, as long as there is much room."""
CONTENT = "SELECT digest, sum FROM contents WHERE state = ?"
_USE = """
UPDATE blocks SET used = (SELECT uses FROM totals) WHERE id IN (SELECT value FROM json_each(?))
"""
_DROP = "DELETE FROM places WHERE place IN (SELECT value FROM json_each(?))"
_OPERATOR = "INSERT OR IGNORE INTO operators VALUES (?, ?)"
_OLDEST = "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks ORDER BY used, id LIMIT ?)"
_NOWHERE = "DELETE FROM places WHERE block NOT IN (SELECT id FROM blocks)"
_SIZE = """
SELECT (SELECT count(*) FROM places WHERE block IN (SELECT id FROM blocks)),
(SELECT coalesce(sum(size), 0) FROM blocks)
"""
_encode_numbers = msgspec.json.Encoder().encode


class _FoundBlock(NamedTuple):
    """A row of `BLOCKS`."""

    body: bytes
    sum: int | None
    id: int
    used: int
    uses: int
    held: int


class ResultCache:
    """`Cache` in a SQLite file of at most about `bytes_max` bytes of results.

    The results used longest ago go first, with those that were put together with them. `holds` tells
    whether the store still has a body; by default all are taken to be there. Several processes may
    share the file. A loss of the newest results in a crash is possible; a broken file is set aside
    and replaced by an empty one.
    """

    def __init__(
        self, path: Path, *, bytes_max: int = BYTES_MAX, holds: Callable[[ArtifactRef], bool] = all_held
    ) -> None:
        self._bytes_max, self._holds = bytes_max, holds
        self._file = WriteBehind(
            path, application=_APPLICATION, schema=SCHEMA, former=_FORMER, tidy=self._tidy
        )
        self._recent = Recent(min(_RECENT_BYTES_MAX, bytes_max), _RECENT_MAX)
        self._block_bytes = min(BLOCK_BYTES_MAX, bytes_max // 8)
        self._last: tuple[_FoundBlock, Rows] = _FoundBlock(b"", 0, 0, 0, 0, 0), {}
        self._operators: set[str] | None = None
        self._mutex = threading.Lock()
        self._memo = FileMemo(self._file)

    def content(self, path: Path) -> str | None:
        """`content.content_digest` of a file, remembered in the same file."""
        return content_digest(path, self._memo)

    def has_any(self, operator: str) -> bool:
        """Return whether there may be a result of this operator. After the first call it reads no file."""
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
        """Return what `get` returns for each of `keys` that has a result, in one query."""
        with self._mutex:
            rows = self._recent.find(keys)
        unseen = keys if not rows else [key for key in keys if key not in rows]
        if unseen:
            rows |= self._read(unseen)
        entries: dict[str, CacheEntry] = {}
        for key, row in rows.items():
            entry = entry_of(row, self._holds)
            if entry is not None:
                entries[key] = entry
        if len(entries) < len(rows):
            self._drop([key for key in rows if key not in entries])
        return entries

    def _read(self, keys: Sequence[str]) -> Rows:
        """Results of the file, whose blocks are marked as used."""
        found, damaged, unmarked = Rows(), 0, list[int]()
        places = _numbers(map(place_of, keys))
        for block in self._file.read(_FoundBlock, BLOCKS, places):
            last = self._last
            rows = (
                last[1]
                if block.body == last[0].body and block.sum == last[0].sum
                else rows_in(block.body, block.sum)
            )
            if rows is None:
                damaged += 1
                continue
            self._last = block, rows  # a caller that looks for many looks for the others next
            held = {key: rows[key] for key in keys if key in rows}
            found |= held
            spared = block.uses - _USES_SPARED if block.held < self._bytes_max // 2 else block.uses
            if held and block.used < spared:
                unmarked.append(block.id)
        if damaged:
            logger.warning("%d blocks of cached results were damaged: these are computed again", damaged)
        if unmarked:
            self._write_numbers(_USE, unmarked)
        return found

    def _drop(self, keys: Sequence[str]) -> None:
        """Forget results."""
        with self._mutex:
            for key in keys:
                self._recent.drop(key)
        self._write_numbers(_DROP, list(map(place_of, keys)))

    def _write_numbers(self, statement: str, numbers: Sequence[int]) -> None:
        self._file.write(statement, (_numbers(numbers),), 20 * len(numbers))

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

        Raises SerializationFailed for something that is not a value.
        """
        entry = CacheEntry(operator=operator, outputs=outputs, run_id=run_id, node=node, created_at=at)
        self.put_many([(key, entry)])

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys, as `put` does; they go to the file in one transaction."""
        rows = [(key, row_of(entry)) for key, entry in entries]
        blocks = list(blocks_of(rows, self._block_bytes, self._bytes_max // 4))
        new = {name for block in blocks for name in block.operators if not self.has_any(name)}
        with self._mutex:
            for block in blocks:
                self._recent.put(block.rows, len(block.body))
            if self._operators is not None:
                self._operators |= new
        writes = [Write(_OPERATOR, (name, row_sum("operators", name)), 100) for name in sorted(new)]
        for block in blocks:
            writes.append(Write(_PUT, (block.body, block.sum), len(block.body) + 100))
            writes.append(Write(_PLACE, (_numbers(block.places),), 20 * len(block.places)))
        self._file.write_all(writes)

    def clear(self) -> int:
        """Forget all results and give back their room; how many there were. Digests of files stay.

        Raises StorageFull, IoFailed.
        """
        with self._mutex:
            self._recent.clear()
            self._operators = set()
        return self._file.change(_cleared)

    def retain(self, *, count_max: int | None = None, since_s: float | None = None) -> int:
        """Forget results made before `since_s`, and those used longest ago beyond `count_max`; how many.

        Raises StorageFull, IoFailed.
        """
        with self._mutex:
            self._recent.clear()
        return self._file.change(lambda connection: retain(connection, count_max=count_max, since_s=since_s))

    def size(self) -> CacheSize:
        """Return the size of the file, with everything that was put."""
        self._file.flush()
        self._file.check()
        found = self._file.read(CacheSize, _SIZE)
        return found[0] if found else CacheSize(0, 0)

    def close(self) -> None:
        """Write what is still to be written, and close the file. Results put later are forgotten."""
        self._file.close()

    def _tidy(self, connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE totals SET uses = uses + 1")
        blocks, size = connection.execute("SELECT blocks, bytes FROM totals").fetchone()
        excess = size - self._bytes_max
        while excess > 0 and blocks:
            # A tenth below the limit, so that the next batch finds room.
            share = (excess + self._bytes_max / 10) / size
            connection.execute(_OLDEST, (max(1, int(blocks * share)),))
            connection.execute(_NOWHERE)
            blocks, size = connection.execute("SELECT blocks, bytes FROM totals").fetchone()
            excess = size - self._bytes_max
        connection.execute(
            "DELETE FROM contents WHERE id <= (SELECT max(id) FROM contents) - ?", (_CONTENTS_MAX,)
        )


def _numbers(numbers: Iterable[int]) -> str:
    """Numbers as an argument of `json_each`."""
    return _encode_numbers(list(numbers)).decode()


def _of_entries(connection: sqlite3.Connection) -> None:
    """Put the results of an earlier version, a row for each, into blocks: what was used last comes last."""
    (uses,) = connection.execute("SELECT uses FROM totals").fetchone()
    for trigger in ("entry_added", "entry_changed", "entry_removed"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("DROP TABLE totals")
    run_script(connection, _RESULTS)
    sound = "SELECT key, body FROM entries WHERE sum = row_sum('entries', key, body) ORDER BY used"
    for block in blocks_of(former_rows(connection.execute(sound))):
        connection.execute(_PUT, (block.body, block.sum))
        connection.execute(_PLACE, (_numbers(block.places),))
    connection.execute("DROP TABLE entries")
    connection.execute("UPDATE totals SET uses = ?", (uses,))


_FORMER = MappingProxyType({0x53594301: None, 0x53594302: _of_entries})
"""Tables without checksums, and with a row for each result."""


def _cleared(connection: sqlite3.Connection) -> int:
    connection.execute("BEGIN IMMEDIATE")
    count, _ = connection.execute(_SIZE).fetchone()
    connection.execute("DELETE FROM blocks")
    connection.execute("DELETE FROM places")
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
