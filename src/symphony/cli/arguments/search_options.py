"""The options that say which artifacts are meant, for the commands that search."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from symphony.cli.arguments import completing

F = TypeVar("F", bound=Callable[..., Any])

_FILTERS: Final = (
    click.option(
        "--type",
        "types",
        multiple=True,
        metavar="TYPE",
        help="Only of this content type, such as text/markdown, text/* or json; may be repeated.",
    ),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with this tag; may be repeated."),
    click.option(
        "--run",
        "runs",
        multiple=True,
        metavar="RUN",
        shell_complete=completing.runs,
        help="Only from this run; may be repeated.",
    ),
    click.option(
        "--since",
        metavar="WHEN",
        help="Only stored since: an age such as 2h or 7d, or a time such as 2026-01-31T12:00.",
    ),
    click.option("--until", metavar="WHEN", help="Only stored before that; a date counts to its end."),
    click.option("--min-size", metavar="SIZE", help="Only of at least this size, such as 10KB or 1MiB."),
    click.option("--max-size", metavar="SIZE", help="Only of at most this size."),
    click.option(
        "--min-quality",
        type=click.FloatRange(0, 1),
        metavar="Q",
        help="Only of at least this quality, from 0 to 1.",
    ),
)


def filters(function: F) -> F:
    """Add the options to a command."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function
