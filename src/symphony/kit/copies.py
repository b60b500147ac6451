"""What embeddings compare to find copied code: `code.shapes`."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from symphony.kit.code import Unparsed, parsed
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

if TYPE_CHECKING:
    from symphony.kit.python_source import Module


class CodeItem(TypedDict):
    """One function, method or class; lines count from 1."""

    file: str
    name: str
    kind: str
    line: int
    end_line: int
    source: str
    digest: str


class Shapes(TypedDict):
    """What `code.shapes` returns: one text per item."""

    items: list[CodeItem]
    texts: list[str]


@operator("code.shapes", version="1.0.0", pure=True, cpu=True)
def shapes(path: Path, context: Context, name: str = "", min_lines: int = 5) -> Shapes:
    """Give the functions, methods and plain classes of a Python file as texts that tell copies.

    In the texts, parameters and local variables have canonical names; the function's own name,
    docstrings, comments and annotations are gone. A copy whose identifiers were renamed has the
    same text, an edited one a similar text. Of a class its bases and attributes count; one with
    methods is left out, for its methods are items themselves. A function inside a function counts as
    part of it. A file that cannot be parsed
    has no items: `code.symbols` says why.

    Args:
        path: the file
        name: what to call the file in the result; results are kept by content, so they do not
            know the path
        min_lines: leave out what has fewer lines of code; docstrings and comments do not count
    Returns:
        items: maps of file, name (with its class), kind, line, end_line, source and digest (SHA-256 of
            the text: what has the same one is a copy but for its names)
        texts: one for each item, to be embedded
    """
    check_min_lines(min_lines)
    module = parsed(context.cwd / path, name, shapes=True)
    return Shapes(items=[], texts=[]) if isinstance(module, Unparsed) else shapes_in(module, name, min_lines)


def check_min_lines(min_lines: int) -> None:
    """Raise InputRefused for a number that lets through what has no shape."""
    if min_lines < 2:  # what is too deep to be printed has one line, an empty one
        raise InputRefused("input min_lines must be at least 2", hint="try 5")


def shapes_in(module: "Module", file: str, min_lines: int) -> Shapes:
    """What to compare of a module that was read with its shapes."""
    # What stands inside a function is compared as part of it.
    outer = [one for one in module.definitions if not one.nested]
    kept = [one for one in outer if one.shape.count("\n") + 1 >= min_lines]
    return Shapes(
        items=[
            CodeItem(
                file=file,
                name=one.qualified_name,
                kind=one.kind,
                line=one.line,
                end_line=one.end_line,
                source=one.source,
                digest=hashlib.sha256(one.shape.encode("utf-8", "surrogatepass")).hexdigest(),
            )
            for one in kept
        ],
        texts=[one.shape for one in kept],
    )
