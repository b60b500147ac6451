"""Evaluates the expressions that declarations are made of, without running code of the file's.

Names, constants, simple arithmetic, annotations, and calls of a few functions that are known to be
harmless. Anything else is `UNKNOWN`. A file may be hostile: how much is evaluated, how large values
become and how deep they nest is bounded.
"""

import ast
import builtins
import collections.abc
import enum
import importlib
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from symphony.commons.syntax import syntax_tree
from symphony.sdk.languages import Cel, Glob, JmesPath, Regex, Template, TemplateFile, TextNote
from symphony.workflow.types import PortType, parse_port_type, parse_type

STEPS_MAX: Final = 200_000
"""The most expressions that are evaluated for one file."""
_DEPTH_MAX: Final = 100
_WEIGHT_MAX: Final = 10_000
"""The most parts of one value. A repeated part counts each time, as copies of copies grow fast."""
_CHARS_MAX: Final = 100_000
_BITS_MAX: Final = 256


class Unknown:
    """A value that only running the file would tell."""


UNKNOWN: Final = Unknown()


class TooMuch(Exception):
    """The file asks for more evaluation than `STEPS_MAX`."""


class NameScope:
    """The names of a module, or of one call of a function inside `outer`."""

    def __init__(self, outer: "NameScope | None" = None) -> None:
        self.names: dict[str, object] = {}
        self.outer = outer

    def get(self, name: str) -> object:
        """Return what `name` stands for."""
        scope: NameScope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return _BUILTINS.get(name, UNKNOWN)


_BUILTINS: Final[Mapping[str, object]] = {
    **{name: one for name, one in vars(builtins).items() if isinstance(one, type)},
    "Ellipsis": Ellipsis,
    "__name__": "a module of operators",
}
_SDK: Final = "symphony.sdk"
_MODULES: Final = frozenset(
    {
        "builtins", "collections", "collections.abc", "dataclasses", "enum", "functools", "msgspec",
        "pathlib", "symphony", _SDK, "symphony.sdk.annotations", "symphony.sdk.bounds",
        "symphony.sdk.context", "symphony.sdk.languages", "symphony.sdk.operators", "symphony.ports",
        "symphony.ports.values", "symphony.workflow", "symphony.workflow.types", "sys", "types", "typing",
        "typing_extensions",
    }
)  # fmt: skip
"""Modules whose attributes are looked up directly, as that has no side effects."""
_ONLY: Final[Mapping[str, frozenset[str]]] = {
    "sys": frozenset({"version_info", "platform", "maxsize", "byteorder"}),
    "symphony.workflow": frozenset(),
    "symphony.ports": frozenset(),
}
"""The names that are looked up in a module, if not all of them."""
_MAPS: Final = (
    dict,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
    typing.Dict,  # noqa: UP006
    typing.Mapping,
    typing.MutableMapping,
)
_HARMLESS: Final[Sequence[object]] = (
    pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath, PortType, parse_type, parse_port_type,
    typing.TypeVar, typing.NewType, typing.ParamSpec, Cel, Glob, JmesPath, Regex, Template, TemplateFile,
)  # fmt: skip
"""Functions that may be called with any known values."""
_COPIES: Final[Sequence[object]] = (list, tuple, set, frozenset, dict)
_PLAIN: Final = (bool, int, float, str, bytes, type(None))


def module_named(name: str) -> object:
    """Return the module, if it is one that is known."""
    if name not in _MODULES:
        return UNKNOWN
    try:
        return importlib.import_module(name)
    except ImportError:  # typing_extensions
        return UNKNOWN


def attribute_of(module: types.ModuleType, name: str) -> object:
    """Return an attribute of a known module, or a known module inside it."""
    full = module.__name__
    inner = f"{full}.{name}"
    if inner in _MODULES:
        return module_named(inner)
    if full not in _MODULES or name not in _ONLY.get(full, (name,)):
        return UNKNOWN
    if full == "symphony":  # its names are imported lazily, and some import very much
        module = importlib.import_module(_SDK)
    found: object = vars(module).get(name, UNKNOWN)
    return UNKNOWN if isinstance(found, types.ModuleType) else found


def public_names(module: types.ModuleType) -> list[str]:
    """Return what `from module import *` binds, or most of it."""
    listed = vars(module).get("__all__")
    return [name for name in (listed or vars(module)) if isinstance(name, str) and not name.startswith("_")]


class Evaluator:
    """Evaluates expressions of one file. `call` handles calls that are not known here."""

    def __init__(self, call: Callable[[object, Sequence[object], Mapping[str, object]], object]) -> None:
        self._call = call
        self._left = STEPS_MAX
        self._depth = 0
        self._made: dict[int, tuple[object, int, bool]] = {}  # by id: value, weight, whether exact
        self.attributes: dict[type, Mapping[str, object]] = {}
        """What classes of the file were given in their bodies."""

    # ---- what is known of values ------------------------------------------------------------

    def exact(self, value: object) -> bool:
        """True if the value is known with all its parts."""
        return value is not UNKNOWN and self._made.get(id(value), (None, 1, True))[2]

    def weight(self, parts: Sequence[object]) -> int:
        """Return what a value weighs that is made of `parts`."""
        return 1 + sum(self._made.get(id(part), (None, 1, True))[1] for part in parts)

    def keep(self, value: object, parts: Sequence[object] = (), *, exact: bool = True) -> object:
        """Return `value`, made of `parts`, unless it has become too large."""
        weight = self.weight(parts)
        if weight > _WEIGHT_MAX or (isinstance(value, str | bytes) and len(value) > _CHARS_MAX):
            return UNKNOWN
        exact = exact and all(map(self.exact, parts))
        if weight > 1 or not exact:
            self._made[id(value)] = (value, weight, exact)
        return value

    # ---- expressions ------------------------------------------------------------------------

    def of(self, node: ast.expr, scope: NameScope, *, forward: bool = False) -> object:
        """Return what the expression gives. `forward`: texts inside are annotations that are yet to be
        read.
        """
        self._left -= 1
        if self._left < 0:
            raise TooMuch
        if self._depth > _DEPTH_MAX:
            return UNKNOWN
        self._depth += 1
        try:
            return self._of(node, scope, forward)
        finally:
            self._depth -= 1

    def annotation(self, node: ast.expr, scope: NameScope, *, postponed: bool, field: bool = False) -> object:
        """Return the annotation, read as `inspect` does, or `typing.get_type_hints` for a field of a class.

        `postponed`: the file imports `annotations` from `__future__`.
        """
        found = self.of(node, scope, forward=field)
        if isinstance(found, str) and (field or not postponed):
            return self.text(found, scope, forward=field)
        return found

    def text(self, text: str, scope: NameScope, *, forward: bool) -> object:
        """Return the annotation that a text holds."""
        try:
            inner = syntax_tree(f"({text.strip()}\n)").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return UNKNOWN
        if len(inner) != 1 or not isinstance(inner[0], ast.Expr):
            return UNKNOWN
        return self.of(inner[0].value, scope, forward=forward)

    def _of(self, node: ast.expr, scope: NameScope, forward: bool) -> object:
        match node:
            case ast.Constant(value=value):
                found = self.keep(value)
                return self.text(found, scope, forward=True) if forward and isinstance(found, str) else found
            case ast.Name(id=name):
                return scope.get(name)
            case ast.Attribute():
                return self._attribute(self.of(node.value, scope), node.attr)
            case ast.Subscript():
                return self._subscript(node, scope, forward)
            case ast.BinOp(op=ast.BitOr()):
                sides = [self.of(side, scope, forward=forward) for side in (node.left, node.right)]
                return UNKNOWN if UNKNOWN in map(_plainly, sides) else self._binary(node.op, *sides)
            case ast.BinOp():
                return self._binary(node.op, self.of(node.left, scope), self.of(node.right, scope))
            case ast.UnaryOp():
                return _unary(node.op, self.of(node.operand, scope))
            case ast.BoolOp():
                return self._bool(node, scope)
            case ast.Compare():
                return self._compare(node, scope)
            case ast.IfExp():
                test = self.truth(node.test, scope)
                return UNKNOWN if test is None else self.of(node.body if test else node.orelse, scope)
            case ast.JoinedStr(values=values):
                return self._joined(values, scope)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._elements(node, scope)
            case ast.Dict():
                return self._dict(node, scope)
            case ast.NamedExpr(target=ast.Name(id=name)):
                found = scope.names[name] = self.of(node.value, scope)
                return found
            case ast.Call():
                return self._called(node, scope)
            case ast.Lambda():
                return Opaque()
        return UNKNOWN

    def truth(self, node: ast.expr, scope: NameScope) -> bool | None:
        """Return whether a condition holds; None if that is not known."""
        found = self.of(node, scope)
        if isinstance(found, _PLAIN) or type(found) in (list, tuple, dict, set, frozenset):
            return bool(found)
        return None

    def _attribute(self, base: object, name: str) -> object:
        if isinstance(base, types.ModuleType):
            return attribute_of(base, name)
        if isinstance(base, enum.Enum) and name in ("value", "name"):
            return self.keep(base.value if name == "value" else base.name)
        if isinstance(base, enum.EnumMeta):
            return base.__members__.get(name, UNKNOWN)
        if isinstance(base, type) and base in self.attributes:
            return self.attributes[base].get(name, UNKNOWN)
        if base is sys.version_info and name in ("major", "minor", "micro"):
            return getattr(sys.version_info, name)
        return UNKNOWN

    def _binary(self, operation: ast.operator, left: object, right: object) -> object:
        if isinstance(operation, ast.BitOr) and not isinstance(left, int | set | dict | frozenset):
            return self._union(left, right)
        if not (_small(left) and _small(right)):
            return UNKNOWN
        if type(left) is not type(right) and not (isinstance(left, int | float) and _number(right)):
            return UNKNOWN
        made = _arithmetic(operation, left, right)
        return made if made is UNKNOWN or _number(made) else self.keep(made, (left, right))

    def _union(self, left: object, right: object) -> object:
        if self.weight((left, right)) > _WEIGHT_MAX:
            return UNKNOWN
        try:
            return self.keep(typing.Union[left, right], (left, right))  # noqa: UP007  (what the file says)
        except Exception:  # noqa: BLE001  (whatever typing says of what is no type)
            return UNKNOWN

    def _bool(self, node: ast.BoolOp, scope: NameScope) -> object:
        wanted = isinstance(node.op, ast.Or)
        found: object = UNKNOWN
        for one in node.values:
            found = self.of(one, scope)
            if found is UNKNOWN or not isinstance(found, _PLAIN):
                return found if one is node.values[-1] else UNKNOWN
            if bool(found) is wanted:
                return found
        return found

    def _compare(self, node: ast.Compare, scope: NameScope) -> object:
        left = self.of(node.left, scope)
        for operation, other in zip(node.ops, node.comparators, strict=True):
            right = self.of(other, scope)
            if not all(
                isinstance(side, _PLAIN) or type(side) in (tuple, list, _Version) for side in (left, right)
            ):
                return UNKNOWN
            compare = _COMPARISONS.get(type(operation))
            try:
                holds = None if compare is None else compare(left, right)
            except TypeError:
                holds = None
            if not holds:
                return UNKNOWN if holds is None else False
            left = right
        return True

    def _joined(self, parts: Sequence[ast.expr], scope: NameScope) -> object:
        pieces = list[str]()
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                plain = part.conversion == -1 and part.format_spec is None
                found = self.of(part.value, scope) if plain else UNKNOWN
            else:
                found = self.of(part, scope)
            if not isinstance(found, str | int) or not _small(found):
                return UNKNOWN
            pieces.append(str(found))
            if sum(map(len, pieces)) > _CHARS_MAX:
                return UNKNOWN
        return self.keep("".join(pieces))

    def _elements(self, node: ast.List | ast.Tuple | ast.Set, scope: NameScope) -> object:
        found = list[object]()
        for one in node.elts:
            if not isinstance(one, ast.Starred):
                found.append(self.of(one, scope))
                continue
            inner = self.of(one.value, scope)
            if type(inner) not in (list, tuple):
                return UNKNOWN
            assert isinstance(inner, list | tuple)
            found += inner
        if self.weight(found) > _WEIGHT_MAX:  # hashing looks at every part
            return UNKNOWN
        try:
            made = set(found) if isinstance(node, ast.Set) else found
        except TypeError:
            return UNKNOWN
        return self.keep(tuple(found) if isinstance(node, ast.Tuple) else made, found)

    def _dict(self, node: ast.Dict, scope: NameScope) -> object:
        made: dict[object, object] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.of(value, scope)
            if key is None:
                if type(found) is not dict:
                    return UNKNOWN
                made.update(found)
                continue
            name = self.of(key, scope)
            if not isinstance(name, _PLAIN):
                return UNKNOWN
            made[name] = found
        return self.keep(made, list(made.values()))

    # ---- subscripts ---------------------------------------------------------------------------

    def _subscript(self, node: ast.Subscript, scope: NameScope, forward: bool) -> object:
        base = self.of(node.value, scope)
        if type(base) in (list, tuple, dict, str, _Version):
            return self._item(base, self.of(node.slice, scope))
        if base is typing.Annotated:
            return self._annotated(node.slice, scope, forward)
        written = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        inner = forward and base is not typing.Literal
        given = [self.of(one, scope, forward=inner) for one in written]
        if not _is_generic(base) or (base is typing.Literal and UNKNOWN in map(_plainly, given)):
            return UNKNOWN
        known = [self._part(base, at, one) for at, one in enumerate(given)]
        if self.weight(known) > _WEIGHT_MAX:
            return UNKNOWN
        try:
            args = tuple(known) if isinstance(node.slice, ast.Tuple) else known[0]
            made: object = base[args]  # type: ignore[index]  # a generic: see above
        except Exception:  # noqa: BLE001  (typing's own refusals: it is no annotation then)
            return UNKNOWN
        return self.keep(made, known, exact=UNKNOWN not in map(_plainly, given))

    @staticmethod
    def _part(base: object, at: int, given: object) -> object:
        """Return what stands in for a part of a generic type that is not known."""
        if given is not UNKNOWN:
            return given
        return str if at == 0 and any(base is one for one in _MAPS) else typing.Any

    def _annotated(self, node: ast.expr, scope: NameScope, forward: bool) -> object:
        written = node.elts if isinstance(node, ast.Tuple) else [node]
        if len(written) < 2:
            return UNKNOWN
        kind, notes = (
            self.of(written[0], scope, forward=forward),
            [self.of(one, scope) for one in written[1:]],
        )
        for note in notes:
            if isinstance(note, PortType | TextNote):
                break
            if note is UNKNOWN:
                return UNKNOWN
        else:
            return kind  # notes of others mean nothing here
        if isinstance(note, TextNote):  # it stands beside a text, or there is no such port
            kind = str if kind is UNKNOWN else kind
        else:
            kind = object
        try:
            return self.keep(typing.Annotated[kind, note])
        except Exception:  # noqa: BLE001  (as above)
            return UNKNOWN

    def _item(self, base: object, key: object) -> object:
        assert isinstance(base, list | tuple | dict | str)
        if not isinstance(key, int | str):
            return UNKNOWN
        try:
            return base[key]  # type: ignore[index]  # or a TypeError
        except (LookupError, TypeError):
            return UNKNOWN

    # ---- calls ----------------------------------------------------------------------------------

    def _called(self, node: ast.Call, scope: NameScope) -> object:
        callee = self.of(node.func, scope)
        positional = list[object]()
        for one in node.args:
            if isinstance(one, ast.Starred):
                inner = self.of(one.value, scope)
                if type(inner) not in (list, tuple):
                    return UNKNOWN
                assert isinstance(inner, list | tuple)
                positional += inner
            else:
                positional.append(self.of(one, scope))
        named: dict[str, object] = {}
        for keyword in node.keywords:
            found = self.of(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = found
            elif type(found) is dict:
                named.update({str(key): value for key, value in found.items()})
            else:
                return UNKNOWN
        if callee is UNKNOWN:
            return UNKNOWN
        return self._known_call(callee, positional, named)

    def _known_call(
        self, callee: object, positional: Sequence[object], named: Mapping[str, object]
    ) -> object:
        harmless = any(callee is one for one in _HARMLESS)
        copies = any(callee is one for one in _COPIES) and len(positional) <= 1
        if not harmless and not copies:
            return self._call(callee, positional, named)
        given = [*positional, *named.values()]
        if UNKNOWN in map(_plainly, given) or self.weight(given) > _WEIGHT_MAX:
            return UNKNOWN
        if copies and not all(type(one) in (list, tuple, set, frozenset, dict) for one in positional):
            return UNKNOWN
        try:
            assert callable(callee)
            made: object = callee(*positional, **named)
            if isinstance(made, PortType) and parse_port_type(str(made)) != made:
                return UNKNOWN
        except Exception:  # noqa: BLE001  (running the file would raise it)
            return UNKNOWN
        return self.keep(made, given)


class Opaque:
    """Something other than None about which nothing else matters."""


def _plainly(value: object) -> object:
    """Return the value, if comparing it is harmless."""
    return UNKNOWN if value is UNKNOWN else None


_Version = type(sys.version_info)
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[object, object], bool]]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
    ast.Lt: lambda a, b: a < b,  # type: ignore[operator]  # or a TypeError, as the others
    ast.LtE: lambda a, b: a <= b,  # type: ignore[operator]
    ast.Gt: lambda a, b: a > b,  # type: ignore[operator]
    ast.GtE: lambda a, b: a >= b,  # type: ignore[operator]
    ast.In: lambda a, b: a in b,  # type: ignore[operator]
    ast.NotIn: lambda a, b: a not in b,  # type: ignore[operator]
}


def _comparable(value: object) -> bool:
    return isinstance(value, _PLAIN) or type(value) in (tuple, list, _Version)


def _number(value: object) -> bool:
    return isinstance(value, int | float)


def _small(value: object) -> bool:
    """True if the kind and size of a value are safe to compute with."""
    if isinstance(value, int):
        return value.bit_length() <= _BITS_MAX
    return type(value) in (float, str, list, tuple)


def _arithmetic(operation: ast.operator, left: object, right: object) -> object:
    try:
        match operation:
            case ast.Add():
                return left + right  # type: ignore[operator]  # both are of one kind
            case _ if not (_number(left) and _number(right)):
                return UNKNOWN
            case ast.Sub():
                return left - right  # type: ignore[operator]
            case ast.Mult():
                return left * right  # type: ignore[operator]
            case ast.Div():
                return left / right  # type: ignore[operator]
            case ast.FloorDiv():
                return left // right  # type: ignore[operator]
            case ast.Mod():
                return left % right  # type: ignore[operator]
            case ast.LShift() if isinstance(left, int) and isinstance(right, int) and 0 <= right <= _BITS_MAX:
                return left << right
            case ast.Pow() if isinstance(left, int) and isinstance(right, int) and 0 <= right <= _BITS_MAX:
                return left**right
    except (ArithmeticError, TypeError):
        return UNKNOWN
    return UNKNOWN


def _unary(operation: ast.unaryop, operand: object) -> object:
    if isinstance(operation, ast.Not):
        return not operand if isinstance(operand, _PLAIN) else UNKNOWN
    if not _number(operand):
        return UNKNOWN
    assert isinstance(operand, int | float)
    match operation:
        case ast.USub():
            return -operand
        case ast.UAdd():
            return +operand
    return ~operand if isinstance(operand, int) else UNKNOWN


def _is_generic(base: object) -> bool:
    """True if the value may precede brackets in an annotation."""
    if isinstance(base, type):
        return base.__module__ in ("builtins", "collections", "collections.abc", "dataclasses", "typing")
    return type(base).__module__ in ("typing", "typing_extensions")
