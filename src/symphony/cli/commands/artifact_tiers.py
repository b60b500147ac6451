"""`symphony artifacts tier`: which artifacts lie in which tier."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("tier")
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT]...")
@click.option("--to", type=click.Choice(["hot", "warm", "cold"]), help="Move these artifacts to this tier.")
@click.option("--dry-run", is_flag=True, help="Explain what would happen to each artifact; change nothing.")
@options.as_json()
def command(artifacts: tuple[str, ...], to: str | None, dry_run: bool, as_json: bool) -> int:
    """Move artifacts to the tiers in which they belong.

    The rules under tiers.rules in the settings decide; without any, nothing moves. Warm artifacts lie
    compressed together with similar ones: they take less room, and a few milliseconds longer to read. Cold
    ones lie in the place that tiers.cold names. An artifact that is used becomes hot again.
    """
    from symphony.app import Symphony, documents
    from symphony.cli.arguments.artifacts import found as meant
    from symphony.cli.console import exits
    from symphony.cli.views import clearing, tiering
    from symphony.commons.errors import SymphonyError
    from symphony.ports.retention import Tier

    if bool(artifacts) != (to is not None):
        raise click.UsageError("--to TIER and the artifacts to move go together")
    opened = Symphony.open()
    if to == "cold" and opened.config.tiers.cold is None:
        raise SymphonyError(
            "there is no place for cold artifacts",
            code="no-cold-place",
            hint="set tiers.cold to a folder, or to s3://BUCKET/PREFIX",
        )
    of = [meant(opened.artifacts, one).digest for one in artifacts]
    found = opened.tier(of=of, to=None if to is None else Tier(to), dry_run=dry_run)
    if as_json:
        output.say_json(documents.of_tiering(found))
    else:
        output.say(tiering.text(found))
    if found.damaged:
        output.note(clearing.damaged_lines(found.damaged))
    return exits.FAILED if found.damaged else exits.OK
