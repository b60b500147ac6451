"""Goes through the statements of a file, and finds the operators that they would make."""

import ast
import functools
import inspect
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from symphony.commons.syntax import syntax_tree
from symphony.sdk.bounds import Bounds
from symphony.sdk.context import Context
from symphony.sdk.errors import OperatorInvalid
from symphony.sdk.loading import UNPARSED, check_names, unparsed
from symphony.sdk.operators import Declaration, Style, check_kind, operator
from symphony.sdk.reading.records import Classes, Kind
from symphony.sdk.reading.values import (
    UNKNOWN,
    Evaluator,
    NameScope,
    Opaque,
    TooMuch,
    attribute_of,
    module_named,
    public_names,
)
from symphony.sdk.signatures import WrittenFunction, signature_of
from symphony.workflow.catalog import OperatorInfo

_CALLS_DEEP_MAX: Final = 8
_UNCHANGED: Final[Sequence[object]] = (typing.final, typing.no_type_check)
"""Decorators that do not change what a function is to an operator."""


@dataclass(frozen=True, slots=True, eq=False)
class OperatorRead:
    """An operator. `exact`: no part of it is only known as `any`. `reads`: it tells what it reads.

    `function` is the name of its function.
    """

    info: OperatorInfo
    style: Style
    context_name: str | None
    reads: bool
    exact: bool
    function: str


@dataclass(frozen=True, slots=True)
class OperatorsRead:
    """The operators of a file, in the order of its text.

    `partial` tells that there may be others, whose names only running the file would tell.
    """

    operators: Mapping[str, OperatorRead]
    partial: bool = False

    @property
    def infos(self) -> dict[str, OperatorInfo]:
        """Return the operators as validation and people see them."""
        return {name: one.info for name, one in self.operators.items()}


def read_operators(file: Path, source: bytes) -> OperatorsRead:
    """Return the operators that running `source` would define; it is not run.

    Raises OperatorsNotLoaded, OperatorInvalid for what is known to fail then.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes: they are shown where the file is run
            tree = syntax_tree(source)
    except UNPARSED as error:
        raise unparsed(file, error) from error
    reading = _Reading(file, tree)
    try:
        reading.go_through(tree.body)
    except (TooMuch, RecursionError):
        reading.partial = True
    made = list(dict.fromkeys(one for one in reading.scope.names.values() if isinstance(one, OperatorRead)))
    if made or not reading.partial:
        check_names(file, [one.info.name for one in made])
    return OperatorsRead({one.info.name: one for one in made}, reading.partial)


@dataclass(frozen=True, slots=True, eq=False)
class _Function:
    """A function of the file. `exact`: all of its decorators are known."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    scope: NameScope
    name: str
    defaults: Mapping[str, object]
    exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Decorator:
    """`operator(…)`, or what `functools.partial` makes of `operator` if it is not `complete`."""

    positional: tuple[object, ...]
    named: Mapping[str, object]
    complete: bool


@dataclass(frozen=True, slots=True)
class _Returned:
    """The end of a call, with its result."""

    value: object


class _Reading:
    """The reading of one file."""

    def __init__(self, file: Path, tree: ast.Module) -> None:
        self._file = file
        self._postponed = _postpones(tree)
        self._values = Evaluator(self._call)
        self._classes = Classes(self._values, postponed=self._postponed)
        self._depth = 0
        self._making: dict[int, bool] = {}  # by id of the function: whether it mentions the decorator
        self.scope = NameScope()
        self.partial = False

    # ---- statements -----------------------------------------------------------------------------

    def go_through(self, body: Sequence[ast.stmt]) -> None:
        """Read all statements at the top level of the file."""
        self._run(body, self.scope, "")

    def _run(self, body: Sequence[ast.stmt], scope: NameScope, inside: str) -> _Returned | None:
        for statement in body:
            ended = self._statement(statement, scope, inside)
            if ended is not None:
                return ended
        return None

    def _statement(self, node: ast.stmt, scope: NameScope, inside: str) -> _Returned | None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.names[node.name] = self._decorated(node, scope, inside)
            case ast.ClassDef():
                scope.names[node.name] = self._classes.made(node, scope)
            case ast.Assign(targets=targets, value=value):
                found = self._valued(value, scope)
                for target in targets:
                    self._bind(target, found, scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, self._valued(value, scope), scope)
            case ast.Expr(value=value) if not isinstance(value, ast.Constant):
                self._valued(value, scope)
            case ast.Return(value=value):
                return _Returned(None if value is None else self._valued(value, scope))
            case ast.If():
                return self._if(node, scope, inside)
            case ast.With(body=body, items=items):
                for item in items:
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, UNKNOWN, scope)
                return self._run(body, scope, inside)
            case ast.Try():
                return self._try(node, scope, inside)
            case ast.For(orelse=[]):
                return self._for(node, scope, inside)
            case ast.Delete(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        scope.names.pop(target.id, None)
            case ast.AnnAssign() | ast.Pass() | ast.Assert() | ast.Expr() | ast.Global():
                pass
            case _ if type(node).__name__ == "TypeAlias":  # Python 3.12 and later
                name, value = getattr(node, "name"), getattr(node, "value")  # noqa: B009
                scope.names[name.id] = self._values.of(value, scope)
            case _:
                self._skip(node, scope)
        return None

    def _skip(self, node: ast.stmt, scope: NameScope) -> None:
        """Skip a statement that is not followed: what it may bind is unknown afterwards."""
        self.partial |= self._mentions(node, scope)
        for name in _bound(node):
            if not isinstance(scope.names.get(name), OperatorRead):
                scope.names[name] = UNKNOWN

    def _valued(self, node: ast.expr, scope: NameScope) -> object:
        """Return what an expression gives; one that is not known may make an operator."""
        found = self._values.of(node, scope)
        if found is UNKNOWN and self._mentions(node, scope):
            self.partial = True
        return found

    def _bind(self, target: ast.expr, value: object, scope: NameScope) -> None:
        match target:
            case ast.Name(id=name):
                scope.names[name] = value
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                plain = isinstance(value, tuple | list) and len(value) == len(elements)
                for at, element in enumerate(elements):
                    self._bind(element, value[at] if plain else UNKNOWN, scope)  # type: ignore[index]
            case ast.Starred(value=inner):
                self._bind(inner, UNKNOWN, scope)
            case ast.Subscript(value=ast.Call(func=ast.Name(id="globals"), args=[]), slice=key):
                given = self._values.of(key, scope)
                if isinstance(given, str):
                    self.scope.names[given] = value
                elif isinstance(value, OperatorRead):
                    self.partial = True
            case _:
                self.partial |= isinstance(value, OperatorRead)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: NameScope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.names[alias.asname or name] = module_named(name)
            return
        module = UNKNOWN if node.level or node.module is None else module_named(node.module)
        for alias in node.names:
            known = isinstance(module, types.ModuleType)
            if alias.name == "*":
                for name in public_names(module) if isinstance(module, types.ModuleType) else ():
                    scope.names[name] = attribute_of(module, name) if known else UNKNOWN  # type: ignore[arg-type]
                continue
            found = attribute_of(module, alias.name) if isinstance(module, types.ModuleType) else UNKNOWN
            scope.names[alias.asname or alias.name] = found

    def _if(self, node: ast.If, scope: NameScope, inside: str) -> _Returned | None:
        holds = self._values.truth(node.test, scope)
        if holds is not None:
            return self._run(node.body if holds else node.orelse, scope, inside)
        return self._perhaps([*node.body, *node.orelse], node, scope, inside)

    def _perhaps(
        self, body: Sequence[ast.stmt], node: ast.stmt, scope: NameScope, inside: str
    ) -> _Returned | None:
        """Read statements that may or may not run."""
        if any(isinstance(inner, ast.Return) for inner in _inner(node)):
            self.partial |= self._mentions(node, scope)
            return _Returned(UNKNOWN)
        self._run(body, scope, inside)
        self._skip(node, scope)
        return None

    def _try(self, node: ast.Try, scope: NameScope, inside: str) -> _Returned | None:
        ended = self._run([*node.body, *node.orelse], scope, inside)
        imports = all(isinstance(one, ast.Import | ast.ImportFrom) for one in node.body)
        for handler in node.handlers:
            self.partial |= any(self._mentions(one, scope) for one in handler.body)
            for name in (name for one in handler.body for name in _bound(one)):
                known = scope.names.get(name, UNKNOWN)
                if not (isinstance(known, OperatorRead) or (imports and known is not UNKNOWN)):
                    scope.names[name] = UNKNOWN
        return self._run(node.finalbody, scope, inside) or ended

    def _for(self, node: ast.For, scope: NameScope, inside: str) -> _Returned | None:
        each = self._values.of(node.iter, scope)
        jumps = any(isinstance(inner, ast.Break | ast.Continue) for inner in _inner(node))
        if type(each) not in (list, tuple) or jumps:
            return self._perhaps([], node, scope, inside)
        assert isinstance(each, list | tuple)
        for one in each:
            self._bind(node.target, one, scope)
            ended = self._run(node.body, scope, inside)
            if ended is not None:
                return ended
        return None

    # ---- functions ------------------------------------------------------------------------------

    def _decorated(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: NameScope, inside: str
    ) -> object:
        """Return what a `def` binds."""
        value: object = _Function(node, scope, f"{inside}{node.name}", self._defaults(node.args, scope))
        for one in reversed(node.decorator_list):
            decorator = self._valued(one, scope)
            if any(decorator is known for known in _UNCHANGED):
                continue
            if isinstance(decorator, _Decorator) and decorator.complete:
                value = self._operator(decorator, value)
            elif isinstance(value, _Function) and decorator is UNKNOWN:
                value = replace(value, exact=False)  # it is assumed to use functools.wraps, as most do
            else:
                self.partial |= isinstance(value, OperatorRead)
                value = UNKNOWN
        return value

    def _defaults(self, args: ast.arguments, scope: NameScope) -> dict[str, object]:
        plain = [*args.posonlyargs, *args.args]
        given = zip(plain[len(plain) - len(args.defaults) :], args.defaults, strict=True)
        found = {arg.arg: self._values.of(node, scope) for arg, node in given}
        for arg, node in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if node is not None:
                found[arg.arg] = self._values.of(node, scope)
        return found

    def _call(self, callee: object, positional: Sequence[object], named: Mapping[str, object]) -> object:
        """Return a call of something that this file makes, or of the decorator."""
        if callee is functools.partial and positional and _is_decorator(positional[0]):
            first = positional[0]
            before = first if isinstance(first, _Decorator) else _Decorator((), {}, complete=False)
            return _Decorator(
                (*before.positional, *positional[1:]), {**before.named, **named}, complete=False
            )
        if _is_decorator(callee):
            if isinstance(callee, _Decorator) and callee.complete:
                one = len(positional) == 1 and not named
                return self._operator(callee, positional[0]) if one else UNKNOWN
            before = callee if isinstance(callee, _Decorator) else _Decorator((), {}, complete=False)
            return _Decorator((*before.positional, *positional), {**before.named, **named}, complete=True)
        if callee is Bounds:
            return Opaque()
        if callee is typing.TypedDict or callee is typing.NamedTuple:
            return self._record(callee, positional)
        if isinstance(callee, _Function):
            return self._run_function(callee, positional, named)
        return UNKNOWN

    def _record(self, callee: object, given: Sequence[object]) -> object:
        """Return the record of `TypedDict("Row", {…})` or `NamedTuple("Row", [(…, …)])`."""
        if len(given) != 2 or not isinstance(given[0], str):
            return UNKNOWN
        fields = given[1]
        if isinstance(fields, list) and all(isinstance(one, tuple) and len(one) == 2 for one in fields):
            fields = dict(fields)
        if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
            return UNKNOWN
        kind: Kind = "typed dict" if callee is typing.TypedDict else "named tuple"
        return self._classes.functional(kind, given[0], {str(name): one for name, one in fields.items()})

    def _run_function(
        self, function: _Function, positional: Sequence[object], named: Mapping[str, object]
    ) -> object:
        """Return the result of a function in the file that makes an operator from its argument."""
        args = function.node.args
        simple = isinstance(function.node, ast.FunctionDef) and function.exact
        plain = [one.arg for one in (*args.posonlyargs, *args.args)]
        simple = simple and not (args.vararg or args.kwarg) and len(positional) <= len(plain)
        if not simple or self._depth >= _CALLS_DEEP_MAX:
            return UNKNOWN
        if not self._makes(function):
            return UNKNOWN  # its result does not matter here
        names = {**function.defaults, **dict(zip(plain, positional, strict=False)), **named}
        if names.keys() != {*plain, *(one.arg for one in args.kwonlyargs)}:
            return UNKNOWN
        scope = NameScope(function.scope)
        scope.names.update(names)
        self._depth += 1
        try:
            ended = self._run(function.node.body, scope, f"{function.name}.<locals>.")
        finally:
            self._depth -= 1
        return None if ended is None else ended.value

    def _makes(self, function: _Function) -> bool:
        """True if the function mentions the decorator, directly or through functions that it mentions."""
        key = id(function)
        if key not in self._making:
            self._making[key] = False  # set while it is examined: functions may call each other
            self._making[key] = any(self._mentions(one, function.scope) for one in function.node.body)
        return self._making[key]

    def _mentions(self, node: ast.AST, scope: NameScope) -> bool:
        """True if the decorator, or something that makes operators, is mentioned."""
        for one in ast.walk(node):
            if isinstance(one, ast.Attribute) and one.attr == "operator":
                return True
            if isinstance(one, ast.Name):
                found = scope.get(one.id)
                if _is_decorator(found) or (isinstance(found, _Function) and self._makes(found)):
                    return True
            if isinstance(one, ast.ImportFrom) and any(alias.name == "operator" for alias in one.names):
                return True
        return False

    # ---- operators ------------------------------------------------------------------------------

    def _operator(self, decorator: _Decorator, function: object) -> object:
        if not isinstance(function, _Function):
            self.partial |= function is UNKNOWN
            return UNKNOWN
        declared = _declared(decorator)
        if declared is None:
            self.partial = True
            return UNKNOWN
        declaration, inline, reads, exact = declared
        try:
            made = self._described(function, declaration, inline, reads=reads)
        except OperatorInvalid:
            if exact and function.exact:
                raise
            self.partial = True
            return UNKNOWN
        return made if exact else replace(made, exact=False)

    def _described(
        self, function: _Function, declaration: Declaration, inline: bool | None, *, reads: bool
    ) -> OperatorRead:
        node = function.node
        sync = isinstance(node, ast.FunctionDef)
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        annotations = self._annotations(function)
        exact = function.exact and all(map(self._known, annotations.values()))
        written = WrittenFunction(
            f"{function.name} ({self._file}:{first})",
            self._parameters(function),
            {name: typing.Any if one is UNKNOWN else one for name, one in annotations.items()},
            ast.get_docstring(node, clean=False),
        )
        yields = any(isinstance(one, ast.Yield | ast.YieldFrom) for one in _inner(node))
        check_kind(written, yields=yields, sync=sync, inline=inline)
        declaration.check(written, sync=sync)
        signature = signature_of(written, declaration.output, self._classes.members)
        info = declaration.info(signature)
        guessed = [n for n, one in function.defaults.items() if one is UNKNOWN and n in info.inputs]
        loose = {name: msgspec.structs.replace(info.inputs[name], default=None) for name in guessed}
        inputs = {**info.inputs, **loose}
        return OperatorRead(
            msgspec.structs.replace(info, inputs=inputs), _style(node, inline), signature.context_name, reads,
            exact and not guessed, node.name,
        )  # fmt: skip

    def _known(self, annotation: object) -> bool:
        if isinstance(annotation, type) and not self._classes.exact(annotation):
            return False
        return self._values.exact(annotation)

    def _annotations(self, function: _Function) -> dict[str, object]:
        args, found = function.node.args, dict[str, object]()
        for one in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
            if one is not None and one.annotation is not None:
                found[one.arg] = self._annotation(one.annotation, function.scope)
        if function.node.returns is not None:
            found["return"] = self._annotation(function.node.returns, function.scope)
        return found

    def _annotation(self, node: ast.expr, scope: NameScope) -> object:
        found = self._values.annotation(node, scope, postponed=self._postponed)
        if found is UNKNOWN and _last_name(node).endswith("Context"):  # of one of their own modules
            return Context
        return found

    def _parameters(self, function: _Function) -> dict[str, inspect.Parameter]:
        """Return the parameters; a default that is not known is left out."""
        args, kinds = function.node.args, inspect.Parameter
        listed = [
            *((one, kinds.POSITIONAL_ONLY) for one in args.posonlyargs),
            *((one, kinds.POSITIONAL_OR_KEYWORD) for one in args.args),
            *([(args.vararg, kinds.VAR_POSITIONAL)] if args.vararg else []),
            *((one, kinds.KEYWORD_ONLY) for one in args.kwonlyargs),
            *([(args.kwarg, kinds.VAR_KEYWORD)] if args.kwarg else []),
        ]
        given = {name: one for name, one in function.defaults.items() if one is not UNKNOWN}
        return {
            one.arg: inspect.Parameter(one.arg, kind, default=given.get(one.arg, inspect.Parameter.empty))
            for one, kind in listed
        }


def _is_decorator(value: object) -> bool:
    return value is operator or isinstance(value, _Decorator)


def _style(node: ast.FunctionDef | ast.AsyncFunctionDef, inline: bool | None) -> Style:
    if isinstance(node, ast.FunctionDef):
        return "thread"
    waits = any(isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith) for one in _inner(node))
    return "inline" if (not waits if inline is None else inline) else "task"


def _declared(decorator: _Decorator) -> tuple[Declaration, bool | None, bool, bool] | None:
    """Return what the decorator was told, of `inline` and of `reads` too, and whether all of that is known.

    None if the name or the version is not known, or a call with this would fail.
    """
    if len(decorator.positional) > 1 or (decorator.positional and "name" in decorator.named):
        return None
    given = {**decorator.named, **({"name": decorator.positional[0]} if decorator.positional else {})}
    name, version, output = given.get("name"), given.get("version"), given.get("output", "result")
    if not isinstance(name, str) or not isinstance(version, str) or not isinstance(output, str):
        return None
    flags = ("pure", "read", "idempotent", "cpu", "inline")
    if not given.keys() <= {"name", "version", "output", "reads", "bounds", "memory_mb", *flags}:
        return None
    said = {flag: given.get(flag) for flag in flags}
    exact = UNKNOWN not in [one if one is UNKNOWN else None for one in (*said.values(), given.get("reads"))]
    pure, read, idempotent, cpu = (said[one] is not UNKNOWN and bool(said[one]) for one in flags[:4])
    declaration = Declaration(
        name=name, version=version, pure=pure, read=read or given.get("reads") is not None,
        idempotent=idempotent, heavy=cpu or given.get("bounds") is not None, output=output,
    )  # fmt: skip
    inline = None if said["inline"] in (None, UNKNOWN) else bool(said["inline"])
    if inline is None and given.get("memory_mb") is not None:
        inline = False
    return declaration, inline, given.get("reads") is not None, exact


def _postpones(tree: ast.Module) -> bool:
    return any(
        isinstance(one, ast.ImportFrom)
        and one.module == "__future__"
        and any(alias.name == "annotations" for alias in one.names)
        for one in tree.body
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _inner(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield what stands in a statement, but for functions and classes inside it."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(node))
    while waiting:
        one = waiting.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(one)


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement may bind."""
    for one in (node, *_inner(node)):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield one.name
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del):
            yield one.id
        elif isinstance(one, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in one.names)
