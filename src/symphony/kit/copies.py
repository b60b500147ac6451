"""The texts that embeddings compare to find copied code: `code.shapes`."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from symphony.kit.code import Unparsed, parsed
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator

if TYPE_CHECKING:
    from symphony.kit.python_source import Module


class CodeItem(TypedDict):
    """One function, method or class. Lines count from 1."""

    file: str
    name: str
    kind: str
    line: int
    end_line: int
    source: str
    digest: str


class Shapes(TypedDict):
    """The output of `code.shapes`: one text per item."""

    items: list[CodeItem]
    texts: list[str]


@operator("code.shapes", version="1.0.0", pure=True, cpu=True)
def shapes(path: Path, context: Context, name: str = "", min_lines: int = 5) -> Shapes:
    """Turn the functions, methods and plain classes of a Python file into texts that reveal copies.

    In the texts, parameters and local variables have canonical names. The function's own name, docstrings,
    comments and annotations are removed. A copy with renamed identifiers has the same text, an edited copy a
    similar one. A class is compared by its bases and attributes; a class with methods is left out, because
    its methods are items themselves. A nested function counts as part of the function around it. A file that
    cannot be parsed has no items; `code.symbols` says why.

    Args:
        path: the file
        name: what to call the file in the result; results are cached by content and do not contain the path
        min_lines: leave out items with fewer lines of code than this; docstrings and comments do not count
    Returns:
        items: maps of file, name (with its class), kind, line, end_line, source and digest (SHA-256 of the
            text: items with equal digests differ only in names)
        texts: one text per item, for embedding
    """
    check_min_lines(min_lines)
    module = parsed(context.cwd / path, name, shapes=True)
    return Shapes(items=[], texts=[]) if isinstance(module, Unparsed) else shapes_in(module, name, min_lines)


def check_min_lines(min_lines: int) -> None:
    """Raise InputRefused if `min_lines` is so low that items without a shape would pass."""
    if min_lines < 2:  # An item nested too deeply to be printed has one empty line.
        raise InputRefused("input min_lines must be at least 2", hint="try 5")


def shapes_in(module: "Module", file: str, min_lines: int) -> Shapes:
    """Return the comparable items of a module that was read with its shapes."""
    # A nested function is compared as part of the function around it.
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
