"""Assembles lists and maps of the ports of nodes without looking up names. Pure.

Only small values are assembled. What must be loaded, or may exceed the largest size of a value, is
rendered instead: rendering can wait, and can raise the right error.
"""

from collections.abc import Mapping

import msgspec

from symphony.pit.tracker.nodes.sources import Constant, ElementRead, ListMade, MapMade, PortRead, Source
from symphony.ports.values import ArtifactRef, StoredValue, Value

NOTHING: Mapping[str, StoredValue] = {}
"""The ports of a node that was skipped."""
Held = Mapping[int, Mapping[str, StoredValue]]
_NUMBERS = frozenset({type(None), bool, int, float})
_NUMBER_BYTES, _HEAD_BYTES, _CHARACTER_BYTES = 9, 5, 4  # the most that MessagePack takes

_encode = msgspec.msgpack.Encoder().encode


class _NotSmallError(Exception):
    """A part must be loaded, or all parts together may be too large."""


def assembled(
    source: ListMade | MapMade, base: int, held: Held, element: tuple[Value, int] | None, most: int
) -> Value:
    """Return what `source` gives in the graph whose first slot is `base`; None if it is not surely small.

    `held` holds the ports by slot. A value may take at most `most` bytes.
    """
    if type(source) is ListMade and source.ports is not None:
        parts = [held.get(base + node, NOTHING).get(port) for node, port in source.ports]
        if _NUMBERS.issuperset(map(type, parts)) and len(parts) * _NUMBER_BYTES + _HEAD_BYTES <= most:
            return parts  # type: ignore[return-value]  # numbers all: the line above says so
    try:
        return _Assembly(base, held, element, most).made(source)
    except _NotSmallError:
        return None


class _Assembly:
    __slots__ = ("_base", "_element", "_held", "_room")

    def __init__(self, base: int, held: Held, element: tuple[Value, int] | None, room: int) -> None:
        self._base, self._held, self._element, self._room = base, held, element, room

    def made(self, source: Source) -> Value:
        if type(source) is PortRead:
            return self._sized(self._held.get(self._base + source.node, NOTHING).get(source.port))
        if type(source) is Constant:
            return self._sized(source.value)
        if type(source) is ElementRead:
            return self._sized(None if self._element is None else self._element[source.part])
        self._take(_HEAD_BYTES)
        if type(source) is ListMade:
            return [self.made(item) for item in source.items]
        assert type(source) is MapMade  # no other kind is nested
        made: dict[str, Value] = {}
        for key, item in source.items.items():
            self._sized(key)
            made[key] = self.made(item)
        return made

    def _sized(self, value: StoredValue) -> Value:
        if isinstance(value, ArtifactRef):
            raise _NotSmallError
        if type(value) in _NUMBERS:
            self._take(_NUMBER_BYTES)
        elif isinstance(value, str | bytes):
            self._take(_HEAD_BYTES + _CHARACTER_BYTES * len(value))
        else:
            try:
                self._take(len(_encode(value)))
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise _NotSmallError from error  # it contains references
        return value

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise _NotSmallError
