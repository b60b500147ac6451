"""The durable events of a run for those in its process: once, in order, and kept for nobody in vain."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from symphony.pit.tracker.core.plan import PlanNode, make_plan
from symphony.pit.tracker.core.records import (
    UNHANDLED,
    BegunRecord,
    EndedRecord,
    FailedRecord,
    FinishedRecord,
    Record,
    RetryDueRecord,
    SkippedRecord,
    StartedRecord,
    SuspendedRecord,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.feed import NOTABLE_MAX, Feed
from symphony.ports.runs import RunEvent

PLAN = make_plan([PlanNode("a", attempts=3), PlanNode("b"), PlanNode("c")], [(), (), ()])
ERROR = ("x", "why", None)
RECORDS: list[Record] = [
    BegunRecord(0, 1.0, 1),
    StartedRecord(0, 2.0, 1),
    FailedRecord(0, 3.0, 2.0, ERROR, 0),
    RetryDueRecord(0, 4.0),
    FinishedRecord(1, 5.0, 4.0, b"\x80", None, None),
    FailedRecord(0, 6.0, 5.0, ("y", "later", None), 0),
    RetryDueRecord(0, 7.0),
    SuspendedRecord(2, 8.0, ("z", "in doubt", None)),
    SkippedRecord(2, 9.0, None),
    FailedRecord(0, 10.0, 9.0, ("w", "last", None), UNHANDLED),
    EndedRecord(0, 11.0, "failed", None, None),
]


def at_once(records: Sequence[Record]) -> list[RunEvent]:
    """Each event made when no more was known than its record and those before."""
    replay, out = RunReplay(PLAN, limit=9), list[RunEvent]()
    for record in records:
        replay.apply(record)
        out.append(replay.event(record, replay.seq))
    return out


def known(records: Sequence[Record]) -> RunReplay:
    replay = RunReplay(PLAN, limit=9)
    for record in records:
        replay.apply(record)
    return replay


def test_events_made_late_are_those_made_at_once() -> None:
    replay = known(RECORDS)
    late = [replay.event(record, seq) for seq, record in enumerate(RECORDS, 1)]
    assert late == at_once(RECORDS)
    assert [one.data["final"] for one in late if one.type == "node.failed"] == [False, False, True]
    assert late[8].data["error"] == {"code": "z", "message": "in doubt"}, "why it was in doubt before"


@pytest.mark.parametrize("seed", range(30))
def test_whoever_reads_whenever_reads_each_event_once_and_in_order(seed: int) -> None:
    rng, durable, rereads = Random(seed), list[Record](), list[int]()

    def recorded() -> list[Record]:
        rereads.append(len(durable))
        return durable

    async def read(feed: Feed, at: int, turns: int) -> list[RunEvent]:
        for _ in range(turns):
            await asyncio.sleep(0)
        out = list[RunEvent]()
        with feed.reader(at) as reader:
            began = reader.at
            while (found := await reader.next(rng.choice([None, 1, 2, 5]))) is not None:
                out += found
        assert [one.seq for one in out] == list(range(began + 1, feed.count + 1))
        return out

    async def run() -> None:
        feed = Feed(known(RECORDS), recorded)
        async with asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(read(feed, 0, rng.randrange(12))) for _ in range(4)]
            at = 0
            while at < len(RECORDS):
                batch = RECORDS[at : (at := at + rng.randint(1, 4))]
                durable.extend(batch)
                feed.publish(batch)
                await asyncio.sleep(0)
            feed.close()
        assert all(one.result() == at_once(RECORDS) for one in readers)
        assert feed.kept == 0
        assert len(rereads) <= len(readers)

    asyncio.run(run())


def test_of_a_long_run_nothing_is_kept_for_nobody() -> None:
    feed, many = Feed(known(RECORDS), list), RECORDS * 1_000
    feed.publish(many)
    assert (feed.count, feed.kept) == (len(many), 0)
    with feed.reader(feed.count) as reader:
        feed.publish(RECORDS)
        assert feed.kept == len(RECORDS)
        assert len(reader.take(3)) == 3
        assert feed.kept == len(RECORDS) - 3
        reader.skip_to(feed.count - 1)
        assert feed.kept == 1
    assert feed.kept == 0


async def test_what_is_notable_is_told_without_the_rest_and_of_very_many_the_first() -> None:
    feed = Feed(known(RECORDS), list)
    feed.publish(RECORDS)
    assert feed.failed == 3
    assert [one.seq for one in feed.failures(2)] == [3, 6]
    assert [one.seq for one in feed.latest()] == [5]
    feed.publish([RECORDS[2]] * 2 * NOTABLE_MAX)
    feed.close()
    found = [event async for event in feed.notable(3)]
    assert [one.type for one in found[:4]] == ["node.retrying", "node.failed", "node.retrying", "node.failed"]
    assert len(found) == NOTABLE_MAX - 2
    assert feed.failed == 3 + 2 * NOTABLE_MAX
