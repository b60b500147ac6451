"""Controls how often Python looks for unreachable cycles: seldom while a run makes much that stays."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final

SELDOM: Final = (20_000, 10, 10)
"""The collector's thresholds: new objects before a collection, then collections of each generation
before the next.
"""

_lock = threading.Lock()


def keep_all() -> None:
    """Exclude all present objects from later collections. For a separate program, once it is ready."""
    gc.freeze()


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch off collection in a block that makes much that stays: one full look for cycles costs as
    much as the block.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Seldom:
    """Makes collection rare while open. Blocks may nest, in several threads too: the last to leave
    restores what the first found.

    If other code has set other thresholds meanwhile, those stay.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._before = gc.get_threshold()

    def __enter__(self) -> None:
        with _lock:
            self._inside += 1
            if self._inside == 1:
                self._before = gc.get_threshold()
                if 0 < self._before[0] < SELDOM[0]:  # otherwise other code wants it as seldom, or never
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
