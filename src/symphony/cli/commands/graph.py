"""`symphony graph`: a workflow as text, Mermaid, SVG or JSON."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from symphony.cli.arguments import options
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.cli.drawings.picture import Picture

ENDINGS: Final = {
    "": "text", ".txt": "text", ".mmd": "mermaid", ".mermaid": "mermaid", ".svg": "svg", ".json": "json"
}  # fmt: skip
"""The format that the end of an output's name tells."""


@click.command("graph")
@options.workflow_file
@click.option(
    "--format", "-f", "how", type=click.Choice(["text", "mermaid", "svg"]),
    help="How to draw it; by default as --output's name says (.txt, .mmd, .svg, .json), or else as text.",
)  # fmt: skip
@options.as_json("Print nodes, edges and levels as one JSON object, all of them.")
@options.output
def command(file: Path, how: str | None, as_json: bool, target: Path | None) -> int:
    """Draw a workflow as text, Mermaid or SVG.

    Levels are what can run at the same time. Of large workflows a part is drawn: levels end with a
    box that says how many more nodes there are.
    """
    from symphony.cli.console import writing
    from symphony.cli.console.failures import BadUsage
    from symphony.cli.drawings.picture import picture
    from symphony.workflow import graph, load

    if as_json and how is not None:
        raise BadUsage("--format and --json are two formats", hint="see symphony graph --help")
    how = "json" if as_json else how or _named(target)
    workflow = load(file)
    levels, edges = graph.levels(workflow), graph.all_edges(workflow)
    if how == "json":
        from symphony.cli.drawings.figures import draw_json

        writing.deliver(draw_json(workflow, levels, edges).encode("utf-8", "backslashreplace"), target)
        return 0
    drawn = picture(workflow, levels, edges)
    text = _drawn(drawn, how, to_file=target is not None)
    if not drawn.complete:
        output.note("the workflow is too large to draw whole: some nodes are only counted")
    writing.deliver(text.encode(), target)
    return 0


def _named(target: Path | None) -> str:
    """The format that the name of the output tells. Raises BadUsage for a name that tells another one."""
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
