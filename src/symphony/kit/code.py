"""Source code: `code.symbols`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

if TYPE_CHECKING:
    from symphony.kit.python_source import Defined, Module

SOURCE_BYTES_MAX = 4 * 1024 * 1024


class BareSymbol(TypedDict):
    """One function, method or class, without its source. Lines count from 1."""

    file: str
    name: str
    qualified_name: str
    kind: str
    line: int
    end_line: int
    lines: int
    signature: str
    documented: bool
    summary: str
    public: bool
    nested: bool
    decorators: list[str]
    overload: bool


class Symbol(BareSymbol):
    """One function, method or class with its source."""

    source: str


class Unreadable(TypedDict):
    """Why a file could not be read as source code."""

    file: str
    line: int | None
    message: str


class Symbols(TypedDict):
    """What `code.symbols` returns."""

    symbols: list[Symbol]
    problems: list[Unreadable]
    lines: int
    documented: bool


@operator("code.symbols", version="1.0.0", pure=True, cpu=True)
def symbols(path: Path, context: Context, name: str = "", kinds: Sequence[str] = ()) -> Symbols:
    """List the functions, methods and classes of a Python file, in order of their lines.

    The file is parsed, never run. Its encoding is detected as Python does it. A file that cannot be parsed
    (syntax error, wrong encoding, null characters, nesting too deep, over 4 MiB) is reported in `problems`
    and does not fail the node. A missing file does.

    Args:
        path: the file
        name: what to call the file in the result; empty for its path as given
        kinds: which kinds to list: function, method, class; empty for all
    Returns:
        symbols: maps of file, name, qualified_name, kind, line, end_line, lines, signature,
            documented (has a docstring; overloads and setters count with what they belong to),
            summary (its first line), public (no part of its name is private, it is not inside a function, and
            __all__, if there is one, lists it), nested (inside a function), decorators, overload (a stub of
            typing.overload), and source (dedented, without decorators)
        problems: maps of file, line and message
        lines: how many lines the file has
        documented: whether the module has a docstring
    """
    unknown = sorted(set(kinds) - {"function", "method", "class"})
    if unknown:
        raise InputRefused(f"input kinds: {unknown[0]!r} is no kind", hint="use function, method, class")
    name = name or path.as_posix()
    module = parsed(context.cwd / path, name)
    if isinstance(module, Unparsed):
        return Symbols(symbols=[], problems=[module.problem], lines=module.lines, documented=False)
    return Symbols(
        symbols=[
            Symbol(**bare_symbol(one, name), source=one.source)
            for one in module.definitions
            if not kinds or one.kind in kinds
        ],
        problems=[],
        lines=module.lines,
        documented=module.docstring is not None,
    )


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The number of lines of a file that is not source code."""

    problem: Unreadable
    lines: int


def parsed(file: Path, name: str, *, shapes: bool = False) -> "Module | Unparsed":
    """Return the definitions in `file`, reported under `name`. Raises IoFailed if it cannot be read."""
    from symphony.kit.python_source import SourceProblem, read_source

    try:
        return read_source(read_bounded(file, SOURCE_BYTES_MAX), shapes=shapes)
    except FileTooLarge:
        message = f"the file has more than {SOURCE_BYTES_MAX // (1024 * 1024)} MiB"
        return Unparsed(Unreadable(file=name, line=None, message=message), 0)
    except SourceProblem as problem:
        return Unparsed(Unreadable(file=name, line=problem.line, message=problem.message), problem.lines)


def bare_symbol(one: "Defined", file: str) -> BareSymbol:
    """Return a definition in the form that operators return."""
    return BareSymbol(
        file=file,
        name=one.name,
        qualified_name=one.qualified_name,
        kind=one.kind,
        line=one.line,
        end_line=one.end_line,
        lines=one.end_line - one.line + 1,
        signature=one.signature,
        documented=one.docstring is not None,
        summary=(one.docstring or "").strip().split("\n", 1)[0].strip(),
        public=one.public,
        nested=one.nested,
        decorators=list(one.decorators),
        overload=one.overload,
    )
