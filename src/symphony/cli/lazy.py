"""Groups of commands: whole lines of help, near names for wrong ones, imports only when needed."""

import importlib
from collections.abc import Iterator
from typing import Final

import click

COMMANDS: Final[dict[str, str]] = {
    "run": "Run a workflow.",
    "validate": "Check workflow files and report every problem.",
    "fmt": "Put workflow files into their canonical layout.",
    "graph": "Draw a workflow, or how a run of it went, as text, Mermaid or SVG.",
    "convert": "Write a workflow in another format.",
    "schema": "Print the JSON Schema of workflow files (draft 2020-12).",
    "runs": "List, show, follow, steer and delete runs.",
    "bus": "Watch and measure the live traffic between the processes of one home.",
    "artifacts": "List, find, show, open, store, fetch and rate artifacts.",
    "operators": "List and explain the operators that workflows can use.",
    "models": "List, add, show, try, fetch, warm and remove the models that workflows can use.",
    "pit": "Show what the runs of a home share, and keep models loaded between runs.",
    "cache": "Measure, prune or empty the cache of results.",
    "template": "Find a template and make a workflow of it.",
    "init": "Start a project: a small workflow and a home for its runs.",
    "trust": "Trust the settings of a working tree as they are now.",
    "doctor": "Check this machine, and say how to fix what is wrong.",
    "fsck": "Check the home for damage: every journal, the cache and every artifact.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its one line of help: a test holds them equal to the modules' own."""


class CommandGroup(click.Group):
    """A group whose help has the whole first line of each command; it tells what a typo may have meant."""

    def summaries(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        """Yield the commands with their one line of help."""
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            assert command is not None
            yield name, (command.help or "").strip().partition("\n")[0]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries(ctx)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names. Raises UsageError, with the names that are near."""
        name = args[0]
        if not (name.startswith("-") or ctx.resilient_parsing or name in self.list_commands(ctx)):
            meant = " or ".join(f"`{line}`" for line in self.near(ctx, name))
            ctx.fail(f"There is no command {name!r}." + (f" Did you mean {meant}?" if meant else ""))
        return super().resolve_command(ctx, args)

    def near(self, ctx: click.Context, name: str) -> list[str]:
        """Return the command lines that `name` may have meant."""
        from difflib import get_close_matches

        return [f"{ctx.command_path} {one}" for one in get_close_matches(name, self.list_commands(ctx), n=2)]


class LazyGroup(CommandGroup):
    """The root command. `--help` reads the table above and imports nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command `cmd_name`, imported now."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def summaries(self, ctx: click.Context) -> Iterator[tuple[str, str]]:
        """Return the table above."""
        return iter(COMMANDS.items())

    def near(self, ctx: click.Context, name: str) -> list[str]:
        """Commands of this very name inside a group, the run of a file, or else those that are near."""
        groups = [(one, group) for one in COMMANDS if isinstance(group := load(one), click.Group)]
        inside = [f"{ctx.command_path} {one} {name}" for one, group in groups if name in group.commands]
        return inside or _as_file(ctx, name) or super().near(ctx, name)


def _as_file(ctx: click.Context, name: str) -> list[str]:
    """Return the command line that runs `name`, if that is a file, or is called like a workflow."""
    from pathlib import Path
    from shlex import quote

    from symphony.cli.arguments.finding import is_document

    file = Path(name)
    return [f"{ctx.command_path} run {quote(name)}"] if is_document(file) and file.suffix else []


def load(name: str) -> click.Command:
    """Return the command `name` of the table."""
    command = importlib.import_module(f"symphony.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    return command
