"""`symphony validate`: everything that is wrong with workflow files, at once."""

from pathlib import Path

import click

from symphony.cli.arguments import options


@click.command("validate")
@click.argument("files", nargs=-1, type=options.PATH, metavar="[FILE]...")
@options.as_json("Print errors and warnings as one JSON object, or as a list of them for several files.")
@options.operators
@click.option(
    "--watch", is_flag=True,
    help="Stay, and validate again when a file changes, or a sub-workflow, template or file of operators.",
)  # fmt: skip
def command(files: tuple[Path, ...], as_json: bool, operators: tuple[Path, ...], watch: bool) -> int:
    """Check workflow files and report every problem.

    FILE may be a folder, for the workflows in it and below, or - for stdin. Without FILE it is
    workflow.yaml here (or of another format), or the only workflow here. The exit status
    is 0 if every workflow may run, warnings or not, and 2 otherwise. With --watch it goes on
    until Ctrl-C (130), and --json prints one object on a line for each round.
    """
    from symphony.cli.actions import validating
    from symphony.cli.arguments.files import catalog_with
    from symphony.cli.arguments.finding import workflow_files, workflow_here

    files = files or (workflow_here(None),)
    if watch:
        from symphony.cli.actions import validating_again

        validating_again.watch(files, catalog_with(()), operators, as_json=as_json)
    return validating.validate(workflow_files(files), catalog_with(operators), as_json=as_json)
