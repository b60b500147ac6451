"""`symphony fmt`: workflow files in their canonical layout."""

from pathlib import Path

import click

from symphony.cli.arguments import options


@click.command("fmt")
@click.argument("files", nargs=-1, type=options.PATH, metavar="[FILE]...")
@click.option("--check", is_flag=True, help="Change nothing; end with 1 if a file would be changed.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would be changed.")
def command(files: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Put workflow files into their canonical layout.

    Keys get their usual order, levels two blanks, and comments stay with what they belong to. The names
    of inputs, nodes and ports keep their order. A file changes as a whole or not at all, and only if it
    means the same afterwards; its line ends and byte order mark stay. FILE may be a folder, for the
    workflows in it and below, or - for stdin, whose layout goes to stdout. Without FILE it is
    workflow.yaml here (or of another format), or the only workflow here. Ends with 2 if a file cannot be
    read or laid out.
    """
    from symphony.cli.actions import formatting
    from symphony.cli.arguments.finding import workflow_files, workflow_here

    files = files or (workflow_here(None),)
    return formatting.format_files(workflow_files(files), check=check, diff=diff)
