"""The end of a run and those who watch it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest
from tests.support.waiting import PATIENCE_S, until

from symphony import operator
from symphony.app import Symphony, live, stream
from symphony.bus import Bus, Mailbox, join
from symphony.ipc.envelope import EventPayload
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value
from symphony.workflow import loads
from symphony.workflow.model import Workflow

WORKFLOW = '{"symphony": 1, "name": "t", "nodes": {"a": {"operator": "debug.value", "inputs": {"value": 1}}}}'


def test_a_run_that_nobody_watches_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 3_600.0)

    async def run() -> None:
        async with Symphony.open(tmp_path / "home") as symphony, asyncio.timeout(PATIENCE_S):
            handle = await symphony.start(loads(WORKFLOW, "json"))
            assert (await handle.result()).status == "succeeded"

    asyncio.run(run())


@pytest.mark.parametrize("memory", [False, True])
def test_a_view_of_the_same_process_gets_its_events_over_the_bus(tmp_path: Path, memory: bool) -> None:
    async def run() -> None:
        async with Symphony.open(tmp_path / "home", memory=memory) as symphony, asyncio.timeout(PATIENCE_S):
            handle = await symphony.start(loads(WORKFLOW, "json"))
            views = [asyncio.ensure_future(collect(handle.events())) for _ in range(2)]
            await handle.result()
            seen = [await view for view in views]
            assert seen[0] == seen[1] == await collect(handle.events()), "afterwards they are the same"
            assert [event.seq for event in seen[0]] == list(range(1, len(seen[0]) + 1))
            assert seen[0][-1].type == "run.finished"
            assert symphony.live.published > 0

    asyncio.run(run())


def test_a_run_without_a_view_makes_no_bus(tmp_path: Path) -> None:
    async def run() -> None:
        async with Symphony.open(tmp_path / "home") as symphony, asyncio.timeout(PATIENCE_S):
            handle = await symphony.start(loads(WORKFLOW, "json"))
            await handle.result()
            assert await collect(handle.events())
            assert symphony.live.published == 0

    asyncio.run(run())


async def test_an_event_that_cannot_travel_is_left_out_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spelled(event: RunEvent) -> Value:
        return 2**70 if event.type == "node.finished" else spell(event)

    spell = stream.value_of
    monkeypatch.setattr(stream, "value_of", spelled)
    home, hub = tmp_path / "home", Bus()
    box = await hub.mailbox("run.>", owner="tap")
    joined = await join(hub, live.bus_address(home))
    async with asyncio.timeout(PATIENCE_S):
        async with Symphony.open(home) as symphony:
            handle = await symphony.start(loads(WORKFLOW, "json"))
            seen = await collect(handle.events())
        told = [(await box.receive()).header.message_type]
        while told[-1] != "run.finished":
            told.append((await box.receive()).header.message_type)
    await joined.close()
    await hub.close()
    kinds = [event.type for event in seen]
    assert "node.finished" in kinds, "a view has it from the record"
    assert told == [kind for kind in kinds if kind != "node.finished"]


@pytest.mark.parametrize("seed", range(30))
def test_what_the_bus_loses_doubles_or_mixes_up_is_seen_once_and_in_order(seed: int) -> None:
    rng = Random(seed)
    events = [RunEvent(seq=n, type="node.started", at=0.0, node="a") for n in range(1, 60)]
    events.append(RunEvent(seq=60, type="run.finished", at=0.0))
    done: list[RunEvent] = []

    async def recorded(seen: int) -> tuple[bool, Sequence[RunEvent]]:
        return len(done) < len(events), done[seen:]

    async def publish(box: Mailbox, bus: Bus) -> None:
        end = await bus.endpoint("run.x")
        for event in events:
            done.append(event)
            for other in rng.choice([[], [event], [event, event], [rng.choice(done), event]]):
                end.try_publish(f"run.x.{other.type}", stream.value_of(other))
            end.try_publish("run.x.strange", {"seq": "no"} if rng.random() < 0.1 else None)
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        box.close()

    async def run() -> None:
        bus = Bus()
        box = await bus.mailbox(stream.wanted("x"), owner="view", capacity=rng.choice([1, 3, 100]))
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(collect(stream.follow(box, recorded)))
            tasks.create_task(publish(box, bus))
        assert watching.result() == events

    asyncio.run(run())


async def collect(events: AsyncIterator[RunEvent]) -> list[RunEvent]:
    return [event async for event in events]


async def test_a_run_that_is_over_before_the_others_are_reached_is_told_to_them(tmp_path: Path) -> None:
    home, hub, over = tmp_path / "home", Bus(), threading.Event()
    box = await hub.mailbox("run.>", owner="tap")
    joined = await join(hub, live.bus_address(home))
    async with asyncio.timeout(PATIENCE_S), Symphony.open(home) as symphony:
        symphony.live.beyond = lambda: over.wait(PATIENCE_S) and None  # what keeps it from joining at once
        handle = await symphony.start(loads(WORKFLOW, "json"))
        result = asyncio.ensure_future(handle.result())
        await asyncio.wait({result}, timeout=0.3)
        over.set()
        await result
        while (await box.receive()).header.message_type != "run.finished":
            pass
    await joined.close()
    await hub.close()


async def test_a_short_run_that_nobody_listens_to_is_not_on_the_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, hub = tmp_path / "home", Bus()
    ends = await hub.mailbox("bus.endpoint.joined", owner="tap")
    joined = await join(hub, live.bus_address(home))
    what = loads(WORKFLOW, "json")
    async with asyncio.timeout(60), Symphony.open(home) as symphony:
        first = await ran(symphony, what)  # whether anybody listens is not known yet
        monkeypatch.setattr(live, "OPEN_AFTER_S", 3_600.0)
        for _ in range(3):
            await ran(symphony, what)
        box = await hub.mailbox("run.>", owner="tap")
        here = await symphony.live.reach()
        assert here is not None
        await until(lambda: here.wants_below("run"), every_s=0.001)
        heard = await ran(symphony, what)
        types = [(await box.receive()).header.message_type]
        while types[-1] != "run.finished":
            types.append((await box.receive()).header.message_type)
        assert types == [event.type for event in symphony.runs.events(heard)]
    assert [await run_on(ends) for _ in range(2)] == [first, heard]
    await joined.close()
    await hub.close()


async def run_on(ends: Mailbox) -> str:
    """The next run that has an endpoint."""
    while True:
        event = (await ends.receive()).payload
        assert isinstance(event, EventPayload)
        assert isinstance(event.data, dict)
        name = str(event.data["name"])
        if name.startswith("run."):
            return name.removeprefix("run.")


async def ran(symphony: Symphony, what: Workflow) -> str:
    handle = await symphony.start(what)
    await handle.result()
    return handle.run_id


@operator("live.gated", version="1.0.0")
async def gated() -> int:
    """Wait for the test."""
    BEGUN.set()
    await GATE.wait()
    return 1


BEGUN, GATE = asyncio.Event(), asyncio.Event()


async def test_who_comes_while_a_run_goes_on_hears_what_happens_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, hub = tmp_path / "home", Bus()
    joined = await join(hub, live.bus_address(home))
    what = loads('{"symphony": 1, "name": "t", "nodes": {"a": {"operator": "live.gated"}}}', "json")
    async with asyncio.timeout(60), Symphony.open(home, operators=[gated]) as symphony:
        await ran(symphony, loads(WORKFLOW, "json"))
        monkeypatch.setattr(live, "OPEN_AFTER_S", 3_600.0)
        handle = await symphony.start(what)
        await BEGUN.wait()
        box = await hub.mailbox("run.>", owner="tap")
        GATE.set()
        await handle.result()
        types = [(await box.receive()).header.message_type]
        while types[-1] != "run.finished":
            types.append((await box.receive()).header.message_type)
    assert types == ["node.finished", "run.finished"]
    await joined.close()
    await hub.close()


async def test_a_run_that_goes_on_is_on_the_bus_though_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, hub = tmp_path / "home", Bus()
    ends = await hub.mailbox("bus.endpoint.joined", owner="tap")
    joined = await join(hub, live.bus_address(home))
    what = loads('{"symphony": 1, "name": "t", "nodes": {"a": {"operator": "live.gated"}}}', "json")
    async with asyncio.timeout(60), Symphony.open(home, operators=[gated]) as symphony:
        await ran(symphony, loads(WORKFLOW, "json"))
        await run_on(ends)
        monkeypatch.setattr(live, "OPEN_AFTER_S", 0.0)
        GATE.clear()
        handle = await symphony.start(what)
        assert await run_on(ends) == handle.run_id
        GATE.set()
        await handle.result()
    await joined.close()
    await hub.close()
