"""`symphony fsck`: what is damaged in the home."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("fsck")
@options.as_json()
def command(as_json: bool) -> int:
    """Check the home for damage: every journal, the cache and every artifact.

    Changes nothing. The exit status is 1 if something is damaged.
    """
    from symphony.app import Symphony, spelling
    from symphony.app.damage import examine_home
    from symphony.cli.console import exits
    from symphony.commons.time import SystemClock

    opened = Symphony.open()
    home = opened.home
    assert home is not None
    parts = opened.parts
    found = examine_home(home, SystemClock(), keys=parts.store_keys, outside=parts.outside)
    if as_json:
        damaged: list[spelling.JSON] = [
            {"kind": one.kind, "name": one.name, "problem": one.problem, "fix": one.fix}
            for one in found.damages
        ]
        looked_at: dict[str, spelling.JSON] = {str(kind): n for kind, n in found.looked_at.items()}
        output.say_json({"looked_at": looked_at, "damaged": damaged})
    else:
        for one in found.damages:
            output.say(f"damaged  {output.shown(one.problem)}\n{'':<9}fix: {output.shown(one.fix)}\n")
        looked = (
            ", ".join(output.count(n, kind) for kind, n in found.looked_at.items()) or "nothing to look at"
        )
        told = output.count(len(found.damages), "problem") if found.damages else "nothing is damaged"
        output.say(f"{output.shown(str(home))}: {looked}: {told}\n")
    return exits.FAILED if found.damages else exits.OK
