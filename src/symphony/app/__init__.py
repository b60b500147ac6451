"""The composition root and the Python API: `Symphony`, `run`, handles and runs. Loaded at first use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.app.handle import Progress, RunHandle
    from symphony.app.home import find_home
    from symphony.app.preparing import InputInvalid
    from symphony.app.symphony import Symphony, run
    from symphony.pit.tracker.core.budget import Limits
    from symphony.pit.tracker.store.finding import RunNotFound
    from symphony.pit.tracker.store.locks import RunBusy
    from symphony.pit.tracker.store.runs import Runs

__all__ = [
    "InputInvalid",
    "Limits",
    "Progress",
    "RunBusy",
    "RunHandle",
    "RunNotFound",
    "Runs",
    "Symphony",
    "find_home",
    "run",
]

_HOMES = {
    "symphony.app.handle": ("Progress", "RunHandle"),
    "symphony.app.home": ("find_home",),
    "symphony.app.preparing": ("InputInvalid",),
    "symphony.app.symphony": ("Symphony", "run"),
    "symphony.pit.tracker.store.locks": ("RunBusy",),
    "symphony.pit.tracker.core.budget": ("Limits",),
    "symphony.pit.tracker.store.finding": ("RunNotFound",),
    "symphony.pit.tracker.store.runs": ("Runs",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found
