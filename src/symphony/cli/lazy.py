"""A group of commands that imports a command's module only when that command is used."""

import importlib
from typing import Final

import click

COMMANDS: Final[dict[str, str]] = {
    "run": "Run a workflow.",
    "validate": "Say everything that is wrong with a workflow file.",
    "graph": "Draw a workflow as text, Mermaid or SVG.",
    "convert": "Write a workflow in another format.",
    "schema": "Print the JSON Schema of workflow files (draft 2020-12).",
    "runs": "List, show, follow, steer and delete runs.",
    "bus": "Watch and measure the live traffic between the processes of one home.",
    "artifacts": "List, show, store and fetch artifacts.",
    "operators": "List and explain the operators that workflows may use.",
    "models": "List, add, show, try and fetch the models that workflows may use.",
    "cache": "Measure or empty the cache of results.",
    "template": "Find a template and make a workflow of it.",
    "init": "Begin: a small workflow and a home for its runs.",
    "trust": "Let the settings of a working tree count, as they are now.",
    "doctor": "Check this machine and say how to repair what is wrong.",
    "fsck": "Look for damage in the home: every journal, the cache, every artifact.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its one line of help: a test holds them equal to the modules' own."""


class LazyGroup(click.Group):
    """The root command. `--help` reads the table above and imports nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command `cmd_name`, imported now."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def load(name: str) -> click.Command:
    """The command `name` of the table."""
    command = importlib.import_module(f"symphony.cli.commands.{name}").command
    assert isinstance(command, click.Command)
    return command
