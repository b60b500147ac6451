"""Lists of runs: what they say of ended runs stands in an index, which costs time alone if it is wrong."""

import asyncio
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from symphony import Symphony
from symphony.commons.time import SystemClock
from symphony.pit.tracker.store.ended import EndedRun, EndedRuns
from symphony.pit.tracker.store.indexed import INDEX
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import RunStatus, RunSummary
from symphony.workflow import loads

DONE = "name: done\nnodes:\n  a: {operator: debug.value, inputs: {value: 1}}\noutputs: {a: '${{ a.result }}'}"
FAILED = "name: bad\nnodes:\n  a: {operator: text.split, inputs: {text: \"${{ ['a'][3] }}\", separator: ','}}"
WAITS = "name: waits\nnodes:\n  gate: {control: approval, message: 'May it?'}"
_opened: list[str] | None = None


def _note(event: str, given: tuple[object, ...]) -> None:
    if event == "sqlite3.connect" and _opened is not None:
        _opened.append(str(given[0]).removeprefix("file://").partition("?")[0])


sys.addaudithook(_note)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The journals that are opened inside."""
    global _opened
    _opened = found = []
    journals: list[str] = []
    try:
        yield journals
    finally:
        _opened = None
        journals += [Path(path).stem for path in found if path.endswith(".db") and "/journal/" in path]


async def begin(home: Path, *texts: str) -> list[str]:
    async with Symphony.open(home) as symphony:
        ids = list[str]()
        for text in texts:
            handle = await symphony.start(loads(text, "yaml"))
            await handle.result()
            ids.append(handle.run_id)
        return ids


def runs_of(home: Path) -> Runs:
    return Runs(home, SystemClock(), lambda _: None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    asyncio.run(begin(tmp_path / "home", DONE, FAILED, DONE, WAITS))
    return tmp_path / "home"


def said(home: Path) -> list[RunSummary]:
    runs = runs_of(home)
    try:
        return runs.list(limit=100)
    finally:
        runs.close()


def as_read(home: Path) -> list[RunSummary]:
    """What the journals alone say."""
    (home / "journal" / INDEX).unlink(missing_ok=True)
    return said(home)


def test_of_runs_that_ended_no_journal_is_opened(home: Path) -> None:
    with opened() as journals:
        found = said(home)
    assert [one.status for one in found] == ["waiting", "succeeded", "failed", "succeeded"]
    assert set(journals) == {found[0].run_id}
    with opened() as journals:
        assert [one.status for one in runs_of(home).list(status=RunStatus.FAILED)] == ["failed"]
        assert runs_of(home).status(found[2].run_id) is RunStatus.FAILED
    assert set(journals) == {found[0].run_id}


def test_the_index_says_what_the_journals_say(home: Path) -> None:
    assert said(home) == as_read(home)


def spoil(path: Path) -> None:
    rng, body = random.Random(1), bytearray(path.read_bytes())
    for at in range(0, len(body), 97):
        body[at] ^= 1 << rng.randrange(8)
    path.write_bytes(body)


WAYS: list[Callable[[Path], object]] = [
    Path.unlink,
    spoil,
    lambda path: path.write_bytes(b"no database " * 1_000),
    lambda path: os.truncate(path, 5_000),
    lambda path: path.write_bytes(b""),
]


@pytest.mark.parametrize("harm", WAYS)
def test_an_index_that_is_missing_or_damaged_is_made_anew_and_each_journal_read_once(
    home: Path, harm: Callable[[Path], object]
) -> None:
    right = said(home)
    harm(home / "journal" / INDEX)
    with opened() as journals:
        assert said(home) == right
    assert set(journals) == {one.run_id for one in right}
    with opened() as journals:
        assert said(home) == right
    assert set(journals) == {right[0].run_id}, "the one that waits"


def test_a_bit_that_flips_in_the_index_changes_no_answer(home: Path) -> None:
    right, path = said(home), home / "journal" / INDEX
    whole = path.read_bytes()
    for at in range(100, len(whole), 509):
        body = bytearray(whole)
        body[at] ^= 4
        path.write_bytes(body)
        assert said(home) == right, at
        assert said(home) == right, at


def test_a_journal_that_was_changed_since_is_read(home: Path) -> None:
    right = said(home)
    path = home / "journal" / f"{right[1].run_id}.db"
    spoil(path)
    assert [one.status for one in said(home)] == ["waiting", "damaged", "failed", "succeeded"]
    assert [one.status for one in said(home)] == ["waiting", "damaged", "failed", "succeeded"]


def test_a_deleted_run_is_in_no_list_and_leaves_no_row(home: Path) -> None:
    runs = runs_of(home)
    gone = runs.ids()[1]
    runs.delete(gone)
    assert gone not in [one.run_id for one in runs.list()]
    assert not EndedRuns(home / "journal" / INDEX).find([gone])


def test_a_resumed_run_is_told_as_it_ends(home: Path) -> None:
    async def go_on() -> None:
        async with Symphony.open(home) as symphony:
            run_id = symphony.runs.find("last")
            symphony.runs.answer(run_id, "gate", approved=True)
            assert symphony.runs.list()[0].status is RunStatus.INTERRUPTED
            await (await symphony.resume(run_id)).result()
            assert symphony.runs.list()[0].status is RunStatus.SUCCEEDED

    asyncio.run(go_on())
    assert said(home)[0].status is RunStatus.SUCCEEDED
    assert said(home) == as_read(home)


def test_a_home_that_others_may_not_write_is_listed(home: Path) -> None:
    right = as_read(home)
    (home / "journal" / INDEX).unlink()
    (home / "journal" / INDEX).mkdir()  # nothing can be written there, whoever asks
    assert said(home) == right


def test_an_empty_place_is_listed_and_nothing_is_made_there(tmp_path: Path) -> None:
    assert said(tmp_path / "home") == []
    assert not list(tmp_path.iterdir())


def test_several_writers_and_readers_of_one_index_lose_nothing_that_was_flushed(tmp_path: Path) -> None:
    path, names = tmp_path / "ended.index", [[f"{who}-{n}" for n in range(50)] for who in range(4)]
    failures: list[BaseException] = []

    def write(mine: list[str]) -> None:
        try:
            index = EndedRuns(path)
            for name in mine:
                told = RunSummary(run_id=name, workflow="w", status=RunStatus.FAILED, started_at=1.0)
                index.add(EndedRun("1:1", told))
                index.flush()
                assert name in index.find([name, "other"])
            index.close()
        except BaseException as error:  # noqa: BLE001  (told by the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=write, args=(mine,)) for mine in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    every = [name for mine in names for name in mine]
    assert set(EndedRuns(path).find(every)) == set(every)
