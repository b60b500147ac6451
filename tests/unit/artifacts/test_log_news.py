"""The events of a store, as its log tells them."""

from pathlib import Path

from symphony.pit.artifacts.metadata.news import LAST, LogNews
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import Provenance, Rating
from symphony.ports.retention import Tier
from symphony.ports.values import ArtifactRef


def put(store: FileArtifacts, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def test_every_change_of_an_artifact_is_an_event(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    news, store = LogNews(root), FileArtifacts(root)
    assert not news.changed
    assert news.read() == []
    ref = put(store, b"first", "report")
    store.link(ref, Provenance(run_id="r", node="a", port="out", operator="o", version="1"))
    put(store, b"second", "report")
    store.tag("report", 1, "best")
    store.untag("report", "best")
    store.rate(ref.digest, Rating(score=0.5, by="ann"))
    store.pin(ref.digest)
    store.pin(ref.digest, pinned=False)
    store.unlink_run("r")
    found = {one.digest: one for one in store.standings().all}
    store.trash([(found[ref.digest], "too old")], min_age_s=-1)
    store.restore([ref.digest])
    store.move([(found[ref.digest], Tier.WARM, "old: warm")])
    assert news.changed
    events = news.read()
    assert [one.kind for one in events] == [
        "put", "linked", "put", "tagged", "untagged", "rated", "pinned", "unpinned", "unlinked", "trashed",
        "restored", "moved",
    ]  # fmt: skip
    assert (events[0].digest, events[0].name, events[0].version, events[0].size) == (
        ref.digest, "report", 1, 5,
    )  # fmt: skip
    assert (events[1].run, events[1].node, events[3].tag, events[9].why) == ("r", "a", "best", "too old")
    assert (events[-1].digest, events[-1].tier, events[-1].why) == (ref.digest, "warm", "old: warm")
    assert [one.place for one in events] == sorted({one.place for one in events})
    assert not news.changed
    assert news.read() == []
    store.close()


def test_whoever_comes_late_gets_the_last_ones_and_then_what_is_new(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    store = FileArtifacts(root)
    for number in range(LAST + 10):
        put(store, str(number).encode(), "n")
    news = LogNews(root)
    assert [one.version for one in news.read()] == list(range(11, LAST + 11))
    put(store, b"new", "n")
    assert [one.version for one in news.read()] == [LAST + 11]
    store.close()


def test_a_line_that_is_being_written_is_read_when_it_is_whole_and_damage_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    store = FileArtifacts(root)
    put(store, b"a", "n")
    store.close()
    news, log = LogNews(root), root / "records.log"
    assert len(news.read()) == 1
    line = log.read_bytes().splitlines(keepends=True)[-1]
    with log.open("ab") as stream:
        stream.write(b"damaged\n" + line[:10])
    assert news.read() == []
    with log.open("ab") as stream:
        stream.write(line[10:])
    assert [one.kind for one in news.read()] == ["put"]


def test_a_log_that_was_written_again_has_no_news(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    store = FileArtifacts(root)
    put(store, b"a", "n")
    store.close()
    news, log = LogNews(root), root / "records.log"
    assert len(news.read()) == 1
    copy = log.with_suffix(".copy")
    copy.write_bytes(log.read_bytes())
    copy.replace(log)
    assert news.changed
    assert news.read() == []
    put(store, b"b", "n")
    assert [one.version for one in news.read()] == [2]
    store.close()
