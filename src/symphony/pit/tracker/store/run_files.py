"""The files of each run under a home: its journal, lock, log and note. Blocking.

Takes full ids alone: a run may have a place before it has a file.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.store import journal, segments
from symphony.pit.tracker.store.ended import stamp_of
from symphony.pit.tracker.store.finding import not_found
from symphony.pit.tracker.store.following import replay_of
from symphony.pit.tracker.store.journal import JournalFailed, RunMeta
from symphony.pit.tracker.store.locks import LockedByte, RunLock
from symphony.pit.tracker.store.logs import older
from symphony.pit.tracker.store.untold import Untold


class RunFiles:
    """The files of the runs under `home`, and the contents of their journals."""

    def __init__(self, home: Path) -> None:
        self.journals = home / "journal"
        self._locks, self._logs = home / "run", home / "logs" / "runs"

    def journal_path(self, run_id: str) -> Path:
        """The run's journal."""
        return self.journals / f"{run_id}.db"

    def lock(self, run_id: str) -> RunLock:
        """The run's lock; of a segment that is given up as a whole, one beside that of its owner."""
        name = f"{run_id}.db.lock" if segments.is_segment(self.journal_path(run_id)) else f"{run_id}.lock"
        return RunLock(self._locks / name, lambda: self._byte(run_id))

    def segment_lock(self, segment: Path) -> Path:
        """The lock of a segment's owner, and of its runs."""
        return self._locks / f"{segment.stem}.lock"

    def _byte(self, run_id: str) -> LockedByte | None:
        path = self.journal_path(run_id)
        if segments.is_segment(path):
            return LockedByte(self.segment_lock(path), 0)
        try:
            place = segments.find(path)
        except JournalFailed:
            return None  # a closer look at the run reports it
        return None if place is None else LockedByte(self.segment_lock(place.segment), place.number)

    def log_path(self, run_id: str) -> Path:
        """Return the path of the run's log, which has what its nodes printed."""
        return self._logs / f"{run_id}.jsonl"

    def untold(self, run_id: str) -> Untold:
        """The note that the end of the run has yet to be told."""
        return Untold(self._locks / f"{run_id}.untold")

    def ids(self) -> list[str]:
        """Every run, newest first: ids sort by time. A segment that cannot be read is listed as such."""
        found = set[str]()
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = os.listdir(self.journals)  # noqa: PTH208  (names alone: there may be 10,000)
        for name in names:
            if not name.endswith(".db"):
                continue
            stem = name.removesuffix(".db")
            try:
                shared = name.startswith(segments.PREFIX)
                found.update(segments.names(self.journals / name) if shared else (stem,))
            except JournalFailed:
                found.add(stem)
        return sorted(found, reverse=True)

    def has(self, run_id: str) -> bool:
        """Return whether a run or segment has exactly this name. Raises JournalFailed if that is unknown."""
        path = self.journal_path(run_id)
        # It may get a file of its own between the two looks.
        return path.is_file() or segments.find(path) is not None or path.is_file()

    def require(self, run_id: str) -> str:
        """Return the id of a run that is there. Raises RunNotFound, JournalFailed."""
        if not self.has(run_id):
            raise not_found(run_id)
        return run_id

    def expected(self, run_id: str) -> bool:
        """Return whether there is such a run, or a process is about to make it."""
        try:
            return self.has(run_id) or self.lock(run_id).held()
        except JournalFailed:
            return True  # a closer look at it reports the fault

    def stamp(self, run_id: str, inside: Mapping[str, str] | None = None) -> str:
        """Return a stamp that changes with the run's journal; `inside` has those of runs in segments.

        Raises FileNotFoundError, JournalFailed.
        """
        path = self.journal_path(run_id)
        try:
            return stamp_of(path)
        except FileNotFoundError:
            found = segments.stamp(path) if inside is None else inside.get(run_id)
            # Without one it has got a file of its own meanwhile, or is gone.
            return stamp_of(path) if found is None else found

    def recorded(self, run_id: str) -> tuple[RunMeta, Sequence[Record]]:
        """Return the metadata of the run and all its records. Raises RunNotFound, JournalFailed."""
        try:
            return journal.read_run(self.journal_path(run_id))
        except JournalFailed:
            self.require(run_id)  # which looks for it once more: only where it cannot be read
            raise

    def replayed(self, run_id: str) -> tuple[RunMeta, RunReplay]:
        """Return the metadata of the run and the replay of its records. Raises as `recorded`."""
        meta, records = self.recorded(run_id)
        return meta, replay_of(self.journal_path(run_id), meta, records)

    def remove(self, run_id: str) -> None:
        """Remove the run's files; with the last run of a segment whose owner is gone, the segment too.

        The caller holds the run's lock, whose file is removed last.
        """
        path = self.journal_path(run_id)
        emptied = journal.remove(path)
        if emptied is not None and not LockedByte(self.segment_lock(emptied), 0).held():
            journal.remove(emptied)
            self.segment_lock(emptied).unlink(missing_ok=True)
        if segments.is_segment(path):
            self.segment_lock(path).unlink(missing_ok=True)
        self.log_path(run_id).unlink(missing_ok=True)
        older(self.log_path(run_id)).unlink(missing_ok=True)
        self.untold(run_id).done(told=True)
        self.lock(run_id).path.unlink(missing_ok=True)
