"""What `run` and `runs resume` print when the run has ended."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symphony.app import spelling
from symphony.cli.console import failures, output
from symphony.cli.views import ending, timeline
from symphony.ports.runs import RunStatus

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.cli.actions.running import RunOutcome

_ROWS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How to report: JSON, whether a run can be resumed afterwards, how it went as a chart.

    The chart needs the outcome's overview.
    """

    as_json: bool
    resumable: bool = True
    chart: bool = False

    def after(self, symphony: "Symphony", outcome: "RunOutcome") -> None:
        """Results to stdout; what happened and how to go on to stderr."""
        run, page = outcome.result, failures.page()
        if self.as_json:
            output.say_json(spelling.result(run))
        elif run.outputs and run.status is RunStatus.SUCCEEDED:
            output.say(ending.outputs_text(run, symphony.artifacts.path))
        if block := ending.error_text(run, page):
            output.note(block.rstrip())
        if self.chart and outcome.overview is not None:
            look = timeline.look(sys.stderr, rows_max=_ROWS_MAX)
            if text := timeline.text(outcome.overview, look):
                output.note(text.rstrip("\n"))
        output.note(ending.closing_text(run, outcome.elapsed_s if run.took_s is None else run.took_s, page))
        if gone := _record_gone(symphony, run.run_id):
            output.note(gone)
        elif self.resumable and (words := ending.advice(run)):
            output.note(words)


def _record_gone(symphony: "Symphony", run_id: str) -> str:
    """What to say where the home was moved or removed while the run went on; else empty."""
    if symphony.home is None or symphony.runs.has(run_id):
        return ""
    return (
        f"note: the record of this run is no longer in {output.shown(str(symphony.home))}: "
        "if the folder was moved, name it with SYMPHONY_HOME to see the run again"
    )
