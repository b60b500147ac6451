"""Source code: `code.symbols`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

SOURCE_BYTES_MAX = 4 * 1024 * 1024


class Symbol(TypedDict):
    """One function, method or class; lines count from 1."""

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
    source: str


class Problem(TypedDict):
    """Why a file could not be read as source code."""

    file: str
    line: int | None
    message: str


class Symbols(TypedDict):
    """What `code.symbols` returns."""

    symbols: list[Symbol]
    problems: list[Problem]
    lines: int
    documented: bool


@operator("code.symbols", version="1.0.0", pure=True)
def symbols(path: Path, context: Context, name: str = "", kinds: Sequence[str] = ()) -> Symbols:
    """List the functions, methods and classes of a Python file, in order of their lines.

    The file is parsed, never run; its encoding is found as Python finds it. A file that cannot be
    parsed (syntax error, wrong encoding, null characters, nesting too deep, over 4 MiB) is
    reported in `problems` and does not fail the node; a file that is not there does.

    Args:
        path: the file
        name: what to call the file in the result; empty for its path as given
        kinds: only these: function, method, class; empty for all
    Returns:
        symbols: maps of file, name, qualified_name, kind, line, end_line, lines, signature,
            documented (has a docstring; overloads and setters count with what they belong to),
            summary (its first line), public (no part of the name is private, not inside a function,
            and in __all__ if there is one), nested (inside a function), decorators, overload (a stub
            of typing.overload), and source (without decorators, at the margin)
        problems: maps of file, line and message
        lines: how many lines the file has
        documented: whether the module has a docstring
    """
    from symphony.kit.python_source import SourceProblem, read_source

    unknown = sorted(set(kinds) - {"function", "method", "class"})
    if unknown:
        raise InputRefused(f"input kinds: {unknown[0]!r} is no kind", hint="use function, method, class")
    name = name or path.as_posix()
    try:
        body = read_bounded(context.cwd / path, SOURCE_BYTES_MAX)
        module = read_source(body)
    except FileTooLarge:
        message = f"the file has more than {SOURCE_BYTES_MAX // (1024 * 1024)} MiB"
        return _broken(Problem(file=name, line=None, message=message), 0)
    except SourceProblem as problem:
        return _broken(Problem(file=name, line=problem.line, message=problem.message), problem.lines)
    found = [
        Symbol(
            file=name,
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
            source=one.source,
        )
        for one in module.definitions
        if not kinds or one.kind in kinds
    ]
    return Symbols(symbols=found, problems=[], lines=module.lines, documented=module.docstring is not None)


def _broken(problem: Problem, lines: int) -> Symbols:
    return Symbols(symbols=[], problems=[problem], lines=lines, documented=False)
