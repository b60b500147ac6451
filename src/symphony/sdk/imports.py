"""What a Python file imports, read from its text: anywhere in it, lazily too. Pure."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_IMPORTERS = frozenset({"import_module", "__import__"})
_LOADERS = frozenset({"spec_from_file_location", "SourceFileLoader", "run_path", "run_module", "load_source"})
_SEARCH_PATH = re.compile(rb"\bsys\s*\.\s*path\b|\baddsitedir\b|\bfrom\s+sys\s+import\b[^\n]*\bpath\b")


@dataclass(frozen=True, slots=True)
class Imports:
    """The names of modules in one file.

    `modules` may be attributes of modules as well: `from a import b` gives `a` and `a.b`. `dynamic`: it
    imports what only running it tells. `searches`: it changes where modules are looked for.
    """

    modules: frozenset[str]
    dynamic: bool = False
    searches: bool = False


def imports_of(source: bytes, package: str) -> Imports:
    """The imports of a file that belongs to `package` (empty if to none); none if it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports(frozenset())
    found: set[str] = set()
    dynamic = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(_from(node, package))
        elif isinstance(node, ast.Call):
            name = _called(node)
            if name in _IMPORTERS:
                literal = _literal(node, package)
                dynamic |= literal is None
                found.update(() if literal is None else (literal,))
            dynamic |= name in _LOADERS
    return Imports(frozenset(found), dynamic, _SEARCH_PATH.search(source) is not None)


def _from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        base = _above(package, node.level, base)
    if base:
        yield base
    for alias in node.names:
        # of `*` all that the package has may come
        yield f"{base}.{alias.name}" if base else alias.name


def _above(package: str, level: int, name: str) -> str:
    parts = package.split(".")
    kept = parts[: len(parts) - level + 1] if package else []
    return ".".join([*kept, *([name] if name else [])])


def _called(node: ast.Call) -> str:
    """The last name of what is called: `import_module` for `importlib.import_module(…)`; else empty."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _literal(node: ast.Call, package: str) -> str | None:
    """The module that a call of `import_module` names, if it is written out."""
    if not node.args or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
        return None
    name = node.args[0].value
    dots = len(name) - len(name.lstrip("."))
    return _above(package, dots, name[dots:]) if dots else name
