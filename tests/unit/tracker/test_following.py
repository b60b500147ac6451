"""Looking at one run again and again: each row of its journal is read once, and nothing is missed."""

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from symphony.commons.time import SystemClock
from symphony.pit.tracker.core.records import BegunRecord, FinishedRecord, Record
from symphony.pit.tracker.store.following import RunReader
from symphony.pit.tracker.store.journal import JournalDamaged, JournalFailed, RunMeta, SqliteStore
from symphony.pit.tracker.store.runs import READERS_MAX, Runs
from symphony.ports.runs import RunEvent, RunStatus

NODES = {f"n{number}": {"operator": "debug.value", "inputs": {"value": 1}} for number in range(40)}
META = RunMeta(
    run_id="r1",
    workflow=json.dumps({"symphony": 1, "name": "t", "nodes": NODES}).encode(),
    source=None,
    inputs=b"\x80",
    cwd="/",
    base="/",
    created_at=1.0,
)


def finished(slot: int) -> Record:
    return FinishedRecord(slot, 2.0 + slot, 1.0, b"\x80", None, None)


def begun(home: Path, name: str = "r1") -> SqliteStore:
    store = SqliteStore.create(home / "journal" / f"{name}.db", META)
    store.commit([BegunRecord(0, 1.0, 1)])
    return store


def runs_of(home: Path) -> Runs:
    return Runs(home, SystemClock(), lambda _: None)


def test_a_look_at_a_run_of_which_nothing_is_new_reads_no_row(tmp_path: Path) -> None:
    store = begun(tmp_path)
    for slot in range(20):
        store.commit([finished(slot)])
    reader = RunReader(store.path)
    assert len(reader.events(0)) == 21
    read = reader.rows
    for _ in range(50):
        assert reader.events(21) == []
        assert reader.replay().seq == 21
    assert reader.rows == read == 21
    store.commit([finished(20), finished(21)])
    assert [one.seq for one in reader.events(21)] == [22, 23]
    assert reader.rows == 22
    store.close()


@pytest.mark.parametrize("seed", range(10))
def test_whoever_asks_for_whatever_gets_what_a_first_look_would_give(tmp_path: Path, seed: int) -> None:
    rng, store, slot = Random(seed), begun(tmp_path), 0
    kept = runs_of(tmp_path)
    while slot < len(NODES):
        for _ in range(rng.randrange(3)):
            count = rng.randint(1, 4)
            store.commit([finished(one) for one in range(slot, min(slot + count, len(NODES)))])
            slot = min(slot + count, len(NODES))
            if slot == len(NODES):
                break
        since = rng.randrange(slot + 3)
        assert list(kept.events("r1", since)) == list(runs_of(tmp_path).events("r1", since))
        assert kept.status("r1") is runs_of(tmp_path).status("r1") is RunStatus.INTERRUPTED
    store.close()


def test_another_file_in_its_place_is_read_from_its_start(tmp_path: Path) -> None:
    begun(tmp_path / "b").close()
    store = begun(tmp_path / "a")
    store.commit([finished(0)])
    store.close()
    reader = RunReader(store.path)
    assert len(reader.events(0)) == 2
    shutil.move(tmp_path / "b" / "journal" / "r1.db", store.path)
    assert len(reader.events(0)) == 1


def test_what_becomes_damaged_between_looks_is_told_and_nothing_of_it_remembered(tmp_path: Path) -> None:
    store = begun(tmp_path)
    reader = RunReader(store.path)
    right = reader.events(0)
    store.commit([finished(7)])
    store.commit([finished(7)])  # a node ends once
    with pytest.raises(JournalDamaged):
        reader.events(0)
    with pytest.raises(JournalDamaged):
        reader.replay()
    store._db.execute("DELETE FROM batches WHERE seq = 3")
    store._db.commit()
    assert [one.seq for one in reader.events(0)] == [1, 2]
    assert reader.events(0)[:1] == right
    store.close()
    store.path.unlink()
    with pytest.raises((JournalFailed, OSError)):
        reader.events(0)


def test_only_the_last_few_runs_that_were_looked_at_are_remembered(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(3 * READERS_MAX)]
    runs, seen = runs_of(tmp_path), dict[str, list[RunEvent]]()
    for name in names:
        begun(tmp_path, name).close()
        seen[name] = list(runs.events(name))
    assert [*runs._readers] == names[-READERS_MAX:]
    assert {name: list(runs.events(name)) for name in names} == seen
