"""`symphony template`: workflows to begin with."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.app import RunHandle


@click.group("template", cls=CommandGroup)
def command() -> None:
    """Find a template and make a workflow of it.

    Symphony looks for templates in the nearest folder `symphony-templates`, here or above, then in
    `templates` in the home, then among its own. If several have the same name, the first one counts.
    """


@command.command("list")
@options.as_json("Print a JSON list.")
def list_templates(as_json: bool) -> int:
    """List all templates."""
    from symphony.cli.arguments import templates

    templates.say_list(templates.known(), as_json=as_json)
    return 0


@command.command()
@click.argument("words", nargs=-1, required=True)
@options.as_json("Print a JSON list.")
def search(words: tuple[str, ...], as_json: bool) -> int:
    """List the templates that have all the words in their name, description, tags or parameters."""
    from symphony.cli.arguments import templates

    found = [entry for entry in templates.known() if templates.matches(entry, words)]
    templates.say_list(found, as_json=as_json)
    return 0


@command.command()
@click.argument("name", shell_complete=completing.templates)
@options.as_json()
def show(name: str, as_json: bool) -> int:
    """Explain a template and its parameters.

    NAME is the name of a template or the path of a file.
    """
    from symphony.cli.arguments import templates

    entry = templates.find(name)
    if as_json:
        output.say_json(templates.document(entry))
    else:
        output.say(templates.text(entry))
    return 0


@command.command()
@click.argument("name", shell_complete=completing.templates)
@click.option(
    "--param",
    "-p",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completing.parameters,
    help="A parameter; may be repeated. Text and paths are taken literally, everything else is JSON.",
)
@click.option(
    "--output", "-o", "target", type=options.PATH,
    help="The file to write: .yaml, .toml or .json. Default: NAME.yaml, or none with --run.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--run", "at_once", is_flag=True, help="Run the workflow at once.")
@options.as_json("Print what was written, or the result of the run, as one JSON object.")
@options.operators
@options.allow_hosts
@options.quiet
def use(
    name: str, params: tuple[str, ...], target: Path | None, force: bool, at_once: bool, as_json: bool,
    operators: tuple[Path, ...], allow_hosts: tuple[str, ...], quiet: bool,
) -> int:  # fmt: skip
    """Make a workflow of a template.

    NAME is the name of a template or the path of a file. On a terminal
    it asks for missing parameters. It writes nothing unless every parameter fits and the workflow is
    valid.
    """
    from symphony.app import Symphony
    from symphony.cli.actions import opening, reporting, running
    from symphony.cli.arguments import templates
    from symphony.cli.console import failures

    entry = templates.find(name)
    opened = opening.opened(operators)
    if target is None and not at_once:
        target = Path(f"{entry.name}.yaml")
    templates.check_target(target, force=force)
    made = templates.make(entry, params, target, opened.catalog, ask=not as_json)
    if target is not None:
        templates.write(made, target, force=force)
        if not at_once:
            templates.say_written(entry, target, as_json=as_json)
    if not at_once:
        return 0
    failures.warn(made.report, target or entry.path)

    async def begin(symphony: Symphony) -> "RunHandle":
        return await symphony.start(target or made.workflow, {}, cwd=Path.cwd(), allow_hosts=allow_hosts)

    view = running.view_for(made.workflow.name, quiet=quiet)
    chart = not quiet and not as_json
    report = reporting.Report(as_json=as_json, resumable=True, chart=chart)
    return running.drive(lambda: running.conduct(opened, begin, view, report.after, chart=chart))
