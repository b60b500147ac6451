"""Segments: files that each hold the journals of many small runs of one owner, one commit for all.

A run is in a file of its own, `RUN.db`, or in a segment, `segment-ID.db` beside it; never in two: once
`RUN.db` exists, what a segment still holds of the run is left over from moving it. Whoever reads a run
of a segment lifts it out: its rows are compared with their checksums, with the head that tells how many
they are, and become a journal in memory, which is read as any other. Whoever takes a run over moves it
out (`move_out`): its head gets a new epoch, so that its owner is fenced, then the run gets a file. Other
runs of the segment are not touched. An earlier version sees in a segment a journal of a later format.

In one segment are at most `RUNS_MAX` runs, each of at most `RUN_BYTES_MAX`: a run that grows is moved.
"""

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from symphony.commons.checksums import row_sum
from symphony.pit.tracker.store.journal_rows import (
    FORMAT,
    PAGE_BYTES,
    JournalDamaged,
    JournalFailed,
    blank,
    check_later,
    check_log,
    connect,
    damaged,
    failure,
    journal_errors,
    looked,
    packed,
    put_meta,
    write_new,
)
from symphony.ports.runs import short_id

SEGMENT_FORMAT = 6
RUNS_MAX = 1_000
RUN_BYTES_MAX = 256 * 1024
PREFIX = "segment-"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER) WITHOUT ROWID;
CREATE TABLE runs (number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, body BLOB NOT NULL, sum INTEGER);
CREATE TABLE heads (number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, last INTEGER NOT NULL, sum INTEGER);
CREATE TABLE entries (number INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
                      body BLOB NOT NULL, sum INTEGER, PRIMARY KEY (number, seq)) WITHOUT ROWID;
CREATE TABLE requests (id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, body BLOB NOT NULL,
                       sum INTEGER);
"""
"""`heads` tells of each run who may write and the number of its last entry."""
_STAMPS = "SELECT run, number, epoch, last FROM runs JOIN heads USING (number)"


class Place(NamedTuple):
    """A run in a segment, by its number there."""

    segment: Path
    number: int


def segment_path(folder: Path, name: str) -> Path:
    """The segment `name` in the folder of journals."""
    return folder / f"{PREFIX}{name}.db"


def is_segment(path: Path) -> bool:
    """Return whether the name of the file is that of a segment."""
    return path.name.startswith(PREFIX)


def new_segment() -> bytes:
    """The file of a segment without runs."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(f"PRAGMA page_size={PAGE_BYTES}; {_SCHEMA}")
        put_meta(db, "format", SEGMENT_FORMAT)
        return packed(db)


def segments(folder: Path) -> list[Path]:
    """Every segment in the folder of journals, the newest first: their names sort by time."""
    return sorted(folder.glob(f"{PREFIX}*.db"), reverse=True)


def names(segment: Path) -> dict[str, int]:
    """The runs in a segment and their numbers. Raises JournalFailed."""

    def look(db: sqlite3.Connection) -> dict[str, int]:
        found = {str(run): int(number) for run, number in db.execute("SELECT run, number FROM runs")}
        heads = {number for (number,) in db.execute("SELECT number FROM heads")}
        check_log(segment)
        if heads != set(found.values()):
            raise damaged(segment, "some of its runs are missing")
        return found

    return looked(segment, look, _reading)


def stamps(folder: Path) -> dict[str, str]:
    """Return the stamp of every run in readable segments; it changes with each write to the run."""
    found = dict[str, str]()
    for segment in segments(folder):
        with suppress(JournalFailed):
            rows = looked(segment, lambda db: db.execute(_STAMPS).fetchall(), _reading)
            found.update((str(run), stamp_at(segment, *rest)) for run, *rest in rows)
    return found


def stamp(path: Path) -> str | None:
    """That of the run whose own file would be `path`; None if no segment holds it. Raises JournalFailed."""
    place = find(path)
    if place is None:
        return None
    query = f"{_STAMPS} WHERE number = ?"
    row = looked(place.segment, lambda db: db.execute(query, (place.number,)).fetchone(), _reading)
    return None if row is None else stamp_at(place.segment, *row[1:])


def stamp_at(segment: Path, number: int, epoch: int, last: int) -> str:
    """The stamp of a run by what its head says."""
    return f"{segment.stem}:{number}:{epoch}:{last}"


def is_shared(stamp: str) -> bool:
    """Return whether the stamp is that of a run in a segment."""
    return stamp.startswith(PREFIX)


def find(path: Path) -> Place | None:
    """Return the place in a segment of the run whose own file would be `path`; None if there is none.

    Raises JournalFailed if no sound segment holds it, and another cannot be read.
    """
    unread = list[JournalFailed]()
    if path.exists():
        return None
    place = _place(path, unread)
    if place is None and unread and not path.exists():
        raise unread[0]
    return place


def _place(path: Path, unread: list[JournalFailed]) -> Place | None:
    found = segments(path.parent)
    # Those made before the run first: it is in another one only if a clock was set back.
    found.sort(key=lambda segment: segment.stem.removeprefix(PREFIX) > path.stem)
    for segment in found:
        try:
            number = looked(segment, functools.partial(_number, segment, path.stem), _reading)
        except JournalFailed as error:
            if segment.exists():  # else its last run was deleted just now
                unread.append(error)
            continue
        if number is not None:
            return Place(segment, number)
    return None


def _number(segment: Path, run_id: str, db: sqlite3.Connection) -> int | None:
    """The number of a run; None if it is not there. Raises JournalDamaged where that cannot be said."""
    row = db.execute("SELECT number FROM runs WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        check_log(segment)
        return None
    return int(row[0])


def lifted(path: Path) -> sqlite3.Connection | None:
    """The journal of the run whose own file would be `path`, in memory, if a segment holds it.

    Raises JournalFailed; JournalDamaged if anything of the run is not what was written.
    """
    if is_segment(path):  # it is listed under its own name only if its runs cannot be
        names(path)
        raise damaged(path, "it holds the journals of several runs")
    place = find(path)
    if place is None:
        return None
    with _telling(path, place):

        def look(db: sqlite3.Connection) -> sqlite3.Connection | None:
            check_log(place.segment)
            return lift(path, db, place.number)

        return looked(place.segment, look, _reading)


def lift(path: Path, db: sqlite3.Connection, number: int) -> sqlite3.Connection | None:
    """Like `lifted`, from the open segment; None if the run is gone from it. In one transaction."""
    run = db.execute("SELECT run, body, sum FROM runs WHERE number = ?", (number,)).fetchone()
    head = db.execute("SELECT epoch, last, sum FROM heads WHERE number = ?", (number,)).fetchone()
    if run is None and head is None:
        return None
    if run is None or row_sum("runs", number, *run[:-1]) != run[-1] or run[0] != path.stem:
        raise damaged(path, "its row of `runs` does not match its checksum")
    if head is None or row_sum("heads", number, *head[:-1]) != head[-1]:
        raise damaged(path, "its row of `heads` does not match its checksum")
    epoch, last, _ = head
    made = blank()
    try:
        put_meta(made, "run", run[1])
        put_meta(made, "epoch", epoch)
        put_meta(made, "format", FORMAT)
        made.executemany("INSERT INTO batches VALUES (?, ?, ?, ?)", _entries(path, db, number, last))
        made.executemany("INSERT INTO asked VALUES (?, ?, ?)", _requests(db, number))
    except BaseException:
        made.close()
        raise
    return made


def _entries(
    path: Path, db: sqlite3.Connection, number: int, last: int
) -> Iterator[tuple[int, int, bytes, int]]:
    query = "SELECT seq, epoch, body, sum FROM entries WHERE number = ? ORDER BY seq"
    expected = 0
    for seq, epoch, body, told in db.execute(query, (number,)):
        expected += 1
        if row_sum("entries", number, seq, epoch, body) != told:
            raise damaged(path, f"row {expected} of `entries` does not match its checksum")
        if seq != expected:
            break
        yield seq, epoch, body, row_sum("batches", seq, epoch, body)
    if expected != last:
        raise damaged(path, f"of its {last} rows of `entries` some are missing")


def _requests(db: sqlite3.Connection, number: int) -> Iterator[tuple[int, bytes, int]]:
    """Damaged ones keep a wrong checksum, which their reader reports."""
    query = "SELECT id, body, sum FROM requests WHERE number = ? ORDER BY id"
    for id_, body, told in db.execute(query, (number,)):
        sound = row_sum("requests", id_, number, body) == told
        yield id_, body, row_sum("asked", id_, body) ^ (not sound)


def move_out(path: Path) -> bool:
    """Give the run a file of its own, `path`, and fence its writer; False if no segment holds it.

    The caller owns the run. A crash leaves it in the segment, or in both: then the file counts.
    Raises JournalFailed.
    """
    place = find(path)
    if place is None:
        return False
    segment, number = place
    with _telling(path, place), closing(_writable(segment)) as db, journal_errors(path):
        db.execute("PRAGMA synchronous=FULL")
        with db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute("SELECT epoch, last FROM heads WHERE number = ?", (number,)).fetchone()
            made = lift(path, db, number)
            if made is None:
                return False
            with closing(made):
                epoch, last = int(row[0]) + 1, int(row[1])
                put_meta(made, "epoch", epoch)
                body = packed(made)
            told = row_sum("heads", number, epoch, last)
            db.execute("UPDATE heads SET epoch = ?, sum = ? WHERE number = ?", (epoch, told, number))
        try:
            write_new(path.with_name(f"{path.name}.new"), path, body)
        except OSError as error:
            path.with_name(f"{path.name}.new").unlink(missing_ok=True)
            raise failure(path, error) from error
        _erase(db, number)
    return True


def ask(path: Path, body: bytes) -> int | None:
    """Leave a request for the owner of a run in a segment, durably; its number. None if none holds it.

    Raises JournalFailed.
    """
    place = find(path)
    if place is None:
        return None
    segment, number = place
    with _telling(path, place), closing(_writable(segment)) as db, journal_errors(path), db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        if db.execute("SELECT 1 FROM heads WHERE number = ?", (number,)).fetchone() is None:
            return None
        found = db.execute("INSERT INTO requests (number, body) VALUES (?, ?)", (number, body)).lastrowid or 0
        told = row_sum("requests", found, number, body)
        db.execute("UPDATE requests SET sum = ? WHERE id = ?", (told, found))
        return found


def erase(path: Path) -> Path | None:
    """Delete what a segment holds of the run whose own file would be `path`.

    What was written is overwritten. Gives the segment if that was its last run. Raises JournalFailed.
    """
    place = _place(path, [])
    if place is None:
        return None
    with closing(_writable(place.segment)) as db, journal_errors(path):
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        _erase(db, place.number)
        return None if db.execute("SELECT 1 FROM heads LIMIT 1").fetchone() else place.segment


def _erase(db: sqlite3.Connection, number: int) -> None:
    with db:
        db.execute("BEGIN IMMEDIATE")
        for table in ("requests", "entries", "heads", "runs"):
            db.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608  (constants)


def _writable(segment: Path) -> sqlite3.Connection:
    """A connection that may write. Raises JournalFailed.

    One that is closed folds the log into the file: a broken one is left as it is.
    """
    check_log(segment)
    return connect(segment)


def examine(segment: Path) -> None:
    """Compare the structure of a whole segment with itself. Raises JournalFailed."""
    with _reading(segment, quiet=True) as db:
        ((found, *_),) = db.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok":
            raise damaged(segment, str(found).replace("\n", " "))
        known = {number for (number,) in db.execute("SELECT number FROM heads")}
        for table in ("entries", "requests"):
            query = f"SELECT DISTINCT number FROM {table}"  # noqa: S608  (constants)
            if any(number not in known for (number,) in db.execute(query)):
                raise damaged(segment, f"it has rows of `{table}` that belong to no run")
    names(segment)


@contextmanager
def _reading(segment: Path, *, quiet: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the segment; a `quiet` one makes no file beside it."""
    db = connect(segment, read_only=True, quiet=quiet)
    try:
        with journal_errors(segment):
            db.execute("BEGIN")
            row = db.execute("SELECT value, sum FROM meta WHERE key = 'format'").fetchone()
            if row is None or row_sum("meta", "format", row[0]) != row[1]:
                raise damaged(segment, "it does not say its format")
            check_later(segment, row[0], SEGMENT_FORMAT)
            yield db
    finally:
        db.close()


@contextmanager
def _telling(path: Path, place: Place) -> Iterator[None]:
    """Errors of a run in a segment name the file that there is."""
    try:
        yield
    except JournalDamaged as error:
        if is_segment(path):
            raise
        run = short_id(path.stem)
        raise JournalDamaged(
            error.message.replace(f"({path.name})", f"(in {place.segment.name})"),
            details={**error.details, "path": str(place.segment)},
            hint=f"restore {place.segment} from a copy (keep what lies beside it, -wal and -shm), or give "
            f"the run up with `symphony runs delete --damaged {run}`; `symphony fsck` looks at all of it",
        ) from error
