"""`symphony artifacts`: bodies by content, with names and provenance."""

from functools import cache
from pathlib import Path

import click

from symphony.cli.arguments import options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup


@click.group("artifacts", cls=CommandGroup)
def command() -> None:
    """List, show, open, store and fetch artifacts.

    ARTIFACT is a digest, the beginning of one (8 digits or more), or a name, which stands for the
    newest artifact that has it.
    """


@command.command("list")
@options.limit(50)
@options.as_json("Print a JSON list.")
def list_artifacts(limit: int, as_json: bool) -> int:
    """List artifacts, newest first."""
    from symphony.app import Symphony, spelling
    from symphony.cli.views import listing

    found = list(Symphony.open().artifacts.records(limit=limit))
    if as_json:
        output.say_json([spelling.artifact(record) for record in found])
    elif found:
        output.say(listing.artifacts_text(found))
    else:
        output.note("no artifacts")
    return 0


@command.command()
@options.artifact_argument
@options.as_json()
def show(artifact: str, as_json: bool) -> int:
    """Show an artifact's size, type, names and origin."""
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.views import listing
    from symphony.ports.runs import short_id

    opened = Symphony.open()
    record = found(opened.artifacts, artifact)
    if as_json:
        output.say_json(spelling.artifact(record))
    else:
        labels = cache(opened.runs.labels)
        said = listing.artifact_text(
            record,
            lambda run: opened.runs.label(run) if opened.runs.has(run) else short_id(run),
            lambda run, node: labels(run).of(node),
        )
        output.say(said)
    return 0


@command.command("open")
@options.artifact_argument
def open_artifact(artifact: str) -> int:
    """Open an artifact with the system's program for its type.

    Opens a copy in the home that has the artifact's name and an extension, and prints its path.
    Without a screen it only prints the path.
    """
    from symphony.app import Symphony, exporting
    from symphony.cli.actions import openers
    from symphony.cli.arguments.artifacts import found
    from symphony.commons.errors import SymphonyError

    symphony = Symphony.open()
    assert symphony.home is not None
    path = exporting.opened(symphony.artifacts, found(symphony.artifacts, artifact), symphony.home, artifact)
    output.say(f"{output.shown(str(path))}\n")
    program = openers.opener()
    if program is None:
        output.note("there is no program here that opens files: no screen, or no xdg-open")
    elif not openers.open_with(program, path):
        raise SymphonyError(f"{program} could not open it", code="not-opened", hint=f"open {path} yourself")
    return 0


@command.command()
@click.option("--repair", is_flag=True, help="Repair what can be repaired without losing anything.")
@options.as_json()
def fsck(repair: bool, as_json: bool) -> int:
    """Check every artifact, the records and the index for faults.

    Changes nothing without --repair, which deletes nothing that could be good: damaged artifacts are moved
    to the folder quarantine of the store, artifacts without a record are recorded under the name recovered.
    The exit status is 1 if a fault is left.
    """
    from symphony.app import Symphony, spelling
    from symphony.app.store_checks import check_store
    from symphony.cli.console import exits

    home = Symphony.open().home
    assert home is not None
    found = list(check_store(home, repair=repair))
    left = sum(one.left for one in found)
    if as_json:
        faults: list[spelling.JSON] = [
            {"kind": one.kind, "name": one.name, "problem": one.problem, "fix": one.fix,
             "repaired": one.repaired or None}
            for one in found
        ]  # fmt: skip
        output.say_json({"faults": faults, "left": left})
    else:
        for one in found:
            output.say(f"{one.kind:<11}{output.shown(one.problem)}\n")
            if one.repaired:
                output.say(f"{'':<11}repaired: {output.shown(one.repaired)}\n")
            if one.left:
                output.say(f"{'':<11}fix: {output.shown(one.fix)}\n")
        told = output.count(left, "fault") if left else "no faults"
        output.say(f"{output.shown(str(home / 'artifacts'))}: {told}{' left' if found and repair else ''}\n")
    return exits.FAILED if left else exits.OK


@command.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", help="A name to find it by. Default: the file's name.")
@click.option("--type", "content_type", help="The content type. Default: guessed from the name.")
@options.as_json("Print the reference as one JSON object.")
def put(file: str, name: str | None, content_type: str | None, as_json: bool) -> int:
    """Store a file (- is stdin) and print its digest."""
    from mimetypes import guess_type

    from symphony.app import Symphony, spelling
    from symphony.cli.console.failures import BadUsage

    if file != "-" and Path(file).is_dir():
        raise BadUsage(f"{file} is a folder", hint="pack it first, for instance with tar")
    given = name if name is not None else Path(file).name if file != "-" else None
    kind = content_type or guess_type(given or "")[0] or "application/octet-stream"
    with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
        ref = Symphony.open().artifacts.put_stream(stream, content_type=kind, name=given)
    if as_json:
        output.say_json(spelling.reference(ref))
    else:
        output.say(f"{ref.digest}\n")
    return 0


@command.command()
@options.artifact_argument
@options.output
def get(artifact: str, target: Path | None) -> int:
    """Print the content of an artifact, and check it against its digest."""
    from symphony.app import Symphony
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.console import writing

    store = Symphony.open().artifacts
    record = found(store, artifact)
    with store.open(record.digest) as stream:
        writing.deliver_stream(stream, target)
    if target is not None:
        output.note(f"{output.size(record.size)} to {output.shown(str(target))}")
    output.flush()
    return 0
