"""`symphony convert`: a workflow in another format, losing nothing but comments."""

from pathlib import Path

import click

from symphony.cli.arguments import options

FORMATS = ("yaml", "json", "pretty-json", "toml", "msgpack", "bincode")
"""A test holds them equal to those that `symphony.workflow` knows."""
BINARY = ("msgpack", "bincode")
BYTES_MAX = 64 * 1024 * 1024


@click.command("convert")
@options.workflow_file
@click.option(
    "--from", "source", type=click.Choice(FORMATS),
    help="The input's format. By default its extension or its content tells.",
)  # fmt: skip
@click.option(
    "--to",
    type=click.Choice(FORMATS),
    help="The format to write. By default the extension of --output tells.",
)
@click.option(
    "--zstd/--no-zstd", "compressed", default=None,
    help="Compress with Zstandard. This is the default if --output ends in .zst.",
)  # fmt: skip
@options.output
def command(
    file: Path, source: str | None, to: str | None, compressed: bool | None, target: Path | None
) -> int:
    """Write a workflow in another format.

    FILE may be - for stdin. Checks the structure but not the meaning, so operators and models need not
    be known here.
    Comments and the order of keys are lost. Compressed input is recognised by its content.
    """
    from symphony.cli.arguments.finding import stdin_body
    from symphony.cli.console import writing
    from symphony.cli.console.blocks import STDIN
    from symphony.commons.filesystem import read_bounded
    from symphony.workflow import dumps, load, loads
    from symphony.workflow.files import format_of_bytes

    to = to or _named(target)
    body = stdin_body() if file == STDIN else None if source is None else read_bounded(file, BYTES_MAX)
    if body is None:
        workflow = load(file)
    else:
        workflow = loads(body, source or format_of_bytes(file, body).name)
    if compressed is None:
        compressed = target is not None and target.name.lower().endswith(".zst")
    made = dumps(workflow, to, compressed=compressed)
    writing.deliver(made, target, binary=compressed or to in BINARY)
    return 0


def _named(target: Path | None) -> str:
    """Return the format that the extension of the output names. Raises BadUsage without an output,
    UnknownFormat.
    """
    from symphony.cli.console.failures import BadUsage
    from symphony.workflow.documents import format_of

    if target is None:
        raise BadUsage("no format is named", hint=f"give --to {' or '.join(FORMATS)}, or --output FILE")
    return format_of(target).name
