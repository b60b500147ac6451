"""`symphony graph`: a workflow as text, Mermaid, SVG or JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.cli.arguments.files import CheckedFile
    from symphony.cli.drawings.picture import Picture
    from symphony.ports.insight import Overview
    from symphony.workflow.nesting import Nested

ENDINGS: Final = {
    "": "text", ".txt": "text", ".mmd": "mermaid", ".mermaid": "mermaid", ".svg": "svg", ".json": "json"
}  # fmt: skip
"""The format that the end of an output's name tells."""


@click.command("graph")
@click.argument("file", type=options.PATH, required=False)
@click.option("--run", "run", shell_complete=completing.runs, metavar="RUN",
              help="Draw the workflow of this run, and how each node went, in place of a file.")  # fmt: skip
@click.option(
    "--format", "-f", "how", type=click.Choice(["text", "mermaid", "svg"]),
    help="The format. By default the extension of --output (.txt, .mmd, .svg, .json), or text.",
)  # fmt: skip
@click.option("--depth", type=click.IntRange(0, 20), metavar="N", default=3, show_default=True,
              help="How many levels of loops and sub-workflows to open; 0 leaves them closed.")  # fmt: skip
@options.operators
@options.as_json("Print all nodes, edges and levels as one JSON object.")
@options.output
def command(
    file: Path | None, run: str | None, how: str | None, depth: int, operators: tuple[Path, ...],
    as_json: bool, target: Path | None,
) -> int:  # fmt: skip
    """Draw a workflow, or how a run of it went, as text, Mermaid or SVG.

    Nodes on one level can run at the same time. Loops and sub-workflows show the graphs inside them.
    FILE may be - for stdin. Without it, workflow.yaml here is drawn (or one of another format), or the
    only workflow here. A workflow with errors is drawn as far as possible, then the errors are listed,
    and the exit status is 2, like that of `symphony validate`.
    A large workflow is drawn in part: a box at the end of a level says how many nodes are left out.
    """
    from symphony.cli.console import writing
    from symphony.cli.console.failures import BadUsage
    from symphony.cli.drawings.picture import picture_of

    if as_json and how is not None:
        raise BadUsage("--format and --json are two formats", hint="see symphony graph --help")
    how = "json" if as_json else how or _named(target)
    nested, overview, found = _asked(file, run, operators)
    if how == "json":
        from symphony.cli.drawings.figures import draw_json

        report = None if found is None else found.report
        text = draw_json(nested, depth=depth, overview=overview, report=report)
        writing.deliver(text.encode("utf-8", "backslashreplace"), target)
        return _status(found)
    drawn = picture_of(nested, depth=depth, overview=overview)
    text = _drawn(drawn, how, to_file=target is not None)
    if not drawn.complete:
        output.note("the workflow is too large to draw whole: some nodes are only counted")
    writing.deliver(text.encode(), target)
    return _status(found)


def _status(found: "CheckedFile | None") -> int:
    """Say what is wrong with the file that was drawn; the exit status."""
    from symphony.cli.console import exits, failures

    if found is None or found.report.ok:
        return exits.OK
    output.flush()
    return failures.refuse(found.report, failures.Manner(), source=found.source)


def _asked(
    file: Path | None, run: str | None, operators: Sequence[Path]
) -> "tuple[Nested, Overview | None, CheckedFile | None]":
    """Return what is to be drawn: the workflow of a file, or that of a run and how it went.

    Raises BadUsage, CommandRefused for a file of which nothing can be drawn.
    """
    from symphony.cli.console.failures import BadUsage

    if file is not None and run is not None:
        raise BadUsage("name a workflow file or --run RUN, one of them", hint="see symphony graph --help")
    if run is None:
        from symphony.cli.arguments.files import catalog_with, checked
        from symphony.cli.arguments.finding import workflow_here
        from symphony.workflow.nesting import Nested

        found = checked(workflow_here(file), catalog_with(operators))
        return Nested(found.workflow, found.resolver), None, found
    from symphony.app import Symphony

    symphony = Symphony.open()
    run_id = symphony.runs.find(run)
    return symphony.recorded(run_id), symphony.views.overview(run_id), None


def _named(target: Path | None) -> str:
    """Return the format that the name of the output tells. Raises BadUsage for a name that tells
    another one.
    """
    from symphony.cli.console.failures import BadUsage

    if target is None:
        return "text"
    if (how := ENDINGS.get(target.suffix.lower())) is None:
        raise BadUsage(
            f"graphs are not drawn as {target.suffix}",
            hint="name a file that ends in .txt, .mmd, .svg or .json, or say --format",
        )
    return how


def _drawn(drawn: "Picture", how: str, *, to_file: bool) -> str:
    match how:
        case "mermaid":
            from symphony.cli.drawings.mermaid import draw_mermaid

            return draw_mermaid(drawn)
        case "svg":
            from symphony.cli.drawings.svg import draw_svg

            return draw_svg(drawn)
    from symphony.cli.drawings.text import draw_text

    wide = output.width(sys.stdout) if output.is_terminal(sys.stdout) and not to_file else 160
    return draw_text(drawn, width=wide, unicode=to_file or output.unicode_capable(sys.stdout))
