"""Bodies in packs: stored once, found again from the packs alone, moved out of packs that are mostly dead."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from tests.support.encryption import PASSPHRASE, keys
from tests.support.packs import age, frames_of, old_object, pack_files

from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.encryption.sources import VARIABLE
from symphony.pit.artifacts.packs import packs as packs_module
from symphony.pit.artifacts.packs.repacking import rewrite
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, Provenance
from symphony.ports.values import ArtifactRef


@pytest.fixture(params=["plain", "encrypted"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileArtifacts]:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # for other stores of the same folder
    root = tmp_path / "home" / "artifacts"
    made = FileArtifacts(root, keys=keys(root, encrypts=request.param == "encrypted"))
    yield made
    made.close()


def noise(seed: int, size: int = 400_000) -> bytes:
    return random.Random(seed).randbytes(size)


def put(store: FileArtifacts, body: bytes, name: str | None = None, run: str | None = None) -> ArtifactRef:
    ref = store.put(body, content_type="text/plain", name=name)
    if run is not None:
        store.link(ref, Provenance(run_id=run, node="n", port="p", operator="o", version="1.0.0"))
    return ref


def packed(store: FileArtifacts) -> int:
    return sum(path.stat().st_size for path in pack_files(store.root))


def without_index(store: FileArtifacts) -> None:
    store.close()
    for path in store.root.glob("packs.db*"):
        path.unlink()


def test_a_body_that_is_there_takes_no_more_room(store: FileArtifacts) -> None:
    for body in (b"small", noise(1)):
        put(store, body)
        before = packed(store)
        put(store, body, "again")
        assert packed(store) == before


def test_versions_of_a_large_body_share_what_is_the_same(store: FileArtifacts) -> None:
    body = noise(1, 2_000_000)
    put(store, body)
    before = packed(store)
    other = put(store, body[:900_000] + b"changed" + body[900_000:])
    assert packed(store) - before < 150_000
    assert store.get(other.digest) == body[:900_000] + b"changed" + body[900_000:]


def test_text_takes_less_room_than_it_has_bytes(store: FileArtifacts) -> None:
    put(store, b"".join(b"line %d of a report\n" % number for number in range(50_000)))
    assert packed(store) < 300_000


def test_the_index_is_made_again_of_the_packs_alone(store: FileArtifacts) -> None:
    bodies = [b"", b"small", noise(1), noise(1)[:300_000]]
    refs = [put(store, body, f"n{number}") for number, body in enumerate(bodies)]
    idle = put(store, b"idle")
    assert store.collect(0).objects == 1
    without_index(store)
    assert [store.get(ref.digest) for ref in refs] == bodies
    with pytest.raises(ArtifactMissing):  # it is marked as dead in its pack
        store.get(idle.digest)
    store.close()
    assert list(StoreCheck(store.root).faults()) == []


def test_what_bodies_share_stays_as_long_as_one_of_them_also_after_the_index_was_lost(
    store: FileArtifacts,
) -> None:
    first, second = put(store, noise(1), run="r1"), put(store, noise(1) + b"more", run="r2")
    without_index(store)
    assert store.get(first.digest) == noise(1)
    for run, left in (("r1", second), ("r2", None)):
        store.unlink_run(run)
        assert store.collect(0).objects == 1
        if left is not None:
            assert store.get(left.digest) == noise(1) + b"more"
    assert packed(store) < 100
    assert put(store, noise(1)) == first


def test_what_a_writer_that_died_had_written_is_indexed_by_the_next(store: FileArtifacts) -> None:
    ref = put(store, b"first")
    store.close()
    (path,) = pack_files(store.root)
    index, pack = (store.root / "packs.db").read_bytes(), path.read_bytes()
    second = put(store, b"second")
    store.close()
    whole = path.read_bytes()
    for written in range(len(pack), len(whole) + 1, 7):
        path.write_bytes(whole[:written])
        (store.root / "packs.db").write_bytes(index)  # as a crash before it was indexed leaves it
        again = FileArtifacts(store.root)
        assert again.get(ref.digest) == b"first"
        if written == len(whole):
            assert again.get(second.digest) == b"second"
        third = put(again, b"third")
        assert FileArtifacts(store.root).get(third.digest) == b"third"
        without_index(again)
        assert again.get(third.digest) == b"third"
        again.close()


def test_a_pack_that_is_mostly_dead_is_rewritten_and_readers_go_on(store: FileArtifacts) -> None:
    kept = [put(store, noise(number, 5_000), f"kept {number}") for number in range(5)]
    large = put(store, noise(9), "large")
    for number in range(20, 26):
        put(store, noise(number))
    before, reader = packed(store), FileArtifacts(store.root)
    assert reader.get(kept[0].digest) == noise(0, 5_000)
    (old,) = pack_files(store.root)
    with reader.open(large.digest) as stream, reader.ranges(large.digest) as ranges:
        assert stream.read(10) == noise(9)[:10]
        assert store.collect(0).objects == 6
        assert packed(store) < before / 4
        assert not old.exists()
        assert stream.read() == noise(9)[10:]
        assert ranges.read(390_000, 10) == noise(9)[390_000:390_010]
    for one in (reader, store, FileArtifacts(store.root)):
        assert [one.get(ref.digest) for ref in kept] == [noise(number, 5_000) for number in range(5)]
        assert one.get(large.digest) == noise(9)
    reader.close()
    without_index(store)
    assert store.get(large.digest) == noise(9)
    store.close()
    assert list(StoreCheck(store.root).faults()) == []


@pytest.mark.parametrize("point", ["moved", "indexed", "forgotten"])
def test_a_crash_while_a_pack_is_rewritten_loses_nothing(
    store: FileArtifacts, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [put(store, noise(number, 50_000 * number), f"n{number}") for number in range(1, 5)]
    put(store, noise(9))
    bodies = store._bodies.packs
    bodies.release()
    (old,) = pack_files(store.root)

    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    kind = packs_module.PackIndex
    name = {"moved": "move", "indexed": "forget_pack"}.get(point)
    with monkeypatch.context() as patched, pytest.raises(Crash):
        if name is None:
            patched.setattr(type(bodies.files), "unlink", crash)
        else:
            patched.setattr(kind, name, crash)
        rewrite(bodies, old.stem)
    for clean in (False, True):
        again = FileArtifacts(store.root)
        if clean:
            without_index(again)
        for number, ref in enumerate(refs, 1):
            assert again.get(ref.digest) == noise(number, 50_000 * number)
        again.close()
    store.collect(0)
    assert [len(store.get(ref.digest)) for ref in refs] == [50_000 * number for number in range(1, 5)]


def test_a_body_that_is_younger_than_its_pack_is_not_made_younger_by_moving_it(store: FileArtifacts) -> None:
    ref = put(store, b"old", "name")
    for number in range(5):
        put(store, noise(number))
    age(store.root, ref.digest)
    store.collect(0)
    stored = store._bodies.stat(ref.digest)
    assert stored is not None
    assert stored.changed_at == 1.0


def test_two_stores_append_to_packs_of_their_own_and_the_next_goes_on_with_one_of_them(
    store: FileArtifacts,
) -> None:
    other = FileArtifacts(store.root)
    first, second = put(store, b"first"), put(other, b"second")
    assert len(pack_files(store.root)) == 2
    assert (other.get(first.digest), store.get(second.digest)) == (b"first", b"second")
    other.close()
    put(FileArtifacts(store.root), b"third")
    assert len(pack_files(store.root)) == 2


def test_a_full_pack_gets_nothing_more(store: FileArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs_module, "PACK_BYTES", 100_000)
    refs = [put(store, noise(number, 60_000)) for number in range(6)]
    assert len(pack_files(store.root)) == 3
    assert all(store.get(ref.digest) == noise(number, 60_000) for number, ref in enumerate(refs))


def test_threads_that_put_at_once_share_syncs(store: FileArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, b"first")
    synced, go, inside = [], threading.Event(), threading.Event()
    sync = os.fdatasync

    def slow(fd: int) -> None:
        synced.append(fd)
        inside.set()
        go.wait(10)
        sync(fd)

    monkeypatch.setattr("symphony.pit.artifacts.packs.files._sync", slow)
    threads = [threading.Thread(target=put, args=(store, b"%d" % number)) for number in range(8)]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    packs = store._bodies.packs
    while len(packs._waiting) < 7:
        os.sched_yield()
    go.set()
    for thread in threads:
        thread.join()
    assert len(synced) == 2


def test_a_child_that_was_forked_off_appends_to_a_pack_of_its_own(store: FileArtifacts) -> None:
    before = put(store, b"before")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            put(store, b"of the child", "child")
            code = 0 if store.get(before.digest) == b"before" else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    after = put(store, b"after")
    assert store.get(store.find("child").digest) == b"of the child"
    assert FileArtifacts(store.root).get(after.digest) == b"after"
    assert len(pack_files(store.root)) == 2


def test_bodies_of_an_earlier_version_are_read_kept_and_moved_into_packs(store: FileArtifacts) -> None:
    put(store, b"first", "first")
    before, bodies = packed(store), [b"", b"old", noise(1), noise(2)]
    paths = [old_object(store.root, body) for body in bodies]
    refs = [put(store, body, f"n{number}") for number, body in enumerate(bodies[:3])]
    assert packed(store) == before
    assert [store.get(ref.digest) for ref in refs] == bodies[:3]
    assert [record.size for record in store.records()] == [400_000, 3, 0, 5]
    with store.ranges(refs[2].digest) as ranges:
        assert ranges.read(5, 3) == noise(1)[5:8]
    assert store.find(refs[1].digest[:12]).digest == refs[1].digest
    assert store.collect(0).objects == 1
    assert not any(path.exists() for path in paths)
    assert [store.get(ref.digest) for ref in refs] == bodies[:3]
    store.close()
    assert list(StoreCheck(store.root).faults()) == []


def test_a_damaged_file_of_an_earlier_version_stays_where_it_is(store: FileArtifacts) -> None:
    path = old_object(store.root, b"damaged")
    put(store, b"damaged", "name")
    path.chmod(0o600)
    path.write_bytes(b"damag!d")
    store.collect(0)
    assert path.exists()
    assert store.get(put(store, b"damaged").digest) == b"damaged"
    assert frames_of(store.root, put(store, b"damaged").digest)


def test_a_link_or_a_pipe_in_the_place_of_an_old_body_is_damage(store: FileArtifacts, tmp_path: Path) -> None:
    path = old_object(store.root, b"old")
    ref = put(store, b"old", "name")
    (tmp_path / "outside").write_bytes(b"old")
    for make in (lambda: path.symlink_to(tmp_path / "outside"), lambda: os.mkfifo(path)):
        path.unlink()
        make()
        for act in (store.get, store.open, store.ranges):
            with pytest.raises(ArtifactCorrupt):
                act(ref.digest)
    path.unlink()
    path.parent.rename(tmp_path / "moved")
    path.parent.symlink_to(tmp_path / "moved")
    (tmp_path / "moved" / path.name).write_bytes(b"old")
    with pytest.raises(ArtifactCorrupt):
        store.get(ref.digest)
    assert store.get(put(store, b"old").digest) == b"old"


def test_small_bodies_that_are_put_at_once_share_frames_and_are_kept_one_by_one(store: FileArtifacts) -> None:
    bodies = [f"line {number} of a text\n".encode() * (number % 50 + 1) for number in range(400)]
    refs = [
        store.put(body, content_type="text/plain", name=str(n), durable=False)
        for n, body in enumerate(bodies)
    ]
    store.settle()
    store.close()
    frames = {
        (path, frame.offset): frame for ref in refs for path, frame in frames_of(store.root, ref.digest)
    }
    assert len(frames) < 20
    assert max(frame.raw + frame.head for frame in frames.values()) < 40_000
    assert [store.get(ref.digest) for ref in refs] == bodies
    with closing(Bodies(store.root, keys=keys(store.root, encrypts=store.keys.encrypts))) as alone:
        alone.remove([ref.digest for ref in refs[1:]])  # most of each frame
        alone.tidy(nullcontext)
    again = FileArtifacts(store.root)
    assert again.get(refs[0].digest) == bodies[0]
    with pytest.raises(ArtifactMissing):
        again.get(refs[1].digest)
    again.close()
    assert {fault.kind for fault in StoreCheck(store.root).faults()} == {"missing"}
    tiny = [b"%d" % number for number in range(3_000)]
    for body in tiny:
        store.put(body, content_type="text/plain", durable=False)
    store.settle()
    ((_, frame),) = frames_of(store.root, hashlib.sha256(tiny[7]).hexdigest())
    assert frame.head < 40_000
