"""The store in files under damage: nothing unverified is given out, nothing needed is deleted."""

import fcntl
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.encryption import PASSPHRASE, keys
from tests.support.packs import age, damage, flip, frames_of, pack_files

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.encryption.sources import VARIABLE
from symphony.pit.artifacts.metadata.records import Unlinked, line_of
from symphony.pit.artifacts.packs.frames import head_bytes
from symphony.pit.artifacts.packs.packs import FRAME_BYTES
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, Provenance, Rating
from symphony.ports.values import ArtifactRef

BODY = b"a body of some length\n" * 100


@pytest.fixture(params=["plain", "encrypted"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileArtifacts]:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # for other stores of the same folder
    root = tmp_path / "home" / "artifacts"
    made = FileArtifacts(root, keys=keys(root, encrypts=request.param == "encrypted"))
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes = BODY, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def link(store: FileArtifacts, ref: ArtifactRef, run_id: str = "r") -> None:
    store.link(ref, Provenance(run_id=run_id, node="n", port="p", operator="o", version="1.0.0"))


def test_looking_makes_no_files(store: FileArtifacts) -> None:
    with pytest.raises(ArtifactMissing):
        store.find("x" * 8)
    assert list(store.records()) == []
    store.unlink_run("r")
    assert store.collect(0) == (0, 0)
    assert not store.root.exists()


def test_the_store_is_private(store: FileArtifacts) -> None:
    put(store, name="name")
    put(store, os.urandom(300_000))
    for path in (store.root, *store.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("region", ["head", "table", "payload", "state"])
def test_a_damaged_body_is_never_given_out_and_put_repairs_it(store: FileArtifacts, region: str) -> None:
    ref = put(store)
    store.close()
    ((path, frame),) = frames_of(store.root, ref.digest)
    regions = {"head": 5, "table": head_bytes(0) + 9, "payload": frame.head + 3, "state": head_bytes(0)}
    flip(path, frame.offset + regions[region])
    if region == "state":  # a mark says nothing of the body
        assert store.get(ref.digest) == BODY
        return
    with pytest.raises(ArtifactCorrupt):
        store.get(ref.digest)
    got = b""
    with pytest.raises(ArtifactCorrupt), store.open(ref.digest) as stream:
        while piece := stream.read(1_000):
            got += piece
    assert got == b""
    assert put(store) == ref
    assert store.get(ref.digest) == BODY


def test_a_large_damaged_body_ends_in_an_error_not_in_its_last_bytes(store: FileArtifacts) -> None:
    body = os.urandom(3 << 20)
    ref = put(store, body)
    store.close()
    damage(store.root, ref.digest)
    got = 0
    with store.open(ref.digest) as stream, pytest.raises(ArtifactCorrupt):
        while piece := stream.read(1 << 16):
            got += len(piece)
    assert got < len(body)


def test_a_part_of_a_damaged_body_is_never_given_out(store: FileArtifacts) -> None:
    body = os.urandom(1 << 20)
    ref, small = put(store, body), put(store)
    damage(store.root, ref.digest)
    damage(store.root, small.digest)
    with store.ranges(ref.digest) as ranges:
        assert store.holds(ref)  # that it is younger now is no damage
        assert ranges.read(2, 4) == body[2:6]
        with pytest.raises(ArtifactCorrupt):
            ranges.read(len(body) - 4, 4)
        assert ranges.read(2, 4) == body[2:6]
    with pytest.raises(ArtifactCorrupt):
        store.ranges(small.digest)


def test_a_part_of_a_body_is_read_without_the_rest_of_it(store: FileArtifacts) -> None:
    body = os.urandom(4 << 20)
    ref, read = put(store, body), list[int]()
    with store.ranges(ref.digest) as ranges, pytest.MonkeyPatch.context() as patched:
        pread = os.pread
        patched.setattr(os, "pread", lambda *given: (read.append(given[1]), pread(*given))[1])
        assert ranges.read(2 << 20, 1_000) == body[2 << 20 : (2 << 20) + 1_000]
    assert 0 < sum(read) < 4 * FRAME_BYTES


def test_what_a_writer_that_is_given_up_has_written_is_swept(store: FileArtifacts) -> None:
    kept, body = put(store, os.urandom(200_000), "kept"), os.urandom(12 << 20)
    with store.writer(content_type="text/plain") as writer:
        writer.write(body)
        assert sum(path.stat().st_size for path in pack_files(store.root)) > 8 << 20
        store.collect(0)
        writer.write(body[:100])
        ref = writer.commit()
    assert store.get(ref.digest) == body + body[:100]
    with store.writer(content_type="text/plain") as writer:
        writer.write(os.urandom(12 << 20))
    assert store.collect(0).objects == 1
    assert sum(path.stat().st_size for path in pack_files(store.root)) < 300_000
    assert len(store.get(kept.digest)) == 200_000


def test_a_link_or_a_pipe_in_the_place_of_a_pack_is_never_followed(
    store: FileArtifacts, tmp_path: Path
) -> None:
    ref = put(store)
    store.close()
    (path,) = pack_files(store.root)
    path.rename(tmp_path / "outside")
    for make in (lambda: path.symlink_to(tmp_path / "outside"), lambda: os.mkfifo(path)):
        make()
        for act in (store.get, store.open):
            with pytest.raises(ArtifactMissing):
                act(ref.digest)
        assert put(store) == ref
        assert store.get(ref.digest) == BODY
        store.close()
        path.unlink()
        for pack in pack_files(store.root):
            pack.unlink()


def test_packs_that_vanish_while_they_are_in_use_are_made_again(store: FileArtifacts) -> None:
    ref = put(store)
    for path in pack_files(store.root):
        path.unlink()
    (store.root / "packs").rmdir()
    assert put(store) == ref
    assert FileArtifacts(store.root).get(ref.digest) == BODY


@pytest.mark.parametrize("damage", ["gone", "text", "torn", "empty", "foreign"])
def test_the_index_is_made_anew_from_the_log(store: FileArtifacts, damage: str) -> None:
    old, new = put(store, b"old", "name"), put(store, b"new", "name")
    link(store, old)
    store.rate(new.digest, Rating(score=0.7, by="ada"))
    records = list(store.records())
    store.close()
    index = store.root / "index.db"
    if damage == "foreign":
        import sqlite3

        for path in store.root.glob("index.db*"):
            path.unlink()
        with sqlite3.connect(index) as connection:
            connection.execute("CREATE TABLE objects (id INTEGER)")
        connection.close()
    elif damage == "gone":
        index.unlink()
    else:
        index.write_bytes(
            {"text": b"no database" * 500, "torn": index.read_bytes()[:4_000], "empty": b""}[damage]
        )
    assert list(store.records()) == records
    assert store.find("name").digest == new.digest
    assert store.collect(0).objects == 0


def test_an_index_that_breaks_in_use_is_made_anew(store: FileArtifacts) -> None:
    refs = [put(store, b"%d" % i, f"name {i}") for i in range(30)]
    store.close()
    index = store.root / "index.db"
    body = bytearray(index.read_bytes())
    body[4_096:] = b"\x5a" * (len(body) - 4_096)
    index.write_bytes(body)
    assert put(store, b"31", "more").size == 2
    assert store.find("name 7").digest == refs[7].digest
    assert len(list(store.records())) == 31


def test_without_its_log_a_store_keeps_everything(store: FileArtifacts) -> None:
    linked, idle = put(store, b"linked"), put(store, b"idle")
    link(store, linked)
    store.close()
    (store.root / "records.log").unlink()
    assert len(list(store.records())) == 2
    assert store.find(linked.digest).provenance != ()
    store.close()
    (store.root / "records.log").unlink()
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert store.collect(0).objects == 0
    assert {record.digest for record in store.records()} == {linked.digest, idle.digest}
    assert store.find("recovered").size in (4, 6)


def test_a_line_torn_by_a_crash_is_dropped(store: FileArtifacts) -> None:
    ref = put(store, name="name")
    store.close()
    with (store.root / "records.log").open("ab") as log:
        log.write(b"0000 torn")
    link(store, ref)
    assert len(store.find("name").provenance) == 1
    assert b"torn" not in (store.root / "records.log").read_bytes()
    assert store.collect(0).objects == 0


def test_nothing_is_deleted_while_references_may_be_lost(
    store: FileArtifacts, caplog: pytest.LogCaptureFixture
) -> None:
    ref = put(store)
    link(store, ref)
    store.close()
    log = store.root / "records.log"
    log.write_bytes(log.read_bytes().replace(b'"linked"', b'"l1nked"') + line_of(Unlinked("another")))
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert store.find(ref.digest).provenance == ()
    assert store.collect(0).objects == 0
    assert store.get(ref.digest) == BODY
    assert "nothing is deleted" in caplog.text


def test_the_log_shrinks_and_nothing_is_lost(store: FileArtifacts) -> None:
    kept, first = put(store, b"kept", "name"), put(store, b"first", "name")
    link(store, kept)
    link(store, first, "r2")
    put(store, b"kept", "name")
    store.rate(kept.digest, Rating(score=0.7, by="ada", note="good"))
    with (store.root / "records.log").open("ab") as log:
        log.write(line_of(Unlinked("many runs")) * 1_400)
    before = list(store.records())
    size = (store.root / "records.log").stat().st_size
    other = FileArtifacts(store.root)
    assert other.find("name").digest == kept.digest
    assert store.collect(0).objects == 0
    assert (store.root / "records.log").stat().st_size < size / 10
    for reader in (store, other):
        assert list(reader.records()) == before
        assert reader.find("name").digest == kept.digest
    other.unlink_run("r2")
    assert store.collect(0).objects == 1
    other.close()


def test_strays_of_the_dead_are_cleared_and_those_of_the_living_kept(store: FileArtifacts) -> None:
    put(store)
    (store.root / "tmp").mkdir()
    dead, living, foreign = (store.root / "tmp" / name for name in ("a.part", "b.part", "note.txt"))
    for path in (dead, living, foreign):
        path.write_bytes(b"half")
    fd = os.open(living, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    store.collect(0)
    assert not dead.exists()
    assert living.exists()
    assert foreign.exists()
    os.close(fd)
    store.collect(0)
    assert not living.exists()


def test_two_stores_on_one_directory_see_each_other(store: FileArtifacts) -> None:
    other = FileArtifacts(store.root)
    ref = put(store, name="name")
    assert other.find("name").digest == ref.digest
    link(other, ref)
    assert len(store.find("name").provenance) == 1
    other.unlink_run("r")
    assert store.find("name").provenance == ()
    other.close()


def test_a_cache_hit_protects_its_body(store: FileArtifacts) -> None:
    ref = put(store)
    age(store.root, ref.digest)
    assert store.holds(ref)
    assert store.collect(60).objects == 0
    age(store.root, ref.digest)
    assert store.collect(60).objects == 1
    assert not store.holds(ref)


def test_a_full_disk_is_said_and_leaves_nothing(
    store: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)

    class Full:
        f_bavail, f_frsize, f_blocks = 1, 4_096, 100

    monkeypatch.setattr(os, "statvfs", lambda _: Full())
    with pytest.raises(SymphonyError, match="4096 bytes are free") as caught:
        put(store, b"another")
    assert caught.value.code == "storage-full"
    assert "free some room" in (caught.value.hint or "")
    with pytest.raises(SymphonyError) as caught:
        store.put_stream(io.BytesIO(b"another"), content_type="text/plain")
    assert caught.value.code == "storage-full"
    assert put(store).size == len(BODY)
    assert len(list(store.records())) == 1
