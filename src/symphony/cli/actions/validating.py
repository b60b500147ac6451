"""Checking workflow files and saying what was found: for one file, or for many."""

import sys
from pathlib import Path

import msgspec

from symphony.app import spelling
from symphony.cli.arguments.files import others_named, resolver
from symphony.cli.arguments.finding import Named, stdin_body
from symphony.cli.console import blocks, exits, output
from symphony.cli.console.blocks import STDIN
from symphony.commons.errors import SymphonyError
from symphony.workflow import Resolver, ValidationReport, Workflow, check_file, graph
from symphony.workflow.catalog import Catalog
from symphony.workflow.files import check_bytes


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a file, for people and for programs."""

    ok: bool
    text: str
    document: dict[str, spelling.JSON]


def validate(named: Named, catalog: Catalog, *, as_json: bool) -> int:
    """Check each file and print what was found; the exit status.

    Raises SymphonyError where there is one file and it cannot be read.
    """
    if named.one:
        found = [_verdict(named.files[0], catalog, resolver(named.files[0]))]
        if as_json:
            output.say_json(found[0].document)
        else:
            output.say(found[0].text)
    else:
        found = [verdict_told(path, catalog, resolver(path), as_json=as_json) for path in named.files]
        _tell_all(found, as_json=as_json)
    return exits.OK if all(one.ok for one in found) else exits.USAGE


def _tell_all(found: list[FileVerdict], *, as_json: bool) -> None:
    if as_json:
        output.say_json([one.document for one in found])
        return
    valid = sum(one.ok for one in found)
    told = f"{valid:,} valid" + (f", {len(found) - valid:,} with errors" if valid < len(found) else "")
    output.say(f"{output.count(len(found), 'file')}: {told}\n")


def verdict_told(path: Path, catalog: Catalog, resolve: Resolver, *, as_json: bool) -> FileVerdict:
    """Return the verdict on one of several files, printed at once for people. Raises nothing."""
    try:
        found = _verdict(path, catalog, resolve)
    except SymphonyError as error:
        found = refused(error, path)
    if not as_json:
        output.say(found.text)
    name = blocks.SourceText.named(path).name
    return FileVerdict(ok=found.ok, text="", document={"file": name, **found.document})


def refused(error: SymphonyError, path: Path) -> FileVerdict:
    """Return the verdict on a file that cannot be read."""
    text = blocks.error_block(error.code, error.message, _page(), hint=error.hint) + "\n"
    refusal = spelling.refusal(error.code, error.message, error.hint or "")
    document = {"file": blocks.SourceText.named(path).name, **refusal}
    return FileVerdict(ok=False, text=text, document=document)


def _verdict(path: Path, catalog: Catalog, resolve: Resolver) -> FileVerdict:
    if path == STDIN:
        body = stdin_body()
        workflow, report = check_bytes(body, path, catalog, resolve)
        source = blocks.SourceText.of_stdin(body)
    else:
        with others_named(path):
            workflow, report = check_file(path, catalog, resolve)
        source = blocks.SourceText.of(path)
    return FileVerdict(ok=report.ok, text=_text(workflow, report, source), document=spelling.report(report))


def _text(workflow: Workflow | None, report: ValidationReport, source: blocks.SourceText) -> str:
    """Return the problems, and a last line with what the file comes to."""
    problems = ""
    if report.errors or report.warnings:
        problems = blocks.report_blocks(report, _page(), source=source) + "\n"
    warnings = f", {output.count(len(report.warnings), 'warning')}" if report.warnings else ""
    if workflow is None or not report.ok:
        found = output.count(len(report.errors), "error")
        return f"{problems}{output.shown(source.name)}: {found}{warnings}\n"
    sizes = (
        output.count(len(workflow.nodes), "node"),
        output.count(len(graph.all_edges(workflow)), "edge"),
        output.count(len(graph.levels(workflow)), "level"),
    )
    return f"{problems}{output.shown(source.name)} is valid: {', '.join(sizes)}{warnings}\n"


def _page() -> blocks.BlockPage:
    return blocks.BlockPage(width=output.width(sys.stdout), colours=output.colourful(sys.stdout))
