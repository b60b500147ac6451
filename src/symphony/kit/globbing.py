"""Glob patterns given to operators. `symphony.commons.globbing` defines what they mean."""

import re
from collections.abc import Sequence

from symphony.commons import globbing
from symphony.kit.errors import InputRefused


def matcher(patterns: Sequence[str], *, subtree: bool = False) -> re.Pattern[str] | None:
    """Return a regular expression for relative paths that match any of `patterns`. Raises InputRefused."""
    try:
        return globbing.matcher(patterns, subtree=subtree)
    except globbing.PatternRefused as error:
        raise InputRefused(error.message, hint=error.hint) from error
