"""The versions of names and their tags, as tables of the index."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.metadata.care import NOT_TRASHED
from symphony.pit.artifacts.metadata.numbering import Newest, number_for
from symphony.pit.artifacts.metadata.records import Gone, Linked, Put, Record, Tagged, Untagged
from symphony.pit.artifacts.metadata.rows import IndexRows, require_sound
from symphony.ports.artifacts import ArtifactVersion
from symphony.ports.values import Digest

SCHEMA = """
CREATE TABLE versions (
    name TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    content_type TEXT NOT NULL, created_at REAL NOT NULL, sequence INTEGER NOT NULL, damaged INTEGER NOT NULL,
    run TEXT, node TEXT NOT NULL, port TEXT NOT NULL, note TEXT NOT NULL, parents TEXT NOT NULL, sum INTEGER,
    PRIMARY KEY (name, number)
) WITHOUT ROWID;
CREATE INDEX versions_of ON versions (digest, name, number);
CREATE TABLE parents (
    parent TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (parent, name, number)
) WITHOUT ROWID;
CREATE TABLE tags (
    name TEXT NOT NULL, tag TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, at REAL NOT NULL,
    sum INTEGER, PRIMARY KEY (name, tag)
) WITHOUT ROWID;
CREATE INDEX tags_of ON tags (digest);
CREATE INDEX tagged ON tags (tag);
"""
TABLES = ("versions", "parents", "tags")
_FIELDS = (
    "name, number, digest, size, content_type, created_at, sequence, damaged, run, node, port, note, parents"
)
_SUM = f"row_sum('versions', {_FIELDS})"
_PUT = f"""
INSERT INTO versions SELECT {_FIELDS}, {_SUM}
FROM (SELECT ? AS name, ? AS number, ? AS digest, ? AS size, ? AS content_type, ? AS created_at,
    ? AS sequence, ? AS damaged, ? AS run, ? AS node, ? AS port, ? AS note, ? AS parents) WHERE true
ON CONFLICT (name, number) DO UPDATE SET sequence = excluded.sequence, damaged = excluded.damaged,
sum = row_sum('versions', name, number, digest, size, content_type, created_at, excluded.sequence,
    excluded.damaged, run, node, port, note, parents)
WHERE digest = excluded.digest
"""  # noqa: S608
_CLAIM = """
UPDATE versions SET run = ?1, node = ?2, port = ?3,
sum = row_sum('versions', name, number, digest, size, content_type, created_at, sequence, damaged,
    ?1, ?2, ?3, note, parents)
WHERE name = ?4 AND number = ?5 AND digest = ?6 AND run IS NULL
"""
_UNCLAIMED = (
    "SELECT number FROM versions WHERE digest = ? AND name = ? AND run IS NULL ORDER BY number DESC LIMIT ?"
)
_NEWEST = f"""
SELECT number, digest, content_type, EXISTS (SELECT 1 FROM objects o WHERE o.digest = v.digest), damaged,
    sum = {_SUM}
FROM versions v WHERE name = ? ORDER BY number DESC LIMIT 1
"""  # noqa: S608
_SHOWN = f"""
SELECT name, number, digest, size, content_type, created_at, run, node, port, note, parents,
    NOT EXISTS (SELECT 1 FROM objects o WHERE o.digest = v.digest), sum = {_SUM}
FROM versions v WHERE
"""  # noqa: S608
_TAGS = "SELECT tag, number, sum = row_sum('tags', name, tag, number, digest, at) FROM tags WHERE name = ?"
_TAG = """
INSERT OR REPLACE INTO tags SELECT a, b, c, d, e, row_sum('tags', a, b, c, d, e)
FROM (SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e)
"""
DUMPED = f"""
SELECT v.digest, v.size, v.content_type, v.name, v.created_at,
    CASE WHEN v.number = max(v.number) OVER (PARTITION BY v.name, v.digest)
        THEN coalesce(n.unclaimed, 0) ELSE 0 END,
    v.sequence, v.sum = row_sum('versions', {", ".join(f"v.{field}" for field in _FIELDS.split(", "))}),
    v.number, v.note, v.parents, coalesce(o.created_at, 0), v.run, v.node, v.port
FROM versions v LEFT JOIN named n ON n.name = v.name AND n.digest = v.digest
LEFT JOIN objects o ON o.digest = v.digest
"""  # noqa: S608
_TAGGED = (
    "SELECT name, tag, digest, number, at, sum = row_sum('tags', name, tag, number, digest, at) FROM tags"
)
_GONE = """
SELECT DISTINCT digest FROM versions v WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.digest = v.digest)
"""
OF_NAMES = f"""
INSERT INTO versions SELECT {_FIELDS}, {_SUM} FROM (
    SELECT name, row_number() OVER (PARTITION BY name ORDER BY n.sequence) AS number, digest, size,
        n.content_type AS content_type, created_at, n.sequence AS sequence, 0 AS damaged, NULL AS run,
        '' AS node, '' AS port, '' AS note, '' AS parents
    FROM named n JOIN objects USING (digest)
)
"""  # noqa: S608
"""Versions of an index that knows names alone: each body that a name has had is one."""


class _Row(NamedTuple):
    name: str
    number: int
    digest: Digest
    size: int
    content_type: str
    at: float
    run: str | None
    node: str
    port: str
    note: str
    parents: str
    gone: int
    sound: int | None


class VersionTables:
    """The part of an index that knows versions and tags. Not thread-safe. Errors as `IndexRows`."""

    def __init__(self, rows: IndexRows) -> None:
        self._rows = rows
        self.conflicts: list[str] = []
        """Versions, such as `report@3`, whose number was given to another body before. They do not count."""

    # -- records

    def take(self, record: Record, sequence: int, damaged: int) -> None:
        """Take in a record of the log, before the rest of the index does."""
        write = self._rows.write
        match record:
            case Put(name=str(name)):
                number = record.version or number_for(record, self.newest(name))  # before its body is known
                changed = write(
                    _PUT, name, number, record.digest, record.size, record.content_type, record.at, sequence,
                    damaged, record.run, record.node, record.port, record.note, " ".join(record.parents),
                )  # fmt: skip
                if not changed:
                    self.conflicts.append(f"{name}@{number}")
                    return
                for parent in record.parents:
                    write("INSERT OR IGNORE INTO parents VALUES (?, ?, ?)", parent, name, number)
            case Linked(name=str(name)) if record.claims:
                by = record.provenance
                for number in self._claimed(record, name):
                    write(_CLAIM, by.run_id, by.node, by.port, name, number, record.digest)
            case Tagged():
                write(_TAG, record.name, record.tag, record.version, record.digest, record.at)
            case Untagged():
                write("DELETE FROM tags WHERE name = ? AND tag = ?", record.name, record.tag)
            case _:
                pass

    def _claimed(self, link: Linked, name: str) -> Sequence[int]:
        """Return the versions that are the run's: as it says, else the newest ones of the body."""
        if link.versions is not None:
            return link.versions
        found = self._rows.all(tuple[int], _UNCLAIMED, link.digest, name, link.claims)
        return [number for (number,) in found]

    def dump(self) -> Iterator[Record]:
        """Yield what is to be said after all bodies and versions: tags, and which bodies are gone."""
        for name, tag, digest, number, at, sound in self._rows.connection.execute(_TAGGED):
            require_sound(sound)
            yield Tagged(name, tag, digest, number, at)
        for (digest,) in self._rows.connection.execute(_GONE):
            yield Gone(digest)

    # -- questions

    def newest(self, name: str) -> Newest | None:
        """Return the newest version of a name, whether its body is there or not."""
        found = self._rows.sound(tuple[int, Digest, str, int, int, int | None], _NEWEST, name)
        for number, digest, content_type, present, damaged, _ in found:
            return Newest(number, digest, content_type, present == 1, damaged)
        return None

    def of_name(self, name: str, limit: int, before: int = INTEGER_MAX) -> list[ArtifactVersion]:
        """Return versions of a name, the newest first."""
        query = f"{_SHOWN} name = ? AND number < ? ORDER BY number DESC LIMIT ?"
        return self._shown(query, name, before, limit)

    def children(self, parent: Digest, limit: int) -> list[ArtifactVersion]:
        """Return the versions whose parent a person said this body is."""
        which = "(name, number) IN (SELECT name, number FROM parents WHERE parent = ?)"
        return self._shown(f"{_SHOWN} {which} ORDER BY sequence LIMIT ?", parent, limit)

    def newest_of(self, name: str, digest: Digest) -> int:
        """Return the newest version of a name that has this body."""
        query = "SELECT max(number) FROM versions WHERE name = ? AND digest = ?"
        return self._rows.all(tuple[int], query, name, digest)[0][0]

    def newest_present(self, name: str) -> ArtifactVersion | None:
        """Return the newest version of a name whose body is there, and not in the trash."""
        present = "EXISTS (SELECT 1 FROM objects o WHERE o.digest = v.digest)"
        query = f"{_SHOWN} name = ? AND {present} AND {NOT_TRASHED} ORDER BY number DESC LIMIT 1"
        return next(iter(self._shown(query, name)), None)

    def of_body(self, digest: Digest, limit: int) -> list[ArtifactVersion]:
        """Return the versions that have a body, those put last first."""
        return self._shown(f"{_SHOWN} digest = ? ORDER BY sequence DESC LIMIT ?", digest, limit)

    def one(self, name: str, number: int) -> ArtifactVersion | None:
        """Return one version, if it was ever made."""
        return next(iter(self._shown(f"{_SHOWN} name = ? AND number = ?", name, number)), None)

    def unknown_tags(self) -> list[str]:
        """Return tags, such as `report@best`, on versions that were never made."""
        query = "SELECT name, tag FROM tags LEFT JOIN versions USING (name, number) WHERE size IS NULL"
        return [f"{name}@{tag}" for name, tag in self._rows.all(tuple[str, str], query)]

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a name, each with the number of the version that has it."""
        rows = self._rows.sound(tuple[str, int, int | None], _TAGS, name)
        return {tag: number for tag, number, _ in rows}

    def _shown(self, query: str, *arguments: str | int) -> list[ArtifactVersion]:
        tags = dict[str, dict[int, list[str]]]()
        found = list[ArtifactVersion]()
        for row in self._rows.sound(_Row, query, *arguments):
            if row.name not in tags:
                tags[row.name] = {}
                for tag, tagged in sorted(self.tags(row.name).items()):
                    tags[row.name].setdefault(tagged, []).append(tag)
            found.append(
                ArtifactVersion(
                    name=row.name, number=row.number, digest=row.digest, size=row.size,
                    content_type=row.content_type, created_at=row.at, run_id=row.run, node=row.node,
                    port=row.port, note=row.note, parents=tuple(map(Digest, row.parents.split())),
                    tags=tuple(tags[row.name].get(row.number, ())), deleted=row.gone == 1,
                )
            )  # fmt: skip
        return found
