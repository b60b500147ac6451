"""Values and conditions made ready to render, typed by CEL's own checker.

A value that is one bare reference never enters CEL: large values pass by reference.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from symphony.ports.values import Value
from symphony.workflow.expressions import celtypes
from symphony.workflow.expressions.effort import (
    LIGHT_STEPS,
    Form,
    Shape,
    Sizes,
    effort,
    is_light,
    least_chars,
    shapes_of,
)
from symphony.workflow.expressions.evaluation import Lookup, Program, Renamed, check
from symphony.workflow.expressions.scan import Found, Read, references
from symphony.workflow.expressions.splitting import bare, reference_in, split
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, fits, mismatch

Types: TypeAlias = Callable[[Read], PortType | None]
"""The type of what an expression reads, None if it is not known. Raises BadExpression for what is
not in scope."""

Part: TypeAlias = Callable[[Lookup], Value]

_NULL_TYPE = PortType("any", optional=True)
_LITERALS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class Template:
    """A value with its expressions compiled. `bare`: it is one reference and nothing else.

    `source` and `form` say what it was compiled from, so that another process can compile it again;
    `asks` are then the reads in the order in which that one has them.
    """

    __slots__ = (
        "_carried", "_light", "_parts", "_shapes", "_type", "asks", "bare", "constant", "form", "reads",
        "source", "value",
    )  # fmt: skip

    def __init__(
        self, *, reads: Sequence[Read] = (), type: PortType | None = ANY, value: Value = None,
        bare: Read | None = None, parts: Part | None = None,
    ) -> None:  # fmt: skip
        self.reads = tuple(reads) if len(reads) < 2 else tuple(dict.fromkeys(reads))
        self._type, self.value, self.bare, self._parts = type, value, bare, parts
        self.constant = bare is None and parts is None
        self.asks = self.reads
        self.source: Value = None
        self.form: Form = "template"
        self._carried: Read | None = None
        self._shapes: tuple[Shape, ...] | None = None
        self._light: bool | None = None

    def made_of(self, source: Value, form: Form) -> "Template":
        """Itself, with what it was compiled from."""
        self.source, self.form = source, form
        return self

    def through(self, inner: "Template", carried: Read) -> "Template":
        """Itself, which is `inner`, a transform, with the word `value` for what `carried` reads."""
        self.asks = tuple(carried if read.kind == "value" else read for read in inner.reads)
        self._carried = carried
        return self.made_of(inner.source, inner.form)

    def effort(self, values: Mapping[Read, Value], most: int, known: Sizes) -> int:
        """About how many microseconds rendering takes at worst; a number above `most` if that is more.

        `known` are sizes that have been measured, and are while the values live.
        """
        return effort(self._seen(), values, most, known)

    @property
    def light(self) -> bool:
        """Does rendering take next to nothing where all that is read is numbers and short texts?"""
        if self._light is None:
            source = self.source
            calls_nothing = isinstance(source, str) and len(source) <= LIGHT_STEPS and "(" not in source
            self._light = calls_nothing or is_light(self._seen(), self.reads)
        return self._light

    def least_chars(self, values: Mapping[Read, Value]) -> int:
        """How many characters, bytes or elements the result has at least, as far as that is known."""
        return least_chars(self._seen(), values)

    def _seen(self) -> tuple[Shape, ...]:
        if self._shapes is None:
            self._shapes = shapes_of(self.source, self.form, self._carried)
        return self._shapes

    @property
    def type(self) -> PortType:
        """The type of what `render` gives."""
        if self._type is None:
            self._type = type_of(self.value)
        return self._type

    @property
    def inside(self) -> "Sequence[Template] | Mapping[str, Template] | None":
        """The elements of a list or map in which expressions stand, each a template; None of all else."""
        parts = self._parts
        return parts.items if isinstance(parts, _List | _Map) else None

    def render(self, lookup: Lookup) -> Value:
        """The value, with what `lookup` gives for each read. Raises ExpressionFailed."""
        if self._parts is not None:
            return self._parts(lookup)
        return self.value if self.bare is None else lookup(self.bare)

    def misfit(self, target: PortType) -> str | None:
        """Why the value can never fit a port of type `target`, or None if it may."""
        if self.constant:
            return mismatch(self.value, target)
        if isinstance(self._parts, _List | _Map):
            return self._parts.misfit(target)
        return None if fits(self.type, target) else f"{self.type} does not fit {target}"


class Compiler:
    """Compiles the expressions of one scope; `types` says what each read is.

    `value`: the word `value` is what an edge carries (as in a `transform`), not a node.
    """

    def __init__(self, types: Types, *, value: bool = True) -> None:
        self._types, self._value = types, value

    def template(self, value: Value) -> Template:
        """A nested value in which strings may hold `${{ … }}`. Raises BadExpression."""
        if isinstance(value, str):
            return self._string(value).made_of(value, "template")
        if isinstance(value, list | dict) and _holds_expressions(value):
            made = self._list(value) if isinstance(value, list) else self._map(value)
            return made.made_of(value, "template")
        return Template(value=value, type=None)

    def condition(self, text: str) -> Template:
        """CEL with or without `${{ }}`. Raises BadExpression."""
        return self._expression(bare(text)).made_of(text, "condition")

    def transform(self, text: str) -> Template:
        """CEL with or without `${{ }}`, in which `value` is what an edge carries. Raises BadExpression."""
        return self._expression(bare(text), value=True).made_of(text, "transform")

    def _string(self, text: str) -> Template:
        if "${{" not in text:
            return Template(value=text, type=STRING)
        read = reference_in(text)
        if read is not None:
            return self._bare(read)
        parts = split(text)
        if len(parts) == 1 and parts[0][0]:
            return self._expression(parts[0][1])
        if not any(is_expression for is_expression, _ in parts):
            return Template(value="".join(part for _, part in parts), type=STRING)
        made = [self._expression(part) if is_expression else part for is_expression, part in parts]
        reads = [read for part in made if isinstance(part, Template) for read in part.reads]
        return Template(reads=reads, type=STRING, parts=_Text(made))

    def _list(self, value: list[Value]) -> Template:
        items = [self.template(item) for item in value]
        if all(item.constant for item in items):
            return Template(value=[item.value for item in items], type=None)
        reads = [read for item in items for read in item.reads]
        kind = PortType("list", _common([item.type for item in items]))
        return Template(reads=reads, type=kind, parts=_List(items))

    def _map(self, value: dict[str, Value]) -> Template:
        items = {key: self.template(item) for key, item in value.items()}
        if all(item.constant for item in items.values()):
            return Template(value={key: item.value for key, item in items.items()}, type=None)
        reads = [read for item in items.values() for read in item.reads]
        kind = PortType("map", _common([i.type for i in items.values()]))
        return Template(reads=reads, type=kind, parts=_Map(items))

    def _bare(self, read: Read) -> Template:
        kind = self._type(read)
        return Template(reads=(read,), type=STRING if kind == celtypes.TIMESTAMP else kind, bare=read)

    def _expression(self, text: str, *, value: bool = False) -> Template:
        word = text.strip()
        if word in _LITERALS:
            return Template(value=_LITERALS[word], type=None)
        found = references(text, value or self._value)
        if len(found) == 1 and _is_whole(text, found[0]):
            return self._bare(found[0].read)
        expression = Renamed(text, found)
        types = {read: self._type(read) for read in expression.names}
        kind = check(expression, types)
        return Template(reads=tuple(types), type=kind, parts=Program(expression, types))

    def _type(self, read: Read) -> PortType:
        kind = self._types(read) or ANY
        return celtypes.TIMESTAMP if read.kind == "run" and read.name == "started_at" else kind


def _is_whole(text: str, found: Found) -> bool:
    return not text[: found.start].strip() and not text[found.end :].strip()


def _holds_expressions(value: list[Value] | dict[str, Value]) -> bool:
    stack: list[Value] = [value]
    while stack:
        for item in _elements(stack.pop()):
            if isinstance(item, str):
                if "${{" in item:
                    return True
            elif isinstance(item, list | dict):
                stack.append(item)
    return False


def _elements(value: Value) -> Sequence[Value]:
    return value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else ()


class _Text:
    """Text around expressions: nulls, lists and maps are written as JSON."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Template | str]) -> None:
        self.parts = parts

    def __call__(self, lookup: Lookup) -> Value:
        return "".join(p if isinstance(p, str) else as_text(p.render(lookup)) for p in self.parts)


class _List:
    __slots__ = ("items",)

    def __init__(self, items: Sequence[Template]) -> None:
        self.items = items

    def __call__(self, lookup: Lookup) -> Value:
        return [item.render(lookup) for item in self.items]

    def misfit(self, target: PortType) -> str | None:
        """Why the first element that cannot fit does not."""
        if target.kind in ("any", "json"):
            return None
        if target.kind not in ("list", "embedding"):
            return f"a list does not fit {target}"
        item = target.item or (PortType("number") if target.kind == "embedding" else ANY)
        whys = ((i, one.misfit(item)) for i, one in enumerate(self.items))
        return next((f"element {i}: {why}" for i, why in whys if why), None)


class _Map:
    __slots__ = ("items",)

    def __init__(self, items: Mapping[str, Template]) -> None:
        self.items = items

    def __call__(self, lookup: Lookup) -> Value:
        return {key: item.render(lookup) for key, item in self.items.items()}

    def misfit(self, target: PortType) -> str | None:
        """Why the first element that cannot fit does not."""
        if target.kind in ("any", "json"):
            return None
        if target.kind != "map":
            return f"a map does not fit {target}"
        item = target.item or ANY
        whys = ((key, one.misfit(item)) for key, one in self.items.items())
        return next((f"key {key!r}: {why}" for key, why in whys if why), None)


def as_text(value: Value) -> str:
    """A value inside text: strings as they are, all else as JSON (bytes as base64 spelling)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_spelled)


def _spelled(value: object) -> object:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} is no value")


def type_of(value: Value) -> PortType:
    """The narrowest type of a plain value."""
    match value:
        case None:
            return _NULL_TYPE
        case bool():
            return PortType("boolean")
        case int():
            return INTEGER
        case float():
            return PortType("number")
        case str():
            return STRING
        case bytes():
            return PortType("bytes")
        case list():
            return PortType("list", _common([type_of(item) for item in value]))
    return PortType("map", _common([type_of(item) for item in value.values()]))


def _common(types: Sequence[PortType]) -> PortType:
    return types[0] if types and all(kind == types[0] for kind in types) else ANY
