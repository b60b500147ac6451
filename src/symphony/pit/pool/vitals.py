"""What the system knows of a process: whether it is stopped, whether it works, what it has computed."""

import os
import sys
from pathlib import Path
from typing import Final

import psutil

from symphony.pit.pool.core.health import Vitals

_STOPPED: Final = "T"
_ACTIVE: Final = "RDt"
"""Running, waiting for a disk, held by a debugger."""
_BUSY: Final = frozenset({psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP, psutil.STATUS_TRACING_STOP})


def vitals_of(pid: int) -> Vitals | None:
    """Look at the process and all its threads; None if it has ended."""
    try:
        return _by_proc(pid) if sys.platform == "linux" else _by_library(pid)
    except (OSError, psutil.Error, ValueError, IndexError):
        return None


def _by_proc(pid: int) -> Vitals:
    """Each thread has a state of its own, which the library does not tell. Source: proc(5)."""
    process = Path(f"/proc/{pid}")
    own = _fields(process / "stat")
    cpu_s = (int(own[11]) + int(own[12])) / os.sysconf("SC_CLK_TCK")
    states: set[str] = set()
    for thread in (process / "task").iterdir():
        try:
            states.add(_fields(thread / "stat")[0])
        except OSError:
            continue  # it ended meanwhile
    return Vitals(cpu_s=cpu_s, stopped=_STOPPED in states, active=not states.isdisjoint(_ACTIVE))


def _fields(stat: Path) -> list[str]:
    """Return what follows the name, which may hold anything: the state, then numbers."""
    return stat.read_text(errors="replace").rpartition(")")[2].split()


def _by_library(pid: int) -> Vitals:
    process = psutil.Process(pid)
    status, times = process.status(), process.cpu_times()
    return Vitals(
        cpu_s=times.user + times.system, stopped=status == psutil.STATUS_STOPPED, active=status in _BUSY
    )
