"""What the cache of results keeps to."""

import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from symphony.commons.checksums import row_sum
from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts import CacheEntry, ResultCache
from symphony.pit.artifacts.cache.content import FileState
from symphony.pit.artifacts.cache.result_cache import SCHEMA, FileMemo
from symphony.pit.artifacts.cache.write_behind import WriteBehind
from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.values import ArtifactRef, Digest, StoredValue, Value

REF = ArtifactRef(digest=Digest("a" * 64), size=100_000, content_type="text/plain", name="n", encoding="text")
Make = Callable[..., ResultCache]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[ResultCache] = []

    def maker(
        *, bytes_max: int = 1 << 20, holds: Callable[[ArtifactRef], bool] = lambda _: True
    ) -> ResultCache:
        made.append(ResultCache(tmp_path / "deep" / "cache.db", bytes_max=bytes_max, holds=holds))
        return made[-1]

    yield maker
    for cache in made:
        cache.close()


def entry(value: StoredValue = 1, operator: str = "text.split") -> CacheEntry:
    return CacheEntry(operator=operator, outputs={"result": value}, run_id="r", node="n[3]", created_at=2.5)


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def put(cache: ResultCache, key: str, found: CacheEntry) -> None:
    cache.put(
        key,
        operator=found.operator,
        outputs=found.outputs,
        run_id=found.run_id,
        node=found.node,
        at=found.created_at,
    )


def test_what_is_put_is_found_at_once(make: Make) -> None:
    cache = make()
    assert cache.get("k") is None
    values: list[StoredValue] = [None, True, -1, 2.5, "é", b"\0", [1, [2.0]], {"a": {"b": None}}, REF]
    for i, value in enumerate(values):
        put(cache, f"k{i}", entry(value))
    for i, value in enumerate(values):
        assert cache.get(f"k{i}") == entry(value)


def test_the_last_put_of_a_key_wins(make: Make) -> None:
    cache = make()
    put(cache, "k", entry(1))
    put(cache, "k", entry("longer than before"))
    assert cache.get("k") == entry("longer than before")
    assert cache.size().entries == 1


def test_it_knows_which_operators_it_has_results_of(make: Make) -> None:
    cache = make()
    assert not cache.has_any("text.split")
    put(cache, "k", entry())
    assert cache.has_any("text.split")
    assert not cache.has_any("text.join")
    cache.clear()
    assert not cache.has_any("text.split")


def test_clearing_forgets_all_results_and_says_how_many(make: Make) -> None:
    cache = make()
    assert cache.clear() == 0
    put(cache, "a", entry())
    put(cache, "b", entry())
    assert cache.size().entries == 2
    assert cache.size().bytes > 0
    assert cache.clear() == 2
    assert cache.get("a") is None
    assert cache.size() == (0, 0)
    put(cache, "a", entry(3))
    assert cache.get("a") == entry(3)


def test_an_entry_whose_body_is_gone_is_a_miss_and_forgotten(make: Make) -> None:
    held = {REF.digest}
    cache = make(holds=lambda ref: ref.digest in held)
    put(cache, "k", entry(REF))
    assert cache.get("k") == entry(REF)
    held.clear()
    assert cache.get("k") is None
    held.add(REF.digest)
    assert cache.get("k") is None
    assert cache.size().entries == 0


def test_a_result_changed_by_its_user_stays_as_it_was(make: Make) -> None:
    cache = make()
    value: Value = [1, 2]
    put(cache, "k", entry(value))
    assert isinstance(value, list)
    value.append(3)
    found = cache.get("k")
    assert found is not None
    assert found.outputs["result"] == [1, 2]
    assert isinstance(found.outputs["result"], list)
    found.outputs["result"].append(4)
    assert cache.get("k") == entry([1, 2])


def test_it_stays_within_its_bound_and_forgets_the_oldest(make: Make) -> None:
    cache = make(bytes_max=20_000)
    for i in range(100):
        put(cache, f"k{i:03}", entry("x" * 1_000))
        cache.size()
    assert 5_000 < cache.size().bytes <= 20_000
    assert cache.get("k000") is None
    assert cache.get("k099") is not None


def test_one_that_would_fill_it_alone_is_not_kept(make: Make) -> None:
    cache = make(bytes_max=20_000)
    put(cache, "k", entry("x" * 10_000))
    assert cache.get("k") is None


def test_what_is_no_value_is_refused(make: Make) -> None:
    with pytest.raises(SerializationFailed):
        put(make(), "k", entry(float("nan")))


def test_it_knows_files_by_their_content(make: Make, tmp_path: Path) -> None:
    cache = make()
    (tmp_path / "f").write_bytes(b"one")
    os.utime(tmp_path / "f", (1, 1))
    for body in (b"one", b"one", b"two"):
        (tmp_path / "f").write_bytes(body)
        assert cache.content(tmp_path / "f") == hashlib.sha256(body).hexdigest()
    assert cache.content(tmp_path) is None
    assert cache.content(tmp_path / "none") is None


def test_many_threads_at_once(make: Make) -> None:
    cache = make()
    failures: list[str] = []

    def work(number: int) -> None:
        for i in range(50):
            put(cache, f"{number}.{i}", entry([number, i]))
            if cache.get(f"{number}.{i}") != entry([number, i]):
                failures.append(f"{number}.{i}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.size().entries == 200


# -- the file alone


def test_results_outlive_the_process(tmp_path: Path) -> None:
    first = ResultCache(tmp_path / "cache.db")
    put(first, "k", entry(REF))
    first.close()
    second = ResultCache(tmp_path / "cache.db")
    assert second.has_any("text.split")
    assert second.get("k") == entry(REF)
    second.close()


def test_digests_of_files_outlive_the_process(tmp_path: Path) -> None:
    state = FileState(1, 2**64 - 1, 3, 4, 5)
    for _ in range(2):
        file = WriteBehind(tmp_path / "cache.db", application=1, schema=SCHEMA, tidy=lambda _: None)
        memo = FileMemo(file)
        assert memo.recall(state._replace(ctime_ns=6)) is None
        memo.remember(state, "d" * 64)
        assert memo.recall(state) == "d" * 64
        file.close()
    file = WriteBehind(tmp_path / "cache.db", application=1, schema=SCHEMA, tidy=lambda _: None)
    assert FileMemo(file).recall(state) == "d" * 64
    file.close()


def test_two_caches_share_one_file(tmp_path: Path) -> None:
    one, two = ResultCache(tmp_path / "cache.db"), ResultCache(tmp_path / "cache.db")
    put(one, "a", entry(1))
    put(two, "b", entry(2))
    assert one.size().entries == 1 or two.size().entries == 2
    two.size()
    assert one.get("b") == entry(2)
    assert two.get("a") == entry(1)
    one.close()
    two.close()


def test_using_a_result_keeps_it_longer(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache.db", bytes_max=20_000)
    for i in range(10):
        put(cache, f"k{i}", entry("x" * 1_000))
        cache.size()
    cache.close()
    cache = ResultCache(tmp_path / "cache.db", bytes_max=20_000)
    assert cache.get("k0") is not None
    for i in range(10, 22):
        put(cache, f"k{i}", entry("x" * 1_000))
        cache.size()
    cache.close()
    cache = ResultCache(tmp_path / "cache.db", bytes_max=20_000)
    assert cache.get("k0") is not None
    assert cache.get("k1") is None
    cache.close()


FOREIGN = "CREATE TABLE entries (id INTEGER)"


@pytest.mark.parametrize("damage", ["text", "empty", "torn", "foreign", "directory-less"])
def test_a_file_that_is_not_ours_is_set_aside(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    if damage == "text":
        path.write_text("not a database " * 1_000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "torn":
        path.write_bytes(b"SQLite format 3\0" + bytes(5_000))
    elif damage == "foreign":
        import sqlite3

        with sqlite3.connect(path) as connection:
            connection.execute(FOREIGN)
        connection.close()
    cache = ResultCache(path)
    assert cache.get("k") is None
    put(cache, "k", entry())
    assert cache.size().entries == 1
    cache.close()
    aside = damage in ("text", "torn", "foreign")
    assert path.with_name("cache.db.broken-0").exists() is aside
    assert ("set aside" in caplog.text) is aside


def test_a_file_that_breaks_while_in_use_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.db"
    cache = ResultCache(path)
    for i in range(3_000):
        put(cache, f"k{i}", entry("x" * 300))
    cache.close()
    body = bytearray(path.read_bytes())
    body[8_192:] = b"\x5a" * (len(body) - 8_192)
    path.write_bytes(body)
    cache = ResultCache(path)
    for i in range(0, 3_000, 100):
        assert cache.get(f"k{i}") in (None, entry("x" * 300))
    put(cache, "new", entry())
    assert cache.get("new") == entry()
    cache.close()
    again = ResultCache(path)
    assert again.get("new") == entry()
    again.close()
    assert "set aside" in caplog.text


def test_a_place_that_cannot_be_written_means_no_cache_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = ResultCache(tmp_path / "file" / "cache.db")
    put(cache, "k", entry())
    assert cache.get("k") == entry()
    assert cache.size() == (0, 0)
    cache.close()
    assert "nothing is cached" in caplog.text


def test_many_keys_are_asked_and_kept_together(make: Make) -> None:
    cache = make()
    kept = [(f"k{i:03}", entry(i)) for i in range(300)]
    cache.put_many(kept)
    cache.size()
    assert cache.get_many([key for key, _ in kept] + ["none"]) == dict(kept)
    assert cache.get_many([]) == {}


def test_many_keys_are_one_query_and_one_mark_if_they_were_not_used_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ResultCache(tmp_path / "cache.db")
    keys = [f"k{i:04}" for i in range(2_000)]
    cache.put_many([(key, entry(i)) for i, key in enumerate(keys)])
    cache.close()
    asked, marked = list[str](), list[str]()
    read, write = WriteBehind.read, WriteBehind.write

    def reading(self: WriteBehind, kind: type, query: str, *arguments: object) -> list[object]:
        asked.append(query)
        return read(self, kind, query, *arguments)  # type: ignore[arg-type]

    def writing(self: WriteBehind, statement: str, *arguments: object) -> bool:
        marked.append(statement)
        return write(self, statement, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(WriteBehind, "read", reading)
    monkeypatch.setattr(WriteBehind, "write", writing)
    cache = ResultCache(tmp_path / "cache.db")
    assert len(cache.get_many(keys[:256])) == 256
    assert (len(asked), len(marked)) == (1, 0), "they were put a moment ago"
    cache.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        db.execute("UPDATE totals SET uses = uses + 2000")
    db.close()
    for marks in (1, 0):
        asked.clear()
        marked.clear()
        cache = ResultCache(tmp_path / "cache.db")
        assert len(cache.get_many(keys[256:512])) == 256
        assert (len(asked), len(marked)) == (1, marks)
        cache.close()


def test_a_short_text_takes_little_more_than_its_length(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache.db")
    keys = list(map(key_of, range(1_000)))
    cache.put_many([(key, entry("x" * 1_024)) for key in keys])
    cache.close()
    assert (tmp_path / "cache.db").stat().st_size < 2_000 * 1_024


FORMER = """
CREATE TABLE entries (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, used INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER
)WITHOUT;
CREATE INDEX entries_oldest ON entries (used, size);
CREATE TABLE operators (operator TEXT PRIMARY KEY, sum INTEGER) WITHOUT ROWID;
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL, uses INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0, 7);
CREATE TRIGGER entry_added AFTER INSERT ON entries
BEGIN UPDATE totals SET entries = entries + 1, bytes = bytes + new.size; END;
CREATE TRIGGER entry_changed AFTER UPDATE OF size ON entries
BEGIN UPDATE totals SET bytes = bytes + new.size - old.size; END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries
BEGIN UPDATE totals SET entries = entries - 1, bytes = bytes - old.size; END;
CREATE TABLE contents (id INTEGER PRIMARY KEY, state TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, sum INTEGER);
"""
"""Tables with a row for each result."""


@pytest.mark.parametrize("without", ["", " WITHOUT ROWID"])
def test_a_cache_of_an_earlier_version_is_read_and_written(tmp_path: Path, without: str) -> None:
    path = tmp_path / "cache.db"
    schema = FORMER.replace("WITHOUT;", f"{without};")
    old = WriteBehind(path, application=0x53594302, schema=schema, tidy=lambda _: None)
    old.write("INSERT INTO operators VALUES (?, ?)", ("text.split", row_sum("operators", "text.split")), 10)
    kept: dict[str, StoredValue] = {key_of(i): ["é", i, {"a": None}] if i % 2 else REF for i in range(300)}
    for used, (key, value) in enumerate([*kept.items(), ("damaged", 1)]):
        outputs = {"result": encode_value(value)}
        body = msgspec.msgpack.encode(("text.split", "r", "n[3]", 2.5, outputs))
        told = row_sum("entries", key, body) + (key == "damaged")
        row = (key, len(body), used, body, told)
        old.write("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row, 100)
    old.close()
    cache = ResultCache(path)
    assert cache.get_many([*kept, "damaged", "other"]) == {key: entry(value) for key, value in kept.items()}
    assert cache.size().entries == 300
    assert cache.has_any("text.split")
    put(cache, "k", entry(1))
    cache.close()
    again = ResultCache(path)
    assert again.get_many(["k", "other"]) == {"k": entry(1)}
    assert again.size().entries == 301
    assert not list(tmp_path.glob("*broken*"))
    again.close()


def test_of_a_cache_of_an_earlier_version_what_was_used_last_stays_longest(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    old = WriteBehind(
        path, application=0x53594302, schema=FORMER.replace("WITHOUT;", ";"), tidy=lambda _: None
    )
    for number in range(100):
        key, used = key_of(number), 100 - number
        body = msgspec.msgpack.encode(("o", "r", "n", 2.5, {"result": encode_value("x" * 1_000)}))
        row = (key, len(body), used, body, row_sum("entries", key, body))
        old.write("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row, 100)
    old.close()
    cache = ResultCache(path, bytes_max=80_000)
    put(cache, "k", entry(1))
    assert cache.size().bytes <= 80_000
    assert cache.get(key_of(99)) is None
    assert cache.get(key_of(0)) is not None
    cache.close()


def test_of_results_under_one_key_the_last_counts_whoever_is_asked_for_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    for values in ({"a": 1, "b": 2}, {"a": 3}):
        cache = ResultCache(path)
        cache.put_many([(key_of(ord(name)), entry(value)) for name, value in values.items()])
        cache.close()
    cache = ResultCache(path)
    asked = [key_of(ord("a")), key_of(ord("b"))]
    assert cache.get_many(asked) == dict(zip(asked, [entry(3), entry(2)], strict=True))
    cache.close()


def test_a_result_that_is_made_again_because_its_body_was_gone_is_found(tmp_path: Path) -> None:
    path, keys = tmp_path / "cache.db", [key_of(1), key_of(2)]
    gone = ArtifactRef(digest=Digest("b" * 64), size=100_000, content_type="text/plain", encoding="text")
    holds = lambda ref: ref != gone  # noqa: E731
    cache = ResultCache(path)
    cache.put_many([(keys[0], entry(gone)), (keys[1], entry(2))])
    cache.close()
    for found in ({keys[1]: entry(2)}, {keys[0]: entry(REF), keys[1]: entry(2)}):
        cache = ResultCache(path, holds=holds)
        assert cache.get_many(keys) == found
        put(cache, keys[0], entry(REF))
        cache.close()


def test_keys_that_are_found_in_one_place_are_told_apart(tmp_path: Path) -> None:
    one, other = "0123456789abcdef" + "0" * 48, "0123456789abcdef" + "1" * 48
    cache = ResultCache(tmp_path / "cache.db")
    put(cache, one, entry(1))
    cache.close()
    cache = ResultCache(tmp_path / "cache.db")
    assert cache.get(other) is None
    put(cache, other, entry(2))
    cache.close()
    cache = ResultCache(tmp_path / "cache.db")
    assert cache.get_many([one, other]) == {other: entry(2)}
    cache.close()


def test_results_that_were_put_together_are_rows_of_many(tmp_path: Path) -> None:
    counts = []
    for number in (1_000, 2_000, 4_000):
        path = tmp_path / f"{number}.db"
        cache = ResultCache(path)
        keys = list(map(key_of, range(number)))
        for at in range(0, number, 250):
            cache.put_many([(key, entry(i)) for i, key in enumerate(keys[at : at + 250])])
        cache.close()
        with sqlite3.connect(path) as db:
            (rows,) = db.execute("SELECT count(*) FROM blocks").fetchone()
        db.close()
        counts.append(rows)
    assert counts == [4, 8, 16]


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_block_is_bounded_by_what_it_holds(tmp_path: Path, size: int) -> None:
    cache = ResultCache(tmp_path / "cache.db")
    kept = [(key_of(i), entry("x" * size)) for i in range(300)]
    cache.put_many(kept)
    cache.close()
    with sqlite3.connect(tmp_path / "cache.db") as db:
        (most, rows) = db.execute("SELECT max(size), count(*) FROM blocks").fetchone()
    db.close()
    assert most <= 80 << 10
    assert rows == (2 if size == 10 else 50)
    cache = ResultCache(tmp_path / "cache.db")
    assert cache.get_many([key for key, _ in kept]) == dict(kept)
    cache.close()


def test_who_asks_a_closed_cache_finds_nothing_and_opens_no_file(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that a run left behind may come late."""
    cache = make()
    put(cache, key_of(1), entry(operator="other"))
    cache.close()
    shutil.rmtree(tmp_path / "deep")
    assert cache.get(key_of(2)) is None
    put(cache, key_of(2), entry())
    assert not (tmp_path / "deep").exists()
    assert not caplog.records


def test_a_cache_that_is_closed_while_somebody_reads_answers_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, opened = make(), WriteBehind._open
    put(cache, key_of(1), entry())
    cache.size()

    def closed_meanwhile(self: WriteBehind) -> object:
        found = opened(self)
        cache.close()
        return found

    monkeypatch.setattr(WriteBehind, "_open", closed_meanwhile)
    assert cache.get(key_of(2)) is None
    assert not caplog.records
