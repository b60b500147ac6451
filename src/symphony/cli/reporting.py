"""What `run` and `runs resume` print when the run has ended."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symphony.cli import ending, failures, output, spelling, timeline
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunStatus

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.cli.running import Outcome
    from symphony.pit.tracker.core.structure import SubWorkflows
    from symphony.workflow import Workflow

_ROWS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How to report: JSON, whether a run can be resumed afterwards, how it went as a chart.

    The chart needs the outcome's events; `workflow` is what ran, where the home does not tell. With
    `children`, which finds its sub-workflows, the home is not asked.
    """

    as_json: bool
    resumable: bool = True
    chart: bool = False
    workflow: "Workflow | None" = None
    children: "SubWorkflows | None" = None

    def after(self, symphony: "Symphony", outcome: "Outcome") -> None:
        """Results to stdout; what happened and how to go on to stderr."""
        run, page = outcome.result, failures.page()
        if self.as_json:
            output.say_json(spelling.result(run))
        elif run.outputs and run.status is RunStatus.SUCCEEDED:
            output.say(ending.outputs_text(run, symphony.artifacts.path))
        if block := ending.error_text(run, page):
            output.note(block.rstrip())
        if self.chart and outcome.events:
            self._chart(symphony, outcome)
        output.note(ending.closing_text(run, outcome.elapsed_s, page))
        if gone := _record_gone(symphony, run.run_id):
            output.note(gone)
        elif self.resumable and (words := ending.advice(run)):
            output.note(words)

    def _chart(self, symphony: "Symphony", outcome: "Outcome") -> None:
        from symphony.pit.tracker.insight.history import History
        from symphony.pit.tracker.insight.outline import Outline
        from symphony.pit.tracker.insight.reader import Insight
        from symphony.workflow import Workflow

        outline = Outline(self.workflow or Workflow(name=""), self.children)
        if symphony.home is not None and self.children is None:
            # Somebody may have moved or removed the home meanwhile: what happened is in memory, too.
            with suppress(SymphonyError, OSError):
                outline = Insight(symphony.runs).outline(outcome.result.run_id)
        seen = timeline.Seen(History(outcome.events), outline)
        if text := timeline.text(seen, timeline.look(sys.stderr, rows_max=_ROWS_MAX)):
            output.note(text.rstrip("\n"))


def _record_gone(symphony: "Symphony", run_id: str) -> str:
    """What to say where the home was moved or removed while the run went on; else empty."""
    if symphony.home is None or symphony.runs.has(run_id):
        return ""
    return (
        f"note: the record of this run is no longer in {output.shown(str(symphony.home))}: "
        "if the folder was moved, name it with SYMPHONY_HOME to see the run again"
    )
