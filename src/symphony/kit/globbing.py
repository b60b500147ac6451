"""Glob patterns that operators are given; what they mean is in `symphony.commons.globbing`."""

import re
from collections.abc import Sequence

from symphony.commons import globbing
from symphony.kit.errors import InputRefused


def matcher(patterns: Sequence[str], *, subtree: bool = False) -> re.Pattern[str] | None:
    """A regular expression for relative paths that match any of `patterns`. Raises InputRefused."""
    try:
        return globbing.matcher(patterns, subtree=subtree)
    except globbing.PatternRefused as error:
        raise InputRefused(error.message, hint=error.hint) from error
