"""Python annotations as port types, and converters from plain values to the annotated types. Pure."""

import collections.abc
import typing
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, TypeAlias, Union, get_args, get_origin

import msgspec

from symphony.commons.cutting import beginning
from symphony.ports.values import Value
from symphony.sdk.languages import TextNote
from symphony.workflow.types import ANY, STRING, PortType

Embedding: TypeAlias = Annotated[list[float], PortType("embedding")]
"""A vector of numbers: a port of type `embedding`."""

Json: TypeAlias = Annotated[Value, PortType("json")]
"""A value that JSON can spell: a port of type `json`."""

Artifact: TypeAlias = Annotated[Value, PortType("artifact")]
"""A body that is meant to be kept: a port of type `artifact`."""

Convert: TypeAlias = Callable[[object], object]

_SCALARS: dict[object, PortType] = {
    str: PortType("string"),
    int: PortType("integer"),
    float: PortType("number"),
    bool: PortType("boolean"),
    bytes: PortType("bytes"),
    Path: PortType("path"),
    PurePath: PortType("path"),
    object: ANY,
    Any: ANY,
    Value: ANY,
    None: PortType("any", optional=True),
    NoneType: PortType("any", optional=True),
    typing.NoReturn: ANY,
    typing.Never: ANY,
}
_SHOWN_CHARS = 200

_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def port_type(annotation: object) -> PortType:
    """Return the port type of `annotation`. Raises TypeError, saying what is allowed, if it has none.

    A union is optional if it holds None; of several other members `int | float` is a number and all
    else is `any`, which the function must tell apart itself.
    """
    annotation = _plain(annotation)
    if isinstance(annotation, PortType):
        return annotation
    try:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
    except TypeError:
        raise _unknown(annotation) from None
    if is_record(annotation):
        return PortType("map", ANY)
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin in _LISTS:
        return PortType("list", _element_type(origin, args))
    if origin in _MAPS:
        return PortType("map", _item_type(annotation, args), _keys(args))
    if origin is Literal:
        return _choices(annotation, args)
    if origin in (Union, UnionType):
        return _union(args)
    raise _unknown(annotation)


def is_record(annotation: object) -> bool:
    """True for a TypedDict, NamedTuple, dataclass or msgspec Struct."""
    return isinstance(annotation, type) and (
        typing.is_typeddict(annotation)
        or hasattr(annotation, "__dataclass_fields__")
        or issubclass(annotation, msgspec.Struct)
        or (issubclass(annotation, tuple) and hasattr(annotation, "_fields"))
    )


def converter(annotation: object) -> Convert | None:
    """Return a function that turns a plain value into what `annotation` promises (a `Path`); None if no
    change is needed.

    Only paths differ: alone, optional, or as elements of lists and maps.
    """
    annotation = _plain(annotation)
    if annotation in (Path, PurePath):
        return _to_path
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in _LISTS and args:
        inner = converter(args[0])
        return None if inner is None else _each(inner)
    if origin in _MAPS and len(args) == 2:
        inner = converter(args[1])
        return None if inner is None else _each_value(inner)
    if origin in (Union, UnionType):
        members = [member for member in args if member is not NoneType]
        return converter(members[0]) if len(members) == 1 else None
    return None


def _plain(annotation: object) -> object:
    """Return the annotation without `Annotated`, `NewType`, `Required` and aliases. A note that is a
    type replaces it.

    Raises TypeError for a language beside anything but `str`.
    """
    while True:
        if get_origin(annotation) is Annotated:
            inner, *notes = get_args(annotation)
            note = next((n for n in notes if isinstance(n, PortType | TextNote)), None)
            if isinstance(note, TextNote):
                if _plain(inner) not in (str, STRING):
                    raise TypeError(f"{type(note).__name__} says what a str is written in, not a {inner}")
                return note.type
            if note is not None:
                return note
            annotation = inner
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif get_origin(annotation) in (typing.Required, typing.NotRequired):
            annotation = get_args(annotation)[0]
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = getattr(annotation, "__value__")  # noqa: B009  (Python 3.12 and later)
        elif isinstance(annotation, typing.ForwardRef | str):
            raise _unknown(annotation)
        else:
            return annotation


def _element_type(origin: object, args: tuple[object, ...]) -> PortType:
    if not args:
        return ANY
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        types = {port_type(arg) for arg in args}
        return types.pop() if len(types) == 1 else ANY
    return port_type(args[0])


def _item_type(annotation: object, args: tuple[object, ...]) -> PortType:
    if not args:
        return ANY
    if len(args) != 2:
        raise TypeError(f"{beginning(str(annotation), _SHOWN_CHARS)} has no type of its values")
    if args[0] is not str and not _keys(args):
        raise TypeError(f"the keys of {beginning(str(annotation), _SHOWN_CHARS)} must be str")
    return port_type(args[1])


def _keys(args: tuple[object, ...]) -> tuple[str, ...]:
    """Return the keys of a map that is annotated `dict[Literal["a", "b"], T]`."""
    if not args or get_origin(args[0]) is not Literal:
        return ()
    return _choices(args[0], get_args(args[0])).choices


def _choices(annotation: object, args: tuple[object, ...]) -> PortType:
    choices = tuple(arg for arg in args if isinstance(arg, str))
    others = [arg for arg in args if arg is not None and not isinstance(arg, str)]
    if others or not choices:
        raise TypeError(f"{annotation} must list strings")
    return PortType("enum", choices=choices, optional=None in args)


def _union(args: tuple[object, ...]) -> PortType:
    members = [arg for arg in args if arg is not NoneType]
    if set(members) == {int, float}:
        member = PortType("number")
    elif len(members) == 1:
        member = port_type(members[0])
    else:
        member = ANY
    return (
        member
        if len(members) == len(args) or member is ANY
        else msgspec.structs.replace(member, optional=True)
    )


def _unknown(annotation: object) -> TypeError:
    name = getattr(annotation, "__qualname__", None) if isinstance(annotation, type) else None
    return TypeError(
        f"{name or annotation} is not a port type: use str, int, float, bool, bytes, Path, list[T], "
        "dict[str, T], Literal[...] of strings, T | None, object, or Embedding, Json, Artifact of "
        "symphony.sdk"
    )


def _to_path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _each(inner: Convert) -> Convert:
    return lambda value: [inner(item) for item in value] if isinstance(value, list) else value


def _each_value(inner: Convert) -> Convert:
    return lambda value: {k: inner(v) for k, v in value.items()} if isinstance(value, Mapping) else value
