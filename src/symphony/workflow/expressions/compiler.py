"""Values and conditions made ready to render, typed by CEL's own checker.

A value that is one bare reference never enters CEL: large values pass by reference.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from symphony.ipc.values import spelled_bytes
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
from symphony.workflow.expressions.errors import BadExpression
from symphony.workflow.expressions.evaluation import Lookup, Program, Renamed, check
from symphony.workflow.expressions.picking import Pick, pick_of
from symphony.workflow.expressions.scan import Found, Read, references
from symphony.workflow.expressions.splitting import bare, reference_in, split
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, fits, mismatch

Types: TypeAlias = Callable[[Read], PortType | None]
"""The type of what an expression reads, None if it is not known. Raises BadExpression for what is
not in scope."""

Part: TypeAlias = Callable[[Lookup], Value]

_NULL_TYPE = PortType("any", optional=True)
_SCALARS = frozenset({type(None), bool, int, float})
_LITERALS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is found out of a template when it is first asked for, and what few have."""

    asks: tuple[Read, ...] | None = None
    carried: Read | None = None
    shapes: tuple[Shape, ...] | None = None
    light: bool | None = None
    pick: tuple[Pick | None] | None = None


_NO_FACTS = _Facts()


class Template:
    """A value with its expressions split and ready to render. `bare`: it is one reference and nothing else.

    `source` and `form` say what it was compiled from, so that another process can compile it again.
    `error` is why it cannot be used, if it cannot: `type_in` and `render` raise it.
    """

    __slots__ = (
        "_facts", "_parts", "_reads", "_type", "bare", "constant", "error", "form", "source", "value",
    )  # fmt: skip

    def __init__(
        self, *, reads: Sequence[Read] | None = None, type: PortType | None = ANY, value: Value = None,
        bare: Read | None = None, parts: Part | None = None, error: BadExpression | None = None,
        source: Value = None,
    ) -> None:  # fmt: skip
        self._reads = reads
        self._type, self.value, self.bare, self._parts, self.error = type, value, bare, parts, error
        self.constant = bare is None and parts is None and error is None
        self.source = source
        self.form: Form = "template"
        self._facts = _NO_FACTS

    def made_of(self, source: Value, form: Form) -> "Template":
        """Itself, with what it was compiled from."""
        self.source, self.form = source, form
        return self

    def through(self, inner: "Template", carried: Read) -> "Template":
        """Itself, which is `inner`, a transform, with the word `value` for what `carried` reads."""
        asks = tuple(carried if read.kind == "value" else read for read in inner.reads)
        self._facts = _Facts(asks=asks, carried=carried)
        return self.made_of(inner.source, inner.form)

    @property
    def reads(self) -> tuple[Read, ...]:
        """What its expressions read, each once, in order; of parts that cannot be used, nothing."""
        reads = self._reads
        if type(reads) is tuple:
            return reads
        if reads is None:
            reads = [read for item in _items(self.inside) for read in item.reads]
        self._reads = found = tuple(dict.fromkeys(reads))
        return found

    @property
    def asks(self) -> tuple[Read, ...]:
        """The reads in the order in which another process has them that compiles the source again."""
        return self.reads if self._facts.asks is None else self._facts.asks

    def effort(self, values: Mapping[Read, Value], most: int, known: Sizes) -> int:
        """About how many microseconds rendering takes at worst; a number above `most` if that is more.

        `known` are sizes that have been measured, and are while the values live.
        """
        return effort(self._seen(), values, most, known)

    @property
    def pick(self) -> Pick | None:
        """The part of one value that it is, if it is no more."""
        facts = self._facts
        if facts.pick is None:
            found = pick_of(self._parts) if isinstance(self._parts, Program) else None
            facts = self._facts = replace(facts, pick=(found,))
        return None if facts.pick is None else facts.pick[0]

    @property
    def light(self) -> bool:
        """Does rendering take next to nothing where all that is read is numbers and short texts?"""
        facts = self._facts
        if facts.light is None:
            source = self.source
            light = isinstance(source, str) and len(source) <= LIGHT_STEPS and "(" not in source
            light = light or is_light(self._seen(), self.reads)
            facts = self._facts = replace(self._facts, light=light)
        return facts.light is True

    def least_chars(self, values: Mapping[Read, Value]) -> int:
        """How many characters, bytes or elements the result has at least, as far as that is known."""
        return least_chars(self._seen(), values)

    def _seen(self) -> tuple[Shape, ...]:
        facts = self._facts
        if facts.shapes is None:
            facts = self._facts = replace(facts, shapes=shapes_of(self.source, self.form, facts.carried))
        return facts.shapes or ()

    @property
    def type(self) -> PortType:
        """The type of what `render` gives, in the scope that it was compiled for."""
        if self._type is None:
            self._type = type_of(self.value)
        return self._type

    def type_in(self, types: Types) -> PortType:
        """The type of what `render` gives where `types` says what is read. Raises BadExpression."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.bare is not None:
            kind = _typed(self.bare, types)
            return STRING if kind == celtypes.TIMESTAMP else kind
        parts = self._parts
        if isinstance(parts, Program):
            expression = parts.expression
            return check(expression, {read: _typed(read, types) for read in expression.names})
        if isinstance(parts, _Text):
            for part in parts.parts:
                if isinstance(part, Template):
                    part.type_in(types)
            return STRING
        if isinstance(parts, _List | _Map):
            kind = _common([item.type_in(types) for item in _items(parts.items)])
            return PortType("list" if isinstance(parts, _List) else "map", kind)
        return self.type

    def fix(self, types: Types) -> "Template":
        """Itself, for a scope in which `types` says what is read. Raises BadExpression."""
        if not self.constant:
            self._type = self.type_in(types)
            parts = self._parts
            if isinstance(parts, Program):
                parts.kinds = {read: _typed(read, types) for read in parts.expression.names}
            elif isinstance(parts, _Text):
                for part in parts.parts:
                    if isinstance(part, Template):
                        part.fix(types)
            else:
                for item in _items(self.inside):
                    item.fix(types)
        return self

    def ready(self) -> None:
        """Compile what is otherwise compiled when it is first rendered. Raises BadExpression."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        parts = self._parts
        if isinstance(parts, Program):
            parts.ready()
        elif isinstance(parts, _Text):
            for part in parts.parts:
                if isinstance(part, Template):
                    part.ready()
        elif parts is not None:
            for item in _items(self.inside):
                item.ready()

    @property
    def elements(self) -> "tuple[Sequence[Template], Sequence[Value]] | None":
        """Of a list, the elements with expressions, and the values of the others; None of all else."""
        parts = self._parts
        return (parts.varying, parts.constants) if isinstance(parts, _List) else None

    @property
    def inside(self) -> "Sequence[Template] | Mapping[str, Template] | None":
        """The elements of a list or map in which expressions stand, each a template; None of all else."""
        parts = self._parts
        return parts.items if isinstance(parts, _List | _Map) else None

    def render(self, lookup: Lookup) -> Value:
        """The value, with what `lookup` gives for each read. Raises ExpressionFailed, BadExpression."""
        if self._parts is not None:
            return self._parts(lookup)
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.value if self.bare is None else lookup(self.bare)

    def misfit(self, target: PortType, types: Types | None = None) -> str | None:
        """Why the value can never fit a port of type `target`, or None if it may.

        `types` says what is read; without it, what the template was compiled for. Raises BadExpression.
        """
        if self.constant:
            return mismatch(self.value, target)
        if isinstance(self._parts, _List | _Map):
            return self._parts.misfit(target, types)
        kind = self.type if types is None else self.type_in(types)
        return None if fits(kind, target) else f"{kind} does not fit {target}"


def _typed(read: Read, types: Types) -> PortType:
    kind = types(read) or ANY
    return celtypes.TIMESTAMP if read.kind == "run" and read.name == "started_at" else kind


def _items(inside: Sequence[Template] | Mapping[str, Template] | None) -> Sequence[Template]:
    return () if inside is None else list(inside.values()) if isinstance(inside, Mapping) else inside


class Splitter:
    """Splits the values of one scope into templates, once each; what they read need not be known.

    Equal texts give the same template. What is wrong with an expression stands in its template.
    `value`: the word `value` is what an edge carries (as in a `transform`), not a node.
    """

    def __init__(self, *, value: bool = False, programs: list[Program] | None = None) -> None:
        self._value = value
        self.programs: list[Program] = [] if programs is None else programs
        """What is to be evaluated; scopes that belong together may share the list."""
        self.bare: list[Template] = []
        """Every text that is one reference and nothing else."""
        self._texts: dict[str, Template] = {}
        self._conditions: dict[str, Template] = {}

    def template(self, value: Value) -> Template:
        """A nested value in which strings may hold `${{ … }}`."""
        if type(value) is str:
            return self._texts.get(value) or self._text(value)
        if type(value) is list:
            return self._list(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | dict) and _holds_expressions(value):
            return self._list(value) if isinstance(value, list) else self._map(value)
        return Template(reads=(), value=value, type=None)

    def condition(self, text: str) -> Template:
        """CEL with or without `${{ }}`."""
        found = self._conditions.get(text)
        if found is None:
            found = self._conditions[text] = self._cel(text, False).made_of(text, "condition")
        return found

    def transform(self, text: str) -> Template:
        """CEL with or without `${{ }}`, in which `value` is what an edge carries."""
        return self._cel(text, True).made_of(text, "transform")

    def _cel(self, text: str, value: bool) -> Template:
        try:
            return self._expression(bare(text), value)
        except BadExpression as error:
            return Template(reads=(), error=error)

    def _text(self, text: str) -> Template:
        if "${{" not in text:
            return Template(reads=(), value=text, type=STRING, source=text)
        read = reference_in(text)
        if read is not None:
            found = Template(reads=(read,), bare=read, source=text)
        else:
            found = self._string(text).made_of(text, "template")
        self._texts[text] = found
        if found.bare is not None:
            self.bare.append(found)
        return found

    def _string(self, text: str) -> Template:
        try:
            parts = split(text)
        except BadExpression as error:
            return Template(reads=(), error=error)
        if len(parts) == 1 and parts[0][0]:
            return self._cel_part(parts[0][1])
        if not any(is_expression for is_expression, _ in parts):
            return Template(reads=(), value="".join(part for _, part in parts), type=STRING)
        made = [self._cel_part(part) if is_expression else part for is_expression, part in parts]
        templates = [part for part in made if isinstance(part, Template)]
        sound = all(part.error is None for part in templates)
        reads = [read for part in templates for read in part.reads] if sound else []
        return Template(reads=reads, type=STRING, parts=_Text(made))

    def _cel_part(self, text: str) -> Template:
        try:
            return self._expression(text, False)
        except BadExpression as error:
            return Template(reads=(), error=error)

    def _list(self, value: list[Value]) -> Template:
        try:
            known: list[Template | None] = [*map(self._texts.get, value)]  # type: ignore[arg-type]  # no other value is a key
        except TypeError:  # lists and maps inside
            known = [None] * len(value)
        if all(known):
            if not known:
                return Template(reads=(), value=value, type=None)
            found: list[Template] = known  # type: ignore[assignment]  # none of them is None
            return Template(parts=_List(found, found, ()), source=value)
        if not any(known) and not _holds_expressions(value):
            return Template(reads=(), value=value, type=None)
        scalars = list[Value]()
        for at, one in enumerate(known):
            if one is None:
                element = value[at]
                if type(element) is str and "${{" in element:
                    known[at] = self._texts.get(element) or self._text(element)
                elif type(element) in _SCALARS:
                    scalars.append(element)
                else:
                    known[at] = self.template(element)
        varying = [one for one in known if one is not None and not one.constant]
        if len(varying) == len(known):
            return Template(parts=_List(varying, varying, ()), source=value)
        if not varying:
            value = [element if one is None else one.value for one, element in zip(known, value, strict=True)]
            return Template(reads=(), value=value, type=None)
        if len(varying) + len(scalars) == len(known):
            return Template(parts=_List(None, varying, scalars, known), source=value)
        items = [one or _constant(element) for one, element in zip(known, value, strict=True)]
        constants = [item.value for item in items if item.constant]
        return Template(parts=_List(items, varying, constants), source=value)

    def _map(self, value: dict[str, Value]) -> Template:
        items = {key: self.template(item) for key, item in value.items()}
        if all(item.constant for item in items.values()):
            return Template(reads=(), value={key: item.value for key, item in items.items()}, type=None)
        return Template(parts=_Map(items), source=value)

    def _expression(self, text: str, value: bool) -> Template:
        word = text.strip()
        if word in _LITERALS:
            return Template(reads=(), value=_LITERALS[word], type=None)
        found = references(text, value or self._value)
        if len(found) == 1 and _is_whole(text, found[0]):
            return Template(reads=(found[0].read,), bare=found[0].read)
        expression = Renamed(text, found)
        program = Program(expression)
        self.programs.append(program)
        return Template(reads=tuple(expression.names), parts=program)


def _constant(value: Value) -> Template:
    return Template(reads=(), value=value, type=None)


class Compiler:
    """Compiles the expressions of one scope; `types` says what each read is.

    `value`: the word `value` is what an edge carries (as in a `transform`), not a node.
    """

    def __init__(self, types: Types, *, value: bool = True) -> None:
        self._types, self._value = types, value

    def template(self, value: Value) -> Template:
        """A nested value in which strings may hold `${{ … }}`. Raises BadExpression."""
        return Splitter(value=self._value).template(value).fix(self._types)

    def condition(self, text: str) -> Template:
        """CEL with or without `${{ }}`. Raises BadExpression."""
        return Splitter(value=self._value).condition(text).fix(self._types)

    def transform(self, text: str) -> Template:
        """CEL with or without `${{ }}`, in which `value` is what an edge carries. Raises BadExpression."""
        return Splitter(value=self._value).transform(text).fix(self._types)


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
    """A list; `varying` are its elements with expressions, `constants` the values of the others."""

    __slots__ = ("_items", "_known", "constants", "varying")

    def __init__(
        self,
        items: Sequence[Template] | None,
        varying: Sequence[Template],
        constants: Sequence[Value],
        known: Sequence[Template | None] = (),
    ) -> None:
        self._items, self._known, self.varying, self.constants = items, known, varying, constants

    @property
    def items(self) -> Sequence[Template]:
        """The template of each element. Those of scalars are made when they are first asked for."""
        if self._items is None:
            constants = iter(self.constants)
            self._items = [one or _constant(next(constants)) for one in self._known]
        return self._items

    def __call__(self, lookup: Lookup) -> Value:
        return [item.render(lookup) for item in self.items]

    def misfit(self, target: PortType, types: Types | None) -> str | None:
        """Why the first element that cannot fit does not."""
        if target.kind in ("any", "json"):
            return None
        if target.kind not in ("list", "embedding"):
            return f"a list does not fit {target}"
        item = target.item or (PortType("number") if target.kind == "embedding" else ANY)
        whys = ((i, one.misfit(item, types)) for i, one in enumerate(self.items))
        return next((f"element {i}: {why}" for i, why in whys if why), None)


class _Map:
    __slots__ = ("items",)

    def __init__(self, items: Mapping[str, Template]) -> None:
        self.items = items

    def __call__(self, lookup: Lookup) -> Value:
        return {key: item.render(lookup) for key, item in self.items.items()}

    def misfit(self, target: PortType, types: Types | None) -> str | None:
        """Why the first element that cannot fit does not."""
        if target.kind in ("any", "json"):
            return None
        if target.kind != "map":
            return f"a map does not fit {target}"
        item = target.item or ANY
        whys = ((key, one.misfit(item, types)) for key, one in self.items.items())
        return next((f"key {key!r}: {why}" for key, why in whys if why), None)


def as_text(value: Value) -> str:
    """A value inside text: strings as they are, all else as JSON (bytes as base64 spelling)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_spelled)


def _spelled(value: object) -> object:
    if isinstance(value, bytes):
        return spelled_bytes(value)
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
