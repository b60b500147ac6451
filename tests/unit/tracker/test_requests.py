"""What is asked of a run whose owner ends meanwhile: whether it was done is what the journal says."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from symphony.app import Runs, Symphony
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import encode_value
from symphony.pit.tracker.core.records import (
    BegunRecord,
    EndedRecord,
    FinishedRecord,
    PausedRecord,
    Record,
    ResumedRecord,
    StartedRecord,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.structure import answered
from symphony.pit.tracker.store.journal import RunRequest, SqliteStore
from symphony.pit.tracker.store.locks import RunBusy, RunLock
from symphony.pit.tracker.store.requests import RunRequests
from symphony.ports.steering import Reached
from symphony.testing import FakeClock
from symphony.workflow import loads

GATE = 'name: W\nnodes: {gate: {control: approval, message: "ok?"}}'
NOW = 5.0
REJECT = RunRequest(kind="reject", node="gate", by="Ann", comment="no")
ENDED = EndedRecord(0, NOW, "succeeded", None, None)


class EndingOwner:
    """The runs of a home whose owner records something and lets go, after it has been asked."""

    def __init__(self, runs: Runs, *records: Record) -> None:
        self._runs, self._records = runs, list(records)

    def lock(self, run_id: str) -> RunLock:
        return _LockOfOwner(self._runs.lock(run_id).path, lambda: self._let_go(run_id))

    def _let_go(self, run_id: str) -> None:
        if self._records:
            store = SqliteStore.own(self._runs.journal_path(run_id))
            store.commit(self._records)
            store.close()

    def journal_path(self, run_id: str) -> Path:
        return self._runs.journal_path(run_id)

    def replay(self, run_id: str) -> RunReplay:
        return self._runs.replay(run_id)

    def records(self, run_id: str) -> Sequence[Record]:
        return self._runs.records(run_id)

    def end_orphans(self, run_id: str) -> int:
        return self._runs.end_orphans(run_id)

    def label(self, run_id: str) -> str:
        return self._runs.label(run_id)


class _LockOfOwner(RunLock):
    def __init__(self, path: Path, let_go: Callable[[], None]) -> None:
        super().__init__(path)
        self._let_go, self._asked = let_go, False

    def acquire(self, pid: int) -> None:
        if not self._asked:
            self._asked = True
            raise RunBusy("process 1 owns the run")
        self._let_go()
        super().acquire(pid)


def answer(*, approved: bool, by: str | None) -> FinishedRecord:
    outputs, taken = answered(approved=approved, by=by, comment="no")
    return FinishedRecord(0, NOW, NOW, encode_value(outputs), taken, None)


async def waiting(home: Path) -> tuple[Runs, str]:
    """A run that waits for the answer of `gate`, which nobody owns."""
    async with Symphony.open(home) as symphony:
        result = await (await symphony.start(loads(GATE, "yaml"))).result()
        return symphony.runs, result.run_id


def ask(home: Path, request: RunRequest, *records: Record) -> tuple[Reached, Runs, str]:
    runs, run_id = asyncio.run(waiting(home))
    return RunRequests(EndingOwner(runs, *records), FakeClock()).ask(run_id, request), runs, run_id


def test_an_answer_that_the_owner_recorded_was_given_though_the_run_ended_right_after(tmp_path: Path) -> None:
    reached, _, _ = ask(tmp_path, REJECT, answer(approved=False, by="Ann"), ENDED)
    assert reached is Reached.OWNER


def test_an_answer_that_the_owner_recorded_before_it_was_killed_needs_a_resume(tmp_path: Path) -> None:
    reached, runs, run_id = ask(tmp_path, REJECT, answer(approved=False, by="Ann"))
    assert reached is Reached.HERE
    assert sum(isinstance(record, FinishedRecord) for record in runs.records(run_id)) == 1


def test_an_answer_that_the_owner_did_not_come_to_is_recorded_in_its_place(tmp_path: Path) -> None:
    reached, runs, run_id = ask(tmp_path, REJECT)
    assert reached is Reached.HERE
    assert [r.taken for r in runs.records(run_id) if isinstance(r, FinishedRecord)] == ["rejected"]


@pytest.mark.parametrize(("approved", "by"), [(True, "Bob"), (True, "Ann"), (False, None)])
def test_an_answer_that_came_too_late_is_an_error(tmp_path: Path, approved: bool, by: str | None) -> None:
    with pytest.raises(SymphonyError) as raised:
        ask(tmp_path, REJECT, answer(approved=approved, by=by), ENDED)
    assert raised.value.code == "run-ended"


def test_a_pause_that_the_owner_recorded_was_done_though_what_ran_was_the_last(tmp_path: Path) -> None:
    reached, _, _ = ask(tmp_path, RunRequest(kind="pause"), PausedRecord(0, NOW), ENDED)
    assert reached is Reached.OWNER


def test_a_run_that_ends_before_it_can_be_cancelled_has_ended_as_it_did(tmp_path: Path) -> None:
    runs, run_id = asyncio.run(waiting(tmp_path))
    EndingOwner(runs, answer(approved=True, by=None), ENDED)._let_go(run_id)
    assert str(runs.cancel(run_id)) == "succeeded"


def test_an_attempt_that_died_with_its_process_ends_before_the_run_goes_on(tmp_path: Path) -> None:
    runs, run_id = asyncio.run(waiting(tmp_path))
    replay = RunReplay(runs.replay(run_id).machine.root.plan, limit=1)
    for record in (BegunRecord(0, 1.0, 7), StartedRecord(0, 2.0, 1), ResumedRecord(0, 100.0, 8)):
        replay.apply(record)
    assert [ended for _, ended, *_ in replay.tries[0]] == [2.0]
