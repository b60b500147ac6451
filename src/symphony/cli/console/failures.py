"""Reports of commands that could not do their work: one block, or JSON, and an exit status."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import msgspec

from symphony.app import spelling
from symphony.cli.console import blocks, exits, output
from symphony.commons.errors import IoFailed, SymphonyError
from symphony.workflow.problems import Problem, ValidationReport


class CommandRefused(SymphonyError):
    """The workflow or what was typed is not acceptable; `report` says all that is wrong in `source`."""

    code = "workflow-invalid"

    def __init__(self, report: ValidationReport, source: blocks.SourceText | None = None) -> None:
        super().__init__("the workflow is not valid")
        self.report, self.source = report, source


class BadUsage(SymphonyError):
    """The arguments make no sense to this command."""

    code = "bad-usage"


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """The form of failures: with JSON on stdout, with tracebacks."""

    json: bool = False
    debug: bool = False


def page() -> blocks.BlockPage:
    """Return the page that stderr is."""
    return blocks.BlockPage(width=output.width(sys.stderr), colours=output.colourful(sys.stderr))


def explain(error: Exception, manner: Manner) -> int:
    """Print `error` as people (stderr) and programs (stdout) need it; return the exit status."""
    if manner.debug:
        output.note(output.shown("".join(traceback.format_exception(error)), lines=True).rstrip())
    if isinstance(error, OSError):
        error = _of_system(error)
    if not isinstance(error, SymphonyError):
        return _bug(error, manner)
    report = problems_of(error)
    if report is not None:
        return refuse(report, manner, source=_source_of(error))
    output.note(blocks.error_block(error.code, error.message, page(), hint=error.hint).rstrip())
    if manner.json:
        output.say_json(spelling.refusal(error.code, error.message, error.hint or ""))
    return exits.of_code(error.code)


def refuse(report: ValidationReport, manner: Manner, *, source: blocks.SourceText | None = None) -> int:
    """Print what is wrong with a workflow or with what was typed; return the exit status."""
    output.note(blocks.report_blocks(report, page(), source=source).rstrip())
    if manner.json:
        output.say_json(spelling.report(report))
    return exits.USAGE


def warn(report: ValidationReport, path: Path) -> None:
    """Print the warnings on a workflow that is going to run."""
    if report.warnings:
        output.note(blocks.warning_lines(report, source=blocks.SourceText.named(path)).rstrip())


def warn_of_unhidden(names: Sequence[str]) -> None:
    """Say which secrets of a run that has begun are not hidden."""
    if names:
        why = "fewer than 6 characters, or part of a variable's name"
        output.note(
            f"warning: too short to be hidden ({why}): {', '.join(names)}. "
            "Logs, the journal and artifacts show what holds it"
        )


def warn_of_unset(names: Sequence[str]) -> None:
    """Say which variables of a run that has begun are not set, where that may go unnoticed."""
    if names:
        output.note(
            f"warning: not set: {', '.join(names)}. Commands and texts that read it get `null`: "
            f"set it, or test env.{names[0]} != null"
        )


def problems_of(error: SymphonyError) -> ValidationReport | None:
    """Return the problems that `error` carries, if it is of a kind that does."""
    report = getattr(error, "report", None)
    if isinstance(report, ValidationReport):
        return report
    problems = getattr(error, "problems", None)
    if isinstance(problems, tuple | list) and problems and all(isinstance(p, Problem) for p in problems):
        return ValidationReport(errors=tuple(problems))
    return None


def _source_of(error: SymphonyError) -> blocks.SourceText | None:
    """Return the text that an error with a report is about. Inputs come from the command line: no text."""
    if isinstance(error, CommandRefused):
        return error.source
    if error.code == "input-invalid":
        return None
    named = getattr(error, "path", None) or getattr(error, "source", None)
    return blocks.SourceText.of(Path(named)) if isinstance(named, str | Path) else None


def _of_system(error: OSError) -> SymphonyError:
    """Return the operating system's refusals that people can do something about, in our words."""
    if isinstance(error, output.StdoutFailed):
        return IoFailed.of(error, "write to stdout", hint="a run is not lost: `symphony runs show` has it")
    about = f" {error.filename}" if error.filename is not None else ""
    if isinstance(error, FileNotFoundError) and not about and not _is_somewhere():
        return SymphonyError("the current folder is not there any more", code="file-not-found",
                             hint="cd to a folder that exists")  # fmt: skip
    if isinstance(error, FileNotFoundError):
        return SymphonyError(f"there is no file{about}", code="file-not-found", hint="check the path")
    if isinstance(error, PermissionError):
        return SymphonyError(f"may not touch{about or ' a file'}: {error.strerror}", code="file-unreadable",
                             hint="check its owner and mode, and those of the folders above")  # fmt: skip
    return IoFailed.of(
        error, f"use{about}" if about else "go on", hint="`symphony doctor` looks for the usual causes"
    )


def _is_somewhere() -> bool:
    """True if there is a current folder, which may have been deleted."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _bug(error: Exception, manner: Manner) -> int:
    message = f"{type(error).__name__}: {error}"
    hint = "this is a bug in Symphony; the same command with --debug shows where"
    output.note(blocks.error_block("internal", message, page(), hint=hint).rstrip())
    if manner.json:
        output.say_json(spelling.refusal("internal", message, hint))
    return exits.BUG
