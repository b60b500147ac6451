"""What `run` and `runs resume` print when the run has ended."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from symphony.cli import ending, failures, output, spelling
from symphony.ports.runs import RunStatus

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.cli.running import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How to report: JSON, and whether a run can be resumed afterwards."""

    as_json: bool
    resumable: bool = True

    def after(self, symphony: "Symphony", outcome: "Outcome") -> None:
        """Results to stdout; what happened and how to go on to stderr."""
        run, page = outcome.result, failures.page()
        if self.as_json:
            output.say_json(spelling.result(run))
        elif run.outputs and run.status is RunStatus.SUCCEEDED:
            output.say(ending.outputs_text(run, symphony.artifacts.path))
        if block := ending.error_text(run, page):
            output.note(block.rstrip())
        output.note(ending.closing_text(run, outcome.elapsed_s, page))
        if self.resumable and (words := ending.advice(run)):
            output.note(words)
