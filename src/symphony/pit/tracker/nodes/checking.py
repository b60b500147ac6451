"""Values against the types of a node's ports. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.nodes.work import Work
from symphony.ports.values import StoredValue, Value
from symphony.workflow.types import mismatch

V = TypeVar("V", Value, StoredValue)


def check_inputs(work: Work, inputs: Mapping[str, StoredValue]) -> None:
    """Raises SymphonyError `type-mismatch` for a value that its port does not take."""
    for name, value in inputs.items():
        port = None if work.input_ports is None else work.input_ports.get(name)
        if port is not None and (why := mismatch(value, port.type)):
            raise SymphonyError(
                f"input {name}: {why}", code="type-mismatch", hint=f"{name} takes {port.type}"
            )


def check_outputs(work: Work, outputs: Mapping[str, V]) -> dict[str, V]:
    """Outputs of the declared types, integers in ports of numbers made doubles.

    Raises SymphonyError `type-mismatch`.
    """
    checked = dict(outputs)
    for name, value in outputs.items():
        kind = work.output_types.get(name)
        if kind is None or kind.kind == "any":
            continue
        if kind.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
            checked[name] = _double(name, value)
        elif why := mismatch(value, kind):
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
