"""What refers to bodies, and which values made which, as tables of the index.

Provenance names inputs by the digests of their values. A body is such a value in one of a few forms: a run
that links it says in which, and one that a person has put may be any in which a file can be an input.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from symphony.pit.artifacts.metadata.records import Gone, Linked, Put, Record, Unlinked
from symphony.pit.artifacts.metadata.rows import IndexRows, require_sound
from symphony.ports.artifacts import Provenance
from symphony.ports.values import Digest

SCHEMA = """
CREATE TABLE linked (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, node TEXT NOT NULL, port TEXT NOT NULL,
    digest TEXT NOT NULL, provenance BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER,
    UNIQUE (run_id, node, port, digest)
);
CREATE INDEX linked_of ON linked (digest);
CREATE INDEX linked_values ON linked (value);
CREATE TABLE inputs (value BLOB NOT NULL, link INTEGER NOT NULL, PRIMARY KEY (value, link)) WITHOUT ROWID;
CREATE TABLE given (value BLOB NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (value, digest)) WITHOUT ROWID;
"""
TABLES = ("linked", "inputs", "given")
_FORMS = ("text", "bytes")
"""The encodings of values that a file can be."""
_KEY_BYTES = 16
"""Of the digest of a value, as much as an index needs; what is found is compared with the whole."""
SUM = "row_sum('linked', run_id, node, port, digest, provenance, value)"
_LINK = f"""
INSERT INTO linked (run_id, node, port, digest, provenance, value, sum)
SELECT run_id, node, port, digest, provenance, value, {SUM}
FROM (SELECT ? AS run_id, ? AS node, ? AS port, ? AS digest, ? AS provenance, ? AS value) WHERE true
ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608
_FOUND = f"SELECT id, digest, provenance, value, sum = {SUM} FROM linked WHERE "  # noqa: S608
_USERS = """
SELECT DISTINCT run_id FROM (SELECT link FROM inputs WHERE value IN ({}) LIMIT ?)
JOIN linked ON id = link LIMIT ?
"""
_LOOKED_AT = 10_000
_PLACES = "SELECT id, provenance FROM linked WHERE "
FORMER = """
SELECT digest, provenance FROM links WHERE sum = row_sum('links', run_id, node, port, digest, provenance)
"""
"""The links of an index of the version before."""

_encode = msgspec.msgpack.Encoder().encode
decoded = msgspec.msgpack.Decoder(Provenance).decode


def value_of(encoding: str, digest: str) -> str:
    """Return the digest of the value that a body is in this encoding, as `values.codec.value_digest`."""
    return hashlib.sha256(f"{encoding}:{digest}".encode()).hexdigest()


def forms_of(digest: str) -> set[str]:
    """Return the digests of the values that a body may be, whoever put it."""
    return {value_of(form, digest) for form in (*_FORMS, "msgpack")}


def given_forms_of(digest: str) -> set[str]:
    """Return the digests of the values that a file may be."""
    return {value_of(form, digest) for form in _FORMS}


def _key(value: str) -> bytes | None:
    """Return what an index has of a value's digest, if it is one."""
    try:
        return bytes.fromhex(value[: 2 * _KEY_BYTES]) if len(value) == 64 else None
    except ValueError:
        return None


class _Row(NamedTuple):
    id: int
    digest: Digest
    provenance: bytes
    value: bytes
    sound: int | None


class LinkTables:
    """The part of an index that knows which runs refer to what, and what was made of what. Not thread-safe.

    Errors as `IndexRows`.
    """

    def __init__(self, rows: IndexRows) -> None:
        self._rows = rows

    def take(self, record: Record) -> None:
        """Take in a record of the log."""
        match record:
            case Linked():
                self._link(record)
            case Unlinked():
                self._delete("run_id = ?", record.run_id)
            case Gone():
                self._delete("digest = ?", record.digest)
            case Put(name=str()) if record.given or record.version is None:
                keys = [(_key(form), record.digest) for form in given_forms_of(record.digest)]
                self._rows.connection.executemany("INSERT OR IGNORE INTO given VALUES (?, ?)", keys)
            case _:
                pass

    def _link(self, record: Linked) -> None:
        by = record.provenance
        place = (by.run_id, by.node, by.port, record.digest)
        row = (*place, _encode(by), bytes.fromhex(record.value) if record.value is not None else b"")
        execute = self._rows.connection.execute
        made = execute(_LINK, row).fetchone()
        if made is None:  # it was linked before
            self._delete("run_id = ? AND node = ? AND port = ? AND digest = ?", *place)
            made = execute(_LINK, row).fetchone()
        keys = {_key(of) for of in by.inputs.values()} - {None}
        self._rows.connection.executemany(
            "INSERT OR IGNORE INTO inputs VALUES (?, ?)", [(key, made[0]) for key in keys]
        )

    def _delete(self, which: str, *arguments: str) -> None:
        found = self._rows.connection.execute(f"{_PLACES}{which}", arguments)
        for link, provenance in found.fetchall():
            for of in decoded(provenance).inputs.values():
                self._rows.write("DELETE FROM inputs WHERE value = ? AND link = ?", _key(of), link)
            self._rows.write("DELETE FROM linked WHERE id = ?", link)

    def dump(self) -> Iterator[Linked]:
        """Yield a record for each link."""
        query = f"SELECT digest, provenance, value, sum = {SUM} FROM linked"  # noqa: S608
        for digest, provenance, value, sound in self._rows.connection.execute(query):
            require_sound(sound)
            yield Linked(digest, decoded(provenance), value=value.hex() or None)

    # -- questions

    def of_body(self, digest: Digest, limit: int) -> list[Provenance]:
        """Return where a body came from, in runs that refer to it: the first up to `limit`."""
        return [by for _, by, _ in self._sound("digest = ? ORDER BY id LIMIT ?", digest, limit)]

    def values_of(self, digest: Digest) -> set[str]:
        """Return the digests of all values that a body is known to be, or may be."""
        query = "SELECT DISTINCT value FROM (SELECT value FROM linked WHERE digest = ? LIMIT ?)"
        said = self._rows.all(tuple[bytes], query, digest, _LOOKED_AT)
        return {value.hex() for (value,) in said if value} | forms_of(digest)

    def bodies_of(self, value: str) -> set[Digest]:
        """Return the bodies that are this value."""
        key = _key(value)
        if key is None:
            return set()
        linked = self._sound("value = ?", bytes.fromhex(value))
        given = self._rows.all(tuple[Digest], "SELECT digest FROM given WHERE value = ?", key)
        found = {digest for (digest,) in given if value in given_forms_of(digest)}
        return found | {digest for digest, _, _ in linked}

    def made_of(self, value: str, limit: int) -> list[tuple[Digest, Provenance]]:
        """Return up to `limit` bodies that a node made of this value, each with how."""
        key = _key(value)
        if key is None:
            return []
        which = "id IN (SELECT link FROM inputs WHERE value = ? LIMIT ?)"
        found = self._sound(which, key, limit)
        return [(digest, by) for digest, by, _ in found if value in by.inputs.values()]

    def users_of(self, digest: Digest, limit: int) -> set[str]:
        """Return up to `limit` runs in which something was made of a body. O(1): it looks at no more links
        than `_LOOKED_AT`, whatever was made of it.
        """
        keys = sorted(key for value in self.values_of(digest) if (key := _key(value)) is not None)
        query = _USERS.format(", ".join("?" * len(keys)))
        return {run_id for (run_id,) in self._rows.all(tuple[str], query, *keys, _LOOKED_AT, limit)}

    def made_by(self, run_id: str, limit: int) -> list[tuple[Digest, Provenance]]:
        """Return what a run refers to, in the order in which it was made."""
        found = self._sound("run_id = ? ORDER BY id LIMIT ?", run_id, limit)
        return [(digest, by) for digest, by, _ in found]

    def _sound(self, which: str, *arguments: str | int | bytes) -> list[tuple[Digest, Provenance, str]]:
        rows = self._rows.sound(_Row, _FOUND + which, *arguments)
        return [(digest, decoded(provenance), value.hex()) for _, digest, provenance, value, _ in rows]
