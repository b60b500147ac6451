"""The overview of a run says what its events say one by one, in a size that does not grow with elements."""

import asyncio
import json
from pathlib import Path
from random import Random

import msgspec
import pytest

from symphony import Symphony, operator
from symphony.pit.tracker.core.overview import _LEAST, _load, overview_of
from symphony.pit.tracker.core.plan import OnFailure, PlanNode, make_plan
from symphony.pit.tracker.core.records import (
    BegunRecord,
    ExpandedRecord,
    FailedRecord,
    FinishedRecord,
    Record,
    ResumedRecord,
    RetryDueRecord,
    StartedRecord,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.insight.reader import Insight
from symphony.pit.tracker.insight.summary import summarise
from symphony.ports.insight import BARS_MAX, LINES_MAX, SLICES, Overview
from symphony.ports.runs import NodeStatus
from symphony.workflow import loads

_tried: set[int] = set()


@operator("test.picky", version="1.0.0", idempotent=True)
async def picky(number: int, offset: int = 0) -> int:
    """Fails for even numbers, and the first time for those that three divides."""
    if number % 2 == 0:
        raise ValueError("even")
    if number % 3 == 0 and (offset + number) not in _tried:
        _tried.add(offset + number)
        raise RuntimeError("not yet")
    return number


NODES = {
    "numbers": {"operator": "debug.value", "inputs": {"value": list(range(20))}},
    "each": {
        "operator": "test.picky", "for_each": "${{ numbers.result }}",
        "retry": {"attempts": 2, "initial": "1ms"},
        "inputs": {"number": "${{ item }}"}, "on_error": "skip",
    },
    "never": {"operator": "debug.value", "when": "false", "inputs": {"value": 1}},
    "rounds": {
        "control": "loop", "max_iterations": 3, "until": "iteration >= 2",
        "state": {"n": "${{ 1 }}"}, "next": {"n": "state.n + 1"},
        "body": {"step": {"operator": "test.picky", "inputs": {"number": 9, "offset": 1000},
                          "retry": {"attempts": 2, "initial": "1ms"}}},
    },
    "bad": {"operator": "test.picky", "inputs": {"number": 2}, "after": ["each", "rounds"]},
    "late": {"operator": "debug.value", "inputs": {"value": 1}, "after": ["bad"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("overview") / "home"

    async def run() -> None:
        async with Symphony.open(home, operators=[picky]) as symphony:
            workflow = loads(json.dumps({"symphony": 1, "name": "t", "nodes": NODES}), "json")
            handle = await symphony.start(workflow)
            await handle.result()
            await (await symphony.rerun(handle.run_id)).result()

    asyncio.run(run())
    return home


def test_its_figures_are_those_of_the_history(home: Path) -> None:
    runs = Symphony.open(home).runs
    for run_id in runs.ids():
        summary, found = summarise(Insight(runs).history(run_id)), overview_of(runs.replay(run_id))
        assert runs.overview(run_id) == found, "read from the index"
        assert (found.steps, found.cached, found.retries) == (summary.steps, summary.cached, summary.retries)
        assert found.retried == list(summary.retried)
        assert found.took_s == pytest.approx(summary.took_s)
        assert [s for _, s in found.slowest] == pytest.approx([s for _, s in summary.slowest], abs=1e-5)
        assert found.usage == summary.usage
    assert summary.retries >= 4


def test_its_lines_count_the_nodes_one_by_one(home: Path) -> None:
    runs = Symphony.open(home).runs
    for run_id in runs.ids():
        result, found = runs.result(run_id), runs.overview(run_id)
        lines = {line.name: line for line in found.lines}
        for name, node in result.nodes.items():
            if not set("[#") & set(name):
                assert (lines[name].status, lines[name].attempts) == (node.status, node.attempts), name
        elements = [node.status for name, node in result.nodes.items() if name.startswith("each[")]
        if elements:
            assert lines["each"].statuses == {one: elements.count(one) for one in set(elements)}
        assert found.counts == result.counts
        assert found.error == result.error
        assert found.error is not None
        assert found.error.node == "bad"


def many(count: int) -> Overview:
    replay = RunReplay(make_plan([PlanNode("each")], [()]), limit=10**6)
    records: list[Record] = [BegunRecord(0, 0.0, 1), ExpandedRecord(0, 1.0, count)]
    records += [FinishedRecord(1 + i, 3.0 + i, 2.0 + i, b"\x80", None, None) for i in range(count)]
    for record in records:
        replay.apply(record)
    return overview_of(replay)


def test_its_size_does_not_grow_with_elements() -> None:
    few, lots = many(300), many(3_000)
    assert len(msgspec.msgpack.encode(lots)) < 1.1 * len(msgspec.msgpack.encode(few))
    assert lots.lines[0].statuses == {NodeStatus.SUCCEEDED: 3_000}
    assert lots.steps == 3_000


def test_of_very_many_nodes_those_that_failed_and_the_longest_are_told() -> None:
    count = 2 * LINES_MAX
    replay = RunReplay(make_plan([PlanNode(f"n{i}") for i in range(count)], [()] * count), limit=10**6)
    replay.apply(BegunRecord(0, 0.0, 1))
    for i in range(count - 1):
        replay.apply(FinishedRecord(i, 1.0 + i, 0.0, b"\x80", None, None))
    replay.apply(FailedRecord(count - 1, 2.0, 1.0, ("x", "y", None), 1))
    found = overview_of(replay)
    assert (len(found.lines), found.lines_more) == (LINES_MAX, LINES_MAX)
    assert found.lines[0].name == f"n{count - 1}"
    assert (len(found.bars), found.bars_more) == (BARS_MAX, count - BARS_MAX)


@pytest.mark.parametrize("seed", range(40))
def test_a_bar_is_filled_as_if_each_slice_were_looked_at_by_itself(seed: int) -> None:
    rng = Random(seed)
    begin, whole = rng.uniform(-5, 5), rng.choice([1e-6, 1.0, 86_400.0])
    inside = rng.choice([(0.0, 1.0), (0.4, 0.45), (-0.1, 0.05), (0.99, 1.2), (1.0, 1.0)])
    spans = [sorted(begin + whole * rng.uniform(*inside) for _ in range(2)) for _ in range(rng.randint(1, 6))]
    scaled = [[min(max((at - begin) / whole, 0.0), 1.0) * SLICES for at in span] for span in spans]
    slices = [sum(max(0.0, min(high, at + 1) - max(low, at)) for low, high in scaled) for at in range(SLICES)]
    for start, end in spans:
        if start == end:  # it is seen, however short
            slices[min(SLICES - 1, max(0, int((start - begin) / whole * SLICES)))] += _LEAST
    found = _load([start for start, _ in spans], [end for _, end in spans], begin, whole)
    assert found == pytest.approx(slices, abs=1e-6)


def tried(*more: Record) -> RunReplay:
    """A node that fails in its first second, and what follows."""
    replay = RunReplay(make_plan([PlanNode(name="a", attempts=2)], [()]), limit=10)
    first = FailedRecord(slot=0, at=2.0, started=1.0, error=("x", "first try broke", None), ends=False)
    for record in (
        BegunRecord(slot=-1, at=1.0, pid=1),
        StartedRecord(slot=0, at=1.0, attempt=1),
        first,
        *more,
    ):
        replay.apply(record)
    return replay


AGAIN: tuple[Record, ...] = (RetryDueRecord(slot=0, at=5.0), StartedRecord(slot=0, at=5.0, attempt=2))
GOOD: Record = FinishedRecord(slot=0, at=6.0, started=5.0, outputs=None, taken=None, cached_from=None)
BAD: Record = FailedRecord(slot=0, at=6.0, started=5.0, error=("x", "second try broke", None), ends=True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "first try broke"),
        (AGAIN, None),
        ((*AGAIN, GOOD), None),
        ((*AGAIN, BAD), "second try broke"),
    ],
)
def test_an_error_is_told_until_another_attempt_has_followed(
    more: tuple[Record, ...], said: str | None
) -> None:
    replay = tried(*more)
    (line,), node = overview_of(replay).lines, replay.nodes()["a"]
    assert [one and one.message for one in (line.error, node.error)] == [said, said]


def test_a_failure_that_on_error_replaced_by_a_value_is_still_told() -> None:
    replay = RunReplay(make_plan([PlanNode(name="a", on_failure=OnFailure.VALUE)], [()]), limit=10)
    failed = FailedRecord(slot=0, at=2.0, started=1.0, error=("x", "it broke", None), ends=True, usage=None)
    for record in (BegunRecord(slot=-1, at=1.0, pid=1), StartedRecord(slot=0, at=1.0, attempt=1), failed):
        replay.apply(record)
    (line,), node = overview_of(replay).lines, replay.nodes()["a"]
    assert node.status is NodeStatus.SUCCEEDED
    assert [one and one.message for one in (line.error, node.error)] == ["it broke", "it broke"]


def test_a_node_took_from_its_first_start_in_table_chart_and_result() -> None:
    replay = tried(*AGAIN, GOOD)
    found, node = overview_of(replay), replay.nodes()["a"]
    assert (found.lines[0].took_s, found.bars[0].extent_s, node.took_s) == (5.0, 5.0, 5.0)
    assert node.duration_ms == 1000.0


def test_a_node_that_was_interrupted_took_from_its_first_start_too() -> None:
    replay = RunReplay(make_plan([PlanNode(name="a")], [()]), limit=10)
    for record in (
        BegunRecord(slot=-1, at=1.0, pid=1), StartedRecord(slot=0, at=1.0, attempt=1),
        ResumedRecord(slot=-1, at=7.0, pid=2), StartedRecord(slot=0, at=7.0, attempt=1),
        FinishedRecord(slot=0, at=9.0, started=7.0, outputs=None, taken=None, cached_from=None),
    ):  # fmt: skip
        replay.apply(record)
    found, node = overview_of(replay), replay.nodes()["a"]
    assert (found.lines[0].took_s, found.bars[0].extent_s, node.took_s) == (8.0, 8.0, 8.0)
