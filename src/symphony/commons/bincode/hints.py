"""Type hints for the width of numbers on the wire, and the meaning of every hint. Pure."""

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias, TypeVar
from uuid import UUID

import msgspec


@dataclass(frozen=True, slots=True)
class Number:
    """A number of fixed width; `sign` is its letter in the module `struct`."""

    sign: str
    size: int
    finite: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True)
class Text:
    """UTF-8 with its length."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their length."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A UUID; as an object, or as text in its usual 36 characters."""

    text: bool = False


@dataclass(frozen=True, slots=True)
class Nanos:
    """Nanoseconds as seconds and the rest."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Any plain value."""


@dataclass(frozen=True, slots=True)
class Maybe:
    """A value that may be absent."""

    item: "Shape"


@dataclass(frozen=True, slots=True)
class Many:
    """A count and that many elements."""

    item: "Shape"
    make: type[list[object]] | type[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Several:
    """A fixed number of elements, each of its own shape."""

    items: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class TextMap:
    """A map with text keys: sorted, or, if `ordered`, in its own order, which maps of plain values keep."""

    item: "Shape"
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class KeepsOrder:
    """Marks a map that keeps the order of its keys."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of known values, as its index."""

    values: tuple[object, ...]


@dataclass(eq=False, slots=True)
class Record:
    """A dataclass or struct; `fields` are filled after it is known, since it may hold itself."""

    kind: type
    fields: dict[str, "Shape"] = field(default_factory=dict)
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Variants:
    """One of several records, told by an index."""

    records: tuple[Record, ...]


Shape: TypeAlias = (
    Number
    | Flag
    | Text
    | Blob
    | Unique
    | Nanos
    | Anything
    | Maybe
    | Many
    | Several
    | TextMap
    | OneOf
    | Record
    | Variants
)

U8: TypeAlias = Annotated[int, Number("B", 1)]
U16: TypeAlias = Annotated[int, Number("H", 2)]
U32: TypeAlias = Annotated[int, Number("I", 4)]
U64: TypeAlias = Annotated[int, Number("Q", 8)]
I8: TypeAlias = Annotated[int, Number("b", 1)]
I16: TypeAlias = Annotated[int, Number("h", 2)]
I32: TypeAlias = Annotated[int, Number("i", 4)]
I64: TypeAlias = Annotated[int, Number("q", 8)]
F32: TypeAlias = Annotated[float, Number("f", 4)]
Finite: TypeAlias = Annotated[float, Number("d", 8, finite=True)]
Nanoseconds: TypeAlias = Annotated[int, Nanos()]
UuidText: TypeAlias = Annotated[str, Unique(text=True)]
Plain: TypeAlias = Annotated[object, Anything()]

T = TypeVar("T")
Ordered: TypeAlias = Annotated[dict[str, T], KeepsOrder()]

_SIMPLE: Final[Mapping[object, Shape]] = {
    bool: Flag(),
    int: Number("q", 8),
    float: Number("d", 8),
    str: Text(),
    bytes: Blob(),
    UUID: Unique(),
}
_MARKS: Final = (Number, Nanos, Unique, Anything)
_LISTS: Final = (list, Sequence)


def shape_of(hint: object, stands_for: Mapping[type, type]) -> Shape:
    """Return what `hint` means on the wire; see `TypeCodec`. Raises TypeError for what Bincode has no
    form for.
    """
    return _Reader(stands_for).shape(hint)


class _Reader:
    def __init__(self, stands_for: Mapping[type, type]) -> None:
        self.stands_for = stands_for
        self.records: dict[type, Record] = {}
        self.open: list[Record] = []

    def shape(self, hint: object) -> Shape:
        if isinstance(hint, type) and hint in _SIMPLE:
            return _SIMPLE[hint]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            mark = next((mark for mark in arguments[1:] if isinstance(mark, _MARKS)), None)
            if mark is not None:
                return mark
            shape = self.shape(arguments[0])
            if isinstance(shape, TextMap) and any(isinstance(mark, KeepsOrder) for mark in arguments[1:]):
                return TextMap(shape.item, ordered=True)
            return shape
        if origin is typing.Union or origin is types.UnionType:
            return self._union(hint, arguments)
        if origin is Literal:
            return OneOf(arguments)
        if origin is not None:
            return self._container(hint, origin, arguments)
        if isinstance(hint, type):
            if issubclass(hint, enum.Enum):
                return OneOf(tuple(hint))
            if issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint):
                return self._record(hint)
        raise TypeError(f"Bincode has no form for {hint!r}")

    def _container(self, hint: object, origin: object, arguments: tuple[object, ...]) -> Shape:
        if origin in _LISTS:
            return Many(self.shape(arguments[0]), list)
        if origin is tuple:
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return Many(self.shape(arguments[0]), tuple)
            return Several(tuple(self.shape(argument) for argument in arguments))
        if isinstance(origin, type) and issubclass(origin, Mapping) and arguments[0] is str:
            return TextMap(self.shape(arguments[1]))
        raise TypeError(f"Bincode has no form for {hint!r}: use list, tuple, or a map with text keys")

    def _union(self, hint: object, arguments: tuple[object, ...]) -> Shape:
        present = [argument for argument in arguments if argument is not type(None)]
        shapes = [self.shape(argument) for argument in present]
        if len(shapes) == 1:
            return Maybe(shapes[0])
        records = tuple(shape for shape in shapes if isinstance(shape, Record))
        if len(records) < len(shapes):
            raise TypeError(f"Bincode tells only dataclasses and structs apart, not {hint!r}")
        return Variants(records) if len(present) == len(arguments) else Maybe(Variants(records))

    def _record(self, kind: type) -> Record:
        known = self.records.get(kind)
        if known is not None:
            known.recursive = known.recursive or known in self.open
            return known
        made = self.records[kind] = Record(self.stands_for.get(kind, kind))
        self.open.append(made)
        hints = typing.get_type_hints(kind, include_extras=True)
        for name in _fields(kind):
            made.fields[name] = self.shape(hints[name])
        self.open.pop()
        return made


def _fields(kind: type) -> Sequence[str]:
    """Return the names of a record's fields, in order."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return (
        [one.name for one in dataclasses.fields(kind) if one.init] if dataclasses.is_dataclass(kind) else []
    )


def bytes_min(shape: Shape, inside: tuple[Record, ...] = ()) -> int:
    """Return the least number of bytes that something of this shape takes."""
    match shape:
        case Number():
            return shape.size
        case Flag() | Maybe():
            return 1
        case OneOf() | Anything():
            return 4
        case Nanos():
            return 12
        case Unique():
            return 24
        case Several():
            return sum(bytes_min(item, inside) for item in shape.items)
        case Record():
            if shape in inside:
                return 0
            return sum(bytes_min(item, (*inside, shape)) for item in shape.fields.values())
        case Variants():
            return 4 + min(bytes_min(record, inside) for record in shape.records)
        case _:
            return 8
