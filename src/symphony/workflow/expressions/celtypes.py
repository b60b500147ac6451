"""Converts port types to CEL types and back, and values on their way into and out of CEL."""

import math
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import Value
from symphony.workflow.expressions.moments import Moment
from symphony.workflow.types import ANY, INTEGER, STRING, PortType

if TYPE_CHECKING:
    from cel_expr_python import cel

_TO_PORT = {
    "INT": INTEGER,
    "UINT": INTEGER,
    "DOUBLE": PortType("number"),
    "BOOL": PortType("boolean"),
    "STRING": STRING,
    "BYTES": PortType("bytes"),
    "NULL": PortType("any", optional=True),
    "TIMESTAMP": STRING,
    "DURATION": STRING,
    "DYN": ANY,
}
_NULLABLE = {
    "string": "google.protobuf.StringValue",
    "path": "google.protobuf.StringValue",
    "enum": "google.protobuf.StringValue",
    "integer": "google.protobuf.Int64Value",
    "number": "google.protobuf.DoubleValue",
    "boolean": "google.protobuf.BoolValue",
    "bytes": "google.protobuf.BytesValue",
}
DEPTH_MAX = 256
"""The deepest nesting of a value that enters an expression: the library recurses over it."""
TIMESTAMP = PortType("timestamp")
"""The type of `run.started_at` alone. It is not a port type."""


def checked_type(kind: PortType, *, nullable: bool, loose: bool) -> "cel.Type":
    """Return the CEL type that the checker sees for values of a port.

    `nullable` ones are wrappers, which know null and behave like their plain types otherwise. Lists and
    maps have no such form: where an expression speaks of null (`loose`), they are dynamic.
    """
    from cel_expr_python import cel

    nullable = nullable or kind.optional
    if nullable and kind.kind in _NULLABLE:
        return cel.Type(_NULLABLE[kind.kind])
    match kind.kind:
        case "string" | "path" | "enum":
            return cel.Type.STRING
        case "integer":
            return cel.Type.INT
        case "number":
            return cel.Type.DOUBLE
        case "boolean":
            return cel.Type.BOOL
        case "bytes":
            return cel.Type.BYTES
        case "timestamp":
            return cel.Type.TIMESTAMP
    if loose or kind.optional:
        return cel.Type.DYN
    match kind.kind:
        case "embedding":
            return cel.Type.List(cel.Type.DOUBLE)
        case "list":
            return cel.Type.List(checked_type(kind.item or ANY, nullable=False, loose=loose))
        case "map":
            item = checked_type(kind.item or ANY, nullable=False, loose=loose)
            return cel.Type.Map(cel.Type.STRING, item)
    return cel.Type.DYN


def to_port(kind: str) -> PortType | None:
    """Return the port type of a result of the CEL type that prints as `kind`; None if it is not a value."""
    if kind in _TO_PORT:
        return _TO_PORT[kind]
    if kind.startswith("LIST<"):
        item = to_port(kind[5:-1])
        return None if item is None else PortType("list", item)
    if kind.startswith("MAP<"):
        key, _, value = kind[4:-1].partition(", ")
        item = to_port(value)
        return PortType("map", item) if key in ("STRING", "DYN") and item is not None else None
    return None


def given(value: Value, kind: PortType) -> object:
    """Return `value` in a form that the library takes whole. Raises ValueError if there is none.

    The library cuts texts and bytes at a NUL; inside a protobuf wrapper they stay whole.
    Integers that stand for numbers become doubles.
    """
    if kind.kind in _NUMERIC and has_numbers(kind):
        value = _as_doubles(value, kind)
    elif kind.kind == "timestamp" and isinstance(value, str):
        return datetime.fromisoformat(value)
    return whole(value)


_NUMERIC = ("number", "embedding", "list", "map")


@lru_cache(maxsize=1024)
def has_numbers(kind: PortType) -> bool:
    """True if integers in values of this type become doubles."""
    return kind.kind in ("number", "embedding") or (kind.item is not None and has_numbers(kind.item))


def _as_doubles(value: Value, kind: PortType) -> Value:
    if kind.kind == "number":
        return float(value) if type(value) is int else value
    item = kind.item or PortType("number")
    if isinstance(value, list):
        if item.kind == "number" and all(type(element) is float for element in value):
            return value
        return [_as_doubles(element, item) for element in value]
    if isinstance(value, dict):
        return {key: _as_doubles(element, item) for key, element in value.items()}
    return value


_NUMBERS = frozenset({type(None), bool, int, float})


def whole(value: object) -> object:
    """Return `value`, or a copy of it in which texts and bytes with a NUL are wrapped.

    Raises ValueError for a key with a NUL, which has no such form, and beyond `DEPTH_MAX`.
    """
    return _copied(value) if is_cut(value) else value


def is_cut(value: object) -> bool:
    """True if the library would lose a part of the value, or refuse a value that it gave itself. Raises
    ValueError beyond `DEPTH_MAX`.
    """
    level = [value]
    for _ in range(DEPTH_MAX):
        below: list[object] = []
        for item in level:
            if type(item) is list and _NUMBERS.issuperset(map(type, item)):
                continue
            match item:
                case str():
                    if "\0" in item:
                        return True
                case list():
                    below += item
                case dict():
                    below += item
                    below += item.values()
                case bytes():
                    if b"\0" in item:
                        return True
                case bytearray():
                    return True
        if not below:
            return False
        level = below
    raise ValueError(f"a value is nested more than {DEPTH_MAX} deep")


def _copied(value: object) -> object:
    match value:
        case str():
            return _wrapped(value) if "\0" in value else value
        case bytes() | bytearray():
            return _wrapped(bytes(value)) if b"\0" in value else bytes(value)
        case list():
            return [_copied(element) for element in value]
        case dict():
            if any(isinstance(key, str) and "\0" in key for key in value):
                raise ValueError("a map has a key with the character NUL, which expressions cannot read")
            return {key: _copied(element) for key, element in value.items()}
    return value


def _wrapped(value: str | bytes) -> object:
    from google.protobuf import wrappers_pb2  # slow to import, seldom needed

    if isinstance(value, str):
        return wrappers_pb2.StringValue(value=value)
    return wrappers_pb2.BytesValue(value=value)


def to_value(plain: object) -> Value:
    """Return a result as a plain value: timestamps and durations become text, as CEL's string() does.

    Raises ValueError for something that is not a value: a type, a number that is not finite, an integer
    beyond 64 bits, a map with other than string keys.
    """
    if plain is None or isinstance(plain, bool | str | bytes):
        return plain
    if isinstance(plain, int):
        if not INTEGER_MIN <= plain <= INTEGER_MAX:
            raise ValueError(f"{plain} is beyond 64 bits")
        return plain
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise ValueError(f"the result is {_spoken(plain)}, which is not a number")
        return plain
    if isinstance(plain, list):
        return [to_value(item) for item in plain]
    if isinstance(plain, dict):
        if any(not isinstance(key, str) for key in plain):
            raise ValueError("the result is a map with keys that are not strings")
        return {str(key): to_value(item) for key, item in plain.items()}
    if isinstance(plain, bytearray):
        return bytes(plain)
    if isinstance(plain, Moment):
        return plain.text
    raise ValueError(f"the result is {plain}, which cannot travel between nodes")


def _spoken(number: float) -> str:
    return "not a number" if math.isnan(number) else "infinite"
