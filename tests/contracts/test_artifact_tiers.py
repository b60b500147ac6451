"""Tiers of artifacts: what every store keeps to, and what holds for stores in files."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.encryption import PASSPHRASE, keys
from tests.support.packs import flip, frames_of, pack_files
from tests.support.storages import FakeStorage
from tests.support.stores import KINDS, Store, store_of

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.encryption.sources import VARIABLE
from symphony.pit.artifacts.packs import codecs, grouping
from symphony.pit.artifacts.packs import packs as packing
from symphony.pit.artifacts.packs.away import AwayPack, AwayPacks, OutsidePlaces
from symphony.pit.artifacts.packs.files import PackReader
from symphony.pit.artifacts.packs.frames import PackFrame
from symphony.pit.artifacts.packs.grouping import regroup
from symphony.pit.artifacts.packs.repacking import repack
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.converting import convert_store
from symphony.ports.artifacts import ArtifactCorrupt
from symphony.ports.object_storage import StorageRefused, StorageUnreachable
from symphony.ports.retention import Standing, Tier
from symphony.ports.values import ArtifactRef, Digest

ANY_AGE = -10.0


@pytest.fixture(params=[*KINDS, "cold"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    root = tmp_path / "artifacts"
    made = cold_store(root, FakeStorage()) if request.param == "cold" else store_of(request.param, root)
    yield made
    made.close()


@pytest.fixture(params=["plain", "encrypted"])
def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileArtifacts]:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # for other stores of the same folder
    root = tmp_path / "artifacts"
    made = FileArtifacts(root, keys=keys(root, encrypts=request.param == "encrypted"))
    yield made
    made.close()


def put(store: Store, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def similar(seed: int, count: int = 6, size: int = 300_000) -> list[bytes]:
    """Texts that differ in a few places, large enough to be cut into chunks."""
    rng = random.Random(seed)
    words = [b"%x" % rng.randrange(1 << 24) for _ in range(4_000)]
    text = b" ".join(rng.choice(words) for _ in range(size // 7))
    return [text[: 1_000 * n] + b" %d " % n + text[1_000 * n :] for n in range(count)]


def move(store: Store, tier: Tier, *refs: ArtifactRef) -> None:
    wanted = {ref.digest for ref in refs}
    moving = [(one, tier, "why") for one in store.standings().all if one.digest in wanted]
    assert store.move(moving).objects == len(wanted)


def tiers(store: Store) -> dict[Digest, Tier]:
    return {one.digest: one.tier for one in store.standings().all}


def faults(store: FileArtifacts) -> list[str]:
    return [fault.kind for fault in StoreCheck(store.root, keys=store.keys).faults()]


def test_what_is_warm_is_read_as_before_by_every_way(store: Store) -> None:
    small, large = put(store, b"small", "s"), put(store, similar(1)[0], "l")
    before = [store.find(name) for name in ("s", "l")]
    move(store, Tier.WARM, small, large)
    assert set(tiers(store).values()) == {Tier.WARM}
    assert [store.find(name) for name in ("s", "l")] == before
    assert store.peek(small.digest, 2) == b"sm"
    with store.ranges(large.digest) as ranges:
        assert ranges.read(150_000, 10) == similar(1)[0][150_000:150_010]
    with store.open(large.digest) as stream:
        assert stream.read() == similar(1)[0]
    assert store.get(small.digest) == b"small"


def test_a_move_changes_nothing_but_the_tier(store: Store) -> None:
    refs = [put(store, b"%d" % n, f"n{n}") for n in range(3)]
    before = {one.digest: one for one in store.standings().all}
    move(store, Tier.WARM, refs[0])
    after = {one.digest: one for one in store.standings().all}
    assert after[refs[0].digest].tier is Tier.WARM
    assert store.trash([(one, "why") for one in before.values()], min_age_s=ANY_AGE).objects == 3


def test_what_is_used_becomes_hot_and_what_is_looked_at_does_not(store: Store) -> None:
    read, ranged, peeked, idle = (put(store, b"%d body" % n) for n in range(4))
    move(store, Tier.WARM, read, ranged, peeked, idle)
    store.get(read.digest)
    with store.ranges(ranged.digest) as ranges:
        ranges.read(0, 1)
    store.peek(peeked.digest, 1)
    store.close()
    found = tiers(store)
    assert [found[one.digest] for one in (read, ranged, peeked, idle)] == [
        Tier.HOT, Tier.HOT, Tier.WARM, Tier.WARM,
    ]  # fmt: skip


def test_similar_artifacts_take_far_less_room_when_they_are_warm(files: FileArtifacts) -> None:
    refs = [put(files, body, "n") for body in similar(2)]
    before = sum(path.stat().st_size for path in pack_files(files.root))
    move(files, Tier.WARM, *refs)
    after = sum(path.stat().st_size for path in pack_files(files.root))
    assert after < 0.95 * before
    assert files.tier_sizes() == {Tier.HOT: 0, Tier.WARM: after, Tier.COLD: 0}


def test_a_part_that_a_hot_artifact_has_too_stays_with_it(files: FileArtifacts) -> None:
    first, second = (put(files, body, "n") for body in similar(3, count=2))
    move(files, Tier.WARM, first)
    assert {path for path, _ in frames_of(files.root, second.digest)} != {
        path for path, _ in frames_of(files.root, first.digest)
    }
    hot = [path for path, _ in frames_of(files.root, second.digest)]
    assert all(not path.read_bytes().startswith(b"symphony warm") for path in hot)
    move(files, Tier.WARM, second)
    assert len(pack_files(files.root)) == 1


def test_warm_artifacts_come_back_and_leave_no_pack_behind(files: FileArtifacts) -> None:
    refs = [put(files, body, "n") for body in similar(4)]
    move(files, Tier.WARM, *refs)
    move(files, Tier.HOT, *refs)
    assert files.tier_sizes()[Tier.WARM] == 0
    assert [files.get(ref.digest) for ref in refs] == similar(4)
    assert faults(files) == []


def test_nothing_new_is_written_into_a_warm_pack(files: FileArtifacts) -> None:
    move(files, Tier.WARM, put(files, b"old"))
    new = put(files, b"new")
    assert tiers(files)[new.digest] is Tier.HOT


def test_warm_artifacts_are_deleted_and_their_packs_shrink(files: FileArtifacts) -> None:
    refs = [put(files, body) for body in similar(5)]
    move(files, Tier.WARM, *refs)
    before = files.tier_sizes()[Tier.WARM]
    put(files, similar(5)[0], "kept")
    assert files.collect(ANY_AGE).objects == 5
    assert files.tier_sizes()[Tier.WARM] <= before
    assert files.get(refs[0].digest) == similar(5)[0]
    assert faults(files) == []


def test_the_index_is_made_again_of_packs_of_both_tiers(files: FileArtifacts) -> None:
    bodies = [*similar(6), b"small"]
    refs = [put(files, body, "n") for body in bodies]
    move(files, Tier.WARM, *refs[::2])
    before = tiers(files)
    files.close()
    (files.root / "packs.db").unlink()
    assert tiers(files) == before
    assert [files.get(ref.digest) for ref in refs] == bodies
    assert faults(files) == []


def test_damage_in_a_warm_pack_is_found_and_costs_what_is_in_its_frame(files: FileArtifacts) -> None:
    refs = [put(files, body, "n") for body in (b"one", b"two")]
    other = put(files, similar(7)[0], "other")
    move(files, Tier.WARM, *refs)
    files.close()
    path, frame = frames_of(files.root, refs[0].digest)[0]
    flip(path, frame.end - 1)
    with pytest.raises(ArtifactCorrupt):
        files.get(refs[0].digest)
    assert faults(files).count("damaged") == 2
    check = StoreCheck(files.root, keys=files.keys)
    for fault in list(check.faults()):
        check.repair(fault)
    put(files, b"one", "n")
    assert files.get(refs[0].digest) == b"one"
    assert files.get(other.digest) == similar(7)[0]


def test_damaged_artifacts_stay_where_they_are(files: FileArtifacts) -> None:
    bad, good = put(files, b"bad body"), put(files, b"good body")
    files.close()
    path, frame = frames_of(files.root, bad.digest)[0]
    flip(path, frame.end - 1)
    moving = [(one, Tier.WARM, "why") for one in files.standings().all]
    assert files.move(moving).objects == 1
    assert tiers(files) == {bad.digest: Tier.HOT, good.digest: Tier.WARM}


def test_what_is_put_or_deleted_while_it_moves_is_not_undone(
    files: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, again, still = (put(files, b"%d body" % n) for n in range(3))
    other = FileArtifacts(files.root, keys=files.keys)
    found = files.standings().all
    flush = grouping.Grouping._flush

    def meanwhile(self: grouping.Grouping) -> None:
        monkeypatch.setattr(grouping.Grouping, "_flush", flush)
        going: list[tuple[Standing, str]] = [(one, "w") for one in found if one.digest == gone.digest]
        other.trash(going, min_age_s=ANY_AGE)
        other.sweep(other.standings().all, min_age_s=ANY_AGE)
        other._bodies.put({again.digest: b"1 body"})
        flush(self)

    monkeypatch.setattr(grouping.Grouping, "_flush", meanwhile)
    files.move([(one, Tier.WARM, "why") for one in found])
    assert tiers(files) == {again.digest: Tier.HOT, still.digest: Tier.WARM}
    files.close()
    other.close()
    (files.root / "packs.db").unlink()
    assert set(tiers(files)) == {again.digest, still.digest}
    assert faults(files) == []


def test_a_reader_that_looked_up_the_old_place_finds_the_new_one(files: FileArtifacts) -> None:
    body = similar(8)[0]
    ref, other = put(files, body, "n"), put(files, b"other", "o")
    looking = FileArtifacts(files.root, keys=files.keys)
    looking._bodies.packs.refresh()
    with looking.ranges(ref.digest) as ranges:
        assert ranges.read(0, 10) == body[:10]
        move(files, Tier.WARM, ref)
        assert ranges.read(200_000, 10) == body[200_000:200_010]
    assert looking._bodies.intact(ref.digest, len(body))
    assert looking.get(other.digest) == b"other"
    looking.close()


def test_warm_artifacts_are_encrypted_and_decrypted_without_being_compressed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    root = tmp_path / "artifacts"
    store = FileArtifacts(root, keys=keys(root, encrypts=False))
    refs = [put(store, body, "n") for body in similar(17)]
    move(store, Tier.WARM, *refs)
    store.close()
    monkeypatch.setattr(codecs, "_compressed_for_long", lambda raw: pytest.fail("it is compressed already"))
    for encrypts in (True, False):
        assert convert_store(root, keys(root, encrypts=encrypts)).packs == 1
        found = FileArtifacts(root, keys=keys(root, encrypts=encrypts))
        assert set(tiers(found).values()) == {Tier.WARM}
        assert [found._bodies.read(ref.digest) for ref in refs] == similar(17)
        assert all(frame.encrypted is encrypts for _, frame in frames_of(root, refs[0].digest))
        found.close()


# -- the cold tier


def cold_store(root: Path, storage: FakeStorage, *, encrypts: bool = False) -> FileArtifacts:
    places = OutsidePlaces(lambda address: storage, cache_bytes=0, cold=storage.address)
    return FileArtifacts(root, places, keys=keys(root, encrypts=encrypts))


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture(params=["plain", "encrypted"])
def cold(request: pytest.FixtureRequest, tmp_path: Path, storage: FakeStorage) -> Iterator[FileArtifacts]:
    made = cold_store(tmp_path / "artifacts", storage, encrypts=request.param == "encrypted")
    yield made
    storage.away = False
    made.close()


def cold_faults(store: FileArtifacts, storage: FakeStorage) -> list[str]:
    places = OutsidePlaces(lambda address: storage, cache_bytes=0, cold=storage.address)
    return [fault.kind for fault in StoreCheck(store.root, places, store.keys).faults()]


@pytest.mark.parametrize("way", ["hot", "warm"])
def test_what_is_cold_lies_outside_alone_and_comes_back_when_it_is_read(
    cold: FileArtifacts, storage: FakeStorage, way: str
) -> None:
    bodies = [*similar(9), b"small"]
    refs, stays = [put(cold, body, "n") for body in bodies], put(cold, b"stays", "s")
    if way == "warm":
        move(cold, Tier.WARM, *refs)
    move(cold, Tier.COLD, *refs)
    sizes = cold.tier_sizes()
    assert sizes[Tier.COLD] == sum(map(len, storage.objects.values())) > 0
    assert sizes[Tier.WARM] == 0
    assert tiers(cold)[stays.digest] is Tier.HOT
    assert cold_faults(cold, storage) == []
    assert [cold.get(ref.digest) for ref in refs] == bodies
    cold.close()
    assert set(tiers(cold).values()) == {Tier.HOT}
    cold.collect()
    assert storage.objects == {}


def test_what_stays_warm_is_not_sent_with_what_becomes_cold(
    cold: FileArtifacts, storage: FakeStorage
) -> None:
    refs = [put(cold, body, "n") for body in similar(10)]
    move(cold, Tier.WARM, *refs)
    move(cold, Tier.COLD, *refs[::2])
    assert [tiers(cold)[ref.digest] for ref in refs] == [Tier.COLD, Tier.WARM] * 3
    storage.away = True
    assert [cold.get(ref.digest) for ref in refs[1::2]] == similar(10)[1::2]
    with pytest.raises(StorageUnreachable):
        cold.get(refs[0].digest)


def test_a_place_that_is_away_costs_nothing_but_what_lies_there(
    cold: FileArtifacts, storage: FakeStorage
) -> None:
    frozen, other = put(cold, similar(11)[0], "n"), put(cold, b"other", "o")
    move(cold, Tier.COLD, frozen)
    storage.away = True
    with pytest.raises(StorageUnreachable):
        move(cold, Tier.COLD, other)
    assert cold.get(other.digest) == b"other"
    again = put(cold, similar(11)[0], "again")
    assert cold.get(again.digest) == similar(11)[0]
    assert tiers(cold) == dict.fromkeys([frozen.digest, other.digest], Tier.HOT)
    version = similar(11, count=2)[1]
    assert cold.get(put(cold, version, "n").digest) == version


def test_what_cannot_be_reached_is_not_deleted_and_holds_up_nothing_else(
    cold: FileArtifacts, storage: FakeStorage
) -> None:
    frozen, other = put(cold, similar(12)[0]), put(cold, b"other")
    move(cold, Tier.COLD, frozen)
    storage.away = True
    cold.collect(ANY_AGE)
    assert cold.size(other.digest) is None
    storage.away = False
    assert cold.get(frozen.digest) == similar(12)[0]
    cold.close()
    assert cold.collect(ANY_AGE).objects == 1
    assert storage.objects == {}


def test_nothing_is_deleted_here_before_the_place_gives_back_what_was_sent(
    cold: FileArtifacts, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = put(cold, similar(13)[0], "n")
    monkeypatch.setattr(storage, "read", lambda name, start, length: b"\0" * length)
    with pytest.raises(StorageRefused, match="gives back something else"):
        move(cold, Tier.COLD, ref)
    assert tiers(cold) == {ref.digest: Tier.WARM}
    assert cold.get(ref.digest) == similar(13)[0]
    monkeypatch.undo()
    move(cold, Tier.COLD, ref)
    assert cold.get(ref.digest) == similar(13)[0]


def test_a_lost_index_is_made_again_of_what_is_cold(cold: FileArtifacts, storage: FakeStorage) -> None:
    refs = [put(cold, body, "n") for body in similar(14)]
    move(cold, Tier.COLD, *refs[:3])
    before = tiers(cold)
    cold.close()
    (cold.root / "packs.db").unlink()
    assert tiers(cold) == before
    assert [cold.get(ref.digest) for ref in refs] == similar(14)


@pytest.fixture
def decompressed(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each frame was, by its offset."""
    counted, raw_of = Counter[int](), packing.raw_of

    def counting(reader: PackReader, frame: PackFrame, known: bytes = b"") -> bytes:
        counted[frame.offset] += 1
        return raw_of(reader, frame, known)

    monkeypatch.setattr(packing, "raw_of", counting)
    return counted


def test_a_check_of_all_decompresses_each_warm_frame_a_few_times_at_most(
    files: FileArtifacts, decompressed: Counter[int]
) -> None:
    bodies = [random.Random(n).randbytes(30_000) for n in range(200)]
    refs = [put(files, body, f"{n % 7}") for n, body in enumerate(bodies)]
    move(files, Tier.WARM, *refs)
    decompressed.clear()
    assert faults(files) == []
    assert len(decompressed) >= 3
    assert max(decompressed.values()) <= 2


def test_neighbours_are_read_at_the_cost_of_one(files: FileArtifacts, decompressed: Counter[int]) -> None:
    bodies = [random.Random(n).randbytes(30_000) for n in range(20)]
    refs = [put(files, body, "n") for body in bodies]
    move(files, Tier.WARM, *refs)
    decompressed.clear()
    assert [files.get(ref.digest) for ref in refs] == bodies
    assert sum(decompressed.values()) == 1
    move(files, Tier.HOT, *refs)
    assert [files.get(ref.digest) for ref in refs] == bodies


def test_a_warm_pack_of_which_most_is_gone_is_rewritten_as_warm(files: FileArtifacts) -> None:
    bodies = [random.Random(n).randbytes(30_000) for n in range(100)]
    refs = [put(files, body) for body in bodies]
    move(files, Tier.WARM, *refs)
    for ref in refs[::5]:
        files.pin(ref.digest)
    assert files.collect(ANY_AGE).objects == 80
    assert set(tiers(files).values()) == {Tier.WARM}
    assert files.tier_sizes()[Tier.WARM] < 700_000
    assert [files.get(ref.digest) for ref in refs[::5]] == bodies[::5]


def test_what_is_left_when_the_time_is_over_moves_the_next_time(store: Store) -> None:
    refs = [put(store, b"%d body" % n, f"n{n}") for n in range(5)]
    moving = [(one, Tier.WARM, "why") for one in store.standings().all]
    asked = iter([False, False])
    assert store.move(moving, out_of_time=lambda: next(asked, True)).objects == 2
    assert store.move(moving).objects >= 3
    assert set(tiers(store).values()) == {Tier.WARM}
    assert len(refs) == 5


def test_what_was_sent_by_somebody_who_died_is_deleted_there_by_the_next(
    cold: FileArtifacts, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [put(cold, body, "n") for body in similar(15)]

    def dies(self: AwayPacks, found: AwayPack, path: Path) -> None:
        raise StorageUnreachable("a kill, as far as the place knows")

    monkeypatch.setattr(AwayPacks, "require_same", dies)
    with pytest.raises(StorageUnreachable):
        move(cold, Tier.COLD, *refs)
    monkeypatch.undo()
    assert len(storage.objects) == 1
    move(cold, Tier.COLD, *refs)
    assert len(storage.objects) == 1
    assert list((cold.root / "packs").glob("*.tried")) == []
    assert [cold.get(ref.digest) for ref in refs] == similar(15)


def test_a_pack_that_another_process_has_just_rewritten_is_passed_over(
    files: FileArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [put(files, body) for body in similar(16)]
    move(files, Tier.WARM, *refs)
    (warm,) = (path.stem for path in pack_files(files.root))
    move(files, Tier.HOT, *refs)
    packs = files._bodies.packs
    regroup(packs, warm, files._alone)
    with monkeypatch.context() as patch:
        known = packs.files.sizes() | {warm: 1 << 20}
        patch.setattr(packs.files, "sizes", lambda: known)
        packs.ask(lambda index: index.add_pack(warm, 1))
        repack(packs, files._alone)
    assert [files.get(ref.digest) for ref in refs] == similar(16)
