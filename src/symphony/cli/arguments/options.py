"""Options and arguments that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click

from symphony.cli.arguments import completing

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """Adds an option to a function and gives it back."""

    def __call__(self, function: F, /) -> F: ...


PATH: Final = click.Path(path_type=Path)


class Duration(click.ParamType[float]):
    """A duration such as `90s`, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        from symphony.commons.quantities import duration_s

        if isinstance(value, float):
            return value
        try:
            return duration_s(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION: Final = Duration()

workflow_file: Final = click.argument("file", type=PATH)
workflow_here: Final = click.argument("file", type=PATH, required=False)
run_argument: Final = click.argument("run", shell_complete=completing.runs)
last_run_argument: Final = click.argument(
    "run", required=False, default="last", shell_complete=completing.runs
)
"""A run that is only looked at, or begun once more: the last one unless it is named."""
artifact_argument: Final = click.argument("artifact", shell_complete=completing.artifacts)
operators: Final = click.option(
    "--operators",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="A Python file of operators, trusted; may be repeated.",
)
allow_hosts: Final = click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST",
    help="A host that http.* may ask, such as api.example.org or *.example.com:8443; may be repeated.",
)
env_file: Final = click.option(
    "--env-file",
    type=PATH,
    metavar="FILE",
    help="KEY=VALUE lines for `env`; refused unless only its owner can read it (mode 0600).",
)
no_cache: Final = click.option(
    "--no-cache", is_flag=True, help="Run every node, even if its result is cached."
)
concurrency: Final = click.option(
    "--concurrency", type=click.IntRange(1, 10_000), metavar="N", help="How many nodes may run at once."
)
run_name: Final = click.option(
    "--name",
    metavar="NAME",
    help="A name for the run that no other run has. Default: the workflow and a number, such as words-12.",
)


def for_whom(function: F) -> F:
    """`--as`, `--project` and `--priority`: for whom a run is."""
    for option in (
        click.option(
            "--priority", type=click.IntRange(-1_000, 1_000), metavar="N",
            help="Runs of a higher priority get first what they share with others.",
        ),
        click.option("--project", metavar="NAME", help="The project that the run belongs to."),
        click.option(
            "--as", "user", metavar="NAME",
            help="The user whom the run is for. Users share fairly what cannot serve all at once.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


yes: Final = click.option("--yes", "-y", is_flag=True, help="Do not ask; without a terminal nobody is asked.")
quiet: Final = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")


def _unless_stdout(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    return None if value == Path("-") else value


output: Final = click.option(
    "--output", "-o", "target", type=PATH, metavar="FILE", callback=_unless_stdout,
    help="Write to this file instead of stdout (-).",
)  # fmt: skip


one_output: Final = click.option(
    "--output", "one_output", metavar="NAME", shell_complete=completing.outputs,
    help="Print only this output, raw: text and bytes unchanged, everything else as JSON.",
)  # fmt: skip
output_dir: Final = click.option(
    "--output-dir", "output_dir", type=PATH, metavar="FOLDER",
    help="Write the artifacts that the workflow declares, and large outputs, as files into this folder. "
    "Files that Symphony wrote there are replaced.",
)  # fmt: skip
overwrite: Final = click.option(
    "--overwrite", is_flag=True, help="Let --output-dir replace files that Symphony did not write, too."
)


def as_json(what: str = "Print one JSON object, and nothing else.") -> Decorator:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def limit(default: int) -> Decorator:
    """`--limit N`."""
    return click.option(
        "--limit", "-n", type=click.IntRange(1, 100_000), metavar="N", default=default, show_default=True,
        help="Show at most this many, newest first.",
    )  # fmt: skip


def amendments(function: F) -> F:
    """Return what a run may do otherwise when it goes on, or once more."""
    for option in (
        for_whom,
        click.option(
            "--operators", type=PATH, multiple=True, metavar="FILE",
            help="A Python file of operators, trusted, in place of those of the run. May be repeated.",
        ),
        no_cache,
        concurrency,
        allow_hosts,
        click.option(
            "--budget", "budgets", multiple=True, metavar="LIMIT=N",
            help="Limits on models in place of the run's, such as money=0.5,tokens=10000,calls=20.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function
