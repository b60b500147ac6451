"""The memory that processes take, and the memory that there is."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_TOLD = Path("/proc/thread-self/children")


def memory_of(pid: int) -> int | None:
    """Bytes that the process and its children take, pages that they share counted in parts (PSS).

    Where the system knows no PSS, resident bytes. None if the process has ended.
    """
    try:
        taken = _taken(psutil.Process(pid))
        for child in _below(pid):
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                taken += _taken(psutil.Process(child))
        return taken
    except psutil.Error:
        return None


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that it started, and theirs.

    Linux tells for each thread. Elsewhere the library reads the table of all processes, which takes longer
    than anything else here. Source: proc(5).
    """
    if not _TOLD.exists():
        yield from (child.pid for child in psutil.Process(pid).children(recursive=True))
        return
    with suppress(OSError):  # it, or one of its threads, ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _below(child)


def _taken(process: psutil.Process) -> int:
    with suppress(psutil.Error, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)


def memory_here() -> int:
    """Bytes of memory that this machine has, or the container lets us have."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        return min(total, int(_LIMIT.read_text()))
    return total
