"""Looks for damage in a home: journals, the cache, the artifacts, their log and index. Changes nothing."""

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.base.database import SUMMED, DatabaseBroken, check_structure, database_errors
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.metadata.records import Gone, Linked, Put, RecordLog, Unlinked
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.following import replay_of
from symphony.pit.tracker.store.journal import JournalDamaged, JournalNewer, examine
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.clock import Clock
from symphony.ports.runs import short_id
from symphony.ports.values import Digest

Kind: TypeAlias = Literal["journal", "cache", "index", "log", "artifact", "ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One damaged thing: a run by its id, a body by its digest, or a file by its path."""

    kind: Kind
    name: str
    problem: str
    fix: str


@dataclass(slots=True, kw_only=True)
class Examined:
    """The numbers of things examined, by kind, and the damage found."""

    looked_at: dict[Kind, int] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)


def examine_home(
    home: Path,
    clock: Clock,
    *,
    bodies: bool = True,
    keys: StoreKeys | None = None,
    outside: OutsidePlaces | None = None,
) -> Examined:
    """Look at everything in `home`; with `bodies` every artifact is read and compared with its digest.

    Raises IoFailed where something may not be read.
    """
    found = Examined()
    _journals(Runs(home, clock, lambda _: None), found)
    artifacts = home / "artifacts"
    _database(artifacts / "cache.db", "cache", found)
    _database(artifacts / "index.db", "index", found)
    _database(artifacts / "packs.db", "index", found)
    _database(home / "data" / "budgets" / "budgets.db", "ledger", found)
    referred = _log(artifacts / "records.log", found)
    if bodies:
        with closing(Bodies(artifacts, look=True, outside=outside, keys=keys)) as stored:
            _bodies(stored, referred, found)
    return found


def _journals(runs: Runs, found: Examined) -> None:
    for run_id in runs.ids():
        found.looked_at["journal"] = found.looked_at.get("journal", 0) + 1
        path = runs.journal_path(run_id)
        if path.exists() and not path.is_file():  # opening a pipe would block
            told = Damage(
                kind="journal", name=run_id, problem=f"{path} is not a regular file", fix=f"rm {path}"
            )
            found.damages.append(told)
            continue
        try:
            replay_of(path, *examine(path))
        except JournalDamaged as error:
            if runs.has(run_id):  # otherwise it was deleted meanwhile
                told = Damage(kind="journal", name=run_id, problem=error.message, fix=error.hint or "")
                found.damages.append(told)
        except JournalNewer as error:
            if not error.details.get("sound", True):
                problem = (
                    f"the journal of run {short_id(run_id)} is damaged: its format is not what was written"
                )
                fix = f"restore {path} from a copy"
                found.damages.append(Damage(kind="journal", name=run_id, problem=problem, fix=fix))
        except SymphonyError as error:
            told = Damage(kind="journal", name=run_id, problem=error.message, fix=error.hint or "")
            found.damages.append(told)
    _segments(runs, found)


def _segments(runs: Runs, found: Examined) -> None:
    """Return the damage in segments whose runs can all be listed."""
    known = {one.name for one in found.damages}
    for segment in segments.segments(runs.journal_path("any").parent):
        try:
            segments.examine(segment)
        except JournalNewer:
            pass
        except SymphonyError as error:
            if segment.stem not in known and segment.exists():
                told = Damage(kind="journal", name=segment.stem, problem=error.message, fix=error.hint or "")
                found.damages.append(told)


def _database(path: Path, kind: Literal["cache", "index", "ledger"], found: Examined) -> None:
    """Check the structure and the rows of a file of SQLite."""
    if not path.is_file():
        return
    found.looked_at[kind] = found.looked_at.get(kind, 0) + 1
    quiet = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    try:
        with database_errors(f"read {path}"):
            uri = f"{path.absolute().as_uri()}?mode=ro{quiet}"
            with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
                db.create_function("row_sum", -1, row_sum, deterministic=True)
                check_structure(db)
                for table, query in SUMMED.items():
                    if _has_sums(db, table) and db.execute(query).fetchone() is not None:
                        raise DatabaseBroken(f"a row of `{table}` does not match its checksum")
    except DatabaseBroken as why:
        fix = {
            "index": "nothing to do: it is rebuilt",
            "cache": "`symphony cache clear` rebuilds it",
            "ledger": "move it away: then nothing counts as spent of shared budgets",
        }[kind]
        found.damages.append(Damage(kind=kind, name=str(path), problem=f"{path} is damaged: {why}", fix=fix))


def _has_sums(db: sqlite3.Connection, table: str) -> bool:
    return any(row[1] == "sum" for row in db.execute(f"PRAGMA table_info({table})"))


def _log(path: Path, found: Examined) -> dict[Digest, str]:
    """Return the lines of the log; the bodies that runs refer to, each with one of the runs."""
    referred: dict[Digest, dict[str, None]] = {}
    of_run = defaultdict[str, set[Digest]](set)
    if not path.is_file():
        return {}
    found.looked_at["log"] = 1
    log, damaged = RecordLog(path), 0
    with closing(log):
        log.attach(write=False)
        damaged += log.headless
        for read in log.read(0):
            damaged += read.record is None and read.whole  # a last line without an end was torn in a crash
            match read.record:
                case Linked(digest=digest, provenance=by):
                    referred.setdefault(digest, {})[by.run_id] = None
                    of_run[by.run_id].add(digest)
                case Unlinked(run_id=run_id):
                    for digest in of_run.pop(run_id, ()):
                        referred.get(digest, {}).pop(run_id, None)
                case Gone(digest=digest):
                    referred.pop(digest, None)
                case Put():
                    pass
    if damaged:
        found.damages.append(
            Damage(
                kind="log",
                name=str(path),
                problem=f"{path} has {damaged} damaged lines: names and origins of artifacts are lost",
                fix="restore it from a copy; until then no artifact is deleted",
            )
        )
    return {digest: next(iter(runs)) for digest, runs in referred.items() if runs}


def _bodies(bodies: Bodies, referred: dict[Digest, str], found: Examined) -> None:
    present, reading = set[Digest](), bodies.packs.reading()
    for stored in bodies.by_place():
        present.add(stored.digest)
        found.looked_at["artifact"] = found.looked_at.get("artifact", 0) + 1
        if not bodies.intact(stored.digest, stored.size, reading=reading) and bodies.stat(stored.digest):
            run = referred.get(stored.digest)
            again = "" if run is None else f", then make it again with `symphony runs rerun {short_id(run)}`"
            fix = f"set it aside with `symphony artifacts fsck --repair`{again}, or restore it from a copy"
            by = "" if run is None else f", which run {short_id(run)} refers to,"
            problem = f"artifact {stored.digest}{by} is not what was stored"
            found.damages.append(Damage(kind="artifact", name=stored.digest, problem=problem, fix=fix))
    for digest in referred.keys() - present:
        if bodies.stat(digest) is None:
            run = short_id(referred[digest])
            problem = f"artifact {digest}, which run {run} refers to, is not there"
            fix = f"restore it from a copy, or make it again with `symphony runs rerun {run}`"
            found.damages.append(Damage(kind="artifact", name=digest, problem=problem, fix=fix))
