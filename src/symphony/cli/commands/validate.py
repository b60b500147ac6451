"""`symphony validate`: everything that is wrong with workflow files, at once."""

from pathlib import Path

import click

from symphony.cli.arguments import options


@click.command("validate")
@click.argument("files", nargs=-1, required=True, type=options.PATH, metavar="FILE...")
@options.as_json("Print errors and warnings as one JSON object; for several files, a list of such, by file.")
@options.operators
def command(files: tuple[Path, ...], as_json: bool, operators: tuple[Path, ...]) -> int:
    """Say everything that is wrong with workflow files.

    FILE may be a folder, for the workflows in it and below, or - for stdin. Ends with 0 if all may run
    (warnings do not matter), with 2 if not.
    """
    from symphony.cli.actions import validating
    from symphony.cli.arguments.files import catalog_with
    from symphony.cli.arguments.finding import workflow_files

    return validating.validate(workflow_files(files), catalog_with(operators), as_json=as_json)
