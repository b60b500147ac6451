"""The facts about bodies that bear on their retention, read from the index's tables."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, TypeVar

import msgspec

from symphony.pit.artifacts.base.database import DatabaseBroken
from symphony.pit.artifacts.base.rules import UNKNOWN_TYPE
from symphony.pit.artifacts.metadata import care, links
from symphony.ports.retention import Standing, StoredName
from symphony.ports.values import Digest

S = TypeVar("S", bound=tuple[object, ...])


def _among(query: str, then: str = "") -> str:
    """Return the query for the rows of some bodies, which are a JSON list."""
    return f"{query} WHERE digest IN (SELECT value FROM json_each(?)) {then}"  # noqa: S608  # constants


_OBJECTS: Final = _among(
    """SELECT digest, size, content_type, created_at,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects"""
)
_NAMES: Final = _among(
    """SELECT digest, name, unclaimed, content_type,
    sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named""",
    "ORDER BY sequence DESC",
)
_RUNS: Final = _among(f"SELECT digest, run_id, sum = {links.SUM} FROM linked")  # noqa: S608  # constants
_TAGS: Final = _among("SELECT digest, tag, sum = row_sum('tags', name, tag, number, digest, at) FROM tags")
_NUMBERS: Final = _among("SELECT name, digest, max(number) FROM versions", "GROUP BY name, digest")
_NEWER: Final = _among("SELECT name, digest, newer FROM temp.ranks")
_RANK: Final = (
    "DROP TABLE IF EXISTS temp.ranks",
    """CREATE TEMP TABLE ranks AS SELECT name, digest,
    row_number() OVER (PARTITION BY name ORDER BY sequence DESC) - 1 AS newer FROM named""",
    "CREATE INDEX temp.ranks_of ON ranks (digest)",
)
_NO_RUNS: Final = frozenset[str]()


def rank(connection: sqlite3.Connection) -> None:
    """Count for each name of each body how many bodies got it later. SQLite does, in a file if it must."""
    for statement in _RANK:
        connection.execute(statement)


def _frozen(sets: Mapping[str, set[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    return ((key, frozenset(found)) for key, found in sets.items())


def standings(
    connection: sqlite3.Connection, digests: Collection[Digest], *, ranked: bool
) -> dict[Digest, Standing]:
    """Return the facts about these bodies, as far as they are known.

    `put_at` is when a body was first put. How many artifacts are newer of a name is told only if `ranked`, as
    `rank` has counted them. Raises DatabaseBroken, and SQLite's errors.
    """
    among = (json.dumps(list(digests)),)
    cared, since = care.cares(connection, digests), care.counting_since(connection)
    names, kinds = _names(connection, among, ranked=ranked)
    made = defaultdict[str, set[str]](set)
    for digest, run_id, _ in _sound(tuple[str, str, int], connection.execute(_RUNS, among)):
        made[digest].add(run_id)
    same = dict[frozenset[str], frozenset[str]]()  # many bodies of few runs: one set for all of them
    runs = {digest: same.setdefault(found, found) for digest, found in _frozen(made)}
    tags, types = defaultdict[str, set[str]](set), dict[str, str]()
    for digest, tag, _ in _sound(tuple[str, str, int], connection.execute(_TAGS, among)):
        tags[digest].add(tag)
    out = dict[Digest, Standing]()
    objects = _sound(tuple[str, int, str, float, int], connection.execute(_OBJECTS, among))
    unknown = ((digest, 0, UNKNOWN_TYPE, 0.0, 1) for digest in cared if digest not in out)
    for one, size, kind, at, _ in chain(objects, unknown):
        found = cared.get(Digest(one)) or care.Care(Digest(one))
        of = kinds.pop(one, kind)
        out[found.digest] = Standing(
            digest=found.digest, size=size, content_type=types.setdefault(of, of), put_at=at,
            names=tuple(names.pop(one, ())), runs=runs.pop(one, _NO_RUNS), pinned=found.pinned is not None,
            tags=frozenset(tags.pop(one, ())),
            uses=None if since is None else found.uses, used_at=found.used, counted_since=since,
            trashed_at=found.trashed, restored_at=found.restored,
        )  # fmt: skip
    return out


def _names(
    connection: sqlite3.Connection, among: tuple[str], *, ranked: bool
) -> tuple[dict[str, list[StoredName]], dict[str, str]]:
    """Return the names of bodies, the newest first, and the type under which each was put last."""
    numbers = {(name, digest): int(number) for name, digest, number in connection.execute(_NUMBERS, among)}
    rows = connection.execute(_NEWER, among) if ranked else ()
    newer = {(name, digest): int(count) for name, digest, count in rows}
    names, kinds = defaultdict[str, list[StoredName]](list), dict[str, str]()
    sound = _sound(tuple[str, str, int, str, int], connection.execute(_NAMES, among))
    for digest, name, unclaimed, kind, _ in sound:
        key = name, digest
        names[digest].append(StoredName(name, unclaimed > 0, newer.get(key, 0), numbers.get(key, 0)))
        kinds.setdefault(digest, kind)
    return names, kinds


def _sound(kind: type[S], rows: Iterable[tuple[object, ...]]) -> Iterator[S]:
    """Yield rows whose last column says that they match their checksum."""
    for row in rows:
        if row[-1] != 1:
            raise DatabaseBroken("a row does not match its checksum")
        yield msgspec.convert(row, kind)
