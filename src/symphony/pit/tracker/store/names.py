"""The names of runs: which run a name means, and which numbers have been given. Blocking.

What a run is called is in its journal; the file here finds it by that name, tells ids apart by their
ends, and counts for each workflow how many names were given, so that a name that was given never means
another run, whatever is deleted. A file that is missing or damaged is filled again from the runs.
"""

import logging
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    close_with,
    connect,
    database_errors,
    set_aside,
    transaction,
)
from symphony.pit.tracker.store.finding import Tails, shortest
from symphony.ports.runs import SHORT_ID, short_id, tail_of

logger = logging.getLogger(__name__)

NAME_MAX: Final = 100
LAST: Final = "last"
"""The word for the newest run."""
_NAME: Final = re.compile(rf"\w[\w.-]{{0,{NAME_MAX - 1}}}")
_BASE_MAX: Final = 60
_LIKE_AN_ID: Final = re.compile(r"[0-9a-f]{1,12}|[0-9a-f]{8}(-[0-9a-f]{0,4}){1,3}(-[0-9a-f]{0,12})?")
_NUMBERED: Final = re.compile(r"(.+)-([1-9][0-9]{0,17})")
_APPLICATION: Final = 0x53594E31  # "SYN1"
_SCHEMA: Final = """
CREATE TABLE runs (run_id TEXT PRIMARY KEY, tail TEXT NOT NULL, name TEXT UNIQUE, sum INTEGER NOT NULL);
CREATE INDEX tails ON runs (tail);
CREATE TABLE numbers (base TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE chosen (name TEXT PRIMARY KEY);
"""
_FILLED: Final = 1
_MANY: Final = 200
R = TypeVar("R")


class RunNameRefused(SymphonyError):
    """A run cannot be called that."""

    code = "run-name"


def check_name(name: str) -> str:
    """The name, if a person may choose it for a run. Raises RunNameRefused."""
    shown = repr(name[:NAME_MAX])
    if name == LAST:
        raise RunNameRefused(f"{shown} always means the newest run", hint="choose another name")
    if _NAME.fullmatch(name) is None:
        raise RunNameRefused(
            f"a run cannot be called {shown}",
            hint=f"use letters, digits, dots, dashes and underscores, at most {NAME_MAX}, not a dash first",
        )
    if _LIKE_AN_ID.fullmatch(name):
        raise RunNameRefused(
            f"a run cannot be called {shown}: that looks like the beginning of a run's id",
            hint="add a word, such as " + f"run-{name}"[:NAME_MAX],
        )
    return name


def base_of(slug: str) -> str:
    """Return the prefix of the names of a workflow's runs."""
    return slug[:_BASE_MAX].rstrip("-")


class RunNames:
    """The names of the runs in a home. Usable from any thread and by several processes at once.

    `known` gives each run's id and name (None without one) to fill a new file with, and `there` says
    whether a run exists or is about to.
    """

    def __init__(
        self,
        path: Path,
        known: Callable[[frozenset[str]], Iterable[tuple[str, str | None]]],
        there: Callable[[str], bool],
    ) -> None:
        """`known` leaves out the runs whose ids it is given."""
        self._path, self._known, self._there = path, known, there
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._pending: deque[tuple[str, str | None]] = deque()
        self._filled = 0  # how often a new file was filled

    # ---- giving names -----------------------------------------------------------------------

    def next(self, base: str, run_id: str) -> str | None:
        """A name for the run that no other has or had, durably; None if names cannot be kept here."""

        def give(db: sqlite3.Connection) -> str:
            (number,) = _reserved(db, base, 1)
            name = f"{base}-{number}"
            _insert(db, [(run_id, name)])
            return name

        return self._quietly(lambda: self._change(give))

    def reserve(self, base: str, count: int) -> list[int]:
        """Durably reserve `count` increasing numbers that no run has or had; none if that is impossible."""
        return self._quietly(lambda: self._change(lambda db: _reserved(db, base, count))) or []

    def give_back(self, base: str, unused: Sequence[int]) -> None:
        """The last of these numbers that were reserved are not used: the next run may have them."""
        if not unused:
            return
        query = "UPDATE numbers SET last = ? WHERE base = ? AND last = ?"
        given = (unused[0] - 1, base, unused[-1])
        self._quietly(lambda: self._change(lambda db: db.execute(query, given)))

    def choose(self, name: str, run_id: str) -> None:
        """Let the run have this name, durably. Raises RunNameRefused, IoFailed."""

        def take(db: sqlite3.Connection) -> None:
            holder = _holder(db, name)
            if holder is not None and holder != run_id and self._there(holder):
                raise RunNameRefused(
                    f"the run {short_id(holder)} is called {name!r} already",
                    hint="choose another name, or delete that run",
                )
            if (numbered := _NUMBERED.fullmatch(name)) is not None:
                last = _last(db, numbered[1])
                if int(numbered[2]) <= last:
                    raise RunNameRefused(
                        f"{name!r} was the name of another run",
                        hint="choose another name, or leave it out: then the run gets the next number",
                    )
            db.execute("DELETE FROM runs WHERE name = ?", (name,))
            db.execute("INSERT OR REPLACE INTO chosen VALUES (?)", (name,))
            _insert(db, [(run_id, name)])

        self._change(take)

    def add(self, run_id: str, name: str | None) -> None:
        """Find the run by its name, from the next `flush` on in every process."""
        self._pending.append((run_id, name))

    def flush(self) -> None:
        """Write what was added."""
        if self._pending:
            self._quietly(lambda: self._change(lambda _: None))

    def forget(self, run_id: str) -> None:
        """The run has been deleted, or never began."""
        if self._path.is_file():
            query = "DELETE FROM runs WHERE run_id = ?"
            self._quietly(lambda: self._change(lambda db: db.execute(query, (run_id,))))

    # ---- finding ----------------------------------------------------------------------------

    def find(self, name: str) -> str | None:
        """The id of the run of this name, if a sound row tells it."""
        for run_id, other in list(self._pending):
            if other == name:
                return run_id
        return self._look(lambda db: _holder(db, name))

    def catch_up(self) -> bool:
        """Add the runs that are missing from the file or have unsound rows; return whether there were any."""

        def fill(db: sqlite3.Connection) -> bool:
            rows = db.execute("SELECT run_id, name, sum FROM runs").fetchall()
            sound = {run_id for run_id, name, told in rows if told == _sum(run_id, name)}
            unsound = [(run_id,) for run_id, *_ in rows if run_id not in sound]
            db.executemany("DELETE FROM runs WHERE run_id = ?", unsound)
            return bool(_fill(db, self._known(frozenset(sound))))

        before = self._filled
        found = bool(self._quietly(lambda: self._change(fill)))
        return found or self._filled != before

    def shorts(self, run_ids: Sequence[str]) -> dict[str, str] | None:
        """Return the shortest unique end of each id, or None if the file cannot tell."""
        query = "SELECT tail FROM runs WHERE tail >= ? AND tail < ?"

        def look(db: sqlite3.Connection) -> dict[str, str]:
            if len(run_ids) > _MANY:
                tails = Tails(tail for (tail,) in db.execute("SELECT tail FROM runs"))
                return {run_id: tails.shortest(run_id) for run_id in run_ids}
            out = dict[str, str]()
            for run_id in run_ids:
                start = tail_of(run_id)[:SHORT_ID]
                alike = [other for (other,) in db.execute(query, (start, f"{start}~"))]
                out[run_id] = shortest(run_id, alike)
            return out

        return self._look(look)

    def all(self) -> Sequence[str]:
        """Every name, the newest run's first."""
        query = "SELECT name FROM runs WHERE name IS NOT NULL ORDER BY run_id DESC"
        return self._look(lambda db: [str(name) for (name,) in db.execute(query)]) or []

    def close(self) -> None:
        """Write what was added, and let go of the file."""
        self.flush()
        with self._lock:
            self._let_go()

    # ---- the file ---------------------------------------------------------------------------

    def _quietly(self, work: Callable[[], R]) -> R | None:
        """Return what `work` gives; None where the file cannot be used: a run may go without a name."""
        try:
            return work()
        except (DatabaseBroken, SymphonyError, OSError) as error:
            logger.warning("runs get no names, for these cannot be kept: %s", error)
            return None

    def _look(self, look: Callable[[sqlite3.Connection], R]) -> R | None:
        """Return what `look` finds in the file; None where there is no sound file."""
        try:
            with self._lock, database_errors(f"read {self._path}"):
                if self._db is None and not self._path.is_file():
                    return None
                db = self._opened()
                return look(db) if _is_filled(db) else None
        except (DatabaseBroken, SymphonyError, OSError) as error:
            logger.debug("the names of runs are not read: %s", error)
            return None

    def _change(self, change: Callable[[sqlite3.Connection], R]) -> R:
        """Change the file in one transaction, with what was added; a broken one is made again first."""
        with self._lock:
            try:
                return self._changed(change)
            except DatabaseBroken as why:
                self._let_go()
                set_aside(self._path, why)
                return self._changed(change)

    def _changed(self, change: Callable[[sqlite3.Connection], R]) -> R:
        make_private(self._path.parent)
        with database_errors(f"write {self._path}"):
            db = self._opened()
            # Read outside of the transaction: it may take a while, and others would wait.
            known = () if _is_filled(db) else tuple(self._known(frozenset()))
            with transaction(db):
                added = list(self._pending)
                if not _is_filled(db):
                    _fill(db, known)
                    db.execute(f"PRAGMA user_version={_FILLED}")
                    self._filled += 1
                _insert(db, added)
                out = change(db)
            for _ in added:
                self._pending.popleft()
            return out

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = connect(self._path, application=_APPLICATION, schema=_SCHEMA)
            self._db.execute("PRAGMA synchronous=FULL")  # a number that was given is never given again
            close_with(self, self._db)
        return self._db

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _is_filled(db: sqlite3.Connection) -> bool:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return bool(version == _FILLED)


def _fill(db: sqlite3.Connection, known: Iterable[tuple[str, str | None]]) -> int:
    """Take note of these runs and of the numbers in their names; how many they were."""
    found = list(known)
    _insert(db, found)
    last = dict[str, int]()
    for _, name in found:
        if name is not None and (numbered := _NUMBERED.fullmatch(name)) is not None:
            last[numbered[1]] = max(last.get(numbered[1], 0), int(numbered[2]))
    for base, number in last.items():
        if number > _last(db, base):
            db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (base, number))
    return len(found)


def _insert(db: sqlite3.Connection, named: Iterable[tuple[str, str | None]]) -> None:
    rows = [(run_id, tail_of(run_id), name, _sum(run_id, name)) for run_id, name in named]
    db.executemany("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)", rows)


def _sum(run_id: str, name: str | None) -> int:
    return row_sum("runs", run_id, name or "")


def _holder(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT run_id, sum FROM runs WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row is not None and row[1] == _sum(str(row[0]), name) else None


def _last(db: sqlite3.Connection, base: str) -> int:
    row = db.execute("SELECT last FROM numbers WHERE base = ?", (base,)).fetchone()
    return 0 if row is None else int(row[0])


def _reserved(db: sqlite3.Connection, base: str, count: int) -> list[int]:
    """The next numbers of the base; those that a person has used in a name are left out."""
    out, number = list[int](), _last(db, base)
    while len(out) < count:
        number += 1
        if db.execute("SELECT 1 FROM chosen WHERE name = ?", (f"{base}-{number}",)).fetchone() is None:
            out.append(number)
    db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (base, number))
    return out
