"""The index of the search: when it is committed, damaged, of another version, or behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.searched import Searched

from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.finding import COMMITTED_FROM
from symphony.pit.artifacts.search.overlay import OVERLAID_MAX


def test_somebody_is_asked_to_commit_what_gathers(tmp_path: Path) -> None:
    searched = Searched(tmp_path / "artifacts", commit=False)
    for number in range(COMMITTED_FROM - 1):
        searched.put(f"word{number}", f"{number}")
    searched.results("word1")
    assert searched.asked == 0
    searched.put("more", "more")
    assert not searched.results("word1").partial
    assert searched.asked == 1
    searched.store.close()


def test_with_too_much_to_look_at_the_newest_are_found_and_the_results_are_partial(tmp_path: Path) -> None:
    searched = Searched(tmp_path / "artifacts", commit=False)
    for number in range(OVERLAID_MAX + 100):
        searched.store.put(
            f"word{number}".encode(), content_type="text/plain", name=f"{number}", durable=False
        )
    searched.store.settle()
    newest = f"word{OVERLAID_MAX + 99}"
    found = searched.results(newest)
    assert (found.total, found.partial) == (1, True)
    assert searched.asked == 1
    assert searched.finder.builder().catch_up()
    for text in ("word0", newest):
        found = searched.results(text)
        assert (found.total, found.partial, found.indexed) == (1, False, OVERLAID_MAX + 100)
    searched.store.close()


Damage = Callable[[Path], None]


def flipped(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0x10
    rewrite(path, bytes(body))


def cut(path: Path) -> None:
    rewrite(path, path.read_bytes()[:-7])


def rewrite(path: Path, body: bytes) -> None:
    """Put another file there: those who have the old one mapped into their memory keep it."""
    path.with_name("new").write_bytes(body)
    path.with_name("new").replace(path)


@pytest.mark.parametrize("damage", [flipped, cut, Path.unlink], ids=["flipped", "cut", "gone"])
@pytest.mark.parametrize("kind", ["idx", "pos", "term", "store", "fast", "fieldnorm", "meta.json"])
def test_a_damaged_index_gives_no_wrong_answer_and_is_built_again(
    tmp_path: Path, damage: Damage, kind: str
) -> None:
    searched = Searched(tmp_path / "artifacts", commit=True)
    for number in range(20):
        searched.put(f"word{number} common", f"{number}")
    assert searched.results("common").total == 20
    folder = searched.store.root / "search" / "index"
    damage(next(path for path in sorted(folder.iterdir()) if path.name.endswith(kind)))
    searched.put("word20 common", "20")
    later = Searched(tmp_path / "artifacts", commit=False)
    for finder in (later, later, searched, later):
        found = finder.results("common")
        assert (found.total, found.partial) == (21, False) or found.partial
    assert later.results("word20").total == 1
    assert (later.results("common").total, later.results("common").partial) == (21, False)
    searched.store.close()
    later.store.close()


def test_two_finders_see_what_the_other_has_put_and_committed(tmp_path: Path) -> None:
    one, two = (Searched(tmp_path / "artifacts", commit=False) for _ in range(2))
    for number in range(10):
        one.put(f"word{number} common", f"{number}")
        assert two.results("common").total == number + 1
        if number % 3 == 0:
            assert one.finder.builder().catch_up()
    assert one.results("common").total == 10
    one.store.close()
    two.store.close()


def test_what_lies_over_the_index_is_ranked_as_if_it_were_in_it(tmp_path: Path) -> None:
    made = [Searched(tmp_path / name, commit=False) for name in ("whole", "parted")]
    for searched in made:
        for number in range(40):
            searched.put(f"common {'rare ' * (number % 4 == 0)}filler number{number}", f"{number}")
            if searched is made[1] and number == 30:
                assert searched.finder.builder().catch_up()
    assert made[0].finder.builder().catch_up()
    for text in ("common", "rare", "rare common", "rare OR number39", '"common rare"'):
        whole, parted = ({hit.record.names[0]: hit.score for hit in one.hits(text)} for one in made)
        assert parted.keys() == whole.keys() if len(whole) < 20 else len(parted) == 20
        for name in parted.keys() & whole.keys():
            assert parted[name] == pytest.approx(whole[name], rel=0.2)
    for searched in made:
        searched.store.close()


def test_an_index_of_another_version_is_built_again_and_searches_are_partial_until_then(
    tmp_path: Path,
) -> None:
    """Fields of another version are no index of ours; with other weights, its qualities are old."""
    import tantivy

    searched = Searched(tmp_path / "artifacts", commit=False)
    searched.put("first", "first.txt")
    folder = searched.store.root / "search" / "index"
    folder.mkdir(parents=True)
    other = tantivy.SchemaBuilder()
    other.add_text_field("text")
    tantivy.Index(other.build(), path=str(folder))
    found = searched.results("first")
    assert (found.total, found.partial, searched.asked) == (1, True, 1)
    assert searched.finder.builder().catch_up() == 1
    assert not searched.results("first").partial
    weighed = Searched(tmp_path / "artifacts", commit=False)
    weighed.finder.entries = Entries(weighed.store, weights={"validity": 1.0})
    assert weighed.results("first").partial
    assert weighed.asked == 1
    assert weighed.finder.builder().catch_up() == 1
    assert [hit.quality.score for hit in weighed.results("first").hits] == [1.0]
    assert not weighed.results("first").partial
    for one in (searched, weighed):
        one.store.close()
