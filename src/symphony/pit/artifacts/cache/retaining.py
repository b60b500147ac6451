"""Forgets cached results beyond limits of age and number, in the cache's file."""

import sqlite3
from contextlib import suppress

from symphony.pit.artifacts.cache.blocks import place_of, rows_in

_BLOCKS = "SELECT id FROM blocks ORDER BY used, id"
_HELD = "SELECT count(*) FROM places WHERE block = ?"


def retain(connection: sqlite3.Connection, *, count_max: int | None, since_s: float | None) -> int:
    """Forget results that were made before `since_s`, and those used longest ago beyond `count_max`.

    Returns how many. Results that were put together go together for their number, one by one for their age.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (before,) = connection.execute("SELECT count(*) FROM places").fetchone()
        if since_s is not None:
            _drop_old(connection, since_s)
        if count_max is not None:
            _drop_beyond(connection, count_max)
        connection.execute("DELETE FROM places WHERE block NOT IN (SELECT id FROM blocks)")
        (after,) = connection.execute("SELECT count(*) FROM places").fetchone()
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    _give_back(connection)
    return int(before - after)


def _give_back(connection: sqlite3.Connection) -> None:
    """Shrink a file that is empty for the most part."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if free * 2 > pages:
        with suppress(sqlite3.OperationalError):  # somebody reads just now, or no room: next time
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _drop_old(connection: sqlite3.Connection, since_s: float) -> None:
    for (number,) in connection.execute(_BLOCKS).fetchall():
        body, told = connection.execute("SELECT body, sum FROM blocks WHERE id = ?", (number,)).fetchone()
        rows = rows_in(body, told)
        old = {key for key, row in (rows or {}).items() if row.created_at < since_s}
        if rows is None or len(old) == len(rows):
            connection.execute("DELETE FROM blocks WHERE id = ?", (number,))
        else:
            pairs = [(place_of(key), number) for key in old]
            connection.executemany("DELETE FROM places WHERE place = ? AND block = ?", pairs)


def _drop_beyond(connection: sqlite3.Connection, count_max: int) -> None:
    places = "SELECT count(*) FROM places WHERE block IN (SELECT id FROM blocks)"
    (left,) = connection.execute(places).fetchone()
    for (number,) in connection.execute(_BLOCKS).fetchall():
        if left <= count_max:
            break
        left -= connection.execute(_HELD, (number,)).fetchone()[0]
        connection.execute("DELETE FROM blocks WHERE id = ?", (number,))
