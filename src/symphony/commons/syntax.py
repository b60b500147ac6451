"""Syntax trees of Python texts, made from several threads at once."""

import ast
import threading
from typing import Final

_ATTEMPTS_MAX: Final = 5
_parsing = threading.Lock()


def syntax_tree(source: str | bytes) -> ast.Module:
    """Return what `ast.parse` gives, one thread at a time. Raises what it raises.

    CPython, at least up to 3.12, counts how deep it is in a tree in one place for all threads, and
    raises SystemError where a switch between two of them falls in between (see its issue 106905).
    Others, such as an operator, may parse at the same time without asking here: then it is tried again.
    """
    for attempt in range(_ATTEMPTS_MAX):
        try:
            with _parsing:
                return ast.parse(source)
        except SystemError:
            if attempt == _ATTEMPTS_MAX - 1:
                raise
    raise AssertionError("unreachable")
