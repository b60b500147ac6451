"""Finds the value that a conversion such as `int(x)` could not take, to show it in the error.

The library says only "cannot convert string to int". The value is found by evaluating the arguments of the
expression's conversions.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Final

from symphony.commons.cutting import beginning
from symphony.workflow.expressions.scan import Token, tokens
from symphony.workflow.expressions.staging import Data, Evaluate, EvaluationFailed

_KINDS: Final = "int|uint|double|bool|string|bytes|timestamp|duration"
_FAILED: Final = re.compile(rf"cannot convert \w+ to ({_KINDS})$|\w+ is out of the range of ({_KINDS})$"
                            rf"|`({_KINDS})` does not take \([^,]*\)$")  # fmt: skip
_ARGUMENT: Final = re.compile(r"[A-Za-z_][\w.]*")
_SHOWN: Final = 60
_CALLS_MAX: Final = 20
_ELEMENTS_MAX: Final = 200


def with_value(message: str, text: str, data: Data, hidden: Collection[str], evaluate: Evaluate) -> str:
    """Return the reworded `message` on `text` with the value that could not be converted, where it can
    be told.

    Values that read a variable in `hidden` are not shown. A shortened value has a mark at the cut.
    """
    match = _FAILED.match(message)
    if match is None:
        return message
    function = match[1] or match[2] or match[3]
    shown = {name: value for name, value in data.items() if name not in hidden}
    for argument in _arguments(text, function):
        for value in _values(argument, shown, evaluate):
            if value is not None and _fails(function, value, evaluate):
                return f"{message}: {_spelled(value)}"
    return message


def _arguments(text: str, function: str) -> Iterator[str]:
    """Yield the arguments of the calls of `function` in `text`."""
    found = tokens(text)
    calls = 0
    for at, token in enumerate(found[:-1]):
        is_call = token.text == function and token.kind == "ident" and found[at + 1].text == "("
        if is_call and not (at and found[at - 1].text == "."):
            end = _closing(found, at + 1)
            if end is not None:
                yield text[found[at + 1].end : found[end].start].strip()
            calls += 1
            if calls == _CALLS_MAX:
                return


def _closing(found: list[Token], at: int) -> int | None:
    depth = 0
    for number in range(at, len(found)):
        depth += {"(": 1, ")": -1}.get(found[number].text, 0)
        if depth == 0:
            return number
    return None


def _values(argument: str, data: Data, evaluate: Evaluate) -> Iterator[object]:
    """Yield the value of an argument; of the variable of a macro, or a field of it, the values in lists."""
    try:
        yield evaluate(argument, data)
    except EvaluationFailed:
        variable = argument.partition(".")[0]
        if not _ARGUMENT.fullmatch(argument) or variable in data:
            return
        for items in data.values():
            for item in items[:_ELEMENTS_MAX] if isinstance(items, list) else ():
                try:
                    yield evaluate(argument, {variable: item})
                except EvaluationFailed:
                    break


def _fails(function: str, value: object, evaluate: Evaluate) -> bool:
    try:
        evaluate(f"{function}(value)", {"value": value})
    except EvaluationFailed:
        return True
    return False


def _spelled(value: object) -> str:
    """Return the value as JSON, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"<{type(value).__name__}>"
    return beginning(text, _SHOWN)
