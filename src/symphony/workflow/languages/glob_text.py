"""Glob patterns as `fs.glob` takes them."""

from symphony.commons.globbing import PatternRefused, check
from symphony.workflow.languages.faults import LiteralFault


def glob_faults(text: str) -> tuple[LiteralFault, ...]:
    """Return what is wrong with a pattern."""
    try:
        check(text)
    except PatternRefused as error:
        return (LiteralFault(message=error.message, hint=error.hint or ""),)
    return ()
