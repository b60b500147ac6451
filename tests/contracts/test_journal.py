"""One suite over the journal in memory and the journal on disk, and what only the disk can show."""

import contextlib
import resource
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.segments import added, owned_segment
from tests.support.waiting import PATIENCE_S

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.records import BegunRecord, FinishedRecord, Record, encode_batch
from symphony.pit.tracker.store.journal import (
    FORMAT,
    Fenced,
    JournalFailed,
    JournalNewer,
    JournalStore,
    JournalWriter,
    MemoryStore,
    RunMeta,
    RunRequest,
    SqliteStore,
    is_asked,
    read_all,
    read_meta,
    read_run,
    request,
)

CANCEL = RunRequest(kind="cancel")
META = RunMeta(run_id="r1", workflow=b"{}", source=None, inputs=b"\x80", cwd="/", base="/", created_at=1.0)
RECORDS: list[Record] = [BegunRecord(0, 1.0, 7), FinishedRecord(0, 2.0, 1.5, b"\x80", None, None)]


def plain(records: list[Record]) -> list[bytes]:
    return [encode_batch([record]) for record in records]


@pytest.fixture(params=["memory", "disk", "segment"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JournalStore]:
    if request.param == "segment":
        with owned_segment(tmp_path) as segment:
            yield added(segment, META)
        return
    made: JournalStore = MemoryStore()
    if request.param == "disk":
        made = SqliteStore.create(tmp_path / "journal" / "r1.db", META)
    yield made
    made.close()


def test_what_was_committed_comes_back_in_order(store: JournalStore) -> None:
    store.commit(RECORDS)
    store.commit(RECORDS[1:])
    assert plain(list(store.records())) == plain([*RECORDS, *RECORDS[1:]])


def test_an_empty_journal_has_no_records_and_no_requests(store: JournalStore) -> None:
    assert list(store.records()) == []
    assert store.requests() == []


def test_a_writer_commits_in_order_and_tells_when_it_is_durable(store: JournalStore) -> None:
    told: list[Record] = []
    reached = threading.Event()
    writer = store.writer(told.extend, lambda error: None, lambda: None)
    for record in RECORDS:
        writer.append(record)
    writer.barrier(reached.set)
    writer.flush()
    assert reached.wait(PATIENCE_S)
    writer.close()
    assert told == RECORDS
    assert plain(list(store.records())) == plain(RECORDS)


def test_what_records_refer_to_is_settled_before_they_are_committed(store: JournalStore) -> None:
    found: list[int] = []
    writer = store.writer(lambda _: None, lambda _: None, lambda: found.append(len(list(store.records()))))
    writer.append(RECORDS[0])
    writer.close()
    assert found
    assert found[0] == 0
    assert plain(list(store.records())) == plain(RECORDS[:1])


def test_what_cannot_be_settled_is_not_committed_nor_what_follows_it(store: JournalStore) -> None:
    failed: list[JournalFailed] = []
    full = [SymphonyError("the disk is full", code="storage-full")]

    def settle() -> None:
        if full:
            raise full.pop()

    writer = store.writer(lambda _: None, failed.append, settle)
    for record in RECORDS:
        writer.append(record)
        writer.flush()
    writer.close()
    assert [error.message for error in failed] == ["the disk is full"]
    assert list(store.records()) == []


def test_whoever_takes_over_fences_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    first = SqliteStore.create(path, META)
    second = SqliteStore.own(path)
    with pytest.raises(Fenced):
        first.commit(RECORDS)
    second.commit(RECORDS)
    assert plain([record for _, record in read_all(path)]) == plain(RECORDS)
    first.close()
    second.close()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not tell its locks")
def test_who_reads_a_journal_leaves_the_locks_of_its_writer_in_the_same_process(tmp_path: Path) -> None:
    store = SqliteStore.create(tmp_path / "r1.db", META)
    store.commit(RECORDS)
    index = str((tmp_path / "r1.db-shm").stat().st_ino)

    def held() -> list[str]:
        return [line for line in Path("/proc/locks").read_text().splitlines() if f":{index} " in line]

    before = held()
    assert before
    read_run(store.path)
    assert len(held()) == len(before)
    store.close()


def test_meta_data_and_requests_reach_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    assert read_meta(path) == META
    number = request(path, RunRequest(kind="approve", node="loop#2.gate", comment="fine"))
    later = request(path, RunRequest(kind="cancel"))
    assert store.requests() == [
        (number, RunRequest(kind="approve", node="loop#2.gate", comment="fine")),
        (later, RunRequest(kind="cancel")),
    ]
    store.close()


def test_a_request_stays_until_it_is_settled(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    number = request(path, RunRequest(kind="pause"))
    assert len(store.requests()) == 1
    assert is_asked(path, number)
    store.settled([number])
    assert store.requests() == []
    assert not is_asked(path, number)
    store.close()


def test_a_journal_of_a_later_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    SqliteStore.create(path, META).close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'format'", (FORMAT + 1,))
    for use in (lambda: read_meta(path), lambda: SqliteStore.own(path), lambda: request(path, CANCEL)):
        with pytest.raises(JournalNewer, match="this version knows") as caught:
            use()
        assert caught.value.hint is not None


def test_a_journal_of_the_first_format_is_read_and_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    store.commit(RECORDS)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:  # what the first version left
        db.execute("DELETE FROM meta WHERE key = 'format'")
        db.execute("DROP TABLE asked")
    assert read_meta(path) == META
    again = SqliteStore.own(path)
    assert plain(list(again.records())) == plain(RECORDS)
    assert again.requests() == []
    again.close()


def test_a_run_is_never_created_over_another(tmp_path: Path) -> None:
    SqliteStore.create(tmp_path / "r1.db", META).close()
    with pytest.raises(FileExistsError):
        SqliteStore.create(tmp_path / "r1.db", META)


def test_a_creation_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    unwritable: dict[str, Any] = {"a": object()}
    with pytest.raises(JournalFailed):
        SqliteStore.create(tmp_path / "r1.db", META, unwritable)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    path.write_bytes(b"not a database, and long enough to be looked at" * 40)
    with pytest.raises(JournalFailed, match=r"r1\.db"):
        read_meta(path)


def test_after_a_failed_commit_nothing_more_is_written() -> None:
    class Full(MemoryStore):
        def commit(self, records: list[Record]) -> None:
            raise JournalFailed("the disk is full")

    failures: list[JournalFailed] = []
    failed = threading.Event()

    def note(error: JournalFailed) -> None:
        failures.append(error)
        failed.set()

    told: list[Record] = []
    writer = JournalWriter(Full(), told.extend, note)
    writer.append(RECORDS[0])
    writer.flush()
    assert failed.wait(PATIENCE_S)
    writer.append(RECORDS[1])
    writer.close()
    assert told == []
    assert len(failures) == 1


def test_a_bug_in_the_thread_that_commits_fails_the_journal_and_leaves_nobody_waiting() -> None:
    class Broken(MemoryStore):
        def commit(self, records: list[Record]) -> None:
            raise ZeroDivisionError

    failures: list[JournalFailed] = []
    writer = JournalWriter(Broken(), lambda _: None, failures.append)
    writer.append(RECORDS[0])
    writer.close()
    assert "ZeroDivisionError" in failures[0].message


@pytest.mark.parametrize("room", [0, 8_000, 20_000, 30_000, 32_000, 33_000])
def test_a_journal_for_which_there_is_no_room_is_refused_and_leaves_nothing(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "journal" / "r1.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))  # what does not fit is refused, as by a full disk
    try:
        store = SqliteStore.create(path, META)
    except JournalFailed as error:
        assert "r1.db" in error.message
        assert list(path.parent.iterdir()) == []
    else:
        assert room > 32_768
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
