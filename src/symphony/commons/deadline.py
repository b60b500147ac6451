"""Until when the attempt of a node may go on, for those inside it who would wait."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from math import inf

_end: ContextVar[float] = ContextVar("_end", default=inf)


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """While this is open, at most `seconds` are left, fewer if less is left outside; None sets no limit."""
    end = inf if seconds is None else asyncio.get_running_loop().time() + seconds
    token = _end.set(min(end, _end.get()))
    try:
        yield
    finally:
        _end.reset(token)


def left_s() -> float:
    """Seconds that are left; infinity if there is no limit.

    A longer wait would end in a timeout, which hides what was waited for.
    """
    return _end.get() - asyncio.get_running_loop().time()
