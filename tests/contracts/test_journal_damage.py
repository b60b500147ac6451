"""What is read of a damaged journal is what was written, or an error that names the run."""

import random
import shutil
import sqlite3
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symphony.pit.tracker.core.records import BegunRecord, FinishedRecord, Record, encode_batch
from symphony.pit.tracker.store.journal import (
    JournalDamaged,
    JournalFailed,
    JournalNewer,
    RunMeta,
    RunRequest,
    SqliteStore,
    read_meta,
    read_run,
    request,
)
from symphony.workflow import dumps, loads

OLD = Path(__file__).parents[1] / "data" / "homes" / "journal-2.tar.gz"
WORKFLOW = dumps(loads(b"{name: w, nodes: {a: {command: echo recorded}}}", "yaml"), "json")
META = RunMeta(run_id="r1", workflow=WORKFLOW, source=None, inputs=b"\x80", cwd="/", base="/", created_at=1.0)
RECORDS: list[Record] = [BegunRecord(0, 1.0, 7), FinishedRecord(0, 2.0, 1.5, b"\x81", None, None)]
PAGE = 4096


def written(path: Path, batches: int = 12) -> tuple[RunMeta, list[bytes]]:
    """A journal of several pages, and what is in it."""
    store = SqliteStore.create(path, META, {"a": b"\x93\x80\xc0\xa2r0"})
    for number in range(batches):
        store.commit([*RECORDS, FinishedRecord(number, 2.0, 1.5, bytes([number]) * 900, None, None)])
    store.close()
    return seen(path)


def seen(path: Path) -> tuple[RunMeta, list[bytes]]:
    meta, records = read_run(path)
    return meta, [encode_batch([record]) for record in records]


def outcome(path: Path) -> object:
    try:
        return seen(path)
    except JournalFailed as error:
        assert error.hint
        assert "delete the file" not in error.hint
        assert "r1" in error.message
        return None


def bits(body: bytes, step: int) -> Iterator[bytes]:
    rng = random.Random(1)
    for at in range(0, len(body), step):
        yield body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]


def pages(body: bytes, _: int) -> Iterator[bytes]:
    for at in range(0, len(body), PAGE):
        yield body[:at] + bytes(PAGE) + body[at + PAGE :]
        yield body[:at] + bytes([0xFF]) * PAGE + body[at + PAGE :]
        other = at + PAGE if at + 2 * PAGE <= len(body) else 0
        yield body[:at] + body[other : other + PAGE] + body[at + PAGE :]


def ends(body: bytes, step: int) -> Iterator[bytes]:
    yield from (body[:at] for at in range(0, len(body), 16 * step))
    yield from (body[:at] for at in range(0, len(body), PAGE))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [bits, pages, ends])
def test_a_damaged_journal_gives_what_was_written_or_an_error_that_names_the_run(
    damage: Callable[[bytes, int], Iterator[bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "r1.db"
    right = written(path)
    body, found = path.read_bytes(), 0
    for harmed in damage(body, 17):
        path.write_bytes(harmed)
        got = outcome(path)
        found += got is None
        assert got in (None, right)
    assert found


def test_a_damaged_journal_is_not_taken_over_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    written(path)
    body = path.read_bytes()
    at = body.index(b"\x05" * 100)
    path.write_bytes(body[:at] + b"\x04" + body[at + 1 :])
    with pytest.raises(JournalDamaged, match="checksum"):
        SqliteStore.own(path)
    assert path.read_bytes() == body[:at] + b"\x04" + body[at + 1 :]


def test_the_recorded_workflow_is_not_read_with_another_command(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    written(path)
    path.write_bytes(path.read_bytes().replace(b"echo recorded", b"echo rmcorded"))
    with pytest.raises(JournalDamaged, match=r"run r1 .*checksum"):
        read_meta(path)


@pytest.mark.parametrize("keys", ["format", "epoch", "run"])
def test_what_is_known_of_the_run_carries_checksums(keys: str, tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    written(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = 2 WHERE key = ?", (keys,))
    db.close()
    with pytest.raises(JournalDamaged):
        read_meta(path)


def test_a_row_that_is_gone_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    written(path)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM batches WHERE seq = 3")
    db.close()
    with pytest.raises(JournalDamaged, match="row 3 of `batches` is missing"):
        read_run(path)


def test_a_journal_of_this_format_without_checksums_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    written(path)
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE meta DROP COLUMN sum")
    db.close()
    with pytest.raises(JournalDamaged, match="no checksums"):
        read_meta(path)


def test_a_broken_write_ahead_log_is_told_unless_only_its_end_is(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    for number in range(6):
        store.commit([FinishedRecord(number, 2.0, 1.5, b"x" * 900, None, None)])
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("r1.db", "r1.db-wal"):  # as a killed process leaves them
        shutil.copy(tmp_path / name, kept / name)
    store.close()
    log = (kept / "r1.db-wal").read_bytes()
    size = 24 + struct.unpack(">I", log[8:12])[0]
    count = (len(log) - 32) // size
    assert count >= 6
    right = seen(path)
    for frame in range(count):
        at = 32 + frame * size + 40
        (kept / "r1.db-wal").write_bytes(log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :])
        (kept / "r1.db-shm").unlink(missing_ok=True)
        if frame < count - 4:
            with pytest.raises(JournalDamaged, match="write-ahead log"):
                read_run(kept / "r1.db")
    (kept / "r1.db-wal").write_bytes(log[:4] + b"\x01" + log[5:])
    (kept / "r1.db-shm").unlink(missing_ok=True)
    with pytest.raises(JournalDamaged, match="write-ahead log"):
        read_run(kept / "r1.db")
    (kept / "r1.db-wal").write_bytes(log)
    (kept / "r1.db-shm").unlink(missing_ok=True)
    assert seen(kept / "r1.db") == right


def test_a_journal_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    shutil.copy(path, tmp_path / "alone.db")  # without a log: what a cut one leaves
    assert read_meta(tmp_path / "alone.db") == META
    store.close()


def test_a_damaged_request_is_ignored_and_others_are_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    harmed = request(path, RunRequest(kind="cancel"))
    sound = request(path, RunRequest(kind="pause"))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE asked SET body = x'c1' WHERE id = ?", (harmed,))
    db.close()
    for _ in range(2):
        assert store.requests() == [(sound, RunRequest(kind="pause"))]
    assert [record.message for record in caplog.records] == [
        "a request to run r1 is damaged, ask again: it does not match its checksum"
    ]
    store.close()


@pytest.fixture
def old(tmp_path: Path) -> list[Path]:
    """The journals of a home of format 2, the newest first."""
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    return sorted((tmp_path / "home" / "journal").glob("*.db"), reverse=True)


def test_a_journal_of_format_2_gets_checksums_when_it_is_taken_over(old: list[Path]) -> None:
    for path in old:
        before = seen(path)
        store = SqliteStore.own(path)
        store.commit(RECORDS)
        store.close()
        after = seen(path)
        assert after == (before[0], [*before[1], *(encode_batch([one]) for one in RECORDS)])
        body = path.read_bytes()
        path.write_bytes(body.replace(b"echo recorded", b"echo rmcorded").replace(b"hello", b"hullo"))
        with pytest.raises(JournalDamaged, match="checksum"):
            read_run(path)


def test_a_request_reaches_an_owner_of_an_earlier_version(old: list[Path]) -> None:
    number = request(old[0], RunRequest(kind="pause"))
    with sqlite3.connect(old[0]) as db:
        assert db.execute("SELECT id FROM asked").fetchall() == [(number,)]
    db.close()


def test_damage_in_a_journal_of_format_2_never_ends_in_anything_but_our_errors(old: list[Path]) -> None:
    body = old[0].read_bytes()
    for harmed in bits(body, 61):
        old[0].write_bytes(harmed)
        try:
            read_run(old[0])
        except (JournalDamaged, JournalNewer):
            continue
