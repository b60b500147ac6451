"""`symphony pit`: what the runs of a home share, and a process that keeps it between runs."""

from pathlib import Path

import click

from symphony.cli.arguments import options
from symphony.cli.lazy import CommandGroup


@click.group("pit", cls=CommandGroup)
def command() -> None:
    """Show what the runs of a home share, and keep models loaded between runs."""


@command.command()
@click.option("--watch", is_flag=True, help="Show each change, until Ctrl-C.")
@options.as_json("Print one JSON object; with --watch, one a line.")
def status(watch: bool, as_json: bool) -> int:
    """Show the pool of models, the arbiter, shared budgets, artifacts, retention and runs.

    Of the pool: its owner, what is loaded, who uses it, and who waits. With --watch, all of it again whenever
    something has changed.
    """
    from symphony.cli.actions import pits

    if watch:
        pits.watch(as_json=as_json)
    else:
        pits.show(as_json=as_json, whole=True)
    return 0


@command.command()
@options.as_json("Print one JSON array.")
def budgets(as_json: bool) -> int:
    """Show the budgets that runs share: what is spent, reserved and left, and until when."""
    from symphony.cli.actions import sharing

    sharing.show_budgets(as_json=as_json)
    return 0


@command.command()
@options.as_json("Print one JSON object; null if no process has an arbiter.")
@click.option(
    "--replay", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Check that a record in logs/arbiter of the home gives the same decisions again.",
)  # fmt: skip
def arbiter(as_json: bool, replay: Path | None) -> int:
    """Show what is scarce and who holds it, who waits and why, and how fairly users fare."""
    from symphony.cli.actions import sharing

    if replay is not None:
        return sharing.replay(replay, as_json=as_json)
    sharing.show_arbiter(as_json=as_json)
    return 0


@command.command()
@click.option(
    "--keep", type=options.DURATION, default="15m", show_default=True, metavar="DURATION",
    help="How long a model stays loaded that nobody uses, such as 90s or 2h.",
)  # fmt: skip
@click.option(
    "--warm", "warmed", multiple=True, metavar="MODEL", help="Load this model now; may be repeated."
)
def serve(keep: float, warmed: tuple[str, ...]) -> int:
    """Stay, and keep the models of a home loaded between runs, until Ctrl-C or SIGTERM.

    Runs use the models of this process, and ask it for what [arbiter] in the settings limits.
    If a run has these already, this process takes over when that run ends.
    """
    from symphony.cli.actions import pits

    return pits.serve(keep, warmed)
