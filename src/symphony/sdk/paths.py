"""Finds the paths in a value by the annotation of its port, in one walk over type and value. Pure.

The language of port types is coarser than annotations (`Path | list[Path]` is `any`, a record a map of
anything), so the annotation itself is used.
"""

import collections.abc
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Literal, NewType, TypeAlias, Union, get_args, get_origin

import msgspec

from symphony.ports.values import Value
from symphony.sdk.annotations import is_record
from symphony.sdk.plain import to_value
from symphony.workflow.types import PortType

Find: TypeAlias = Callable[[Value], Iterator[str]]
"""Returns the paths in a value. Raises PathsUnknown."""

_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})
_EMPTY_FACTORIES: tuple[object, ...] = (list, dict, tuple, set, frozenset)
_MADE = object()
_ANYTHING = (bool, int, float, str, bytes, list, dict)


class PathsUnknown(Exception):
    """The type allows a path, and the value does not show where."""


class _Spot(msgspec.Struct, frozen=True):
    """A place where paths may be: `find` returns those in values of the `kinds`.

    Scalars other than texts contain none. For other texts, lists and maps that is not known:
    PathsUnknown.
    """

    kinds: tuple[type, ...]
    find: Find

    def __call__(self, value: Value) -> Iterator[str]:
        if isinstance(value, self.kinds):
            yield from self.find(value)
        elif isinstance(value, str | list | dict):
            raise PathsUnknown


def path_finder(annotation: object) -> Find | None:
    """Return what finds the paths in values of `annotation`, a type or `PortType`; None if it allows none.

    A text that may be a path is one, unless it is a choice of a `Literal` beside it. What a plain `str`
    or `object` holds is never one: nobody can know what the function does with it.
    """
    search = _Search()
    spot = search.spot(annotation)
    return spot if search.paths else None


class _Search:
    """One search of an annotation; `paths` counts the places found, so that recursive types end."""

    def __init__(self) -> None:
        self.paths = 0
        self._begun: dict[object, _Spot | None] = {}

    def spot(self, note: object) -> _Spot | None:
        """Return where paths stand in values of the annotation `note`."""
        if isinstance(note, PortType):
            return self._of_port(note)
        if note == Value:
            return None
        if get_origin(note) is Annotated:
            inner, *notes = get_args(note)
            return self._either([inner, *(n for n in notes if isinstance(n, PortType))], both=True)
        if isinstance(note, NewType):
            return self.spot(note.__supertype__)
        if type(note).__name__ == "InitVar":
            return self.spot(getattr(note, "type"))  # noqa: B009
        if type(note).__name__ == "TypeAliasType":
            return self._once(note, lambda: self.spot(getattr(note, "__value__")))  # noqa: B009
        if isinstance(note, str | typing.ForwardRef):
            return self._unknown()
        origin, args = get_origin(note) or note, get_args(note)
        if getattr(origin, "_name", getattr(origin, "__name__", "")) in _QUALIFIERS and args:
            return self.spot(args[0])
        if origin in (Union, UnionType):
            return self._either(args)
        return self._of_class(origin, args) if isinstance(origin, type) else None

    def _of_class(self, origin: type, args: tuple[object, ...]) -> _Spot | None:
        if issubclass(origin, PurePath) or origin is os.PathLike:
            return self._leaf()
        if is_record(origin) and not args:
            return self._once(origin, lambda: self._of_record(origin))
        if issubclass(origin, collections.abc.Mapping) and len(args) == 2:
            return self._of_map(*map(self.spot, args))
        if origin is tuple and args and args[-1] is not Ellipsis:
            return self._of_positions(list(map(self.spot, args)))
        if issubclass(origin, collections.abc.Iterable) and args:
            inner = self.spot(args[0])
            return None if inner is None else _Spot((list,), _each(inner))
        # A user-defined generic: what it does with its arguments is not known.
        held = [self.spot(arg) for arg in args]
        return self._unknown() if any(spot is not None for spot in held) else None

    def _of_port(self, kind: PortType) -> _Spot | None:
        if kind.kind == "path":
            return self._leaf()
        inner = None if kind.item is None else self._of_port(kind.item)
        if inner is None:
            return None
        return self._of_map(None, inner) if kind.kind == "map" else _Spot((list,), _each(inner))

    def _leaf(self) -> _Spot:
        self.paths += 1
        return _Spot((str,), _itself)

    def _unknown(self) -> _Spot:
        self.paths += 1
        return _Spot((), _itself)

    def _of_map(self, key: _Spot | None, item: _Spot | None) -> _Spot | None:
        if key is None and item is None:
            return None

        def find(value: Value) -> Iterator[str]:
            assert isinstance(value, dict)
            for name, held in value.items():
                yield from () if key is None else key(name)
                yield from () if item is None else item(held)

        return _Spot((dict,), find)

    def _of_positions(self, spots: list[_Spot | None]) -> _Spot | None:
        if all(spot is None for spot in spots):
            return None

        def find(value: Value) -> Iterator[str]:
            assert isinstance(value, list)
            for spot, held in zip(spots, value, strict=False):
                yield from () if spot is None else spot(held)

        return _Spot((list,), find)

    def _either(self, notes: typing.Sequence[object], *, both: bool = False) -> _Spot | None:
        """Yield a value of one of the types; `both`: of all of them at once."""
        found = [self.spot(note) for note in notes if note not in (None, NoneType)]
        spots = [spot for spot in found if spot is not None]
        if not spots:
            return None
        others = both or len(spots) < len(found)
        choices = {c for note in notes if get_origin(note) is Literal for c in get_args(note)}

        def find(value: Value) -> Iterator[str]:
            if isinstance(value, str) and value in choices:
                return
            fitting = [spot for spot in spots if isinstance(value, spot.kinds)]
            if not fitting and not others and isinstance(value, str | list | dict):
                raise PathsUnknown
            for spot in fitting:
                yield from spot(value)

        return _Spot(_ANYTHING, find)

    def _once(self, note: object, make: Callable[[], _Spot | None]) -> _Spot:
        """Yield the spot of a type that may hold itself: made at first sight, looked up in use."""
        if note not in self._begun:
            self._begun[note] = None
            self._begun[note] = make()

        def find(value: Value) -> Iterator[str]:
            spot = self._begun[note]
            yield from () if spot is None else spot(value)

        return _Spot(_ANYTHING, find)

    def _of_record(self, record: type) -> _Spot | None:
        try:
            hints = typing.get_type_hints(record, include_extras=True)
        except Exception:  # noqa: BLE001  (whatever the text of an annotation raises)
            return self._unknown()
        spots = {name: spot for name, note in hints.items() if (spot := self.spot(note)) is not None}
        if not spots:
            return None
        fields = _fields(record)
        order = list(getattr(record, "_fields", ()))

        def find(value: Value) -> Iterator[str]:
            if isinstance(value, list):  # a NamedTuple's fields by position
                value = dict(zip(order, value, strict=False))
            assert isinstance(value, dict)
            for name, spot in spots.items():
                keys, default = fields.get(name, ({name}, None))
                held = [value[key] for key in keys if key in value]
                for one in held or [_plain(default)]:
                    yield from spot(one)

        return _Spot((dict, list) if order else (dict,), find)


def _itself(value: Value) -> Iterator[str]:
    assert isinstance(value, str)
    yield value


def _each(inner: _Spot) -> Find:
    def find(value: Value) -> Iterator[str]:
        assert isinstance(value, list)
        for item in value:
            yield from inner(item)

    return find


def _fields(record: type) -> dict[str, tuple[set[str], object]]:
    """Return the keys under which a field may be given, and what it holds if it is not: null, or a
    default.
    """
    if issubclass(record, msgspec.Struct):
        none = msgspec.NODEFAULT
        return {
            one.name: ({one.name, one.encode_name}, _or_made(one.default, one.default_factory, none))
            for one in msgspec.structs.fields(record)
        }
    if hasattr(record, "__dataclass_fields__"):
        from dataclasses import MISSING, fields, is_dataclass

        assert is_dataclass(record)
        return {
            one.name: ({one.name}, _or_made(one.default, one.default_factory, MISSING))
            for one in fields(record)
        }
    defaults: Mapping[str, object] = getattr(record, "_field_defaults", {})
    return {name: ({name}, default) for name, default in defaults.items()}


def _or_made(default: object, factory: object, missing: object) -> object:
    """Return a field's default; what a factory makes is not looked at. A field that has neither says
    `missing`.
    """
    if factory is not missing:
        return None if factory in _EMPTY_FACTORIES else _MADE
    return None if default is missing else default


def _plain(default: object) -> Value:
    """Return a default as a value. Raises PathsUnknown for a factory, and for something that is not a
    value.
    """
    try:
        return to_value(default)
    except (TypeError, ValueError, RecursionError):
        raise PathsUnknown from None
