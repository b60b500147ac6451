"""`symphony graph`: a workflow as text, Mermaid or SVG."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import options
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.cli.drawings.picture import Picture


@click.command("graph")
@options.workflow_file
@click.option(
    "--format", "-f", "how", type=click.Choice(["text", "mermaid", "svg"]), default="text", show_default=True,
    help="How to draw it.",
)  # fmt: skip
@options.output
def command(file: Path, how: str, target: Path | None) -> int:
    """Draw a workflow as text, Mermaid or SVG.

    Levels are what can run at the same time. Of large workflows a part is drawn: levels end with a
    box that says how many more nodes there are.
    """
    from symphony.cli.console import writing
    from symphony.cli.drawings.picture import picture
    from symphony.workflow import graph, load

    workflow = load(file)
    drawn = picture(workflow, graph.levels(workflow), graph.all_edges(workflow))
    text = _drawn(drawn, how, to_file=target is not None)
    if not drawn.complete:
        output.note("the workflow is too large to draw whole: some nodes are only counted")
    writing.deliver(text.encode(), target)
    return 0


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
