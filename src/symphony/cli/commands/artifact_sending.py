"""`symphony artifacts send`: artifacts to a bucket or another directory."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("send")
@options.as_json()
def command(as_json: bool) -> int:
    """Send all artifacts to the bucket or directory that artifacts.store in the settings names.

    Full packs of 64 MiB go there by themselves while artifacts are stored. This sends the rest, too.
    """
    from symphony.app import Symphony, outside
    from symphony.cli.console import exits

    parts = Symphony.open().parts
    sent = outside.send(parts)
    if as_json:
        output.say_json({"store": parts.outside.address, "packs": sent.packs, "bytes": sent.bytes})
        return exits.OK
    place = output.shown(str(parts.outside.address))
    if sent.packs:
        output.say(f"sent {output.count(sent.packs, 'pack')}, {output.size(sent.bytes)}, to {place}\n")
    else:
        output.say(f"all artifacts are in {place}\n")
    return exits.OK
