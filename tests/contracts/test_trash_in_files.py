"""The trash of a store in files: what survives restarts, rewritten logs and deaths in the middle."""

import hashlib
from pathlib import Path

import pytest

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.metadata.index import Index
from symphony.pit.artifacts.metadata.ledger import Ledger, read_whole
from symphony.pit.artifacts.store import trash
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.ports.artifacts import ArtifactMissing
from symphony.ports.retention import StoredName
from symphony.ports.values import ArtifactRef, Digest

ANY_AGE = -10.0


def put(store: FileArtifacts, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def move_all(store: FileArtifacts) -> None:
    store.trash([(one, "why") for one in store.standings().all], min_age_s=ANY_AGE)


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def filled(root: Path) -> FileArtifacts:
    store = FileArtifacts(root)
    refs = [put(store, b"%d" % n, f"n{n}") for n in range(4)]
    move_all(store)
    store.restore([refs[1].digest])
    store.pin(refs[2].digest)
    store.get(refs[3].digest)
    store.close()
    return store


def test_pins_trash_and_reads_survive_a_lost_index_and_a_rewritten_log(tmp_path: Path) -> None:
    filled(tmp_path)
    before = FileArtifacts(tmp_path).standings()
    assert [one.trashed_at is not None for one in before.all].count(True) == 1
    (tmp_path / "index.db").unlink()
    assert FileArtifacts(tmp_path).standings() == before
    ledger = Ledger(tmp_path, lambda: ())
    ledger._log.replace(ledger.ask(lambda index: list(index.dump())))
    ledger.close()
    assert FileArtifacts(tmp_path).standings() == before
    assert list(StoreCheck(tmp_path).faults()) == []
    found = Index(None)
    assert read_whole(tmp_path, found)
    assert found.count() == len(list(found.dump()))


def test_to_look_at_the_facts_writes_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    with (tmp_path / "records.log").open("ab") as log:
        log.write(b"torn")
    before = files(tmp_path)
    assert len(FileArtifacts(tmp_path).standings().all) == 4
    assert files(tmp_path) == before


@pytest.mark.parametrize("writes", [False, True])
def test_the_facts_come_page_by_page_and_know_what_is_on_other_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, writes: bool
) -> None:
    monkeypatch.setattr(trash, "_LOOKED_AT", 2)
    store = FileArtifacts(tmp_path)
    refs = [put(store, b"%d" % number, "name") for number in range(5)]
    with store.look(writes=writes) as found:
        pages = list(found.pages())
        assert list(found.pages()) == pages
    assert [len(page) for page in pages] == [2, 2, 1]
    told = {one.digest: one.names for page in pages for one in page}
    assert list(told) == sorted(ref.digest for ref in refs)
    for number, ref in enumerate(refs):
        assert told[ref.digest] == (StoredName("name", given=True, newer=4 - number, version=number + 1),)


def test_nothing_goes_while_lines_of_the_log_are_damaged(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    put(store, b"x")
    facts = store.standings().all
    with (tmp_path / "records.log").open("ab") as log:
        log.write(b"damaged\n")
    assert store.standings().damaged == 1
    assert store.trash([(one, "") for one in facts], min_age_s=ANY_AGE) == (0, 0)


def test_a_sweep_that_died_between_body_and_record_is_finished_by_the_next(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    ref = put(store, b"x", "n")
    move_all(store)
    store._bodies.remove([ref.digest])
    store.sweep([])
    assert list(StoreCheck(tmp_path).faults()) == []
    with pytest.raises(ArtifactMissing):
        store.find("n")


def test_a_body_without_a_record_goes_through_the_trash_too(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    put(store, b"known", "n")
    store._bodies.put({Digest(hashlib.sha256(b"orphan").hexdigest()): b"orphan"})
    idle = [one for one in store.standings().all if not one.kept]
    assert store.trash([(one, "") for one in idle], min_age_s=ANY_AGE).objects == 1
    assert store.sweep(store.standings().all, min_age_s=ANY_AGE).objects == 1
    assert [one.kept for one in store.standings().all] == [True]
