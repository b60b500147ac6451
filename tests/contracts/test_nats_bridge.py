"""Buses that stay themselves and are joined over a NATS server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from nats.aio.client import Client
from tests.support.servers import NatsServer
from tests.support.waiting import PATIENCE_S

from symphony.bus import Bus, EndpointUnknown, Mailbox, Policy
from symphony.bus.adapters.nats import join_nats
from symphony.bus.adapters.nats_bridge import Bridge
from symphony.bus.adapters.nats_connection import NatsConfig
from symphony.commons.errors import SymphonyError
from symphony.ipc import CODECS, EventPayload, MessageEnvelope, RequestPayload
from symphony.ports.values import Value

pytestmark = pytest.mark.slow


Start = Callable[..., Awaitable[NatsServer]]
Join = Callable[[NatsServer], Awaitable[Bus]]


@pytest.fixture
async def joined() -> AsyncIterator[Join]:
    """Makes a bus that is joined to those of a server."""
    async with AsyncExitStack() as stack:

        async def join(server: NatsServer) -> Bus:
            bus = Bus()
            bridge = Bridge(bus.exchange, NatsConfig(servers=(server.url,)))
            bus.exchange.beyond = bridge
            stack.push_async_callback(bus.close)
            stack.push_async_callback(bridge.close)
            await bridge.tried()
            return bus

        yield join


def data(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


async def wanted(bus: Bus, topic: str) -> None:
    """Returns when somebody, here or beyond, wants to hear it."""
    changed = asyncio.Event()
    stop = bus.when_interest_changes(changed.set)
    async with asyncio.timeout(PATIENCE_S):
        while not bus.wants(topic):
            changed.clear()
            await changed.wait()
    stop()


async def read(box: Mailbox, count: int) -> list[Value]:
    async with asyncio.timeout(PATIENCE_S):
        return [data(await box.receive()) for _ in range(count)]


async def test_events_that_somebody_beyond_wants_pass_once_and_no_others(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    here, there, third = [await joined(server) for _ in range(3)]
    telling, hearing = await here.endpoint("telling"), await there.endpoint("hearing")
    assert not here.wants("run.1.node")
    boxes = [await hearing.mailbox(pattern) for pattern in ("run.>", "run.*.node", "*.1.node")]
    also = await (await third.endpoint("also")).mailbox(">")
    await wanted(here, "run.1.node")
    await wanted(here, "walk")
    for number in range(100):
        await telling.publish("run.1.node", number)
        await telling.publish("walk", number)
    for box in boxes:
        assert await read(box, 100) == list(range(100))
        assert len(box) == 0
    heard: list[Value] = []
    while len(heard) < 200:  # what the bus says of its endpoints comes at any time
        heard += [one for one in await read(also, 1) if isinstance(one, int)]
    assert heard == [number for number in range(100) for _ in "ab"]
    assert there.stats().beyond is not None
    assert there.stats().beyond.received == 100  # type: ignore[union-attr]
    for box in boxes:
        box.close()
    also.close()
    async with asyncio.timeout(PATIENCE_S):
        while here.wants("run.1.node"):  # noqa: ASYNC110  there is nothing to wait for but this
            await asyncio.sleep(0.01)


async def test_of_a_group_one_gets_each_event_and_first_who_is_near(nats_server: Start, joined: Join) -> None:
    server = await nats_server()
    here, there, third = [await joined(server) for _ in range(3)]
    telling = await here.endpoint("telling")
    far = [await bus.endpoint(f"far.{n}") for n, bus in enumerate((there, third))]
    shared: list[Value] = []
    shared_out = asyncio.Event()

    def work(envelope: MessageEnvelope) -> None:
        shared.append(data(envelope))
        if len(shared) == 50:
            shared_out.set()

    for one in far:
        await one.subscribe("job.*", work, group="workers")
    witness = await far[0].mailbox("job.>")
    await wanted(here, "job.x")
    for number in range(50):
        await telling.publish("job.x", number)
    assert await read(witness, 50) == list(range(50))
    async with asyncio.timeout(PATIENCE_S):
        await shared_out.wait()
    assert sorted(shared, key=str) == sorted(range(50), key=str)
    near = await telling.mailbox("job.>", group="workers")
    for number in range(10):
        await telling.publish("job.x", number)
    assert await read(near, 10) == list(range(10))
    assert await read(witness, 10) == list(range(10))
    assert len(shared) == 50


async def test_requests_find_endpoints_beyond_and_a_bus_with_nats_for_its_way(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    here, there = await joined(server), await joined(server)
    asking = await here.endpoint("asking")
    came = await asking.mailbox("bus.endpoint.*")
    answering = await there.endpoint("answering", lambda _: "yes", serves=["sum"], capabilities=["adds"])
    assert await came_to_be(came) == ("bus.endpoint.joined", {"name": "answering", "capabilities": ["adds"]})
    assert await asking.request("answering", "there?") == "yes"
    assert await asking.request("", "sum") == "yes"
    assert [one.name for one in here.stats().endpoints] == ["asking"]
    async with AsyncExitStack() as stack:
        direct = Bus()
        uplink = await join_nats(direct, NatsConfig(servers=(server.url,)))
        stack.push_async_callback(direct.close)
        stack.push_async_callback(uplink.close)
        one = await direct.endpoint("direct", lambda _: "me")
        assert await came_to_be(came) == ("bus.endpoint.joined", {"name": "direct", "capabilities": []})
        assert await asking.request("direct", "there?") == "me"
        assert await one.request("answering", "there?") == "yes"
        box = await one.mailbox("news")
        await wanted(here, "news")
        await asking.publish("news", 1)
        assert await read(box, 1) == [1]
    topic, event = await came_to_be(came)
    assert (topic, event) == ("bus.endpoint.left", {"name": "direct", "reason": "its process left"})
    await answering.close()
    assert (await came_to_be(came))[0] == "bus.endpoint.left"
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(SymphonyError) as caught:
            await asking.request("answering", "there?", timeout_s=None)
    assert caught.value.code == "endpoint-lost"


async def came_to_be(box: Mailbox) -> tuple[str, Value]:
    async with asyncio.timeout(PATIENCE_S):
        payload = (await box.receive()).payload
    assert isinstance(payload, EventPayload)
    return payload.topic, payload.data


async def test_without_the_server_the_bus_goes_on_and_with_it_again_all_is_joined(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    here, there = await joined(server), await joined(server)
    asking = await here.endpoint("asking")
    await there.endpoint("answering", lambda _: "yes")
    near = await asking.mailbox("news")
    hearing = await there.endpoint("hearing")
    far = await hearing.mailbox("news")
    await hearing.mailbox("only.beyond")  # "news" is wanted here, too: that tells nothing of the other bus
    state = await asking.mailbox("bus.beyond.*")
    await wanted(here, "only.beyond")
    await server.kill()
    assert (await came_to_be(state))[0] == "bus.beyond.away"
    await asking.publish("news", 1)
    assert await read(near, 1) == [1]
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(EndpointUnknown, match="NATS is away"):
            await asking.request("answering", "there?", timeout_s=None)
    await server.start()
    assert (await came_to_be(state))[0] == "bus.beyond.joined"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert await asking.request("answering", "there?") == "yes"
                break
            except SymphonyError:  # it is on its way back, too
                await asyncio.sleep(0.02)
    await wanted(here, "only.beyond")
    await asking.publish("news", 2)
    assert await read(far, 1) == [2]


async def test_what_is_broken_on_any_subject_is_passed_over(nats_server: Start, joined: Join) -> None:
    server = await nats_server()
    here, there = await joined(server), await joined(server)
    await there.endpoint("answering", lambda _: "yes", serves=["sum"])
    asking = await here.endpoint("asking")
    box = await asking.mailbox(">")
    hostile = Client()
    await hostile.connect(server.url)
    stationery = Bus().exchange.stationery("hostile")
    forged = [
        stationery.envelope("event", EventPayload("bus.endpoint.lost", {"name": "answering"})),
        stationery.envelope("bus.stats", RequestPayload("bus.stats"), recipient="bus"),
        stationery.envelope("event", EventPayload("a.*", 1)),
        stationery.envelope("event", EventPayload("a", 1), recipient="asking"),
    ]
    bodies = [b"", b"\xff" * 40, b"\x95\xa1p\x01\x80\x91\xa3a b\x90", b"p -1", b"p 9" + b"9" * 400]
    bodies += [CODECS["msgpack"].encode(one) for one in forged]
    subjects = "alive here gone ask claim.answering to.answering to.asking serves.sum event.a event.bus.x"
    for subject in subjects.split():
        for body in bodies:
            await hostile.publish(f"symphony.{subject}", body, reply="nowhere")
            await hostile.publish(f"symphony.{subject}", body, headers={"Symphony-Served": "[1"})
    await hostile.flush()
    await hostile.close()
    async with asyncio.timeout(PATIENCE_S):
        assert await asking.request("answering", "there?") == "yes"
        assert await asking.request("", "sum") == "yes"
    topics = [one.payload.topic for one in iter(box.take, None) if isinstance(one.payload, EventPayload)]
    assert set(topics) <= {"bus.endpoint.joined"}


async def test_a_mailbox_whose_policy_is_to_block_holds_what_comes_over_nats(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    here, there = await joined(server), await joined(server)
    telling, hearing = await here.endpoint("telling"), await there.endpoint("hearing")
    box = await hearing.mailbox("a", capacity=10, policy=Policy.BLOCK)
    other = await hearing.mailbox("b")
    await wanted(here, "a")
    for number in range(200):
        await telling.publish("a", number)
    await wanted(here, "b")
    await telling.publish("b", 1)
    assert await read(other, 1) == [1]  # nobody else waits
    assert len(box) <= 11
    assert await read(box, 200) == list(range(200))
    assert box.dropped == 0
