"""The cache of results: a SQLite file beside the artifacts, shared by every process of a home.

It may lose its newest entries in a power cut: they are computed again.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.codec import decode_value, encode_value
from symphony.ports.values import ArtifactRef, StoredValue

BYTES_MAX = 512 * 1024 * 1024
_FRESH_S = 2.0  # a file changed this recently may change again within its time stamp's grain
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
  key TEXT PRIMARY KEY, operator TEXT NOT NULL, outputs BLOB NOT NULL,
  run_id TEXT NOT NULL, node TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (identity TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
"""
_EVICT = """
DELETE FROM results WHERE key IN
  (SELECT key FROM results ORDER BY at LIMIT (SELECT COUNT(*) / 4 FROM results))
"""


class Hit(msgspec.Struct, frozen=True):
    """What an earlier run found."""

    outputs: Mapping[str, StoredValue]
    run_id: str


class CacheSize(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept."""

    entries: int
    bytes: int


class HomeCache:
    """Results by key, digests of files by identity. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / "cache.db"
        self._lock = threading.Lock()
        try:
            self._db = self._connect()
        except sqlite3.DatabaseError:  # damaged or foreign: set it aside, results can be computed again
            self._path.replace(self._path.with_suffix(".damaged"))
            self._db = self._connect()

    def _connect(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._path, timeout=10, check_same_thread=False, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise IoFailed(
                f"the cache {self._path} cannot be opened: {error}", hint="check that the home is writable"
            ) from error
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        return db

    def get(self, key: str) -> Hit | None:
        """The result under a key."""
        with self._lock:
            row = self._db.execute("SELECT outputs, run_id FROM results WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        outputs = decode_value(row[0])
        return Hit(outputs, str(row[1])) if isinstance(outputs, dict) else None

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
        """Keep a result; a full disk loses it and nothing else."""
        body = encode_value(_storable(outputs))
        try:
            with self._lock:
                self._db.execute(
                    "INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?)",
                    (key, operator, body, run_id, node, at),
                )
        except sqlite3.OperationalError:
            return

    def content(self, path: Path) -> str | None:
        """SHA-256 of the file's bytes, read once while it stays as it is; None for no regular file."""
        try:
            with path.open("rb") as file:
                seen = os.fstat(file.fileno())
                identity = f"{seen.st_dev}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"
                with self._lock:
                    row = self._db.execute(
                        "SELECT digest FROM contents WHERE identity = ?", (identity,)
                    ).fetchone()
                if row is not None:
                    return str(row[0])
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        newest = self._path.stat().st_mtime
        if max(seen.st_mtime, seen.st_ctime) < newest - _FRESH_S:
            with self._lock:
                self._db.execute("INSERT OR IGNORE INTO contents VALUES (?,?)", (identity, digest))
        return digest

    def size(self) -> CacheSize:
        """Entries and bytes of results."""
        with self._lock:
            entries, total = self._db.execute(
                "SELECT COUNT(*), TOTAL(LENGTH(outputs)) FROM results"
            ).fetchone()
        return CacheSize(entries=int(entries), bytes=int(total))

    def clear(self) -> int:
        """Forget all results; how many there were."""
        with self._lock:
            removed = self._db.execute("DELETE FROM results").rowcount
            self._db.execute("DELETE FROM contents")
            self._db.execute("VACUUM")
        return int(removed)

    def close(self) -> None:
        """Drop the oldest results beyond the bound and release the file."""
        with self._lock:
            total = self._db.execute("SELECT TOTAL(LENGTH(outputs)) FROM results").fetchone()[0]
            if total > BYTES_MAX:
                self._db.execute(_EVICT)
            self._db.close()


def _storable(outputs: Mapping[str, StoredValue]) -> StoredValue:
    # The codec carries references inside a map; the value type has no name for such a map.
    kept: dict[str, StoredValue | ArtifactRef] = dict(outputs)
    return kept  # type: ignore[return-value]
