"""Finds what a Python file imports, anywhere in its text, including lazy imports. Pure."""

import ast
import re
from collections.abc import Iterator

import msgspec

from symphony.commons.syntax import syntax_tree

_IMPORTERS = frozenset({"import_module", "__import__"})
_LOADERS = frozenset(
    {
        "spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader",
        "run_path", "run_module", "load_source", "exec_module", "load_module", "resolve_name", "iter_modules",
        "walk_packages", "entry_points", "iter_entry_points",
    }
)  # fmt: skip
_RUNNERS = frozenset({"exec", "execfile", "compile"})
"""Functions that run a text as code. Others, such as `re.compile`, only share the last name."""
_SEARCH_PATH = re.compile(rb"\bsys\s*\.\s*path\b|\baddsitedir\b|\bfrom\s+sys\s+import\b[^\n]*\bpath\b")


class Imports(msgspec.Struct, frozen=True):
    """The names of modules in one file.

    `modules` may be attributes of modules as well: `from a import b` gives `a` and `a.b`. `dynamic`:
    only running the file tells what it imports. `searches`: it changes the search path of modules.
    """

    modules: frozenset[str]
    dynamic: bool = False
    searches: bool = False


def imports_of(source: bytes, package: str) -> Imports:
    """Return the imports of a file that belongs to `package` (empty if to none); none if it is not Python."""
    try:
        tree = syntax_tree(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports(frozenset())
    found: set[str] = set()
    dynamic = False
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(_from(node, package))
            dynamic |= any(alias.asname and alias.name in _IMPORTERS | _LOADERS for alias in node.names)
        elif isinstance(node, ast.Call):
            name = _called(node)
            if name in _IMPORTERS:
                literal = _literal(node, package)
                dynamic |= literal is None
                found.update(() if literal is None else (literal,))
            dynamic |= name in _LOADERS or (name in _RUNNERS and isinstance(node.func, ast.Name))
        elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in called:
            # passed on under another name, as in `map(import_module, names)`
            dynamic |= (node.id if isinstance(node, ast.Name) else node.attr) in _IMPORTERS | _LOADERS
    return Imports(frozenset(found), dynamic, _SEARCH_PATH.search(source) is not None)


def _from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        base = _above(package, node.level, base)
    if base:
        yield base
    for alias in node.names:
        # `*` may import all that the package has
        yield f"{base}.{alias.name}" if base else alias.name


def _above(package: str, level: int, name: str) -> str:
    parts = package.split(".")
    kept = parts[: len(parts) - level + 1] if package else []
    return ".".join([*kept, *([name] if name else [])])


def _called(node: ast.Call) -> str:
    """Return the last name of a called expression: `import_module` for `importlib.import_module(…)`;
    else empty.
    """
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _literal(node: ast.Call, package: str) -> str | None:
    """Return the module that a call of `import_module` names, if it is written out."""
    if not node.args or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
        return None
    name = node.args[0].value
    dots = len(name) - len(name.lstrip("."))
    return _above(package, dots, name[dots:]) if dots else name
