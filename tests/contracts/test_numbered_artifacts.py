"""Numbers of versions in files survive a rebuilt index, a rewritten log, damage, and earlier versions."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from symphony.pit.artifacts.metadata.records import Put, Tagged, Unlinked, line_of
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactMissing, ArtifactVersion, Provenance
from symphony.ports.values import ArtifactRef, Digest

OLD = Path(__file__).parents[1] / "data" / "stores" / "unnumbered.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileArtifacts]:
    made = FileArtifacts(tmp_path / "artifacts")
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes, name: str = "n") -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def add(store: FileArtifacts, body: bytes, name: str = "n", tags: tuple[str, ...] = ()) -> ArtifactVersion:
    return store.add_version(io.BytesIO(body), name=name, content_type="a/b", tags=tags)


def by(run: str) -> Provenance:
    return Provenance(run_id=run, node="n", port="p", operator="o", version="1")


def told(store: FileArtifacts, *names: str) -> list[list[ArtifactVersion]]:
    return [list(store.versions(name, limit=1_000)) for name in names]


def without_index(store: FileArtifacts) -> None:
    store.close()
    for path in store.root.glob("index.db*"):
        path.unlink()


def filled(store: FileArtifacts) -> None:
    for number in range(30):
        store.link(put(store, b"%d" % (number % 7)), by(f"r{number}"))
    add(store, b"x", tags=("best",))
    store.add_version(
        io.BytesIO(b"y"), name="n", content_type="a/b", note="said\n", parents=[put(store, b"0").digest]
    )
    store.unlink_run("r29")
    for body in (b"gone", b"gone too"):
        store.link(put(store, body), by("r"))
    put(store, b"gone", "m")
    store.unlink_run("r")
    assert store.collect(-1).objects == 1


def test_versions_survive_a_rebuilt_index_and_a_rewritten_log(store: FileArtifacts) -> None:
    filled(store)
    before, records = told(store, "n", "m"), list(store.records(limit=100))
    assert sum(version.deleted for version in before[0]) == 1
    without_index(store)
    assert told(store, "n", "m") == before
    log = store.root / "records.log"
    with log.open("ab") as lines:
        lines.write(line_of(Unlinked("nobody")) * 2_000)
    store.collect(-1)
    assert log.stat().st_size < 30_000
    assert told(store, "n", "m") == before
    assert list(store.records(limit=100)) == records
    without_index(store)
    assert told(store, "n", "m") == before
    assert list(store.records(limit=100)) == records
    assert add(store, b"new").number == before[0][0].number + 1


def test_a_number_that_a_damaged_line_had_is_not_given_again(store: FileArtifacts) -> None:
    for body in (b"a", b"b", b"c"):
        add(store, body)
    add(store, b"other", "other")
    digest = store.versions("n")[0].digest
    store.close()
    log = store.root / "records.log"
    lines = log.read_bytes().splitlines(keepends=True)
    (lost,) = (number for number, line in enumerate(lines) if digest.encode() in line)
    lines[lost] = lines[lost].replace(b'"put"', b'"pvt"')
    log.write_bytes(b"".join(lines))
    without_index(store)
    assert [version.number for version in store.versions("n")] == [2, 1]
    assert add(store, b"d").number == 4
    assert add(store, b"e").number == 5
    assert add(store, b"more", "other").number == 2
    assert add(store, b"new", "new").number == 1
    without_index(store)
    assert [version.number for version in store.versions("n")] == [5, 4, 2, 1]


def test_names_of_earlier_versions_get_numbers_in_the_order_of_the_log(tmp_path: Path) -> None:
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    store = FileArtifacts(tmp_path / "artifacts")
    before = store.root.joinpath("records.log").read_bytes()
    numbers = [(version.number, version.run_id, version.deleted) for version in store.versions("report")]
    assert numbers == [
        (5, "r1", False),
        (4, "r3", True),
        (3, "r2", False),
        (2, None, False),
        (1, "r1", False),
    ]
    assert [store.get(store.find(f"report@{number}").digest) for number in (5, 3, 1)] == [b"c", b"a", b"a"]
    assert store.get(store.find("report@2").digest) == b"an old name"  # comes before version 2 of report
    assert store.get(store.find("ann@example.com").digest) == b"mail"
    assert store.find("ann@example.com@1").names == ("ann@example.com",)
    assert store.root.joinpath("records.log").read_bytes() == before  # looking changes nothing
    versions = told(store, "report", "report@2", "ann@example.com")
    add(store, b"new", "report")
    assert b'"version":2' in store.root.joinpath("records.log").read_bytes()
    assert told(store, "report@2", "ann@example.com") == versions[1:]
    assert store.versions("report")[1:] == versions[0]
    without_index(store)
    assert store.versions("report")[1:] == versions[0]
    assert list(StoreCheck(store.root).faults()) == []
    store.close()


def test_a_damaged_log_of_an_earlier_version_is_not_rewritten(tmp_path: Path) -> None:
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    log = tmp_path / "artifacts" / "records.log"
    before = log.read_bytes().replace(b'"unlinked"', b'"vnlinked"')
    log.write_bytes(before)
    store = FileArtifacts(tmp_path / "artifacts")
    for name in ("report", "new"):
        add(store, b"new", name)
    assert log.read_bytes().startswith(before)
    assert store.versions("new")[0].number == 1
    store.close()


def test_a_number_that_two_bodies_have_is_a_fault_and_the_first_counts(store: FileArtifacts) -> None:
    first = add(store, b"a")
    store.put(b"b", content_type="a/b")
    other = add(store, b"b", "m")
    store.close()
    with (store.root / "records.log").open("ab") as log:
        log.write(line_of(Put(other.digest, 1, "a/b", "n", version=1)))
        log.write(line_of(Tagged("n", "best", Digest("f" * 64), 7)))
    assert store.find("n@1").digest == first.digest
    faults = [(fault.kind, fault.name) for fault in StoreCheck(store.root).faults()]
    assert faults == [("version", "n@1"), ("version", "n@best")]
    with pytest.raises(ArtifactMissing):
        store.find("n@best")


def test_two_processes_never_give_one_number_twice(store: FileArtifacts) -> None:
    other = FileArtifacts(store.root)
    given = [add(one, b"%d" % number).number for number in range(20) for one in (store, other)]
    # Both put the same 20 bodies in turn: the second of each pair adds no version.
    assert given == [number for number in range(1, 21) for _ in range(2)]
    for number in range(5):
        for one in (store, other):
            one.put(b"%d" % number, content_type="a/b", name="n", durable=False)
    other.settle()
    store.settle()
    assert [version.number for version in store.versions("n")] == list(range(30, 0, -1))
    other.close()


def test_a_number_is_given_once_though_the_log_could_not_be_written(
    store: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, b"a")

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        with pytest.raises(Exception, match="No space left"):
            put(store, b"a")
    put(store, b"b")
    assert [version.number for version in store.versions("n")] == [2, 1]
