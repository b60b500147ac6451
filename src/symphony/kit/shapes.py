"""A function or class without what a copy usually changes: the text that embeddings compare. Pure.

Parameters and local variables get the names a, b, c, … in order of appearance; the function's
own name, its docstring, comments, annotations and layout go. What stays is what it does: the
calls, attributes, operators and constants. A class without methods is its bases and attributes. One
with methods has no shape: its methods are compared by themselves, and outlines agree wherever two
classes implement one interface.

Renaming identifiers away before comparing is the classical way to find copies of the second
kind: B. Baker, "On Finding Duplication and Near-Duplication in Large Software Systems", 1995.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_Change: TypeAlias = tuple[ast.AST, str, object]
_KEPT = {"self", "cls"}
_NOTHING: list[ast.stmt] = [ast.Expr(ast.Constant(...))]


def shape(node: Definition) -> str:
    """Return the comparable text of `node`, which is left as it was; nothing for a class with methods.

    Raises RecursionError for code nested beyond what Python itself can print.
    """
    if isinstance(node, ast.ClassDef) and _has_methods(node):
        return ""
    changes = _of_class(node) if isinstance(node, ast.ClassDef) else _of_function(node)
    with _changed(changes):
        return ast.unparse(node)


def _has_methods(node: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in _parts(node))


def _of_class(node: ast.ClassDef) -> list[_Change]:
    changes: list[_Change] = [(node, "name", "C"), (node, "body", _without_docstring(node) or _NOTHING)]
    changes += [(inner, "body", _NOTHING) for inner in node.body if isinstance(inner, ast.ClassDef)]
    return changes


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[_Change]:
    changes: list[_Change] = [(node, "name", "f"), (node, "body", _without_docstring(node) or _NOTHING)]
    places: list[tuple[int, int, ast.AST, str, str]] = []
    local: set[str] = set()
    for part in _parts(node):
        if isinstance(part, ast.Name):
            places.append((part.lineno, part.col_offset, part, "id", part.id))
            if isinstance(part.ctx, ast.Store):
                local.add(part.id)
        elif isinstance(part, ast.arg):
            places.append((part.lineno, part.col_offset, part, "arg", part.arg))
            local.add(part.arg)
        elif isinstance(part, ast.ExceptHandler) and part.name is not None:
            places.append((part.lineno, part.col_offset, part, "name", part.name))
            local.add(part.name)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            changes += _annotations(part)
    names: dict[str, str] = {}
    for _, _, part, field, name in sorted(places, key=lambda place: place[:2]):
        if name in local and name not in _KEPT:
            changes.append((part, field, names.setdefault(name, _short(len(names)))))
    return changes


_LEAVES = frozenset({
    "ctx", "op", "ops", "id", "attr", "lineno", "col_offset", "end_lineno", "end_col_offset", "kind",
    "type_comment",
})  # fmt: skip
"""What a node has that is not a part with names in it."""


def _parts(node: ast.AST) -> list[ast.AST]:
    """Like `ast.walk`, in its order, without contexts and operators: half the nodes of a tree."""
    found = [node]
    for one in found:  # which grows
        for name, value in one.__dict__.items():
            if name in _LEAVES:
                continue
            if isinstance(value, ast.AST):
                found.append(value)
            elif type(value) is list:
                found += [item for item in value if isinstance(item, ast.AST)]
    return found


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Change]:
    yield node, "returns", None
    for part in ast.walk(node.args):
        if isinstance(part, ast.arg):
            yield part, "annotation", None


def _without_docstring(node: Definition) -> list[ast.stmt]:
    first = node.body[0]
    documented = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return node.body[1:] if documented else node.body


def _short(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"v{number}"


@contextmanager
def _changed(changes: list[_Change]) -> Iterator[None]:
    """Copying a tree costs more than printing it; so it is changed, and put back."""
    before = [(node, field, getattr(node, field)) for node, field, _ in changes]
    for node, field, value in changes:
        setattr(node, field, value)
    try:
        yield
    finally:
        for node, field, value in reversed(before):
            setattr(node, field, value)
