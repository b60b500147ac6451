"""Checks values against the types of a node's ports. Pure."""

import re
from collections.abc import Mapping
from types import CodeType
from typing import Final, TypeVar

from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.nodes.work import CallWork, OperatorWork, Work
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.workflow.checks import Check

V = TypeVar("V", Value, StoredValue)


_LONG: Final = 64
_WHOLE: Final = re.compile(r"\s*\$\{\{\s*((?:(?!\}\}).)*?)\s*\}\}\s*", re.DOTALL)
_HOLDERS: Final = (list, dict)  # `list | dict` in a check builds a union each time
_KNOWN_MAX: Final = 16


class CheckedValues:
    """Long lists and maps that passed a check, because all elements of a fan-out may get the same one.

    There is one for a run. It keeps the values that it knows alive. Thread-safe.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[StoredValue, Check]] = {}  # by id, which stays the held value's

    def fits(self, value: StoredValue, check: Check) -> bool:
        """True if `note` was called after the check accepted this very value."""
        found = self._known.get(id(value))
        return found is not None and found[1] is check

    def note(self, value: StoredValue, check: Check) -> None:
        """Remember that the value passed the check."""
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[id(value)] = value, check


def check_inputs(work: CallWork, inputs: Mapping[str, StoredValue], checked: CheckedValues) -> None:
    """Raise SymphonyError `type-mismatch` for a value that its port does not accept."""
    checks = work.input_checks
    for name, value in inputs.items():
        check = checks.get(name)
        if check is None:
            continue
        long = isinstance(value, _HOLDERS) and len(value) > _LONG
        if long and checked.fits(value, check):
            continue
        if (why := check(value)) is not None:
            kind = (work.input_ports or {})[name].type
            message = f"input {name}: {why}{_source(work, name)}"
            raise SymphonyError(message, code="type-mismatch", hint=f"{name} takes {kind}")
        if long:
            checked.note(value, check)


def _source(work: CallWork, name: str) -> str:
    """Return the expression that an input came from, as the end of a sentence."""
    given = work.node.inputs.get(name)
    if not isinstance(given, str) or "${{" not in given:
        return ""
    whole = _WHOLE.fullmatch(given)
    return f", from {beginning(given if whole is None else whole[1], 80)}"


def check_outputs(work: Work, outputs: Mapping[str, V]) -> Mapping[str, V]:
    """Return outputs of the declared types. Integers in number ports become doubles, in a copy.

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
            hint = _remedy(work, name, value)
            raise SymphonyError(f"output {name}: {why}", code="type-mismatch", hint=hint)
    return checked


def _remedy(work: Work, name: str, value: Value | StoredValue) -> str:
    """Return how to fix an output of the wrong type, with the function that does it if there is one."""
    code = getattr(work.operator.function, "__code__", None) if isinstance(work, OperatorWork) else None
    if not isinstance(code, CodeType):
        return "the operator breaks its own declaration"
    where, kind = f"{code.co_filename}:{code.co_firstlineno}", work.output_types[name]
    given = "None; is a return missing?" if value is None else f"a value of type {type(value).__name__}"
    return f"{code.co_name} in {where} declares {name} as {kind}, and gave {given}"


def check_references(work: Work, outputs: Mapping[str, StoredValue]) -> None:
    """Raise SymphonyError `type-mismatch` for a reference where the value itself is required.

    For outputs that were checked before large ones went to the store.
    """
    refs = {name: value for name, value in outputs.items() if type(value) is ArtifactRef}
    if refs:
        check_outputs(work, refs)


def _double(name: str, value: int) -> float:
    """Return an integer as a double. Raises SymphonyError `type-mismatch` if that changes its value."""
    made = float(value)
    if int(made) != value:
        raise SymphonyError(
            f"output {name}: {value} is not the same as a number, which is a double",
            code="type-mismatch",
            hint="declare the output an integer, or return a float",
        )
    return made
