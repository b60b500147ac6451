"""Every fault that is planted in an artifact store is found, and a repair loses nothing that is good."""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.encryption import PASSPHRASE, keys
from tests.support.packs import damage, flip, frames_of, lose, old_object, pack_files

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.encryption.sources import VARIABLE
from symphony.pit.artifacts.metadata.records import Put, RecordLog, line_of
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES, ItemKind
from symphony.pit.artifacts.packs.index import PackIndex
from symphony.pit.artifacts.packs.packs import Packs, Reading
from symphony.pit.artifacts.store.checking import BodyFault, StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, Provenance, Rating
from symphony.ports.values import ArtifactRef, Digest


@pytest.fixture(params=["plain", "encrypted"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileArtifacts]:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # for other stores of the same folder
    root = tmp_path / "artifacts"
    made = FileArtifacts(root, keys=keys(root, encrypts=request.param == "encrypted"))
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes, name: str | None = None, run: str | None = None) -> ArtifactRef:
    ref = store.put(body, content_type="text/plain", name=name)
    if run is not None:
        store.link(ref, Provenance(run_id=run, node="n", port="p", operator="o", version="1.0.0"))
    return ref


def faults(store: FileArtifacts) -> list[BodyFault]:
    store.close()
    return list(StoreCheck(store.root).faults())


def repaired(store: FileArtifacts) -> list[str]:
    store.close()
    check = StoreCheck(store.root)
    return [check.repair(fault) for fault in list(check.faults())]


def files(store: FileArtifacts) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(store.root.rglob("*")) if p.is_file()}


def test_a_sound_store_has_no_faults_and_a_look_changes_nothing(store: FileArtifacts) -> None:
    assert faults(FileArtifacts(store.root / "absent")) == []
    put(store, b"a", "name", "r1")
    put(store, b"b", run="r2")
    store.unlink_run("r2")
    put(store, b"c")
    store.close()
    before = files(store)
    assert faults(store) == []
    assert files(store) == before


def test_a_damaged_body_is_found_and_put_aside_and_can_be_put_again(store: FileArtifacts) -> None:
    ref, good = put(store, b"a body", "name", "r1"), put(store, b"good")
    store.close()
    ((path, frame),) = frames_of(store.root, ref.digest)
    flip(path, frame.end - 1)
    damaged = BodyFault(kind="damaged", name=ref.digest, run="r1", known_as="name")
    pack = BodyFault(kind="pack", name=str(path), count=frame.end - frame.offset)
    assert faults(store) == [damaged, pack]
    with pytest.raises(ArtifactCorrupt):
        store.get(ref.digest)
    aside = store.root / "quarantine" / ref.digest
    apart = store.root / "quarantine" / f"{path.stem}.damaged"
    assert repaired(store) == [f"moved to {aside}", f"rewritten without them; they were copied to {apart}"]
    assert aside.read_bytes() == b"a bodx" or store.keys.encrypts
    with pytest.raises(ArtifactMissing):
        store.get(ref.digest)
    assert not store.holds(ref)
    assert faults(store) == [BodyFault(kind="missing", name=ref.digest, run="r1", known_as="name")]
    put(store, b"a body")
    assert faults(store) == []
    assert store.find("name").provenance[0].run_id == "r1"
    assert store.get(good.digest) == b"good"


def test_a_damaged_body_of_an_earlier_version_is_moved_aside(store: FileArtifacts) -> None:
    ref = put(store, b"a body", "name", "r1")
    lose(store.root, ref.digest)
    path = old_object(store.root, b"a body")
    assert faults(store) == []
    path.chmod(0o600)
    flip(path, 2)
    assert faults(store) == [BodyFault(kind="damaged", name=ref.digest, run="r1", known_as="name")]
    assert repaired(store) == [f"moved to {store.root / 'quarantine' / ref.digest}"]
    assert not path.exists()
    assert [fault.kind for fault in faults(store)] == ["missing"]


def large(seed: int) -> bytes:
    return random.Random(seed).randbytes(400_000)


def test_a_large_body_of_which_a_chunk_is_damaged_leaves_its_good_chunks_to_others(
    store: FileArtifacts,
) -> None:
    body = large(1)
    ref, other = put(store, body, "name", "r1"), put(store, body[:-100_000], "other")
    damage(store.root, ref.digest)
    assert [fault.kind for fault in faults(store)] == ["damaged", "pack"]
    assert all(repaired(store))
    assert [(fault.kind, fault.name) for fault in faults(store)] == [("missing", ref.digest)]
    assert store.get(other.digest) == body[:-100_000]
    put(store, body)
    assert faults(store) == []
    assert store.get(ref.digest) == body


def test_a_damaged_manifest_is_found(store: FileArtifacts) -> None:
    ref = put(store, large(2), "name")
    path, frame = frames_of(store.root, ref.digest)[0]
    flip(path, frame.end - 1)
    assert [fault.kind for fault in faults(store)] == ["damaged", "pack"]
    assert all(repaired(store))
    assert [(fault.kind, fault.name) for fault in faults(store)] == [("missing", ref.digest)]
    put(store, large(2))
    assert faults(store) == []


def test_a_missing_chunk_is_found_with_its_body(store: FileArtifacts) -> None:
    ref = put(store, large(3), "name")
    with closing(Packs(store.root)) as packs:
        row = packs.find(bytes.fromhex(ref.digest))
        assert row is not None
        chunk, _ = packs.manifest(row)[3]

        def forget(index: PackIndex) -> None:
            with index.changes():
                index.remove(chunk, ItemKind.CHUNK)

        packs.ask(forget)
    found = faults(store)
    assert [fault.kind for fault in found] == ["damaged", "index"]
    check = StoreCheck(store.root)
    assert check.repair(found[1]) == "rebuilt from the packs when it is next used"
    assert faults(store) == []
    assert store.get(ref.digest) == large(3)


@pytest.mark.parametrize("part", [0, 10, 400, 2_000])
def test_a_pack_that_was_cut_short_is_found(store: FileArtifacts, part: int) -> None:
    refs = [put(store, os.urandom(100), f"n{number}", f"r{number}") for number in range(20)]
    store.close()
    (path,) = pack_files(store.root)
    os.truncate(path, part)
    found = faults(store)
    assert {fault.name for fault in found if fault.run} >= {ref.digest for ref in refs[12:]}
    repaired(store)
    left = [fault for fault in faults(store) if fault.kind != "missing"]
    assert left == []
    for ref in refs:
        if ref.digest not in {fault.name for fault in found}:
            assert len(store.get(ref.digest)) == 100


def test_a_pack_that_is_gone_is_found_by_its_bodies(store: FileArtifacts) -> None:
    small, big = put(store, b"small", run="r1"), put(store, large(4), "big")
    store.close()
    (path,) = pack_files(store.root)
    path.unlink()
    assert {(fault.kind, fault.name) for fault in faults(store)} == {
        ("missing", small.digest),
        ("missing", big.digest),
    }
    put(store, b"small")
    put(store, large(4))
    assert faults(store) == []


def test_an_item_without_a_row_is_found_and_indexed(store: FileArtifacts) -> None:
    ref = put(store, b"a body", run="r1")
    store.close()
    with closing(sqlite3.connect(store.root / "packs.db")) as db, db:
        db.create_function("row_sum", -1, row_sum, deterministic=True)
        db.execute("DELETE FROM items")
    assert [fault.kind for fault in faults(store)] == ["missing", "index"]
    assert repaired(store) == ["", "rebuilt from the packs when it is next used"]
    assert faults(store) == []
    assert store.get(ref.digest) == b"a body"


def test_a_row_that_was_changed_is_found_and_never_leads_astray(store: FileArtifacts) -> None:
    first, second = put(store, b"first", run="r1"), put(store, b"second", run="r2")
    store.close()
    with closing(sqlite3.connect(store.root / "packs.db")) as db, db:
        db.create_function("row_sum", -1, row_sum, deterministic=True)
        places = "UPDATE items SET offset = (SELECT offset FROM items WHERE digest = ?) WHERE digest = ?"
        db.execute(places, (bytes.fromhex(first.digest), bytes.fromhex(second.digest)))
    assert faults(store) == [BodyFault(kind="index", name=str(store.root / "packs.db"))]
    assert store.get(second.digest) == b"second"  # the index was made again
    assert faults(store) == []


def test_bytes_that_a_dead_writer_tore_are_found_and_left_out(store: FileArtifacts) -> None:
    ref = put(store, b"a body", run="r1")
    store.close()
    (path,) = pack_files(store.root)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[PACK_HEAD_BYTES:-1])
    torn = len(whole) - PACK_HEAD_BYTES - 1
    assert faults(store) == [BodyFault(kind="pack", name=str(path), count=torn)]
    after = put(store, b"another", run="r2")
    assert store.get(after.digest) == b"another"
    assert [fault.kind for fault in faults(store)] == ["pack"]
    assert all(repaired(store))
    assert faults(store) == []
    assert store.get(ref.digest) == b"a body"


def test_what_is_being_appended_is_no_fault(store: FileArtifacts) -> None:
    put(store, b"a body", run="r1")
    (path,) = pack_files(store.root)
    whole = path.read_bytes()
    with path.open("ab") as pack:  # the store has it locked
        pack.write(whole[PACK_HEAD_BYTES:-1])
    assert list(StoreCheck(store.root).faults()) == []


@pytest.mark.slow
def test_any_byte_of_a_pack_that_is_changed_is_found_and_nothing_wrong_is_given_out(
    store: FileArtifacts,
) -> None:
    bodies = [b"a body", b"", b"text " * 500, large(5)[:90_000]]
    refs = [put(store, body, run="r1") for body in bodies]
    gone = put(store, b"not needed")
    store.collect(0)
    store.close()
    with pytest.raises(ArtifactMissing):
        store.get(gone.digest)
    (path,) = pack_files(store.root)
    whole, rng = path.read_bytes(), random.Random(7)
    for at in (*range(600), *range(600, len(whole), 997)):
        flip(path, at, rng.randrange(1, 256))
        assert faults(store) != [], at
        for ref, body in zip(refs, bodies, strict=True):
            try:
                assert store.get(ref.digest) == body
            except ArtifactCorrupt:
                continue
        store.close()
        path.write_bytes(whole)
    assert faults(store) == []


def test_a_missing_body_is_told_with_who_refers_to_it_and_one_that_nobody_needs_is_forgotten(
    store: FileArtifacts,
) -> None:
    linked, named, idle = put(store, b"linked", run="r1"), put(store, b"named", "n"), put(store, b"idle")
    for ref in (linked, named, idle):
        lose(store.root, ref.digest)
    found = {fault.name: (fault.kind, fault.run, fault.known_as) for fault in faults(store)}
    assert found == {
        linked.digest: ("missing", "r1", None), named.digest: ("missing", None, "n"),
        idle.digest: ("stale", None, None),
    }  # fmt: skip
    assert sorted(repaired(store)) == ["", "", "its record was dropped"]
    assert {fault.name for fault in faults(store)} == {linked.digest, named.digest}


def test_a_body_without_a_record_is_recorded_and_stays(store: FileArtifacts) -> None:
    lost = put(store, b"lost", run="r1")
    store.close()
    with closing(RecordLog(store.root / "records.log")) as log:
        log.replace(())
    assert faults(store) == [BodyFault(kind="unrecorded", name=lost.digest)]
    assert repaired(store) == ["recorded under the name recovered"]
    assert faults(store) == []
    assert store.find("recovered").digest == lost.digest
    assert store.collect(0).objects == 0


def test_without_its_log_every_body_is_recorded_again(store: FileArtifacts) -> None:
    refs = [put(store, b"%d" % number, f"n{number}") for number in range(3)]
    store.close()
    (store.root / "records.log").unlink()
    assert {fault.name for fault in faults(store)} == {ref.digest for ref in refs}
    repaired(store)
    assert faults(store) == []
    assert store.find("n1").digest == refs[1].digest


def test_damaged_lines_of_the_log_are_told_and_nothing_is_dropped_for_them(store: FileArtifacts) -> None:
    ref, idle = put(store, b"a body", run="r1"), put(store, b"idle")
    store.close()
    log = store.root / "records.log"
    log.write_bytes(log.read_bytes().replace(b'"linked"', b'"l1nked"'))
    lose(store.root, ref.digest)
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert [fault.kind for fault in faults(store)] == ["log", "stale"]
    assert repaired(store) == ["", ""]
    assert [fault.kind for fault in faults(store)] == ["log", "stale"]
    assert store.get(idle.digest) == b"idle"


@pytest.mark.parametrize("kind", ["put", "linked", "tagged", "rated", "pinned"])
def test_damaged_lines_of_the_log_are_restored_from_an_index_that_had_read_them(
    store: FileArtifacts, kind: str
) -> None:
    def known() -> object:
        found = list(store.records()), store.versions("name"), store.find("name@best").digest
        store.close()
        return found

    ref = put(store, b"a body", "name", "r1")
    store.tag("name", 1, "best")
    put(store, b"another", "name", "r2")
    store.rate(ref.digest, Rating(by="ann", score=0.5, at=1.0))
    store.pin(ref.digest)
    before = known()
    log = store.root / "records.log"
    damaged = log.read_bytes().replace(b'"kind":"%b"' % kind.encode(), b'"kind":"%b"' % (b"?" * len(kind)))
    log.write_bytes(damaged)
    assert any(fault.kind == "log" for fault in faults(store))
    done = repaired(store)
    assert all(done)
    aside = store.root / "quarantine" / "records.log.damaged-0"
    assert done[0] == f"rewritten from the index, which had read it before; the damaged one is {aside}"
    assert aside.read_bytes() == damaged
    assert faults(store) == []
    assert known() == before
    (store.root / "index.db").unlink()
    assert known() == before


@pytest.mark.parametrize("left", [b"", b"ec94", b"\0" * 500])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_log_without_one_whole_line_counts_as_missing(
    store: FileArtifacts, left: bytes, *, indexed: bool
) -> None:
    ref = put(store, b"a body", "name", "r1")
    store.close()
    (store.root / "records.log").write_bytes(left)
    for path in () if indexed else store.root.glob("index.db*"):
        path.unlink()
    looked = store.standings()  # which writes nothing
    assert [(one.digest, one.needed) for one in looked.all] == [(ref.digest, True)]
    assert looked.damaged == 0
    assert store.find("name" if indexed else "recovered").digest == ref.digest
    idle = put(store, b"idle")
    store.close()
    assert faults(store) == []
    assert store.collect(0).objects == 1
    assert store.size(idle.digest) is None


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99])
def test_a_log_that_was_cut_off_is_written_anew_from_its_index(store: FileArtifacts, part: float) -> None:
    for number in range(20):
        put(store, b"%d" % number, f"name {number % 3}", f"r{number}")
    before = list(store.records())
    store.close()
    log = store.root / "records.log"
    os.truncate(log, int(log.stat().st_size * part))
    assert list(store.records()) == before
    assert faults(store) == []
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert list(store.records()) == before


def test_a_damaged_log_is_not_written_anew_of_an_index_that_lacks_what_it_says(store: FileArtifacts) -> None:
    put(store, b"a body", "name", "r1")
    put(store, b"another", "name", "r2")
    store.close()
    log = store.root / "records.log"
    log.write_bytes(log.read_bytes().replace(b'"linked"', b'"l1nked"', 1))
    with closing(sqlite3.connect(store.root / "index.db")) as db, db:
        db.create_function("row_sum", -1, row_sum, deterministic=True)
        db.execute("DELETE FROM versions WHERE number = 2")
    before = log.read_bytes()
    assert repaired(store)[0] == ""
    assert log.read_bytes() == before
    assert [one.number for one in store.versions("name")] == [2, 1]


@pytest.mark.parametrize("table", ["objects", "named", "linked", "versions"])
def test_an_index_that_differs_from_its_log_is_found_and_made_again(store: FileArtifacts, table: str) -> None:
    put(store, b"a body", "name", "r1")
    records = list(store.records())
    store.close()
    with closing(sqlite3.connect(store.root / "index.db")) as db, db:
        db.create_function("row_sum", -1, row_sum, deterministic=True)
        db.execute(f"DELETE FROM {table}")
    assert faults(store) == [BodyFault(kind="index", name=str(store.root / "index.db"))]
    assert repaired(store) == ["rebuilt from the log when it is next used"]
    assert list(store.records()) == records
    assert faults(store) == []


def test_what_a_dead_writer_left_is_found_and_deleted_and_that_of_a_living_one_is_not(
    store: FileArtifacts,
) -> None:
    put(store, b"a body")
    (store.root / "tmp").mkdir()
    (store.root / "tmp" / "dead.part").write_bytes(b"half")
    with store.writer(content_type="text/plain") as writer:
        writer.write(b"more")
        assert faults(store) == [BodyFault(kind="stray", name=str(store.root / "tmp" / "dead.part"))]
        assert repaired(store) == ["deleted"]
        assert writer.commit().size == 4
    assert faults(store) == []


def test_a_body_that_was_put_while_the_store_was_looked_at_is_no_fault(
    store: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"before")
    intact = Bodies.intact

    def meanwhile(bodies: Bodies, digest: Digest, size: int, *, reading: Reading) -> bool:
        monkeypatch.setattr(Bodies, "intact", intact)
        for number in range(300):
            put(store, b"%d" % number)
        return intact(bodies, digest, size, reading=reading)

    monkeypatch.setattr(Bodies, "intact", meanwhile)
    assert list(StoreCheck(store.root).faults()) == []


def test_a_record_of_a_body_that_never_came_is_stale(store: FileArtifacts) -> None:
    put(store, b"a body")
    store.close()
    with (store.root / "records.log").open("ab") as log:
        log.write(line_of(Put(Digest("a" * 64), 3, "text/plain")))
        os.fsync(log.fileno())
    assert faults(store) == [BodyFault(kind="stale", name="a" * 64)]
    assert repaired(store) == ["its record was dropped"]
    assert faults(store) == []
