"""Operators on JSON: `json.*`."""

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.commons.lines import column_number, line_number, lines_of
from symphony.kit.errors import InputRefused
from symphony.kit.jmespath_rules import search
from symphony.ports.values import VALUE_DEPTH_MAX, Value
from symphony.sdk import Bounds, JmesPath, Json, operator
from symphony.sdk.bounds import extent
from symphony.workflow.documents.json_text import half_pair
from symphony.workflow.languages.jmespath_text import LENGTH_MAX

_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_LONG_NUMBER = re.compile(r"\d{19}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@operator("json.parse", version="1.0.0", pure=True)
def parse(text: str, lines: bool = False) -> Json:
    """Parse JSON.

    Parsing is strict: no comments, no NaN, no integers beyond 64 bits. If an object has a duplicate key, the
    last value counts.

    text: the document
    lines: read one document per line (JSON Lines); empty lines are ignored and the result is a list
    """
    if not lines:
        return _parsed(text, 0)
    return [_parsed(line, number) for number, line in enumerate(lines_of(text)) if line.strip()]


_STEPS_MAX = 200_000


def _heavy(inputs: Mapping[str, Value]) -> bool:
    """True if the query can take long, or return much more than it gets. Each part may double the data."""
    expression = inputs.get("expression")
    if not isinstance(expression, str):
        return False
    doublings = sum(expression.count(mark) for mark in ",:&(")
    size = extent(inputs.get("data"), _STEPS_MAX)
    return doublings > 20 or size * (len(expression) + 1) * 2**doublings > _STEPS_MAX


@operator("json.query", version="1.0.0", pure=True, bounds=Bounds(heavy=_heavy, seconds="seconds"))
def query(
    data: Json,
    expression: Annotated[str, JmesPath()],
    seconds: float = 30.0,  # noqa: ARG001  (its bounds hold it)
) -> Json:
    """Select and reshape data with a JMESPath expression. The result is null if nothing matches.

    data: the data to query
    expression: JMESPath, for instance people[?age > `20`].name
    seconds: fail if it takes longer
    """
    import jmespath.exceptions

    if len(expression) > LENGTH_MAX:
        raise InputRefused(f"input expression is longer than {LENGTH_MAX} characters", hint="shorten it")
    try:
        found = search(expression, data)
    except jmespath.exceptions.JMESPathError as error:
        text = " ".join(str(error).split())
        raise InputRefused(f"input expression: {text}", hint="see jmespath.org for the language") from error
    except RecursionError:
        raise InputRefused("input expression is nested too deeply", hint="shorten it") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The library lets through Python's errors about slices and function arguments.
        raise InputRefused(f"input expression: {error}", hint="see jmespath.org for the language") from error
    wrong = unfit(found)
    if wrong is None and _SURROGATE.search(expression) and _has_half_pair(found):
        wrong = "half of a surrogate pair"
    if wrong is not None:
        raise InputRefused(f"input expression gives {wrong}, which cannot travel between nodes",
                           hint="select less, or convert it")  # fmt: skip
    return found


def _has_half_pair(value: Value) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return True
    return False


def unfit(value: object) -> str | None:
    """Return what makes `value` not a plain value: too deep, beyond 64 bits, not finite.

    None if it is fine.
    """
    level: list[object] = [value]
    for depth in range(VALUE_DEPTH_MAX + 1):
        below: list[object] = []
        for one in level:
            if isinstance(one, list | dict):
                if depth == VALUE_DEPTH_MAX:
                    return f"something nested more than {VALUE_DEPTH_MAX} deep"
                below += one if isinstance(one, list) else one.values()
            elif isinstance(one, int) and not INTEGER_MIN <= one <= INTEGER_MAX:
                return "an integer beyond 64 bits"
            elif isinstance(one, float) and not math.isfinite(one):
                return "a number that is not finite"
            elif not isinstance(one, str | int | float | bytes | None):  # what JMESPath makes of `&name`
                return "an expression"
        level = below
    return None


def _parsed(text: str, line: int) -> Value:
    try:
        value: Value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InputRefused(*_place(text, str(error), line), hint="see json.org for the language") from error
    except RecursionError:
        raise InputRefused(f"input text, line {line + 1}: nested too deeply", hint="split it") from None
    except UnicodeEncodeError as error:
        raise InputRefused(f"input text: {error.reason}", hint="give valid Unicode") from error
    if _LONG_NUMBER.search(text) and (number := beyond_64_bits(value)) is not None:
        at = line_number(text, text.find(str(number)[:40])) + line
        raise InputRefused(f"input text, line {at}: an integer beyond 64 bits", hint="write it as a string")
    if text.count("[") + text.count("{") > VALUE_DEPTH_MAX and (wrong := unfit(value)) is not None:
        raise InputRefused(f"input text, line {line + 1}: {wrong}", hint="split it")
    return value


def beyond_64_bits(value: Value) -> int | None:
    """Return the first integer in `value` that does not fit 64 bits, or None."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, int) and not INTEGER_MIN <= found <= INTEGER_MAX:
            return found
    return None


def _place(text: str, message: str, line: int) -> tuple[str]:
    """Return the message with line and column in place of msgspec's byte offset."""
    found = _AT_BYTE.search(message)
    if found is None:
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            return (f"input text, line {error.lineno + line}, column {error.colno}: {error.msg}",)
        half = half_pair(text)  # Python's own reader accepts it
        if half is None:
            return (f"input text: {message}",)
        return (f"input text, line {half[0] + line}, column {half[1]}: half of a surrogate pair",)
    before = text.encode()[: int(found[1])].decode("utf-8", "replace")
    row, column = line_number(before, len(before)) + line, column_number(before, len(before))
    reason = message[: found.start()].strip().removeprefix("JSON is malformed: ")
    return (f"input text, line {row}, column {column}: {reason}",)
