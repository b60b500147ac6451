"""`symphony runs`: what ran, what runs, and going on with it."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import completing, options
from symphony.cli.commands import runs_diff, steering
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.ports.steering import Pruned

STREAMS = ("stdout", "stderr", "tokens")
ENDED = ("succeeded", "failed", "cancelled")
STATUSES = ("pending", "running", "paused", "waiting", "interrupted", "succeeded", "failed", "cancelled",
            "damaged")  # fmt: skip


@click.group("runs", cls=CommandGroup)
def command() -> None:
    """List, show, follow, steer and delete runs.

    RUN is a run's name (words-12), its id as it is shown (3f1c09ab) or in full, the beginning of an id
    that no other run shares, or `last`. Where it may be left out, it is the last run; for `resume` the
    last one that can go on.
    """


for _one in (*steering.COMMANDS, runs_diff.command):
    command.add_command(_one)


@command.command("list")
@options.limit(20)
@click.option(
    "--status",
    "statuses",
    type=click.Choice(STATUSES),
    multiple=True,
    help="Only runs of this status; may be repeated.",
)
@click.option(
    "--workflow",
    "workflows",
    multiple=True,
    metavar="NAME",
    help="Only runs of this workflow, by its name or slug; * and ? are wildcards; may be repeated.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only runs of this name; * and ? are wildcards; may be repeated.",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only runs that began since: an age such as 2h or 7d, or a time such as 2026-01-31T12:00.",
)
@click.option("--until", metavar="WHEN", help="Only runs that began before that; a date counts as a whole.")
@options.as_json("Print a JSON list.")
def list_runs(
    limit: int,
    statuses: tuple[str, ...],
    workflows: tuple[str, ...],
    names: tuple[str, ...],
    since: str | None,
    until: str | None,
    as_json: bool,
) -> int:
    """List runs, newest first."""
    from symphony.app import Symphony, spelling
    from symphony.cli.arguments import choosing
    from symphony.cli.views import listing
    from symphony.commons.errors import SymphonyError

    opened = Symphony.open()
    now = opened.parts.clock.now_s
    choice = choosing.RunChoice(
        workflows=workflows,
        statuses=statuses,
        names=names,
        since_s=None if since is None else choosing.moment_s(since, "--since", now),
        until_s=None if until is None else choosing.moment_s(until, "--until", now, end=True),
    )
    unread: list[SymphonyError] = []
    found = opened.runs.list(limit=limit, matching=choice, passed_over=unread.append)
    listing.tell_unread(unread)
    shorts = opened.runs.shorts([run.run_id for run in found])
    if as_json:
        output.say_json([spelling.summary(run, shorts[run.run_id]) for run in found])
    elif found:
        output.say(listing.runs_text(found, shorts))
    else:
        what = "no runs" if choice == choosing.RunChoice() else "no such runs"
        output.note(f"{what} in the home {output.shown(str(opened.home))}")
    return 0


@command.command()
@options.last_run_argument
@click.option("--elements", is_flag=True, help="List every element and round, not only nodes.")
@options.one_output
@options.as_json("Print what `run --json` prints, with the times of every step and a summary.")
def show(run: str, elements: bool, one_output: str | None, as_json: bool) -> int:
    """Show a run: its nodes over time, the slowest ones, its outputs and its errors."""
    from symphony.app import Symphony
    from symphony.cli.actions import delivery
    from symphony.cli.actions.wait_reasons import WaitReasons
    from symphony.cli.console import blocks
    from symphony.cli.views import ending, listing, timeline
    from symphony.cli.views.given import with_input_named

    symphony = Symphony.open()
    run_id = symphony.runs.find(run)
    views = symphony.views
    result = views.result(run_id)
    if one_output is not None:
        delivery.Delivery(one_output).ready_again(symphony, run_id, as_json=as_json)
        delivery.say_output(symphony.artifacts, result, one_output)
        return 0
    waits = WaitReasons(symphony, run_id, result.status)
    if as_json:
        output.say_json(waits.document(views.document(run_id)))
        return 0
    page = blocks.BlockPage(width=output.width(sys.stdout), colours=output.colourful(sys.stdout))
    overview = views.overview(run_id)
    short = symphony.runs.shorts([run_id])[run_id]
    parts = [ending.closing_text(result, result.took_s, page, short) + "\n"]
    parts.append(listing.for_whom_text(symphony.run_for(run_id)))
    label = functools.cache(symphony.runs.label)
    parts.append(
        listing.nodes_text(waits.result(result), label)
        if elements
        else listing.lines_text(waits.overview(overview), result.status, label)
    )
    parts.append(timeline.text(overview, timeline.look(sys.stdout)))
    outputs = ending.outputs_text(
        result, lambda name, ref: delivery.copied(symphony, name, ref), cut=delivery.is_looked_at()
    )
    told = with_input_named(result, lambda: symphony.recorded(run_id).workflow)
    parts += [outputs, ending.error_text(told, page)]
    output.say("\n".join(part for part in parts if part))
    if words := ending.advice(result, lambda: symphony.runs.printed(run_id), views.answered(run_id)):
        output.note(words)
    return 0


@command.command()
@options.last_run_argument
@click.option("--follow", "-f", is_flag=True, help="Keep printing until the run ends.")
@options.as_json("Print one JSON object a line.")
@click.option("--since", type=click.IntRange(0), default=0, help="Start after the event with this number.")
def events(run: str, follow: bool, as_json: bool, since: int) -> int:
    """List all events of a run, in order."""
    from symphony.app import Symphony, spelling
    from symphony.cli.views import following, listing

    runs = Symphony.open().runs
    for event in following.events(runs, runs.find(run), since=since, follow=follow):
        if as_json:
            output.say_json(spelling.event(event), line=True)
        else:
            output.say(listing.event_text(event))
        if follow:
            output.flush()
    return 0


@command.command()
@options.last_run_argument
@options.as_json("Print one JSON object a line.")
def watch(run: str, as_json: bool) -> int:
    """Show a run from its start until it ends or waits, whichever process runs it.

    The exit status is that of the run's own command.
    """

    from symphony.app import Symphony, spelling
    from symphony.cli.actions import running
    from symphony.cli.console import exits
    from symphony.cli.views import listing

    symphony = Symphony.open()
    run_id, signal = symphony.runs.find(run), ""

    async def show() -> None:
        nonlocal signal
        async for event in symphony.views.watch(run_id):
            signal = str(event.data.get("signal", "")) if event.type == "run.interrupted" else ""
            if as_json:
                output.say_json(spelling.event(event), line=True)
            else:
                output.say(listing.event_text(event))
            output.flush()

    running.on_a_loop(show())
    return exits.of_signal(signal) or exits.of_status(symphony.views.status(run_id))


@command.command()
@options.last_run_argument
@click.argument("node", required=False, shell_complete=completing.nodes)
@click.option("--follow", "-f", is_flag=True, help="Keep printing until no process runs the run any more.")
@click.option("--stream", type=click.Choice(STREAMS), help="Only this stream; `tokens` is what models write.")
@options.as_json("Print one JSON object a line.")
def logs(run: str, node: str | None, follow: bool, stream: str | None, as_json: bool) -> int:
    """Print what the nodes of a run wrote to their stdout and stderr, and what their models said.

    NODE may be an element, such as 'parse[3]', or a node with all its elements and rounds. Without RUN
    it is the last run: `symphony runs logs NODE`. What a reused node printed is in the run that it ran in.
    """
    from symphony.app import Symphony
    from symphony.cli.actions.run_nodes import reused_step, run_and_node, step_named
    from symphony.cli.views import following, transcript

    runs, wanted = Symphony.open().runs, transcript.stream_named(stream)
    run_id, node = run_and_node(runs, run, node)
    if node is not None and follow:
        step_named(runs.result(run_id), node)
    lines = (
        runs.follow_logs(run_id, following.pause, node, stream=wanted)
        if follow
        else runs.logs(run_id, node, stream=wanted)
    )
    writer = transcript.TranscriptWriter(
        as_json=as_json, named=node is None, safe=output.is_terminal(sys.stdout)
    )
    silent = True
    for line in lines:
        silent = False
        output.say(writer.text(line))
        if follow:
            output.flush()
    output.say(writer.end())
    if silent:
        reused = None
        if node is not None:  # a look at all nodes, which may be many
            result = runs.result(run_id)
            step_named(result, node)
            reused = reused_step(result, node)
        if reused is not None:
            output.note(transcript.elsewhere(node or "", runs.label(reused[0]), reused[1]))
            return 0
        who = runs.label(run_id) if node is None else f"{node} of {runs.label(run_id)}"
        where = "" if stream is None else f" to {stream}"
        output.note(f"{output.shown(who)} has printed nothing{where}")
    return 0


@command.command()
@click.argument("run", required=False, shell_complete=completing.runs)
@options.limit(100)
@click.option("--prometheus", is_flag=True, help="Print the Prometheus text format.")
@options.as_json()
def stats(run: str | None, limit: int, prometheus: bool, as_json: bool) -> int:
    """Show steps, retries, reuse and durations by kind of node.

    Covers one run, or the newest runs together.
    """
    from symphony.app import Symphony, documents
    from symphony.cli.console.failures import BadUsage
    from symphony.cli.views import listing, metric_tables
    from symphony.commons.errors import SymphonyError

    if prometheus and as_json:
        raise BadUsage("--prometheus and --json are two formats", hint="see symphony runs stats --help")
    symphony = Symphony.open()
    unread: list[SymphonyError] = []
    wanted = symphony.runs.ids()[:limit] if run is None else symphony.runs.find(run)
    found = symphony.views.stats(wanted, unread.append)
    listing.tell_unread(unread)
    if prometheus:
        output.say(symphony.views.exposition(found))
    elif as_json:
        output.say_json(documents.of_stats(found))
    else:
        output.say(metric_tables.text(found))
    return 0


@command.command()
@click.option(
    "--older",
    metavar="AGE",
    help="Only runs that ended longer ago than this, such as 12h. Default: what the settings say, or 30d.",
)
@click.option("--keep", type=click.IntRange(0), default=0, help="Keep at least this many of the newest runs.")
@click.option(
    "--status", type=click.Choice(ENDED), multiple=True, help="Only runs that ended with this status."
)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@options.yes
@options.as_json()
def prune(
    older: str | None, keep: int, status: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool
) -> int:  # fmt: skip
    """Delete old runs that have ended, and the artifacts that no run needs any more.

    Never deletes a run that is running, waits or can be resumed. Without --older, --keep and --status, the
    limits of the settings under [retention.runs] hold if there are any. The artifacts go to the trash; see
    `symphony artifacts gc`.
    """
    from functools import partial

    from symphony.app import Symphony, documents
    from symphony.cli.console import asking, exits
    from symphony.cli.views import listing, pruning
    from symphony.ports.runs import RunStatus

    wanted = [RunStatus(one) for one in status or ENDED]
    opened = Symphony.open()
    pruned = partial(opened.prune, pruning.age_s(older or "30d"), keep=keep, statuses=wanted)
    if older is None and not keep and not status:
        pruned = partial(_by_limits, opened, pruned)
    ahead = pruned(dry_run=True).runs if not dry_run and asking.asks(yes=yes) else ()
    if ahead and not asking.agreed(pruning.question(ahead, opened.runs.label)):
        return exits.FAILED
    found = pruned(dry_run=dry_run)
    listing.tell_unread(found.unread, "cannot be read and stay")
    shorts = opened.runs.shorts([run.run_id for run in found.runs])
    if as_json:
        output.say_json(documents.of_pruned(found, shorts))
    else:
        output.say(pruning.text(found, shorts))
    return 0


def _by_limits(opened: "Symphony", otherwise: Callable[..., "Pruned"], *, dry_run: bool) -> "Pruned":
    """Prune as the settings say, or `otherwise` if they say nothing."""
    return opened.prune_by_limits(dry_run=dry_run) or otherwise(dry_run=dry_run)


@command.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completing.runs)
@click.option("--damaged", is_flag=True, help="Delete runs whose journals are damaged, too.")
@options.yes
def delete(runs: tuple[str, ...], damaged: bool, yes: bool) -> int:
    """Delete runs that no process owns: their records, logs and claims on artifacts.

    A run that was interrupted, paused or waits cannot be resumed afterwards. Artifacts that no run needs any
    more go to the trash; see `symphony artifacts gc`.
    """
    from symphony.app import Symphony
    from symphony.cli.console import asking, exits
    from symphony.cli.views import pruning
    from symphony.ports.runs import RunSummary

    symphony = Symphony.open()
    opened = symphony.runs
    found = [*dict.fromkeys(opened.find(run) for run in runs)]
    if asking.asks(yes=yes):
        known = [one for _, one in opened.summaries(found) if isinstance(one, RunSummary)]
        if not asking.agreed(pruning.question(known, opened.label, damaged=len(found) - len(known))):
            return exits.FAILED
    for run_id in found:
        label = opened.label(run_id)
        opened.delete(run_id, damaged=damaged)
        output.say(f"{output.shown(label)} deleted\n")
    if told := pruning.cleared(symphony.clear()):
        output.note(told)
    return 0
