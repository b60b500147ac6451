"""Every fault that is planted in an artifact store is found, and a repair loses nothing that is good."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts.bodies.objects import ObjectFiles
from symphony.pit.artifacts.metadata.records import Put, RecordLog, line_of
from symphony.pit.artifacts.store.checking import BodyFault, StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, Provenance
from symphony.ports.values import ArtifactRef, Digest


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileArtifacts]:
    made = FileArtifacts(tmp_path / "artifacts")
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes, name: str | None = None, run: str | None = None) -> ArtifactRef:
    ref = store.put(body, content_type="text/plain", name=name)
    if run is not None:
        store.link(ref, Provenance(run_id=run, node="n", port="p", operator="o", version="1.0.0"))
    return ref


def place(store: FileArtifacts, digest: str) -> Path:
    return store.root / "objects" / digest[:2] / digest[2:]


def rewrite(path: Path, body: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(body)


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


@pytest.mark.parametrize("damaged", [b"a bOdy", b"a bod", b"", b"a body!"])
def test_a_damaged_body_is_found_and_put_aside_and_can_be_put_again(
    store: FileArtifacts, damaged: bytes
) -> None:
    ref, good = put(store, b"a body", "name", "r1"), put(store, b"good")
    rewrite(place(store, ref.digest), damaged)
    assert faults(store) == [BodyFault(kind="damaged", name=ref.digest, run="r1", known_as="name")]
    with pytest.raises(ArtifactCorrupt):
        store.get(ref.digest)
    aside = store.root / "quarantine" / ref.digest
    assert repaired(store) == [f"moved to {aside}"]
    assert aside.read_bytes() == damaged
    with pytest.raises(ArtifactMissing):
        store.get(ref.digest)
    assert not store.holds(ref)
    assert faults(store) == [BodyFault(kind="missing", name=ref.digest, run="r1", known_as="name")]
    put(store, b"a body")
    assert faults(store) == []
    assert store.find("name").provenance[0].run_id == "r1"
    assert store.get(good.digest) == b"good"


def test_a_missing_body_is_told_with_who_refers_to_it_and_one_that_nobody_needs_is_forgotten(
    store: FileArtifacts,
) -> None:
    linked, named, idle = put(store, b"linked", run="r1"), put(store, b"named", "n"), put(store, b"idle")
    for ref in (linked, named, idle):
        place(store, ref.digest).unlink()
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
    place(store, ref.digest).unlink()
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert [fault.kind for fault in faults(store)] == ["log", "stale"]
    assert repaired(store) == ["", ""]
    assert [fault.kind for fault in faults(store)] == ["log", "stale"]
    assert store.get(idle.digest) == b"idle"


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
    intact = ObjectFiles.intact

    def meanwhile(objects: ObjectFiles, digest: Digest, size: int) -> bool:
        monkeypatch.setattr(ObjectFiles, "intact", intact)
        for number in range(300):
            put(store, b"%d" % number)
        return intact(objects, digest, size)

    monkeypatch.setattr(ObjectFiles, "intact", meanwhile)
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
