"""The summaries of runs for lists, from the index of ended runs or else from a run's journal. Blocking."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.ended import EndedRun, EndedRuns, stamp_of
from symphony.pit.tracker.store.finding import not_found
from symphony.pit.tracker.store.journal import RunMeta
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.pit.tracker.store.run_files import RunFiles
from symphony.pit.tracker.store.summaries import name_of, status_of, summary_of
from symphony.ports.clock import Clock
from symphony.ports.insight import Overview
from symphony.ports.runs import ENDED, RunStatus, RunSummary

INDEX = "ended.index"
MANY = 500
"""Runs that the index is asked about at once."""


class IndexedRuns:
    """Summaries and overviews of runs by their full ids.

    A journal is read only where the index does not know it as it is now.
    """

    def __init__(self, files: RunFiles, clock: Clock) -> None:
        self._files, self._clock = files, clock
        self._index = EndedRuns(files.journals / INDEX)

    def summaries(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunSummary | SymphonyError]]:
        """Yield each run's id with its summary, or with the error that prevents one."""
        inside = segments.stamps(self._files.journals) if len(run_ids) > 1 else None
        try:
            for at in range(0, len(run_ids), MANY):
                some = run_ids[at : at + MANY]
                rows = self._index.find(some)
                for run_id in some:
                    yield run_id, self._summary(run_id, rows.get(run_id), inside)
        finally:
            self._index.flush()

    def summary(self, run_id: str) -> RunSummary:
        """One line about a run. Raises RunNotFound, JournalFailed."""
        ((_, found),) = self.summaries([run_id])
        if isinstance(found, SymphonyError):
            raise found
        return found

    def overview(self, run_id: str) -> Overview | None:
        """Return the overview of an ended run; None for one that has not ended, or is not in the index.

        Raises RunNotFound, JournalFailed.
        """
        if self.summary(run_id).status not in ENDED:
            return None
        with contextlib.suppress(FileNotFoundError):
            return self._index.overview(run_id, self._files.stamp(run_id))
        return None

    def status(self, run_id: str) -> RunStatus | None:
        """Return how a run ended, from the index alone; None if the index does not know its present state."""
        row = self._index.find([run_id]).get(run_id)
        with contextlib.suppress(FileNotFoundError):
            if row is not None and row.stamp == self._files.stamp(run_id):
                return row.summary.status
        return None

    def names(self, run_ids: Sequence[str]) -> Mapping[str, str | None]:
        """The names of those of at most `MANY` runs that the index knows; a name never changes."""
        return {run_id: row.summary.name for run_id, row in self._index.find(run_ids).items()}

    def now(self, status: RunStatus) -> float | None:
        """The time up to which a run of this `status` has taken; None if it does not run."""
        return self._clock.now_s() if status is RunStatus.RUNNING else None

    def _summary(
        self, run_id: str, row: EndedRun | None, inside: Mapping[str, str] | None
    ) -> RunSummary | SymphonyError:
        try:
            if row is not None and row.stamp == self._files.stamp(run_id, inside):
                return row.summary
            return self._read_summary(run_id, inside)
        except FileNotFoundError:
            return not_found(run_id)
        except SymphonyError as error:
            return error

    def _read_summary(self, run_id: str, inside: Mapping[str, str] | None) -> RunSummary:
        """From the journal; that of an ended run goes into the index. Raises as `RunFiles.stamp`."""
        stamp = self._files.stamp(run_id, inside)
        shared = segments.is_shared(stamp)
        owned = not shared and self._files.lock(run_id).held()
        meta, replay = self._files.replayed(run_id)
        if shared and replay.ended is None:  # only then it matters, and a run in a segment is read in no time
            owned = self._files.lock(run_id).held()
            meta, replay = self._files.replayed(run_id)
        with journal_errors(self._files.journal_path(run_id)):
            status = status_of(replay, owned=owned)
            found = summary_of(meta, name_of(meta), replay, status, now=self.now(status))
        if replay.ended is not None:
            # How a run went that shares a segment is worked out of its few records in no time.
            told = None if shared else lambda: overview_of(replay)
            self._index.add(EndedRun(stamp, found, told))
        return found

    def add(
        self,
        meta: RunMeta,
        workflow: str,
        replay: RunReplay,
        stamp: str | None = None,
        overview: Callable[[], Overview] | None = None,
    ) -> None:
        """Put a run into the index that has ended in this process. Durable after `flush`.

        `workflow` is the name, `stamp` that of a journal in a segment. `overview` is called when the row
        is written.
        """
        if replay.ended is not None:
            with contextlib.suppress(OSError):  # somebody has moved the home meanwhile
                stamp = stamp or stamp_of(self._files.journal_path(meta.run_id))
                summary = summary_of(meta, workflow, replay, replay.ended[0])
                self._index.add(EndedRun(stamp, summary, overview))

    def forget(self, run_id: str) -> None:
        """Remove a run from the index."""
        self._index.forget(run_id)

    def flush(self) -> None:
        """Write what was added."""
        self._index.flush()

    def close(self) -> None:
        """Let go of the index; it is opened again when it is needed."""
        self._index.close()
