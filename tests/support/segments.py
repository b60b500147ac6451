"""Segments for tests: owned by this process, with runs in them."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import PATIENCE_S

from symphony.pit.tracker.core.records import BegunRecord, EndedRecord, FinishedRecord, Record, encode_batch
from symphony.pit.tracker.store.journal import JournalFailed, RunMeta, read_run
from symphony.pit.tracker.store.locks import RunLock, SegmentLock
from symphony.pit.tracker.store.sharing import Segment, SegmentStore


@contextmanager
def owned_segment(home: Path, name: str = "0") -> Iterator[Segment]:
    """A segment in the journals of `home`, as a session has it."""
    lock = SegmentLock(home / "run" / f"segment-{name}.lock")
    segment = Segment.create(
        home / "journal",
        name,
        lock,
        lambda run_id: RunLock(home / "run" / f"{run_id}.lock"),
        lambda told: told(),
    )
    try:
        yield segment
    finally:
        segment.close()


def added(segment: Segment, meta: RunMeta) -> SegmentStore:
    """A run in it, durable."""
    durable = threading.Event()
    errors: list[JournalFailed] = []

    def done(error: JournalFailed | None) -> None:
        errors.extend([] if error is None else [error])
        durable.set()

    store = segment.add(meta, done)
    store.begin()
    assert durable.wait(PATIENCE_S)
    if errors:
        raise errors[0]
    return store


RECORDS: list[Record] = [BegunRecord(0, 1.0, 7), FinishedRecord(0, 2.0, 1.5, b"\x80", None, None)]
ENDED: list[Record] = [EndedRecord(0, 3.0, "succeeded", b"\x80", None)]
WORKFLOW = b'{"name": "w", "nodes": {"a": {"operator": "debug.value", "inputs": {"value": 1}}}}'


def meta(run_id: str) -> RunMeta:
    return RunMeta(
        run_id=run_id, workflow=WORKFLOW, source=None, inputs=b"\x80", cwd="/", base="/", created_at=1.0
    )


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
