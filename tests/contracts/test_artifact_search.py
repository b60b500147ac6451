"""What the search of artifacts keeps to, whatever is committed to its index, and whatever was put since."""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.packs import damage
from tests.support.searched import RUN, Searched

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.search.core.parsing import WIDE_MAX
from symphony.pit.artifacts.search.entries import TEXT_BYTES_MAX, Entries
from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.artifacts.values.sealed import SEALED_TYPE
from symphony.ports.artifacts import Provenance, Rating
from symphony.ports.object_storage import StorageUnreachable
from symphony.ports.search import QueryInvalid, SearchRequest, SearchResults
from symphony.ports.values import Digest


@pytest.fixture(params=["committed", "overlaid"])
def searched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Searched]:
    made = Searched(tmp_path / "artifacts", commit=request.param == "committed")
    yield made
    made.store.close()


@pytest.fixture(scope="module", params=["committed", "overlaid"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """Some artifacts of all kinds, to be looked at only."""
    root = tmp_path_factory.mktemp("stored") / "artifacts"
    searched = Searched(root, commit=request.param == "committed")
    searched.put(
        "# Report\n\nNear duplicate détection in 数据库 🎉\n", "report.md", "text/markdown", "summarise"
    )
    searched.put('{"a": "near\\nmiss"}', "data.json", "application/json")
    searched.put(b"\0\1\2", "blob.bin", "application/octet-stream")
    searched.put("duplicate of a near thing, שלום עולם", "notes.txt")
    yield searched
    searched.store.close()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("near", {"report.md", "data.json", "notes.txt"}),
        ("near duplicate", {"report.md", "notes.txt"}),
        ('"near duplicate"', {"report.md"}),
        ('"duplicate near"~2', {"notes.txt", "report.md"}),
        ('"duplicate thing"~2', set()),
        ('"duplicate thing"~3', {"notes.txt"}),
        ('"near dupl"*', {"report.md"}),
        ("NEAR -duplicate", {"data.json"}),
        ("miss OR report", {"report.md", "data.json"}),
        ("detection", {"report.md"}),
        ("DÉTECTION", {"report.md"}),
        ("数据", {"report.md"}),
        ("据数", set()),
        ("🎉", {"report.md"}),
        ("שלום", {"notes.txt"}),
        ("dupl*", {"report.md", "notes.txt"}),
        ("dup?icate", {"report.md", "notes.txt"}),
        ("*plicat*", {"report.md", "notes.txt"}),
        ("duplicat~", {"report.md", "notes.txt"}),
        ("/mis{2}/", {"data.json"}),
        ("*", {"report.md", "data.json", "blob.bin", "notes.txt"}),
        ("-near", {"blob.bin"}),
        ("type:text/markdown", {"report.md"}),
        ("type:TEXT/*", {"report.md", "notes.txt"}),
        ("type:markdown OR type:json", {"report.md", "data.json"}),
        ("name:blob", {"blob.bin"}),
        ("blob.bin", {"blob.bin"}),
        ("node:summarise", {"report.md"}),
        ("node:summ*", {"report.md"}),
        ("node:*", {"report.md"}),
        ("port:result operator:text.lines model:minilm", {"report.md"}),
        (f"run:{RUN}", {"report.md"}),
        ("run:1769ff3e", {"report.md"}),
        ("parameter:wc", {"report.md"}),
        ("lines", {"report.md"}),
        ("size:<10", {"blob.bin"}),
        ("size:[10 TO 30]", {"data.json"}),
        ("created:>1h", {"report.md", "data.json", "blob.bin", "notes.txt"}),
        ("created:<1h", set()),
        ("quality:>=0.75", {"report.md", "data.json", "notes.txt"}),
        ("rating:*", set()),
        ("near ++ !", {"report.md", "data.json", "notes.txt"}),
        ("x" * 200, set()),
        ("AND*", set()),
    ],
)
def test_a_query_finds_what_it_says(stored: Searched, text: str, names: set[str]) -> None:
    found = stored.results(text)
    assert {hit.record.names[0] for hit in found.hits} == names
    assert (found.total, found.partial, found.indexed) == (len(names), False, 4)


@pytest.mark.parametrize(
    "text",
    ["\\", "/regex/", "/us?r/", "()", "AND OR", "* AND *", "\u202ertl\u202c", "٣٤ عربي", "a" * 10_000,
     "word " * 900, "a:", "::", "[a TO b]", "{}", "~2", "^4", "?", "??*", "\0", "x\ud800", "%$§", "- -", "''",
     "title:(+return +\"pink panther\")", "mod_date:[20020101 TO 20030101]", "roam~0.8", "te?t*~",
     "(jakarta OR apache) AND website"],
)  # fmt: skip
def test_queries_of_other_tools_are_answered_or_refused_with_a_hint(stored: Searched, text: str) -> None:
    try:
        stored.results(text)
    except QueryInvalid as error:
        assert error.hint


@pytest.mark.parametrize("text", ["/[/", "/(a{1000}){1000}/", "++", "type:x OR /*/", '""'])
def test_what_cannot_be_looked_for_is_an_error(stored: Searched, text: str) -> None:
    with pytest.raises(QueryInvalid) as caught:
        stored.results(text)
    assert caught.value.hint


CODE = """
def load_user_profile(path):  # see src/app/profiles.py
    client = HTTPServerPool2(maxRetries=3)
    return client.parseHttpRequest(path, utf8Decoder)
"""


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("load_user_profile", ["load_user_profile"]),
        ("LOAD_USER_PROFILE", ["load_user_profile"]),
        ("user_profile", ["user_profile"]),
        ("profile", ["profile"]),
        ("parseHttpRequest", ["parseHttpRequest"]),
        ("parsehttprequest", ["parseHttpRequest"]),
        ("HttpRequest", ["parseHttpRequest"]),
        ("http_request", ["parseHttpRequest"]),
        ("request", ["parseHttpRequest"]),
        ("retries", ["maxRetries"]),
        ("server", ["HTTPServerPool2"]),
        ("ServerPool2", ["HTTPServerPool2"]),
        ("parseHttp*", ["parseHttpRequest"]),
        ("decoder", ["utf8Decoder"]),
        ("src/app/profiles.py", ["src/app/profiles.py"]),
        ("app/profiles", ["app/profiles"]),
        ("profiles.py", ["profiles.py"]),
        ("identifier:pool2", None),
        ("client.parseHttpRequest", ["client"]),
    ],
)
def test_identifiers_of_code_are_found_whole_and_by_their_words(
    searched: Searched, text: str, marked: list[str] | None
) -> None:
    searched.put(CODE, "code.py", "text/x-python")
    searched.put("requests for a pool of servers", "prose.txt")
    (hit,) = searched.hits(text)
    assert hit.record.names == ["code.py"]
    if marked is None:
        assert hit.snippet is None
        return
    assert hit.snippet is not None
    first, last = hit.snippet.marks[0], hit.snippet.marks[-1]
    assert {hit.snippet.text[slice(*first)], hit.snippet.text[first[0] : last[1]]} & set(marked)


def test_an_artifact_is_found_by_the_words_of_its_name(searched: Searched) -> None:
    searched.put("nothing", "monthlySalesReport.csv", "text/csv")
    for text in ("sales", "salesReport", "name:monthlySalesReport", "sales_report"):
        assert searched.names(text) == ["monthlySalesReport.csv"]
    assert searched.names('"sales report"') == []


@pytest.mark.parametrize("part", ["*a{}*", "a{}*", "a{}~2", "/a{}.*/"])
def test_a_query_with_too_many_patterns_is_refused_at_the_first_that_is_too_many(
    stored: Searched, part: str
) -> None:
    stored.results(" OR ".join(part.format(number) for number in range(WIDE_MAX)))
    query = " OR ".join(part.format(number) for number in range(WIDE_MAX + 1))
    with pytest.raises(QueryInvalid) as caught:
        stored.results(query)
    assert caught.value.details["column"] == query.rindex(part.format(WIDE_MAX)) + 1


def test_the_best_match_comes_first_and_a_name_counts_more(searched: Searched) -> None:
    searched.put("apple " + "pear " * 50, "long.txt")
    searched.put("apple", "short.txt")
    searched.put("nothing of the kind", "apple.txt")
    assert searched.names("apple") == ["apple.txt", "short.txt", "long.txt"]
    scores = [hit.score for hit in searched.hits("apple")]
    assert scores == sorted(scores, key=lambda score: -(score or 0))


def test_results_can_be_sorted_by_what_is_known(searched: Searched) -> None:
    for number, size in enumerate((30, 10, 20)):
        searched.put("x" * size, f"{number}")
    searched.store.rate(searched.store.find("2").digest, Rating(score=0.0))
    assert searched.names(sort="largest") == ["0", "2", "1"]
    assert searched.names(sort="smallest") == ["1", "2", "0"]
    assert searched.names(sort="newest") == searched.names(sort="oldest")[::-1]
    assert searched.names(sort="quality")[-1] == "2"
    assert [hit.score for hit in searched.hits(sort="quality")] == [None] * 3


def test_the_limit_bounds_what_is_shown_not_what_is_counted(searched: Searched) -> None:
    for number in range(30):
        searched.put(f"word {number}", f"{number}")
    found = searched.results("word", limit=7)
    assert (len(found.hits), found.total) == (7, 30)


@pytest.mark.parametrize("page", [1, 3, 1_000])
def test_everything_comes_page_by_page_in_the_order_of_its_times(searched: Searched, page: int) -> None:
    for number in range(9):
        searched.put(f"word {number}", f"a{number}")
    if searched.commits:  # one part in the index, the other over it
        assert searched.finder.builder().catch_up()
    for number in range(11):  # of one moment, more than a page
        searched.store.put(f"word {number} more".encode(), content_type="text/plain", durable=False)
    searched.store.settle()
    searched.put("none", "other")
    found = list(searched.finder.all_of(SearchRequest(text="word", sort="quality"), now_s=0.0, page=page))
    stored = [one for one in searched.store.records() if one.names != ("other",)]
    stored.sort(key=lambda one: (one.created_at, one.digest))
    assert [hit.record.digest for hit in found] == [one.digest for one in stored]
    assert len(found) == 20
    assert all(hit.quality.score is not None for hit in found)


def test_what_is_put_meanwhile_does_not_prolong_a_list_of_everything(searched: Searched) -> None:
    for number in range(5):
        searched.put(f"word {number}", f"a{number}")
    found = 0
    for hit in searched.finder.all_of(SearchRequest(), now_s=0.0, page=1):
        found += 1
        searched.put(f"more {hit.record.digest}", "more")
    assert found == 5


def test_options_narrow_a_query(stored: Searched) -> None:
    def names(**told: object) -> set[str]:
        found = stored.search(SearchRequest(**told))  # type: ignore[arg-type]
        return {hit.record.names[0] for hit in found.hits}

    everything = {"report.md", "data.json", "blob.bin", "notes.txt"}
    assert names() == everything
    assert names(types=["text/*", "json"]) == {"report.md", "notes.txt", "data.json"}
    assert names(text="near", types=["text/plain"]) == {"notes.txt"}
    assert names(runs=[RUN]) == {"report.md"}
    assert names(size_min=10, size_max=30) == {"data.json"}
    assert names(since_s=0.0, until_s=9e9) == everything
    assert names(since_s=0.0) == names(until_s=9e9) == everything
    assert names(since_s=9e9) == names(until_s=1.0) == set()
    assert names(size_min=1) == names(size_max=1 << 40) == everything
    assert names(quality_min=0.75) == everything - {"blob.bin"}
    assert names(text="near OR blob", types=["json"]) == {"data.json"}


def test_a_snippet_shows_the_best_place_with_its_marks(searched: Searched) -> None:
    searched.put("nothing\n" * 200 + "the  Café\nin 東京 was near 🎉\n" + "more\n" * 200, "a.txt")
    for text, marked in (("cafe", ["Café"]), ("東京", ["東京"]), ("🎉", ["🎉"]), ("caf*", ["Café"])):
        snippet = searched.hits(text)[0].snippet
        assert snippet is not None
        assert [snippet.text[start:stop] for start, stop in snippet.marks] == marked
        assert "the Café in 東京 was near 🎉" in snippet.text
    assert searched.hits("name:a.txt")[0].snippet is None


def test_what_is_found_says_how_good_it_is_and_why(searched: Searched) -> None:
    ref = searched.put('{"a": 1', "broken.json", "application/json")
    found = searched.hits("name:broken")[0].quality
    assert found == searched.finder.entries.quality(searched.store.find(ref.digest))
    assert {part.name: part.value for part in found.parts}["validity"] == 0.0
    searched.store.rate(ref.digest, Rating(score=1.0, note="useful wreck", by="ada"))
    rated = searched.hits("wreck")[0].quality
    assert rated.score is not None
    assert found.score is not None
    assert rated.score > found.score
    assert searched.names("rating:>0.5") == ["broken.json"]


def test_use_is_what_later_runs_made_of_an_artifact_and_is_counted_as_it_is_now(searched: Searched) -> None:
    source = searched.put("the source", "source.txt", node="first")
    value = value_digest(msgspec.structs.replace(source, encoding="text"))

    def made(run: str, body: str) -> None:
        ref = searched.put(body)
        by = Provenance(run_id=run, node="next", port="o", operator="p", version="1", inputs={"of": value})
        searched.store.link(ref, by)

    def use() -> tuple[float | None, str]:
        parts = {part.name: part for part in searched.hits("name:source")[0].quality.parts}
        return parts["use"].value, parts["use"].why

    assert use() == (0.0, "no later run has read it")
    made(RUN, "by the same run")
    assert use() == (0.0, "no later run has read it")
    made("2" * 32, "by another run")
    made("2" * 32, "by that run again")
    assert use() == (0.5, "1 later run read it")
    assert searched.names("uses:>=1") == ["source.txt"]
    made("3" * 32, "by a third run")
    assert use() == (0.666667, "2 later runs read it")
    assert searched.hits(sort="quality")[0].record.digest == source.digest


def test_what_is_deleted_is_not_found(searched: Searched) -> None:
    ref = searched.put("fleeting", node="n")
    assert searched.results("fleeting").total == 1
    searched.store.unlink_run(RUN)
    assert searched.results("node:n").total == 0
    assert searched.results("fleeting").total == 1
    searched.store.collect(-1)
    assert searched.store.size(ref.digest) is None
    assert searched.results("fleeting").total == 0


def test_what_is_in_the_trash_is_not_found_until_it_comes_back(searched: Searched) -> None:
    digest = searched.put("thrown away", "old.txt").digest

    def trash() -> None:
        standings = [one for one in searched.store.standings().all if one.digest == digest]
        assert searched.store.trash([(one, "old") for one in standings], min_age_s=-1).objects == 1
        assert searched.results("thrown").total == 0

    trash()
    searched.store.restore([digest])
    assert searched.names("thrown") == ["old.txt"]
    trash()
    assert searched.store.get(digest) == b"thrown away"
    searched.store.log_reads()
    assert searched.names("thrown") == ["old.txt"]


def test_a_search_does_not_count_as_a_read(searched: Searched) -> None:
    searched.put("read by nobody", "idle.txt")
    searched.store.log_reads()
    assert searched.results("nobody").hits[0].snippet is not None
    searched.store.log_reads()
    assert not any(one.uses for one in searched.store.standings().all)


def test_what_changes_is_found_as_it_is_now(searched: Searched) -> None:
    searched.put("same body", "first.txt")
    assert searched.names("same") == ["first.txt"]
    searched.put("same body", "second.txt", "text/markdown")
    assert searched.names("same") == ["second.txt"]
    assert searched.names("name:first type:markdown") == ["second.txt"]
    assert searched.results().total == 1


def test_versions_tags_and_notes_are_found_as_they_are_now(searched: Searched) -> None:
    for number, body in enumerate((b"one", b"two"), 1):
        searched.store.add_version(
            io.BytesIO(body), name="report", content_type="text/plain", note=f"draft{number}"
        )
    one, two = (searched.store.find(f"report@{number}").digest for number in (1, 2))
    searched.store.tag("report", 1, "Best")

    def digests(text: str) -> list[str]:
        return [hit.record.digest for hit in searched.hits(text)]

    assert digests("tag:best") == digests("tag:*") == [one]
    assert digests("draft2") == digests("version:report@2") == [two]
    searched.store.tag("report", 2, "Best")
    assert digests("tag:best") == [two]
    searched.store.untag("report", "Best")
    assert digests("tag:best") == digests("tag:*") == []


def test_the_log_may_be_rewritten(searched: Searched) -> None:
    for number in range(150):
        searched.put(f"word{number}", f"{number}")
    assert searched.results().total == 150
    for _ in range(3):
        for number in range(150):
            searched.put(f"word{number}", f"{number}")
    before = (searched.store.root / "records.log").stat().st_ino
    searched.put("idle")
    searched.store.collect(-1)
    assert (searched.store.root / "records.log").stat().st_ino != before
    searched.put("later", "later")
    assert searched.results().total == 151
    assert searched.names("later") == ["later"]
    assert searched.results("idle").total == 0


def test_an_empty_store_has_nothing_and_gets_nothing(searched: Searched) -> None:
    assert searched.results("x") == SearchResults(hits=[], total=0, indexed=0)
    if not searched.commits:
        assert not searched.store.root.exists()


def test_bodies_in_which_secrets_are_sealed_are_not_found(searched: Searched) -> None:
    searched.put(b"\x81\xa1aplain", kind=SEALED_TYPE)
    assert searched.results("plain").total == 0
    assert searched.results().total == 0


def test_of_a_large_body_the_beginning_is_searched(searched: Searched) -> None:
    searched.put("early " + "x " * TEXT_BYTES_MAX + "late", "large.txt")
    assert searched.names("early") == ["large.txt"]
    assert searched.names("late") == []
    assert searched.names("large.txt") == ["large.txt"]


def test_a_damaged_body_is_still_found_by_what_is_known_of_it(searched: Searched) -> None:
    ref = searched.put("good text", "damaged.txt")
    damage(searched.store.root, ref.digest)
    assert searched.names("name:damaged") == ["damaged.txt"]
    assert searched.results("bad").total == 0


def test_a_body_that_is_out_of_reach_is_found_by_what_is_known_of_it(searched: Searched) -> None:
    digest = searched.put("far away", "far.txt").digest
    peek = searched.store.peek

    def unreachable(digest: Digest, length: int) -> bytes:
        raise StorageUnreachable("the bucket does not answer")

    searched.store.peek = unreachable  # type: ignore[method-assign]
    assert searched.names("name:far") == ["far.txt"]
    assert searched.results("away").total == 0
    quality = searched.finder.entries.quality(searched.store.find(digest))
    assert quality.parts[0].why == "its body cannot be read"
    searched.store.peek = peek  # type: ignore[method-assign]
    searched.finder.builder().rebuild()
    assert searched.names("away") == ["far.txt"]
    searched.store.peek = unreachable  # type: ignore[method-assign]
    assert [hit.snippet for hit in searched.hits("away")] == [None]


def test_without_texts_no_word_of_a_body_is_in_any_field(tmp_path: Path) -> None:
    store = FileArtifacts(tmp_path)
    digest = store.put(b"secret getSecretPlan my_secret", content_type="text/plain", name="planName").digest
    entries = Entries(store, texts=False)
    facts = entries.find(digest)
    assert facts is not None
    entry = entries.entry(facts)
    assert entry is not None
    assert {name: list(found) for name, found in entry.texts.items() if found} == {
        "identifier": ["plan Name"], "name": ["planName"],
    }  # fmt: skip
    assert b"ecret" not in entry.told
    store.close()
