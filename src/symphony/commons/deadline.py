"""The deadline of a node's attempt, for code inside it that has to wait."""

import asyncio
from contextvars import ContextVar
from math import inf

from symphony.commons.contexts import Setting

_end: ContextVar[float] = ContextVar("_end", default=inf)


def within(seconds: float) -> Setting[float]:
    """Limit the time left to `seconds` while this is open, or less if less is left outside."""
    return Setting(_end, min(asyncio.get_running_loop().time() + seconds, _end.get()))


def left_s() -> float:
    """Return the seconds that are left; infinity if there is no limit.

    A longer wait would end in a timeout, which hides what was waited for.
    """
    return _end.get() - asyncio.get_running_loop().time()
