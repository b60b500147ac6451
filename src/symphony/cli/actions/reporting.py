"""Prints the report of `run` and `runs resume` when the run has ended."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from symphony.app import spelling
from symphony.cli.actions import delivery
from symphony.cli.actions.delivery import NOTHING, Delivery
from symphony.cli.console import failures, output
from symphony.cli.views import ending, timeline
from symphony.cli.views.given import with_input_named
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.values import ArtifactRef

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.app.exporting import Export
    from symphony.cli.actions.running import RunOutcome

_ROWS_MAX = 12


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a report: JSON or text, whether it says how to resume the run, whether it has a chart.

    The chart needs the outcome's overview.
    """

    as_json: bool
    resumable: bool = True
    chart: bool = False
    delivery: Delivery = NOTHING

    def after(self, symphony: "Symphony", outcome: "RunOutcome") -> None:
        """Results to stdout; what happened and how to go on to stderr."""
        run, page = outcome.result, failures.page()
        try:
            exports, broken = self._exported(symphony, outcome), None
        except (SymphonyError, OSError) as error:  # told last: the run has gone as it has
            if self.as_json:
                raise
            exports, broken = (), error
            if self.resumable and isinstance(error, SymphonyError) and error.code == "export-failed":
                folder = quote(str(self.delivery.folder))
                once_more = f"symphony runs resume {run.label} --output-dir {folder}"
                error.hint = f"{error.hint}\nto write the files of this run, and run nothing: {once_more}"
        short = None if symphony.home is None else symphony.runs.shorts([run.run_id])[run.run_id]
        if self.as_json:
            files = {} if self.delivery.folder is None else {"files": delivery.files_document(exports)}
            output.say_json(spelling.result(run, short) | files)
        elif run.outputs and run.status is RunStatus.SUCCEEDED:
            self._say_outputs(symphony, run, exports)
        told = run
        if self.resumable and symphony.home is not None:
            told = with_input_named(run, lambda: symphony.recorded(run.run_id).workflow)
        if block := ending.error_text(told, page):
            output.note(block.rstrip())
        if self.chart and outcome.overview is not None:
            look = timeline.look(sys.stderr, rows_max=_ROWS_MAX)
            if text := timeline.text(outcome.overview, look):
                output.note(text.rstrip("\n"))
        took_s = outcome.elapsed_s if run.took_s is None else run.took_s
        output.note(ending.closing_text(run, took_s, page, short))
        if gone := _record_gone(symphony, run.run_id):
            output.note(gone)
        elif self.resumable and (words := ending.advice(run, lambda: symphony.runs.printed(run.run_id))):
            output.note(words)
        if broken is not None:
            raise broken

    def _exported(self, symphony: "Symphony", outcome: "RunOutcome") -> "Sequence[Export]":
        if self.delivery.folder is None:
            return ()
        from symphony.app.exporting import export

        exports = export(
            symphony.artifacts, outcome.artifacts(), outcome.result.outputs, self.delivery.folder,
            overwrite=self.delivery.overwrite,
        )  # fmt: skip
        if not exports:
            self.delivery.nothing_written(outcome.result.status)
        delivery.note_files(exports)
        return exports

    def _say_outputs(self, symphony: "Symphony", run: RunResult, exports: "Sequence[Export]") -> None:
        if self.delivery.output is not None:
            delivery.say_output(symphony.artifacts, run, self.delivery.output)
            return

        def path_of(name: str, ref: ArtifactRef) -> Path | None:
            return delivery.told(ref, exports) or delivery.copied(symphony, name, ref)

        output.say(
            ending.outputs_text(run, path_of, cut=delivery.is_looked_at(), recorded=symphony.home is not None)
        )


def _record_gone(symphony: "Symphony", run_id: str) -> str:
    """Return what to say where the home was moved or removed while the run went on; else empty."""
    if symphony.home is None or symphony.runs.has(run_id):
        return ""
    return (
        f"note: the record of this run is no longer in {output.shown(str(symphony.home))}: "
        "if the folder was moved, name it with SYMPHONY_HOME to see the run again"
    )
