"""`symphony validate`: everything that is wrong with workflow files, at once."""

from pathlib import Path

import click

from symphony.cli.arguments import options


@click.command("validate")
@click.argument("files", nargs=-1, required=True, type=options.PATH, metavar="FILE...")
@options.as_json("Print errors and warnings as one JSON object, or as a list of them for several files.")
@options.operators
def command(files: tuple[Path, ...], as_json: bool, operators: tuple[Path, ...]) -> int:
    """Check workflow files and report every problem.

    FILE may be a folder, for the workflows in it and below, or - for stdin. The exit status
    is 0 if every workflow may run, warnings or not, and 2 otherwise.
    """
    from symphony.cli.actions import validating
    from symphony.cli.arguments.files import catalog_with
    from symphony.cli.arguments.finding import workflow_files

    return validating.validate(workflow_files(files), catalog_with(operators), as_json=as_json)
