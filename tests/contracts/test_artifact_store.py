"""What every artifact store keeps to: one suite over files and memory."""

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.buckets import BUCKET, S3Service
from tests.support.outside import OutsideArtifacts
from tests.support.stores import KINDS, Store, store_of

from symphony.commons.errors import ValidationFailed
from symphony.pit.artifacts.values.codec import value_digest
from symphony.ports.artifacts import (
    ArtifactAmbiguous,
    ArtifactDeleted,
    ArtifactFilter,
    ArtifactMissing,
    ArtifactStore,
    ArtifactVersion,
    Provenance,
    Rating,
)
from symphony.ports.values import ArtifactRef, Digest

ABSENT = Digest("0" * 64)


@pytest.fixture(scope="module")
def service() -> Iterator[S3Service]:
    made = S3Service()
    made.start()
    made.client().create_bucket(Bucket=BUCKET)
    yield made
    made.die()


@pytest.fixture(params=[*KINDS, "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    root = tmp_path / "artifacts"
    if request.param == "bucket":
        service: S3Service = request.getfixturevalue("service")
        made: Store = OutsideArtifacts(root, service.storage(tmp_path.name.replace("[", "-")))
    else:
        made = store_of(request.param, root)
    yield made
    made.close()


def put(store: Store, body: bytes, name: str | None = None) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def by(run_id: str, node: str = "n", port: str = "result", at: float = 1.0) -> Provenance:
    return Provenance(
        run_id=run_id, node=node, port=port, operator="o", version="1.0.0", inputs={"x": "d"}, created_at=at
    )


def test_it_is_an_artifact_store(store: Store) -> None:
    seam: ArtifactStore = store
    assert seam.put(b"x", content_type="a/b").size == 1


@pytest.mark.parametrize("body", [b"", b"\0", b"text", bytes(range(256)) * 9_000], ids=len)
def test_what_is_put_is_what_is_got(store: Store, body: bytes) -> None:
    ref = store.put(body, content_type="text/plain", name="n", encoding="text")
    assert ref == ArtifactRef(
        digest=Digest(hashlib.sha256(body).hexdigest()),
        size=len(body),
        content_type="text/plain",
        name="n",
        encoding="text",
    )
    assert store.get(ref.digest) == body
    with store.open(ref.digest) as stream:
        assert stream.read() == body


def test_a_sealed_body_stays_as_long_as_the_reference_to_it(store: Store) -> None:
    shown, sealed = put(store, b"***"), put(store, b"sealed")
    store.link(msgspec.structs.replace(shown, sealed=sealed.digest), by("r1"))
    assert store.collect(min_age_s=-1) == (0, 0)
    assert store.get(sealed.digest) == b"sealed"
    store.unlink_run("r1")
    assert store.collect(min_age_s=-1).objects == 2
    with pytest.raises(ArtifactMissing):
        store.link(msgspec.structs.replace(put(store, b"***"), sealed=sealed.digest), by("r2"))


def test_a_stream_is_stored_as_the_same_bytes_would_be(store: Store) -> None:
    body = b"line\n" * 700_000
    streamed = store.put_stream(io.BytesIO(body), content_type="text/plain", name="s")
    assert streamed == put(store, body, "s")
    with store.open(streamed.digest) as stream:
        assert stream.readline() == b"line\n"
        assert stream.read() == body[5:]


def test_a_body_arrives_in_pieces_and_is_there_once_it_is_committed(store: Store) -> None:
    pieces = [b"one ", b"", b"two ", bytes(3 << 20)]
    with store.writer(content_type="text/plain", name="w") as writer:
        for piece in pieces:
            writer.write(piece)
        assert list(store.records()) == []
        ref = writer.commit()
        for act in (writer.commit, lambda: writer.write(b"more")):
            with pytest.raises(ValidationFailed, match="already"):
                act()
    assert ref == put(store, b"".join(pieces), "w")
    assert store.find("w").size == ref.size


def test_a_body_that_is_not_committed_is_given_up(store: Store) -> None:
    with store.writer(content_type="text/plain", name="w") as writer:
        writer.write(b"half")
    with pytest.raises(ValidationFailed, match="already"):
        writer.commit()
    assert list(store.records()) == []


def test_parts_of_a_body_are_read_in_any_order(store: Store) -> None:
    body = bytes(range(256)) * 5_000
    ref = put(store, body)
    assert store.size(ref.digest) == len(body)
    with store.ranges(ref.digest) as ranges:
        assert ranges.size == len(body)
        for start, length in [(1_000_000, 5), (0, 0), (0, 300), (len(body) - 3, 10), (len(body) + 9, 4)]:
            assert ranges.read(start, length) == body[start : start + length]
        for start, length in [(-1, 2), (0, -1)]:
            with pytest.raises(ValidationFailed, match="there are no"):
                ranges.read(start, length)
    with store.ranges(put(store, b"").digest) as ranges:
        assert (ranges.size, ranges.read(0, 1)) == (0, b"")


def test_a_stream_that_breaks_leaves_nothing(store: Store) -> None:
    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            piece = super().read(size)
            if not piece:
                raise ConnectionError("the peer went away")
            return piece

    with pytest.raises(ConnectionError):
        store.put_stream(Breaking(b"half"), content_type="text/plain")
    assert list(store.records()) == []


def test_what_is_not_there_is_missing(store: Store) -> None:
    for act in (store.get, store.open, store.ranges, store.find):
        with pytest.raises(ArtifactMissing):
            act(ABSENT)
    with pytest.raises(ArtifactMissing):
        store.find("no such name")
    with pytest.raises(ArtifactMissing):
        store.link(ArtifactRef(digest=ABSENT, size=1), by("r"))
    assert store.size(ABSENT) is None
    assert list(store.records()) == []
    store.unlink_run("never seen")


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "ab/" + "c" * 61]
)
def test_a_bad_digest_is_refused_before_any_file_is_looked_at(store: Store, digest: str) -> None:
    put(store, b"x")
    for act in (store.get, store.open, store.ranges, store.size):
        with pytest.raises(ValidationFailed, match="not a digest"):
            act(Digest(digest))


@pytest.mark.parametrize("name", ["", "a\nb", "\0", "x" * 201, "\ud800"])
def test_a_bad_name_or_type_is_refused_and_nothing_stored(store: Store, name: str) -> None:
    with pytest.raises(ValidationFailed, match="artifact"):
        put(store, b"x", name)
    with pytest.raises(ValidationFailed, match="artifact"):
        store.put_stream(io.BytesIO(b"x"), content_type=name)
    assert list(store.records()) == []


def test_names_are_only_names(store: Store) -> None:
    for name in ("../../up", "/etc/passwd", "ünïcode 名前", "a'; DROP TABLE names; --", ".", "deadbeef"):
        ref = put(store, name.encode(), name)
        assert store.find(name).digest == ref.digest
        assert store.find(name).names == (name,)


def test_found_by_digest_by_prefix_and_by_name(store: Store) -> None:
    ref = put(store, b"body", "report")
    for text in (ref.digest, ref.digest[:8], ref.digest[:20], "report"):
        record = store.find(text)
        assert (record.digest, record.size, record.content_type) == (ref.digest, 4, "text/plain")
    with pytest.raises(ArtifactMissing):
        store.find(ref.digest[:7])


def test_a_prefix_of_several_is_ambiguous(store: Store) -> None:
    # These two share their first 8 digits (found by search).
    first, second = put(store, b"symphony-37859"), put(store, b"symphony-68594")
    assert first.digest[:8] == second.digest[:8]
    with pytest.raises(ArtifactAmbiguous) as caught:
        store.find(first.digest[:8])
    assert sorted([first.digest, second.digest]) == caught.value.details["digests"]
    assert store.find(first.digest[:20]).digest == first.digest


def test_a_name_means_its_newest_body(store: Store) -> None:
    old, new = put(store, b"old", "report"), put(store, b"new", "report")
    assert store.find("report").digest == new.digest
    put(store, b"old", "report")
    assert store.find("report").digest == old.digest
    put(store, b"new", "another name")
    assert store.find("report").digest == old.digest


def test_a_body_has_the_type_under_which_the_name_was_put_that_is_asked_for(store: Store) -> None:
    ref = store.put(b"[]", content_type="application/json", name="list")
    store.put(b"[]", content_type="text/markdown", name="page")
    store.put(b"[]", content_type="text/plain")
    assert store.find("list").content_type == "application/json"
    assert store.find("page").content_type == "text/markdown"
    assert store.find(ref.digest).content_type == "text/markdown"
    assert next(store.records()).names == ("page", "list")
    store.put(b"[]", content_type="application/json", name="list")
    assert store.find(ref.digest).content_type == "application/json"


def test_records_come_newest_first_and_once_each(store: Store) -> None:
    refs = [put(store, b"%d" % i) for i in range(250)]
    put(store, b"0", "again")
    newest = [refs[0].digest] + [ref.digest for ref in reversed(refs[1:])]
    assert [record.digest for record in store.records(limit=1_000)] == newest
    assert [record.digest for record in store.records(limit=3)] == newest[:3]
    assert list(store.records(limit=0)) == []
    assert next(store.records()).names == ("again",)


def test_provenance_is_kept_for_every_output(store: Store) -> None:
    ref = put(store, b"shared")
    links = [by("r1", "a", at=1.0), by("r1", "b", at=2.0), by("r2", "a", at=3.0)]
    for link in (*links, links[0]):
        store.link(ref, link)
    assert store.find(ref.digest).provenance == tuple(links)
    store.unlink_run("r1")
    assert store.find(ref.digest).provenance == (links[2],)


def test_collecting_takes_only_what_nothing_refers_to(store: Store) -> None:
    linked, shared, idle = put(store, b"linked"), put(store, b"shared"), put(store, b"idle")
    store.link(linked, by("r1"))
    store.link(shared, by("r1"))
    store.link(shared, by("r2"))
    assert store.collect(0) == (1, 4)
    assert store.collect(0) == (0, 0)
    with pytest.raises(ArtifactMissing):
        store.get(idle.digest)
    store.unlink_run("r1")
    assert store.collect(0) == (1, 6)
    assert store.get(shared.digest) == b"shared"
    assert [record.digest for record in store.records()] == [shared.digest]


def test_collecting_leaves_what_has_just_been_put(store: Store) -> None:
    ref = put(store, b"young")
    assert store.collect(60) == (0, 0)
    assert store.collect() == (0, 0)
    assert store.get(ref.digest) == b"young"


def test_what_a_person_named_stays_and_what_a_run_named_goes_with_the_run(store: Store) -> None:
    for_person, for_run, for_both = (
        put(store, b"person", "p"),
        put(store, b"run", "r"),
        put(store, b"both", "b"),
    )
    store.link(for_run, by("r1", "a"))
    store.link(for_both, by("r1", "b"))
    put(store, b"both", "b")
    store.unlink_run("r1")
    assert store.collect(0).objects == 1
    left = {record.digest for record in store.records()}
    assert left == {for_person.digest, for_both.digest}


def test_a_body_that_was_collected_can_be_put_again(store: Store) -> None:
    put(store, b"x")
    assert store.collect(0).objects == 1
    ref = put(store, b"x", "back")
    assert store.get(ref.digest) == b"x"
    assert store.find("back").provenance == ()


def test_many_threads_at_once(store: Store) -> None:
    def work(number: int) -> None:
        for i in range(20):
            ref = put(store, b"body %d" % (i % 7), f"name {number}")
            store.link(ref, by(f"run {number}", str(i)))
            assert store.get(ref.digest) == b"body %d" % (i % 7)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list(store.records())
    assert len(records) == 7
    assert sum(len(record.provenance) for record in records) == 6 * 20


def test_a_look_gives_the_beginning_of_a_body(store: Store) -> None:
    ref = put(store, b"0123456789" * 300_000)
    assert store.peek(ref.digest, 4) == b"0123"
    assert store.peek(ref.digest, 4_000_000) == b"0123456789" * 300_000
    soon = store.put(b"soon", content_type="text/plain", durable=False)
    assert store.peek(soon.digest, 2) == b"so"
    with pytest.raises(ArtifactMissing):
        store.peek(ABSENT, 1)


def test_the_newest_rating_of_each_rater_counts_until_it_is_withdrawn(store: Store) -> None:
    ref = put(store, b"rated", "r")
    store.rate(ref.digest, Rating(score=0.2, by="ada", at=1.0))
    store.rate(ref.digest, Rating(score=0.5, by="bob", at=2.0, note="fair", name="r@1"))
    store.rate(ref.digest, Rating(score=0.9, by="ada", at=3.0))
    assert [(one.by, one.score, one.note) for one in store.find("r").ratings] == [
        ("ada", 0.9, ""),
        ("bob", 0.5, "fair"),
    ]
    store.rate(ref.digest, Rating(score=None, by="ada"))
    assert [one.by for one in store.find("r").ratings] == ["bob"]
    assert next(iter(store.records())).ratings == store.find("r").ratings


@pytest.mark.parametrize(
    "rating",
    [
        Rating(score=-0.1),
        Rating(score=1.1),
        Rating(score=float("nan")),
        Rating(score=0.5, by="a\n"),
        Rating(score=0.5, note="x" * 3_000),
    ],
)
def test_a_rating_out_of_range_is_refused_and_changes_nothing(store: Store, rating: Rating) -> None:
    ref = put(store, b"rated", "r")
    with pytest.raises(ValidationFailed):
        store.rate(ref.digest, rating)
    assert store.find("r").ratings == ()


def test_a_body_that_is_not_there_cannot_be_rated(store: Store) -> None:
    with pytest.raises(ArtifactMissing):
        store.rate(ABSENT, Rating(score=1.0))


def add(store: Store, body: bytes, name: str = "report", **said: object) -> ArtifactVersion:
    given: dict[str, object] = {"content_type": "text/plain", **said}
    return store.add_version(io.BytesIO(body), name=name, **given)  # type: ignore[arg-type]


def numbers(store: Store, name: str = "report") -> list[tuple[int, Digest]]:
    return [(version.number, version.digest) for version in store.versions(name)]


def test_a_put_adds_a_version_and_one_of_what_is_the_newest_adds_none(store: Store) -> None:
    a, b = put(store, b"a", "report"), put(store, b"b", "report")
    for body in (b"b", b"a", b"a"):
        put(store, body, "report")
    assert numbers(store) == [(3, a.digest), (2, b.digest), (1, a.digest)]
    assert [store.find(f"report@{number}").digest for number in (1, 2, 3)] == [a.digest, b.digest, a.digest]
    assert store.find("report").version == store.find("report@latest").version == store.versions("report")[0]
    store.put(b"a", content_type="text/markdown", name="report")
    assert [version.content_type for version in store.versions("report")][:2] == [
        "text/markdown",
        "text/plain",
    ]
    assert store.find("report@3").content_type == "text/plain"
    assert [version.label for version in store.versions_of(a.digest)] == ["report@4", "report@3", "report@1"]
    assert store.versions("another") == []


def test_versions_are_listed_in_parts_newest_first(store: Store) -> None:
    for number in range(250):
        put(store, b"%d" % number, "many")
    assert [version.number for version in store.versions("many", limit=3)] == [250, 249, 248]
    assert [version.number for version in store.versions("many", limit=2, before=3)] == [2, 1]
    assert store.versions("many", limit=2, before=1) == []


def test_a_version_keeps_what_was_said_of_it(store: Store) -> None:
    parent = add(store, b"data", "data")
    made = add(store, b"a", note="first\ntry", parents=[parent.digest], tags=["best", "v1"])
    again = add(store, b"a", note="")
    noted = add(store, b"a", note="second")
    assert (made.number, again.number, noted.number) == (1, 1, 2)
    assert (made.note, made.parents, made.tags) == ("first\ntry", (parent.digest,), ("best", "v1"))
    assert again == made
    assert store.versions("report") == [noted, made]
    with pytest.raises(ArtifactMissing):
        add(store, b"x", parents=[ABSENT])
    assert [version.number for version in store.versions("report")] == [2, 1]


def test_a_tag_is_on_one_version_of_a_name_and_can_move(store: Store) -> None:
    for body in (b"a", b"b"):
        add(store, body)
        add(store, body, "other")
    assert store.tag("report", 1, "best") is None
    assert store.tag("report", 1, "best") is None
    assert store.tag("report", 1, "old") is None
    assert store.tag("other", 1, "best") is None
    assert store.find("report@best").version == store.versions("report")[1]
    assert store.versions("report")[1].tags == ("best", "old")
    assert store.tag("report", 2, "best") == 1
    assert [version.tags for version in store.versions("report")] == [("best",), ("old",)]
    assert store.untag("report", "best") == 2
    assert store.find("other@best").version == store.versions("other")[1]
    for act in (
        lambda: store.find("report@best"),
        lambda: store.untag("report", "best"),
        lambda: store.untag("no such", "best"),
        lambda: store.tag("report", 3, "best"),
        lambda: store.tag("no such", 1, "best"),
    ):
        with pytest.raises(ArtifactMissing):
            act()


@pytest.mark.parametrize("tag", ["", "1", "007", "latest", "a@b", "a\nb", " best", "x" * 201])
def test_a_tag_that_could_be_something_else_is_refused(store: Store, tag: str) -> None:
    with pytest.raises(ValidationFailed, match="tag"):
        add(store, b"a", tags=["good", tag])
    assert store.versions("report") == []
    add(store, b"a")
    with pytest.raises(ValidationFailed, match="tag"):
        store.tag("report", 1, tag)


def test_a_name_with_an_at_sign_is_refused_and_nothing_stored(store: Store) -> None:
    for act in (lambda: put(store, b"a", "report@2"), lambda: add(store, b"a", "ann@example.com")):
        with pytest.raises(ValidationFailed, match="name") as caught:
            act()
        assert "@" in (caught.value.hint or "")
    assert list(store.records()) == []


def test_what_looks_the_same_is_the_same_name(store: Store) -> None:
    put(store, b"a", "re\u0301sume\u0301/Bericht")
    ref = put(store, b"b", "r\u00e9sum\u00e9/Bericht")
    assert ref.name == "r\u00e9sum\u00e9/Bericht"
    for text in (
        "re\u0301sume\u0301/Bericht",
        "r\u00e9sum\u00e9/Bericht@2",
        "re\u0301sume\u0301/Bericht@latest",
    ):
        assert store.find(text).digest == ref.digest
    assert [version.number for version in store.versions("re\u0301sume\u0301/Bericht")] == [2, 1]
    with pytest.raises(ArtifactMissing):
        store.find("r\u00e9sum\u00e9/bericht")


def test_a_version_that_is_not_there_is_told_with_what_there_is(store: Store) -> None:
    add(store, b"a", tags=["best"])
    add(store, b"b")
    for text, known in {
        "report@7": "its newest version is 2", "report@0": "its newest version is 2",
        "report@bset": "its tags are best", "report@": "not in the store", "other@1": "not in the store",
        "@1": "not in the store", "report@1@1": "not in the store", "report@99999999999": "its tags are best",
    }.items():  # fmt: skip
        with pytest.raises(ArtifactMissing, match=known):
            store.find(text)


def test_a_run_is_told_of_the_version_that_it_made_and_not_of_one_that_was_there(store: Store) -> None:
    add(store, b"by hand")
    for run, body in (("r1", b"by hand"), ("r1", b"a"), ("r2", b"a"), ("r2", b"b")):
        store.link(put(store, body, "report"), by(run, "n", "result"))
    made = [(version.number, version.run_id, version.node) for version in store.versions("report")]
    assert made == [(3, "r2", "n"), (2, "r1", "n"), (1, None, "")]
    store.unlink_run("r2")
    assert store.versions("report")[0].run_id == "r2"


def test_a_version_whose_body_is_deleted_stays_and_its_number_is_not_given_again(store: Store) -> None:
    for body in (b"a", b"b", b"c"):
        store.link(put(store, body, "report"), by("r"))
    digests = [version.digest for version in store.versions("report")]
    store.tag("report", 2, "best")
    store.unlink_run("r")
    assert store.collect(0).objects == 2
    assert [version.deleted for version in store.versions("report")] == [True, False, True]
    assert store.find("report").version == store.find("report@best").version == store.versions("report")[1]
    for text in ("report@1", "report@3"):
        with pytest.raises(ArtifactDeleted, match="deleted"):
            store.find(text)
    with pytest.raises(ArtifactDeleted):
        store.tag("report", 1, "old")
    assert store.untag("report", "best") == 2
    assert store.collect(0).objects == 1
    with pytest.raises(ArtifactDeleted):
        store.find("report")
    put(store, b"c", "report")
    assert [version.number for version in store.versions("report")] == [4, 3, 2, 1]
    assert [version.digest for version in store.versions("report")][1:] == digests
    assert store.find("report@3").digest == digests[0]  # the body is there again


def test_what_was_made_of_an_artifact_is_found_and_what_it_was_made_of(store: Store) -> None:
    data = add(store, b"data", "data")
    page, table = put(store, b"page", "page"), put(store, b'{"a":1}', "table")
    table = msgspec.structs.replace(table, encoding="json", own="msgpack:" + "f" * 64)
    value = value_digest("data")
    made = [
        msgspec.structs.replace(
            by("r1", "page", at=2.0), inputs={"text": value, "again": value, "n": "1" * 64}
        ),
        msgspec.structs.replace(by("r1", "table", at=3.0), inputs={"page": value_digest("page")}),
        msgspec.structs.replace(by("r2", "page", at=4.0), inputs={"text": value}),
    ]
    for ref, provenance in zip((page, table, page), made, strict=True):
        store.link(ref, provenance)
    child = add(store, b"child", "child", parents=[data.digest])
    found = store.derived(data.digest)
    assert [(one.digest, one.by, tuple(one.inputs)) for one in found] == [
        (page.digest, made[0], ("text", "again")), (page.digest, made[2], ("text",)),
        (child.digest, None, ()),
    ]  # fmt: skip
    assert found[2].version == child
    assert store.sources(value) == [data.digest]
    assert [one.digest for one in store.derived(page.digest)] == [table.digest]
    assert store.sources(value_digest(table)) == [table.digest]
    assert store.sources_of([value, value_digest(table), "2" * 64]) == {data.digest, table.digest}
    assert store.users(data.digest) == {"r1", "r2"}
    assert len(store.users(data.digest, limit=1)) == 1
    assert (store.users(page.digest), store.users(table.digest), store.users(ABSENT)) == (
        {"r1"},
        set(),
        set(),
    )
    assert store.sources("not a digest") == store.sources("2" * 64) == store.derived(ABSENT) == []
    assert [one.digest for one in store.made_by("r1")] == [page.digest, table.digest]
    assert [one.by for one in store.made_by("r1")] == made[:2]
    store.unlink_run("r1")
    assert [one.by for one in store.derived(data.digest)] == [made[2], None]
    assert store.made_by("r1") == []


def test_lists_show_what_is_asked_for_in_the_order_that_is(store: Store) -> None:
    add(store, b"longest", "reports/a", content_type="text/markdown; charset=utf-8", tags=["best", "v1"])
    add(store, b"middle", "reports/b", content_type="TEXT/html")
    ref = store.put(b"x", content_type="application/json", name="table[1]")
    store.link(ref, by("r1"))
    put(store, b"nameless")

    def shown(**said: object) -> list[str]:
        where = ArtifactFilter(**said)  # type: ignore[arg-type]
        return [store.get(record.digest).decode() for record in store.records(where=where)]

    assert shown(names=["reports/*"]) == ["middle", "longest"]
    assert shown(names=["*/a", "table*"]) == ["x", "longest"]
    assert shown(names=["table[[]1]"]) == ["x"]
    assert shown(names=["reports/[!a]"]) == ["middle"]
    assert shown(names=["Reports/*"]) == []
    assert shown(tags=["best"]) == shown(tags=["best", "v1"]) == ["longest"]
    assert shown(tags=["best", "no"]) == []
    assert shown(types=["text/*"]) == ["nameless", "middle", "longest"]
    assert shown(types=["text/markdown", "application/json"]) == ["x", "longest"]
    assert shown(runs=["r1", "r2"]) == ["x"]
    assert shown(runs=["r2"]) == []
    assert shown(order="oldest") == ["longest", "middle", "x", "nameless"]
    assert shown(order="largest") == ["nameless", "longest", "middle", "x"]
    assert shown(order="smallest", types=["text/*"]) == ["middle", "longest", "nameless"]
    assert shown(order="name") == ["longest", "middle", "x", "nameless"]
    assert shown(since_s=1e12) == shown(until_s=-1.0) == []
    assert len(shown(since_s=-1.0, until_s=1e12)) == 4
    assert len(list(store.records(limit=2, where=ArtifactFilter(order="name")))) == 2
    add(store, b"longest", "again")
    assert shown()[0] == "longest"
