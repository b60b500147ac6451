"""What lies beside a journal, and that reading it changes nothing there."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from symphony.pit.tracker.core.records import BegunRecord, EndedRecord, FinishedRecord, Record, encode_batch
from symphony.pit.tracker.store.journal import (
    RunMeta,
    RunRequest,
    SqliteStore,
    examine,
    is_asked,
    read_all,
    read_meta,
    read_run,
    request,
)

META = RunMeta(
    run_id="r1",
    workflow=b'{"name": "w", "nodes": {}}',
    source=None,
    inputs=b"\x80",
    cwd="/",
    base="/",
    created_at=1.0,
)
BEGUN: list[Record] = [BegunRecord(0, 1.0, 7), FinishedRecord(0, 2.0, 1.5, b"\x80", None, None)]
ENDED: list[Record] = [EndedRecord(0, 3.0, "succeeded", b"\x80", None)]


def looked_at(path: Path) -> dict[str, bytes]:
    """Every way to read the journal; then what is in its folder."""
    for look in (read_meta, read_run, read_all, examine, lambda one: is_asked(one, 1)):
        look(path)
    return contents(path.parent)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("last", [ENDED, BEGUN], ids=["ended", "to be resumed"])
def test_reading_a_journal_that_nobody_writes_changes_nothing(tmp_path: Path, last: list[Record]) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    store.commit(BEGUN)
    store.commit(last)
    store.close()
    before = contents(tmp_path)
    assert set(before) == {"r1.db"}
    assert looked_at(path) == before


def test_a_journal_whose_run_has_ended_leaves_the_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    store.commit([*BEGUN, *ENDED])
    assert path.read_bytes()[18:20] == b"\x02\x02"
    store.close()
    assert path.read_bytes()[18:20] == b"\x01\x01"
    assert encode_batch(read_run(path)[1]) == encode_batch([*BEGUN, *ENDED])


def test_an_ended_journal_can_be_asked_and_taken_over_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    store.commit([*BEGUN, *ENDED])
    store.close()
    number = request(path, RunRequest(kind="cancel"))
    again = SqliteStore.own(path)
    assert [asked for asked, _ in again.requests()] == [number]
    again.settled([number])
    again.commit(BEGUN)
    again.close()
    assert len(read_run(path)[1]) == 5
    assert set(contents(tmp_path)) == {"r1.db"}


def test_a_journal_that_somebody_has_open_ends_whole_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "r1.db"
    store = SqliteStore.create(path, META)
    store.commit(BEGUN)
    other = SqliteStore.own(path)
    other.commit(ENDED)
    other.close()  # the first still has it open
    store.close()
    assert len(read_run(path)[1]) == 3


@pytest.mark.slow
def test_what_a_killed_owner_left_is_read_as_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    script = (
        "import os, signal; from pathlib import Path\n"
        "from tests.contracts.test_journal_files import *\n"
        f"store = SqliteStore.create(Path({str(folder / 'r1.db')!r}), META)\n"
        "store.commit(BEGUN); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    before = contents(folder)
    assert set(before) == {"r1.db", "r1.db-wal", "r1.db-shm"}
    assert len(read_run(folder / "r1.db")[1]) == 2
    after = contents(folder)
    assert after["r1.db"] == before["r1.db"]
    assert after["r1.db-wal"] == before["r1.db-wal"]
    assert set(after) == set(before)
    shutil.copytree(folder, tmp_path / "copy")
    assert len(read_run(tmp_path / "copy" / "r1.db")[1]) == 2
