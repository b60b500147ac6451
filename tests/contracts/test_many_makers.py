"""A body that many runs have made: what is shown of it is bounded, and everything finds it."""

import time
from pathlib import Path

import pytest

from symphony.pit.artifacts import FileArtifacts, MemoryArtifacts
from symphony.ports.artifacts import RECORDED_MAX, ArtifactFilter, Provenance

Store = FileArtifacts | MemoryArtifacts


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FileArtifacts(tmp_path) if request.param == "files" else MemoryArtifacts()


def by(run_id: str, node: str, at: float) -> Provenance:
    return Provenance(run_id=run_id, node=node, port="p", operator="o", version="1", created_at=at)


def test_a_body_that_many_runs_made_under_many_names_has_a_bounded_record(store: Store) -> None:
    count = RECORDED_MAX + 5
    for number in range(count):
        ref = store.put(b"ok", content_type="text/plain", name=f"n{number}", durable=False)
        store.link(ref, by(f"r{number:04}", "n", at=float(number)), durable=False)
    store.settle()
    record = store.find(f"n{count - 1}")
    assert [one.run_id for one in record.provenance] == [f"r{number:04}" for number in range(RECORDED_MAX)]
    assert list(record.names) == [f"n{number}" for number in range(count - 1, 4, -1)]
    assert record.version is not None
    assert record.version.run_id == f"r{count - 1:04}"
    assert store.find("n0").digest == record.digest
    assert [one.digest for one in store.made_by(f"r{count - 1:04}")] == [record.digest]
    found = list(store.records(where=ArtifactFilter(runs=[f"r{count - 1:04}"])))
    assert [one.digest for one in found] == [record.digest]


def test_judging_it_takes_time_with_the_number_of_its_runs_and_not_with_their_square(tmp_path: Path) -> None:
    def judged_s(runs: int) -> float:
        store = FileArtifacts(tmp_path / str(runs))
        ref = store.put(b"ok", content_type="text/plain", name="n")
        for number in range(runs):
            store.link(ref, by(f"r{number}", "n", at=float(number)), durable=False)
        store.settle()
        began_s = time.process_time()
        (standing,) = store.standings().all
        took_s = time.process_time() - began_s
        assert len(standing.runs) == runs
        store.close()
        return took_s

    assert judged_s(8_000) < 16 * judged_s(1_000)
