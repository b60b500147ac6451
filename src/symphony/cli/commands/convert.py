"""`symphony convert`: a workflow in another format, losing nothing but comments."""

from pathlib import Path

import click

from symphony.cli import options

FORMATS = ("yaml", "json", "pretty-json", "toml")
"""A test holds them equal to those that `symphony.workflow` knows."""
BYTES_MAX = 64 * 1024 * 1024


@click.command("convert")
@options.workflow_file
@click.option(
    "--from", "source", type=click.Choice(FORMATS), help="Its format; by default from the file's name."
)
@click.option("--to", type=click.Choice(FORMATS), required=True, help="The format to write.")
@options.output
def command(file: Path, source: str | None, to: str, target: Path | None) -> int:
    """Write a workflow in another format.

    The structure is checked, the meaning is not: operators and models need not be known here.
    Comments and the order of keys are not kept.
    """
    from symphony.cli import writing
    from symphony.commons.filesystem import read_bounded
    from symphony.workflow import dumps, load, loads

    workflow = load(file) if source is None else loads(read_bounded(file, BYTES_MAX), source)
    writing.deliver(dumps(workflow, to), target)
    return 0
