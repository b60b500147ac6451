"""Operators that give what the test wants in place of doing their work."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.testing.scripts import After, Script
from symphony.workflow.catalog import OperatorInfo, Port
from symphony.workflow.types import PortType, parse_port_type

_EMPTY: Mapping[str, Value] = {
    "string": "", "path": "", "integer": 0, "number": 0.0, "boolean": False, "bytes": b"", "list": [],
    "embedding": [], "map": {}, "json": None, "any": None,
}  # fmt: skip


class FakeOperator(Operator, frozen=True, kw_only=True, eq=False):
    """An operator with a script. `calls` holds the inputs of every call, in order."""

    calls: list[Mapping[str, Value]] = msgspec.field(default_factory=list)


def fake_operator(
    name: str,
    *answers: Value | Exception | Callable[[Mapping[str, Value]], Value] | After[Value | Exception],
    inputs: Mapping[str, PortType | str] | None = None,
    outputs: Mapping[str, PortType | str] | None = None,
    effect: Literal["pure", "read", "write"] = "read",
) -> FakeOperator:
    """Return an operator `name` that gives `answers`: one for every call, or several in turn.

    In place of an operator of the kit it has that one's ports; otherwise those given, by default no
    inputs and one output `result` of any type. With several outputs an answer is a map of them, and
    those that it leaves out are empty values of their types.
    """
    info = _info(name, inputs, outputs, effect)
    script: Script[Mapping[str, Value], Value] = Script(f"the fake operator {name}", answers)
    calls: list[Mapping[str, Value]] = []
    empty = {output: _empty(port.type) for output, port in info.outputs.items()}

    async def function(**given: Value) -> Value:
        calls.append(given)
        said = await script.answer(given)
        return {**empty, **said} if len(info.outputs) != 1 and isinstance(said, dict) else said

    return FakeOperator(
        info=info, function=function, style="task", single_output=len(info.outputs) == 1, calls=calls
    )


def _info(
    name: str,
    inputs: Mapping[str, PortType | str] | None,
    outputs: Mapping[str, PortType | str] | None,
    effect: Literal["pure", "read", "write"],
) -> OperatorInfo:
    from symphony.workflow import builtin_catalog

    known = builtin_catalog().operators.get(name)
    if known is not None and inputs is None and outputs is None:
        return known
    return OperatorInfo(
        name=name,
        version="1.0.0",
        inputs=_ports(inputs or {}),
        outputs=_ports(outputs or {"result": "any"}),
        effect=effect,
        summary="A fake.",
    )


def _ports(given: Mapping[str, PortType | str]) -> dict[str, Port]:
    return {n: Port(type=t if isinstance(t, PortType) else parse_port_type(t)) for n, t in given.items()}


def _empty(kind: PortType) -> Value:
    """Return the value of the type that says least."""
    if kind.optional:
        return None
    if kind.kind in _EMPTY:
        found = _EMPTY[kind.kind]
        return found.copy() if isinstance(found, list | dict) else found
    return kind.choices[0] if kind.choices else None
