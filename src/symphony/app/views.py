"""Views of the runs of a home: histories, figures, documents, and runs as they go on."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.app import spelling
from symphony.app.spelling import JSON
from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.insight import Overview
from symphony.ports.runs import RunEvent, RunResult, RunStatus

if TYPE_CHECKING:
    from symphony.pit.tracker.insight.reader import Insight
    from symphony.ports.comparison import RunComparison
    from symphony.ports.metrics import Stats


class HomeViews:
    """`symphony.ports.insight.RunViews` over the journals and the bus of a home.

    What reads workflows and makes histories is imported for views that need it.
    """

    def __init__(self, home: Path, runs: Runs) -> None:
        self._home, self._runs = home, runs

    @cached_property
    def _insight(self) -> "Insight":
        from symphony.pit.tracker.insight.reader import Insight

        return Insight(self._runs)

    def status(self, run_id: str) -> RunStatus:
        """Return where the run stands."""
        return self._runs.status(run_id)

    def result(self, run_id: str) -> RunResult:
        """Return the present state of the run. The nodes of an ended run are read when they are used."""
        return self._runs.result(run_id)

    def overview(self, run_id: str) -> Overview:
        """Return how the run went, in a size that does not grow with its elements."""
        return self._runs.overview(run_id)

    def answered(self, run_id: str) -> Sequence[str]:
        """Return the approvals that have been answered and not been acted on."""
        return self._runs.answered(run_id)

    def document(self, run_id: str) -> dict[str, JSON]:
        """Return all that is known of the run, each step with each attempt. O(steps)."""
        from symphony.app import documents

        run_id = self._runs.find(run_id)
        history, outline = self._insight.history(run_id), self._insight.outline(run_id)
        meta = self._runs.meta(run_id)
        about = documents.of_run(history, outline, meta.source)
        about |= {"user": meta.user or None, "project": meta.project or None, "priority": meta.priority}
        short = self._runs.shorts([run_id])[run_id]
        return spelling.result(self._runs.result(run_id), short) | about

    def stats(
        self,
        run_ids: Iterable[str] | str,
        passed_over: Callable[[SymphonyError], object] = lambda _: None,
    ) -> "Stats":
        """Return the metrics of one run, which is named, or of many together. O(their steps)."""
        if isinstance(run_ids, str):
            return self._insight.stats_of(run_ids)
        return self._insight.stats(run_ids, passed_over)

    def exposition(self, stats: "Stats") -> str:
        """Return the metrics as Prometheus reads them."""
        from symphony.pit.tracker.insight.metrics import exposition

        return exposition(stats)

    def compare(self, run_id: str, other: str) -> "RunComparison":
        """Return what differs between two runs. O(steps)."""
        from symphony.pit.tracker.insight.comparing import compare

        return compare(self._runs, run_id, other)

    def watch(self, run_id: str) -> AsyncIterator[RunEvent]:
        """Return every event of the run, whichever process drives it, from its start and live."""
        from symphony.app import stream

        return stream.watch(self._home, self._runs, self._runs.find(run_id))
