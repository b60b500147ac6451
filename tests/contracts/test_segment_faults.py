"""What goes wrong around a segment: kills, damage, growth and readers at the wrong moment."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
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
    FinishedRecord,
    Record,
    encode_batch,
)
from symphony.pit.tracker.store import journal, segments
from symphony.pit.tracker.store.journal import (
    JournalDamaged,
    JournalFailed,
    RunMeta,
    RunRequest,
    SqliteStore,
    read_run,
    remove,
    request,
)
from symphony.pit.tracker.store.journal_rows import connect, leave_log
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


def test_a_run_that_grows_keeps_all_that_is_recorded_at_once_in_order(segment: Segment) -> None:
    first, second = pair(segment)
    failed: list[JournalFailed] = []
    writer = first.writer(lambda _: None, failed.append)
    large: Record = FinishedRecord(1, 2.0, 1.5, bytes(segments.RUN_BYTES_MAX), None, None)
    with contextlib.closing(sqlite3.connect(segment.path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")  # the segment waits for this, then the rest is written at once
        second.writer(lambda _: None, failed.append).flush()
        for record in (RECORDS[1], large, ENDED[0]):
            writer.append(record)
            writer.flush()
    writer.close()
    assert failed == []
    assert plain(first.path) == [encode_batch([one]) for one in [*RECORDS, RECORDS[1], large, ENDED[0]]]
    assert first.path.exists()


@pytest.mark.parametrize(
    "look",
    [lambda runs: runs.has("r1"), lambda runs: runs.lock("r1").held(), lambda runs: runs._files.stamp("r1")],
)
def test_a_run_that_gets_a_file_while_it_is_looked_for_is_found(
    segment: Segment, runs: Runs, look: Callable[[Runs], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair(segment)
    find = segments.find

    def late(path: Path) -> segments.Place | None:
        monkeypatch.setattr(segments, "find", find)
        first.grow()
        return find(path)

    monkeypatch.setattr(segments, "find", late)
    assert look(runs)
    assert first.path.exists()


@pytest.mark.parametrize(
    "look",
    [
        lambda runs: runs.status("r1"),
        lambda runs: runs.summary("r1").status,
        lambda runs: runs.result("r1").status,
    ],
)
def test_a_run_that_ends_while_it_is_looked_at_does_not_look_interrupted(
    segment: Segment, runs: Runs, look: Callable[[Runs], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair(segment)
    read = journal.read_run

    def ends(path: Path) -> tuple[RunMeta, list[Record]]:
        found = read(path)
        monkeypatch.setattr(journal, "read_run", read)
        first.commit(ENDED)
        first.release()
        return found

    monkeypatch.setattr(journal, "read_run", ends)
    monkeypatch.setattr(journal, "read_all", lambda path, since: [*enumerate(ends(path)[1], 1)])
    assert look(runs) in (RunStatus.RUNNING, RunStatus.SUCCEEDED)


def test_a_list_without_an_index_opens_a_segment_a_few_times_for_each_run(
    tmp_path: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owned_segment(tmp_path) as segment:
        for number in range(20):
            added(segment, meta(f"r{number}")).commit([*RECORDS, *ENDED])
    opened: list[object] = []
    connect = sqlite3.connect

    def counted(*given: object, **named: object) -> sqlite3.Connection:
        opened.append(given[0])
        return connect(*given, **named)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", counted)
    assert len(runs.list(limit=100)) == 20
    assert sum("segment-" in str(one) for one in opened) <= 20 * 2 + 10
    opened.clear()
    assert len(runs.list(limit=100)) == 20
    assert sum("segment-" in str(one) for one in opened) <= 10


def test_who_may_only_read_a_home_sees_which_runs_of_a_segment_go_on(
    segment: Segment, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair(segment)
    first.release()
    opened = os.open

    def reading(path: Path, flags: int, *rest: int) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, *rest)

    monkeypatch.setattr(os, "open", reading)
    assert [runs.status(run_id) for run_id in ("r1", "r2")] == [RunStatus.INTERRUPTED, RunStatus.RUNNING]


def test_a_damaged_segment_is_not_deleted_while_its_owner_lives(segment: Segment, runs: Runs) -> None:
    pair(segment)
    change(segment.path, "DELETE FROM heads WHERE number = 1")
    assert runs.ids() == [segment.path.stem]
    of_owner = runs.segment_lock(segment.path)
    of_owner.write_text("1\n")  # as if another process were the owner
    with pytest.raises(RunBusy, match="process 1 "):
        runs.delete(segment.path.stem, damaged=True)
    assert segment.path.exists()
    assert of_owner.read_text() == "1\n"
    assert runs.status("r2") is RunStatus.RUNNING


def test_a_segment_whose_write_ahead_log_is_broken_is_told_and_left_as_it_is(
    segment: Segment, tmp_path: Path
) -> None:
    first, second = pair(segment)
    for _ in range(6):
        first.commit(RECORDS[1:])
        second.commit(RECORDS[1:])
    kept = Runs(tmp_path / "kept", SystemClock(), lambda _: None)
    copy = kept.journal_path(segment.path.stem)
    copy.parent.mkdir(parents=True)
    log = segment.path.with_name(f"{segment.path.name}-wal").read_bytes()
    shutil.copy(segment.path, copy)  # as a killed process leaves them
    broken = copy.with_name(f"{copy.name}-wal")
    size = 24 + 4096
    for frame in range((len(log) - 32) // size // 2):
        at = 32 + frame * size + 40
        broken.write_bytes(log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :])
        copy.with_name(f"{copy.name}-shm").unlink(missing_ok=True)
        before = broken.read_bytes()
        assert kept.ids() == [segment.path.stem]
        for act in (read_run, SqliteStore.own, lambda path: request(path, RunRequest(kind="cancel"))):
            with pytest.raises(JournalDamaged, match="write-ahead log"):
                act(kept.journal_path("r2"))
        with contextlib.suppress(JournalDamaged):  # unless no trace of the run is in what is whole
            remove(kept.journal_path("r2"))
        assert broken.read_bytes() == before


def test_a_kill_while_something_is_deleted_from_a_closed_segment_hides_no_run(
    tmp_path: Path, runs: Runs
) -> None:
    with owned_segment(tmp_path) as segment:
        pair(segment)
    kept = Runs(tmp_path / "kept", SystemClock(), lambda _: None)
    copy = kept.journal_path(segment.path.stem)
    copy.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(segment.path, isolation_level=None)) as db:
        db.executescript("PRAGMA synchronous=OFF; PRAGMA cache_spill=OFF; BEGIN IMMEDIATE;")
        for table in ("runs", "heads", "entries"):
            db.execute(f"DELETE FROM {table} WHERE number = 2")
        for end in (".db", ".db-journal"):  # as a killed process leaves them
            shutil.copy(segment.path.with_suffix(end), copy.with_suffix(end))
        db.execute("ROLLBACK")
    assert copy.with_suffix(".db-journal").stat().st_size
    segments.examine(copy)
    assert kept.ids() == ["r2", "r1"]
    assert plain(kept.journal_path("r2")) == [encode_batch([one]) for one in RECORDS]


def test_a_file_becomes_the_only_one_without_another_that_a_kill_would_leave(tmp_path: Path) -> None:
    path = tmp_path / "segment-0.db"
    path.write_bytes(segments.new_segment())  # a file with a log, as it is while runs go on
    with contextlib.closing(connect(path)) as db:
        with db:
            db.execute("INSERT INTO runs VALUES (1, 'r1', x'80', 0)")
        leave_log(db)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("memory",)
    assert set(contents(tmp_path)) == {path.name}
    assert path.read_bytes()[18:20] == b"\x01\x01"  # no log belongs to it any more


def test_a_run_whose_commit_failed_with_that_of_another_writes_nothing_more(segment: Segment) -> None:
    first, second = pair(segment)
    change(
        segment.path,
        "CREATE TRIGGER full BEFORE INSERT ON entries WHEN NEW.number = 1 "
        "BEGIN SELECT RAISE(FAIL, 'disk full'); END",
    )
    failed: list[JournalFailed] = []
    writers = [store.writer(lambda _: None, failed.append) for store in (first, first, second)]
    with contextlib.closing(sqlite3.connect(segment.path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")  # the segment waits for this, then the rest is one transaction
        for writer in writers:
            writer.append(RECORDS[0])
            writer.flush()
    for writer in writers:
        writer.close()
    assert len(failed) == 3
    change(segment.path, "DROP TRIGGER full")
    with pytest.raises(JournalFailed, match="disk full"):
        second.commit(ENDED)
    assert len(plain(first.path)) == len(plain(second.path)) == 2
