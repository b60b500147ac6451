"""Many small runs in one session: what they cost the disk, and that each is a run like any other."""

import asyncio
import contextlib
import selectors
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import RunBusy, Symphony, journals
from symphony.pit.artifacts import FileArtifacts
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.indexed import INDEX
from symphony.pit.tracker.store.journal import JournalFailed
from symphony.ports.runs import RunStatus
from symphony.workflow import loads
from symphony.workflow.model import Workflow

TEXT = (
    b"{name: w, nodes: {a: {operator: small.step, inputs: {value: 1}}, "
    b"b: {operator: small.step, inputs: {value: '${{ a.result }}'}}, "
    b"c: {operator: small.step, inputs: {value: '${{ b.result }}'}}}, outputs: {last: '${{ c.result }}'}}"
)
ASKING = b"{name: w, nodes: {a: {operator: small.step}, ask: {control: approval, message: go?, after: [a]}}}"
DONE: Counter[str] = Counter()


@operator("small.step", version="1.0.0")
async def step(value: int = 0) -> int:
    """Count that it was done."""
    DONE["step"] += 1
    return value + 1


@pytest.fixture
async def symphony(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Symphony]:
    """A session whose runs all go into a segment."""
    monkeypatch.setattr(journals, "OWN_FILES", 0)
    DONE.clear()
    async with Symphony.open(tmp_path, operators=[step]) as opened:
        yield opened


async def ran(symphony: Symphony, what: Workflow) -> str:
    handle = await symphony.start(what)
    result = await handle.result()
    assert result.status is RunStatus.SUCCEEDED
    assert result.outputs == {"last": 4}
    return handle.run_id


def files(home: Path) -> list[Path]:
    """What is in the home, apart from the bus that comes and goes, and the index of ended runs."""
    return sorted(path for path in home.rglob("*") if not path.name.startswith(("bus.", "ended.")))


def commits(symphony: Symphony) -> int:
    assert symphony.parts.journals is not None
    segment = symphony.parts.journals.segment
    return 0 if segment is None else segment.commits


async def test_a_run_of_three_effects_is_four_commits(symphony: Symphony) -> None:
    what = loads(TEXT, "yaml")
    await ran(symphony, what)
    before = commits(symphony)
    for _ in range(5):
        await ran(symphony, what)
    # One before each effect, the first makes the journal, and one at the end. A slow turn of the loop may
    # commit once more what waits for nothing.
    assert 5 * 4 <= commits(symphony) - before <= 5 * 6


class Counting(selectors.DefaultSelector):
    """Counts the turns of an event loop."""

    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        return super().select(timeout)


def chained(steps: int) -> Workflow:
    """Steps in a row."""
    first = "{operator: small.step, inputs: {value: 1}}"
    nodes = [
        f"s{at}: {{operator: small.step, inputs: {{value: '${{{{ s{at - 1}.result }}}}'}}}}"
        for at in range(1, steps)
    ]
    return loads(f"{{name: w, nodes: {{s0: {first}, {', '.join(nodes)}}}}}", "yaml")


def test_an_effect_costs_one_commit_and_few_turns_of_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "OWN_FILES", 0)
    selector, took = Counting(), list[tuple[int, int]]()

    async def run() -> None:
        async with Symphony.open(tmp_path, operators=[step]) as opened:
            for steps in (2, 10, 30):  # what begins a session comes first
                turns, before = selector.turns, commits(opened)
                await (await opened.start(chained(steps))).result()
                took.append((selector.turns - turns, commits(opened) - before))

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(run())
    (_, few, many), steps = took, 20
    # It is launched, committed, told, called, ended; what is timed or polled adds a turn now and then.
    assert many[0] - few[0] <= 9 * steps
    assert many[1] >= 30  # each effect is durable before the next, whatever a busy machine adds to the others
    assert many[1] - few[1] <= 2 * steps


async def test_runs_at_once_share_their_commits(symphony: Symphony) -> None:
    what = loads(TEXT, "yaml")
    await ran(symphony, what)
    before = commits(symphony)
    await asyncio.gather(*(ran(symphony, what) for _ in range(100)))
    assert commits(symphony) - before < 100


async def test_a_pure_run_is_one_commit(symphony: Symphony) -> None:
    what = loads(b"{name: w, nodes: {a: {operator: debug.value, inputs: {value: 1}}}}", "yaml")
    await (await symphony.start(what)).result()
    before = commits(symphony)
    for _ in range(5):
        await (await symphony.start(what)).result()
    assert 5 <= commits(symphony) - before <= 5 * 3  # and, without records, that it is over


async def test_a_run_that_cannot_be_recorded_has_no_effect_and_leaves_nothing(symphony: Symphony) -> None:
    what = loads(TEXT, "yaml")
    await ran(symphony, what)
    done = DONE["step"]
    (segment,) = segments.segments(symphony.runs.journal_path("any").parent)
    with contextlib.closing(sqlite3.connect(segment)) as db, db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    with pytest.raises(JournalFailed, match="disk full"):
        await symphony.start(what)
    with contextlib.closing(sqlite3.connect(segment)) as db, db:
        db.execute("DROP TRIGGER full")
    assert DONE["step"] == done
    assert len(symphony.runs.ids()) == 1
    await ran(symphony, what)


async def test_a_run_is_durable_when_its_start_returns(symphony: Symphony) -> None:
    for text in (TEXT, b"{name: w, nodes: {a: {operator: debug.value, inputs: {value: 1}}}}"):
        handle = await symphony.start(loads(text, "yaml"))
        assert symphony.runs.meta(handle.run_id).run_id == handle.run_id
        await handle.result()


async def test_a_start_that_is_cancelled_stops_its_run(symphony: Symphony) -> None:
    await ran(symphony, loads(TEXT, "yaml"))
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(symphony.start(loads(TEXT, "yaml")))
        await asyncio.sleep(0)
        starting.cancel()
    assert starting.cancelled()
    assert all(not symphony.runs.lock(run_id).held() for run_id in symphony.runs.ids())
    await ran(symphony, loads(TEXT, "yaml"))


async def test_small_runs_make_no_files_of_their_own(symphony: Symphony, tmp_path: Path) -> None:
    what = loads(TEXT, "yaml")
    await ran(symphony, what)
    before = files(tmp_path)
    ids = await asyncio.gather(*(ran(symphony, what) for _ in range(20)))
    assert files(tmp_path) == before
    assert set(ids) < set(symphony.runs.ids())


async def test_the_first_runs_of_a_session_have_files_of_their_own(
    symphony: Symphony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "OWN_FILES", 2)
    ids = [await ran(symphony, loads(TEXT, "yaml")) for _ in range(3)]
    assert [symphony.runs.journal_path(run_id).exists() for run_id in ids] == [True, True, False]


async def test_a_full_segment_is_followed_by_another_and_let_go(
    symphony: Symphony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "RUNS_MAX", 3)
    ids = {await ran(symphony, loads(TEXT, "yaml")) for _ in range(8)}
    assert set(symphony.runs.ids()) == ids
    assert len(segments.segments(tmp_path / "journal")) == 3
    assert len(list((tmp_path / "journal").glob("segment-*-wal"))) == 1


async def test_a_run_in_a_segment_is_shown_and_deleted_as_any_other(symphony: Symphony) -> None:
    run_id = await ran(symphony, loads(TEXT, "yaml"))
    other = await ran(symphony, loads(TEXT, "yaml"))
    assert symphony.runs.summary(run_id).status is RunStatus.SUCCEEDED
    assert symphony.runs.result(run_id).outputs == {"last": 4}
    assert [event.type for event in symphony.runs.events(run_id)][-1] == "run.finished"
    again = await symphony.resume(run_id)
    assert (await again.result()).outputs == {"last": 4}
    assert DONE["step"] == 6
    symphony.runs.delete(run_id)
    assert symphony.runs.ids() == [other]


async def test_a_run_in_a_segment_that_waits_is_resumed_in_a_file_of_its_own(symphony: Symphony) -> None:
    handle = await symphony.start(loads(ASKING, "yaml"))
    other = await ran(symphony, loads(TEXT, "yaml"))
    assert (await handle.result()).status is RunStatus.WAITING
    path = symphony.runs.journal_path(handle.run_id)
    assert not path.exists()
    assert symphony.runs.status(handle.run_id) is RunStatus.WAITING
    symphony.runs.answer(handle.run_id, "ask", approved=True)
    assert path.exists()
    again = await symphony.resume(handle.run_id)
    assert (await again.result()).status is RunStatus.SUCCEEDED
    assert DONE["step"] == 4
    assert set(symphony.runs.ids()) == {handle.run_id, other}


async def test_a_run_in_a_segment_that_goes_on_is_owned(symphony: Symphony) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    @operator("small.held", version="1.0.0")
    async def held() -> int:
        """Wait."""
        begun.set()
        await let_go.wait()
        return 1

    async with Symphony.open(symphony.home, operators=[held]) as own:
        handle = await own.start(loads(b"{name: w, nodes: {a: {operator: small.held}}}", "yaml"))
        await begun.wait()
        assert symphony.runs.status(handle.run_id) is RunStatus.RUNNING
        with pytest.raises(RunBusy):
            await symphony.resume(handle.run_id)
        with pytest.raises(RunBusy):
            symphony.runs.delete(handle.run_id)
        let_go.set()
        assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_a_rerun_reuses_what_a_segment_holds(symphony: Symphony) -> None:
    run_id = await ran(symphony, loads(TEXT, "yaml"))
    handle = await symphony.rerun(run_id)
    assert (await handle.result()).outputs == {"last": 4}
    assert DONE["step"] == 3


async def test_events_of_a_run_in_a_segment_are_told_while_it_goes_on_and_after(symphony: Symphony) -> None:
    handle = await symphony.start(loads(TEXT, "yaml"))
    live = [event async for event in handle.events()]
    await handle.result()
    later = [event async for event in handle.events()]
    assert [event.seq for event in live] == [event.seq for event in later] == list(range(1, len(live) + 1))
    assert live[-1].type == "run.finished"


async def test_what_a_recorded_result_refers_to_is_kept_from_whoever_collects_garbage(
    symphony: Symphony, tmp_path: Path
) -> None:
    large = "x" * 100_000
    text = b"{name: w, inputs: {it: {type: string}}, nodes: {a: {operator: debug.value, "
    text += b"inputs: {value: '${{ inputs.it }}'}}, b: {operator: small.step, after: [a]}, "
    text += b"ask: {control: approval, message: go?, after: [b]}}, outputs: {got: '${{ a.result }}'}}"
    handle = await symphony.start(loads(text, "yaml"), {"it": large})
    assert (await handle.result()).status is RunStatus.WAITING
    FileArtifacts(tmp_path / "artifacts").collect(min_age_s=0)
    symphony.runs.answer(handle.run_id, "ask", approved=True)
    result = await (await symphony.resume(handle.run_id)).result()
    assert result.status is RunStatus.SUCCEEDED
    (made,) = FileArtifacts(tmp_path / "artifacts").records()
    assert {by.run_id for by in made.provenance} == {handle.run_id}


async def test_a_list_without_its_index_works_out_no_overview_of_runs_in_a_segment(
    symphony: Symphony, tmp_path: Path
) -> None:
    ids = [await ran(symphony, loads(TEXT, "yaml")) for _ in range(3)]
    symphony.runs.close()
    index = tmp_path / "journal" / INDEX
    index.unlink()
    assert {run.run_id for run in symphony.runs.list()} == set(ids)
    with contextlib.closing(sqlite3.connect(index)) as db:
        assert db.execute("SELECT count(*) FROM ended").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM overviews").fetchone() == (0,)
    assert [bar.name for bar in symphony.runs.overview(ids[0]).bars] == ["a", "b", "c"]
