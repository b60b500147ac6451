"""Values against the types of a node's ports. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.nodes.work import Work
from symphony.ports.values import StoredValue, Value

V = TypeVar("V", Value, StoredValue)


def check_inputs(work: Work, inputs: Mapping[str, StoredValue]) -> None:
    """Raises SymphonyError `type-mismatch` for a value that its port does not take."""
    checks = work.input_checks
    for name, value in inputs.items():
        check = checks.get(name)
        if check is not None and (why := check(value)) is not None:
            kind = (work.input_ports or {})[name].type
            raise SymphonyError(f"input {name}: {why}", code="type-mismatch", hint=f"{name} takes {kind}")


def check_outputs(work: Work, outputs: Mapping[str, V]) -> Mapping[str, V]:
    """Outputs of the declared types, integers in ports of numbers made doubles: a copy where there are any.

    Raises SymphonyError `type-mismatch`.
    """
    checks, checked = work.output_checks, outputs
    for name, value in outputs.items():
        check = checks.get(name)
        if check is None:
            continue
        if type(value) is int and work.output_types[name].kind == "number":
            checked = {**checked, name: _double(name, value)}
        elif (why := check(value)) is not None:
            raise SymphonyError(
                f"output {name}: {why}", code="type-mismatch", hint="the operator breaks its own declaration"
            )
    return checked


def _double(name: str, value: int) -> float:
    """The number as a double, if it stays the same."""
    made = float(value)
    if int(made) != value:
        raise SymphonyError(
            f"output {name}: {value} is not the same as a number, which is a double",
            code="type-mismatch",
            hint="declare the output an integer, or return a float",
        )
    return made
