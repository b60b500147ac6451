"""The bus between real processes that are killed and stopped."""

import asyncio
import gc
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.processes import Peers, line_of
from tests.support.waiting import PATIENCE_S, Stopwatch

from symphony.bus import Bus, Endpoint, EndpointLost, EndpointUnknown, Joined, Mailbox, Policy, join
from symphony.bus.core.registry import LOST_AFTER_S
from symphony.commons.errors import SymphonyError
from symphony.ipc import EventPayload, MessageEnvelope
from symphony.ipc.transports import connect
from symphony.ports.values import Value

pytestmark = pytest.mark.slow
PEERS = Path(__file__).with_name("bus_peers.py")
STOPPED_S = 5.0
CROWD = 10_000
CROWD_PATIENCE_S = 120.0


class World(Peers):
    """An address, and the processes that are there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PEERS)
        self.address = f"unix://{folder}/run/bus.sock"
        self.has_hub = False

    async def start(self, verb: str, name: str) -> subprocess.Popen[str]:
        """A process that has joined."""
        process = self.begin(verb, self.address, name)
        assert await line_of(process) == ("member" if self.has_hub else "hub")
        self.has_hub = True
        return process


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.end()


Here = tuple[Bus, Joined, Endpoint]


@pytest.fixture
async def here(world: World) -> AsyncIterator[Here]:
    """This process on the bus, as its hub."""
    bus = Bus()
    joined = await join(bus, world.address)
    world.has_hub = True
    yield bus, joined, await bus.endpoint("here")
    await joined.close()
    await bus.close()


def data_of(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
async def test_what_a_dead_or_stopped_process_was_asked_fails_and_its_name_is_free(
    world: World, here: Here, sign: signal.Signals
) -> None:
    bus, _, endpoint = here
    peer = await world.start("echo", "peer")
    assert await endpoint.request("peer", "m", 1) == 1
    watching = await endpoint.mailbox("bus.endpoint.lost")
    asked = asyncio.ensure_future(endpoint.request("peer", "m", "never", timeout_s=None))
    await asyncio.sleep(0)
    peer.send_signal(sign)
    with pytest.raises(EndpointLost):
        await asyncio.wait_for(asked, PATIENCE_S)
    told = data_of(await watching.receive())
    assert isinstance(told, dict)
    assert told["name"] == "peer"
    await bus.endpoint("peer")


async def test_a_process_that_goes_on_after_a_stop_is_back_under_its_name(world: World, here: Here) -> None:
    _, _, endpoint = here
    peer = await world.start("echo", "peer")
    events = await endpoint.mailbox("bus.endpoint.*")
    peer.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(PATIENCE_S):
        await events.receive()
        peer.send_signal(signal.SIGCONT)
        await events.receive()
    assert await endpoint.request("peer", "m", 1) == 1


async def test_the_death_of_the_hub_under_load_hands_the_bus_over(world: World) -> None:
    hub = await world.start("echo", "old")
    await world.start("pour", "pouring")
    bus = Bus()
    joined = await join(bus, world.address)
    try:
        endpoint = await bus.endpoint("here")
        box = await endpoint.mailbox("load.>", capacity=1000, policy=Policy.BLOCK)
        lost = await endpoint.mailbox("bus.hub.lost")
        before = data_of(await asyncio.wait_for(box.receive(), PATIENCE_S))
        asked = asyncio.ensure_future(endpoint.request("old", "m", "never", timeout_s=None))
        await asyncio.sleep(0)
        hub.kill()
        with pytest.raises(EndpointLost):
            await asyncio.wait_for(asked, PATIENCE_S)
        await asyncio.wait_for(lost.receive(), PATIENCE_S)
        while len(box):
            before = data_of(await box.receive())
        after = data_of(await asyncio.wait_for(box.receive(), PATIENCE_S))
        assert isinstance(before, int)
        assert isinstance(after, int)
        assert after > before
    finally:
        await joined.close()
        await bus.close()


@pytest.mark.parametrize("stopped", ["old", "pouring"])
async def test_whoever_is_stopped_for_5_s_under_load_nothing_is_missing_unannounced_or_comes_twice(
    world: World, stopped: str
) -> None:
    peers = {"old": await world.start("echo", "old"), "pouring": await world.start("pour", "pouring")}
    other = await world.start("pour", "other")
    bus = Bus()
    joined = await join(bus, world.address)
    try:
        endpoint = await bus.endpoint("here")
        box = await endpoint.mailbox("load.>", capacity=1000, policy=Policy.BLOCK)
        told = await endpoint.mailbox("bus.*.lost")
        last = dict[str, int]()
        async with asyncio.timeout(PATIENCE_S):
            while len(last) < 2:
                await read_on(box, told, last, 0.2)
        start = last["load.other"]
        peers[stopped].send_signal(signal.SIGSTOP)
        before = await read_on(box, told, last, STOPPED_S)
        assert len(told), "within the time it is told"
        if stopped == "pouring":
            assert before["load.other"] > 100, "the others go on"
            assert before["load.other"] == last["load.other"] - start, "and lose nothing"
        peers[stopped].send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_S):
            while not (await read_on(box, told, last, 0.2)).get("load.pouring"):
                pass
        assert other.poll() is None
    finally:
        await joined.close()
        await bus.close()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_receiver_that_everybody_waits_for_is_waited_for_no_more_once_it_is_dead_or_stopped(
    world: World, here: Here, sign: signal.Signals
) -> None:
    _, _, endpoint = here
    box = await endpoint.mailbox("load.>", capacity=1000, policy=Policy.BLOCK)
    told = await endpoint.mailbox("bus.endpoint.lost")
    jammed = await world.start("jam", "jammed")
    await world.start("pour", "pouring")
    last = dict[str, int]()
    async with asyncio.timeout(PATIENCE_S):
        while await read_on(box, told, last, 1.0) or not last:
            pass
        held = last["load.pouring"]
        jammed.send_signal(sign)
        found = data_of(await told.receive())
        assert isinstance(found, dict)
        assert found["name"] == "jammed"
        while last["load.pouring"] < held + 5000:
            await read_on(box, told, last, 0.2)


async def read_on(box: Mailbox, told: Mailbox, last: dict[str, int], seconds: float) -> dict[str, int]:
    """Read numbers for so long; none comes twice, and none is missing but after a loss was told."""
    found, until_s = dict[str, int](), asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until_s:
        try:
            async with asyncio.timeout_at(until_s):
                envelope = await box.receive()
        except TimeoutError:
            break
        assert isinstance(envelope.payload, EventPayload)
        topic, number = envelope.payload.topic, data_of(envelope)
        assert isinstance(number, int)
        if topic in last:
            assert number > last[topic], "once and in order"
            assert number == last[topic] + 1 or len(told), "a loss is announced"
        last[topic] = number
        found[topic] = found.get(topic, 0) + 1
    return found


async def test_killed_senders_and_deaf_receivers_leave_nothing_behind(world: World, here: Here) -> None:
    bus, _, endpoint = here
    box = await endpoint.mailbox("load.>", capacity=100)
    deaf = await world.start("deaf", "deaf")
    process, seen = psutil.Process(), set[int]()
    for number in range(3):
        peer = await world.start("pour", f"pouring{number}")
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(500):
                await box.receive()
            left = await endpoint.mailbox("bus.endpoint.lost")
            peer.kill()
            await left.receive()
        left.close()
        gc.collect()
        seen.add(process.num_fds() - len(world.processes))
    assert len(seen) == 1, "descriptors do not add up"
    assert bus.exchange.links == 1
    deaf.kill()


@pytest.mark.usefixtures("machine")
async def test_ten_thousand_connections_leave_nothing_behind_and_others_are_served_meanwhile(
    world: World, here: Here
) -> None:
    bus, _, endpoint = here
    peer, process = await world.start("echo", "peer"), psutil.Process()
    answered = 0
    lately = deque([Stopwatch()], maxlen=10)  # an answer may be read after its sender has left

    async def ask() -> None:
        nonlocal answered
        while True:
            try:
                assert await endpoint.request("peer", "m", answered, timeout_s=None) == answered
                answered += 1
                lately.append(Stopwatch())
            except (EndpointLost, EndpointUnknown):
                # Whoever hears nothing of a hub leaves and joins again. That the crowd keeps the hub
                # from its life signs is a fault; that other programs have the cores is none.
                assert lately[0].starved_s() > LOST_AFTER_S / 3
            await asyncio.sleep(0.005)  # the crowd is what is tested

    async def crowd(count: int) -> tuple[int, int, int]:
        async with asyncio.timeout(CROWD_PATIENCE_S), asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(drop(world.address, count // 20))
            asking = tasks.create_task(ask())
            while bus.exchange.links > 1 or len(asyncio.all_tasks()) > tasks_before + 1:  # noqa: ASYNC110  no event
                await asyncio.sleep(0.01)
            asking.cancel()
        gc.collect()
        return process.num_fds(), len(asyncio.all_tasks()), sys.getallocatedblocks()

    tasks_before = len(asyncio.all_tasks())
    await crowd(CROWD // 10)
    fds, tasks, blocks = await crowd(CROWD // 10)
    before = answered
    after = await crowd(CROWD)
    assert after[:2] == (fds, tasks)
    assert after[2] - blocks < CROWD // 2, "less than one block of memory for each"
    assert answered - before > CROWD // 100
    assert len(bus.stats().endpoints) == 3
    assert peer.poll() is None


async def drop(address: str, count: int) -> None:
    """Connect and break off, so many times: in turn before and after a word, and with a goodbye."""
    for number in range(count):
        connection = await connect(address)
        if number % 3 == 0:
            await connection.close()
            continue
        if number % 3 == 1:
            await connection.receive()
        connection.abort(SymphonyError("dropped"))
        await connection.closed()
