"""Turns what an operator returns into plain values. Pure."""

from collections.abc import Iterable
from math import isfinite
from pathlib import PurePath

import msgspec

from symphony.ports.values import Value
from symphony.workflow.types import INTEGER_MAX, INTEGER_MIN

_NOT_FINITE = "a number that is not finite cannot travel between nodes"
_EXACT = frozenset({type(None), str, int, float, bool, bytes})


def to_value(returned: object) -> Value:
    """`returned` as a plain value that shares no list or map with it.

    Tuples and sets become lists, records (dataclass, Struct) maps, paths, enums and dates
    text, arrays (whatever has `tolist`) lists. Raises TypeError, or RecursionError for what
    contains itself, if something in it is no value: other objects, keys that are not text,
    numbers that are not finite, integers beyond 64 bits.
    """
    kind = type(returned)
    if kind in _EXACT:  # most results: told by one look at the type
        if kind is int or kind is float:
            _check_number(returned)
        return returned  # type: ignore[return-value]  # all exact types are values
    if isinstance(returned, list | tuple):
        return _list(returned)
    if isinstance(returned, dict):
        return {_key(key): to_value(value) for key, value in returned.items()}
    plain: object = msgspec.to_builtins(returned, builtin_types=(bytes,), enc_hook=_encode)
    if type(plain) is type(returned):
        raise _no_value(returned)
    return to_value(plain)


def _list(items: Iterable[object]) -> list[Value]:
    copied: list[object] = list(items)
    kinds = set(map(type, copied))
    if not kinds <= _EXACT:
        return [to_value(item) for item in copied]
    # The extremes stand for all: 1.6 times as fast as a look at each.
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
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} of a map is not text")
    return str(key)


def _encode(value: object) -> object:
    """What msgspec does not know."""
    if isinstance(value, PurePath):
        return str(value)
    for kind in (str, int, float):  # a subclass, such as numpy's float64
        if isinstance(value, kind):
            return kind(value)
    to_list = getattr(value, "tolist", None)
    if callable(to_list):
        return to_list()
    raise _no_value(value)


def _no_value(value: object) -> TypeError:
    return TypeError(f"a {type(value).__qualname__} is not a value that can travel between nodes")
