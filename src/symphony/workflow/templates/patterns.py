"""Matches texts with the `pattern` of a parameter, within a bounded time.

A template may come from somebody else, and `re` may try exponentially many ways while nothing else
runs.
"""

import math
import re
from typing import Final

PATTERN_CHARS_MAX: Final = 1_000
SUBJECT_CHARS_MAX: Final = 10_000
"""The most characters of a text; longer ones match no pattern."""
_SECONDS_MAX: Final = 1.0
_COUNTS_MAX: Final = 100_000
_COUNT: Final = re.compile(r"\{([0-9]{1,9})[0-9]*(?:,[0-9]*)?\}")


def refusal(pattern: str) -> str | None:
    """Return why `pattern` is not a regular expression; None if it is one."""
    if len(pattern) > PATTERN_CHARS_MAX:
        return f"it is longer than {PATTERN_CHARS_MAX} characters"
    try:
        re.compile(pattern)
    except (ValueError, re.error, RecursionError, OverflowError) as error:
        return str(error)
    return None


def difference(pattern: str, text: str) -> str | None:
    """Return why the whole of `text` does not match `pattern`, said after the text; None if it does."""
    import regex

    if len(text) > SUBJECT_CHARS_MAX or _counts(pattern) > _COUNTS_MAX:
        return f"does not match {pattern}"
    try:
        found = regex.compile(pattern).fullmatch(text, timeout=_SECONDS_MAX)
    except TimeoutError:
        return f"takes too long to compare with {pattern}"
    except (regex.error, RecursionError) as error:
        return f"cannot be compared with {pattern}: {error}"
    return None if found is not None else f"does not match {pattern}"


def _counts(pattern: str) -> int:
    """Return how many repetitions a match must have at least; no shorter text matches. They take memory."""
    counts = [int(found) for found in _COUNT.findall(pattern)]
    return math.prod(max(one, 1) for one in counts) if "){" in pattern else sum(counts)
