"""`symphony artifacts log|diff|tag|untag`: the versions of names."""

from functools import cache

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import exits, output

_name = click.argument("name", shell_complete=completing.artifact_names)


@click.command()
@_name
@options.limit(50)
@options.as_json("Print a JSON list.")
def log(name: str, limit: int, as_json: bool) -> int:
    """List the versions of a name, newest first.

    Tells for each whether a run or a person stored it, its tags, and what was noted. The content of a deleted
    version is gone, but its number is not given again.
    """
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments.artifacts import versions_of
    from symphony.cli.views import versions
    from symphony.ports.runs import short_id

    symphony = Symphony.open()
    found = versions_of(symphony.artifacts, name, limit)
    if as_json:
        output.say_json([spelling.version(one) for one in found])
        return exits.OK

    @cache
    def run_of(run: str) -> str:
        return symphony.runs.label(run) if symphony.runs.has(run) else short_id(run)

    output.say(versions.log_text(found, run_of))
    if len(found) == limit and found[-1].number > 1:
        output.note(f"older versions are not shown: --limit shows more than {limit}")
    return exits.OK


@click.command()
@click.argument("artifact_a", metavar="A", shell_complete=completing.artifacts)
@click.argument("artifact_b", metavar="B", shell_complete=completing.artifacts)
@click.option("--text", "as_text", is_flag=True, help="Compare JSON line by line, too.")
@options.as_json()
def diff(artifact_a: str, artifact_b: str, as_text: bool, as_json: bool) -> int:
    """Show what differs between two artifacts.

    Texts are compared line by line, JSON place by place, and of everything else the sizes and digests. Ends
    with 0 if the contents are the same, else with 1.
    """
    import sys

    from symphony.app import Symphony
    from symphony.app.artifact_diffs import compare
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.views import versions

    store = Symphony.open().artifacts
    a, b = found(store, artifact_a), found(store, artifact_b)
    difference = compare(store, a, b, text=as_text)
    if as_json:
        output.say_json(versions.diff_document(difference, a, b))
    else:
        output.say(versions.diff_text(difference, a, b, colour=output.colourful(sys.stdout)))
    output.flush()
    return exits.OK if difference.same else exits.FAILED


@click.command()
@click.argument("version", metavar="NAME@NUMBER", shell_complete=completing.artifacts)
@click.argument("tags", metavar="TAG…", nargs=-1, required=True)
@options.as_json()
def tag(version: str, tags: tuple[str, ...], as_json: bool) -> int:
    """Tag a version, such as report@3, with words such as best.

    NAME@TAG then stands for it. A tag is on one version of a name: given to another one it moves there. What
    has a tag is kept when runs are deleted.
    """
    from symphony.app import Symphony
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.console.failures import BadUsage

    store = Symphony.open().artifacts
    meant = found(store, version).version
    if meant is None:
        raise BadUsage(f"{version} is no name", hint="tags are on versions of names, such as report@3")
    moved = {tag: store.tag(meant.name, meant.number, tag) for tag in tags}
    if as_json:
        output.say_json(
            {"name": meant.name, "version": meant.number, "digest": meant.digest, "moved_from": dict(moved)}
        )
        return exits.OK
    for one, before in moved.items():
        was = "" if before is None else f", which was {meant.name}@{before}"
        output.say(f"{output.shown(f'{meant.name}@{one}')} is {output.shown(meant.label + was)}\n")
    return exits.OK


@click.command()
@_name
@click.argument("tags", metavar="TAG…", nargs=-1, required=True)
@options.as_json()
def untag(name: str, tags: tuple[str, ...], as_json: bool) -> int:
    """Take tags away from the versions of a name. The versions stay."""
    from symphony.app import Symphony

    store = Symphony.open().artifacts
    taken = {tag: store.untag(name, tag) for tag in tags}
    if as_json:
        output.say_json({"name": name, "taken": dict(taken)})
        return exits.OK
    for one, number in taken.items():
        output.say(f"{output.shown(f'{name}@{number}')} is not tagged {output.shown(one)} any more\n")
    return exits.OK


@click.command()
@options.artifact_argument
@click.option("--up", "direction", flag_value="up", help="What it was made of.")
@click.option("--down", "direction", flag_value="down", help="What was made of it.")
@click.option(
    "--depth", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N", help="How many steps."
)
@options.as_json()
def lineage(artifact: str, direction: str | None, depth: int, as_json: bool) -> int:
    """Show what an artifact was made of, and what was made of it.

    Tells the run, node, operator, model and settings of each step. Both directions are shown, or the one that
    is asked for. An artifact that went into a text or was taken apart is found through the workflow of its
    run, as long as the run is kept.
    """
    from symphony.app import Symphony
    from symphony.app.lineage import Lineage, reads_of
    from symphony.cli.arguments.artifacts import found
    from symphony.cli.views import lineage as views
    from symphony.ports.runs import short_id

    symphony = Symphony.open()
    record = found(symphony.artifacts, artifact)
    made = Lineage(symphony.artifacts, reads_of(symphony.recorded))
    trees = {}
    if direction != "down":
        trees["up"] = made.up(record, depth)
    if direction != "up":
        trees["down"] = made.down(record, depth)
    if as_json:
        output.say_json({way: views.lineage_document(tree) for way, tree in trees.items()})
        return exits.OK

    @cache
    def run_of(run: str) -> str:
        return symphony.runs.label(run) if symphony.runs.has(run) else f"{short_id(run)}, deleted"

    heads = {"up": "made of:", "down": "went into:"}
    for way, tree in trees.items():
        head = f"{heads[way]}\n" if len(trees) > 1 else ""
        output.say(head + views.lineage_text(tree, run_of, down=way == "down"))
    return exits.OK


COMMANDS = (log, diff, tag, untag, lineage)
