"""JSON Schema, the part that providers hold models to: which schemas can be checked, and the check. Pure.

Source: JSON Schema 2020-12, "Validation". References, conditionals and `pattern` are refused
rather than passed over: a schema that seems to be checked and is not would be worse than none.
"""

import operator
from collections.abc import Callable, Hashable, Iterator, Mapping

from symphony.ports.values import Value

DEPTH_MAX = 32
KEYWORDS = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
    "minItems", "maxItems", "uniqueItems",
    "$schema", "title", "description", "default", "examples",
})  # fmt: skip
_TYPES: Mapping[str, Callable[[Value], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: (number := _number(value)) is not None and number == int(number),
    "number": lambda value: _number(value) is not None,
}

_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}


def unsupported(schema: Value, place: str = "", depth: int = 0) -> str | None:
    """Return why `schema` is not a schema that can be checked; None if it is one."""
    where = place or "it"
    if isinstance(schema, bool):
        return None if place else "it must be a map"
    if not isinstance(schema, dict):
        return f"{where} must be a map"
    if depth > DEPTH_MAX:
        return f"{where} is nested deeper than {DEPTH_MAX}"
    for key, value in schema.items():
        at = f"{place}.{key}" if place else key
        if key not in KEYWORDS:
            return f"{at} is not supported"
        if why := _wrong_keyword(key, value, at):
            return why
    return next(
        (why for at, part in _parts(schema, place) if (why := unsupported(part, at, depth + 1))), None
    )


def _wrong_keyword(key: str, value: Value, at: str) -> str | None:
    match key:
        case "type":
            names = value if isinstance(value, list) else [value]
            if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
                return f"{at} must be one or several of {', '.join(_TYPES)}"
        case "properties" if not isinstance(value, dict):
            return f"{at} must be a map"
        case "anyOf" | "enum" if not isinstance(value, list) or not value:
            return f"{at} must be a list"
        case "required" if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            return f"{at} must be a list of names"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" if _number(value) is None:
            return f"{at} must be a number"
        case "minLength" | "maxLength" | "minItems" | "maxItems":
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                return f"{at} must be a whole number of 0 or more"
        case "uniqueItems" if not isinstance(value, bool):
            return f"{at} must be true or false"
    return None


def _parts(schema: Mapping[str, Value], place: str) -> Iterator[tuple[str, Value]]:
    """Yield the schemas inside a schema, with their places."""
    prefix = f"{place}." if place else ""
    properties, any_of = schema.get("properties"), schema.get("anyOf")
    if isinstance(properties, dict):
        yield from ((f"{prefix}properties.{name}", part) for name, part in properties.items())
    if isinstance(any_of, list):
        yield from ((f"{prefix}anyOf[{at}]", part) for at, part in enumerate(any_of))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield prefix + key, schema[key]


def closed(schema: Value) -> bool:
    """True if it names every key of every map, as providers want it for their strict mode."""
    if isinstance(schema, bool) or not isinstance(schema, dict):
        return False
    if "properties" in schema or schema.get("type") == "object":
        properties, required = schema.get("properties", {}), schema.get("required", [])
        assert isinstance(properties, dict)
        assert isinstance(required, list)
        if schema.get("additionalProperties") is not False or set(properties) != set(map(str, required)):
            return False
    inner = [part for at, part in _parts(schema, "") if not at.endswith("additionalProperties")]
    return all(closed(part) for part in inner)


def mismatch(value: Value, schema: Value, place: str = "") -> str | None:
    """Return where and why `value` does not fit a supported `schema`; None if it does."""
    where = place or "it"
    if isinstance(schema, bool):
        return None if schema else f"{where} should not be there"
    assert isinstance(schema, dict)
    kinds = schema.get("type")
    names = [name for name in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(name, str)]
    if names and not any(_TYPES[name](value) for name in names):
        return f"{where} is not of type {' or '.join(names)}"
    enum, any_of = schema.get("enum"), schema.get("anyOf")
    if isinstance(enum, list) and _identity(value) not in map(_identity, enum):
        return f"{where} is not one of the allowed values"
    if "const" in schema and _identity(value) != _identity(schema["const"]):
        return f"{where} is not the value that is asked for"
    if isinstance(any_of, list) and all(mismatch(value, part, place) for part in any_of):
        return f"{where} fits none of the alternatives"
    if isinstance(value, dict):
        return _map_mismatch(value, schema, place)
    if isinstance(value, list):
        return _list_mismatch(value, schema, place)
    return _bounds_mismatch(value, schema, where)


def _map_mismatch(value: Mapping[str, Value], schema: Mapping[str, Value], place: str) -> str | None:
    prefix = f"{place}." if place else ""
    required = schema.get("required")
    for name in required if isinstance(required, list) else ():
        if name not in value:
            return f"{prefix}{name!s} is missing"
    known = schema.get("properties")
    properties: Mapping[str, Value] = known if isinstance(known, dict) else {}
    for name, item in value.items():
        part = properties.get(name, schema.get("additionalProperties", True))
        if why := mismatch(item, part, prefix + name):
            return why
    return None


def _list_mismatch(value: list[Value], schema: Mapping[str, Value], place: str) -> str | None:
    if why := _size_mismatch(len(value), schema, "Items", f"{place or 'it'} has {len(value)} items"):
        return why
    if schema.get("uniqueItems") is True:
        seen: set[Hashable] = set()
        for at, one in enumerate(value):
            if (known := _identity(one)) in seen:
                return f"{place or 'it'}[{at}] is there twice"
            seen.add(known)
    items = schema.get("items", True)
    found = (mismatch(item, items, f"{place}[{at}]") for at, item in enumerate(value))
    return next((why for why in found if why), None)


def _bounds_mismatch(value: Value, schema: Mapping[str, Value], where: str) -> str | None:
    if isinstance(value, str):
        return _size_mismatch(len(value), schema, "Length", f"{where} has {len(value)} characters")
    number = _number(value)
    if number is None:
        return None
    for key, fits in _BOUNDS.items():
        bound = _number(schema.get(key))
        if bound is not None and not fits(number, bound):
            return f"{where} is {number}, against {key} {bound:g}"
    return None


def _size_mismatch(size: int, schema: Mapping[str, Value], what: str, said: str) -> str | None:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if isinstance(least, int) and size < least:
        return f"{said}, fewer than {least}"
    if isinstance(most, int) and size > most:
        return f"{said}, more than {most}"
    return None


def _number(value: Value) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _identity(value: Value) -> Hashable:
    """Equal for values that JSON holds to be equal, and only for those: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list):
        return "list", tuple(map(_identity, value))
    if isinstance(value, dict):
        return "map", frozenset((key, _identity(item)) for key, item in value.items())
    return isinstance(value, bool), value
