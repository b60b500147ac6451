"""`symphony artifacts`: bodies by content, with names and provenance."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import completing, options
from symphony.cli.commands import (
    artifact_export,
    artifact_key,
    artifact_retention,
    artifact_sending,
    artifact_tiers,
    artifact_versions,
    searching,
)
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.app import Symphony


@click.group("artifacts", cls=CommandGroup)
def command() -> None:
    """List, find, show, open, store, fetch and rate artifacts.

    ARTIFACT is a digest, the beginning of one (8 digits or more), a name, which stands for its newest
    version, or a version of a name: report@3, report@latest, or report@TAG.
    """


for _one in (
    *searching.COMMANDS,
    *artifact_versions.COMMANDS,
    *artifact_retention.COMMANDS,
    *artifact_export.COMMANDS,
    *artifact_sending.COMMANDS,
    artifact_key.command,
    artifact_tiers.command,
):
    command.add_command(_one)


@command.command("list")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="PATTERN",
    help="Only with a name such as report or 'reports/*'; may be repeated.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with a version that has this tag.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Only of this content type, such as text/markdown or 'text/*'; may be repeated.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN",
    shell_complete=completing.runs,
    help="Only what this run refers to; may be repeated.",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only stored since: an age such as 2h or 7d, or a time such as 2026-01-31T12:00.",
)
@click.option("--until", metavar="WHEN", help="Only stored before that; a date counts to its end.")
@click.option(
    "--sort",
    "order",
    type=click.Choice(["newest", "oldest", "largest", "smallest", "name", "quality"]),
    default="newest",
    show_default=True,
    help="By quality is what `artifacts search` lists, the best first.",
)
@options.limit(50)
@options.as_json("Print a JSON list.")
def list_artifacts(
    names: tuple[str, ...],
    tags: tuple[str, ...],
    types: tuple[str, ...],
    runs: tuple[str, ...],
    since: str | None,
    until: str | None,
    order: str,
    limit: int,
    as_json: bool,
) -> int:
    """List artifacts, newest first.

    Each is listed once, with its names and the number of the newest version that is this content.
    """
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import chosen
    from symphony.cli.views import listing

    symphony = Symphony.open()
    if order == "quality":
        return _best(
            symphony, names, types=types, tags=tags, runs=runs, since=since, until=until, limit=limit,
            as_json=as_json,
        )  # fmt: skip
    where = chosen(
        names=names, tags=tags, types=types, runs=[symphony.runs.find(run) for run in runs], since=since,
        until=until, order=order, now=symphony.parts.clock.now_s,
    )  # fmt: skip
    found = list(symphony.artifacts.records(limit=limit, where=where))
    if as_json:
        store = symphony.artifacts
        output.say_json([spelling.artifact(one) | {"tier": store.tier_of(one.digest).value} for one in found])
    elif found:
        output.say(listing.artifacts_text(found))
    else:
        output.note("no artifacts" if where is None else "no artifact is like that")
    return 0


def _best(
    symphony: "Symphony",
    names: Sequence[str],
    *,
    types: Sequence[str],
    tags: Sequence[str],
    runs: Sequence[str],
    since: str | None,
    until: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """List by quality, which the index of the search knows."""
    from symphony.app import spelling
    from symphony.cli.arguments import searches
    from symphony.cli.console.failures import BadUsage
    from symphony.cli.views import found as view

    if names:
        raise BadUsage(
            "--sort quality does not go with --name",
            hint="type symphony artifacts search name:PATTERN --sort quality",
        )
    request = searches.request(
        "", types=types, tags=tags, runs=runs, since=since, until=until, min_size=None, max_size=None,
        min_quality=None, sort="quality", limit=limit, now=symphony.parts.clock.now_s,
    )  # fmt: skip
    results = symphony.searching.search(request)
    if as_json:
        output.say_json(
            [
                spelling.artifact(hit.record) | {"quality": spelling.quality(hit.quality)}
                for hit in results.hits
            ]
        )
    else:
        output.say(view.results_text(results) if results.hits else "")
    if results.partial:
        output.note(view.partial_text(results))
    return 0


@command.command()
@options.artifact_argument
@options.as_json()
def show(artifact: str, as_json: bool) -> int:
    """Show an artifact's size, type, names and origin, its quality and why, and whether it is pinned."""
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.views import listing
    from symphony.cli.views.found import quality_lines
    from symphony.ports.runs import short_id

    opened = Symphony.open()
    record = found(opened.artifacts, artifact)
    quality, tier = opened.searching.quality(record), opened.artifacts.tier_of(record.digest)
    pinned = opened.artifacts.is_pinned(record.digest)
    if as_json:
        more = {"quality": spelling.quality(quality), "tier": tier.value, "pinned": pinned}
        output.say_json({**spelling.artifact(record), **more})
    else:
        labels = cache(opened.runs.labels)
        said = listing.artifact_text(
            record,
            lambda run: opened.runs.label(run) if opened.runs.has(run) else short_id(run),
            lambda run, node: labels(run).of(node),
        )
        lies = "" if tier == "hot" else f"tier     {tier}\n"
        lies += "pinned   it stays whatever rules say\n" if pinned else ""
        output.say(said + lies + "".join(f"{line}\n" for line in quality_lines(quality)))
    return 0


@command.command("open")
@options.artifact_argument
@options.as_json("Print the path and the artifact as one JSON object, and open nothing.")
def open_artifact(artifact: str, as_json: bool) -> int:
    """Open an artifact with the system's program for its type.

    Opens a copy in the home that has the artifact's name and an extension, and prints its path.
    Without a screen it only prints the path.
    """
    from symphony.app import Symphony, exporting, spelling
    from symphony.cli.actions import openers
    from symphony.cli.arguments.artifacts import found
    from symphony.commons.errors import SymphonyError

    symphony = Symphony.open()
    assert symphony.home is not None
    record = found(symphony.artifacts, artifact)
    name = artifact if record.version is None else record.version.name
    path = exporting.opened(symphony.artifacts, record, symphony.home, name)
    symphony.artifacts.log_reads()
    if as_json:
        output.say_json({"path": str(path)} | spelling.artifact(record))
        return 0
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

    opened = Symphony.open()
    home = opened.home
    assert home is not None
    found = list(check_store(home, opened.parts.store_keys, opened.parts.outside, repair=repair))
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
@click.argument("words", type=click.Path(allow_dash=True), nargs=-1, required=True, metavar="FILE")
@click.option(
    "--from-command",
    is_flag=True,
    help="Store what a command prints, if it succeeds: put --from-command --name dump -- pg_dump mine",
)
@click.option("--name", help="A name to find it by. Default: the file's name.")
@click.option(
    "--type", "content_type", help="The content type. Default: guessed from the name, else from the file's."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag for this version; may be repeated.")
@click.option("--note", default="", metavar="TEXT", help="What is to be known of this version.")
@click.option(
    "--parent",
    "parents",
    multiple=True,
    metavar="ARTIFACT",
    shell_complete=completing.artifacts,
    help="An artifact that this one was made of; may be repeated.",
)
@options.as_json()
def put(
    words: tuple[str, ...],
    from_command: bool,
    name: str | None,
    content_type: str | None,
    tags: tuple[str, ...],
    note: str,
    parents: tuple[str, ...],
    as_json: bool,
) -> int:
    """Store a file (- is stdin) as a version of a name, and print its digest.

    What is the newest version of the name already adds none, unless it gets a note or parents. A pipe does
    not tell whether the program before it failed: --from-command runs it and stores nothing if it did.
    """
    from symphony.app import Symphony, exporting, spelling
    from symphony.cli.actions import producing
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.console.failures import BadUsage
    from symphony.ports.artifacts import NAME_HINT, is_name
    from symphony.ports.values import ArtifactRef

    if len(words) > 1 and not from_command:
        raise BadUsage("only one file is stored at a time", hint="a command needs --from-command before it")
    file = "-" if from_command else words[0]
    if file != "-" and Path(file).is_dir():
        raise BadUsage(f"{file} is a folder", hint="pack it first, for instance with tar")
    given = name if name is not None else Path(file).name if file != "-" else None
    if name is None and given is not None and not is_name(given):
        shown = output.brief(given, 80)
        raise BadUsage(f"{shown} cannot be an artifact's name", hint=f"choose one with --name: {NAME_HINT}")
    kind = content_type or exporting.type_of(given or "", file)
    if given is None and (tags or note or parents):
        raise BadUsage("what is put without a name has no versions", hint="name it: --name report")
    store = Symphony.open().artifacts
    made_of = [found(store, parent).digest for parent in parents]
    store.make_ready()
    with producing.printed_by(words) if from_command else producing.read_from(file) as stream:
        if given is None:
            ref = store.put_stream(stream, content_type=kind)
            version = None
        else:
            version = store.add_version(
                stream, name=given, content_type=kind, note=note, parents=made_of, tags=tags
            )
            ref = ArtifactRef(digest=version.digest, size=version.size, content_type=kind, name=version.name)
    if as_json:
        output.say_json(spelling.reference(ref) | {"version": None if version is None else version.number})
        return 0
    output.say(f"{ref.digest}\n")
    if version is not None:
        output.note(output.shown(version.label))
    return 0


@command.command()
@options.artifact_argument
@options.output
@options.as_json("Print what was written as one JSON object; needs --output.")
def get(artifact: str, target: Path | None, as_json: bool) -> int:
    """Print the content of an artifact, and check it against its digest."""
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.console import writing
    from symphony.cli.console.failures import BadUsage

    if as_json and target is None:
        raise BadUsage("stdout cannot have both the content and JSON", hint="add --output FILE")
    store = Symphony.open().artifacts
    record = found(store, artifact)
    with store.open(record.digest) as stream:
        writing.deliver_stream(stream, target)
    store.log_reads()
    if as_json:
        output.say_json({"path": str(target)} | spelling.artifact(record))
    elif target is not None:
        output.note(f"{output.size(record.size)} to {output.shown(str(target))}")
    output.flush()
    return 0
