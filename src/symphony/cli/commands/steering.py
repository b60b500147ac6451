"""The commands of `symphony runs` that steer a run: resume, rerun, approve, reject, pause, cancel."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.app import RunHandle, Runs, Symphony
    from symphony.cli.actions.delivery import Delivery
    from symphony.ports.steering import Reached, StaleCode

Begin: TypeAlias = "Callable[[Symphony], Awaitable[RunHandle]]"

asking_argument: Final = click.argument("node", required=False, shell_complete=completing.nodes)
by_option: Final = click.option("--by", metavar="NAME", help="Who decides. Default: your user name.")
comment_option: Final = click.option(
    "--comment", metavar="TEXT", help="A comment that the workflow can read."
)


@click.command()
@click.argument("run", required=False, shell_complete=completing.runs)
@click.option(
    "--retry",
    multiple=True,
    metavar="NODE",
    shell_complete=completing.nodes,
    help="Run this node again, even if it may have had an effect. May be repeated.",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="NODE",
    shell_complete=completing.nodes,
    help="Skip this node. May be repeated.",
)
@options.amendments
@options.env_file
@options.as_json("Print the result as one JSON object, and nothing else.")
@options.one_output
@options.output_dir
@options.overwrite
@options.quiet
def resume(
    run: str | None, retry: tuple[str, ...], skip: tuple[str, ...], budgets: tuple[str, ...],
    allow_hosts: tuple[str, ...], concurrency: int | None, no_cache: bool, operators: tuple[Path, ...],
    env_file: Path | None, as_json: bool, one_output: str | None, output_dir: Path | None,
    overwrite: bool, quiet: bool, user: str | None, project: str | None, priority: int | None,
) -> int:  # fmt: skip
    """Go on with a run that was interrupted, paused or waits; what had finished is not run again.

    Without RUN it is the last run that can go on. NODE stands for all of its elements and rounds, too.
    New limits, hosts and operators stay in force until the run ends. The exit status is that of
    `symphony run`. If the run has ended, its result is printed again.
    """
    from symphony.cli.actions import opening, run_nodes
    from symphony.cli.actions.delivery import Delivery
    from symphony.cli.arguments import budgeting, envfile

    opened, environment = opening.opened(), envfile.environment(env_file)
    budget = budgeting.limits(budgets)
    run_id = run_nodes.last_that_can_go_on(opened) if run is None else opened.runs.find(run)
    retry, skip = _nodes(opened, run_id, retry), _nodes(opened, run_id, skip)

    async def begin(symphony: "Symphony") -> "RunHandle":
        handle = await symphony.resume(
            run_id, retry=retry, skip=skip, environment=environment, budget=budget, allow_hosts=allow_hosts,
            concurrency=concurrency, cache=False if no_cache else None, operators=operators, user=user,
            project=project, priority=priority,
        )  # fmt: skip
        if handle.changed_code:
            from symphony.cli.views.reusing import changed_code_text

            output.note(changed_code_text(handle.changed_code))
        return handle

    wanted = Delivery(one_output, output_dir, overwrite).ready_again(opened, run_id, as_json=as_json)
    title = f"run {opened.runs.label(run_id)}"
    return _conduct(opened, begin, title, wanted, as_json=as_json, quiet=quiet)


@click.command()
@options.last_run_argument
@click.option(
    "--from",
    "first",
    multiple=True,
    metavar="NODE",
    shell_complete=completing.nodes,
    help="Run this node, or an element such as 'test[6]', and all that depends on it, even if they succeeded "
    "or their results are cached. May be repeated.",
)
@click.option(
    "--input", "-i", "inputs", multiple=True, metavar="KEY=VALUE",
    help="A new value for an input. Nodes that depend on it run again. May be repeated.",
)  # fmt: skip
@click.option(
    "--file", "-f", type=options.PATH, metavar="FILE",
    help="The workflow file as it is now: what has changed in it, and all that depends on that, runs again.",
)  # fmt: skip
@options.run_name
@options.amendments
@options.env_file
@click.option(
    "--dry-run", is_flag=True, help="Say what would be reused, what would run and why; run nothing."
)
@options.as_json("Print the result as one JSON object, and nothing else.")
@options.one_output
@options.output_dir
@options.overwrite
@options.quiet
def rerun(
    run: str, first: tuple[str, ...], inputs: tuple[str, ...], file: Path | None, name: str | None,
    budgets: tuple[str, ...], allow_hosts: tuple[str, ...], concurrency: int | None, no_cache: bool,
    operators: tuple[Path, ...], env_file: Path | None, dry_run: bool, as_json: bool,
    one_output: str | None, output_dir: Path | None, overwrite: bool,
    quiet: bool, user: str | None, project: str | None, priority: int | None,
) -> int:  # fmt: skip
    """Begin a new run that reuses what succeeded in another and runs the rest.

    Without RUN it is the last run. The rest is every node or element that failed (also if `on_error`
    handled it), was cancelled or never ran, and all that depends on these. A node that is reused does not
    run again, even if it is a command. The workflow is as the old run recorded it: if you have changed
    the file since, give it with --file. Inputs that you do not give keep their values. The exit status
    is that of `symphony run`.
    """
    from symphony.cli.actions import opening, run_nodes
    from symphony.cli.actions.delivery import Delivery
    from symphony.cli.arguments import budgeting, envfile, files, typed_inputs
    from symphony.cli.console import failures
    from symphony.workflow import loads

    opened, environment = opening.opened(operators), envfile.environment(env_file)
    run_id, budget = opened.runs.find(run), budgeting.limits(budgets)
    if any(" " in node for node in first):
        result = opened.runs.result(run_id)
        first = tuple(run_nodes.without_label(result, node) for node in first)
    cache = False if no_cache else None
    only = opened.runs.meta(run_id).only
    mended = None if file is None else files.prepared(file, opened, load=not dry_run, nodes=only)
    if mended is not None and file is not None:
        failures.warn(mended.report, file)
    else:
        _say_changed(opened, run_id)
    workflow = loads(opened.runs.meta(run_id).workflow, "json") if mended is None else mended.workflow
    values = typed_inputs.changed_inputs(workflow, inputs)
    if dry_run:
        from symphony.cli.views import planning

        plan = opened.plan_rerun(
            run_id, first=first, inputs=values, file=mended, environment=environment, cache=cache,
            operators=operators,
        )  # fmt: skip
        planning.say_plan(
            workflow, values, plan, currency=opened.config.budget.currency, as_json=as_json,
            rerun_of=opened.runs.called(run_id),
        )  # fmt: skip
        _say_stale(plan.stale, opened.runs)
        return 0

    async def begin(symphony: "Symphony") -> "RunHandle":
        from symphony.cli.views.reusing import reuse_text

        handle = await symphony.rerun(
            run_id, first=first, inputs=values, file=mended, environment=environment, name=name,
            budget=budget, allow_hosts=allow_hosts, concurrency=concurrency, cache=cache, operators=operators,
            user=user, project=project, priority=priority,
        )  # fmt: skip
        if handle.reused is not None:
            output.note(reuse_text(handle.reused, symphony.runs.label(run_id)))
            _say_stale(handle.reused.stale, symphony.runs)
        return handle

    wanted = Delivery(one_output, output_dir, overwrite).ready(opened, workflow, as_json=as_json)
    return _conduct(opened, begin, workflow.name, wanted, as_json=as_json, quiet=quiet)


@click.command()
@options.run_argument
@asking_argument
@comment_option
@by_option
@options.as_json("Print the run's id, the node and the decision as one JSON object.")
def approve(run: str, node: str | None, comment: str | None, by: str | None, as_json: bool) -> int:
    """Answer yes to what an approval node asks.

    NODE can be left out if only one node of the run asks. A run that still has a process goes on by
    itself. Otherwise go on with `symphony runs resume`.
    """
    return _answer(run, node, approved=True, comment=comment, by=by, as_json=as_json)


@click.command()
@options.run_argument
@asking_argument
@comment_option
@by_option
@options.as_json("Print the run's id, the node and the decision as one JSON object.")
def reject(run: str, node: str | None, comment: str | None, by: str | None, as_json: bool) -> int:
    """Answer no to what an approval node asks. Nodes that only wait for it are skipped.

    NODE can be left out if only one node of the run asks. A run that still has a process goes on by
    itself. Otherwise go on with `symphony runs resume`.
    """
    return _answer(run, node, approved=False, comment=comment, by=by, as_json=as_json)


@click.command()
@options.run_argument
@options.as_json("Print the run's id and status as one JSON object.")
def pause(run: str, as_json: bool) -> int:
    """Start no more nodes of a run. Running nodes finish, then its process ends with status 4.

    `symphony runs resume` goes on. The pause does not wait for delays or approvals. To pause a paused run
    again changes nothing; for a run that has ended, the exit status is 2.
    """
    from symphony.cli.actions import opening
    from symphony.ports.steering import Reached

    runs = opening.opened().runs
    run_id = runs.find(run)
    reached = runs.pause(run_id)
    if as_json:
        output.say_json({"run_id": run_id, "status": "paused" if reached is Reached.HERE else "pausing"})
    else:
        label = output.shown(runs.label(run_id))
        output.say(f"{label} {'paused' if reached is Reached.HERE else 'is pausing'}\n")
        output.note(f"to go on: symphony runs resume {label}")
    return 0


@click.command()
@options.run_argument
@options.as_json("Print the run's id and status as one JSON object.")
def cancel(run: str, as_json: bool) -> int:
    """Cancel a run, whichever process runs it. That process ends with status 3.

    To cancel a cancelled run again changes nothing. A run that has ended otherwise cannot be cancelled:
    the exit status is 2.
    """
    from symphony.cli.actions import opening
    from symphony.commons.errors import SymphonyError
    from symphony.ports.runs import ENDED, RunStatus

    opened = opening.opened()
    runs = opened.runs
    run_id = runs.find(run)
    status = runs.cancel(run_id)
    if status in ENDED and runs.untold(run_id).is_there():
        from symphony.cli.actions.telling import tell

        tell(opened, run_id)
    if status in ENDED and status is not RunStatus.CANCELLED:
        raise SymphonyError(
            f"the run has ended: {status}", code="run-ended", hint="there is nothing left to cancel"
        )
    if as_json:
        output.say_json({"run_id": run_id, "status": str(status)})
    else:
        output.say(f"{output.shown(runs.label(run_id))} {status}\n")
    return 0


COMMANDS: Final = (resume, rerun, approve, reject, pause, cancel)


def _conduct(
    opened: "Symphony", begin: Begin, title: str, wanted: "Delivery", *, as_json: bool, quiet: bool
) -> int:
    from symphony.cli.actions import reporting, running

    view = running.view_for(title, quiet=quiet, asks=not as_json)
    opened.attend(view.about_to_answer)
    chart = not quiet and not as_json
    report_on = reporting.Report(as_json=as_json, chart=chart, delivery=wanted)
    return running.drive(lambda: running.conduct(opened, begin, view, report_on.after, chart=chart))


def _answer(
    run: str, node: str | None, *, approved: bool, comment: str | None, by: str | None, as_json: bool
) -> int:
    from symphony.cli.actions import opening
    from symphony.cli.actions.run_nodes import only_asking
    from symphony.commons.users import login_name

    opened = opening.opened()
    runs = opened.runs
    run_id = runs.find(run)
    if node is None:
        node = only_asking(opened.runs.result(run_id), approved=approved)
    else:
        (node,) = _nodes(opened, run_id, (node,))
    reached = runs.answer(run_id, node, approved=approved, by=by or login_name(), comment=comment)
    word = "approved" if approved else "rejected"
    if as_json:
        output.say_json({"run_id": run_id, "node": node, "decision": word, "reached": reached.value})
    else:
        output.say(f"{output.shown(node)} {word}\n")
        output.note(_next(reached, runs, run_id))
    return 0


def _say_stale(stale: "Mapping[str, StaleCode]", runs: "Runs") -> None:
    """Say that results are reused whose operators' code has changed since."""
    if stale:
        from symphony.cli.views.reusing import stale_text

        output.note(stale_text(stale, runs.label))


def _say_changed(opened: "Symphony", run_id: str) -> None:
    """Say that a rerun does not take the workflow's files as they are now, where they have changed."""
    from shlex import quote

    from symphony.cli.console.blocks import SourceText

    for file in opened.runs.changed_files(run_id)[:1]:
        whole = opened.runs.meta(run_id).source or file
        changed, given = (output.shown(SourceText.named(Path(one)).name) for one in (file, whole))
        output.note(
            f"{changed} has changed since this run, which goes by the file as it was; "
            f"add --file {quote(given)} to run it as it is now"
        )


def _nodes(opened: "Symphony", run_id: str, typed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the nodes that were typed, by name. Raises SymphonyError `unknown-node`."""
    from symphony.cli.actions.run_nodes import node_named

    if not typed:
        return ()
    result = opened.runs.result(run_id)
    return tuple(node_named(result, node) for node in typed)


def _next(reached: "Reached", runs: "Runs", run_id: str) -> str:
    from symphony.ports.runs import ENDED
    from symphony.ports.steering import Reached

    if reached is Reached.HERE:
        label = output.shown(runs.label(run_id))
        return f"no process owns the run; to go on: symphony runs resume {label}"
    if reached is Reached.LEFT:
        return "it is recorded; the run takes it up as soon as its process looks"
    status = runs.status(run_id)
    return f"the run has ended: {status}" if status in ENDED else "the run goes on by itself"
