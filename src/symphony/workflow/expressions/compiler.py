"""Compiles values and conditions for rendering. CEL's own checker types them.

A value that is one bare reference never enters CEL: large values pass by reference.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from symphony.ipc.values import spelled_bytes
from symphony.ports.values import Value
from symphony.workflow.expressions import celtypes
from symphony.workflow.expressions.effort import (
    LIGHT_STEPS,
    ExpressionShape,
    Form,
    Sizes,
    effort,
    is_light,
    least_chars,
    shapes_of,
)
from symphony.workflow.expressions.errors import BadExpression
from symphony.workflow.expressions.evaluation import Lookup, Program, Renamed, check
from symphony.workflow.expressions.picking import Pick, PickedParts, pick_of, with_parts
from symphony.workflow.expressions.scan import PlacedReference, Read, reference_in, references
from symphony.workflow.expressions.splitting import bare, split
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, fits, mismatch

Types: TypeAlias = Callable[[Read], PortType | None]
"""Returns the type of what an expression reads, or None if it is not known. Raises BadExpression for a
name that is not in scope.
"""

Part: TypeAlias = Callable[[Lookup], Value]

_NULL_TYPE = PortType("any", optional=True)
_SCALARS = frozenset({type(None), bool, int, float})
_NO_NUMBERS: Mapping[str, int] = {}
OUTSIDE: Final = -1
"""The number of a node that was not numbered."""
NO_NODE: Final = -2
_LITERALS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class _Facts(msgspec.Struct, frozen=True):
    """Facts about a template that are found when first needed, or that few templates have."""

    asks: tuple[Read, ...] | None = None
    carried: Read | None = None
    shapes: tuple[ExpressionShape, ...] | None = None
    light: bool | None = None
    pick: tuple[Pick | None] | None = None
    picked_parts: tuple[PickedParts | None] | None = None


_NO_FACTS = _Facts()


class ValueTemplate(msgspec.Struct, eq=False):
    """A value with its expressions split and ready to render. `bare`: it is one reference and nothing else.

    `source` and `form` say what it was compiled from, so that another process can compile it again.
    `error` is why it cannot be used, if it cannot: `type_in` and `render` raise it. `node` is the
    number of the node that a bare reference reads, for those who have numbered the nodes.
    """

    value: Value = None
    constant: bool = False
    kind: PortType | None = ANY
    bare: Read | None = None
    parts: Part | None = None
    source: Value = None
    noted: Sequence[Read] | None = None
    """Everything it reads, with duplicates; None if only its parts know."""
    node: int = NO_NODE
    varying: "Sequence[ValueTemplate] | None" = None
    """The elements with expressions, for a list; None for anything else."""
    constants: Sequence[Value] = ()
    """The values of the other elements, for a list."""
    items: "Sequence[ValueTemplate] | None" = None
    error: BadExpression | None = None
    form: Form = "template"
    facts: _Facts = _NO_FACTS

    def made_of(self, source: Value, form: Form) -> "ValueTemplate":
        """Note the source and form that this was compiled from; return the template itself."""
        self.source, self.form = source, form
        return self

    def through(self, inner: "ValueTemplate", carried: Read) -> "ValueTemplate":
        """Return this template with `inner`, a transform, whose word `value` means what `carried` reads."""
        asks = tuple(carried if read.kind == "value" else read for read in inner.reads)
        self.facts = _Facts(asks=asks, carried=carried)
        return self.made_of(inner.source, inner.form)

    @property
    def reads(self) -> tuple[Read, ...]:
        """Return what its expressions read, in order and without duplicates.

        Parts that cannot be used count as empty.
        """
        noted = self.noted
        if type(noted) is tuple:
            return noted
        if noted is None:
            if self.bare is not None:
                return (self.bare,)
            noted = [read for item in _items(self.inside) for read in item.reads]
        self.noted = found = tuple(dict.fromkeys(noted))
        return found

    @property
    def asks(self) -> tuple[Read, ...]:
        """Return the reads in the order of a process that compiles the source again."""
        return self.reads if self.facts.asks is None else self.facts.asks

    def effort(self, values: Mapping[Read, Value], most: int, known: Sizes) -> int:
        """Estimate the microseconds that rendering takes at worst, or a number above `most` if it is more.

        `known` are sizes already measured, which hold while the values live.
        """
        return effort(self._seen(), values, most, known)

    @property
    def pick(self) -> Pick | None:
        """Return the part of one value that this template picks, if it does nothing else."""
        facts = self.facts
        if facts.pick is None:
            found = pick_of(self.parts) if isinstance(self.parts, Program) else None
            facts = self.facts = replace(facts, pick=(found,))
        return None if facts.pick is None else facts.pick[0]

    @property
    def picked_parts(self) -> PickedParts | None:
        """Return a template with variables for the parts of values that it picks, or itself if none."""
        facts = self.facts
        if facts.picked_parts is None:
            facts = self.facts = replace(facts, picked_parts=(_picked_parts(self),))
        return None if facts.picked_parts is None else facts.picked_parts[0]

    @property
    def light(self) -> bool:
        """True if rendering is almost free when everything read is numbers and short texts."""
        facts = self.facts
        if facts.light is None:
            source = self.source
            light = isinstance(source, str) and len(source) <= LIGHT_STEPS and "(" not in source
            light = light or is_light(self._seen(), self.reads)
            facts = self.facts = replace(self.facts, light=light)
        return facts.light is True

    def least_chars(self, values: Mapping[Read, Value]) -> int:
        """Return a lower bound for the characters, bytes or elements of the result, as far as it is known."""
        return least_chars(self._seen(), values)

    def _seen(self) -> tuple[ExpressionShape, ...]:
        facts = self.facts
        if facts.shapes is None:
            facts = self.facts = replace(facts, shapes=shapes_of(self.source, self.form, facts.carried))
        return facts.shapes or ()

    @property
    def type(self) -> PortType:
        """The type of the rendered value, in the scope that the template was compiled for."""
        if self.kind is None:
            self.kind = type_of(self.value)
        return self.kind

    def type_in(self, types: Types) -> PortType:
        """Return the type of the rendered value, given the `types` of what is read. Raises BadExpression."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.bare is not None:
            try:
                kind = _typed(self.bare, types)
            except BadExpression as error:
                raise _told(error, self.bare.name if self.bare.kind == "node" else "") from None
            return STRING if kind == celtypes.TIMESTAMP else kind
        parts = self.parts
        if isinstance(parts, Program):
            expression = parts.expression
            try:
                return check(expression, [_typed(read, types) for read in expression.names])
            except BadExpression as error:
                raise _told(error, expression.original) from None
        if isinstance(parts, _Text):
            for part in parts.parts:
                if isinstance(part, ValueTemplate):
                    part.type_in(types)
            return STRING
        inside = self.inside
        if inside is not None:
            kind = _common([item.type_in(types) for item in _items(inside)])
            return PortType("map" if self.varying is None else "list", kind)
        return self.type

    def fix(self, types: Types) -> "ValueTemplate":
        """Return this template, fixed to a scope in which `types` says what each read is. Raises
        BadExpression.
        """
        if not self.constant:
            self.kind = self.type_in(types)
            parts = self.parts
            if isinstance(parts, Program):
                parts.kinds = {read: _typed(read, types) for read in parts.expression.names}
            elif isinstance(parts, _Text):
                for part in parts.parts:
                    if isinstance(part, ValueTemplate):
                        part.fix(types)
            else:
                for item in _items(self.inside):
                    item.fix(types)
        return self

    def ready(self) -> None:
        """Compile now what is otherwise compiled on the first rendering. Raises BadExpression."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        parts = self.parts
        if isinstance(parts, Program):
            parts.ready()
        elif isinstance(parts, _Text):
            for part in parts.parts:
                if isinstance(part, ValueTemplate):
                    part.ready()
        else:
            for item in _items(self.inside):
                item.ready()

    @property
    def elements(self) -> "tuple[Sequence[ValueTemplate], Sequence[Value]] | None":
        """Return a list's elements with expressions, and the values of the others; None if not a list."""
        return None if self.varying is None else (self.varying, self.constants)

    @property
    def inside(self) -> "Sequence[ValueTemplate] | Mapping[str, ValueTemplate] | None":
        """Return templates of the elements of a list or map that have expressions; None for anything else."""
        if self.varying is not None:
            return self._elements(self.varying)
        return self.parts.items if isinstance(self.parts, _Map) else None

    def _elements(self, varying: "Sequence[ValueTemplate]") -> "Sequence[ValueTemplate]":
        """Return a template for each element of a list. Those of scalars are made when first needed."""
        if self.items is None:
            rest = iter(varying)
            source = _elements(self.source)
            self.items = (
                varying
                if len(varying) == len(source)
                else [constant(e) if type(e) in _SCALARS else next(rest) for e in source]
            )
        return self.items

    def render(self, lookup: Lookup) -> Value:
        """Return the value; `lookup` supplies each read. Raises ExpressionFailed, BadExpression."""
        if self.parts is not None:
            return self.parts(lookup)
        if self.varying is not None:
            return [item.render(lookup) for item in self._elements(self.varying)]
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.value if self.bare is None else lookup(self.bare)

    def misfit(self, target: PortType, types: Types | None = None) -> str | None:
        """Return why the value can never fit a port of type `target`, or None if it may.

        `types` says what is read; without it, what the template was compiled for. Raises BadExpression.
        """
        if self.constant:
            return mismatch(self.value, target)
        if self.varying is not None:
            return _list_misfit(self._elements(self.varying), target, types)
        if isinstance(self.parts, _Map):
            return self.parts.misfit(target, types)
        kind = self.type if types is None else self.type_in(types)
        return None if fits(kind, target) else f"{kind} does not fit {target}"


def _told(error: BadExpression, text: str) -> BadExpression:
    from symphony.workflow.expressions.habits import habitual  # only if something is wrong

    return habitual(error, text)


def _typed(read: Read, types: Types) -> PortType:
    kind = types(read) or ANY
    return celtypes.TIMESTAMP if read.kind == "run" and read.name == "started_at" else kind


def _items(inside: Sequence[ValueTemplate] | Mapping[str, ValueTemplate] | None) -> Sequence[ValueTemplate]:
    return () if inside is None else list(inside.values()) if isinstance(inside, Mapping) else inside


def constant(value: Value, kind: PortType | None = None) -> ValueTemplate:
    """Return a value without expressions. Its type is determined on first use."""
    return ValueTemplate(value, True, kind, noted=())


def _refused(error: BadExpression) -> ValueTemplate:
    return ValueTemplate(noted=(), error=error)


class Splitter:
    """Splits the values of one scope into templates, once each.

    The types of what they read need not be known.

    Equal texts give the same template, and so do all that are the same reference and nothing else.
    What is wrong with an expression stands in its template. `numbers` are those of the nodes.
    `value`: the word `value` is what an edge carries (as in a `transform`), not a node.
    """

    def __init__(
        self, *, value: bool = False, programs: list[Program] | None = None,
        numbers: Mapping[str, int] = _NO_NUMBERS,
    ) -> None:  # fmt: skip
        self._value, self._numbers = value, numbers
        self.programs: list[Program] = [] if programs is None else programs
        """What is to be evaluated; scopes that belong together may share the list."""
        self.bare: dict[Read, ValueTemplate] = {}
        """Every reference that stands alone."""
        self._texts: dict[str, ValueTemplate] = {}
        self._conditions: dict[str, ValueTemplate] = {}

    def template(self, value: Value) -> ValueTemplate:
        """Return the template of a nested value in which strings may hold `${{ … }}`."""
        if type(value) is str:
            return self._texts.get(value) or self._text(value)
        if type(value) is list:
            return self._list(value)
        if type(value) in _SCALARS:
            return ValueTemplate(value, True, None, noted=())
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | dict) and _holds_expressions(value):
            return self._list(value) if isinstance(value, list) else self._map(value)
        return constant(value)

    def condition(self, text: str) -> ValueTemplate:
        """Return the template of CEL with or without `${{ }}`."""
        found = self._conditions.get(text)
        if found is None:
            found = self._conditions[text] = self._cel(text, False).made_of(text, "condition")
        return found

    def transform(self, text: str) -> ValueTemplate:
        """Return the template of CEL, with or without `${{ }}`, in which `value` is what an edge carries."""
        return self._cel(text, True).made_of(text, "transform")

    def _cel(self, text: str, value: bool) -> ValueTemplate:
        try:
            return self._expression(bare(text), value)
        except BadExpression as error:
            return _refused(error)

    def _text(self, text: str) -> ValueTemplate:
        if "${{" not in text:
            return ValueTemplate(text, True, STRING, source=text, noted=())
        read = reference_in(text)
        if read is None:
            made = self._string(text).made_of(text, "template")
            if made.bare is None:
                if not made.constant:
                    self._texts[text] = made
                return made
            read = made.bare
        found = self._texts[text] = self.bare.get(read) or self._reference(read, text)
        return found

    def _reference(self, read: Read, text: str) -> ValueTemplate:
        node = self._numbers.get(read.name, OUTSIDE) if read.kind in ("port", "node") else NO_NODE
        found = self.bare[read] = ValueTemplate(None, False, ANY, read, None, text, None, node)
        return found

    def _string(self, text: str) -> ValueTemplate:
        try:
            parts = split(text)
        except BadExpression as error:
            return _refused(error)
        if len(parts) == 1 and parts[0][0]:
            return self._cel_part(parts[0][1])
        if not any(is_expression for is_expression, _ in parts):
            return constant("".join(part for _, part in parts), STRING)
        made = [self._cel_part(part) if is_expression else part for is_expression, part in parts]
        templates = [part for part in made if isinstance(part, ValueTemplate)]
        sound = all(part.error is None for part in templates)
        reads = [read for part in templates for read in part.reads] if sound else []
        return ValueTemplate(noted=reads, kind=STRING, parts=_Text(made))

    def _cel_part(self, text: str) -> ValueTemplate:
        try:
            return self._expression(text, False)
        except BadExpression as error:
            return _refused(error)

    def _list(self, value: list[Value]) -> ValueTemplate:
        try:
            known: list[ValueTemplate | None] = [*map(self._texts.get, value)]  # type: ignore[arg-type]  # no other value is a key
        except TypeError:  # lists and maps inside
            known = [None] * len(value)
        varying: Sequence[ValueTemplate] = tuple(filter(None, known))
        if len(varying) == len(known):
            return _list_of(value, varying, ()) if varying else constant(value)
        if not varying and (_SCALARS.issuperset(map(type, value)) or not _holds_expressions(value)):
            return constant(value)
        scalars: list[Value] = []
        nested = False
        for at, one in enumerate(known):
            if one is None:
                if type(element := value[at]) in _SCALARS:
                    scalars.append(element)
                else:
                    made = known[at] = self.template(element)
                    nested = nested or made.constant
        if not nested:
            return _list_of(value, tuple(filter(None, known)), scalars)
        items = [one or constant(element) for one, element in zip(known, value, strict=True)]
        varying = [item for item in items if not item.constant]
        if not varying:
            return constant([item.value for item in items])
        return _list_of(value, varying, [item.value for item in items if item.constant], items)

    def _map(self, value: dict[str, Value]) -> ValueTemplate:
        items = {key: self.template(item) for key, item in value.items()}
        if all(item.constant for item in items.values()):
            return constant({key: item.value for key, item in items.items()})
        return ValueTemplate(parts=_Map(items), source=value)

    def _expression(self, text: str, value: bool) -> ValueTemplate:
        word = text.strip()
        if word in _LITERALS:
            return constant(_LITERALS[word])
        found = references(text, value or self._value)
        if len(found) == 1 and _is_whole(text, found[0]):
            return ValueTemplate(noted=(found[0].read,), bare=found[0].read)
        expression = Renamed(text, found)
        program = Program(expression)
        self.programs.append(program)
        return ValueTemplate(noted=tuple(expression.names), parts=program)


class Compiler:
    """Compiles the expressions of one scope; `types` says what each read is.

    `value`: the word `value` is what an edge carries (as in a `transform`), not a node.
    """

    def __init__(self, types: Types, *, value: bool = True) -> None:
        self._types, self._value = types, value

    def template(self, value: Value) -> ValueTemplate:
        """Return the template of a value, as `Splitter.template` does. Raises BadExpression."""
        return Splitter(value=self._value).template(value).fix(self._types)

    def condition(self, text: str) -> ValueTemplate:
        """Return the template of CEL with or without `${{ }}`. Raises BadExpression."""
        return Splitter(value=self._value).condition(text).fix(self._types)

    def transform(self, text: str) -> ValueTemplate:
        """Return the template of a transform, as `Splitter.transform` does. Raises BadExpression."""
        return Splitter(value=self._value).transform(text).fix(self._types)


def _is_whole(text: str, found: PlacedReference) -> bool:
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


class _Text(msgspec.Struct, eq=False):
    """Text around expressions: nulls, lists and maps are written as JSON."""

    parts: Sequence[ValueTemplate | str]

    def __call__(self, lookup: Lookup) -> Value:
        return "".join(p if isinstance(p, str) else as_text(p.render(lookup)) for p in self.parts)


def _picked_parts(template: ValueTemplate) -> PickedParts | None:
    known: dict[Pick, Read] = {}
    parts = template.parts
    try:
        if isinstance(parts, Program):
            expression = with_parts(parts, known)
            made: Part = expression
            found = list(expression.expression.names)
        elif isinstance(parts, _Text):
            made = text = _Text([_with_parts(part, known) for part in parts.parts])
            found = [read for part in text.parts if not isinstance(part, str) for read in part.reads]
        else:
            return None
    except BadExpression:
        return None
    picks = {read: part for part, read in known.items()}
    reads = tuple(dict.fromkeys(read for read in found if read not in picks))
    return PickedParts(made, picks, reads) if picks else None


def _with_parts(part: ValueTemplate | str, known: dict[Pick, Read]) -> ValueTemplate | str:
    if isinstance(part, str) or not isinstance(part.parts, Program):
        return part
    program = with_parts(part.parts, known)
    return ValueTemplate(noted=tuple(program.expression.names), parts=program)


def _list_of(
    source: Value,
    varying: Sequence[ValueTemplate],
    constants: Sequence[Value],
    items: Sequence[ValueTemplate] | None = None,
) -> ValueTemplate:
    """Return the template of a list. Without `items`, all elements but those that vary are scalars."""
    return ValueTemplate(None, False, ANY, None, None, source, None, NO_NODE, varying, constants, items)


def _list_misfit(items: Sequence[ValueTemplate], target: PortType, types: Types | None) -> str | None:
    """Return why the list does not fit: the mismatch of its first element that cannot fit."""
    if target.kind in ("any", "json"):
        return None
    if target.kind not in ("list", "embedding"):
        return f"a list does not fit {target}"
    item = target.item or (PortType("number") if target.kind == "embedding" else ANY)
    whys = ((i, one.misfit(item, types)) for i, one in enumerate(items))
    return next((f"element {i}: {why}" for i, why in whys if why), None)


class _Map(msgspec.Struct, eq=False):
    items: Mapping[str, ValueTemplate]

    def __call__(self, lookup: Lookup) -> Value:
        return {key: item.render(lookup) for key, item in self.items.items()}

    def misfit(self, target: PortType, types: Types | None) -> str | None:
        """Return why the first element that cannot fit does not."""
        if target.kind in ("any", "json"):
            return None
        if target.kind != "map":
            return f"a map does not fit {target}"
        unknown = next((key for key in self.items if target.choices and key not in target.choices), None)
        if unknown is not None:
            return f"the key {unknown!r} is not one of {', '.join(target.choices)}"
        item = target.item or ANY
        whys = ((key, one.misfit(item, types)) for key, one in self.items.items())
        return next((f"key {key!r}: {why}" for key, why in whys if why), None)


def as_text(value: Value) -> str:
    """Return a value as it appears inside text: strings as they are, all else as JSON (bytes as base64)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_spelled)


def _spelled(value: object) -> object:
    if isinstance(value, bytes):
        return spelled_bytes(value)
    raise TypeError(f"{type(value).__name__} is no value")


def type_of(value: Value) -> PortType:
    """Return the narrowest type of a plain value."""
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
