"""Retention: prunes runs that have ended, and logs beyond the configured limits. Blocking."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.store.finding import RunNotFound
from symphony.pit.tracker.store.locks import RunBusy
from symphony.pit.tracker.store.logs import older
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.artifacts import Collected
from symphony.ports.runs import ENDED, RunStatus, RunSummary
from symphony.ports.steering import Pruned

_DAY_S = 86_400.0


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the logs: days since the last line, number of runs, megabytes of all together."""

    days: int = 30
    runs: int = 1_000
    megabytes: int = 2_048


def prunable(
    runs: Runs,
    *,
    before_s: float,
    statuses: Sequence[RunStatus] = ENDED,
    keep: int = 0,
    passed_over: Callable[[SymphonyError], object] = lambda _: None,
) -> Iterator[RunSummary]:
    """Ended runs whose end lies before `before_s`, the newest first, never one of the `keep` newest.

    What cannot be read is not deleted either: it is told to `passed_over`.
    """
    for _, found in runs.summaries(runs.ids()[keep:]):
        if isinstance(found, SymphonyError):
            passed_over(found)
            continue
        ended = found.finished_at
        if found.status in statuses and found.status in ENDED and ended is not None and ended < before_s:
            yield found


def foreseen(runs: Runs, *, before_s: float, statuses: Sequence[RunStatus], keep: int) -> Pruned:
    """Return the runs that `prune` would delete, and the errors of those that it could not read."""
    unread: list[SymphonyError] = []
    found = prunable(runs, before_s=before_s, statuses=statuses, keep=keep, passed_over=unread.append)
    return Pruned(runs=list(found), dry_run=True, unread=unread)


def prune(
    runs: Runs,
    found: Iterable[RunSummary],
    unread: Sequence[SymphonyError],
    clear: Callable[[], tuple[Collected, float]],
) -> Pruned:
    """Delete these runs and then clear the bodies that nobody needs any more.

    A run is deleted under its lock, so one that somebody has taken meanwhile stays. `clear` gives what it
    cleared, and for how many seconds that can be brought back.
    """
    gone, busy = list[RunSummary](), 0
    for one in found:
        try:
            runs.delete(one.run_id)
            gone.append(one)
        except (RunBusy, RunNotFound):
            busy += 1
    collected, grace_s = clear()
    return Pruned(runs=gone, busy=busy, collected=collected, grace_s=grace_s, unread=tuple(unread))


def retain_logs(runs: Runs, keep: Keep, now_s: float) -> int:
    """Remove logs of ended runs beyond what `keep` allows, the oldest first; gives how many.

    Logs of runs that go on, wait or may be resumed stay. Whatever fails is left for the next time.
    """
    logs: list[_Log] = []
    with contextlib.suppress(OSError):
        logs = sorted(_logs(runs), key=lambda one: one.changed_s, reverse=True)
    size, removed = 0, 0
    for number, log in enumerate(logs):
        size += log.size
        too_old = log.changed_s < now_s - keep.days * _DAY_S
        if not too_old and number < keep.runs and size <= keep.megabytes * 1024 * 1024:
            continue
        with contextlib.suppress(OSError, SymphonyError):
            if not _may_go(runs, log.run_id):
                continue
            older(runs.log_path(log.run_id)).unlink(missing_ok=True)
            runs.log_path(log.run_id).unlink(missing_ok=True)
            removed += 1
    return removed


class _Log(msgspec.Struct, frozen=True):
    run_id: str
    changed_s: float
    size: int


def _logs(runs: Runs) -> Iterator[_Log]:
    folder = runs.log_path("any").parent
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.name)
            if path.suffix != ".jsonl" or path.stem.endswith(".1"):
                continue
            with contextlib.suppress(OSError):
                size = entry.stat().st_size
                with contextlib.suppress(FileNotFoundError):
                    size += older(Path(entry.path)).stat().st_size
                yield _Log(path.stem, entry.stat().st_mtime, size)


def _may_go(runs: Runs, run_id: str) -> bool:
    try:
        return runs.status(run_id) in ENDED
    except RunNotFound:
        return True  # its run was deleted
