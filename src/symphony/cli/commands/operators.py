"""`symphony operators`: what `operator:` may name."""

from pathlib import Path

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup


@click.group("operators", cls=CommandGroup)
def command() -> None:
    """List and explain the operators that workflows may use."""


@command.command("list")
@options.operators
@options.as_json("Print a JSON list.")
def list_operators(operators: tuple[Path, ...], as_json: bool) -> int:
    """List all operators."""
    from symphony.cli.arguments import files
    from symphony.cli.views import listing

    found = [operator for _, operator in sorted(files.catalog_with(operators).operators.items())]
    if as_json:
        output.say_json([listing.operator_document(operator) for operator in found])
    else:
        output.say(listing.operators_text(found))
    return 0


@command.command()
@click.argument("name", shell_complete=completing.operators)
@options.operators
@options.as_json()
def show(name: str, operators: tuple[Path, ...], as_json: bool) -> int:
    """Explain one operator: its inputs, its outputs, what it does to the world."""
    from symphony.cli.arguments import files
    from symphony.cli.views import listing
    from symphony.commons.errors import SymphonyError

    known = files.catalog_with(operators).operators
    operator = known.get(name)
    if operator is None:
        from symphony.workflow.remedies import operator_hint

        hint = operator_hint(name, {known_name: one.version for known_name, one in known.items()})
        raise SymphonyError(f"there is no operator {name!r}", code="unknown-operator", hint=hint)
    if as_json:
        output.say_json(listing.operator_document(operator))
    else:
        output.say(listing.operator_text(operator))
    return 0
