"""No record is durable before the bodies that it refers to are."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.pit.tracker.core.records import Record, encode_batch
from symphony.pit.tracker.store.journal import JournalFailed, MemoryStore, SqliteStore
from symphony.workflow import loads

DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@operator("test.large", version="1.0.0", pure=True)
async def large(number: int) -> str:
    """A text too large to travel inline."""
    return f"{number}" * 40_000


@operator("test.effect", version="1.0.0")
async def effect(number: int) -> str:
    """The same, with an effect."""
    return f"{number}" * 50_000


@operator("test.threaded", version="1.0.0", pure=True)
def threaded(number: int) -> str:
    """The same, in a thread."""
    return f"{number}" * 60_000


NODES = {
    name: {"for_each": list(range(1, 9)), "operator": f"test.{name}", "inputs": {"number": "${{ item }}"}}
    for name in ("large", "effect", "threaded")
}


@pytest.mark.slow
def test_every_body_is_known_to_other_processes_before_a_record_names_it(tmp_path: Path, monkeypatch) -> None:
    store, named = FileArtifacts(tmp_path / "home" / "artifacts"), set[str]()
    commit = SqliteStore.commit

    def checked(self: SqliteStore, records: list[Record]) -> None:
        for part in map(encode_batch, ([record] for record in records)):
            for digest in DIGEST.findall(part):
                assert store.find(digest.decode()).provenance
                named.add(digest.decode())
        commit(self, records)

    monkeypatch.setattr(SqliteStore, "commit", checked)

    async def run() -> str:
        workflow = loads(json.dumps({"symphony": 1, "name": "t", "nodes": NODES}), "json")
        async with Symphony.open(tmp_path / "home", operators=[large, effect, threaded]) as symphony:
            return (await (await symphony.start(workflow)).result()).status

    assert asyncio.run(run()) == "succeeded"
    store.close()
    assert len(named) >= 24


def test_bodies_that_cannot_be_written_stop_the_journal() -> None:
    def full() -> None:
        raise IoFailed("the disk is full", hint="make room")

    store, failed = MemoryStore(), list[JournalFailed]()
    buffer = store.writer(lambda _: None, failed.append, full)
    buffer.append((1, 0, 0.0))
    buffer.flush()
    assert [(error.message, error.hint) for error in failed] == [("the disk is full", "make room")]
    assert store.batches == []


@pytest.mark.slow
def test_a_rerun_claims_all_that_it_takes_over_with_one_sync(tmp_path: Path, monkeypatch) -> None:
    syncs = 0

    def counted(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1

    async def run() -> tuple[int, set[str]]:
        workflow = loads(json.dumps({"symphony": 1, "name": "t", "nodes": NODES}), "json")
        async with Symphony.open(tmp_path / "home", operators=[large, effect, threaded]) as symphony:
            first = await symphony.start(workflow, cache=False)
            await first.result()
            monkeypatch.setattr("symphony.pit.artifacts.metadata.records._sync", counted)
            again = await symphony.rerun(first.run_id)
            begun = syncs
            await again.result()
            of_runs = {one.run_id for record in symphony.artifacts.records() for one in record.provenance}
            return begun, of_runs - {first.run_id, again.run_id}

    assert asyncio.run(run()) == (1, set())
