"""The facts about bodies that bear on their retention, read from the index's tables."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, TypeVar

import msgspec

from symphony.pit.artifacts.base.database import DatabaseBroken
from symphony.pit.artifacts.base.rules import UNKNOWN_TYPE
from symphony.pit.artifacts.metadata import care, links
from symphony.ports.retention import Standing, StoredName
from symphony.ports.values import Digest

S = TypeVar("S", bound=tuple[object, ...])

_OBJECTS: Final = """
SELECT digest, size, content_type, created_at,
    sum = row_sum('objects', digest, size, content_type, created_at, sequence)
FROM objects
"""
_NAMES: Final = """
SELECT digest, name, unclaimed, content_type,
    sum = row_sum('named', name, digest, sequence, unclaimed, content_type)
FROM named {} ORDER BY sequence DESC
"""
_RUNS: Final = f"SELECT digest, run_id, sum = {links.SUM} FROM linked "  # noqa: S608  # constants
_TAGS: Final = "SELECT digest, tag, sum = row_sum('tags', name, tag, number, digest, at) FROM tags "
_NUMBERS: Final = "SELECT name, digest, max(number) FROM versions {} GROUP BY name, digest"
_NO_RUNS: Final = frozenset[str]()
_AMONG: Final = "WHERE digest IN (SELECT value FROM json_each(?))"


def standings(
    connection: sqlite3.Connection, digests: Iterable[Digest] | None = None
) -> dict[Digest, Standing]:
    """Return the facts about these bodies, or about all that are known.

    `put_at` is when a body was first put. How many artifacts are newer of a name is counted among those
    that are asked for. Raises DatabaseBroken, and SQLite's errors.
    """
    among = () if digests is None else (json.dumps(list(digests)),)
    where = "" if digests is None else _AMONG
    cared, since = care.cares(connection, digests), care.counting_since(connection)
    rows = connection.execute(_NUMBERS.format(where), among)
    numbers = {(str(name), str(digest)): int(number) for name, digest, number in rows}
    names, kinds, newer = defaultdict[str, list[StoredName]](list), dict[str, str](), Counter[str]()
    rows = connection.execute(_NAMES.format(where), among)
    for digest, name, unclaimed, kind, _ in _sound(tuple[str, str, int, str, int], rows):
        names[digest].append(StoredName(name, unclaimed > 0, newer[name], numbers.get((name, digest), 0)))
        kinds.setdefault(digest, kind)
        newer[name] += 1
    runs, same = dict[str, frozenset[str]](), dict[frozenset[str], frozenset[str]]()
    for digest, run_id, _ in _sound(tuple[str, str, int], connection.execute(f"{_RUNS}{where}", among)):
        more = runs.get(digest, _NO_RUNS) | {run_id}
        runs[digest] = same.setdefault(more, more)  # many bodies of few runs: one set for all of them
    tags, types = defaultdict[str, set[str]](set), dict[str, str]()
    for digest, tag, _ in _sound(tuple[str, str, int], connection.execute(f"{_TAGS}{where}", among)):
        tags[digest].add(tag)
    out = dict[Digest, Standing]()
    objects = _sound(tuple[str, int, str, float, int], connection.execute(f"{_OBJECTS}{where}", among))
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


def _sound(kind: type[S], rows: Iterable[tuple[object, ...]]) -> Iterator[S]:
    """Yield rows whose last column says that they match their checksum."""
    for row in rows:
        if row[-1] != 1:
            raise DatabaseBroken("a row does not match its checksum")
        yield msgspec.convert(row, kind)
