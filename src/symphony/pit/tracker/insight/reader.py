"""Histories, outlines and metrics of the runs under a home, made from their journals. Blocking."""

from collections.abc import Callable, Iterable

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.metrics import measure
from symphony.pit.tracker.insight.outline import Outline
from symphony.pit.tracker.store.documents import workflow_of
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.metrics import Stats


class Insight:
    """Looks at finished and running runs alike; changes nothing."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def history(self, run_id: str) -> History:
        """Return what has happened so far. Raises RunNotFound, JournalFailed."""
        return History(self._runs.events(run_id))

    def outline(self, run_id: str) -> Outline:
        """The workflow and its sub-workflows, as they were recorded at the start. Raises as `history`."""
        meta = self._runs.meta(run_id)
        with journal_errors(self._runs.journal_path(run_id)):
            return Outline(workflow_of(meta.workflow), meta.recorded())

    def stats(
        self, run_ids: Iterable[str], passed_over: Callable[[SymphonyError], object] = lambda _: None
    ) -> Stats:
        """Return the metrics of these runs together. Unreadable journals are passed to `passed_over`."""
        total = Stats()
        for run_id in run_ids:
            try:
                total.merge(self.stats_of(run_id))
            except SymphonyError as error:
                passed_over(error)
        return total

    def stats_of(self, run_id: str) -> Stats:
        """The metrics of one run. Raises RunNotFound, JournalFailed."""
        return measure(self.history(run_id), self.outline(run_id), str(self._runs.status(run_id)))
