"""Makes up for the references to None that the CEL library loses.

`plain_value` of cel-expr-python 0.1.3 returns None for every null of a result without taking a reference.
Before Python 3.12, which made None immortal, the interpreter aborts when no reference is left. Nothing else
that the library returns is miscounted: tests/contracts has the counts.
"""

import sys
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cel_expr_python import cel

_IMMORTAL = sys.version_info >= (3, 12)
_PROBE = 256
_TRIES = 5


def repay(plain: object) -> None:
    """Take the references that the library did not take for the nulls in `plain`, its result."""
    if _IMMORTAL:
        return
    count = nulls(plain)
    if count and _loses_references():
        _take(count)


def nulls(plain: object) -> int:
    """Return how many nulls `plain` contains, which is how many the library made.

    (CEL's keys `true` and `1` are one key in Python. A map with both has one null less here than it
    had there; it is not a value of ours, and ends its evaluation.)
    """
    if plain is None:
        return 1
    found, stack = 0, [plain]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list):
            found += item.count(None)
            stack += [element for element in item if isinstance(element, list | dict)]
    return found


_measuring = Lock()


@lru_cache(maxsize=1)
def _loses_references() -> bool:
    """True if the installed library loses a reference for each null. This is measured, not read from
    its version.

    Other threads may take or drop references between two counts, but not each time.
    """
    from cel_expr_python import cel

    probe: cel.Value = cel.NewEnv().compile(f"[{', '.join(['null'] * _PROBE)}]").eval(data={})
    with _measuring:  # a simultaneous second measurement would be counted in the first
        return sum(_loses_now(probe) for _ in range(_TRIES)) > _TRIES // 2


def _loses_now(probe: "cel.Value") -> bool:
    held = [None] * _PROBE  # so that the measurement cannot take the last reference
    before = sys.getrefcount(None)
    result = probe.plain_value()
    gained = sys.getrefcount(None) - before
    del result
    lost = gained < _PROBE // 2
    if lost:
        _take(_PROBE)
    del held
    return lost


def _take(count: int) -> None:
    """Add `count` references to None, which are never dropped."""
    import ctypes

    take, none = ctypes.pythonapi.Py_IncRef, ctypes.py_object(None)
    for _ in range(count):
        take(none)
