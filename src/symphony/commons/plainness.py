"""Finds out, in the interpreter's own loops, that long lists and maps are plain values. Pure.

A look at each value in Python costs a microsecond; a hundred times less is enough to find out which
types there are. Callers also have a general way, which alone words what is wrong.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from math import isfinite
from typing import Final

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN

MANY: Final = 32
"""Up to this many values, checking them one by one is just as fast."""
_EXACT: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict})
_TEXT: Final = frozenset({str})
_LEVELS: Final = 16
_BYTES_MAX: Final = 256 << 20
_BLOCK: Final = 2_048
"""The number of values checked at a time: other threads get their turn in between."""


def is_long(value: object, levels: int = 2) -> bool:
    """True if checking each part of the value takes longer than checking all at once."""
    if type(value) is dict:
        return len(value) > MANY or (levels > 0 and any(is_long(item, levels - 1) for item in value.values()))
    return type(value) is list and len(value) > MANY


def plain_size(value: object, most: int = _BYTES_MAX) -> int | None:
    """Return a lower bound of the bytes that a list or map takes when written; None unless it is surely
    plain.

    Plain is what holds nothing but null, booleans, 64-bit integers, finite numbers, texts, bytes, and
    lists and maps of these by text, no subclasses among them. Counted are a byte for each value and
    what texts and bytes hold. None too for what is larger than `most`, holds a list or map many times,
    or is nested more than a few deep.
    """
    if type(value) is list:
        size = 1
        for at in range(0, len(value), _BLOCK):
            block = value[at : at + _BLOCK]
            found = _size_of(block, most - size, _LEVELS)
            if found is None:
                return None
            size += found
        return size
    return None if type(value) is not dict else _size_of([value], most, _LEVELS)


def _size_of(level: list[object], most: int, levels: int) -> int | None:
    """Return what the values of a list take, as `plain_size` counts it, each with its byte."""
    kinds = set(map(type, level))
    if not kinds <= _EXACT:
        return None
    size = len(level)
    for kind in (str, bytes):
        if kind in kinds:
            size += sum(map(len, _only(kind, level, kinds)))  # type: ignore[arg-type]  # texts all
    if not numbers_fit(level, kinds):
        return None
    below = _below(level, kinds, levels, most - size)
    if below is None:
        return None
    for block in below:
        found = _size_of(block, most - size, levels - 1)
        if found is None:
            return None
        size += found
    return size if size <= most else None


def _only(kind: type, level: Collection[object], kinds: set[type]) -> Collection[object]:
    return level if len(kinds) == 1 else [item for item in level if type(item) is kind]


def numbers_fit(level: Collection[object], kinds: set[type]) -> bool:
    """True if the integers have 64 bits and the floats are finite. `kinds` are the types of all the
    values.
    """
    if int in kinds:
        numbers = _only(int, level, kinds)
        if min(numbers) < INTEGER_MIN or max(numbers) > INTEGER_MAX:  # type: ignore[type-var,operator]
            return False
    return float not in kinds or all(map(isfinite, _only(float, level, kinds)))  # type: ignore[arg-type]


def _below(level: list[object], kinds: set[type], levels: int, most: int) -> Iterable[list[object]] | None:
    """Return what the lists and maps of a level hold, in blocks; None if that may be no plain value, or
    too much.
    """
    if list not in kinds and dict not in kinds:
        return ()
    lists: Collection[list[object]] = _only(list, level, kinds) if list in kinds else []  # type: ignore[assignment]
    maps: Collection[dict[object, object]] = _only(dict, level, kinds) if dict in kinds else []  # type: ignore[assignment]
    if levels == 0 or sum(map(len, lists)) + sum(map(len, maps)) > most:
        return None
    if len(set(map(id, chain(lists, maps)))) < len(lists) + len(maps):
        return None  # one that is there many times may hold more than can be looked at one by one
    if not set(map(type, chain.from_iterable(maps))) <= _TEXT:
        return None
    return _blocks(chain(chain.from_iterable(map(dict.values, maps)), chain.from_iterable(lists)))


def _blocks(values: Iterator[object]) -> Iterator[list[object]]:
    while block := list(islice(values, _BLOCK * 8)):
        yield block


def copied(value: object) -> object:
    """Return a copy that shares no list or map with the value, which is plain."""
    if type(value) is list:
        kinds = set(map(type, value))
        if list not in kinds and dict not in kinds:
            return value.copy()
        if kinds == {dict} and not _holds_holders(value):
            return list(map(dict.copy, value))
        return [copied(item) if type(item) is list or type(item) is dict else item for item in value]
    if type(value) is not dict:
        return value
    made = value.copy()
    for key, item in value.items():
        if type(item) is list or type(item) is dict:
            made[key] = copied(item)
    return made


def _holds_holders(maps: list[object]) -> bool:
    kinds = set(map(type, chain.from_iterable(map(dict.values, maps))))  # type: ignore[arg-type]  # maps all
    return list in kinds or dict in kinds
