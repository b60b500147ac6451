"""Segments for tests: owned by this process, with runs in them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from symphony.pit.tracker.store.journal import JournalFailed, RunMeta
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
    assert durable.wait(10)
    if errors:
        raise errors[0]
    return store
