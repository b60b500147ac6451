"""`symphony validate`: everything that is wrong with a workflow file, at once."""

import sys
from pathlib import Path

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("validate")
@options.workflow_file
@options.as_json("Print errors and warnings as one JSON object.")
@options.operators
def command(file: Path, as_json: bool, operators: tuple[Path, ...]) -> int:
    """Say everything that is wrong with a workflow file.

    Ends with 0 if it may run (warnings do not matter), with 2 if not.
    """
    from symphony.app import spelling
    from symphony.cli.arguments import files
    from symphony.cli.console import blocks, exits
    from symphony.workflow import check_file, graph

    workflow, report = check_file(file, files.catalog_with(operators))
    if as_json:
        output.say_json(spelling.report(report))
        return exits.OK if report.ok else exits.USAGE
    page = blocks.BlockPage(width=output.width(sys.stdout), colours=output.colourful(sys.stdout))
    source = blocks.SourceText.of(file)
    if report.errors or report.warnings:
        output.say(blocks.report_blocks(report, page, source=source) + "\n")
    warnings = f", {output.count(len(report.warnings), 'warning')}" if report.warnings else ""
    if workflow is None or not report.ok:
        output.say(f"{output.shown(source.name)}: {output.count(len(report.errors), 'error')}{warnings}\n")
        return exits.USAGE
    sizes = (
        output.count(len(workflow.nodes), "node"),
        output.count(len(graph.all_edges(workflow)), "edge"),
        output.count(len(graph.levels(workflow)), "level"),
    )
    output.say(f"{output.shown(source.name)} is valid: {', '.join(sizes)}{warnings}\n")
    return exits.OK
