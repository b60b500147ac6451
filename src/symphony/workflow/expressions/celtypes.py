"""Port types as CEL types and back; CEL's results as plain values."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from symphony.ports.values import Value
from symphony.workflow.types import ANY, PortType

if TYPE_CHECKING:
    from cel_expr_python import cel

_TO_PORT = {
    "INT": PortType("integer"),
    "UINT": PortType("integer"),
    "DOUBLE": PortType("number"),
    "BOOL": PortType("boolean"),
    "STRING": PortType("string"),
    "BYTES": PortType("bytes"),
    "NULL": PortType("any", optional=True),
    "TIMESTAMP": PortType("string"),
    "DURATION": PortType("string"),
}
TIMESTAMP = PortType("timestamp")
"""Only `run.started_at` has it; it is no port type."""


def to_cel(kind: PortType) -> "cel.Type":
    """The CEL type of a port's values. Optional ones are dynamic: a typed variable refuses null.

    So are numbers inside containers, where an integer may stand for a double.
    """
    from cel_expr_python import cel

    if kind.optional:
        return cel.Type.DYN
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
        case "embedding":
            return cel.Type.List(cel.Type.DOUBLE)
        case "list":
            return cel.Type.List(to_cel(kind.item or ANY))
        case "map":
            return cel.Type.Map(cel.Type.STRING, to_cel(kind.item or ANY))
    return cel.Type.DYN


def to_port(kind: "cel.Type") -> PortType:
    """The port type that a result of this CEL type has."""
    return _parse(str(kind))


def _parse(text: str) -> PortType:
    if text in _TO_PORT:
        return _TO_PORT[text]
    if text.startswith("LIST<"):
        return PortType("list", _parse(text[5:-1]))
    if text.startswith("MAP<") and ", " in text:
        key, _, item = text[4:-1].partition(", ")
        return PortType("map", _parse(item)) if key in ("STRING", "DYN") else ANY
    return ANY


def to_value(plain: object) -> Value:
    """A result as a plain value: timestamps and durations become text.

    Raises TypeError for what is no value, such as a type or a map with other than string keys.
    """
    if plain is None or isinstance(plain, bool | int | float | str | bytes):
        return plain
    if isinstance(plain, list):
        return [to_value(item) for item in plain]
    if isinstance(plain, dict):
        if any(not isinstance(key, str) for key in plain):
            raise TypeError("a map has a key that is no string")
        return {str(key): to_value(item) for key, item in plain.items()}
    if isinstance(plain, bytearray):
        return bytes(plain)
    if isinstance(plain, datetime):
        return plain.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(plain, timedelta):
        return f"{plain.total_seconds():g}s"
    raise TypeError(f"{plain} is no value that can travel between nodes")
