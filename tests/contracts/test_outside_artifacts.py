"""A store whose packs lie outside of the home: what is asked for there, and what happens when it is away."""

import io
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.support.outside import packs_here
from tests.support.storages import FakeStorage

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.packs import packs as packing
from symphony.pit.artifacts.packs.away import BLOCK_BYTES, EMPTIED, OutsidePlaces
from symphony.pit.artifacts.packs.repacking import SMALL_MANY
from symphony.pit.artifacts.store import sender as sending
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing
from symphony.ports.object_storage import StorageRefused, StorageUnreachable
from symphony.ports.values import ArtifactRef

LARGE = random.Random(1).randbytes(3 << 20)
"""Cut into chunks, and no shorter when it is compressed."""


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def store(tmp_path: Path, storage: FakeStorage) -> Iterator[FileArtifacts]:
    made = opened(tmp_path / "artifacts", storage)
    yield made
    storage.away = False
    made.close()


def opened(root: Path, storage: FakeStorage, *, cache_bytes: int = 0) -> FileArtifacts:
    return FileArtifacts(root, OutsidePlaces(lambda address: storage, storage.address, cache_bytes))


def put(store: FileArtifacts, body: bytes, name: str | None = "n") -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def faults(store: FileArtifacts, storage: FakeStorage) -> list[str]:
    check = StoreCheck(store.root, OutsidePlaces(lambda address: storage, storage.address, 0))
    return [fault.kind for fault in check.faults()]


def repair(store: FileArtifacts, storage: FakeStorage) -> list[str]:
    check = StoreCheck(store.root, OutsidePlaces(lambda address: storage, storage.address, 0))
    return [check.repair(fault) for fault in check.faults()]


def test_what_was_sent_lies_outside_alone_and_is_read_from_there(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    small, large = put(store, b"small"), put(store, LARGE)
    assert store.send().packs == 1
    assert packs_here(store.root) == []
    assert [name.partition("/")[0] for name in storage.objects] == ["packs"]
    storage.calls.clear()
    assert store.get(small.digest) == b"small"
    assert store.get(large.digest) == LARGE
    with store.ranges(large.digest) as ranges:
        assert ranges.read(2_000_000, 10) == LARGE[2_000_000:2_000_010]
    assert storage.calls
    assert store.send() == (0, 0)


def test_a_part_of_a_body_asks_for_its_blocks_alone(store: FileArtifacts, storage: FakeStorage) -> None:
    large = put(store, LARGE)
    store.send()
    store.close()
    with store.ranges(large.digest) as ranges:
        storage.calls.clear()
        ranges.read(1_500_000, 10)
    assert len([call for call in storage.calls if call.startswith("read")]) <= 2


def test_nothing_waits_for_a_place_that_is_away(store: FileArtifacts, storage: FakeStorage) -> None:
    storage.away = True
    ref = put(store, b"body")
    with pytest.raises(StorageUnreachable, match="does not answer"):
        store.send()
    assert store.sent()[1].packs == 1
    assert store.get(ref.digest) == b"body"
    more = put(store, b"more")
    storage.away = False
    assert store.send().packs == 1
    assert store.sent()[1] == (0, 0)
    assert [store.get(one.digest) for one in (ref, more)] == [b"body", b"more"]


def test_what_is_outside_already_is_put_again_without_asking(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    put(store, b"small")
    put(store, LARGE)
    store.send()
    storage.away = True
    storage.calls.clear()
    for body in (b"small", LARGE):
        put(store, body, "again")
        store.put_stream(io.BytesIO(body), content_type="text/plain", name="again")
    store.put(b"small", content_type="text/plain", durable=False)
    store.settle()
    similar = LARGE[:1_000_000] + b"!" + LARGE[1_000_000:]
    ref = put(store, similar)
    assert storage.calls == []
    assert sum(path.stat().st_size for path in (store.root / "packs").glob("*.pack")) < 200_000
    storage.away = False
    assert store.get(ref.digest) == similar


def test_what_is_away_cannot_be_read_unless_it_was_kept(tmp_path: Path, storage: FakeStorage) -> None:
    store = opened(tmp_path / "artifacts", storage)
    first = put(store, b"first")
    store.send()
    store.close()
    keeping = opened(store.root, storage, cache_bytes=4 << 20)
    assert keeping.get(first.digest) == b"first"
    second = put(keeping, b"second")
    keeping.send()
    keeping.close()
    storage.away = True
    assert keeping.get(first.digest) == b"first"
    assert keeping.get(second.digest) == b"second"
    with pytest.raises(StorageUnreachable):
        empty = opened(store.root, storage)
        for path in (store.root / "away").iterdir():
            path.unlink()
        empty.get(first.digest)


def test_what_is_kept_of_places_outside_is_bounded(tmp_path: Path, storage: FakeStorage) -> None:
    store = opened(tmp_path / "artifacts", storage, cache_bytes=5 * BLOCK_BYTES)
    refs = []
    for number in range(6):
        refs.append(put(store, random.Random(number).randbytes(2 << 20)))
        store.send()
    for _ in range(2):
        for number, ref in enumerate(refs):
            assert store.get(ref.digest) == random.Random(number).randbytes(2 << 20)
            kept = [path for folder in ("away", "packs") for path in (store.root / folder).glob("*")]
            assert sum(path.stat().st_size for path in kept) <= 5 * BLOCK_BYTES + 1000
    storage.calls.clear()
    store.close()
    store.get(refs[-1].digest)
    assert storage.calls == []
    store.close()


def test_a_block_that_was_kept_and_damaged_is_asked_for_again(tmp_path: Path, storage: FakeStorage) -> None:
    store = opened(tmp_path / "artifacts", storage, cache_bytes=0)
    ref = put(store, b"body")
    store.send()
    store.close()
    store = opened(store.root, storage, cache_bytes=BLOCK_BYTES)
    for damage in (b"", b"x", b"\0" * 100):
        assert store.get(ref.digest) == b"body"
        store.close()
        (block,) = (store.root / "away").iterdir()
        block.write_bytes(damage)
    assert store.get(ref.digest) == b"body"
    store.close()


def test_the_index_is_made_again_of_packs_outside_and_what_is_dead_stays_dead(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    kept, gone = put(store, LARGE), put(store, b"gone", None)
    store.send()
    assert store.collect(min_age_s=-1).objects == 1
    before = sorted(storage.objects)
    store.close()
    (store.root / "packs.db").unlink()
    again = opened(store.root, storage)
    assert again.get(kept.digest) == LARGE
    assert again.size(gone.digest) is None
    assert sorted(storage.objects) == before
    assert faults(again, storage) == []
    again.close()


def test_without_its_place_a_lost_index_is_an_error_not_an_empty_store(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    """To take chunks for unneeded because their list cannot be read would lose them."""
    ref = put(store, LARGE)
    store.send()
    store.close()
    (store.root / "packs.db").unlink()
    storage.away = True
    for call in (lambda: store.get(ref.digest), lambda: store.collect(min_age_s=-1)):
        with pytest.raises(StorageUnreachable):
            call()
    storage.away = False
    assert store.get(ref.digest) == LARGE


def test_settings_that_no_longer_name_the_place_do_not_lose_what_is_there(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    ref = put(store, b"body")
    store.send()
    store.close()
    elsewhere = FakeStorage()
    elsewhere.address = "s3://another/place"
    places = {storage.address: storage, elsewhere.address: elsewhere}
    moved = FileArtifacts(store.root, OutsidePlaces(places.__getitem__, elsewhere.address, 0))
    other = put(moved, b"other")
    moved.send()
    assert (len(storage.objects), len(elsewhere.objects)) == (1, 1)
    assert [moved.get(one.digest) for one in (ref, other)] == [b"body", b"other"]
    moved.close()
    unset = FileArtifacts(store.root)
    with pytest.raises(StorageRefused, match="s3://fake/place"):
        unset.get(ref.digest)
    unset.close()


# -- deletion


def test_a_pack_of_which_nothing_is_needed_is_deleted_without_being_read(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    put(store, LARGE, None)
    store.send()
    store.collect(min_age_s=-1)
    assert storage.objects == {}
    assert not [
        path for path in (store.root / "packs").iterdir() if path.suffix in (".away", ".gone", ".dead")
    ]


def test_of_a_pack_that_is_mostly_dead_the_rest_is_moved(store: FileArtifacts, storage: FakeStorage) -> None:
    kept = put(store, b"kept")
    put(store, LARGE, None)
    store.send()
    (before,) = storage.objects
    store.collect(min_age_s=-1)
    assert storage.objects == {}
    assert store.get(kept.digest) == b"kept"
    store.send()
    (after,) = storage.objects
    assert after != before
    assert len(storage.objects[after]) < 1000
    assert store.get(kept.digest) == b"kept"


def test_many_small_packs_become_one(store: FileArtifacts, storage: FakeStorage) -> None:
    refs = []
    for number in range(SMALL_MANY):
        refs.append(put(store, b"body %d" % number))
        store.send()
    assert len(storage.objects) == SMALL_MANY
    store.collect(min_age_s=-1)
    store.send()
    assert len(storage.objects) == 1
    assert [store.get(ref.digest) for ref in refs] == [b"body %d" % one for one in range(SMALL_MANY)]


def test_a_collection_while_the_place_is_away_is_finished_later(
    store: FileArtifacts, storage: FakeStorage, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, b"gone", None)
    store.send()
    kept = put(store, b"kept")
    put(store, bytes(60_000), None)
    store.send()
    storage.away = True
    assert store.collect(min_age_s=-1).objects == 2
    assert "does not answer" in caplog.text
    assert len(storage.objects) == 2
    storage.away = False
    store.collect(min_age_s=-1)
    store.send()
    assert len(storage.objects) == 1
    assert store.get(kept.digest) == b"kept"


def test_a_body_whose_chunks_cannot_be_known_is_left_for_a_later_collection(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    kept = put(store, LARGE)
    put(store, LARGE + b"!", None)
    store.send()
    store.close()
    storage.away = True
    assert store.collect(min_age_s=-1).objects == 0
    storage.away = False
    assert store.collect(min_age_s=-1).objects == 1
    assert store.get(kept.digest) == LARGE
    assert faults(store, storage) == []


def test_homes_that_share_a_place_leave_each_other_alone(tmp_path: Path, storage: FakeStorage) -> None:
    one, other = opened(tmp_path / "one", storage), opened(tmp_path / "other", storage)
    same = [put(store, b"same", None) for store in (one, other)]
    for store in (one, other):
        store.send()
    one.collect(min_age_s=-1)
    one.send()
    with pytest.raises(ArtifactMissing):
        one.get(same[0].digest)
    assert other.get(same[1].digest) == b"same"
    assert len(storage.objects) == 1
    one.close()
    other.close()


def test_a_reader_of_a_pack_that_is_rewritten_finds_the_new_place(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    kept = put(store, LARGE)
    for _ in range(2):
        put(store, random.Random(2).randbytes(4 << 20), None)
    store.send()
    reader = opened(store.root, storage)
    with reader.open(kept.digest) as stream:
        found = stream.read(1_200_000)
        store.collect(min_age_s=-1)
        store.send()
        found += stream.read()
    assert found == LARGE
    reader.close()


# -- crashes and races


class Torn(FakeStorage):
    """Dies after it has stored a pack, before it says so."""

    torn = True

    def put(self, name: str, stream: BinaryIO) -> None:
        super().put(name, stream)
        if self.torn:
            raise StorageUnreachable("the connection broke")


@pytest.mark.parametrize("marked", [False, True])
def test_a_pack_that_was_stored_without_our_knowing_is_sent_again(tmp_path: Path, marked: bool) -> None:
    storage = Torn()
    store = opened(tmp_path / "artifacts", storage)
    kept, gone = put(store, LARGE), put(store, b"gone", None)
    with pytest.raises(StorageUnreachable):
        store.send()
    if marked:  # it is no longer byte for byte what was stored
        store.collect(min_age_s=-1)
    storage.torn = False
    store.send()
    store.close()
    again = opened(store.root, storage)
    assert again.get(kept.digest) == LARGE
    assert (again.size(gone.digest) is None) == marked
    assert len(storage.objects) == 1
    again.close()


def test_stores_that_send_at_once_send_each_pack_once(tmp_path: Path, storage: FakeStorage) -> None:
    stores = [opened(tmp_path / "artifacts", storage) for _ in range(3)]
    refs = [put(store, b"body %d" % number) for number, store in enumerate(stores)]
    failed = list[BaseException]()

    def send(store: FileArtifacts) -> None:
        try:
            store.send()
        except BaseException as error:  # noqa: BLE001  (told below)
            failed.append(error)

    threads = [threading.Thread(target=send, args=(store,)) for store in stores for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    stores[0].send()
    assert len(storage.objects) == len(stores)
    for store in stores:
        assert [store.get(ref.digest) for ref in refs] == [b"body 0", b"body 1", b"body 2"]
        store.close()


def test_a_full_pack_is_sent_while_the_store_is_used(
    tmp_path: Path, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (packing, sending):
        monkeypatch.setattr(module, "PACK_BYTES", 1 << 20)
    sent = threading.Event()

    class Telling(FakeStorage):
        def put(self, name: str, stream: BinaryIO) -> None:
            super().put(name, stream)
            sent.set()

    storage = Telling()
    store = opened(tmp_path / "artifacts", storage)
    ref = put(store, LARGE)
    assert sent.wait(30)
    store.close()
    assert len(storage.objects) == 1
    assert store.get(ref.digest) == LARGE
    store.close()


def test_nothing_is_appended_to_a_pack_that_was_sent(store: FileArtifacts, storage: FakeStorage) -> None:
    kept = opened(store.root, storage, cache_bytes=1 << 30)
    put(kept, b"first")
    kept.send()
    (name,) = packs_here(store.root)
    before = (store.root / "packs" / f"{name}.pack").read_bytes()
    put(kept, b"second")
    assert len(packs_here(store.root)) == 2
    assert (store.root / "packs" / f"{name}.pack").read_bytes() == before
    kept.close()


# -- damage


def test_a_pack_that_somebody_deleted_outside_is_found_and_named(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    lost = put(store, LARGE)
    store.send()
    kept = put(store, b"kept")
    (name,) = storage.objects
    del storage.objects[name]
    with pytest.raises(StorageRefused, match="has nothing of what was sent there"):
        store.get(lost.digest)
    with pytest.raises(StorageRefused):
        faults(store, storage)
    storage.objects[EMPTIED] = b""
    with pytest.raises(ArtifactCorrupt, match=f"s3://fake/place has no {name}"):
        store.get(lost.digest)
    assert store.get(kept.digest) == b"kept"
    assert set(faults(store, storage)) == {"damaged", "pack"}
    assert all(repair(store, storage))
    assert faults(store, storage) == ["missing"]
    assert store.size(lost.digest) is None
    assert put(store, LARGE).digest == lost.digest
    store.send()
    assert store.get(lost.digest) == LARGE


def test_bytes_that_changed_outside_are_found_and_the_rest_is_saved(
    store: FileArtifacts, storage: FakeStorage
) -> None:
    kept = put(store, b"kept")
    lost = put(store, LARGE)
    store.send()
    (name,) = storage.objects
    body = bytearray(storage.objects[name])
    body[len(body) // 2] ^= 1
    storage.objects[name] = bytes(body)
    assert set(faults(store, storage)) == {"damaged", "pack"}
    assert all(repair(store, storage))
    assert faults(store, storage) == ["missing"]
    assert name not in storage.objects
    assert store.get(kept.digest) == b"kept"
    assert store.size(lost.digest) is None


def test_a_copy_here_that_is_damaged_is_read_from_outside_again(tmp_path: Path, storage: FakeStorage) -> None:
    store = opened(tmp_path / "artifacts", storage, cache_bytes=1 << 30)
    ref = put(store, LARGE)
    store.send()
    (name,) = packs_here(store.root)
    path = store.root / "packs" / f"{name}.pack"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    assert "damaged" in faults(store, storage)
    assert repair(store, storage)[0] == "the copy here was deleted; it is read from outside again"
    assert faults(store, storage) == []
    store.close()
    assert store.get(ref.digest) == LARGE
    store.close()


def test_a_copy_of_a_home_takes_nothing_from_it_by_sending(tmp_path: Path, storage: FakeStorage) -> None:
    store = opened(tmp_path / "artifacts", storage)
    mine = put(store, LARGE)
    store.close()
    shutil.copytree(store.root, tmp_path / "copy")
    store.send()
    other = opened(tmp_path / "copy", storage)
    more = put(other, b"more")
    assert other.send().packs == 1
    other.send()
    assert other.get(more.digest) == b"more"
    other.close()
    store.close()
    assert opened(store.root, storage).get(mine.digest) == LARGE
