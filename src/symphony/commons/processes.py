"""Finds and ends processes: a group, those that carry a mark, the descendants of this one.

A process that leaves its group (a daemon, `setsid`) is found again in two ways: by a variable of its
environment, which processes inherit, and on Linux by its descent, since a process may adopt the orphans
among its descendants. A process that both leaves and clears its environment is found by descent alone.
The search is repeated until it finds nothing, since a process may have been about to start another.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from symphony.commons.marks import HOME_VARIABLE, Mark
from symphony.commons.time import SystemClock

if TYPE_CHECKING:
    import subprocess


GRACE_S: Final = 2.0
"""The seconds between SIGTERM and SIGKILL."""

_PATIENCE_S: Final = 3.0
"""The seconds after the grace during which new or unkillable processes are still searched for."""

_GONE_S: Final = 10.0
"""The longest wait, in seconds, for a killed process, which ends once it gets a core and its system
call returns.
"""

_POLL_S: Final = 0.02
_FAST_POLL_S: Final = 0.001
_QUIET_LOOKS: Final = 3
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def signal_named(number: int) -> str:
    """Return a signal for people: `signal 9 (SIGKILL)`; one without a name by its number alone."""
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def signal_group(group: int, number: int) -> bool:
    """Signal the group. True if a process is left in it."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(group, number)
        except PermissionError:  # only processes of other users, or (macOS) only zombies
            return False
        return True
    return False


def group_alive(group: int) -> bool:
    """True if the group has a process that is not a zombie. Zombies stay for ever where nothing reaps
    orphans.
    """
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


def await_group(group: int) -> None:
    """Wait until no process runs in a group that got SIGKILL, which takes effect a moment later.

    Blocks, up to ten seconds: only a process stuck in a system call takes longer.
    """
    begun, pause = SystemClock.monotonic_s(), threading.Event()
    while group_alive(group) and SystemClock.monotonic_s() - begun < _GONE_S:
        pause.wait(_FAST_POLL_S)


def reap_group(group: int) -> None:
    """Take the exit statuses of orphans of the group that this process has adopted.

    Only after its leader, a child of our own, was waited for.
    """
    _reap(-group)


def end_marked(*marks: Mark, sparing: Mark | None = None) -> int:
    """End all processes whose environment holds every mark, a variable and its value.

    A process that says nothing of its home is of any. Spared are this process, those it descends from,
    and those whose variable `sparing[0]` begins with `sparing[1]`. SIGTERM, then SIGKILL after
    `GRACE_S`; gives how many there were. Blocks: up to twice the grace if they do not go.
    """
    lineage: set[int] = set()

    def find() -> set[int]:
        found = {pid for pid in _pids() if _has(pid, marks)}
        if found and not lineage:
            lineage.update(_lineage())
        found -= lineage
        return found if sparing is None else {p for p in found if not _has(p, (sparing,), prefix=True)}

    return _end(find)


def marked(*marks: Mark) -> list[int]:
    """Return the processes whose environment, as it was when their program began, holds every mark.

    Neither this process nor those it descends from. Zombies have no environment.
    """
    found = [pid for pid in _pids() if _has(pid, marks)]
    return sorted(set(found) - _lineage()) if found else []


def holders(name: str, *marks: Mark) -> dict[str, list[int]]:
    """Return the processes whose environment holds the variable `name` and every mark, by the value of
    `name`.

    Neither this process nor those it descends from.
    """
    found: dict[str, list[int]] = {}
    for pid in sorted(set(_pids()) - _lineage()):
        for variable in _environment(pid).split("\0") if _has(pid, marks) else ():
            key, _, value = variable.partition("=")
            if key == name:
                found.setdefault(value, []).append(pid)
    return found


def adopt_orphans() -> None:
    """From now on, a descendant that loses its parent becomes a child of this process (Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have this process killed when the thread that started it ends; at once if `parent` is gone.

    Linux only: elsewhere it must notice by itself.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def has_children() -> bool:
    """True if there is any child, zombies included. Asks the system once."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        import psutil

        return bool(psutil.Process().children())
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def reap_children() -> None:
    """Take the exit statuses of all children that have ended. Only for a caller that waits for none of
    them.
    """
    _reap(-1)


def await_end(child: "subprocess.Popen[bytes]") -> None:
    """Wait until the child has ended; where the system can, its number stays its own until `wait`."""
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    else:
        child.wait()


def children() -> set[int]:
    """Return the children of this process."""
    if not has_children():
        return set()
    import psutil

    return {child.pid for child in psutil.Process().children()}


def end_descendants(sparing: Collection[int] = ()) -> int:
    """End and reap all that is below this process, apart from the children `sparing` and theirs.

    Only for a caller that is done with all its children. SIGTERM, then SIGKILL after `GRACE_S`; gives
    how many there were. Where this process adopts orphans, none escapes by leaving its parent.
    """
    spared = frozenset(sparing)
    return _end(lambda: _reaped_descendants(spared), None if spared else has_children)


def kill_descendants() -> int:
    """SIGKILL for all that is below this process, until nothing is. For a process that is about to end
    itself.
    """
    return _end(_reaped_descendants, has_children, grace_s=0)


def _reaped_descendants(sparing: Collection[int] = ()) -> set[int]:
    """Return what lives below this process, apart from the children `sparing` and theirs; the dead are
    reaped.
    """
    reap_children()
    return below(os.getpid(), sparing) if has_children() else set()


def end_below(pid: int) -> int:
    """End all that is below the process `pid`: SIGTERM, then SIGKILL after `GRACE_S`; gives how many.

    Blocks: up to twice the grace if they do not go.
    """
    return _end(lambda: below(pid))


def below(pid: int, sparing: Collection[int] = ()) -> set[int]:
    """Return all that live below the process now, apart from its children `sparing` and theirs."""
    found, parents = set[int](), [pid]
    while parents:
        for child in _children(parents.pop()):
            if child not in found and child not in sparing:
                found.add(child)
                parents.append(child)
    return {child for child in found if lives(child)}


def _end(
    find: Callable[[], set[int]], more: Callable[[], bool] | None = None, *, grace_s: float = GRACE_S
) -> int:
    """End whatever `find` gives, until it gives nothing: SIGTERM for each, after `grace_s` SIGKILL.

    `more` knows for certain whether anything may be left. Without it several looks must agree, for
    one may miss a process that starts another and ends at that moment. Gives how many there were.
    """
    now_s, pause = SystemClock.monotonic_s, threading.Event()
    begun, seen, asked, quiet = now_s(), set[int](), set[int](), 0
    while True:
        found = find()
        passed = now_s() - begun
        if passed > grace_s + _PATIENCE_S:
            return len(seen)
        if found:
            quiet = 0
        elif more is None:
            quiet += 1
            if not seen or quiet >= _QUIET_LOOKS:
                return len(seen)
        elif not more():
            return len(seen)
        for pid in found if passed >= grace_s else found - asked:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL if passed >= grace_s else signal.SIGTERM)
        seen |= found
        asked |= found
        pause.wait(_POLL_S if found and passed < grace_s else _FAST_POLL_S)


def _reap(which: int) -> None:
    with suppress(ChildProcessError, PermissionError):
        while os.waitpid(which, os.WNOHANG)[0] != 0:
            pass


def _children(pid: int) -> list[int]:
    """Return the children of a process, zombies too; none if it is gone."""
    if _has_children_files():
        found: list[int] = []
        with suppress(OSError, ValueError):
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  (as in `_pids`)
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                    found += map(int, file.read().split())
        return found
    import psutil

    with suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


@functools.cache
def _has_children_files() -> bool:
    """True if the kernel lists the children of a thread. Without that, all processes must be searched."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").exists()


def lives(pid: int) -> bool:
    """True if the process exists and is not a zombie."""
    if sys.platform != "linux":
        import psutil

        with suppress(psutil.Error):
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return False
    with suppress(OSError, IndexError):
        stat = Path("/proc", str(pid), "stat").read_bytes()
        return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def _pids() -> Iterator[int]:
    if sys.platform != "linux":
        import psutil

        yield from psutil.pids()
        return
    for name in os.listdir("/proc"):  # noqa: PTH208  (a quarter of the time)
        if name.isdigit():
            yield int(name)


def _has(pid: int, marks: Iterable[Mark], *, prefix: bool = False) -> bool:
    """True if all marks are in the environment of `pid`. A process without a home mark matches any, as
    earlier versions set none.
    """
    environment, end = _environment(pid), "" if prefix else "\0"
    return all(
        f"\0{name}={value}{end}" in environment
        or (name == HOME_VARIABLE and environment and f"\0{name}=" not in environment)
        for name, value in marks
    )


def _environment(pid: int) -> str:
    """Return its variables, separated by null characters; empty if it belongs to another user, or is gone."""
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
    """Return this process and all that it descends from."""
    import psutil

    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
