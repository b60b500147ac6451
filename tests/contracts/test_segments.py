"""Runs that share a segment are apart in everything but their file."""

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.segmented import added, owned_segment

from symphony.commons.time import SystemClock
from symphony.pit.tracker.core.records import (
    BegunRecord,
    EndedRecord,
    FailedRecord,
    FinishedRecord,
    Record,
    encode_batch,
)
from symphony.pit.tracker.store import journal, segments
from symphony.pit.tracker.store.journal import (
    Fenced,
    JournalDamaged,
    JournalFailed,
    JournalNewer,
    Request,
    RunMeta,
    SqliteStore,
    examine,
    is_asked,
    read_meta,
    read_run,
    remove,
    request,
)
from symphony.pit.tracker.store.journal_rows import connect, leave_log, put_meta
from symphony.pit.tracker.store.locks import RunBusy
from symphony.pit.tracker.store.runs import RunNotFound, Runs
from symphony.pit.tracker.store.sharing import Segment, SegmentStore
from symphony.ports.runs import RunStatus

RECORDS: list[Record] = [BegunRecord(0, 1.0, 7), FinishedRecord(0, 2.0, 1.5, b"\x80", None, None)]
ENDED: list[Record] = [EndedRecord(0, 3.0, "succeeded", b"\x80", None)]
WORKFLOW = b'{"name": "w", "nodes": {"a": {"operator": "debug.value", "inputs": {"value": 1}}}}'


def meta(run_id: str) -> RunMeta:
    return RunMeta(
        run_id=run_id, workflow=WORKFLOW, source=None, inputs=b"\x80", cwd="/", base="/", created_at=1.0
    )


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with owned_segment(tmp_path) as made:
        yield made


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, SystemClock(), lambda _: None)


def plain(path: Path) -> list[bytes]:
    return [encode_batch([record]) for record in read_run(path)[1]]


def contents(folder: Path) -> dict[str, bytes]:
    """What is in the folder, apart from the index of ended runs."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if not one.name.startswith("ended.")}


def pair(segment: Segment) -> tuple[SegmentStore, SegmentStore]:
    """Two runs with something in them."""
    first, second = added(segment, meta("r1")), added(segment, meta("r2"))
    for store in (first, second):
        store.commit(RECORDS)
    return first, second


def change(segment: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(segment)) as db, db:
        db.execute(statement)


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
    number = request(first.path, Request(kind="pause"))
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
    "look", [lambda runs: runs.has("r1"), lambda runs: runs.lock("r1").held(), lambda runs: runs._stamp("r1")]
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
    assert sum("segment-" in str(one) for one in opened) <= 20 * 4 + 10
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


def test_requests_reach_the_owner_of_a_run_in_a_segment_and_are_settled(segment: Segment) -> None:
    first, second = pair(segment)
    number = request(first.path, Request(kind="approve", node="a", comment="fine"))
    assert first.requests() == [(number, Request(kind="approve", node="a", comment="fine"))]
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
    harmed, sound = (request(first.path, Request(kind="cancel")), request(first.path, Request(kind="pause")))
    change(segment.path, f"UPDATE requests SET body = x'c1' WHERE id = {harmed}")
    for _ in range(2):
        assert first.requests() == [(sound, Request(kind="pause"))]
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
        for act in (read_run, SqliteStore.own, lambda path: request(path, Request(kind="cancel"))):
            with pytest.raises(JournalDamaged, match="write-ahead log"):
                act(kept.journal_path("r2"))
        with contextlib.suppress(JournalDamaged):  # unless no trace of the run is in what is whole
            remove(kept.journal_path("r2"))
        assert broken.read_bytes() == before


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
