"""Follows one run over repeated looks. Each record is read once. Blocking."""

import threading
from collections.abc import Sequence
from pathlib import Path

from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.structure import plan_of
from symphony.pit.tracker.store import journal
from symphony.pit.tracker.store.documents import workflow_of
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.ports.runs import RunEvent

CONCURRENCY = 64
"""Nodes that run at once unless a run says otherwise."""


def fresh(meta: journal.RunMeta) -> RunReplay:
    """Return a run that has just begun."""
    from symphony.workflow.compiled import Compiled  # listing runs never gets here

    plan = plan_of(workflow_of(meta.workflow), meta.recorded(), Compiled)
    return RunReplay(plan, limit=meta.concurrency or CONCURRENCY)


def replay_of(path: Path, meta: journal.RunMeta, records: Sequence[Record]) -> RunReplay:
    """Return the state that the records of the journal `path` give.

    Raises JournalFailed if they make no sense.
    """
    with journal_errors(path):
        replay = fresh(meta)
        for record in records:
            replay.apply(record)
        return replay


class RunReader:
    """The record of the run whose journal is `path`, kept between looks. Usable from any thread."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._replay: RunReplay | None = None
        self._row, self._file = 0, (0, 0)
        self.rows = 0
        """How many rows of the journal were read so far."""

    def replay(self) -> RunReplay:
        """Return the state of the run. Later looks change it. Raises JournalFailed."""
        with self._lock:
            return self._look()[0]

    def events(self, since: int) -> list[RunEvent]:
        """Every durable event with a number after `since`. Raises JournalFailed."""
        with self._lock:
            replay, news = self._look()
            missing = replay.seq - len(news) - since
            if missing > 0:  # somebody else, who has not seen what was read before
                news = [record for _, record in self._read(0)]
            records = news[-(replay.seq - since) :] if replay.seq > since else []
            with journal_errors(self._path):
                first = replay.seq - len(records) + 1
                return [replay.event(record, seq) for seq, record in enumerate(records, first)]

    def _look(self) -> tuple[RunReplay, Sequence[Record]]:
        """The replay with all that is recorded by now, and what of it is new."""
        found = journal.file_of(self._path).stat()
        if (found.st_dev, found.st_ino) != self._file:  # another file stands in its place
            self._replay, self._row, self._file = None, 0, (found.st_dev, found.st_ino)
        try:
            return self._news()
        except BaseException:
            self._replay, self._row = None, 0
            raise

    def _news(self) -> tuple[RunReplay, Sequence[Record]]:
        if self._replay is None:
            meta = journal.read_meta(self._path)
            with journal_errors(self._path):
                self._replay = fresh(meta)
        rows = self._read(self._row)
        records = [record for _, record in rows]
        with journal_errors(self._path):
            for record in records:
                self._replay.apply(record)
        if rows:
            self._row = rows[-1][0]
        return self._replay, records

    def _read(self, since: int) -> list[tuple[int, Record]]:
        rows = journal.read_all(self._path, since)
        self.rows += rows[-1][0] - since if rows else 0
        return rows
