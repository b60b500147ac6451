"""Runs are found by their names and by what is shown of their ids, whatever is deleted, lost or damaged."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from symphony import Symphony
from symphony.app import RunNotFound, journals
from symphony.cli.views.planning import plan_text
from symphony.commons.errors import SymphonyError
from symphony.commons.time import SystemClock, new_run_id
from symphony.pit.tracker.store.finding import Tails, beginning_with
from symphony.pit.tracker.store.names import RunNames, check_name
from symphony.pit.tracker.store.runs import NAMES, Runs
from symphony.ports.runs import short_id
from symphony.workflow import loads

WORDS = (
    "{name: Some words, nodes: {a: {operator: debug.value, inputs: {value: 1}}}, "
    "outputs: {a: '${{ a.result }}'}}"
)


async def begin(home: Path, *names: str | None) -> list[str]:
    async with Symphony.open(home) as symphony:
        ids = list[str]()
        for name in names:
            handle = await symphony.start(loads(WORDS, "yaml"), name=name)
            result = await handle.result()
            assert result.name == handle.name
            ids.append(handle.run_id)
        return ids


def began(home: Path, *names: str | None) -> list[str]:
    return asyncio.run(begin(home, *names))


def runs_of(home: Path) -> Runs:
    return Runs(home, SystemClock(), lambda _: None)


def called(home: Path) -> list[str | None]:
    """What the runs are called, the oldest first."""
    return [run.name for run in runs_of(home).list(limit=1000)][::-1]


def test_a_run_is_called_as_its_workflow_with_the_next_number(tmp_path: Path) -> None:
    began(tmp_path, None, None)
    began(tmp_path, None)
    assert called(tmp_path) == ["some-words-1", "some-words-2", "some-words-3"]


def test_a_run_is_found_by_its_name_its_id_its_short_id_and_their_beginnings(tmp_path: Path) -> None:
    first, second, third = began(tmp_path, None, "nightly", None)
    runs = runs_of(tmp_path)
    for word in (second, short_id(second), short_id(second)[:7], second[:-2], "nightly"):
        assert runs.find(word) == second, word
    assert runs.find("last") == third
    assert runs.find("some-words-1") == first
    assert runs.label(second) == "nightly"


def test_every_method_takes_the_name_the_short_id_and_last(tmp_path: Path) -> None:
    began(tmp_path, None, "nightly")
    symphony = Symphony.open(tmp_path)
    runs, views = symphony.runs, symphony.views
    run_id = runs.find("nightly")
    for word in ("nightly", short_id(run_id), run_id, "last"):
        assert runs.meta(word).run_id == runs.summary(word).run_id == runs.result(word).run_id == run_id
        assert runs.status(word) == views.status(word) == "succeeded"
        assert [event.type for event in runs.events(word)][-1] == "run.finished"
        assert runs.overview(word).steps == views.overview(word).steps == 1
        assert list(runs.logs(word)) == list(runs.follow_logs(word, lambda: None)) == []
        assert runs.replay(word).ended is not None
        assert len(runs.records(word)) == 3
        assert runs.answered(word) == runs.changed_files(word) == []
        assert runs.labels(word).of("a") is None
        assert runs.label(word) == "nightly"
        assert runs.called(word) == f"nightly ({short_id(run_id)})"
        assert views.document(word)["short_id"] == short_id(run_id)
        assert views.compare("some-words-1", word).b.run_id == run_id
        assert symphony.recorded(word).workflow.name == "Some words"
        assert runs.cancel(word) == "succeeded"
        with pytest.raises(SymphonyError, match="ended"):
            runs.pause(word)
    runs.delete("nightly")
    assert called(tmp_path) == ["some-words-1"]
    with pytest.raises(RunNotFound, match="there is no run 'nightly'"):
        runs.status("nightly")


def test_a_dry_run_of_a_rerun_says_what_the_run_is_called(tmp_path: Path) -> None:
    began(tmp_path, None)
    symphony = Symphony.open(tmp_path)
    plan = symphony.plan_rerun("last")
    assert plan.nodes["a"].why == "run some-words-1"
    text = plan_text(loads(WORDS, "yaml"), {}, plan, currency="EUR", rerun_of=symphony.runs.called("last"))
    assert f"rerun of some-words-1 ({short_id(symphony.runs.find('last'))}), 1 node in 1 stage" in text


def test_what_begins_several_ids_is_refused_and_they_are_named(tmp_path: Path) -> None:
    began(tmp_path, *[None] * 17)  # two of them begin with the same of sixteen digits
    found = runs_of(tmp_path)
    (digit, count), *_ = Counter(short_id(run_id)[0] for run_id in found.ids()).most_common()
    with pytest.raises(RunNotFound, match=f"{count} runs begin with '{digit}'") as refused:
        found.find(digit)
    told = [run_id for run_id in found.ids() if short_id(run_id).startswith(digit)][:5]
    for run_id in told:
        assert f"{short_id(run_id)} ({found.label(run_id)})" in refused.value.message


def test_the_beginning_of_whole_ids_is_told_with_whole_ids(tmp_path: Path) -> None:
    first, second = began(tmp_path, None, None)
    shared = next(first[:n] for n in range(len(first), 0, -1) if second.startswith(first[:n]))
    with pytest.raises(RunNotFound, match=f"2 runs begin with '{shared}'") as refused:
        runs_of(tmp_path).find(shared)
    assert f"{first} (some-words-1)" in refused.value.message
    assert f"{second} (some-words-2)" in refused.value.message


def test_a_name_that_is_nearly_right_is_hinted_at(tmp_path: Path) -> None:
    began(tmp_path, None)
    with pytest.raises(RunNotFound) as refused:
        runs_of(tmp_path).find("some-word-1")
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("did you mean some-words-1? see symphony runs list (home: /")


def test_the_end_of_an_id_counts_before_its_beginning_where_as_much_is_typed_as_is_shown() -> None:
    early = "0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e5f"
    ends_so = "0192ffff-3a5b-7c1d-9e2f-0192e4f71111"
    assert beginning_with("0192e4f7", [early, ends_so]) == [ends_so]
    assert beginning_with("0192", [early, ends_so]) == [ends_so]
    assert beginning_with("0192", [early]) == [], "nobody is shown what an id begins with"
    assert beginning_with("0192e4f7-3", [early, ends_so]) == [early]


def test_more_of_an_id_is_shown_where_others_begin_alike() -> None:
    one, two = "0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e5f", "0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4eff"
    other = "0192e4f7-3a5b-7c1d-9e2f-ffffffffffff"
    tails = Tails([one, two, other])
    assert [tails.shortest(run) for run in (one, two, other)] == ["0a1b2c3d4e5", "0a1b2c3d4ef", "ffffffff"]
    twin = "0192e4f8-3a5b-7c1d-9e2f-0a1b2c3d4e5f"
    assert Tails([one, twin]).shortest(one) == "0a1b2c3d"


def test_the_file_and_the_ids_alone_show_the_same_of_an_id(tmp_path: Path) -> None:
    names = RunNames(tmp_path / NAMES, lambda _: [], lambda _: True)
    ids = [f"0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e{number:02x}" for number in range(20)] + [new_run_id()]
    for run_id in ids:
        names.add(run_id, None)
    names.flush()
    tails = Tails(ids)
    assert names.shorts(ids) == {run_id: tails.shortest(run_id) for run_id in ids}


@pytest.mark.parametrize(
    "name", ["last", "abc", "12ab", "0192e4f7-3a5b", "a b", "", "-x", "e\u0301", "x" * 101, "a/b", "../x"]
)
def test_a_name_that_may_mean_something_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SymphonyError) as refused:
        began(tmp_path, name)
    assert refused.value.code == "run-name"
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("name", ["abcxyz", "größe", "v1.2", "release_7", "words-12", "2026-11-30"])
def test_any_other_name_may_be_chosen(name: str) -> None:
    assert check_name(name) == name


def test_a_name_of_a_run_that_exists_is_refused_and_no_run_begins(tmp_path: Path) -> None:
    began(tmp_path, "nightly")
    with pytest.raises(SymphonyError, match="is called 'nightly' already"):
        began(tmp_path, "nightly")
    assert called(tmp_path) == ["nightly"]


def test_a_chosen_name_may_be_taken_again_when_its_run_is_deleted(tmp_path: Path) -> None:
    (first,) = began(tmp_path, "nightly")
    runs_of(tmp_path).delete(first)
    (second,) = began(tmp_path, "nightly")
    assert runs_of(tmp_path).find("nightly") == second


def test_a_number_that_was_given_is_never_given_again(tmp_path: Path) -> None:
    for run_id in began(tmp_path, None, None):
        runs_of(tmp_path).delete(run_id)
    began(tmp_path, None)
    assert called(tmp_path) == ["some-words-3"]
    with pytest.raises(SymphonyError, match="was the name of another run"):
        began(tmp_path, "some-words-2")


def test_a_number_that_a_person_has_used_is_left_out_though_that_run_is_deleted(tmp_path: Path) -> None:
    (chosen,) = began(tmp_path, "some-words-2")
    runs_of(tmp_path).delete(chosen)
    began(tmp_path, None, None)
    assert called(tmp_path) == ["some-words-1", "some-words-3"]


def test_many_runs_of_a_session_have_numbers_without_gaps_and_the_next_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "OWN_FILES", 1)
    began(tmp_path, *[None] * 40)
    began(tmp_path, None, None)
    assert called(tmp_path) == [f"some-words-{number}" for number in range(1, 43)]
    assert runs_of(tmp_path).find("some-words-30") == runs_of(tmp_path).ids()[12]


def test_runs_that_begin_at_once_get_different_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "OWN_FILES", 3)

    async def whole() -> Sequence[str | None]:
        async with Symphony.open(tmp_path) as symphony:
            workflow = loads(WORDS, "yaml")
            handles = await asyncio.gather(*(symphony.start(workflow) for _ in range(30)))
            await asyncio.gather(*(handle.result() for handle in handles))
            return [handle.name for handle in handles]

    given = asyncio.run(whole())
    assert sorted(str(name) for name in given) == sorted(f"some-words-{number}" for number in range(1, 31))


def test_two_who_number_at_once_never_give_the_same_number(tmp_path: Path) -> None:
    given, path = list[str | None](), tmp_path / NAMES

    def number() -> None:
        names = RunNames(path, lambda _: [], lambda _: True)
        for _ in range(20):
            given.append(names.next("w", new_run_id()))
            given.extend(f"w-{one}" for one in names.reserve("w", 3))
        names.close()

    threads = [threading.Thread(target=number) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == len(set(given)) == 4 * 20 * 4
    assert None not in given


@pytest.mark.parametrize("damage", ["missing", "damaged", "foreign", "flipped"])
def test_without_a_sound_file_of_names_runs_are_found_and_numbers_go_on(tmp_path: Path, damage: str) -> None:
    first, second, third = began(tmp_path, None, "nightly", None)
    path = tmp_path / "journal" / NAMES
    body = path.read_bytes()
    path.unlink()
    if damage == "damaged":
        path.write_bytes(body[:3000] + bytes(len(body) - 3000))
    elif damage == "foreign":
        path.write_bytes(b"not a database, but long enough to be looked at " * 20)
    elif damage == "flipped":
        path.write_bytes(body.replace(b"nightly", b"nightlx"))
    assert runs_of(tmp_path).find("nightly") == second
    assert runs_of(tmp_path).find("some-words-2") == third
    assert runs_of(tmp_path).find(short_id(first)) == first
    began(tmp_path, None)
    assert called(tmp_path) == ["some-words-1", "nightly", "some-words-2", "some-words-3"]


def test_where_names_cannot_be_kept_runs_begin_without_and_named_ones_are_found(tmp_path: Path) -> None:
    first, second = began(tmp_path, None, "nightly")
    path = tmp_path / "journal" / NAMES
    path.unlink()
    path.mkdir()
    assert runs_of(tmp_path).find("nightly") == second
    assert runs_of(tmp_path).find("some-words-1") == first
    assert runs_of(tmp_path).label(second) == "nightly"
    began(tmp_path, None)
    with pytest.raises(SymphonyError):
        began(tmp_path, "other")
    assert called(tmp_path) == ["some-words-1", "nightly", None]


def test_a_run_whose_journal_could_not_be_made_keeps_no_name(tmp_path: Path) -> None:
    began(tmp_path, None)
    names = runs_of(tmp_path).names
    run_id = new_run_id()
    names.choose("nightly", run_id)  # as far as a process came that died then
    (begun,) = began(tmp_path, "nightly")
    assert runs_of(tmp_path).find("nightly") == begun


def test_a_rerun_has_a_name_of_its_own(tmp_path: Path) -> None:
    (first,) = began(tmp_path, "nightly")

    async def whole() -> list[str | None]:
        async with Symphony.open(tmp_path) as symphony:
            again = await symphony.rerun("nightly")
            named = await symphony.rerun(short_id(first), name="again")
            results = [await again.result(), await named.result()]
            assert (await (await symphony.resume("again")).result()).name == "again"
            return [result.name for result in results]

    assert asyncio.run(whole()) == ["some-words-1", "again"]


def test_a_run_in_memory_has_the_name_that_it_is_given(tmp_path: Path) -> None:
    async def whole() -> list[str | None]:
        async with Symphony.open(tmp_path, memory=True) as symphony:
            workflow = loads(WORDS, "yaml")
            handles = [await symphony.start(workflow), await symphony.start(workflow, name="nightly")]
            return [(await handle.result()).name for handle in handles]

    assert asyncio.run(whole()) == [None, "nightly"]
