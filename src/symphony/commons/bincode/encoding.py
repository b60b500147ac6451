"""Source of encoders. Every record and union is a function; all else stands inside of them. Pure."""

from symphony.commons.bincode.hints import (
    Anything,
    Blob,
    Flag,
    Many,
    Maybe,
    Nanos,
    Number,
    OneOf,
    Pairs,
    Record,
    Several,
    Shape,
    Text,
    Unique,
    Variants,
)
from symphony.commons.bincode.source import Source

_NANOS = 1_000_000_000


def encoder_source(shape: Shape, source: Source) -> str:
    """Write `f(value, write, room)` for `shape`; gives its name."""
    return _Encoders(source).function(shape)


class _Encoders:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.functions: dict[Shape, str] = {}

    def function(self, shape: Shape) -> str:
        known = self.functions.get(shape)
        if known is not None:
            return known
        name = self.functions[shape] = self.source.name("encode")
        with self.source.function(f"def {name}(value, write, room):"):
            if isinstance(shape, Record):
                self._record(shape)
            elif isinstance(shape, Variants):
                self._variants(shape)
            else:
                self.value(shape, "value")
        return name

    def _record(self, record: Record) -> None:
        add = self.source.add
        add("pass")
        if record.recursive:
            add("room -= 1")
            with self.source.block("if room < 0:"):
                add('raise unwritable("a value nested so deeply")')
        form, given = "", list[str]()
        for field, shape in record.fields.items():
            packed = self._fixed(shape, f"value.{field}")
            if packed is not None:
                form, given = form + packed[0], [*given, *packed[1]]
                continue
            self._pack(form, given)
            form, given = "", []
            self.value(shape, f"value.{field}")
        self._pack(form, given)

    def _pack(self, form: str, given: list[str]) -> None:
        if form:
            self.source.add(f"write({self.source.packer(form)}({', '.join(given)}))")

    def _fixed(self, shape: Shape, value: str) -> tuple[str, list[str]] | None:
        """Form and arguments for `struct`, of what always takes the same number of bytes."""
        match shape:
            case Number(finite=False):
                return shape.sign, [value]
            case Flag():
                return "?", [value]
            case OneOf():
                index = {one: at for at, one in enumerate(shape.values)}
                return "I", [f"{self.source.bind(index, 'index')}[{value}]"]
            case Nanos():
                return "QI", [f"*divmod({value}, {_NANOS})"]
        return None

    def _variants(self, shape: Variants) -> None:
        source = self.source
        for at, record in enumerate(shape.records):
            kind = source.bind(record.kind, record.kind.__name__)
            with source.block(f"{'el' if at else ''}if type(value) is {kind}:"):
                source.add(f"write({source.bind(at.to_bytes(4, 'little'), 'tag')})")
                source.add(f"{self.function(record)}(value, write, room)")
        with source.block("else:"):
            source.add("raise TypeError(f'it is none of the variants: {type(value).__name__}')")

    def value(self, shape: Shape, value: str) -> None:
        """Lines that write `value`, an expression that is cheap to say twice."""
        source, add = self.source, self.source.add
        packed = self._fixed(shape, value)
        if packed is not None:
            self._pack(*packed)
            return
        match shape:
            case Number():
                with source.block(f"if not isfinite({value}):"):
                    add("raise unwritable('a double that is not finite')")
                self._pack(shape.sign, [value])
            case Text() | Blob():
                body = source.name("body")
                add(f"{body} = {value}" + (".encode()" if isinstance(shape, Text) else ""))
                add(f"write({source.packer('Q')}(len({body})))")
                add(f"write({body})")
            case Unique():
                add(f"write({source.bind((16).to_bytes(8, 'little'), 'sixteen')})")
                add(f"write({value}.bytes)")
            case Anything():
                add(f"write_plain({value}, write, room)")
            case Record() | Variants():
                add(f"{self.function(shape)}({value}, write, room)")
            case _:
                self._container(shape, value)

    def _container(self, shape: Shape, value: str) -> None:
        source, add = self.source, self.source.add
        match shape:
            case Maybe():
                inner = source.name("inner")
                add(f"{inner} = {value}")
                with source.block(f"if {inner} is None:"):
                    add("write(b'\\0')")
                with source.block("else:"):
                    add("write(b'\\1')")
                    self.value(shape.item, inner)
            case Many():
                item, items = source.name("item"), source.name("items")
                add(f"{items} = {value}")
                add(f"write({source.packer('Q')}(len({items})))")
                with source.block(f"for {item} in {items}:"):
                    self.value(shape.item, item)
            case Several():
                names = [source.name("item") for _ in shape.items]
                add(f"({', '.join(names)}{',' if names else ''}) = {value}")
                for name, each in zip(names, shape.items, strict=True):
                    self.value(each, name)
            case Pairs():
                pairs, key, item = source.name("pairs"), source.name("key"), source.name("item")
                add(f"{pairs} = {value}")
                if isinstance(shape.item, Anything):
                    add(f"write_pairs({pairs}, write, room)")
                    return
                add(f"write({source.packer('Q')}(len({pairs})))")
                with source.block(f"for {key} in sorted({pairs}):"):
                    add(f"{item} = {pairs}[{key}]")
                    self.value(Text(), key)
                    self.value(shape.item, item)
