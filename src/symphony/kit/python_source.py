"""Definitions in Python source, by the standard parser. Never runs the source; does no I/O."""

import ast
import io
import threading
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from symphony.commons.lines import line_number, unified
from symphony.commons.syntax import syntax_tree
from symphony.kit.shapes import Definition, shape

SIGNATURE_LENGTH_MAX = 2000
_TOO_DEEP = "it is nested too deeply to be parsed"
_warnings_lock = threading.Lock()


class SourceProblem(Exception):
    """Why source cannot be parsed, at which line (from 1) if known; `lines` it has."""

    def __init__(self, message: str, line: int | None = None, lines: int = 0) -> None:
        super().__init__(message)
        self.message, self.line, self.lines = message, line, lines


@dataclass(frozen=True, slots=True)
class Defined:
    """One function, method or class."""

    name: str
    qualified_name: str
    kind: str
    line: int
    end_line: int
    signature: str
    docstring: str | None
    public: bool
    nested: bool
    decorators: tuple[str, ...]
    source: str
    overload: bool = False
    """True for a stub of `typing.overload`, whose implementation is elsewhere."""
    shape: str = ""
    """Its text without what copies change, if asked for; nothing for what stands inside a function."""


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file."""

    definitions: tuple[Defined, ...]
    docstring: str | None
    lines: int


@dataclass(frozen=True, slots=True)
class _Scope:
    """The scope of a definition. `offered` is what `__all__` lists, at the top level only."""

    names: tuple[str, ...] = ()
    in_class: bool = False
    nested: bool = False
    public: bool = True
    offered: frozenset[str] | None = None


def read_source(body: bytes, *, shapes: bool = False) -> Module:
    """Return the definitions in `body`, on demand with their `shape`. Raises SourceProblem."""
    text = _decoded(body)
    lines = text.split("\n")
    count = len(lines) - (not lines[-1])
    try:
        tree = _parsed(text)
        found = tuple(_documented(list(_definitions(tree, lines, shapes))))
        return Module(found, ast.get_docstring(tree), count)
    except SyntaxError as error:
        raise SourceProblem(error.msg, error.lineno, count) from None
    except (RecursionError, MemoryError):
        raise SourceProblem(_TOO_DEEP, None, count) from None
    except ValueError as error:  # what the parser says of null characters
        raise SourceProblem(str(error), None, count) from None


def _decoded(body: bytes) -> str:
    """Return the text as Python reads it: by its mark or declaration, with \\n at the end of its lines."""
    if b"\0" in body:
        raise SourceProblem("it contains null characters", line_number(body, body.index(b"\0")))
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(body).readline)
        text = body.decode(encoding)
    except SyntaxError as error:  # an encoding that is not known, or not meant
        raise SourceProblem(error.msg, 1) from None
    except UnicodeDecodeError as error:
        line = line_number(body, error.start)
        raise SourceProblem(f"it is not {error.encoding}: {error.reason}", line) from None
    except (LookupError, ValueError) as error:  # not a text codec
        raise SourceProblem(str(error), 1) from None
    return unified(text)


def _parsed(text: str) -> ast.Module:
    # The parser warns of odd escapes; the filters are the process's, hence the lock.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return syntax_tree(text)


def _definitions(tree: ast.Module, lines: Sequence[str], shapes: bool) -> Iterator[Defined]:
    """In order of their lines, however deep they stand: with a stack, not by recursion."""
    waiting: list[tuple[ast.stmt, _Scope]] = []

    def push(body: Sequence[ast.stmt], scope: _Scope) -> None:
        waiting.extend((statement, scope) for statement in reversed(body))

    push(tree.body, _Scope(offered=_offered(tree)))
    while waiting:
        statement, scope = waiting.pop()
        if isinstance(statement, Definition):
            defined = _defined(statement, scope, lines, shapes)
            yield defined
            is_class = isinstance(statement, ast.ClassDef)
            nested = scope.nested or not is_class
            inner = _Scope((*scope.names, statement.name), is_class, nested, defined.public and not nested)
            push(statement.body, inner)
        else:
            push(_inner(statement), scope)


def _documented(found: list[Defined]) -> Iterator[Defined]:
    """With one docstring for what is one thing to its readers.

    Overloads count with their implementation, the setter and deleter of a property with its getter.
    """
    told: dict[str, str] = {}
    for one in found:
        if one.docstring is not None:
            told.setdefault(one.qualified_name, one.docstring)
    overloaded = {one.qualified_name for one in found if one.overload}
    for one in found:
        joined = one.qualified_name in overloaded or any(
            decorator in (f"{one.name}.setter", f"{one.name}.deleter") for decorator in one.decorators
        )
        yield (
            replace(one, docstring=told.get(one.qualified_name)) if joined and one.docstring is None else one
        )


def _inner(statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements inside an `if`, `try`, `with`, loop or `match`."""
    inner: list[ast.stmt] = []
    for name in ("body", "handlers", "cases", "orelse", "finalbody"):
        for part in getattr(statement, name, ()):
            inner += part.body if isinstance(part, ast.ExceptHandler | ast.match_case) else [part]
    return inner


def _defined(node: Definition, scope: _Scope, lines: Sequence[str], shapes: bool) -> Defined:
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if scope.in_class else "function"
    end = node.end_lineno or node.lineno
    public = scope.public and not scope.nested and _public(node.name, scope)
    decorators = tuple(_text(decorator) for decorator in node.decorator_list)
    return Defined(
        name=node.name,
        qualified_name=".".join((*scope.names, node.name)),
        kind=kind,
        line=node.lineno,
        end_line=end,
        signature=_signature(node),
        docstring=ast.get_docstring(node),
        public=public,
        nested=scope.nested,
        decorators=decorators,
        overload=any(decorator.rpartition(".")[2] == "overload" for decorator in decorators),
        source=_source(node, lines[node.lineno - 1 : end]),
        shape=_shape(node) if shapes and not scope.nested else "",
    )


def _shape(node: Definition) -> str:
    try:
        return shape(node)
    except RecursionError:
        return ""


def _public(name: str, scope: _Scope) -> bool:
    if scope.offered is not None:
        return name in scope.offered
    return not name.startswith("_") or (scope.in_class and name == "__init__")


def _signature(node: Definition) -> str:
    if isinstance(node, ast.ClassDef):
        bases = [_text(base) for base in node.bases]
        bases += [f"{k.arg}={_text(k.value)}" if k.arg else f"**{_text(k.value)}" for k in node.keywords]
        return _cut(f"({', '.join(bases)})" if bases else "")
    returns = f" -> {_text(node.returns)}" if node.returns is not None else ""
    return _cut(f"({_text(node.args)}){returns}")


def _text(node: ast.AST) -> str:
    try:
        return _cut(ast.unparse(node))
    except RecursionError:
        return "…"


def _cut(text: str) -> str:
    return text if len(text) <= SIGNATURE_LENGTH_MAX else text[:SIGNATURE_LENGTH_MAX] + "…"


def _source(node: Definition, lines: Sequence[str]) -> str:
    """Return the definition's own lines, without its indentation where a line has it."""
    start, end = node.col_offset, node.end_col_offset
    *others, last = lines
    kept = [*others, last.encode()[:end].decode("utf-8", "replace")]  # offsets count bytes
    if kept[0].encode()[:start].strip():  # it follows something on its line: `if x: class A: pass`
        kept[0] = kept[0].encode()[start:].decode("utf-8", "replace")
        start = 0
    return "\n".join(line[start:] if not line[:start].strip() else line for line in kept)


def _offered(tree: ast.Module) -> frozenset[str] | None:
    """Return the names in `__all__`, if it is assigned a plain list or tuple of strings, once."""
    found: frozenset[str] | None = None
    for statement in tree.body:
        target = _assigned(statement)
        if target is None:
            continue
        value = getattr(statement, "value", None)
        if (
            found is not None
            or isinstance(statement, ast.AugAssign)
            or not isinstance(value, ast.List | ast.Tuple)
        ):
            return None
        names = [
            item.value
            for item in value.elts
            if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]
        if len(names) != len(value.elts):
            return None
        found = frozenset(names)
    return found


def _assigned(statement: ast.stmt) -> ast.stmt | None:
    """Return the statement, if it changes `__all__`."""
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return None
    return statement if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets) else None
