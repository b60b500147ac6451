"""Source of decoders. Every record and union is a function; everything else is inlined in them. Pure.

In a function, `at` is where the value that is being read begins until all of it has been read: so the
handler at the end of the function can name the byte.
"""

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
    bytes_min,
)
from symphony.commons.bincode.source import GeneratedSource

_NANOS = 1_000_000_000
_UUID_BYTES = 24


def decoder_source(shape: Shape, source: GeneratedSource) -> str:
    """Write `f(data, at, size, room)`, which returns the value and its end; return the function's name."""
    return _Decoders(source).function(shape)


class _Decoders:
    def __init__(self, source: GeneratedSource) -> None:
        self.source = source
        self.functions: dict[Shape, str] = {}
        self.inlined: set[Record] = set()

    def function(self, shape: Shape) -> str:
        known = self.functions.get(shape)
        if known is not None:
            return known
        source = self.source
        name = self.functions[shape] = source.name("decode")
        with source.function(f"def {name}(data, at, size, room):"):
            with source.block("try:"):
                if isinstance(shape, Record):
                    self._record(shape)
                elif isinstance(shape, Variants):
                    self._variants(shape)
                else:
                    self.value(shape, "value")
                    source.add("return value, at")
            with source.block("except FAILURES as error:"):
                source.add("raise failed(error, at, size) from None")
        return name

    def _record(self, record: Record) -> None:
        source, add = self.source, self.source.add
        if record.recursive:
            add("room -= 1")
            with source.block("if room < 0:"):
                add("raise too_deep(at)")
        given: list[str] = []
        run: list[tuple[str, Number | Flag]] = []
        for field, shape in record.fields.items():
            name = source.name(field if field.isidentifier() else "field")
            given.append(f"{field}={name}")
            if isinstance(shape, Number | Flag):
                run.append((name, shape))
                continue
            self._run(run)
            run = []
            self.value(shape, name)
        self._run(run)
        add(f"return {source.bind(record.kind, record.kind.__name__)}({', '.join(given)}), at")

    def _run(self, run: list[tuple[str, Number | Flag]]) -> None:
        """Write lines that read consecutive numbers and flags at once."""
        if not run:
            return
        source, add = self.source, self.source.add
        form = "".join("B" if isinstance(shape, Flag) else shape.sign for _, shape in run)
        add(f"({', '.join(name for name, _ in run)},) = {source.unpacker(form)}(data, at)")
        offset = 0
        for name, shape in run:
            where = f"at + {offset}" if offset else "at"
            if isinstance(shape, Flag):
                with source.block(f"if {name} > 1:"):
                    add(f"raise bad_flag({where}, {name}, 'a boolean')")
                add(f"{name} = {name} == 1")
                offset += 1
                continue
            if shape.finite:
                with source.block(f"if not isfinite({name}):"):
                    add(f"raise BincodeInvalid(f'a double must be finite, not {{{name}}}', {where})")
            offset += shape.size
        add(f"at += {offset}")

    def _variants(self, shape: Variants) -> None:
        source, add = self.source, self.source.add
        add(f"tag = {source.unpacker('I')}(data, at)[0]")
        for at, record in enumerate(shape.records):
            with source.block(f"if tag == {at}:"):
                if record.recursive or record in self.inlined:
                    add(f"return {self.function(record)}(data, at + 4, size, room)")
                else:  # inlined at its first use
                    self.inlined.add(record)
                    add("at += 4")
                    self._record(record)
        add(f"raise truncated(size) if at >= size else bad_tag(at, tag, {len(shape.records)})")

    def value(self, shape: Shape, target: str) -> None:
        """Write lines that read into `target` and move `at` behind it."""
        source, add = self.source, self.source.add
        match shape:
            case Number() | Flag():
                self._run([(target, shape)])
            case Text() | Blob():
                start, end = source.name("start"), source.name("end")
                add(f"{target} = {source.unpacker('Q')}(data, at)[0]")
                add(f"{start} = at + 8")
                add(f"{end} = {start} + {target}")
                with source.block(f"if {end} > size:"):
                    add(f"raise beyond(at, {target}, size)")
                add(f"{target} = data[{start}:{end}]" + (".decode()" if isinstance(shape, Text) else ""))
                add(f"at = {end}")
            case Unique():
                self._unique(target, text=shape.text)
            case Nanos():
                seconds = source.name("seconds")
                add(f"({seconds}, {target}) = {source.unpacker('QI')}(data, at)")
                with source.block(f"if {target} >= {_NANOS}:"):
                    add(f"raise BincodeInvalid(f'{{{target}}} nanoseconds are a second or more', at + 8)")
                add(f"{target} += {seconds} * {_NANOS}")
                add("at += 12")
            case OneOf():
                add(f"{target} = {source.unpacker('I')}(data, at)[0]")
                with source.block(f"if {target} >= {len(shape.values)}:"):
                    add(f"raise bad_tag(at, {target}, {len(shape.values)})")
                add(f"{target} = {source.bind(shape.values, 'values')}[{target}]")
                add("at += 4")
            case Anything():
                add(f"({target}, at) = read_plain(data, at, size, room)")
            case Record() | Variants():
                add(f"({target}, at) = {self.function(shape)}(data, at, size, room)")
            case _:
                self._container(shape, target)

    def _unique(self, target: str, *, text: bool) -> None:
        from uuid import UUID

        source, add = self.source, self.source.add
        add(f"{target} = {source.unpacker('Q')}(data, at)[0]")
        with source.block(f"if {target} != 16:"):
            add(f"raise BincodeInvalid(f'a UUID has 16 bytes, not {{{target}}}', at)")
        with source.block(f"if at + {_UUID_BYTES} > size:"):
            add("raise truncated(size)")
        body = f"data[at + 8 : at + {_UUID_BYTES}]"
        add(f"{target} = " + (f"uuid_text({body})" if text else f"{source.bind(UUID, 'UUID')}(bytes={body})"))
        add(f"at += {_UUID_BYTES}")

    def _container(self, shape: Shape, target: str) -> None:
        source, add = self.source, self.source.add
        match shape:
            case Maybe():
                flag = source.name("flag")
                add(f"{flag} = data[at]")
                with source.block(f"if {flag} == 1:"):
                    add("at += 1")
                    self.value(shape.item, target)
                with source.block(f"elif {flag} == 0:"):
                    add("at += 1")
                    add(f"{target} = None")
                with source.block("else:"):
                    add(f"raise bad_flag(at, {flag}, 'the byte of an optional value')")
            case Many():
                self._many(shape, target)
            case Several():
                names = [source.name("item") for _ in shape.items]
                for name, item in zip(names, shape.items, strict=True):
                    self.value(item, name)
                add(f"{target} = ({', '.join(names)}{',' if names else ''})")
            case TextMap():
                self._pairs(shape, target)

    def _count(self, item_bytes: int) -> str:
        """Write lines that read a count, refused before anything is allocated if so many items cannot
        follow.
        """
        count = self.source.name("count")
        self.source.add(f"{count} = {self.source.unpacker('Q')}(data, at)[0]")
        with self.source.block(f"if {count} > (size - at - 8) // {max(1, item_bytes)}:"):
            self.source.add(f"raise beyond(at, {count}, size)")
        self.source.add("at += 8")
        return count

    def _many(self, shape: Many, target: str) -> None:
        source, add = self.source, self.source.add
        count, item = self._count(bytes_min(shape.item)), source.name("item")
        add(f"{target} = []")
        with source.block(f"for _ in range({count}):"):
            self.value(shape.item, item)
            add(f"{target}.append({item})")
        if shape.make is tuple:
            add(f"{target} = tuple({target})")

    def _pairs(self, shape: TextMap, target: str) -> None:
        source, add = self.source, self.source.add
        if isinstance(shape.item, Anything):
            add(f"({target}, at) = read_pairs(data, at, size, room)")
            return
        key, begin = source.name("key"), source.name("begin")
        count, item = self._count(8 + bytes_min(shape.item)), source.name("item")
        add(f"{target} = {{}}")
        with source.block(f"for _ in range({count}):"):
            add(f"{begin} = at")
            self.value(Text(), key)
            with source.block(f"if {key} in {target}:"):
                add(f"raise duplicate_key({begin}, {key})")
            self.value(shape.item, item)
            add(f"{target}[{key}] = {item}")
