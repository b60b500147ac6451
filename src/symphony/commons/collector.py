"""How often Python looks for unreachable cycles: seldom while a run makes much that stays."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

SELDOM: Final = (20_000, 10, 10)
"""New objects before a look at them, and such looks before one at older objects, twice."""

_lock = threading.Lock()


def keep_all() -> None:
    """Never again look for cycles among what there is: for a program of its own, once it is made ready."""
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """A block that makes much that stays: one full look for cycles in it costs as much as all its work."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Seldom:
    """Nests, in several threads too: the last to leave sets back what the first found.

    Unless somebody else has set another frequency meanwhile: then that one stays.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._before = gc.get_threshold()

    def __enter__(self) -> None:
        with _lock:
            self._inside += 1
            if self._inside == 1:
                self._before = gc.get_threshold()
                if 0 < self._before[0] < SELDOM[0]:  # else somebody wants it as seldom, or never
                    gc.set_threshold(*SELDOM)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _lock:
            self._inside -= 1
            if self._inside == 0 and gc.get_threshold() == SELDOM:
                gc.set_threshold(*self._before)


seldom_collected: Final = _Seldom()
"""While this is open, cycles are looked for seldom: `with seldom_collected: ...`."""
