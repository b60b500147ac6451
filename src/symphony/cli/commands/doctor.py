"""`symphony doctor`: what is wrong with this machine, and how to repair it."""

import sys

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("doctor")
@options.as_json("Print a JSON list of checks.")
def command(as_json: bool) -> int:
    """Check this machine, and say how to fix what is wrong.

    Checks Python, SQLite, the home (writable, on a local disk, with free space), its size and records,
    processes that killed runs left behind, the pool of models, the arbiter, artifacts, their search and
    retention, the clock, the embedding model and git. The exit status is 1 if something needs fixing.
    """
    from symphony.app import Symphony
    from symphony.cli.actions import checks
    from symphony.cli.console import exits
    from symphony.cli.console.tables import room
    from symphony.cli.console.wrapping import hanging
    from symphony.commons.errors import SymphonyError
    from symphony.commons.time import SystemClock

    home, homeless = None, None
    try:
        home = Symphony.open().home
    except SymphonyError as error:
        homeless = error
    found = checks.examine(home, SystemClock(), homeless=homeless)
    if as_json:
        output.say_json(
            [{"check": c.name, "verdict": c.verdict, "found": c.found, "fix": c.fix or None} for c in found]
        )
    else:
        on = output.colourful(sys.stdout)
        colours = {"ok": "green", "warning": "yellow", "failed": "red"}
        for check in found:
            verdict = f"{check.verdict:<8}"
            text = hanging(f"{verdict} {check.name:<12} ", check.found, room())
            output.say(text.replace(verdict, output.paint(verdict, colours[check.verdict], on=on), 1))
            if check.fix:
                output.say(hanging(f"{'':<21} fix: ", check.fix, room()))
    return exits.FAILED if any(check.verdict == "failed" for check in found) else exits.OK
