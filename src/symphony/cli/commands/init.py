"""`symphony init`: a place to begin."""

import os
from pathlib import Path

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@options.as_json("Print what was written as one JSON object.")
def command(folder: Path, as_json: bool) -> int:
    """Start a project: a small workflow and a home for its runs.

    Writes workflow.yaml, the folder .symphony and a line in .gitignore into FOLDER (default: the
    current folder). If there is a workflow.yaml already, it writes nothing and fails.
    """
    from symphony.cli.actions import starting

    begun = starting.begin(folder)
    if as_json:
        output.say_json(
            {"folder": str(folder.absolute()), "written": [str(p.absolute()) for p in begun.written]}
        )
        return 0
    for path in begun.written:
        output.say(f"wrote {output.shown(os.path.relpath(path))}\n")
    into = "" if folder.resolve() == Path.cwd().resolve() else f"cd {output.shown(str(folder))} && "
    output.note(f"next: {into}symphony run {starting.WORKFLOW_NAME} --input who=you")
    return 0
