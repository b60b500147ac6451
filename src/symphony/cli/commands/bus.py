"""`symphony bus`: live traffic between the processes of one home."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup


@click.group("bus", cls=CommandGroup)
def command() -> None:
    """Watch and measure the live traffic between the processes of one home."""


@command.command()
@click.argument("pattern", default=">")
@click.option("--count", "-n", type=click.IntRange(1), help="Stop after this many events.")
@options.as_json("Print one JSON object a line.")
def tap(pattern: str, count: int | None, as_json: bool) -> int:
    """Show events as they are published, until Ctrl-C.

    In PATTERN `*` is one token and a final `>` the rest: `run.>`, `run.*.node.failed`. You may start
    it before there is anything to show.
    """
    from symphony.cli.actions import bus_taps

    return bus_taps.tap(pattern, count, as_json=as_json)


@command.command()
@click.argument("endpoint")
@click.option(
    "--count",
    "-n",
    type=click.IntRange(1, 100_000),
    default=10,
    show_default=True,
    help="How many round trips.",
)
@click.option(
    "--size",
    type=click.IntRange(0, 1 << 20),
    default=0,
    show_default=True,
    help="How many bytes to send along.",
)
@options.as_json()
def ping(endpoint: str, count: int, size: int, as_json: bool) -> int:
    """Measure round trips to ENDPOINT: `bus` is the hub, `run.ID` the process of a run."""
    from symphony.cli.actions import bus_taps

    return bus_taps.ping(endpoint, count, size, as_json=as_json)


@command.command()
@click.option("--prometheus", is_flag=True, help="Print the Prometheus text format: counters only.")
@click.option(
    "--over", type=click.FloatRange(0.1, 3600.0), default=1.0,
    show_default=True, help="How many seconds to measure rates for.",
)  # fmt: skip
@options.as_json()
def stats(prometheus: bool, over: float, as_json: bool) -> int:
    """Show counts of events, requests, drops, endpoints and mailboxes, and the present rates."""
    from symphony.cli.actions import bus_taps
    from symphony.cli.console.failures import BadUsage

    if prometheus and as_json:
        raise BadUsage("--prometheus and --json are two formats", hint="see symphony bus stats --help")
    output.say(bus_taps.stats("prometheus" if prometheus else "json" if as_json else "text", over))
    return 0
