"""`symphony artifacts send` and `fetch`: artifacts to a bucket or another directory, and back."""

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("send")
@options.as_json()
def send(as_json: bool) -> int:
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
        output.say(f"nothing is left to send to {place}\n")
    return exits.OK


@click.command("fetch")
@options.as_json()
def fetch(as_json: bool) -> int:
    """Bring all artifacts back into the home that lie in a bucket or another directory.

    They are deleted there. While artifacts.store is set, full packs go there again.
    """
    from symphony.app import Symphony, outside
    from symphony.cli.console import exits

    got = outside.fetch(Symphony.open().parts)
    if as_json:
        output.say_json({"packs": got.packs, "bytes": got.bytes, "left": got.left})
    else:
        output.say(f"{output.count(got.packs, 'pack')}, {output.size(got.bytes)}, came back\n")
    if got.left:
        what = output.count(got.left, "pack")
        output.note(f"{what} stayed outside: in use, or damaged (`symphony artifacts fsck` tells)")
    return exits.FAILED if got.left else exits.OK


COMMANDS = (send, fetch)
