"""The sync coordinator over a bus that loses messages, and over a channel."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.bus import Bus
from symphony.bus.core.patches import Patch, merged
from symphony.bus.core.sync import Conflict, Stamp, Winner
from symphony.bus.syncing import SyncedState, over_bus, over_channel, primary, secondary
from symphony.commons.errors import ValidationFailed
from symphony.ipc.transports import Channel, Connection, connect, listen
from symphony.ports.values import Value


async def settled(*sides: SyncedState) -> None:
    async with asyncio.timeout(PATIENCE_S):
        for side in sides:
            await side.wait_settled()


async def test_two_endpoints_hold_one_text_and_hear_how_it_changed() -> None:
    bus = Bus()
    heard: list[Patch] = []
    ours = await over_bus(await bus.endpoint("editor"), "buffer", primary("", site="editor"))
    theirs = await over_bus(
        await bus.endpoint("agent"),
        "buffer",
        secondary("", site="agent"),
        changed=lambda _, patch, __: heard.append(patch),
    )
    ours.set("hello world")
    await settled(ours, theirs)
    ours.splice(5, 0, ",")
    await settled(ours, theirs)
    theirs.splice(0, 1, "H")
    await settled(theirs, ours)
    assert ours.state == theirs.state == "Hello, world"
    assert heard[-1] == ["splice", 5, 0, ","]
    assert ours.version == theirs.version
    with pytest.raises(ValidationFailed):
        ours.splice(100, 1, "")
    assert ours.state == "Hello, world"
    await bus.close()


def lossy(to: list[SyncedState], rng: Random, loop: asyncio.AbstractEventLoop) -> Callable[[Value], bool]:
    def send(value: Value) -> bool:
        if rng.random() < 0.4:
            return rng.random() < 0.5  # lost without a word, or refused for want of room
        for _ in range(rng.randint(1, 2)):
            loop.call_later(rng.random() / 500, lambda: to[0].received(value))
        return True

    return send


@pytest.mark.parametrize("seed", range(3))
async def test_a_way_that_loses_doubles_and_reorders_is_made_good(seed: int) -> None:
    rng, loop = Random(seed), asyncio.get_running_loop()

    def policy(met: Conflict) -> Value:
        return merged(met.base if met.related else {}, met.theirs, met.ours)

    first: list[SyncedState] = []
    second: list[SyncedState] = []
    first.append(SyncedState(primary({}, site="p"), lossy(second, rng, loop), remind_s=0.005))
    core = secondary({}, site="s", policy=policy)
    second.append(SyncedState(core, lossy(first, rng, loop), remind_s=0.005))
    for number in range(30):
        for side, key in ((first[0], "p"), (second[0], "s")):
            assert isinstance(side.state, dict)
            side.set({**side.state, f"{key}{number}": number})
        await asyncio.sleep(0.0005)
    while first[0].state != second[0].state or not (first[0].settled and second[0].settled):
        await settled(first[0], second[0])
    assert isinstance(first[0].state, dict)
    assert len(first[0].state) == 60, f"seed {seed}"
    for side in (*first, *second):
        side.close()


async def test_a_message_that_is_none_and_a_watcher_that_fails_harm_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("oops")

    bus = Bus()
    one, two = await bus.endpoint("one"), await bus.endpoint("two")
    a = await over_bus(one, "x", primary("", site="a"))
    b = await over_bus(two, "x", secondary("", site="b"), changed=fails)
    for junk in (None, 7, ["head"], ["dance", 1], {"a": b"x"}):
        await one.publish("sync.x.secondary", junk)
        await two.publish("sync.x.primary", junk)
    a.set("text")
    await settled(a, b)
    assert b.state == "text"
    assert "this is not a synchronisation message" in caplog.text
    assert "failed" in caplog.text
    b.close()
    b.close()
    a.set("more")
    assert b.state == "text"
    a.close()
    await bus.close()


async def test_over_a_channel_a_restarted_secondary_takes_what_it_kept_if_that_is_newer() -> None:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    listener = await listen("memory:sync", accepted.put_nowait)
    ends = Channel(await connect("memory:sync")), Channel(await accepted.get())
    a = over_channel(ends[0], "x", primary("old", site="a", stamp=Stamp(1, "a")), site="a")
    b = over_channel(
        ends[1],
        "x",
        secondary("new", site="b", stamp=Stamp(2, "b"), policy=Winner.LAST_WRITER),
        site="b",
    )
    await settled(a, b)
    assert a.state == b.state == "new"
    assert b.conflicts == 1
    assert a.stamp == b.stamp
    await ends[0].connection.close()
    await listener.close()
