"""The variables in the environment of a run's processes by which they are found again. Light.

A program that starts a process below a node must pass these variables on; most do so anyway.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeAlias

from symphony.commons.contexts import Setting

RUN_VARIABLE: Final = "SYMPHONY_RUN_ID"
NODE_VARIABLE: Final = "SYMPHONY_NODE"
HOME_VARIABLE: Final = "SYMPHONY_RUN_HOME"
WORKER_VARIABLE: Final = "SYMPHONY_WORKER"

Mark: TypeAlias = tuple[str, str]
"""A variable and its value."""


def marks_of(run_id: str, home: Path | None) -> dict[str, str]:
    """Return what the processes of a run carry: its id, and which home it is recorded in."""
    return {RUN_VARIABLE: run_id, **dict(home_marks(home))}


def home_marks(home: Path | None) -> tuple[Mark, ...]:
    """Return what tells a home from its copies, and stays when it is renamed; nothing in memory."""
    if home is None:
        return ()
    try:
        status = home.stat()
    except OSError:
        return ()
    return ((HOME_VARIABLE, f"{status.st_dev:x}-{status.st_ino:x}"),)


def unmarked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` for a process that serves several runs, and ends with who started it."""
    marks = {RUN_VARIABLE, NODE_VARIABLE, HOME_VARIABLE}
    return {name: value for name, value in environment.items() if name not in marks}


_present: ContextVar[Mapping[str, str]] = ContextVar("symphony_marks", default={})  # noqa: B039  (never changed)


def marking(marks: Mapping[str, str]) -> Setting[Mapping[str, str]]:
    """Make these the `present_marks` while this is open, in this task and in threads run in its context."""
    return Setting(_present, marks)


def present_marks() -> Mapping[str, str]:
    """Return what a process that is started for the present node carries."""
    return _present.get()
