"""`symphony run`: check a workflow, run it to its end, say what came out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.app import RunHandle


@click.command("run")
@options.workflow_here
@click.argument("nodes", nargs=-1, metavar="[NODE]...", shell_complete=completing.workflow_nodes)
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completing.inputs,
    help="An input; may be repeated. Text and paths are taken literally, everything else is JSON.",
)
@click.option(
    "--input-file",
    "input_files",
    multiple=True,
    metavar="KEY=FILE",
    help="An input from a file: its text, its bytes, or its JSON, by the input's type; - is stdin.",
)
@options.as_json("Print the result as one JSON object, and nothing else.")
@click.option("--dry-run", is_flag=True, help="Check everything and show the plan; run nothing.")
@click.option("--memory", is_flag=True, help="Keep everything in memory: nothing to resume afterwards.")
@options.operators
@options.no_cache
@options.concurrency
@options.env_file
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="LIMIT=N",
    help="Limits on models, such as money=0.5,tokens=10000,calls=20. The strictest limits apply.",
)
@options.allow_hosts
@options.one_output
@options.output_dir
@options.overwrite
@options.run_name
@options.for_whom
@options.quiet
def command(
    file: Path | None, nodes: tuple[str, ...], inputs: tuple[str, ...], input_files: tuple[str, ...],
    as_json: bool, dry_run: bool, memory: bool, operators: tuple[Path, ...], no_cache: bool,
    concurrency: int | None, env_file: Path | None, budgets: tuple[str, ...],
    allow_hosts: tuple[str, ...], name: str | None, one_output: str | None, output_dir: Path | None,
    overwrite: bool, user: str | None, project: str | None, priority: int | None, quiet: bool,
) -> int:  # fmt: skip
    """Run a workflow.

    FILE is YAML, TOML, JSON, MessagePack or Bincode, or - for stdin: its relative paths then begin in this
    folder. Without FILE, workflow.yaml here is run (or one of another format), or the only workflow here.
    After FILE, NODEs may follow: then only these are run, and what they need.

    Prints the outputs (artifacts with their path) to stdout and progress to stderr. Ctrl-C, SIGTERM and
    SIGHUP stop what runs, a second one at once; `symphony runs resume` goes on, as it does after a crash:
    nothing that had finished is lost. A signal does not cancel a run; `symphony runs cancel` does. A run
    with --memory cannot be resumed, so a signal cancels it.
    """
    from symphony.app import Symphony
    from symphony.cli.actions import opening, reporting, running
    from symphony.cli.actions.delivery import Delivery
    from symphony.cli.arguments import budgeting, envfile, files, typed_inputs
    from symphony.cli.console import failures
    from symphony.commons import collector

    typed_inputs.refuse_spaces(inputs, input_files, [*filter(None, [str(file or "")]), *nodes])
    if file is None or not file.suffix:
        from symphony.cli.arguments.finding import runnable

        file = runnable(file)
    typed_inputs.require_one_reader(file, input_files)
    environment = envfile.environment(env_file)
    budget = budgeting.limits(budgets)
    with collector.uncollected():
        opened = opening.opened(operators, memory=memory)
        prepared = files.prepared(file, opened, load=not dry_run, nodes=nodes)
        collector.keep_all()
    workflow = prepared.workflow
    values = typed_inputs.given_inputs(workflow, inputs, input_files, cwd=Path.cwd())
    failures.warn(prepared.report, file)
    if prepared.lacking:
        output.note(
            f"without the outputs {', '.join(map(output.shown, prepared.lacking))}: they need other nodes"
        )
    if dry_run:
        from symphony.cli.views import planning

        plan = opened.plan(prepared, values, cwd=Path.cwd(), cache=not no_cache, environment=environment)
        planning.say_plan(workflow, values, plan, currency=opened.config.budget.currency, as_json=as_json)
        return 0

    async def begin(symphony: Symphony) -> "RunHandle":
        return await symphony.start(
            prepared, values, cwd=Path.cwd(), cache=not no_cache, concurrency=concurrency,
            environment=environment, budget=budget, allow_hosts=allow_hosts, name=name, user=user,
            project=project, priority=priority,
        )  # fmt: skip

    if one_output in prepared.lacking:
        raise failures.BadUsage(
            f"the output {one_output} needs nodes that are left out", hint="name these nodes, too, or none"
        )
    wanted = Delivery(one_output, output_dir, overwrite).ready(opened, workflow, as_json=as_json)
    view = running.view_for(workflow.name, quiet=quiet, asks=not as_json)
    opened.attend(view.about_to_answer)
    chart = not quiet and not as_json
    report_on = reporting.Report(as_json=as_json, resumable=not memory, chart=chart, delivery=wanted)
    return running.drive(lambda: running.conduct(opened, begin, view, report_on.after, chart=chart))
