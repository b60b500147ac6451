"""Turns the classes of a file into types: records with their fields, enumerations, and others."""

import ast
import dataclasses
import enum
import functools
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from symphony.sdk.context import Context
from symphony.sdk.reading.values import UNKNOWN, Evaluator, NameScope

Kind: TypeAlias = Literal["typed dict", "named tuple", "dataclass", "struct", "plain"]

_MEMBERS_MAX: Final = 1_000
_UNCHANGED: Final[Sequence[object]] = (
    typing.final, typing.runtime_checkable, functools.total_ordering, enum.unique,
)  # fmt: skip
"""Decorators that change no field."""
_SHAPELESS: Final[Sequence[object]] = (object, typing.Protocol)
_ROOTS: Final[Sequence[tuple[object, Kind]]] = (
    (typing.TypedDict, "typed dict"),
    (typing.NamedTuple, "named tuple"),
    (msgspec.Struct, "struct"),
)
_ENUMS: Final[Sequence[object]] = (enum.Enum, enum.StrEnum, enum.IntEnum)


@dataclass(slots=True)
class _Record:
    """The description of a class. `fields` are read when needed, as all names are known by then."""

    kind: Kind
    fields: dict[str, Callable[[], object]] = field(default_factory=dict)
    """The fields of the record, inherited ones first."""


class Classes:
    """Turns the classes of one file into types."""

    def __init__(self, values: Evaluator, *, postponed: bool) -> None:
        """`postponed`: the file imports `annotations` from `__future__`."""
        self._values, self._postponed = values, postponed
        self._records: dict[type, _Record] = {}

    def members(self, record: type) -> dict[str, object]:
        """Return the fields of a record with their annotations, in order."""
        known = self._records.get(record)
        found = {} if known is None else {name: read() for name, read in known.fields.items()}
        return {name: typing.Any if kind is UNKNOWN else kind for name, kind in found.items()}

    def exact(self, record: type) -> bool:
        """True if all annotations of its fields are known."""
        known = self._records.get(record)
        return known is None or all(self._values.exact(read()) for read in known.fields.values())

    def made(self, node: ast.ClassDef, scope: NameScope) -> object:
        """Return the type that a class statement makes."""
        bases = [self._base(one, scope) for one in node.bases]
        marked = [self._mark(one, scope) for one in node.decorator_list]
        if None in marked or any(base is UNKNOWN for base in bases) or not self._plain_keywords(node, bases):
            return UNKNOWN
        if any(isinstance(base, enum.EnumMeta) for base in bases):
            return self._enumeration(node, bases, scope)
        types = [base for base in bases if isinstance(base, type)]
        inherited = [self._records[base] for base in types if base in self._records]
        kind = self._kind(bases, inherited, dataclass="dataclass" in marked)
        if kind is None or any(map(_declares, node.body)):
            return UNKNOWN
        record = _Record(kind)
        self._gather(record, inherited, node, scope, marked="dataclass" in marked)
        real = (
            (Context,) if any(isinstance(base, type) and issubclass(base, Context) for base in bases) else ()
        )
        made = type(node.name, real, _shape(kind))
        self._records[made] = record
        self._values.attributes[made] = self._assigned(node, scope)
        return made

    def functional(self, kind: Kind, name: str, fields: Mapping[str, object]) -> object:
        """Return the record that `TypedDict("Row", {"key": str})` makes, and the like."""
        made = type(name, (), _shape(kind))
        self._records[made] = _Record(
            kind, {key: functools.partial(_itself, one) for key, one in fields.items()}
        )
        return made

    def _base(self, node: ast.expr, scope: NameScope) -> object:
        found = self._values.of(node, scope)
        if typing.get_origin(found) in (typing.Generic, typing.Protocol):
            return object
        return found

    def _mark(self, node: ast.expr, scope: NameScope) -> str | None:
        """Return what a decorator is: `dataclass`, empty for one that changes nothing, or None."""
        if isinstance(node, ast.Call):
            return "dataclass" if self._values.of(node.func, scope) is dataclasses.dataclass else None
        found = self._values.of(node, scope)
        if found is dataclasses.dataclass:
            return "dataclass"
        return "" if any(found is one for one in _UNCHANGED) else None

    def _plain_keywords(self, node: ast.ClassDef, bases: Sequence[object]) -> bool:
        """True if the keywords of the class leave its fields unchanged."""
        known = any(base is typing.TypedDict or self._is(base, "struct", "typed dict") for base in bases)
        return all(
            one.arg is not None and one.arg not in ("metaclass", "kw_only") and known for one in node.keywords
        )

    def _is(self, base: object, *kinds: Kind) -> bool:
        if base is msgspec.Struct:
            return "struct" in kinds
        return isinstance(base, type) and base in self._records and self._records[base].kind in kinds

    def _kind(self, bases: Sequence[object], inherited: Sequence[_Record], *, dataclass: bool) -> Kind | None:
        """Return the kind of a class; None if it cannot be told."""
        kinds: set[Kind] = {kind for base in bases for root, kind in _ROOTS if base is root}
        kinds |= {one.kind for one in inherited if one.kind != "plain"}
        if dataclass:
            kinds.add("dataclass")
        ours = (*(root for root, _ in _ROOTS), *_SHAPELESS)
        for base in bases:
            known = any(base is one for one in ours) or (isinstance(base, type) and base in self._records)
            if not known and not (isinstance(base, type) and (issubclass(base, Context) or _is_simple(base))):
                return None
        if len(kinds) > 1 or (kinds and len(inherited) > 1):
            return None
        return kinds.pop() if kinds else "plain"

    def _gather(
        self,
        record: _Record,
        inherited: Sequence[_Record],
        node: ast.ClassDef,
        scope: NameScope,
        *,
        marked: bool,
    ) -> None:
        for one in inherited:
            record.fields |= one.fields
        own = self._annotations(node, scope)
        counts = record.kind in ("typed dict", "struct")
        counts |= record.kind == "dataclass" and marked
        counts |= record.kind == "named tuple" and not inherited
        # An assignment without a field may still change the type of an inherited one.
        record.fields |= own if counts else {name: own[name] for name in own if name in record.fields}

    def _annotations(self, node: ast.ClassDef, scope: NameScope) -> dict[str, Callable[[], object]]:
        found: dict[str, Callable[[], object]] = {}
        for statement in node.body:
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and not _is_variable(statement.annotation)
            ):
                found[statement.target.id] = functools.partial(self._annotation, statement.annotation, scope)
        return found

    def _annotation(self, node: ast.expr, scope: NameScope) -> object:
        return self._values.annotation(node, scope, postponed=self._postponed, field=True)

    def _assigned(self, node: ast.ClassDef, scope: NameScope) -> dict[str, object]:
        """Return the plain values that the body of a class gives names to."""
        inner = NameScope(scope)
        for statement in node.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    inner.names[name] = self._values.of(value, inner)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    inner.names[name] = self._values.of(value, inner)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    inner.names[name] = UNKNOWN
        return inner.names

    def _enumeration(self, node: ast.ClassDef, bases: Sequence[object], scope: NameScope) -> object:
        """Return the enumeration with the members that are known, or a class of which only that is known."""
        assigned = {n: v for n, v in self._assigned(node, scope).items() if not n.startswith("_")}
        found = {name: value for name, value in assigned.items() if type(value) in (str, int)}
        functions = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        if found.keys() | functions != assigned.keys() or len(found) > _MEMBERS_MAX or node.decorator_list:
            made = type(node.name, (), {})
            self._values.attributes[made] = {}
            return made
        kind = next((base for base in bases if any(base is one for one in _ENUMS)), None)
        mixed = next((base for base in bases if base in (str, int)), None)
        if kind is None or len(bases) > 2:
            return UNKNOWN
        try:
            assert isinstance(kind, enum.EnumMeta)
            return kind(node.name, found) if mixed is None else kind(node.name, found, type=mixed)
        except Exception:  # noqa: BLE001  (whatever the names of its members lead to)
            return UNKNOWN


def _itself(value: object) -> object:
    return value


def _shape(kind: Kind) -> dict[str, object]:
    """Return what makes a type a record to those who ask."""
    return {} if kind == "plain" else {"__dataclass_fields__": {}}


def _is_simple(base: type) -> bool:
    """True if classes that inherit from it get neither fields nor a meaning as a port."""
    return base.__module__ == "builtins" and base not in (type, tuple)


def _declares(statement: ast.stmt) -> bool:
    """True if a compound statement might declare a field inside."""
    if isinstance(
        statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.AnnAssign | ast.Assign
    ):
        return False
    return any(isinstance(inner, ast.AnnAssign) for inner in ast.walk(statement))


def _is_variable(annotation: ast.expr) -> bool:
    """True for `ClassVar`, `InitVar` or `KW_ONLY`, which make no field."""
    node = annotation
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        word = node.value.partition("[")[0].rpartition(".")[2].strip()
        return word in _VARIABLES
    if isinstance(node, ast.Subscript):
        node = node.value
    return (isinstance(node, ast.Name) and node.id in _VARIABLES) or (
        isinstance(node, ast.Attribute) and node.attr in _VARIABLES
    )


_VARIABLES: Final = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
