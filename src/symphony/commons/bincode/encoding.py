"""Source of encoders. Unions, and records that are used in several places, are functions. Pure.

Output between two branches is gathered: numbers and lengths that follow each other are packed at once,
and what is known in advance is packed here.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from symphony.commons.bincode.hints import (
    Anything,
    Blob,
    Flag,
    Many,
    Maybe,
    Nanos,
    Number,
    OneOf,
    Record,
    Several,
    Shape,
    Text,
    TextMap,
    Unique,
    Variants,
)
from symphony.commons.bincode.source import GeneratedSource

_NANOS = 1_000_000_000
_UUID_BYTES = 16


def encoder_source(shape: Shape, source: GeneratedSource) -> str:
    """Write `f(value, parts, room)` for `shape`, which appends to the list `parts`; return the
    function's name.
    """
    return _Encoders(source).function(shape)


class _Encoders:
    def __init__(self, source: GeneratedSource) -> None:
        self.source = source
        self.functions: dict[Shape, str] = {}
        self.inlined: set[Record] = set()
        self.fixed: list[tuple[str, str]] = []
        """The format and argument that `struct` packs next."""
        self.pieces: list[str] = []
        """Expressions of bytes that come before that and have not been added yet."""

    def function(self, shape: Shape) -> str:
        known = self.functions.get(shape)
        if known is not None:
            return known
        name = self.functions[shape] = self.source.name("encode")
        kept = self.fixed, self.pieces
        self.fixed, self.pieces = [], []
        with self.source.function(f"def {name}(value, parts, room):"), self._branch():
            self.source.add("add = parts.append")
            if isinstance(shape, Record):
                self._record(shape, "value")
            elif isinstance(shape, Variants):
                self._variants(shape)
            else:
                self.value(shape, "value")
        self.fixed, self.pieces = kept
        return name

    # What is gathered.

    def _pack(self, form: str, given: str) -> None:
        """Gather `given`, an argument for `struct`, to be packed."""
        self.fixed.append((form, given))

    def _raw(self, piece: str) -> None:
        """Gather the bytes `piece`."""
        self._settle()
        self.pieces.append(piece)

    def _settle(self) -> None:
        if not self.fixed:
            return
        form = "".join(form for form, _ in self.fixed)
        given = [given for _, given in self.fixed]
        self.fixed = []
        if all(one.isdecimal() for one in given):
            self.pieces.append(repr(struct.pack(f"<{form}", *map(int, given))))
        else:
            self.pieces.append(f"{self.source.packer(form)}({', '.join(given)})")

    def _flush(self) -> None:
        """Add what has been gathered. Before every branch, loop and call, and at their ends."""
        self._settle()
        for piece in self.pieces:
            self.source.add(f"add({piece})")
        self.pieces = []

    @contextmanager
    def _branch(self) -> Iterator[None]:
        """Write lines that may be skipped or repeated; what is gathered in them is added in them."""
        self.source.add("pass")
        yield
        self._flush()

    # Shapes.

    def _record(self, record: Record, value: str) -> None:
        if record.recursive:
            self.source.add("room -= 1")
            with self.source.block("if room < 0:"):
                self.source.add('raise unwritable("a value nested so deeply")')
        for field, shape in record.fields.items():
            self.value(shape, f"{value}.{field}")

    def _once(self, record: Record) -> bool:
        """True if a record may be inlined: only at its first use, so that the source does not explode."""
        if record.recursive or record in self.inlined:
            return False
        self.inlined.add(record)
        return True

    def _variants(self, shape: Variants) -> None:
        source = self.source
        for at, record in enumerate(shape.records):
            kind = source.bind(record.kind, record.kind.__name__)
            with source.block(f"{'el' if at else ''}if type(value) is {kind}:"), self._branch():
                self._pack("I", str(at))
                self._inside(record, "value")
        with source.block("else:"):
            source.add("raise TypeError(f'it is not one of the variants: {type(value).__name__}')")

    def _inside(self, shape: Record | Variants, value: str) -> None:
        """Write a record or a union within something else."""
        if isinstance(shape, Record) and self._once(shape):
            self._record(shape, value)
            return
        self._flush()
        self.source.add(f"{self.function(shape)}({value}, parts, room)")

    def value(self, shape: Shape, value: str) -> None:
        """Write lines that add `value`, an expression that is cheap to repeat."""
        source, add = self.source, self.source.add
        match shape:
            case Number():
                if shape.finite:
                    with source.block(f"if not isfinite({value}):"):
                        add("raise unwritable('a double that is not finite')")
                self._pack(shape.sign, value)
            case Flag():
                self._pack("?", value)
            case OneOf():
                index = {one: at for at, one in enumerate(shape.values)}
                self._pack("I", f"{source.bind(index, 'index')}[{value}]")
            case Nanos():
                self._pack("QI", f"*divmod({value}, {_NANOS})")
            case Text() | Blob():
                body = source.name("body")
                add(f"{body} = {value}" + (".encode()" if isinstance(shape, Text) else ""))
                self._pack("Q", f"len({body})")
                self._raw(body)
            case Unique():
                self._pack("Q", str(_UUID_BYTES))
                self._raw(f"uuid_bytes({value})" if shape.text else f"{value}.bytes")
            case Anything():
                self._flush()
                add(f"write_plain({value}, parts, room)")
            case Record():
                inner = source.name("record")
                add(f"{inner} = {value}")
                self._inside(shape, inner)
            case Variants():
                self._inside(shape, value)
            case _:
                self._container(shape, value)

    def _container(self, shape: Shape, value: str) -> None:
        source, add = self.source, self.source.add
        match shape:
            case Maybe():
                self._flush()
                inner = source.name("inner")
                add(f"{inner} = {value}")
                with source.block(f"if {inner} is None:"):
                    add("add(b'\\0')")
                with source.block("else:"), self._branch():
                    self._pack("B", "1")
                    self.value(shape.item, inner)
            case Many():
                item, items = source.name("item"), source.name("items")
                add(f"{items} = {value}")
                self._pack("Q", f"len({items})")
                self._flush()
                with source.block(f"for {item} in {items}:"), self._branch():
                    self.value(shape.item, item)
            case Several():
                names = [source.name("item") for _ in shape.items]
                add(f"({', '.join(names)}{',' if names else ''}) = {value}")
                for name, each in zip(names, shape.items, strict=True):
                    self.value(each, name)
            case TextMap():
                pairs, key, item = source.name("pairs"), source.name("key"), source.name("item")
                add(f"{pairs} = {value}")
                if isinstance(shape.item, Anything):
                    self._flush()
                    add(f"write_pairs({pairs}, parts, room)")
                    return
                self._pack("Q", f"len({pairs})")
                self._flush()
                keys = pairs if shape.ordered else f"sorted({pairs})"
                with source.block(f"for {key} in {keys}:"), self._branch():
                    add(f"{item} = {pairs}[{key}]")
                    self.value(Text(), key)
                    self.value(shape.item, item)
