"""Looks for faults in an artifact store in files, and repairs those that can be repaired safely.

Looking changes nothing. Repairing deletes nothing that could be good: a damaged body is moved into
`quarantine/`, an unrecorded one is recorded, and only rows are dropped that tell of nothing.
"""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from symphony.commons.filesystem import private_directory, replacing
from symphony.pit.artifacts.base.database import DatabaseBroken, set_aside
from symphony.pit.artifacts.base.failures import file_lock, io_errors
from symphony.pit.artifacts.base.rules import RECOVERED, UNKNOWN_TYPE
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.bodies.objects import Stored
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.metadata.index import Index
from symphony.pit.artifacts.metadata.ledger import Ledger, read_whole
from symphony.pit.artifacts.metadata.records import Gone, Put
from symphony.pit.artifacts.packs.away import OutsidePlaces, PackLost
from symphony.pit.artifacts.packs.checking import give_up, pack_faults, set_apart, wrong_rows
from symphony.pit.artifacts.packs.repacking import rewrite
from symphony.pit.artifacts.store.recovering import recovered
from symphony.ports.values import Digest

FaultKind: TypeAlias = Literal[
    "damaged", "tampered", "missing", "stale", "unrecorded", "log", "version", "index", "pack", "stray"
]
"""A body that is not what was stored; one that somebody has changed who hides it; one that a run or a person
refers to and that is gone; a record of one that nobody refers to and that is gone; a body without a record;
damaged lines of the log; a number of a version that the log gives to two bodies, or a tag on a version that
never was; an index that says something else than what it is made of; a pack with bytes that are damaged, or
were torn in a crash; a file that a dead writer of an earlier version left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFault:
    """One fault: of the body or the file `name`. `run` and `known_as`: who refers to it, one of them each."""

    kind: FaultKind
    name: str
    count: int = 1
    run: str | None = None
    known_as: str | None = None


_REWRITTEN = "the log was rewritten meanwhile"
_READ_AGAIN = "the copy here was deleted; it is read from outside again"


class StoreCheck:
    """A check of the store in `root`. Not thread-safe. Stores in use may be checked and repaired."""

    def __init__(
        self, root: Path, outside: OutsidePlaces | None = None, keys: StoreKeys | None = None
    ) -> None:
        self._root, self._outside = root, outside
        self._keys = StoreKeys(root) if keys is None else keys
        self._bodies = Bodies(root, outside=outside, keys=self._keys)

    def faults(self) -> Iterator[BodyFault]:
        """Every fault, each once. Reads every body. Raises IoFailed."""
        if not self._root.is_dir():
            return
        with closing(Index(None)) as known, closing(self._looking()) as bodies:
            if damaged := self._read_log(known):
                yield BodyFault(kind="log", name=str(self._root / "records.log"), count=damaged)
            for label in _odd_versions(known):
                yield BodyFault(kind="version", name=label)
            if self._index_differs(known):
                yield BodyFault(kind="index", name=str(self._root / "index.db"))
            wrong = wrong_rows(bodies.packs)
            unsound = self._unsound(bodies)
            unrecorded, missing = list[Digest](), list[Digest]()
            for digest, stored, recorded in merged(bodies.all(), known.digests()):
                if stored is None:
                    missing.append(digest)
                elif digest in unsound:
                    if bodies.stat(digest) is not None:  # else it was collected meanwhile
                        kind: FaultKind = "tampered" if bodies.tampered(digest) else "damaged"
                        yield self._fault(kind, digest, known)
                elif not recorded:
                    unrecorded.append(digest)
            yield from self._confirmed(unrecorded, missing)
            yield from self._pack_faults(bodies, wrong)
            yield from (BodyFault(kind="stray", name=str(path)) for path in bodies.old.strays())

    def repair(self, fault: BodyFault) -> str:
        """Repair what can be repaired safely; what was done, in words, or empty.

        Everything is looked at again first: it may have changed. Raises StorageFull, IoFailed.
        """
        match fault.kind:
            case "damaged":
                return self._quarantine(Digest(fault.name))
            case "unrecorded":
                return self._record(Digest(fault.name))
            case "stale":
                return self._drop(Digest(fault.name))
            case "index" if fault.name.endswith(_PACKS_INDEX):
                return self._index_packs()
            case "index":
                return self._index_log(Path(fault.name))
            case "log":
                return self._restore_log()
            case "pack":
                return self._rewrite(Path(fault.name).stem)
            case "stray":
                return "deleted" if self._bodies.old.clear_strays() or not Path(fault.name).exists() else ""
            case "version":
                with closing(Index(None)) as known:
                    self._read_log(known)
                    return "" if fault.name in _odd_versions(known) else _REWRITTEN
            case "missing" | "tampered":
                return ""

    # -- looking

    def _unsound(self, bodies: Bodies) -> set[Digest]:
        """Read every body; those that are not what was stored."""
        reading = bodies.packs.reading()
        return {
            stored.digest
            for stored in bodies.by_place()
            if not bodies.intact(stored.digest, stored.size, reading=reading)
        }

    def _fault(self, kind: FaultKind, digest: Digest, known: Index) -> BodyFault:
        record = known.record(digest)
        run = record.provenance[0].run_id if record is not None and record.provenance else None
        name = record.names[0] if record is not None and record.names else None
        return BodyFault(kind=kind, name=digest, run=run, known_as=name)

    def _read_log(self, known: Index) -> int:
        """Take the log into an empty index; how many of its lines are damaged."""
        read_whole(self._root, known)
        return known.position().damaged

    def _confirmed(self, unrecorded: Sequence[Digest], missing: Sequence[Digest]) -> Iterator[BodyFault]:
        """Yield the faults that remain, now that no writer is between a body and its record."""
        if not unrecorded and not missing:
            return
        with file_lock(self._root / "collect.lock", exclusive=True), closing(Index(None)) as now:
            self._read_log(now)
            here = {digest for digest in (*unrecorded, *missing) if self._bodies.stat(digest) is not None}
            for digest in unrecorded:
                if digest in here and not now.knows(digest):
                    yield BodyFault(kind="unrecorded", name=digest)
            for digest in missing:
                if digest not in here and now.knows(digest):
                    yield self._fault("missing" if now.kept(digest) else "stale", digest, now)

    def _index_differs(self, known: Index) -> bool:
        """Return whether an index that has read all of the log differs from it. A broken one is not read."""
        path = self._root / "index.db"
        if not path.is_file():
            return False
        with suppress(DatabaseBroken, sqlite3.Error):
            quiet = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"  # makes no files
            uri = f"{path.absolute().as_uri()}?mode=ro{quiet}"
            with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
                at = db.execute("SELECT log, offset FROM position").fetchall()
                if at != [known.position()[:2]]:
                    return False  # it is behind: it catches up
                return any(known.differs(db, query) for query in KEYS)
        return False

    def _pack_faults(self, bodies: Bodies, wrong: int) -> Iterator[BodyFault]:
        """Yield what is wrong with packs besides damaged bodies, and their index if it has wrong rows."""
        path = self._root / _PACKS_INDEX
        for faults in pack_faults(bodies.packs):
            wrong += faults.unindexed
            if faults.bytes:
                name = str(bodies.packs.files.path(faults.name))
                yield BodyFault(kind="pack", name=name, count=faults.bytes)
        if wrong:
            yield BodyFault(kind="index", name=str(path), count=wrong)

    # -- repairing

    def _quarantine(self, digest: Digest) -> str:
        with file_lock(self._root / "collect.lock", exclusive=True):
            found = self._bodies.stat(digest)
            if found is None or self._bodies.intact(digest, found.size):
                return "stored again meanwhile"
            if self._bodies.drop_copies(digest) and self._bodies.intact(digest, found.size):
                return _READ_AGAIN
            if self._bodies.revive(digest, found.size):
                return "its mark in the pack was repaired"
            target = private_directory(self._root / "quarantine") / digest
            self._bodies.set_aside(digest, target)
        return f"moved to {target}"

    def _index_log(self, path: Path) -> str:
        with closing(Index(None)) as known:
            self._read_log(known)
            if not self._index_differs(known):
                return _REWRITTEN
        with file_lock(self._root / "records.lock", exclusive=True):
            set_aside(path, "it differs from its log")
        return "rebuilt from the log when it is next used"

    def _restore_log(self) -> str:
        kept = list[Path]()

        def keep(log: Path) -> None:
            folder = private_directory(self._root / "quarantine")
            names = (folder / f"{log.name}.damaged-{number}" for number in range(1_000_000))
            kept.append(next(name for name in names if not name.exists()))
            with io_errors(f"write {kept[0]}"), log.open("rb") as stream, replacing(kept[0]) as copy:
                shutil.copyfileobj(stream, copy)

        with self._ledger() as ledger, file_lock(self._root / "collect.lock", exclusive=True):
            if not ledger.restore(keep):
                return ""
        return f"rewritten from the index, which had read it before; the damaged one is {kept[0]}"

    def _index_packs(self) -> str:
        with file_lock(self._root / "packs.lock", exclusive=True):
            self._bodies.close()
            set_aside(self._root / _PACKS_INDEX, "it differs from the packs")
        return "rebuilt from the packs when it is next used"

    def _rewrite(self, name: str) -> str:
        packs = self._bodies.packs
        with file_lock(self._root / "collect.lock", exclusive=True):
            packs.release()
            for faults in pack_faults(packs):
                if faults.name == name and (faults.spans or faults.marks):
                    if packs.files.drop_copy(name):
                        return _READ_AGAIN
                    try:
                        apart = set_apart(packs, faults, private_directory(self._root / "quarantine"))
                    except PackLost:
                        apart = give_up(packs, name, private_directory(self._root / "quarantine"))
                        return f"forgotten; where it was is in {apart}"
                    done = f"rewritten without them; they were copied to {apart}"
                    return done if rewrite(packs, name, lossy=True) else ""
        return "rewritten meanwhile"

    def _record(self, digest: Digest) -> str:
        with self._ledger() as ledger, file_lock(self._root / "collect.lock", exclusive=True):
            found = self._bodies.stat(digest)
            if found is None or ledger.ask(lambda index: index.knows(digest)):
                return "recorded meanwhile"
            put = Put(digest, found.size, UNKNOWN_TYPE, RECOVERED, found.changed_at)
            ledger.append(put, durable=True)
        return f"recorded under the name {RECOVERED}"

    def _drop(self, digest: Digest) -> str:
        with self._ledger() as ledger, file_lock(self._root / "collect.lock", exclusive=True):
            if ledger.judged(lambda index: index.position().damaged or index.kept(digest)):
                return ""  # what refers to it may be among the damaged lines
            if self._bodies.stat(digest) is None:
                ledger.append(Gone(digest), durable=True)
        return "its record was dropped"

    def _looking(self) -> Bodies:
        return Bodies(self._root, look=True, outside=self._outside, keys=self._keys)

    def _ledger(self) -> "closing[Ledger]":
        return closing(Ledger(self._root, lambda: recovered(self._bodies)))


def _odd_versions(known: Index) -> list[str]:
    """Return the numbers that the log gives to two bodies, and the tags on versions that never were."""
    return list(dict.fromkeys((*known.versions.conflicts, *known.versions.unknown_tags())))


def merged(
    bodies: Iterable[Stored], recorded: Iterable[Digest]
) -> Iterator[tuple[Digest, Stored | None, bool]]:
    """Yield each digest of two sequences in the order of their digests: its body, and whether it is recorded.

    In little memory, however long they are.
    """
    have, said = iter(bodies), iter(recorded)
    one, other = next(have, None), next(said, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.digest < other):
            assert one is not None
            yield one.digest, one, False
            one = next(have, None)
        elif one is None or one.digest > other:
            yield other, None, True
            other = next(said, None)
        else:
            yield other, one, True
            one, other = next(have, None), next(said, None)


_PACKS_INDEX = "packs.db"
KEYS = (
    "SELECT digest, size FROM objects ORDER BY digest",
    "SELECT name, digest, unclaimed FROM named ORDER BY name, digest",
    "SELECT run_id, node, port, digest FROM linked ORDER BY run_id, node, port, digest",
    "SELECT digest, rater FROM ratings ORDER BY digest, rater",
    "SELECT name, number, digest FROM versions ORDER BY name, number",
    "SELECT name, tag, number FROM tags ORDER BY name, tag",
    "SELECT parent, name, number FROM parents ORDER BY parent, name, number",
    "SELECT count(*) FROM inputs",
    "SELECT count(*) FROM given",
    "SELECT digest, pinned, trashed, restored, uses FROM care ORDER BY digest",
)
"""What an index knows, without what a damaged row would show by its checksum."""
