"""What a bus does, within one process and over a NATS server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from tests.support.servers import NatsServer
from tests.support.waiting import PATIENCE_S

from symphony.bus import (
    Bus,
    EndpointBusy,
    EndpointLost,
    EndpointTaken,
    EndpointUnknown,
    Mailbox,
    RequestTimedOut,
)
from symphony.bus.adapters.nats import join_nats
from symphony.bus.adapters.nats_connection import NatsConfig
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.ipc import EventPayload, MessageEnvelope, RequestPayload
from symphony.ports.values import Value

Buses = tuple[Bus, Bus]


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.slow)])
async def buses(
    request: pytest.FixtureRequest, nats_server: Callable[[], Awaitable[NatsServer]]
) -> AsyncIterator[Buses]:
    """Two ways onto one bus; within one process they are the same."""
    async with AsyncExitStack() as stack:
        one = Bus()
        stack.push_async_callback(one.close)
        if request.param == "memory":
            yield one, one
            return
        two = Bus()
        stack.push_async_callback(two.close)
        server = await nats_server()
        for bus in (one, two):
            stack.push_async_callback((await join_nats(bus, NatsConfig(servers=(server.url,)))).close)
        yield one, two


def arguments_of(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, RequestPayload)
    return envelope.payload.arguments


async def read(box: Mailbox, count: int) -> list[Value]:
    found: list[Value] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            envelope = await box.receive()
            assert isinstance(envelope.payload, EventPayload)
            found.append(envelope.payload.data)
    return found


async def test_a_request_gets_the_answer_of_its_endpoint_and_its_error(buses: Buses) -> None:
    async def answer(envelope: MessageEnvelope) -> Value:
        if arguments_of(envelope) == "bad":
            raise ValidationFailed("no", hint="say yes")
        return {"heard": arguments_of(envelope)}

    asking = await buses[0].endpoint("asking")
    await buses[1].endpoint("answering.1", answer, serves=["sum"])
    body: Value = [1, 2.5, "ä", b"\0\xff", None, True, {"a": []}]
    assert await asking.request("answering.1", "echo", body) == {"heard": body}
    assert await asking.request("", "sum", 3) == {"heard": 3}
    with pytest.raises(SymphonyError, match="no") as caught:
        await asking.request("answering.1", "echo", "bad")
    assert (caught.value.code, caught.value.hint) == ("validation-failed", "say yes")


async def test_a_hundred_requests_at_once_find_their_answers(buses: Buses) -> None:
    asking = await buses[0].endpoint("asking")
    await buses[1].endpoint("answering", arguments_of)
    async with asyncio.timeout(PATIENCE_S):
        answers = await asyncio.gather(*(asking.request("answering", "echo", n) for n in range(100)))
    assert answers == list(range(100))


async def test_nobody_to_ask_is_told_at_once(buses: Buses) -> None:
    asking = await buses[0].endpoint("asking")
    async with asyncio.timeout(PATIENCE_S):
        for name in ("nobody", ""):
            with pytest.raises((EndpointUnknown, EndpointLost)):
                await asking.request(name, "echo", timeout_s=None)


async def test_a_deadline_passes_and_the_handler_is_stopped(buses: Buses) -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    async def never(_: MessageEnvelope) -> Value:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return None

    asking = await buses[0].endpoint("asking")
    await buses[1].endpoint("answering", never, in_flight_max=1)
    await buses[1].endpoint("late", never)
    async with asyncio.timeout(PATIENCE_S):
        first = asyncio.ensure_future(asking.request("answering", "wait", timeout_s=None))
        await asyncio.sleep(0)
        with pytest.raises(EndpointBusy):
            await asking.request("answering", "wait")
        first.cancel()
        await stopped.wait()
        began.clear()
        stopped.clear()
        for timeout_s in (0.2, 2.0, 20.0):  # longer, if its time was over before it was there
            with pytest.raises(RequestTimedOut):
                await asking.request("late", "wait", timeout_s=timeout_s)
            if began.is_set():
                break
        await stopped.wait()


async def test_who_closes_fails_the_requests_to_it(buses: Buses) -> None:
    begun = asyncio.Event()

    async def never(_: MessageEnvelope) -> Value:
        begun.set()
        await asyncio.Event().wait()
        return None

    asking = await buses[0].endpoint("asking")
    answering = await buses[1].endpoint("answering", never)
    async with asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(asking.request("answering", "wait", timeout_s=None))
        await begun.wait()
        await answering.close()
        with pytest.raises(EndpointLost):
            await waiting


async def test_a_name_is_taken_once_and_free_after(buses: Buses) -> None:
    first = await buses[0].endpoint("same")
    with pytest.raises(EndpointTaken):
        await buses[1].endpoint("same")
    await first.close()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await (await buses[1].endpoint("same")).close()
                break
            except EndpointTaken:
                await asyncio.sleep(0)


async def test_events_reach_all_who_match_in_their_order_and_one_of_each_group(buses: Buses) -> None:
    telling = await buses[0].endpoint("telling")
    near, far = await buses[0].endpoint("near"), await buses[1].endpoint("far")
    boxes = [await one.mailbox("run.*.node") for one in (near, far)]
    rest = await far.mailbox("run.>")
    shared: list[int] = []
    shared_out = asyncio.Event()

    def work(envelope: MessageEnvelope) -> None:
        assert isinstance(envelope.payload, EventPayload)
        shared.append(int(str(envelope.payload.data)))
        if len(shared) == 50:
            shared_out.set()

    for one in (near, far):
        await one.subscribe("run.>", work, group="workers")
    other = await far.mailbox("walk.>")
    for number in range(50):
        await telling.publish("run.ü1.node", number)
    for box in (*boxes, rest):
        assert await read(box, 50) == list(range(50))
    async with asyncio.timeout(PATIENCE_S):
        await shared_out.wait()
    assert sorted(shared) == list(range(50))
    assert len(other) == 0


async def test_no_event_comes_after_unsubscribing_and_a_bad_topic_is_refused(buses: Buses) -> None:
    telling, far = await buses[0].endpoint("telling"), await buses[1].endpoint("far")
    heard: list[MessageEnvelope] = []
    subscription = await far.subscribe("a", heard.append)
    far.unsubscribe(subscription)
    box = await far.mailbox("a")
    await telling.publish("a", 1)
    assert await read(box, 1) == [1]
    assert heard == []
    for topic in ("a.*", "", "a b", "a\r\nPUB x 0"):
        with pytest.raises(ValidationFailed):
            await telling.publish(topic)
