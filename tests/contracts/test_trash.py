"""What every artifact store with a trash keeps to: one suite over files and memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.stores import KINDS, Store, store_of

from symphony.pit.artifacts import FileArtifacts
from symphony.ports.artifacts import ArtifactMissing, Provenance
from symphony.ports.retention import ArtifactTrashed, RetainedStore, Standing
from symphony.ports.values import ArtifactRef, Digest

ANY_AGE = -10.0
"""Nothing is too young."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = store_of(request.param, tmp_path / "artifacts")
    yield made
    made.close()


def put(store: Store, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def by(run_id: str) -> Provenance:
    return Provenance(run_id=run_id, node="n", port="result", operator="o", version="1.0.0")


def standing(store: Store, digest: Digest) -> Standing:
    return next(one for one in store.standings().all if one.digest == digest)


def trashed(store: Store, ref: ArtifactRef) -> Standing:
    """Move an artifact to the trash; its facts now."""
    moved = store.trash([(standing(store, ref.digest), "a rule: a reason")], min_age_s=ANY_AGE)
    assert moved == (1, ref.size)
    return standing(store, ref.digest)


def test_it_is_a_store_with_a_trash(store: Store) -> None:
    seam: RetainedStore = store
    assert list(seam.standings().all) == []


def test_the_facts_are_what_was_put_and_linked(store: Store) -> None:
    first, second, idle = put(store, b"1", "report"), put(store, b"22", "report"), put(store, b"333")
    store.link(second, by("r1"))
    facts = {one.digest: one for one in store.standings().all}
    assert [(facts[ref.digest].size, facts[ref.digest].needed) for ref in (first, second, idle)] == [
        (1, True), (2, True), (3, False),
    ]  # fmt: skip
    assert [(name.name, name.given, name.newer) for name in facts[first.digest].names] == [
        ("report", True, 1)
    ]
    assert [(name.given, name.newer) for name in facts[second.digest].names] == [(False, 0)]
    assert facts[second.digest].runs == {"r1"}


def test_what_is_in_the_trash_is_neither_found_nor_listed(store: Store) -> None:
    older, ref = put(store, b"older", "n"), put(store, b"x", "n")
    assert trashed(store, ref).trashed_at is not None
    assert store.find("n").digest == older.digest
    assert [record.digest for record in store.records()] == [older.digest]
    with pytest.raises(ArtifactTrashed) as caught:
        store.find(ref.digest)
    assert "gc undo" in (caught.value.hint or "")
    trashed(store, older)
    with pytest.raises(ArtifactTrashed):
        store.find("n")
    assert store.about(older.digest).names == ("n",)
    with pytest.raises(ArtifactMissing):
        store.about(Digest("0" * 64))


def test_what_is_brought_back_is_as_it_was(store: Store) -> None:
    refs = [put(store, b"%d" % n, f"n{n}") for n in range(3)]
    before = {ref.digest: store.find(ref.digest) for ref in refs}
    for ref in refs:
        trashed(store, ref)
    assert store.restore([refs[0].digest]) == (1, 1)
    assert store.restore([refs[0].digest]) == (0, 0)
    assert store.restore() == (2, 2)
    assert {ref.digest: store.find(ref.digest) for ref in refs} == before
    assert standing(store, refs[0].digest).restored_at is not None


def test_what_is_put_again_or_linked_comes_back(store: Store) -> None:
    again, linked = put(store, b"again"), put(store, b"linked")
    trashed(store, again), trashed(store, linked)
    put(store, b"again")
    store.link(linked, by("r1"))
    assert {record.digest for record in store.records()} == {again.digest, linked.digest}
    assert store.sweep(store.standings().all, min_age_s=ANY_AGE) == (0, 0)


def test_what_is_read_through_its_digest_comes_back(store: Store) -> None:
    refs = [put(store, b"%d" % n) for n in range(4)]
    for ref in refs:
        trashed(store, ref)
    assert store.get(refs[0].digest) == b"0"
    with store.open(refs[1].digest) as stream:
        assert stream.read() == b"1"
    with store.ranges(refs[2].digest) as ranges:
        assert ranges.read(0, 1) == b"2"
    assert store.holds(refs[3])
    store.log_reads()
    assert {record.digest for record in store.records()} == {ref.digest for ref in refs}


def test_a_sweep_deletes_what_is_in_the_trash_and_nothing_else(store: Store) -> None:
    gone, stays = put(store, b"gone", "g"), put(store, b"stays", "s")
    trashed(store, gone)
    assert store.sweep(store.standings().all, min_age_s=ANY_AGE) == (1, 4)
    assert store.sweep(store.standings().all, min_age_s=ANY_AGE) == (0, 0)
    with pytest.raises(ArtifactMissing):
        store.get(gone.digest)
    with pytest.raises(ArtifactMissing) as caught:
        store.find("g")
    assert not isinstance(caught.value, ArtifactTrashed)
    assert store.get(stays.digest) == b"stays"


def test_what_has_changed_since_it_was_judged_stays(store: Store) -> None:
    put(store, b"named")
    linked, pinned = put(store, b"linked"), put(store, b"pinned")
    before = store.standings().all
    put(store, b"named", "n")
    store.link(linked, by("r1"))
    store.pin(pinned.digest)
    assert store.trash([(one, "") for one in before], min_age_s=ANY_AGE) == (0, 0)


def test_what_has_changed_since_the_trash_was_judged_stays(store: Store) -> None:
    refs = [put(store, b"%d" % n) for n in range(3)]
    in_trash = [trashed(store, ref) for ref in refs]
    put(store, b"0")
    store.link(refs[1], by("r1"))
    store.restore([refs[2].digest])
    trashed(store, refs[2])  # at another time: whoever judged it before knows nothing of that
    if isinstance(store, FileArtifacts):
        assert store.sweep(in_trash, min_age_s=ANY_AGE) == (0, 0)
    assert store.sweep(in_trash[:2], min_age_s=ANY_AGE) == (0, 0)


def test_what_was_put_a_short_time_ago_stays(store: Store) -> None:
    ref = put(store, b"young")
    assert store.trash([(standing(store, ref.digest), "")], min_age_s=60) == (0, 0)
    in_trash = trashed(store, ref)
    assert store.sweep([in_trash], min_age_s=60) == (0, 0)
    assert store.collect(60) == (0, 0)


def test_pins_hold_until_they_are_taken_away(store: Store) -> None:
    ref = put(store, b"x")
    trashed(store, ref)
    assert store.pin(ref.digest)
    assert not store.pin(ref.digest)
    assert standing(store, ref.digest).pinned
    assert standing(store, ref.digest).trashed_at is None
    assert store.collect(ANY_AGE) == (0, 0)
    assert store.pin(ref.digest, pinned=False)
    assert not store.pin(ref.digest, pinned=False)
    assert store.collect(ANY_AGE) == (1, 1)
    with pytest.raises(ArtifactMissing):
        store.pin(ref.digest)


def test_reads_within_an_hour_count_once(store: Store) -> None:
    ref, unread = put(store, b"x"), put(store, b"unread")
    for _ in range(3):
        store.get(ref.digest)
        store.log_reads()
    assert standing(store, ref.digest).uses == 1
    assert standing(store, ref.digest).used_at is not None
    assert standing(store, unread.digest).uses == 0
