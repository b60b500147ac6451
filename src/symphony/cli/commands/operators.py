"""`symphony operators`: what `operator:` may name."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.workflow.catalog import OperatorInfo


@click.group("operators", cls=CommandGroup)
def command() -> None:
    """List and explain the operators that workflows can use."""


own_file = click.argument("file", type=options.PATH, required=False)


@command.command("list")
@own_file
@options.operators
@options.as_json("Print a JSON list.")
def list_operators(file: Path | None, operators: tuple[Path, ...], as_json: bool) -> int:
    """List all operators, or those in FILE.

    FILE is a workflow, for its own operators, or a Python file. It is read, not run.
    """
    from symphony.cli.arguments import files
    from symphony.cli.views import listing

    known = files.catalog_with(operators).operators if file is None else files.operators_in(file)
    found = [operator for _, operator in sorted(known.items())]
    if as_json:
        output.say_json([listing.operator_document(operator) for operator in found])
    else:
        output.say(listing.operators_text(found))
    return 0


@command.command()
@click.argument("name", shell_complete=completing.operators)
@own_file
@options.operators
@options.as_json()
def show(name: str, file: Path | None, operators: tuple[Path, ...], as_json: bool) -> int:
    """Explain an operator: its inputs, its outputs and its effects.

    FILE is a workflow with operators of its own, or a Python file that defines some. It is read, not run.
    """
    from symphony.cli.arguments import files
    from symphony.cli.views import listing
    from symphony.commons.errors import SymphonyError

    known = files.catalog_with(operators).operators
    known = known if file is None else {**files.operators_in(file), **known}
    operator = known.get(name)
    if operator is None:
        hint = _instead_of(name.partition("@")[0], known, in_file=file is not None)
        raise SymphonyError(f"there is no operator {name!r}", code="unknown-operator", hint=hint)
    if as_json:
        output.say_json(listing.operator_document(operator))
    else:
        output.say(listing.operator_text(operator))
    return 0


def _instead_of(name: str, known: "Mapping[str, OperatorInfo]", *, in_file: bool) -> str:
    """Return what the unknown operator `name` may mean, and where to look."""
    from symphony.workflow.remedies import kin_of, kind_hint, near_operator

    if (kind := kind_hint(name)) is not None:
        return kind
    near, kin = near_operator(name, known), kin_of(name, known)
    told = [
        f"did you mean {near}?" if near else f"there are {kin}" if kin else "",
        "all: symphony operators list",
    ]
    if not in_file and not near:
        told.append(f"one that a workflow uses: symphony operators show {output.shown(name)} FILE")
    return "\n".join(filter(None, told))
