"""`symphony cache`: results that need not be computed again."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup


@click.group("cache", cls=CommandGroup)
def command() -> None:
    """Measure, prune or empty the cache of results."""


@command.command()
@options.as_json()
def size(as_json: bool) -> int:
    """Show how many results are cached, and their size."""
    from symphony.app import Symphony

    kept = Symphony.open().cache.size()
    if as_json:
        output.say_json({"entries": kept.entries, "bytes": kept.bytes})
    else:
        output.say(f"{output.count(kept.entries, 'result')}, {output.size(kept.bytes)}\n")
    return 0


@command.command()
@options.as_json()
def prune(as_json: bool) -> int:
    """Forget results that are beyond the limits of the settings.

    These are max_age and max_count under [retention.cache]; max_total always holds.
    """
    from symphony.app import Symphony

    removed = Symphony.open().prune_cache()
    if as_json:
        output.say_json({"forgotten": removed})
    else:
        output.say(f"{output.count(removed, 'result')} forgotten\n")
    return 0


@command.command()
@options.yes
def clear(yes: bool) -> int:
    """Delete all cached results. Runs and artifacts stay."""
    from symphony.app import Symphony
    from symphony.cli.console import asking, exits

    cache = Symphony.open().cache
    if asking.asks(yes=yes) and (kept := cache.size()).entries:
        what = f"{output.count(kept.entries, 'result')} of {output.size(kept.bytes)}"
        if not asking.agreed(f"forget {what}?"):
            return exits.FAILED
    removed = cache.clear()
    output.say(f"{output.count(removed, 'result')} forgotten\n")
    return 0
