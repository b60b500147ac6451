"""JMESPath as its specification has it, where the library follows Python instead."""

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from symphony.ports.values import Value

if TYPE_CHECKING:
    from jmespath.visitor import TreeInterpreter

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


def search(expression: str, data: Value) -> Value:
    """Return what `expression` finds in `data`. Raises the errors of the library, and Python's of its
    functions.
    """
    import jmespath

    found: Value = _interpreter().visit(jmespath.compile(expression).parsed, data)
    return found


def _interpreter() -> "TreeInterpreter":
    from jmespath import Options
    from jmespath.functions import Functions, signature
    from jmespath.visitor import TreeInterpreter

    class Rules(Functions):
        @signature({"types": ["array", "string"]}, {"types": []})
        def _func_contains(self, subject: list[Value] | str, wanted: Value) -> bool:
            if isinstance(subject, str):
                return isinstance(wanted, str) and wanted in subject
            return any(equal(one, wanted) for one in subject)

        @signature({"types": []})
        def _func_to_number(self, value: Value) -> Value:
            if isinstance(value, str):
                return _number(value)
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    class Interpreter(TreeInterpreter):
        COMPARATOR_FUNC: ClassVar[dict[str, Any]] = {
            **TreeInterpreter.COMPARATOR_FUNC,
            "eq": equal,
            "ne": lambda one, other: not equal(one, other),
        }

    return Interpreter(Options(custom_functions=Rules()))


def equal(one: Value, other: Value) -> bool:
    """True if two values are the same in JSON. True is not 1, but 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return one == other


def _number(text: str) -> Value:
    """Return the number that a text spells as JSON does; null for any other."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    return int(text) if found.lastindex is None else float(text)
