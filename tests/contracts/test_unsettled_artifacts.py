"""Bodies that share a sync: readable at once, durable and known to others once the store is settled."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.packs import damage, pack_files

from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.store.files import UNSETTLED_BYTES_MAX, FileArtifacts
from symphony.ports.artifacts import Provenance
from symphony.ports.values import ArtifactRef, Digest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "artifacts"


@pytest.fixture
def store(root: Path) -> Iterator[FileArtifacts]:
    made = FileArtifacts(root)
    yield made
    made.close()


@pytest.fixture
def other(root: Path) -> Iterator[FileArtifacts]:
    """As another process sees the directory."""
    made = FileArtifacts(root)
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name, durable=False)


def link(store: FileArtifacts, ref: ArtifactRef, run_id: str = "r") -> None:
    provenance = Provenance(run_id=run_id, node="n", port="p", operator="o", version="1.0.0")
    store.link(ref, provenance, durable=False)


class Syncs:
    """Counts what is synced; `failing` refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.failing = 0, False
        for name in ("fsync", "fdatasync"):
            if hasattr(os, name):
                monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        for module in ("metadata.records", "packs.files"):
            monkeypatch.setattr(f"symphony.pit.artifacts.{module}._sync", os.fdatasync)

    def _counted(self, sync):
        def counted(descriptor: int) -> None:
            if self.failing:
                raise OSError(5, "Input/output error")
            self.count += 1
            sync(descriptor)

        return counted


def test_a_body_is_read_before_it_is_durable(store):
    ref = put(store, b"soon", name="a")
    assert store.get(ref.digest) == b"soon"
    assert store.holds(ref)
    assert store.find("a").digest == ref.digest


def test_what_waits_has_no_file_until_the_store_is_settled_and_is_there_all_the_same(store, root):
    refs = [put(store, b"%d" % number) for number in range(20)]
    assert pack_files(root) == []
    assert [store.get(ref.digest) for ref in refs] == [b"%d" % number for number in range(20)]
    assert all(map(store.holds, refs))
    store.settle()
    (pack,) = pack_files(root)
    assert store.find(refs[0].digest).created_at == pytest.approx(pack.stat().st_mtime, abs=10)


def test_who_wants_the_size_a_part_or_the_stream_of_what_waits_gets_it(store):
    first, second = put(store, b"a file"), put(store, b"a stream")
    assert store.size(first.digest) == 6
    with store.ranges(first.digest) as ranges:
        assert ranges.read(2, 9) == b"file"
    with store.open(second.digest) as stream:
        assert stream.read() == b"a stream"


def test_what_is_being_settled_can_be_read_meanwhile(store, monkeypatch):
    ref, read = put(store, b"soon"), []
    write = Bodies.put

    def reading(self: Bodies, bodies: dict[Digest, bytes]) -> None:
        read.extend([store.get(ref.digest), store.holds(ref)])
        write(self, bodies)

    monkeypatch.setattr(Bodies, "put", reading)
    store.settle()
    assert read == [b"soon", True]


def test_a_damaged_file_is_replaced_by_what_is_put_again(store, root):
    ref = put(store, b"whole")
    store.settle()
    damage(root, ref.digest)
    put(store, b"whole")
    store.settle()
    assert store.get(ref.digest) == b"whole"


def test_what_waits_counts_for_the_room_that_is_left(store, monkeypatch):
    asked = []
    monkeypatch.setattr(Bodies, "require_room", lambda self, size: asked.append(size))
    put(store, b"12345")
    put(store, b"123")
    put(store, b"123")
    assert asked == [5, 8]


def test_what_waits_is_logged_in_the_order_in_which_it_was_said(store, other):
    refs = [put(store, b"%d" % number, name="n") for number in range(3)]
    for ref in refs:
        link(store, ref)
    store.settle()
    assert [record.digest for record in other.records()] == [ref.digest for ref in reversed(refs)]
    assert [by.run_id for by in other.find(refs[0].digest).provenance] == ["r"]


def test_many_bodies_share_the_syncs_of_pack_and_log(store, monkeypatch):
    put(store, b"first")
    store.settle()
    syncs = Syncs(monkeypatch)
    for number in range(300):
        link(store, put(store, b"%d" % number))
    assert syncs.count == 0
    store.settle()
    assert syncs.count == 2  # the pack, the log
    store.settle()
    assert syncs.count == 2


def test_what_could_not_be_synced_waits_for_the_next_time(store, other, monkeypatch):
    put(store, b"first")
    store.settle()
    ref = put(store, b"late")
    link(store, ref)
    syncs = Syncs(monkeypatch)
    syncs.failing = True
    with pytest.raises(IoFailed, match="store a body"):
        store.settle()
    syncs.failing = False
    store.settle()
    assert [by.run_id for by in other.find(ref.digest).provenance] == ["r"]


def test_a_body_that_was_collected_before_it_was_durable_is_there_again(store, other):
    other.put(b"gone", content_type="text/plain")
    ref = put(store, b"gone")
    link(store, ref)
    assert other.collect(min_age_s=0).objects == 1
    store.settle()
    assert other.get(ref.digest) == b"gone"


def test_a_durable_link_makes_its_body_durable_first(store, other):
    ref = put(store, b"soon")
    store.link(ref, Provenance(run_id="r", node="n", port="p", operator="o", version="1.0.0"))
    assert [by.run_id for by in other.find(ref.digest).provenance] == ["r"]


def test_what_another_process_put_is_durable_all_the_same(store, other, monkeypatch):
    other.put(b"same", content_type="text/plain", durable=False)
    ref = put(store, b"same")
    syncs = Syncs(monkeypatch)
    store.settle()
    assert syncs.count == 5  # two folders, the folder of the new pack, the pack, the log
    assert other.get(ref.digest) == b"same"


def test_bodies_that_wait_hold_a_bounded_amount_of_memory(store, other):
    body = bytes(1 << 20)
    refs = [put(store, body[: -number - 1]) for number in range(UNSETTLED_BYTES_MAX // len(body) + 2)]
    assert other.find(refs[0].digest).size == refs[0].size


def test_a_name_that_a_run_gave_keeps_nothing_once_the_run_is_gone(store):
    ref = put(store, b"a run's", name="report")
    link(store, ref)
    store.unlink_run("r")
    assert store.collect(min_age_s=0).objects == 1


@pytest.mark.slow
def test_threads_that_settle_at_once_lose_nothing(store, other):
    refs: list[ArtifactRef] = []

    def work(number: int) -> None:
        for step in range(20):
            ref = put(store, b"%d %d" % (number, step))
            link(store, ref, f"r{number}")
            store.settle()
            refs.append(ref)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 160
    assert all(len(other.find(ref.digest).provenance) == 1 for ref in refs)
