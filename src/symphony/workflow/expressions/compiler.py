"""Expressions made ready to evaluate, typed by CEL's own checker.

A value that is one bare reference never enters CEL; every other reference becomes a declared
variable `_r0`, `_r1`, … of the type of what it reads.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from symphony.ports.values import Value
from symphony.workflow.expressions import celtypes
from symphony.workflow.expressions.errors import BadExpression, ExpressionFailed
from symphony.workflow.expressions.scan import Found, Read, references
from symphony.workflow.expressions.splitting import bare, split
from symphony.workflow.types import ANY, PortType, fits, mismatch

if TYPE_CHECKING:
    from cel_expr_python import cel

Lookup: TypeAlias = Callable[[Read], Value]
Types: TypeAlias = Callable[[Read], PortType]
"""The type of what an expression reads; raises BadExpression if it is not in scope."""

STRING = PortType("string")


class Template:
    """A value with its expressions compiled. `bare`: it is one reference and nothing else."""

    __slots__ = ("_parts", "bare", "constant", "reads", "type", "value")

    def __init__(
        self, *, reads: Sequence[Read] = (), type: PortType = ANY, value: Value = None,
        bare: Read | None = None, parts: "_Part | None" = None,
    ) -> None:  # fmt: skip
        self.reads = tuple(dict.fromkeys(reads))
        self.type, self.value, self.bare, self._parts = type, value, bare, parts
        self.constant = bare is None and parts is None

    def render(self, lookup: Lookup) -> Value:
        """The value, with what `lookup` gives for each read. Raises ExpressionFailed."""
        if self._parts is not None:
            return self._parts(lookup)
        return self.value if self.bare is None else lookup(self.bare)

    def misfit(self, target: PortType) -> str | None:
        """Why the value can never fit a port of type `target`, or None if it may."""
        if self.constant:
            return mismatch(self.value, target)
        inside = getattr(self._parts, "misfit", None)
        if inside is not None:
            why: str | None = inside(target)
            return why
        return None if fits(self.type, target) else f"{self.type} does not fit {target}"


_Part: TypeAlias = Callable[[Lookup], Value]


class Compiler:
    """Compiles the expressions of one scope; `types` says what each read is."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def template(self, value: Value) -> Template:
        """A nested value in which strings may hold `${{ … }}`. Raises BadExpression."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, list):
            return self._list(value)
        if isinstance(value, dict):
            return self._map(value)
        return Template(value=value, type=type_of(value))

    def condition(self, text: str) -> Template:
        """CEL with or without `${{ }}`. Raises BadExpression."""
        return self._expression(bare(text))

    def _string(self, text: str) -> Template:
        if "${{" not in text:
            return Template(value=text, type=STRING)
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
            return Template(value=[item.value for item in items], type=type_of(value))
        reads = [read for item in items for read in item.reads]
        return Template(reads=reads, type=PortType("list", _common([i.type for i in items])), parts=_List(items))

    def _map(self, value: dict[str, Value]) -> Template:
        items = {key: self.template(item) for key, item in value.items()}
        if all(item.constant for item in items.values()):
            return Template(value={key: item.value for key, item in items.items()}, type=type_of(value))
        reads = [read for item in items.values() for read in item.reads]
        kind = PortType("map", _common([i.type for i in items.values()]))
        return Template(reads=reads, type=kind, parts=_Map(items))

    def _expression(self, text: str) -> Template:
        found = references(text)
        if len(found) == 1 and not (text[: found[0].start] + text[found[0].end :]).strip():
            read = found[0].read
            return Template(reads=(read,), type=self._types(read), bare=read)
        names = {read: f"_r{i}" for i, read in enumerate(dict.fromkeys(f.read for f in found))}
        types = {name: self._types(read) for read, name in names.items()}
        program, result = _compile(_renamed(text, found, names), tuple(types.items()), tuple(names.items()))
        numbers = frozenset(read for read, name in names.items() if types[name].kind == "number")
        return Template(reads=tuple(names), type=result, parts=_Cel(program, names, text, numbers))


def _renamed(text: str, found: Sequence[Found], names: Mapping[Read, str]) -> str:
    out, at = "", 0
    for one in found:
        out += text[at : one.start] + names[one.read]
        at = one.end
    return out + text[at:]


@lru_cache(maxsize=4096)
def _compile(
    text: str, types: tuple[tuple[str, PortType], ...], names: tuple[tuple[Read, str], ...]
) -> "tuple[cel.Expression, PortType]":
    try:
        program = _environment(types).compile(text)
    except (RuntimeError, ValueError) as error:
        raise BadExpression(_readable(str(error), {n: str(r) for r, n in names}), hint=_hint(str(error))) from None
    return program, celtypes.to_port(program.return_type())


@lru_cache(maxsize=1024)
def _environment(types: tuple[tuple[str, PortType], ...]) -> "cel.Env":
    from cel_expr_python import cel

    return cel.NewEnv(variables={name: celtypes.to_cel(kind) for name, kind in types})


_ERROR = re.compile(r"ERROR: <input>:\d+:\d+: (.*)")


def _readable(message: str, originals: Mapping[str, str]) -> str:
    match = _ERROR.search(message)
    text = match[1] if match else re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", message.splitlines()[0])
    text = text.split(" (in container")[0]
    return re.sub(r"_r\d+", lambda m: originals.get(m[0], m[0]), text)


def _hint(message: str) -> str:
    if "double" in message and "int" in message:
        return "integers and doubles do not mix: write double(x)"
    if "undeclared reference" in message:
        return "check the name: inputs.NAME, NODE.PORT, item, index, run.id, env.NAME, or a CEL function"
    return "see the CEL language definition, cel.dev"


class _Cel:
    """A compiled expression."""

    __slots__ = ("names", "numbers", "program", "text")

    def __init__(
        self, program: "cel.Expression", names: Mapping[Read, str], text: str, numbers: frozenset[Read]
    ) -> None:
        self.program, self.names, self.text, self.numbers = program, names, text, numbers

    def __call__(self, lookup: Lookup) -> Value:
        data = {name: self._given(read, lookup(read)) for read, name in self.names.items()}
        try:
            result = self.program.eval(data=data)
            plain = result.plain_value()
            if result.type().name() != "ERROR":
                return celtypes.to_value(plain)
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise self._failed(str(error)) from None
        raise self._failed(str(plain))

    def _given(self, read: Read, value: Value) -> object:
        """The value as CEL wants it: an integer may stand in a port of numbers."""
        if read in self.numbers and isinstance(value, int):
            return float(value)
        if read.kind == "run" and read.name == "started_at" and isinstance(value, str):
            return datetime.fromisoformat(value)
        return value

    def _failed(self, message: str) -> ExpressionFailed:
        readable = _readable(message, {name: str(read) for read, name in self.names.items()})
        return ExpressionFailed(f"{readable} in {self.text.strip()!r}", hint="check the values that the expression reads")


class _Text:
    """Text around expressions: nulls, lists and maps are written as JSON."""

    __slots__ = ("parts",)

    def __init__(self, parts: "Sequence[Template | str]") -> None:
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
        if target.kind in ("any", "json"):
            return None
        if target.kind not in ("list", "embedding"):
            return f"a list does not fit {target}"
        item = target.item or (PortType("number") if target.kind == "embedding" else ANY)
        return next((f"element {i}: {why}" for i, t in enumerate(self.items) if (why := t.misfit(item))), None)


class _Map:
    __slots__ = ("items",)

    def __init__(self, items: Mapping[str, Template]) -> None:
        self.items = items

    def __call__(self, lookup: Lookup) -> Value:
        return {key: item.render(lookup) for key, item in self.items.items()}

    def misfit(self, target: PortType) -> str | None:
        if target.kind in ("any", "json"):
            return None
        if target.kind != "map":
            return f"a map does not fit {target}"
        item = target.item or ANY
        return next((f"key {k!r}: {why}" for k, t in self.items.items() if (why := t.misfit(item))), None)


def as_text(value: Value) -> str:
    """A value inside text: strings as they are, all else as JSON (bytes as base64 spelling)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_spelled)


def _spelled(value: object) -> object:
    if isinstance(value, bytes):
        import base64

        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} is no value")


def type_of(value: Value) -> PortType:
    """The narrowest type of a plain value."""
    match value:
        case None:
            return PortType("any", optional=True)
        case bool():
            return PortType("boolean")
        case int():
            return PortType("integer")
        case float():
            return PortType("number")
        case str():
            return STRING
        case bytes():
            return PortType("bytes")
        case list():
            return PortType("list", _common([type_of(item) for item in value]))
        case _:
            return PortType("map", _common([type_of(item) for item in value.values()]))


def _common(types: Sequence[PortType]) -> PortType:
    return types[0] if types and all(kind == types[0] for kind in types) else ANY
