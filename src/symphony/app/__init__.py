"""The composition root and the Python API: `Symphony`, `run`, handles and runs."""

from symphony.app.home import find_home
from symphony.app.symphony import InputInvalid, Progress, RunHandle, Symphony, run
from symphony.pit.tracker.runs import RunBusy, RunNotFound, Runs

__all__ = [
    "InputInvalid",
    "Progress",
    "RunBusy",
    "RunHandle",
    "RunNotFound",
    "Runs",
    "Symphony",
    "find_home",
    "run",
]
