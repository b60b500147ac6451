"""Until when the attempt of a node may go on, for those inside it who would wait."""

import asyncio
from contextvars import ContextVar
from math import inf

from symphony.commons.contexts import Setting

_end: ContextVar[float] = ContextVar("_end", default=inf)


def within(seconds: float) -> Setting[float]:
    """While this is open, at most `seconds` are left, fewer if less is left outside."""
    return Setting(_end, min(asyncio.get_running_loop().time() + seconds, _end.get()))


def left_s() -> float:
    """Seconds that are left; infinity if there is no limit.

    A longer wait would end in a timeout, which hides what was waited for.
    """
    return _end.get() - asyncio.get_running_loop().time()
