"""Runs that share a segment are apart in everything but their file."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.segments import (
    ENDED,
    RECORDS,
    added,
    change,
    contents,
    meta,
    owned_segment,
    pair,
    plain,
)

from symphony.commons.time import SystemClock
from symphony.pit.tracker.core.records import (
    FailedRecord,
    FinishedRecord,
    Record,
    encode_batch,
)
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.finding import RunNotFound
from symphony.pit.tracker.store.journal import (
    Fenced,
    JournalDamaged,
    JournalFailed,
    JournalNewer,
    RunRequest,
    SqliteStore,
    examine,
    is_asked,
    read_meta,
    read_run,
    remove,
    request,
)
from symphony.pit.tracker.store.journal_rows import put_meta
from symphony.pit.tracker.store.locks import RunBusy
from symphony.pit.tracker.store.runs import Runs
from symphony.pit.tracker.store.sharing import Segment
from symphony.ports.runs import RunStatus


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with owned_segment(tmp_path) as made:
        yield made


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, SystemClock(), lambda _: None)


def test_runs_in_a_segment_are_listed_and_read_as_others(segment: Segment, runs: Runs) -> None:
    first, second = pair(segment)
    SqliteStore.create(runs.journal_path("r3"), meta("r3")).close()
    assert runs.ids() == ["r3", "r2", "r1"]
    assert plain(first.path) == plain(second.path) == [encode_batch([one]) for one in RECORDS]
    assert read_meta(second.path) == meta("r2")
    assert runs.find("r2") == "r2"
    assert not first.path.exists()
    with pytest.raises(RunNotFound):
        runs.meta("r4")


def test_what_is_committed_at_once_is_one_transaction(segment: Segment) -> None:
    stores = [added(segment, meta(f"r{number}")) for number in range(50)]
    before = segment.commits
    barrier: list[int] = []
    with contextlib.closing(sqlite3.connect(segment.path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")  # the segment waits for this
        for number, store in enumerate(stores):
            writer = store.writer(lambda _: None, lambda _: None)
            writer.append(RECORDS[0])
            writer.barrier(lambda number=number: barrier.append(number))  # type: ignore[misc]
            writer.flush()
    stores[0].commit([])
    assert barrier == list(range(50))
    assert segment.commits - before <= 2


def test_who_takes_a_run_over_fences_its_owner_and_leaves_the_others(segment: Segment) -> None:
    first, second = pair(segment)
    taken = SqliteStore.own(first.path)
    with pytest.raises(Fenced):
        first.commit(RECORDS)
    second.commit(ENDED)
    taken.commit(ENDED)
    taken.close()
    expected = [encode_batch([one]) for one in [*RECORDS, *ENDED]]
    assert plain(first.path) == plain(second.path) == expected
    assert first.path.exists()
    assert set(segments.names(segment.path)) == {"r2"}


def test_a_run_that_was_fenced_writes_nothing_more(segment: Segment) -> None:
    first, _ = pair(segment)
    SqliteStore.own(first.path).close()
    for _ in range(2):
        with contextlib.suppress(Fenced):
            first.commit(ENDED)
    assert plain(first.path) == [encode_batch([one]) for one in RECORDS]


@pytest.mark.parametrize("at", ["before the file", "after the file"])
def test_a_crash_while_a_run_is_taken_over_loses_nothing_and_doubles_nothing(
    segment: Segment, runs: Runs, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair(segment)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(segments, "write_new" if at == "before the file" else "_erase", crash)
        with pytest.raises(KeyboardInterrupt):
            segments.move_out(first.path)
    assert first.path.exists() == (at == "after the file")
    assert runs.ids() == ["r2", "r1"]
    assert plain(first.path) == [encode_batch([one]) for one in RECORDS]
    with pytest.raises(Fenced):
        first.commit(RECORDS)
    again = SqliteStore.own(first.path)
    again.commit(ENDED)
    again.close()
    assert plain(first.path) == [encode_batch([one]) for one in [*RECORDS, *ENDED]]
    first.release()
    runs.delete("r1")
    assert runs.ids() == ["r2"]
    assert set(segments.names(segment.path)) == {"r2"}


def test_a_run_that_grows_gets_a_file_of_its_own(segment: Segment, runs: Runs) -> None:
    first, second = pair(segment)
    large: list[Record] = [FinishedRecord(0, 2.0, 1.5, b"x" * segments.RUN_BYTES_MAX, None, None)]
    number = request(first.path, RunRequest(kind="pause"))
    first.commit(large)
    assert first.path.exists()
    assert set(segments.names(segment.path)) == {"r2"}
    assert [asked for asked, _ in first.requests()] == [number]
    first.commit(ENDED)
    second.commit(ENDED)
    assert plain(first.path) == [encode_batch([one]) for one in [*RECORDS, *large, *ENDED]]
    with pytest.raises(RunBusy, match=str(os.getpid())):
        runs.lock("r1").acquire(os.getpid())
    first.close()
    first.release()
    assert not runs.lock("r1").held()


def test_a_run_that_somebody_asks_for_just_now_stays_in_its_segment(segment: Segment, runs: Runs) -> None:
    first, _ = pair(segment)
    asking = runs.lock("r1")
    asking.acquire_file(os.getpid())
    first.commit([FinishedRecord(0, 2.0, 1.5, b"x" * segments.RUN_BYTES_MAX, None, None)])
    assert not first.path.exists()
    asking.release()
    first.commit(ENDED)
    assert first.path.exists()
    assert len(plain(first.path)) == 4


def test_each_run_of_a_segment_has_an_owner_of_its_own(segment: Segment, runs: Runs) -> None:
    first, second = pair(segment)
    assert runs.lock("r1").held()
    with pytest.raises(RunBusy, match=f"process {os.getpid()} owns the run"):
        runs.lock("r1").acquire(os.getpid())
    assert runs.status("r1") is RunStatus.RUNNING
    first.release()
    assert not runs.lock("r1").held()
    assert runs.status("r1") is RunStatus.INTERRUPTED
    taken = runs.lock("r1")
    taken.acquire(os.getpid())
    assert runs.lock("r1").held()
    assert runs.lock("r2").held()
    taken.release()
    second.release()


def test_requests_reach_the_owner_of_a_run_in_a_segment_and_are_settled(segment: Segment) -> None:
    first, second = pair(segment)
    number = request(first.path, RunRequest(kind="approve", node="a", comment="fine"))
    assert first.requests() == [(number, RunRequest(kind="approve", node="a", comment="fine"))]
    assert second.requests() == []
    assert is_asked(first.path, number)
    first.settled([number])
    first.commit([])
    assert first.requests() == []
    assert not is_asked(first.path, number)


def test_a_damaged_request_in_a_segment_is_ignored_and_others_are_heard(
    segment: Segment, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = pair(segment)
    harmed, sound = (
        request(first.path, RunRequest(kind="cancel")),
        request(first.path, RunRequest(kind="pause")),
    )
    change(segment.path, f"UPDATE requests SET body = x'c1' WHERE id = {harmed}")
    for _ in range(2):
        assert first.requests() == [(sound, RunRequest(kind="pause"))]
    assert [one.message for one in caplog.records] == [
        "a request to run r1 is damaged, ask again: it does not match its checksum"
    ]
    assert len(plain(first.path)) == 2
    with pytest.raises(JournalDamaged):
        examine(first.path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = x'81' WHERE number = 1 AND seq = 1",
        "UPDATE entries SET seq = 7 WHERE number = 1 AND seq = 1",
        "UPDATE entries SET number = 3 WHERE number = 1",
        "DELETE FROM entries WHERE number = 1",
        "UPDATE heads SET last = 0 WHERE number = 1",
        "UPDATE heads SET epoch = 2 WHERE number = 1",
        "DELETE FROM heads WHERE number = 1",
        "UPDATE runs SET body = x'80' WHERE number = 1",
    ],
)
def test_damage_to_one_run_of_a_segment_is_told_of_that_run_alone(
    segment: Segment, runs: Runs, statement: str
) -> None:
    first, second = pair(segment)
    change(segment.path, statement)
    for look in (read_run, examine, SqliteStore.own):
        with pytest.raises(JournalDamaged, match="run r1") as caught:
            look(first.path)
        assert str(segment.path) in (caught.value.hint or "")
        assert "--damaged r1" in (caught.value.hint or "")
    assert len(plain(second.path)) == 2
    second.commit(ENDED)
    first.release()
    runs.delete("r1", damaged=True)
    with pytest.raises(RunNotFound):
        runs.meta("r1")
    assert len(plain(second.path)) == 3


def test_a_segment_that_cannot_be_read_is_listed_told_and_given_up_as_one(tmp_path: Path, runs: Runs) -> None:
    with owned_segment(tmp_path) as segment:
        pair(segment)
    SqliteStore.create(runs.journal_path("r3"), meta("r3")).close()
    segment.path.write_bytes(b"no database" * 1000)
    assert runs.ids() == ["segment-0", "r3"]
    assert [one.status for one in runs.list()] == [RunStatus.DAMAGED, RunStatus.INTERRUPTED]
    assert read_run(runs.journal_path("r3"))[0] == meta("r3")
    with pytest.raises(JournalDamaged):
        runs.delete("segment-0")
    runs.delete("segment-0", damaged=True)
    assert runs.ids() == ["r3"]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_segment_whose_list_of_runs_is_short_is_told(segment: Segment) -> None:
    pair(segment)
    change(segment.path, "DELETE FROM runs WHERE number = 2")
    with pytest.raises(JournalDamaged, match="some of its runs are missing"):
        segments.names(segment.path)
    with pytest.raises(JournalDamaged):
        segments.examine(segment.path)


def test_an_earlier_version_sees_a_journal_of_a_later_format(segment: Segment) -> None:
    with contextlib.closing(sqlite3.connect(segment.path)) as db:
        found = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    assert found == (segments.SEGMENT_FORMAT,)
    assert segments.SEGMENT_FORMAT > 3  # what earlier versions know


def test_a_segment_of_a_later_format_is_refused_with_the_way_out(segment: Segment, runs: Runs) -> None:
    pair(segment)
    with contextlib.closing(sqlite3.connect(segment.path)) as db, db:
        put_meta(db, "format", segments.SEGMENT_FORMAT + 1)
    with pytest.raises(JournalNewer, match="this version knows") as caught:
        segments.names(segment.path)
    assert caught.value.hint is not None
    told: list[object] = []
    assert runs.ids() == ["segment-0"]
    assert runs.list(passed_over=told.append) == []
    assert len(told) == 1


def test_a_closed_segment_is_one_file_and_reading_it_changes_nothing(tmp_path: Path, runs: Runs) -> None:
    with owned_segment(tmp_path) as segment:
        first, second = pair(segment)
        first.commit(ENDED)
    before = contents(tmp_path / "journal")
    assert set(before) == {"segment-0.db"}
    assert len(plain(first.path)) == 3
    assert len(plain(second.path)) == 2
    assert runs.ids() == ["r2", "r1"]
    assert [one.status for one in runs.list()] == [RunStatus.INTERRUPTED, RunStatus.SUCCEEDED]
    segments.examine(segment.path)
    assert contents(tmp_path / "journal") == before


def test_what_is_deleted_is_gone_from_the_file_and_an_empty_segment_from_the_folder(
    tmp_path: Path, runs: Runs
) -> None:
    with owned_segment(tmp_path) as segment:
        first, _ = pair(segment)
        first.commit([FinishedRecord(0, 2.0, 1.5, b"a secret of mine", None, None)])
        first.release()
        runs.delete("r1")
        assert runs.ids() == ["r2"]
    assert b"a secret of mine" not in segment.path.read_bytes()
    runs.delete("r2")
    assert list((tmp_path / "journal").iterdir()) == []
    assert list((tmp_path / "run").iterdir()) == []


def test_the_last_run_of_a_segment_that_is_in_use_is_deleted_and_more_can_be_added(
    segment: Segment, runs: Runs
) -> None:
    first = added(segment, meta("r1"))
    first.release()
    runs.delete("r1")
    second = added(segment, meta("r2"))
    second.commit(RECORDS)
    assert runs.ids() == ["r2"]


def test_a_clock_that_was_set_back_hides_no_run(tmp_path: Path) -> None:
    with owned_segment(tmp_path, "s9") as segment:  # named later than its run
        added(segment, meta("r1")).commit(RECORDS)
        with owned_segment(tmp_path, "a0") as other:
            added(other, meta("r2")).commit(ENDED)
            assert len(plain(tmp_path / "journal" / "r1.db")) == 2
            assert len(plain(tmp_path / "journal" / "r2.db")) == 1


def test_removing_a_run_that_is_in_a_file_leaves_nothing_of_it_in_a_segment(segment: Segment) -> None:
    first, _ = pair(segment)
    shutil.copy(segment.path, first.path)  # as if moved, and the segment not yet cleared
    remove(first.path)
    assert set(segments.names(segment.path)) == {"r2"}


def test_a_full_disk_fails_those_that_write_and_keeps_what_was_durable(segment: Segment) -> None:
    first, second = pair(segment)
    change(
        segment.path,
        "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'disk full'); END",
    )
    for store in (first, second):
        with pytest.raises(JournalFailed):
            store.commit(ENDED)
    change(segment.path, "DROP TRIGGER full")
    assert len(plain(first.path)) == len(plain(second.path)) == 2


def test_what_cannot_be_encoded_fails_its_own_run_alone(segment: Segment) -> None:
    first, second = pair(segment)
    with pytest.raises(JournalFailed):
        first.commit([FailedRecord(0, 2.0, 1.0, object(), 1)])
    second.commit(ENDED)
    assert len(plain(second.path)) == 3


@pytest.mark.slow
def test_runs_of_a_killed_owner_are_owned_by_nobody_and_taken_one_by_one(tmp_path: Path, runs: Runs) -> None:
    script = (
        "import os, signal; from pathlib import Path\n"
        "from tests.contracts.test_segments import *\n"
        f"with owned_segment(Path({str(tmp_path)!r})) as segment:\n"
        "    pair(segment); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False)
    assert done.returncode == -9
    assert runs.ids() == ["r2", "r1"]
    assert [runs.status(run_id) for run_id in runs.ids()] == [RunStatus.INTERRUPTED] * 2
    lock = runs.lock("r1")
    lock.acquire(os.getpid())
    taken = SqliteStore.own(runs.journal_path("r1"))
    taken.commit(ENDED)
    taken.close()
    lock.release()
    assert runs.status("r1") is RunStatus.SUCCEEDED
    assert runs.status("r2") is RunStatus.INTERRUPTED
    assert set(contents(tmp_path / "journal")) >= {"r1.db", "segment-0.db"}
