"""Everything about a Python file in one reading: `code.survey`."""

from pathlib import Path
from typing import TypedDict

from symphony.kit.code import BareSymbol, Unparsed, Unreadable, bare_symbol, parsed
from symphony.kit.copies import CodeItem, check_min_lines, shapes_in
from symphony.sdk import Context, operator


class CodeSurvey(TypedDict):
    """What `code.survey` returns."""

    symbols: list[BareSymbol]
    problems: list[Unreadable]
    lines: int
    documented: bool
    items: list[CodeItem]
    texts: list[str]


@operator("code.survey", version="1.0.0", pure=True, cpu=True)
def survey(path: Path, context: Context, name: str = "", min_lines: int = 5) -> CodeSurvey:
    """List the definitions of a Python file, with the texts that tell copies: the file is parsed once.

    It gives what `code.symbols` and `code.shapes` give, but for the sources of symbols, in half the
    time of both. A file that cannot be parsed is reported in `problems` and does not fail the node; a
    file that is not there does.

    Args:
        path: the file
        name: what to call the file in the result; empty for its path as given
        min_lines: give no text for what has fewer lines of code; docstrings and comments do not count
    Returns:
        symbols: maps as `code.symbols` gives them, without source
        problems: maps of file, line and message
        lines: how many lines the file has
        documented: whether the module has a docstring
        items: maps as `code.shapes` gives them
        texts: one for each item, to be embedded
    """
    check_min_lines(min_lines)
    name = name or path.as_posix()
    module = parsed(context.cwd / path, name, shapes=True)
    if isinstance(module, Unparsed):
        return CodeSurvey(
            symbols=[], problems=[module.problem], lines=module.lines, documented=False, items=[], texts=[]
        )
    shapes = shapes_in(module, name, min_lines)
    return CodeSurvey(
        symbols=[bare_symbol(one, name) for one in module.definitions],
        problems=[],
        lines=module.lines,
        documented=module.docstring is not None,
        items=shapes["items"],
        texts=shapes["texts"],
    )
