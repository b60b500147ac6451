"""The bus within one process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from symphony.bus import (
    Bus,
    EndpointBusy,
    EndpointLost,
    EndpointTaken,
    EndpointUnknown,
    Mailbox,
    MailboxOverflowed,
    Policy,
    Replay,
    RequestTimedOut,
)
from symphony.bus.core.metrics import prometheus
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.ipc import EventPayload, MessageEnvelope, RequestPayload
from symphony.ports.values import Value
from symphony.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def bus(clock: FakeClock) -> AsyncIterator[Bus]:
    bus = Bus(clock=clock)
    yield bus
    await bus.close()
    assert clock.slept == [], "the bus does not sleep"


def arguments_of(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, RequestPayload)
    return envelope.payload.arguments


def data_of(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


def inside(box: Mailbox) -> list[Value]:
    found = []
    while (envelope := box.take()) is not None:
        found.append(data_of(envelope))
    return found


async def test_a_request_gets_the_answer_of_its_endpoint_and_its_error(bus: Bus) -> None:
    async def slow(envelope: MessageEnvelope) -> Value:
        await asyncio.sleep(0)
        return arguments_of(envelope)

    def broken(envelope: MessageEnvelope) -> Value:
        raise ValidationFailed("no", details={"field": "x"}, hint="say yes")

    def buggy(envelope: MessageEnvelope) -> Value:
        raise KeyError("oops")

    await bus.endpoint("quick", lambda envelope: [arguments_of(envelope), envelope.header.sender])
    await bus.endpoint("slow", slow)
    await bus.endpoint("broken", broken)
    await bus.endpoint("buggy", buggy)
    asking = await bus.endpoint("asking")
    assert await asking.request("quick", "m", {"a": 1}) == [{"a": 1}, "asking"]
    assert await asking.request("slow", "m", [1]) == [1]
    assert await asking.request("slow", "bus.ping", 7) == 7
    with pytest.raises(SymphonyError, match="no") as found:
        await asking.request("broken", "m")
    assert (found.value.code, found.value.hint) == ("validation-failed", "say yes")
    assert found.value.details == {"field": "x"}
    with pytest.raises(SymphonyError, match="KeyError") as found:
        await asking.request("buggy", "m")
    assert found.value.code == "handler-failed"
    with pytest.raises(EndpointUnknown):
        await asking.request("nobody", "m")
    with pytest.raises(SymphonyError, match="takes no requests"):
        await asking.request("asking", "m")
    with pytest.raises(EndpointTaken):
        await bus.endpoint("asking")
    assert len(bus.exchange.calls) == 0


async def test_a_request_without_recipient_goes_to_those_who_serve_its_type_in_turn(bus: Bus) -> None:
    for name in ("one", "two"):
        await bus.endpoint(name, lambda _, name=name: name, serves=["resize"])
    asking = await bus.endpoint("asking")
    assert [await asking.request("", "resize") for _ in range(4)] == ["one", "two", "one", "two"]
    with pytest.raises(EndpointUnknown, match="no endpoint serves"):
        await asking.request("", "rotate")


async def test_a_request_whose_time_is_up_fails_and_its_late_answer_is_counted_only(
    bus: Bus, clock: FakeClock
) -> None:
    release, stopped = asyncio.Event(), asyncio.Event()

    async def stubborn(_: MessageEnvelope) -> Value:
        try:
            await release.wait()
        except asyncio.CancelledError:
            stopped.set()
        return "late"

    await bus.endpoint("stubborn", stubborn)
    asking = await bus.endpoint("asking")
    request = asyncio.ensure_future(asking.request("stubborn", "m", timeout_s=1.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance(0.9)
    bus.exchange.sweep()
    assert not request.done()
    clock.advance(0.2)
    bus.exchange.sweep()
    with pytest.raises(RequestTimedOut):
        await request
    await stopped.wait()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bus.stats().late_replies == 1
    assert bus.stats().failed == 1


async def test_cancelling_a_request_cancels_the_work_for_it(bus: Bus) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def work(_: MessageEnvelope) -> Value:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    await bus.endpoint("working", work)
    asking = await bus.endpoint("asking")
    request = asyncio.ensure_future(asking.request("working", "m", timeout_s=None))
    await began.wait()
    request.cancel()
    await ended.wait()
    assert len(bus.exchange.calls) == 0


async def test_requests_to_an_endpoint_that_closes_fail_and_watchers_are_told(bus: Bus) -> None:
    async def never(_: MessageEnvelope) -> Value:
        await asyncio.Event().wait()
        return None

    leaving = await bus.endpoint("leaving", never, in_flight_max=1)
    asking = await bus.endpoint("asking")
    watching = await asking.mailbox("bus.endpoint.*")
    request = asyncio.ensure_future(asking.request("leaving", "m", timeout_s=None))
    await asyncio.sleep(0)
    with pytest.raises(EndpointBusy):
        await asking.request("leaving", "m")
    await leaving.close()
    with pytest.raises(EndpointLost, match="'leaving' is gone"):
        await request
    (told,) = inside(watching)
    assert isinstance(told, dict)
    assert told["name"] == "leaving"


async def test_events_reach_every_subscriber_in_order_though_one_of_them_is_broken(bus: Bus) -> None:
    got: list[Value] = []

    def broken(_: MessageEnvelope) -> None:
        raise RuntimeError("a subscriber's mistake")

    one = await bus.endpoint("one")
    await one.subscribe("a.>", broken)
    subscription = await one.subscribe("a.*", lambda envelope: got.append(data_of(envelope)))
    box = await one.mailbox("a.b")
    for number in range(3):
        await one.publish("a.b", number)
    assert got == [0, 1, 2] == inside(box)
    one.unsubscribe(subscription)
    await one.publish("a.b", 3)
    assert got == [0, 1, 2]
    with pytest.raises(ValidationFailed):
        await one.publish("a.*", 1)


@pytest.mark.parametrize(("policy", "kept"), [(Policy.DROP_OLDEST, [3, 4]), (Policy.DROP_NEWEST, [0, 1])])
async def test_every_drop_is_counted_and_announced(bus: Bus, policy: Policy, kept: list[int]) -> None:
    one = await bus.endpoint("one")
    told = await one.mailbox("bus.dropped")
    box = await one.mailbox("a", capacity=2, policy=policy)
    for number in range(5):
        await one.publish("a", number)
    await asyncio.sleep(0)
    assert inside(box) == kept
    assert inside(told) == [{"endpoint": "one", "pattern": "a", "count": 3}]
    assert bus.stats().drops == {"one": {"a": 3}}


async def test_a_mailbox_may_be_closed_when_it_is_full(bus: Bus) -> None:
    one = await bus.endpoint("one")
    box = await one.mailbox("a", capacity=1, policy=Policy.DISCONNECT)
    for number in range(3):
        await one.publish("a", number)
    assert data_of(await box.receive()) == 0
    with pytest.raises(MailboxOverflowed):
        await box.receive()
    assert bus.stats().mailboxes == []
    assert bus.stats().drops == {"one": {"a": 1}}


async def test_a_full_mailbox_may_hold_its_publisher_and_nobody_else(bus: Bus) -> None:
    one = await bus.endpoint("one")
    slow = await one.mailbox("a", capacity=2, policy=Policy.BLOCK)
    others: list[Value] = []
    await one.subscribe(">", lambda envelope: others.append(data_of(envelope)))

    async def publish() -> None:
        for number in range(5):
            await one.publish("a", number)

    publishing = asyncio.ensure_future(publish())
    await asyncio.sleep(0)
    assert len(slow) == 2
    assert not one.try_publish("a", 99)
    assert one.try_publish("b", "free")
    assert others == [0, 1, "free"]
    got = [data_of(await slow.receive()) for _ in range(5)]
    await publishing
    assert got == [0, 1, 2, 3, 4]


async def test_closing_a_full_mailbox_lets_its_publisher_go(bus: Bus) -> None:
    one = await bus.endpoint("one")
    box = await one.mailbox("a", capacity=1, policy=Policy.BLOCK)
    publishing = asyncio.ensure_future(one.publish("a", 1))
    await asyncio.sleep(0)
    box.close()
    await publishing
    await one.publish("a", 2)


async def test_a_group_holds_its_publisher_only_while_all_of_it_are_full(bus: Bus) -> None:
    one = await bus.endpoint("one")
    first = await one.mailbox("a", capacity=1, policy=Policy.BLOCK, group="g")
    second = await one.mailbox("a", capacity=1, policy=Policy.BLOCK, group="g")
    await one.publish("a", 1)
    publishing = asyncio.ensure_future(one.publish("a", 2))
    await asyncio.sleep(0)
    assert (len(first), len(second)) == (1, 1)
    await second.receive()
    await publishing
    assert one.try_publish("a", 3)
    assert inside(first) == [1]
    assert inside(second) == [3]


async def test_those_who_come_late_are_given_the_past_and_then_the_present(bus: Bus) -> None:
    bus.retain("kept.>", 3)
    one = await bus.endpoint("one")
    for number in range(5):
        await one.publish("kept.a", number)
        await one.publish("other", number)
    late = await one.mailbox(">", replay=Replay(last=2))
    await one.publish("kept.a", 5)
    found = [await late.receive() for _ in range(3)]
    assert [data_of(envelope) for envelope in found] == [3, 4, 5]
    assert [e.payload.sequence for e in found if isinstance(e.payload, EventPayload)] == [4, 5, 6]
    after = await one.mailbox("kept.a", replay=Replay(after=found[1].header.message_id))
    assert inside(after) == [5]


async def test_an_unread_request_leaves_no_timer_and_no_task(bus: Bus) -> None:
    await bus.endpoint("quick", lambda _: None)
    asking = await bus.endpoint("asking")
    for _ in range(100):
        await asking.request("quick", "m")
    assert len(asyncio.all_tasks()) == 1
    assert len(bus.exchange.calls) == 0


async def test_prometheus_reads_the_counts(bus: Bus) -> None:
    one = await bus.endpoint('odd"name\\')
    await one.mailbox("a.b", capacity=1)
    for _ in range(3):
        await one.publish("a.b")
    await one.request(one.name, "bus.ping")
    text = prometheus(bus.stats())
    assert 'symphony_bus_events_total{topic="a"} 3' in text
    assert r'symphony_bus_drops_total{endpoint="odd\"name\\",topic="a"} 2' in text
    assert "symphony_bus_request_seconds_count 1" in text
    buckets = [line for line in text.splitlines() if "_bucket" in line]
    assert buckets[-1] == 'symphony_bus_request_seconds_bucket{le="+Inf"} 1'


async def test_topics_of_the_bus_itself_are_refused_to_endpoints() -> None:
    bus = Bus()
    endpoint = await bus.endpoint("end")
    with pytest.raises(ValidationFailed) as refused:
        await endpoint.publish("bus.endpoint.lost", {"name": "x"})
    assert refused.value.hint
    with pytest.raises(ValidationFailed):
        endpoint.try_publish("bus.dropped")
    await bus.close()
