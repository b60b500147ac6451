"""What is pruned and what stays: runs, logs, and the bodies that runs refer to."""

import os
import sqlite3
from pathlib import Path

import pytest

from symphony import Symphony, WorkflowBuilder, operator
from symphony.pit.tracker.store.keeping import Keep, retain_logs
from symphony.pit.tracker.store.logs import older
from symphony.ports.artifacts import ArtifactMissing
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.values import ArtifactRef
from symphony.workflow.model import Workflow

pytestmark = pytest.mark.slow  # whole runs, on disk

LARGE = 40_000


@operator("keeping.large", version="1.0.0", pure=True)
def large(letter: str) -> str:
    """A value too large to travel inline."""
    return letter * LARGE


def workflow(letter: str = "x", name: str = "large") -> Workflow:
    return (
        WorkflowBuilder(name)
        .add_operator("keeping.large", name="big", inputs={"letter": letter})
        .output("same", "${{ big.result }}")
        .output("more", "${{ big.result + '!' }}")
        .build()
    )


async def ran(home: Path, what: Workflow) -> RunResult:
    async with Symphony.open(home, operators=[large]) as symphony:
        return await (await symphony.start(what)).result()


def collect_now(symphony: Symphony) -> None:
    """As `prune` does an hour later: nothing is protected by its age any more."""
    symphony.artifacts.collect(0.0)


async def test_a_reused_result_stays_though_the_run_that_made_it_is_pruned(tmp_path: Path) -> None:
    first, second = await ran(tmp_path, workflow()), await ran(tmp_path, workflow())
    assert second.nodes["big"].cached_from == first.run_id
    symphony = Symphony.open(tmp_path)
    symphony.runs.delete(first.run_id)
    collect_now(symphony)
    for output in second.outputs.values():
        assert isinstance(output, ArtifactRef)
        assert symphony.artifacts.get(output.digest).startswith(b"xxx")


async def test_pruned_runs_take_their_bodies_with_them(tmp_path: Path) -> None:
    result = await ran(tmp_path, workflow())
    symphony = Symphony.open(tmp_path)
    pruned = symphony.prune(0.0)
    collect_now(symphony)
    assert [run.run_id for run in pruned.runs] == [result.run_id]
    output = result.outputs["same"]
    assert isinstance(output, ArtifactRef)
    with pytest.raises(ArtifactMissing):
        symphony.artifacts.get(output.digest)
    assert symphony.runs.ids() == []


async def test_a_dry_run_deletes_nothing_and_age_status_and_number_are_kept_to(tmp_path: Path) -> None:
    runs = [await ran(tmp_path, workflow(letter)) for letter in "abc"]
    symphony = Symphony.open(tmp_path)
    assert [run.run_id for run in symphony.prune(0.0, dry_run=True).runs] == [
        run.run_id for run in reversed(runs)
    ]
    assert symphony.prune(3_600.0).runs == []
    assert symphony.prune(0.0, statuses=[RunStatus.FAILED]).runs == []
    assert symphony.prune(0.0, statuses=[RunStatus.INTERRUPTED], dry_run=True).runs == []
    assert [run.run_id for run in symphony.prune(0.0, keep=2).runs] == [runs[0].run_id]
    assert len(symphony.runs.ids()) == 2


async def test_a_run_that_somebody_holds_stays(tmp_path: Path) -> None:
    result = await ran(tmp_path, workflow())
    symphony = Symphony.open(tmp_path)
    lock = symphony.runs.lock(result.run_id)
    lock.acquire(os.getpid())
    try:
        pruned = symphony.prune(0.0)
    finally:
        lock.release()
    assert (list(pruned.runs), pruned.busy) == ([], 1)
    assert symphony.runs.ids() == [result.run_id]


async def test_an_interrupted_run_is_never_pruned(tmp_path: Path) -> None:
    await ran(tmp_path, workflow())
    symphony = Symphony.open(tmp_path)
    [run_id] = symphony.runs.ids()
    with sqlite3.connect(symphony.runs.journal_path(run_id)) as db:  # its end was never written
        db.execute("DELETE FROM batches WHERE seq = (SELECT max(seq) FROM batches)")
    db.close()
    assert symphony.runs.status(run_id) is RunStatus.INTERRUPTED
    assert symphony.prune(0.0).runs == []


async def test_logs_beyond_what_is_kept_go_the_oldest_first(tmp_path: Path) -> None:
    runs = [await ran(tmp_path, workflow(letter)) for letter in "abcd"]
    symphony = Symphony.open(tmp_path)
    paths = [symphony.runs.log_path(run.run_id) for run in runs]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for age, path in enumerate(reversed(paths)):
        path.write_text("{}\n" * 100_000)
        older(path).write_text("{}\n")
        os.utime(path, (1e9 - age * 86_400, 1e9 - age * 86_400))
    assert retain_logs(symphony.runs, Keep(), 1e9) == 0
    assert retain_logs(symphony.runs, Keep(days=2), 1e9) == 1
    assert retain_logs(symphony.runs, Keep(runs=2), 1e9) == 1
    assert not paths[1].exists()
    assert not older(paths[1]).exists()
    assert retain_logs(symphony.runs, Keep(megabytes=0), 1e9) == 2
    assert list(paths[0].parent.iterdir()) == []


async def test_the_log_of_a_run_that_goes_on_stays(tmp_path: Path) -> None:
    result = await ran(tmp_path, workflow())
    runs = Symphony.open(tmp_path).runs
    path = runs.log_path(result.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}\n")
    with sqlite3.connect(runs.journal_path(result.run_id)) as db:
        db.execute("DELETE FROM batches WHERE seq = (SELECT max(seq) FROM batches)")
    db.close()
    assert retain_logs(runs, Keep(days=0, runs=0, megabytes=0), 1e12) == 0
    assert path.exists()
