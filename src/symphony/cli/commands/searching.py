"""`symphony artifacts search|rate|index`: finding artifacts, and saying how good they are."""

from typing import Final

import click

from symphony.cli.arguments import options, search_options
from symphony.cli.console import output

_NICE: Final = 10
SORTINGS: Final = ("score", "newest", "oldest", "largest", "smallest", "quality")


@click.command()
@click.argument("query", nargs=-1)
@search_options.filters
@click.option("--sort", type=click.Choice(SORTINGS), help="Default: score with a QUERY, else newest.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=20,
    show_default=True,
    help="Show at most this many.",
)
@click.option("--wait", is_flag=True, help="Bring the index up to date first, however long that takes.")
@options.as_json()
def search(
    query: tuple[str, ...],
    types: tuple[str, ...],
    tags: tuple[str, ...],
    runs: tuple[str, ...],
    since: str | None,
    until: str | None,
    min_size: str | None,
    max_size: str | None,
    min_quality: float | None,
    sort: str | None,
    limit: int,
    wait: bool,
    as_json: bool,
) -> int:
    """Find artifacts by their text and what is known of them, best first.

    All words of QUERY must be there: `near duplicate`; one behind the other in quotes: '"near duplicate"'.
    `apple OR pear`, `apple -pear`, `dupl*`, `te?t`, `roam~` for misspelt words; `request` finds
    `parseHttpRequest`, too. Fields: text, identifier, name, type, tag, run, node, port, operator, model,
    parameter, note, digest, size, created, quality, rating, uses, as in `type:text/markdown tag:report`,
    `size:>10MB`, `created:2026-01`. Without QUERY the options decide alone.
    """
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments import searches
    from symphony.cli.views import found as view

    symphony = Symphony.open()
    request = searches.request(
        " ".join(query), types=types, tags=tags, runs=runs, since=since, until=until, min_size=min_size,
        max_size=max_size, min_quality=min_quality, sort=sort, limit=limit, now=symphony.parts.clock.now_s,
    )  # fmt: skip
    results = symphony.searching.search(request, complete=wait)
    if as_json:
        output.say_json(spelling.search_results(results))
        return 0
    if results.hits:
        output.say(view.results_text(results))
    if results.total > len(results.hits) or not results.hits:
        output.note(view.count_text(results))
    if query and not results.hits and not symphony.searching.texts:
        output.note(view.WORDLESS)
    if results.partial:
        output.note(view.partial_text(results))
    return 0


@click.command()
@options.artifact_argument
@click.argument("score", required=False, type=click.FloatRange(0, 1))
@click.option("--note", default="", metavar="TEXT", help="Why; search finds it.")
@click.option("--as", "rater", metavar="NAME", help="Who rates. Default: your user name.")
@click.option("--withdraw", is_flag=True, help="Take your rating back.")
@options.as_json("Print what is known of the artifact, its ratings included.")
def rate(
    artifact: str, score: float | None, note: str, rater: str | None, withdraw: bool, as_json: bool
) -> int:
    """Say how good an artifact is, from 0 to 1.

    Your newest rating counts, and is part of the artifact's quality.
    """
    import getpass

    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.console.failures import BadUsage
    from symphony.ports.artifacts import Rating

    if (score is None) != withdraw:
        raise BadUsage(
            "give either SCORE or --withdraw", hint="such as symphony artifacts rate report.md 0.8"
        )
    symphony = Symphony.open()
    record = found(symphony.artifacts, artifact)
    by = rater if rater is not None else getpass.getuser()
    rating = Rating(score=score, by=by, note=note, name=artifact, at=symphony.parts.clock.now_s())
    symphony.artifacts.rate(record.digest, rating)
    if as_json:
        output.say_json(spelling.artifact(symphony.artifacts.find(record.digest)))
    else:
        told = "withdrawn" if score is None else f"{score:g}"
        output.note(f"{output.shown(artifact)}: rated {told} by {output.shown(by)}")
    return 0


@click.command()
@click.option("--rebuild", is_flag=True, help="Build the index again from nothing.")
@click.option("--background", is_flag=True, hidden=True)
@options.as_json()
def index(rebuild: bool, background: bool, as_json: bool) -> int:
    """Bring the index of the search up to date.

    Searches have that done in the background; a search finds what was stored before without it.
    """
    from symphony.app import Symphony

    searching = Symphony.open().searching
    if background:
        import os

        os.nice(_NICE)
        searching.catch_up()
        return 0
    indexed = searching.index(rebuild=rebuild)
    if as_json:
        output.say_json({"indexed": indexed})
    else:
        output.note(f"the index is up to date: {output.count(indexed, 'artifact')}")
    return 0


COMMANDS: Final = (search, rate, index)
