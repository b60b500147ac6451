"""One line about a run, for lists of runs."""

import re
from pathlib import Path

import msgspec

from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.store.journal import JournalDamaged, RunMeta
from symphony.ports.runs import NodeStatus, RunError, RunStatus, RunSummary

_DONE = (NodeStatus.SUCCEEDED, NodeStatus.CACHED, NodeStatus.SKIPPED)


class _Named(msgspec.Struct):
    name: str


def name_of(meta: RunMeta) -> str:
    """The name of the workflow that a run runs."""
    return msgspec.json.decode(meta.workflow, type=_Named).name


def summary_of(
    meta: RunMeta, workflow: str, replay: RunReplay, status: RunStatus, *, now: float | None = None
) -> RunSummary:
    """One line about a run, of the workflow of that name, that stands so; `now` is for one that goes on."""
    counts = replay.counts()
    return RunSummary(
        run_id=meta.run_id,
        workflow=workflow,
        status=status,
        started_at=meta.created_at if replay.begun_at is None else replay.begun_at,
        finished_at=replay.ended_at,
        took_s=replay.took_s(now),
        nodes_total=sum(counts.values()),
        nodes_done=sum(counts.get(one, 0) for one in _DONE),
        handled_failures=len(replay.handled()),
        error=replay.ended[2] if replay.ended else None,
        owner_pid=replay.owner if status is RunStatus.RUNNING else None,
        name=meta.name,
        only=meta.only,
    )


def status_of(replay: RunReplay, *, owned: bool) -> RunStatus:
    """Return the status of a run whose lock a process `owned`, or not, before it was read.

    Asked in the other order, a run that ends in between would look interrupted.
    """
    if replay.ended is not None:
        return replay.ended[0]
    if owned:
        return RunStatus.RUNNING if replay.seq else RunStatus.PENDING
    return replay.left_as()


def damaged_summary(run_id: str, path: Path, error: JournalDamaged) -> RunSummary:
    """Return the summary of a run whose journal is damaged, from its id and its file."""
    begins = run_id.replace("-", "")[:12]  # of a UUID of version 7: milliseconds
    at = int(begins, 16) / 1000 if re.fullmatch("[0-9a-f]{12}", begins) else path.stat().st_mtime
    told = RunError(code=error.code, message=error.message, hint=error.hint)
    return RunSummary(run_id=run_id, workflow="", status=RunStatus.DAMAGED, started_at=at, error=told)
