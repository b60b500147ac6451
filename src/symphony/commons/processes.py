"""Finds and ends processes: a group, whoever carries a mark, whoever descends from this one.

Who leaves its group (a daemon, `setsid`) is found again in two ways: by a variable of its
environment, which processes inherit, and on Linux by its descent, since a process may adopt the
orphans among its descendants. Who does both, leaves and clears its environment, is found by
descent alone.
"""

import os
import signal
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess

    import psutil

RUN_VARIABLE: Final = "SYMPHONY_RUN_ID"
NODE_VARIABLE: Final = "SYMPHONY_NODE"
WORKER_VARIABLE: Final = "SYMPHONY_WORKER"

GRACE_S: Final = 2.0
"""Between SIGTERM and SIGKILL."""

_ROUNDS_MAX: Final = 5
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def signal_group(group: int, number: int) -> bool:
    """Signal the group; is anyone left in it?"""
    with suppress(ProcessLookupError):
        try:
            os.killpg(group, number)
        except PermissionError:  # only processes of other users, or (macOS) only zombies
            return False
        return True
    return False


def group_alive(group: int) -> bool:
    """Is anyone in the group who is not a zombie? Where nobody reaps orphans, those stay for ever."""
    if not signal_group(group, 0):
        return False
    if sys.platform != "linux":
        return True
    for pid in _pids():
        with suppress(OSError, ValueError, IndexError):
            stat = Path("/proc", str(pid), "stat").read_bytes()
            state, _, in_group = stat.rpartition(b")")[2].split()[:3]
            if int(in_group) == group and state not in (b"Z", b"X"):
                return True
    return False


def reap_group(group: int) -> None:
    """Take the exit statuses of orphans of the group that this process has adopted.

    Only after its leader, a child of our own, was waited for.
    """
    _reap(-group)


def end_marked(*marks: tuple[str, str], sparing: tuple[str, str] | None = None) -> int:
    """End all whose environment holds every mark, a variable and its value.

    Spared are this process, those it descends from, and those whose variable `sparing[0]` begins
    with `sparing[1]`. SIGTERM, then SIGKILL after `GRACE_S`; gives how many there were. Blocks:
    up to twice the grace if they do not go.
    """
    ended = 0
    for _ in range(_ROUNDS_MAX):  # one that was just being started, or a child of one, may have been missed
        found = marked(*marks)
        if sparing is not None:
            found = [pid for pid in found if not _has(pid, (sparing,), prefix=True)]
        if not found:
            break
        ended += end_family(_known(found))
    return ended


def marked(*marks: tuple[str, str]) -> list[int]:
    """The processes whose environment, as it was when their program began, holds every mark.

    Neither this process nor those it descends from. Zombies have no environment.
    """
    found = [pid for pid in _pids() if _has(pid, marks)]
    return sorted(set(found) - _lineage()) if found else []


def holders(name: str) -> dict[str, list[int]]:
    """The processes that have the variable in their environment, by its value; as `marked` else."""
    found: dict[str, list[int]] = {}
    for pid in sorted(set(_pids()) - _lineage()):
        for variable in _environment(pid).split("\0"):
            key, _, value = variable.partition("=")
            if key == name:
                found.setdefault(value, []).append(pid)
    return found


def adopt_orphans() -> None:
    """From now on, whoever below this process loses its parent becomes its child (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have this process killed when the thread that started it ends; at once if `parent` is gone.

    Linux only: elsewhere it must notice by itself.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def has_children() -> bool:
    """Is any child there, a zombie too? One question to the system."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        import psutil

        return bool(psutil.Process().children())
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap_children() -> None:
    """Take the exit statuses of all children that have ended. Only for who waits for none of them."""
    _reap(-1)


def await_end(child: "subprocess.Popen[bytes]") -> None:
    """Wait until the child has ended; where the system can, its number stays its own until `wait`."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()


def children() -> set[int]:
    """The children of this process."""
    if not has_children():
        return set()
    import psutil

    return {child.pid for child in psutil.Process().children()}


def end_descendants(sparing: Collection[int] = ()) -> int:
    """End and reap all that is below this process, apart from the children `sparing` and theirs.

    Only for who is done with all its children. SIGTERM, then SIGKILL after `GRACE_S`; gives how
    many there were.
    """
    if not has_children():
        return 0
    found: list[psutil.Process] = []
    for pid in children() - set(sparing):
        found += [*_known([pid]), *descendants(pid)]
    ended = end_family(found)
    reap_children()
    return ended


def descendants(pid: int) -> "list[psutil.Process]":
    """All that is below the process now; empty if it is gone."""
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end_family(processes: "Collection[psutil.Process]") -> int:
    """SIGTERM, `GRACE_S`, SIGKILL for those that are still there. Gives how many that were. Blocks.

    A number that was given to another process meanwhile is not touched.
    """
    import psutil

    alive = []
    for process in processes:
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                process.terminate()
                alive.append(process)
    _, stubborn = psutil.wait_procs(alive, timeout=GRACE_S)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=GRACE_S)
    return len(alive)


def _reap(which: int) -> None:
    with suppress(ChildProcessError, PermissionError):
        while os.waitpid(which, os.WNOHANG)[0] != 0:
            pass


def _known(pids: Iterable[int]) -> "list[psutil.Process]":
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _pids() -> Iterator[int]:
    if sys.platform != "linux":
        import psutil

        yield from psutil.pids()
        return
    for name in os.listdir("/proc"):  # noqa: PTH208  (a quarter of the time)
        if name.isdigit():
            yield int(name)


def _has(pid: int, marks: Iterable[tuple[str, str]], *, prefix: bool = False) -> bool:
    """Are all marks in the environment of `pid`?"""
    environment, end = _environment(pid), "" if prefix else "\0"
    return all(f"\0{name}={value}{end}" in environment for name, value in marks)


def _environment(pid: int) -> str:
    """Its variables, each between null characters; empty if it is somebody else's, or gone."""
    if sys.platform != "linux":
        import psutil

        try:
            return "\0".join(["", *(f"{k}={v}" for k, v in psutil.Process(pid).environ().items()), ""])
        except (psutil.Error, OSError):
            return ""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  (as above)
            return os.fsdecode(b"\0" + file.read())
    except OSError:
        return ""


def _lineage() -> set[int]:
    """This process and all it descends from."""
    import psutil

    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
