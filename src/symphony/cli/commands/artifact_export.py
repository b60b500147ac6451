"""`symphony artifacts export`: artifacts as a data set."""

import sys
from pathlib import Path
from typing import Final

import click

from symphony.cli.arguments import options, search_options
from symphony.cli.console import output


@click.command()
@click.option("--query", default="", metavar="QUERY", help="Only what this finds; as for artifacts search.")
@search_options.filters
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet"]),
    help="Default: by the extension of --output, else jsonl.",
)
@options.output
@click.option(
    "--inline",
    default="1MiB",
    show_default=True,
    metavar="SIZE",
    help="The largest text that is put into its row; a larger one, and what is no text, is a file beside.",
)
@options.as_json("Print how much was written, as one JSON object.")
def export(
    query: str,
    types: tuple[str, ...],
    tags: tuple[str, ...],
    runs: tuple[str, ...],
    since: str | None,
    until: str | None,
    min_size: str | None,
    max_size: str | None,
    min_quality: float | None,
    form: str | None,
    target: Path | None,
    inline: str,
    as_json: bool,
) -> int:
    """Write artifacts as a data set: a row for each, with its text and where it came from.

    A row has digest, size, type, name, version, tags, notes, quality, ratings, and which run, node, operator,
    model, inputs and parameters made it. Contents that are no short text are files in the folder
    OUTPUT.files, whose path is in the row. Without --output, the rows go to stdout and no files are written.
    """
    from symphony.app import Symphony
    from symphony.app.datasets import DatasetExporter
    from symphony.cli.arguments import searches
    from symphony.cli.console.failures import BadUsage

    chosen = searches.dataset_format(form, target)
    if target is None and (chosen == "parquet" or as_json):
        raise BadUsage("this needs --output", hint="name a file: --output artifacts.parquet")
    symphony = Symphony.open()
    request = searches.request(
        query, types=types, tags=tags, runs=runs, since=since, until=until, min_size=min_size,
        max_size=max_size, min_quality=min_quality, sort="oldest", limit=1, now=symphony.parts.clock.now_s,
    )  # fmt: skip
    exporter = DatasetExporter(symphony.artifacts, symphony.searching)
    inline_bytes = searches.size(inline, "--inline")
    written = exporter.export(
        request, sys.stdout.buffer if target is None else target, form=chosen, inline_bytes=inline_bytes,
        progress=lambda rows: None if rows % _RECORDED else symphony.artifacts.log_reads(forget=True),
    )  # fmt: skip
    symphony.artifacts.log_reads(forget=True)
    output.flush()
    if as_json:
        output.say_json(
            {"output": str(target), "rows": written.rows, "texts": written.texts, "files": written.files}
        )
    elif target is not None:
        beside = f", {output.count(written.files, 'file')} beside" if written.files else ""
        output.note(f"{output.count(written.rows, 'artifact')} to {output.shown(str(target))}{beside}")
    return 0


_RECORDED: Final = 1_000
"""After so many artifacts were read, that is recorded."""
COMMANDS: Final = (export,)
