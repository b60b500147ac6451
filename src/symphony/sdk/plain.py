"""Turns what an operator returns into plain values. Pure."""

import re
from collections.abc import Awaitable, Iterable, Mapping
from enum import Enum
from math import isfinite
from pathlib import PurePath

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import Value

_NOT_FINITE = "a number that is not finite cannot travel between nodes"
_FINE_TIMES = re.compile(r"(datetime|timedelta)64\[\d*(ns|ps|fs|as)\]")
_TEXT = frozenset({str})
_MAPS = frozenset({dict})
_BARE = frozenset({type(None), str, bool, bytes})
"""Scalar types, which are plain values as they are."""
_EXACT = frozenset({type(None), str, int, float, bool, bytes})


def to_value(returned: object) -> Value:
    """Return `returned` as a plain value that shares no list or map with it.

    Nothing is lost on the way: tuples and sets (in order) become lists, records (dataclass, Struct)
    maps, enums their values, paths, dates, decimal numbers and UUIDs text, arrays (whatever has
    `tolist`) lists; subclasses of text, bytes and numbers are what they hold. Raises TypeError, or
    RecursionError for what contains itself, if something in it is no value: other objects, keys that
    are not text, numbers that are not finite or do not fit into 64 bits.
    """
    kind = type(returned)
    if kind in _EXACT:  # most results: one look at the type is enough
        if kind is int or kind is float:
            _check_number(returned)
        return returned  # type: ignore[return-value]  # all exact types are values
    if isinstance(returned, list | tuple):
        return _list(returned)
    if isinstance(returned, dict):
        return _map(returned)
    if isinstance(returned, set | frozenset):
        return _ordered([to_value(item) for item in returned])
    if isinstance(returned, bytes | bytearray | memoryview):
        return bytes(memoryview(returned))
    if isinstance(returned, str | int | float) and not isinstance(returned, Enum):
        return to_value(_held(returned))
    plain: object = msgspec.to_builtins(returned, builtin_types=(bytes,), enc_hook=_encode)
    if type(plain) is type(returned):
        raise _no_value(returned)
    return to_value(plain)


def _map(items: Mapping[object, object]) -> Value:
    if set(map(type, items)) <= _TEXT:  # nearly all: such keys never become equal texts
        return {key: value if type(value) in _BARE else to_value(value) for key, value in items.items()}  # type: ignore[misc]  # all exact types are values
    made: dict[str, Value] = {}
    for key, value in items.items():
        text = _key(key)
        if text in made:
            raise TypeError(f"two keys of a map are {text!r} as text")
        made[text] = to_value(value)
    return made


def _ordered(items: list[Value]) -> list[Value]:
    """Return the elements of a set, in the same order in every process."""

    def rank(item: Value) -> tuple[str, float, str, bytes]:
        if isinstance(item, int | float):
            return type(item).__name__, item, "", b""
        body = item if isinstance(item, bytes) else b""
        return type(item).__name__, 0, item if isinstance(item, str) else repr(item), body

    return sorted(items, key=rank)


def _list(items: Iterable[object]) -> list[Value]:
    copied: list[object] = list(items)
    kinds = set(map(type, copied))
    if not kinds <= _EXACT:
        each = _map if kinds == _MAPS else to_value
        return [each(item) for item in copied]  # type: ignore[arg-type]  # a map, if all are
    # Checking only the extremes is 1.6 times as fast as checking each.
    if int in kinds:
        integers = [item for item in copied if type(item) is int]
        _check_number(min(integers))
        _check_number(max(integers))
    if float in kinds and not all(map(isfinite, [item for item in copied if type(item) is float])):
        raise TypeError(_NOT_FINITE)
    plain: list[Value] = copied  # type: ignore[assignment]  # all kinds are exact
    return plain


def _check_number(number: object) -> None:
    if type(number) is float and not isfinite(number):
        raise TypeError(_NOT_FINITE)
    if type(number) is int and not INTEGER_MIN <= number <= INTEGER_MAX:
        raise TypeError("an integer beyond 64 bits cannot travel between nodes")


def _key(key: object) -> str:
    if isinstance(key, Enum):
        key = key.value
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} of a map is not text")
    return key if type(key) is str else str.__str__(key)


def _held(value: str | int | float) -> str | int | float:
    """Return what a subclass, such as numpy's float64, holds; its own conversions do not count."""
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _encode(value: object) -> object:
    """Return what msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, str | int | float):
        return _held(value)
    to_list = getattr(value, "tolist", None)
    if not callable(to_list):
        raise _no_value(value)
    if _FINE_TIMES.search(str(getattr(value, "dtype", ""))):  # `tolist` would give bare numbers
        raise TypeError("a time finer than microseconds cannot travel between nodes: give it as text")
    made: object = to_list()
    if type(made) is type(value):
        raise _no_value(value)
    return made


def _no_value(value: object) -> TypeError:
    if isinstance(value, Awaitable):
        return TypeError(f"a {type(value).__qualname__} is no value: write await before what gives it")
    return TypeError(f"a {type(value).__qualname__} is not a value that can travel between nodes")
