"""Names the workflow's input whose value a node could not use, and how to give another."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunResult

if TYPE_CHECKING:
    from symphony.workflow.model import Workflow

_PORT: Final = re.compile(r"input (\w+): ")
_INPUT: Final = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*\}\}")
_CODES: Final = ("bad-input", "io-failed")


def with_input_named(run: RunResult, recorded: "Callable[[], Workflow]") -> RunResult:
    """Return the run with a hint that names the workflow's input, if its error is about the value of one.

    `recorded` gives the workflow; where it raises SymphonyError, the error stays as it is.
    """
    error = run.error
    if error is None or error.node is None or error.code not in _CODES:
        return run
    with suppress(SymphonyError):
        workflow = recorded()
        name = _input_of(error.node, error.message, workflow)
        if name is not None:
            again = f"symphony runs rerun {run.label} -i {name}=…"
            path = workflow.inputs[name].type.kind == "path"
            begin = "; a relative path begins in the current folder" if path else ""
            told = f"the value is that of the workflow's input {name}: give another with {again}{begin}"
            hint = "\n".join(filter(None, (error.hint, told)))
            return msgspec.structs.replace(run, error=msgspec.structs.replace(error, hint=hint))
    return run


def _input_of(node: str, message: str, workflow: "Workflow") -> str | None:
    """Return the workflow's input that gave what `message` is about.

    That is the one which the named port takes, or the only path that the node takes from an input.
    """
    made = workflow.nodes.get(node.partition("[")[0])
    taken = {} if made is None else {port: _read(value) for port, value in made.inputs.items()}
    if (port := _PORT.match(message)) is not None:
        name = taken.get(port[1])
        return name if name in workflow.inputs else None
    paths = {
        one for one in taken.values() if one in workflow.inputs and workflow.inputs[one].type.kind == "path"
    }
    return paths.pop() if len(paths) == 1 else None


def _read(value: object) -> str:
    """Return the workflow's input that an expression is, and nothing else; empty for any other value."""
    found = _INPUT.fullmatch(value.strip()) if isinstance(value, str) else None
    return "" if found is None else found[1]
