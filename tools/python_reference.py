"""The pages of the Python API, made from signatures and docstrings. Used by `generate_reference.py`."""

import ast
import dataclasses
import enum
import functools
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence

import msgspec

INTRO = {
    "symphony": "Everything here is imported from `symphony`; nothing else needs to be.",
    "symphony.testing": "Imported from `symphony.testing`; the guide is"
    " [Test your workflows](../../how-to/test-your-workflows.md).",
}
MEMBERS = (property, functools.cached_property, classmethod, staticmethod)
VALUE = "bool | int | float | str | bytes | list['Value'] | dict[str, 'Value'] | None"
TITLES = {"symphony": "The Python API", "symphony.testing": "The testing API"}


def page(package: str) -> str:
    """The page of one package: each public name with its signature and what it does."""
    module = importlib.import_module(package)
    names: Sequence[str] = [name for name in module.__all__ if not name.startswith("__")]
    parts = [f"# {TITLES[package]}", "", INTRO[package], "", *_contents(module, names)]
    for name in names:
        parts += _entry(name, getattr(module, name))
    return "\n".join(parts).rstrip() + "\n"


def _contents(module: object, names: Sequence[str]) -> Iterator[str]:
    yield "| name | what it is |"
    yield "|---|---|"
    for name in names:
        yield f"| [`{name}`](#{name}) | {_cell(_first(name, getattr(module, name)))} |"
    yield ""


def _entry(name: str, found: object) -> Iterator[str]:
    yield f"## `{name}` {{ #{name} }}"
    yield ""
    if inspect.isclass(found):
        yield from _class(name, found)
    elif inspect.isroutine(found):
        yield from _code(_signature(name, found))
        yield from _text(found)
    else:
        yield _note_of(name, found)
        yield ""


def _class(name: str, kind: type) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        yield from _text(kind)
        yield ", ".join(f"`{member.value}`" for member in kind)
        yield ""
        return
    fields = _fields(kind)
    yield from _code(f"class {name}" if fields else _signature(f"class {name}", kind))
    yield from _text(kind)
    if fields:
        yield from _table(fields)
    for attribute, value in _members(kind):
        yield f"### `{name}.{attribute}` {{ #{name}.{attribute} }}"
        yield ""
        if isinstance(value, property | functools.cached_property):
            yield from _text(value)
        else:
            function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            prefix = "async " if inspect.iscoroutinefunction(function) else ""
            yield from _code(
                prefix + _signature(attribute, function, bound=not isinstance(value, staticmethod))
            )
            yield from _text(function)


def _members(kind: type) -> Iterator[tuple[str, object]]:
    """Public methods and properties, the class's own before those of its bases in Symphony."""
    seen: set[str] = set()
    for one in kind.__mro__:
        if not one.__module__.startswith("symphony"):
            continue
        for attribute, value in vars(one).items():
            wanted = inspect.isfunction(value) or isinstance(value, MEMBERS)
            if wanted and not attribute.startswith("_") and attribute not in seen:
                seen.add(attribute)
                yield attribute, value


def _fields(kind: type) -> list[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each field of a value class."""
    if issubclass(kind, msgspec.Struct):
        found = [(f.name, f.required, f.default) for f in msgspec.structs.fields(kind)]
    elif dataclasses.is_dataclass(kind):
        found = [
            (f.name, f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING, f.default)
            for f in dataclasses.fields(kind)
            if f.init
        ]
    else:
        return []
    notes, types = _notes(kind), _annotations(kind)
    return [
        (
            f"`{n}`",
            f"`{types.get(n, '')}`",
            "" if required or _hidden(default) else f"`{default!r}`",
            notes.get(n, ""),
        )
        for n, required, default in found
    ]


def _hidden(default: object) -> bool:
    return default is dataclasses.MISSING or default is msgspec.NODEFAULT


def _annotations(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith("symphony"):
            for name, annotation in inspect.get_annotations(one).items():
                found[name] = _type(annotation)
    return found


def _notes(kind: type) -> dict[str, str]:
    """The text that stands below a field in the source."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not one.__module__.startswith("symphony"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in itertools.pairwise(body.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = below.value if isinstance(below, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[field.target.id] = " ".join(text.value.split())
    return found


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _signature(name: str, found: object, *, bound: bool = False) -> str:
    """`name(a, *, b: int = 1) -> str`, one parameter a line where it is long."""
    assert callable(found)
    signature = inspect.signature(found)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    shown: list[str] = []
    star = False
    for parameter in parameters:
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        shown.append(_parameter(parameter))
    returns = (
        "" if signature.return_annotation is signature.empty else f" -> {_type(signature.return_annotation)}"
    )
    if name.startswith("class "):
        returns = ""
    line = f"{name}({', '.join(shown)}){returns}"
    if len(line) <= 90:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + f"){returns}"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = star + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {_type(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _default(value: object) -> str:
    if inspect.isclass(value):
        return value.__name__
    shown = repr(value)
    return shown if len(shown) <= 40 and "<" not in shown else "…"


def _type(annotation: object) -> str:
    """A type as people write it, without the modules it comes from."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"\b[a-z_]\w*(\.[a-z_]\w*)*\.(?=[A-Za-z])", "", text.strip("'\""))
    return text.replace(VALUE, "Value")


def _text(found: object) -> Iterator[str]:
    yield inspect.getdoc(found) or ""
    yield ""


def _code(text: str) -> Iterator[str]:
    yield f"```py\n{text}\n```"
    yield ""


def _note_of(name: str, found: object) -> str:
    """The text below the assignment that made an alias."""
    for module in [m for n, m in sys.modules.items() if n.startswith("symphony.")]:
        if vars(module).get(name) is not found:
            continue
        body = ast.parse(inspect.getsource(module)).body
        for made, below in itertools.pairwise(body):
            target = made.target if isinstance(made, ast.AnnAssign) else None
            text = below.value if isinstance(below, ast.Expr) else None
            named = isinstance(target, ast.Name) and target.id == name
            if named and isinstance(text, ast.Constant) and isinstance(text.value, str):
                return " ".join(text.value.split())
    raise LookupError(f"{name} has no text below the line that makes it")


def _first(name: str, found: object) -> str:
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        return _note_of(name, found)
    return " ".join((inspect.getdoc(found) or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
