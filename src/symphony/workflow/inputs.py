"""Inputs of a run: parses texts from a command line, and binds values to what the workflow declares.

Pure: no files, no environment; the caller's directory is an argument.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ipc.values import BYTES_KEY, unspelled_bytes
from symphony.ports.values import Value
from symphony.workflow.documents.json_text import half_pair
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.problems import Code, Problem
from symphony.workflow.types import PortType, kind_name, mismatch

DEPTH_MAX = 100
"""How deep lists and maps may be nested in one given value; workflow files have the same limit."""

_LITERAL = ("string", "path", "enum")


def bind_inputs(
    workflow: Workflow, given: Mapping[str, Value], *, cwd: PurePath
) -> tuple[dict[str, Value], tuple[Problem, ...]]:
    """Return what the run gets as `inputs`, and every problem of `given`.

    Defaults are filled in, types, `min`, `max` and choices are checked, and paths become absolute
    against `cwd`, which must be absolute. Where there are problems the values must not be used.
    """
    values: dict[str, Value] = {}
    problems = [unknown_input(workflow, name) for name in given if name not in workflow.inputs]
    for name, spec in workflow.inputs.items():
        if name in given:
            value = given[name]
        elif spec.required:
            problems.append(_missing(name, spec))
            continue
        else:
            value = None if spec.default is msgspec.UNSET else spec.default
        if why := mismatch(value, spec.type) or beyond(value, spec) or bad_path(value, spec.type):
            if type(value) in (int, float):
                why = why.replace(kind_name(value), f"{kind_name(value)} ({json.dumps(value)})", 1)
            problems.append(_wrong(name, spec, why))
        else:
            values[name] = absolute(value, spec.type, cwd)
    return values, tuple(problems)


def parse_inputs(
    workflow: Workflow, texts: Iterable[tuple[str, str]]
) -> tuple[dict[str, Value], tuple[Problem, ...]]:
    """Return the values of pairs of name and text, and a problem for each that cannot be read.

    A duplicate name is reported as `duplicate-name`. Unknown names are left to `bind_inputs`: their
    text is kept as it is.
    """
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    for name, text in texts:
        if name in values:
            problems.append(
                _problem("duplicate-name", name, f"input {name!r} is given twice", "give it once")
            )
            continue
        spec = workflow.inputs.get(name)
        values[name] = text
        try:
            values[name] = text if spec is None else parse_value(text, spec.type)
        except ValueError as error:
            problems.append(_wrong(name, spec or InputSpec(), str(error)))
    return values, tuple(problems)


def parse_value(text: str, target: PortType) -> Value:
    """Return the value that `text` stands for where a `target` is expected.

    Texts, paths and choices are literal; all else is JSON, bytes as `{"$bytes": base64}`; a free `any`
    is JSON if it reads as JSON, text otherwise. Raises ValueError, saying what is wrong.
    """
    _check_unicode(text)
    if target.kind in _LITERAL:
        return text
    try:
        return parse_json(text)
    except ValueError as error:
        if target.kind == "any" and isinstance(error, json.JSONDecodeError):
            return text
        if isinstance(error, json.JSONDecodeError):
            raise ValueError(
                f"{_excerpt(text)} is not JSON ({error.msg}, at character {error.pos + 1})"
            ) from None
        raise


def parse_json(text: str) -> Value:
    """Return the value of one JSON document. Raises ValueError (JSONDecodeError where it is not JSON).

    Refused: duplicate keys, numbers that are not finite or integers beyond 64 bits, nesting beyond
    `DEPTH_MAX`, unknown keys that start with a single `$`.
    """
    try:
        raw = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {DEPTH_MAX} deep") from None
    if "\\u" in text and (half := half_pair(text)):
        raise ValueError(f"line {half[0]}, column {half[1]}: half of a surrogate pair")
    return _unspelled(raw, 0)


def absolute(value: Value, target: PortType, cwd: PurePath) -> Value:
    """Return `value` with every path in it made absolute. Links are not followed and `..` stays."""
    if target.kind == "path" and isinstance(value, str):
        return str(cwd / value)
    if target.item is None:
        return value
    if isinstance(value, list):
        return [absolute(element, target.item, cwd) for element in value]
    if isinstance(value, dict):
        return {key: absolute(element, target.item, cwd) for key, element in value.items()}
    return value


def unknown_input(workflow: Workflow, name: str) -> Problem:
    """Return the problem for an input that `workflow` does not have."""
    from difflib import get_close_matches  # imported only after a typo

    close = get_close_matches(name, list(workflow.inputs), n=1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif workflow.inputs:
        hint = f"its inputs are {', '.join(workflow.inputs)}"
    else:
        hint = "it has no inputs"
    return _problem("unknown-port", name, f"the workflow has no input {name!r}", hint)


def _missing(name: str, spec: InputSpec) -> Problem:
    about = f" ({spec.description})" if spec.description else ""
    return _problem(
        "missing-input",
        name,
        f"input {name!r} is missing{about}",
        f"give it: --input {name}={_example(spec)}",
    )


def _wrong(name: str, spec: InputSpec, why: str) -> Problem:
    return _problem("type-mismatch", name, f"input {name!r}: {why}", f"expected {expected(spec)}")


def _problem(code: Code, name: str, message: str, hint: str) -> Problem:
    return Problem(code=code, place=f"inputs.{name}", message=message, hint=hint)


def expected(spec: InputSpec) -> str:
    """Describe in words what an input accepts."""
    limits = [f"at least {spec.min}"] * (spec.min is not None) + [f"at most {spec.max}"] * (
        spec.max is not None
    )
    text = f"{spec.type}, {' and '.join(limits)}" if limits else str(spec.type)
    return (
        text
        if spec.type.kind in _LITERAL or spec.type.kind == "any"
        else f"{text}, as JSON: {_example(spec)}"
    )


def _example(spec: InputSpec) -> str:
    low = spec.min if spec.min is not None else spec.max
    match spec.type.kind:
        case "integer":
            return str(low if isinstance(low, int) else 1)
        case "number":
            return str(low if low is not None else 0.5)
        case "boolean":
            return "true"
        case "list" | "embedding":
            return "'[…]'"
        case "map":
            return "'{…}'"
        case "json":
            return "'{\"key\": 1}'"
        case "bytes":
            return '\'{"$bytes": "AAEC"}\''
        case "enum" if spec.type.choices:
            return spec.type.choices[0]
    return spec.type.kind.upper()


def beyond(value: Value, spec: InputSpec) -> str | None:
    """Return why a number is too small or too large, as half a sentence; None if it is in range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if spec.min is not None and value < spec.min:
        return f"{value} is less than the minimum, {spec.min}"
    if spec.max is not None and value > spec.max:
        return f"{value} is more than the maximum, {spec.max}"
    return None


def bad_path(value: Value, target: PortType) -> str | None:
    """Return why a path in `value` is invalid, as half a sentence; None if all are valid.

    An empty path would silently mean the whole of the caller's directory.
    """
    if target.kind == "path" and isinstance(value, str):
        if not value:
            return "the path is empty (the caller's directory is written `.`)"
        return "a path cannot hold the character NUL" if "\0" in value else None
    if target.item is None or not isinstance(value, list | dict):
        return None
    elements = value if isinstance(value, list) else value.values()
    return next((why for element in elements if (why := bad_path(element, target.item))), None)


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds bytes that are not UTF-8") from None


def _excerpt(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:40]) + "…"


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"duplicate key {_excerpt(twice)}")
    return found


def _refuse_constant(word: str) -> object:
    raise json.JSONDecodeError(f"{word} is not JSON", word, 0)


def _integer(digits: str) -> int:
    if len(digits) > 20 or not INTEGER_MIN <= (number := int(digits)) <= INTEGER_MAX:
        raise ValueError(f"{_excerpt(digits)} is an integer beyond 64 bits")
    return number


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{_excerpt(digits)} is beyond the largest number")
    return number


def _unspelled(raw: object, depth: int) -> Value:
    if depth > DEPTH_MAX:
        raise ValueError(f"it is nested more than {DEPTH_MAX} deep")
    match raw:
        case None | bool() | int() | float():
            return raw
        case str():
            _check_unicode(raw)
            return raw
        case list():
            return [_unspelled(element, depth + 1) for element in raw]
        case dict():
            return _unspelled_map(raw, depth)
    raise ValueError(f"{type(raw).__name__} is no value")


def _unspelled_map(raw: dict[str, object], depth: int) -> Value:
    if list(raw) == [BYTES_KEY]:
        try:
            return unspelled_bytes(raw[BYTES_KEY])
        except ValueError:
            raise ValueError(f"{BYTES_KEY} must be base64") from None
    values: dict[str, Value] = {}
    for key, element in raw.items():
        _check_unicode(key)
        if key.startswith("$") and not key.startswith("$$"):
            raise ValueError(f"unknown key {key!r}: a literal $ at the start of a key is doubled")
        values[key.removeprefix("$")] = _unspelled(element, depth + 1)
    return values
