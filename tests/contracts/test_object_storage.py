"""What every object storage keeps to: one suite over a directory, a bucket and the stand-in."""

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.buckets import BUCKET, S3Service
from tests.support.storages import FakeStorage

from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.pit.artifacts.places.directory import DirectoryStorage
from symphony.ports.object_storage import (
    ObjectExists,
    ObjectMissing,
    ObjectStorage,
    StorageRefused,
    StoredObject,
)


@pytest.fixture(scope="module")
def service() -> Iterator[S3Service]:
    made = S3Service()
    made.start()
    yield made
    made.die()


@pytest.fixture(params=["directory", "bucket", "fake"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStorage]:
    if request.param == "fake":
        yield FakeStorage()
    elif request.param == "bucket":
        service: S3Service = request.getfixturevalue("service")
        service.client().create_bucket(Bucket=BUCKET)
        yield service.storage()
        assert service.uploads() == []
        service.empty()
    else:
        place = tmp_path / "place"
        place.mkdir()
        yield DirectoryStorage(place)


def put(storage: ObjectStorage, name: str, body: bytes) -> None:
    storage.put(name, io.BytesIO(body))


@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 70_000], ids=len)
def test_what_is_put_is_what_is_read(storage: ObjectStorage, body: bytes) -> None:
    put(storage, "packs/a.pack", body)
    assert storage.size("packs/a.pack") == len(body)
    assert storage.read("packs/a.pack", 0, len(body) + 1) == body


def test_a_stream_is_stored_from_its_beginning(storage: ObjectStorage) -> None:
    stream = io.BytesIO(b"0123456789")
    stream.seek(7)
    storage.put("a", stream)
    assert storage.read("a", 0, 100) == b"0123456789"


def test_parts_are_read_and_end_where_the_file_ends(storage: ObjectStorage) -> None:
    put(storage, "a", b"0123456789")
    assert storage.read("a", 3, 4) == b"3456"
    assert storage.read("a", 8, 4) == b"89"
    assert storage.read("a", 3, 0) == b""
    assert storage.read("a", 10, 4) == b""
    assert storage.read("a", 11, 4) == b""


def test_a_name_that_is_taken_stays_what_it_was(storage: ObjectStorage) -> None:
    put(storage, "a", b"first")
    for other in (b"other", b"first and more", b"fir", b""):
        with pytest.raises(ObjectExists):
            put(storage, "a", other)
    assert storage.read("a", 0, 100) == b"first"


def test_the_same_bytes_can_be_put_again(storage: ObjectStorage) -> None:
    """A try whose answer was lost is repeated."""
    for body in (b"", b"first", bytes(9 << 20)):
        put(storage, f"a{len(body)}", body)
        put(storage, f"a{len(body)}", body)


@pytest.mark.parametrize("size", [10, 9 << 20], ids=["small", "large"])
def test_of_those_that_put_one_name_at_once_one_wins(storage: ObjectStorage, size: int) -> None:
    won, lost = list[int](), list[int]()

    def compete(number: int) -> None:
        try:
            put(storage, "a", bytes([number]) * size)
        except ObjectExists:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 3)
    assert storage.read("a", 0, size + 1) == bytes(won) * size
    assert [one.name for one in storage.list()] == ["a"]


def test_what_is_absent_is_missing(storage: ObjectStorage) -> None:
    put(storage, "folder/a", b"x")
    for name in ("a", "folder", "folder/b", "folder/a/b"):
        assert storage.size(name) is None
        with pytest.raises(ObjectMissing, match=f"has no {name}$"):
            storage.read(name, 0, 1)


def test_names_are_listed_in_order_with_their_sizes(storage: ObjectStorage) -> None:
    for number, name in enumerate(("b", "a/2", "a/10", "a/1/deep", "ab/1")):
        put(storage, name, bytes(number))
    assert list(storage.list("a")) == [("a/1/deep", 3), ("a/10", 2), ("a/2", 1)]
    assert [one.name for one in storage.list()] == ["a/1/deep", "a/10", "a/2", "ab/1", "b"]
    assert list(storage.list("nothing")) == []
    assert isinstance(next(storage.list()), StoredObject)


def test_deleting_takes_one_file_and_forgives_an_absent_one(storage: ObjectStorage) -> None:
    put(storage, "a/1", b"x")
    put(storage, "a/2", b"y")
    storage.delete("a/1")
    storage.delete("a/1")
    storage.delete("b")
    storage.delete("a")
    assert list(storage.list()) == [("a/2", 1)]
    put(storage, "a/1", b"another")
    assert storage.read("a/1", 0, 10) == b"another"


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", ".hidden", "a/.b", "a b", "ä", "a\n", "x" * 201]
)
def test_a_name_that_some_place_could_not_have_is_refused(storage: ObjectStorage, name: str) -> None:
    with pytest.raises(ValidationFailed):
        put(storage, name, b"x")
    with pytest.raises(ValidationFailed):
        storage.read(name, 0, 1)
    with pytest.raises(ValidationFailed):
        storage.size(name)
    with pytest.raises(ValidationFailed):
        storage.delete(name)
    assert list(storage.list()) == []


def test_a_good_place_has_nothing_wrong(storage: ObjectStorage) -> None:
    storage.check()
    assert "://" in storage.address or Path(storage.address).is_dir()


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """It could be a disk that is not mounted."""
    storage = DirectoryStorage(tmp_path / "absent")
    calls = [
        lambda: put(storage, "a", b"x"),
        lambda: storage.read("a", 0, 1),
        lambda: storage.size("a"),
        lambda: list(storage.list()),
        lambda: storage.delete("a"),
        storage.check,
    ]
    for call in calls:
        with pytest.raises(StorageRefused) as caught:
            call()
        assert caught.value.hint == f"mount its disk, or make it: mkdir -p {tmp_path / 'absent'}"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_keeps_nothing_of_a_put_that_fails(tmp_path: Path) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    storage = DirectoryStorage(tmp_path)
    with pytest.raises(SymphonyError, match="Input/output error"):
        storage.put("packs/a", Torn(b"x"))
    assert list(storage.list()) == []
    assert list((tmp_path / "packs").iterdir()) == []


def test_what_a_killed_process_left_in_a_directory_goes_after_a_day(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    old, young = tmp_path / "packs" / ".symphony-1.tmp", tmp_path / ".symphony-2.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    seconds = young.stat().st_mtime - 2 * 86_400
    os.utime(old, (seconds, seconds))
    storage = DirectoryStorage(tmp_path)
    assert list(storage.list()) == []
    put(storage, "a", b"x")
    assert not old.exists()
    assert young.exists()


def test_links_in_a_directory_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").symlink_to("/etc/passwd")
    assert list(DirectoryStorage(tmp_path).list()) == []
