"""`symphony convert`: a workflow in another format, losing nothing but comments."""

from pathlib import Path

import click

from symphony.cli import options

FORMATS = ("yaml", "toml", "json", "pretty-json", "msgpack", "bincode")
BINARY = ("msgpack", "bincode")


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
    from symphony.workflow import dumps, load, loads

    workflow = load(file) if source is None else loads(file.read_bytes(), source)
    writing.deliver(dumps(workflow, to), target, binary=to in BINARY)
    return 0
