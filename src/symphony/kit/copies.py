"""What embeddings compare to find copied code: `code.shapes`."""

import hashlib
from pathlib import Path
from typing import TypedDict

from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

SOURCE_BYTES_MAX = 4 * 1024 * 1024


class Item(TypedDict):
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

    items: list[Item]
    texts: list[str]


@operator("code.shapes", version="1.0.0", pure=True)
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
    from symphony.kit.python_source import SourceProblem, read_source

    if min_lines < 2:  # what is too deep to be printed has one line, an empty one
        raise InputRefused("input min_lines must be at least 2", hint="try 5")
    try:
        module = read_source(read_bounded(context.cwd / path, SOURCE_BYTES_MAX), shapes=True)
    except (FileTooLarge, SourceProblem):
        return Shapes(items=[], texts=[])
    # What stands inside a function is compared as part of it.
    outer = [one for one in module.definitions if not one.nested]
    kept = [one for one in outer if len(one.shape.split("\n")) >= min_lines]
    return Shapes(
        items=[
            Item(
                file=name,
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
