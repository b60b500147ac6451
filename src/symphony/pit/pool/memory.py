"""The memory that processes take, and the memory that there is."""

from contextlib import suppress
from pathlib import Path

import psutil

_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_of(pid: int) -> int | None:
    """Bytes that the process and its children take, pages that they share counted in parts (PSS).

    Where the system knows no PSS, resident bytes. None if the process has ended.
    """
    try:
        root = psutil.Process(pid)
        return sum(_taken(process) for process in (root, *root.children(recursive=True)))
    except psutil.Error:
        return None


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
