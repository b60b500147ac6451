"""A damaged cache or artifact index gives what was written, or is made anew; nothing wrong comes of it."""

import random
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from symphony.commons.checksums import row_sum
from symphony.pit.artifacts import FileArtifacts, ResultCache
from symphony.pit.artifacts.cache.blocks import place_of
from symphony.pit.artifacts.cache.result_cache import sound_content
from symphony.ports.artifacts import Provenance

OLD = Path(__file__).parents[1] / "data" / "homes" / "journal-2.tar.gz"
PAGE = 4096


def damages(body: bytes, step: int) -> Iterator[bytes]:
    rng = random.Random(1)
    for at in range(0, len(body), step):
        yield body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]
    for at in range(0, len(body), PAGE):
        yield body[:at] + bytes(PAGE) + body[at + PAGE :]
        yield body[:at]


def clear(path: Path) -> None:
    for beside in path.parent.glob(f"{path.name}*"):
        beside.unlink()


def filled_cache(path: Path) -> None:
    cache = ResultCache(path)
    for number in range(20):
        cache.put(
            f"key{number}", operator="o", outputs={"a": number, "t": "x" * 300}, run_id="r", node="n", at=1.0
        )
    cache.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_cache_gives_what_was_kept_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    filled_cache(path)
    body, missed = path.read_bytes(), 0
    for harmed in damages(body, 97):
        clear(path)
        path.write_bytes(harmed)
        cache = ResultCache(path)
        for number in range(0, 20, 3):
            entry = cache.get(f"key{number}")
            missed += entry is None
            assert entry is None or (entry.outputs, entry.node) == ({"a": number, "t": "x" * 300}, "n")
        assert cache.size().entries in (0, *range(18, 21))
        cache.close()
    assert missed


def test_a_changed_result_is_a_miss_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cache.db"
    filled_cache(path)
    with sqlite3.connect(path) as db:
        query = "SELECT id, body FROM blocks JOIN places ON block = id WHERE place = ?"
        number, body = db.execute(query, (place_of("key3"),)).fetchone()
        db.execute(
            "UPDATE blocks SET body = ? WHERE id = ?", (body.replace(b"x" * 9, b"xxxxyxxxx", 1), number)
        )
        places = "UPDATE places SET place = ? WHERE place = ?"
        db.execute(places, (place_of("other"), place_of("key4")))
    db.close()
    cache = ResultCache(path)
    assert cache.get("key3") is None
    assert cache.get("other") is None
    assert cache.get("key5") is not None
    cache.close()
    assert "damaged" in caplog.text


def test_a_changed_digest_of_a_file_is_looked_up_anew() -> None:
    told = row_sum("contents", "1:2:3", "abc")
    assert sound_content("1:2:3", ("abc", told)) == "abc"
    assert sound_content("1:2:3", ("abd", told)) is None
    assert sound_content("1:2:4", ("abc", told)) is None
    assert sound_content("1:2:3", ("abc", None)) is None


def filled_store(root: Path) -> FileArtifacts:
    store = FileArtifacts(root)
    for number in range(12):
        ref = store.put(b"body %d" % number, content_type="text/plain", name=f"name {number}")
        by = Provenance(run_id=f"run{number}", node="n", port="p", operator="o", version="1", created_at=1.0)
        store.link(ref, by)
    store.put(b"nobody's", content_type="text/plain")
    return store


def told(store: FileArtifacts) -> list[object]:
    found = [(r.digest, r.names, r.provenance, r.content_type) for r in store.records(limit=50)]
    return [*found, *(store.find(f"name {number}").digest for number in range(12))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_index_is_made_anew_from_the_log(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    store = filled_store(root)
    right = told(store)
    store.close()
    path = root / "index.db"
    body = path.read_bytes()
    for harmed in damages(body, 131):
        clear(path)
        path.write_bytes(harmed)
        again = FileArtifacts(root)
        assert told(again) == right
        again.close()


def test_what_a_damaged_index_says_deletes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    store = filled_store(root)
    right = told(store)
    with sqlite3.connect(root / "index.db") as db:
        db.execute("DELETE FROM linked")
        db.execute("DELETE FROM named")
    db.close()
    assert store.collect(min_age_s=-10).objects == 1
    (root / "index.db").unlink()
    store.close()
    assert told(FileArtifacts(root)) == [one for one in right if "nobody's" not in str(one)][1:]


@pytest.mark.filterwarnings("error")
def test_files_of_earlier_tables_are_filled_anew_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = tmp_path / "home" / "artifacts"
    store = FileArtifacts(folder)
    assert [record.names for record in store.records()] == [("greeting",)]
    store.close()
    cache = ResultCache(folder / "cache.db")
    assert cache.size().entries == 0
    cache.put("k", operator="o", outputs={"a": 1}, run_id="r", node="n", at=1.0)
    assert cache.size().entries == 1
    cache.close()
    assert caplog.records == []
    assert not list(folder.glob("*.broken*"))


def test_a_damaged_last_line_of_the_log_is_a_loss_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "artifacts"
    filled_store(root).close()
    log = root / "records.log"
    body = log.read_bytes()
    log.write_bytes(body[:-40] + bytes([body[-40] ^ 1]) + body[-39:])
    (root / "index.db").unlink()
    store = FileArtifacts(root)
    list(store.records())
    assert "has 1 damaged lines" in caplog.text
    assert store.collect(min_age_s=-10).objects == 0
    store.put(b"more", content_type="text/plain")
    assert log.read_bytes().startswith(body[:-40])
    store.close()


@pytest.mark.parametrize("left", [b"", bytes(4096)], ids=["empty", "zeros"])
def test_an_emptied_log_is_restored_and_keeps_what_has_a_name(tmp_path: Path, left: bytes) -> None:
    root = tmp_path / "artifacts"
    store = filled_store(root)
    assert store.collect(min_age_s=-10).objects == 1  # it has neither a name nor an origin
    before = told(store)
    store.close()
    (root / "records.log").write_bytes(left)
    store = FileArtifacts(root)
    assert store.collect(min_age_s=-10).objects == 0
    assert told(store) == before
    store.close()
