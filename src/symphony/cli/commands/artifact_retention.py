"""`symphony artifacts gc`, `pin` and `unpin`: which artifacts stay, and the trash."""

from typing import Final

import click

from symphony.cli.arguments import options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup


@click.group("gc", cls=CommandGroup, invoke_without_command=True)
@click.option("--dry-run", is_flag=True, help="Explain what would happen to each artifact; change nothing.")
@click.option(
    "--now", "at_once", is_flag=True, help="Delete at once, the trash too, instead of waiting out its time."
)
@options.yes
@options.as_json()
@click.pass_context
def gc(context: click.Context, dry_run: bool, at_once: bool, yes: bool, as_json: bool) -> int | None:
    """Move artifacts that may go to the trash, and empty the trash of old ones.

    Without rules in the settings, artifacts go that no run refers to and nobody named. Never those that are
    pinned, that were stored less than an hour ago, or that a run which has not ended needs. In the trash
    they can be brought back with `gc undo`; after seven days, or what retention.trash says, they are
    deleted.
    """
    if context.invoked_subcommand is not None:
        return None
    from symphony.app import Symphony, documents
    from symphony.cli.console import asking, exits
    from symphony.cli.views import clearing

    opened = Symphony.open()
    if at_once and not dry_run and asking.asks(yes=yes):
        ahead = opened.clear(at_once=True, dry_run=True, explain=False)
        if ahead.deleted.objects and not asking.agreed(clearing.question(ahead)):
            return exits.FAILED
    found = opened.clear(at_once=at_once, dry_run=dry_run, explain=dry_run or as_json)
    if as_json:
        output.say_json(documents.of_clearing(found))
    else:
        output.say(clearing.text(found))
    if found.damaged:
        output.note(clearing.damaged_lines(found.damaged))
    return exits.FAILED if found.damaged else exits.OK


@gc.command()
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT]...")
@options.as_json()
def undo(artifacts: tuple[str, ...], as_json: bool) -> int:
    """Bring artifacts back from the trash, or all of them.

    They then stay for as long as artifacts stay in the trash. Pin them to keep them longer.
    """
    from symphony.app import Symphony
    from symphony.cli.arguments.artifacts import in_trash

    store = Symphony.open().artifacts
    digests = [in_trash(store, one) for one in artifacts] if artifacts else None
    back = store.restore(digests)
    if as_json:
        output.say_json({"artifacts": back.objects, "bytes": back.bytes})
    else:
        output.say(f"{output.count(back.objects, 'artifact')} of {output.size(back.bytes)} brought back\n")
    return 0


@click.command()
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...")
@options.as_json("Print a JSON list.")
def pin(artifacts: tuple[str, ...], as_json: bool) -> int:
    """Keep artifacts whatever rules and limits say, until `unpin`.

    A version is pinned as its content: under all its names, and without the versions that come later.
    """
    return _pin(artifacts, pinned=True, as_json=as_json)


@click.command()
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...")
@options.as_json("Print a JSON list.")
def unpin(artifacts: tuple[str, ...], as_json: bool) -> int:
    """Let rules and limits decide again on artifacts that were pinned."""
    return _pin(artifacts, pinned=False, as_json=as_json)


def _pin(artifacts: tuple[str, ...], *, pinned: bool, as_json: bool) -> int:
    from symphony.app import Symphony
    from symphony.cli.arguments.artifacts import found

    store = Symphony.open().artifacts
    digests = [found(store, one).digest for one in artifacts]  # before any is pinned
    changed = [store.pin(digest, pinned=pinned) for digest in digests]
    if as_json:
        output.say_json([{"digest": digest, "pinned": pinned} for digest in digests])
        return 0
    for artifact, new in zip(artifacts, changed, strict=True):
        already = "was pinned already" if pinned else "was not pinned"
        done = "pinned" if pinned else "no longer pinned"
        output.say(f"{output.shown(artifact)} {done if new else already}\n")
    return 0


COMMANDS: Final = (gc, pin, unpin)
