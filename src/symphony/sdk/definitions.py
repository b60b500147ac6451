"""Finds which statements of a Python file a function depends on. Pure: nothing is run."""

import ast
import functools
import re
from collections.abc import Iterator

from symphony.commons.syntax import syntax_tree


def needed_by(source: bytes, name: str) -> bytes | None:
    """Return the text of the file's function `name` and of all that it uses of the file, in the file's order.

    Statements that do more than define a name, such as calls, may matter to everything and are always part
    of it. None if the file defines no such function, or is not Python.
    """
    found = _statements(source)
    if found is None or not any(name in statement.binds for statement in found.named):
        return None
    named, wanted = found.named, {name}.union(*(one.uses for one in found.always))
    taken, todo = set(found.always), wanted.copy()
    while todo:
        new = {one for one in named if one not in taken and one.binds & todo}
        taken |= new
        todo = {used for one in new for used in one.uses} - wanted
        wanted |= todo
    lines = re.split(rb"\r\n|\r|\n", source)  # as Python numbers them
    rows = (row for one in sorted(taken, key=lambda s: s.first) for row in lines[one.first : one.last])
    return b"\n".join([*rows, b""])


class _Statement:
    """A statement at the top of a file, with the names that it binds and uses, and its lines."""

    def __init__(self, node: ast.stmt, binds: frozenset[str]) -> None:
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        self.first = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        self.last = node.end_lineno or node.lineno
        self.binds, self.uses = binds, frozenset(_used(node))


class _Statements:
    """The statements of a file: those that do no more than define names, and those that always count."""

    def __init__(self, tree: ast.Module) -> None:
        self.named: list[_Statement] = []
        self.always: list[_Statement] = []
        for node in tree.body:
            if _runs_nothing(node):
                continue
            binds = _bound(node)
            (self.always if binds is None else self.named).append(_Statement(node, binds or frozenset()))


@functools.lru_cache(16)
def _statements(source: bytes) -> _Statements | None:
    try:
        return _Statements(syntax_tree(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _runs_nothing(node: ast.stmt) -> bool:
    """Return whether it is a text, such as the file's docstring, or runs only with the file as a program."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _bound(node: ast.stmt) -> frozenset[str] | None:
    """Return the names that a statement defines; None if it may do more than that."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({node.name})
    if isinstance(node, ast.Import):
        return frozenset(one.asname or one.name.partition(".")[0] for one in node.names)
    if isinstance(node, ast.ImportFrom):
        names = frozenset(one.asname or one.name for one in node.names)
        return None if "*" in names or node.module == "__future__" else names
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        parts = [part for target in targets for part in _parts(target)]
        names = frozenset(part.id for part in parts if isinstance(part, ast.Name))
        return names if len(names) == len({ast.dump(part) for part in parts}) else None
    return None


def _parts(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [part for one in target.elts for part in _parts(one)]
    return _parts(target.value) if isinstance(target, ast.Starred) else [target]


def _used(node: ast.stmt) -> Iterator[str]:
    """Yield the names in a statement, also those in texts: annotations, and names that are looked up."""
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and len(one.value) < 200:
            yield from (one.value,) if one.value.isidentifier() else _words(one.value)


def _words(text: str) -> Iterator[str]:
    """Yield the names of an annotation that is a text, such as `list[Row]`."""
    if " " in text.strip() and "|" not in text and "[" not in text:
        return
    try:
        tree = syntax_tree(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from (one.id for one in ast.walk(tree) if isinstance(one, ast.Name))
