"""One bus over several connections: what members see of each other, and of the hub's end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.strangers import Stranger
from tests.support.waiting import PATIENCE_S, until

from symphony.bus import (
    Bus,
    EndpointBusy,
    EndpointLost,
    EndpointTaken,
    EndpointUnknown,
    Joined,
    Mailbox,
    Policy,
    Replay,
    RequestTimedOut,
    join,
)
from symphony.bus.line import PUBLISH_WINDOW
from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.ipc import (
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ipc.envelope import EndpointId
from symphony.ipc.transports import Channel, Connection, TransportConfig, connect, listen
from symphony.ports.values import Value

Open = Callable[[], Awaitable[tuple[Bus, Joined]]]


@pytest.fixture(params=["memory", "unix"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory:shared"
    return f"unix://{tmp_path}/run/bus.sock"


@pytest.fixture
async def opened(address: str) -> AsyncIterator[Open]:
    """Buses on one address: the first is the hub, the others are members."""
    all_of_them: list[tuple[Bus, Joined]] = []

    async def one() -> tuple[Bus, Joined]:
        bus = Bus()
        all_of_them.append((bus, await join(bus, address)))
        return all_of_them[-1]

    yield one
    for bus, joined in reversed(all_of_them):
        await joined.close()
        await bus.close()


def data_of(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


async def got(box: Mailbox) -> Value:
    async with asyncio.timeout(PATIENCE_S):
        return data_of(await box.receive())


def echo(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, RequestPayload)
    return envelope.payload.arguments


async def test_endpoints_of_all_processes_reach_each_other(opened: Open) -> None:
    (hub, hub_joined), (one, one_joined), (two, _) = await opened(), await opened(), await opened()
    assert hub_joined.is_hub
    assert one_joined.is_member
    for name, bus in (("a", hub), ("b", one), ("c", two)):
        await bus.endpoint(name, echo, serves=[f"made by {name}"])
    asking = [await bus.endpoint(f"asking{n}") for n, bus in enumerate((hub, one, two))]
    for endpoint in asking:
        for name in "abc":
            assert await endpoint.request(name, "m", {"to": name}) == {"to": name}
            assert await endpoint.request("", f"made by {name}", 1) == 1
        assert await endpoint.request("bus", "bus.ping", b"x") == b"x"
        with pytest.raises(EndpointUnknown):
            await endpoint.request("nobody", "m")
        with pytest.raises(EndpointUnknown):
            await endpoint.request("", "made by nobody")
    for bus in (hub, one, two):
        with pytest.raises(EndpointTaken):
            await bus.endpoint("b")
    stats = await asking[2].request("bus", "bus.stats")
    assert isinstance(stats, dict)
    assert stats["links"] == 2


async def test_events_reach_all_processes_in_one_order_once(opened: Open) -> None:
    buses = [(await opened())[0] for _ in range(3)]
    ends = [await bus.endpoint(f"end{n}") for n, bus in enumerate(buses)]
    boxes = [await end.mailbox("t.*", capacity=5000) for end in ends]
    await until(lambda: all(bus.wants("t.x") for bus in buses))

    async def publish(number: int) -> None:
        for count in range(200):
            await ends[number].publish(f"t.{number}", [number, count])

    await asyncio.gather(*(publish(number) for number in range(3)))
    seen = [[await got(box) for _ in range(600)] for box in boxes]
    assert seen[0] == seen[1] == seen[2], "all see one order"
    for number in range(3):
        assert [e for e in seen[0] if isinstance(e, list) and e[0] == number] == [
            [number, count] for count in range(200)
        ]
    assert not any(len(box) for box in boxes)


async def test_one_of_a_group_gets_each_event_wherever_it_is(opened: Open) -> None:
    buses = [(await opened())[0] for _ in range(3)]
    ends = [await bus.endpoint(f"end{n}") for n, bus in enumerate(buses)]
    boxes = [await end.mailbox("work", group="workers") for end in ends]
    await until(lambda: buses[1].wants("work"))
    for number in range(30):
        await ends[1].publish("work", number)
    await until(lambda: sum(map(len, boxes)) == 30)
    assert [len(box) for box in boxes] == [10, 10, 10]


async def test_late_members_are_given_the_past_and_then_the_present_without_gap(opened: Open) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    hub.retain("kept", 100)
    publishing, late = await hub.endpoint("publishing"), await member.endpoint("late")
    for number in range(5):
        await publishing.publish("kept", number)
    subscribing = asyncio.ensure_future(late.mailbox("kept", replay=Replay(last=3)))
    for number in range(5, 50):
        await publishing.publish("kept", number)
        await asyncio.sleep(0)
    box = await subscribing
    found = [await got(box)]
    while found[-1] != 49:
        found.append(await got(box))
    first = found[0]
    assert isinstance(first, int)
    assert found == list(range(first, 50))
    assert len(found) >= 3


async def test_a_slow_member_holds_or_loses_as_its_policy_says_and_stalls_nobody(opened: Open) -> None:
    (hub, _), (slow, _), (publisher, _) = await opened(), await opened(), await opened()
    free = await hub.endpoint("free")
    others: list[Value] = []
    await free.subscribe(">", lambda envelope: others.append(data_of(envelope)))
    told = await free.mailbox("bus.dropped")
    end, publishing = await slow.endpoint("slow"), await publisher.endpoint("publishing")
    lossy = await end.mailbox("lossy", capacity=10)
    strict = await end.mailbox("strict", capacity=10, policy=Policy.BLOCK)
    await until(lambda: publisher.wants("lossy") and publisher.wants("strict"))
    for number in range(500):
        await publishing.publish("lossy", number)
    count = 0
    while count < 480:
        dropped = await got(told)
        assert isinstance(dropped, dict)
        assert dropped["endpoint"] == "slow"
        assert isinstance(dropped["count"], int)
        count += dropped["count"]
    assert count == 480, "ten wait here, ten there; each of the others is told of"
    assert [await got(lossy) for _ in range(20)] == [*range(10), *range(490, 500)]

    sent: list[int] = []

    async def publish() -> None:
        for number in range(3000):
            await publishing.publish("strict", number)
            sent.append(number)

    task = asyncio.ensure_future(publish())
    await until(lambda: len(sent) >= 1024)
    assert await publishing.request("free", "bus.ping", 1) == 1, "requests pass those that wait"
    assert not task.done(), "it waits for room"
    assert [await got(strict) for _ in range(3000)] == list(range(3000)), "nothing is lost"
    await task


async def test_what_waits_for_room_waits_in_one_task_however_much_it_is(opened: Open) -> None:
    (hub, _), (publisher, _) = await opened(), await opened()
    end, publishing = await hub.endpoint("slow"), await publisher.endpoint("publishing")
    box = await end.mailbox("strict", capacity=10, policy=Policy.BLOCK)
    await until(lambda: publisher.wants("strict"))
    tasks = len(asyncio.all_tasks())
    for number in range(1000):
        await publishing.publish("strict", number)
    await until(lambda: len(box) == 1000)
    assert len(asyncio.all_tasks()) <= tasks + 5
    assert [await got(box) for _ in range(1000)] == list(range(1000))
    for number in range(3000):  # all that was taken was paid for
        await publishing.publish("strict", number)
        assert await got(box) == number


async def test_what_a_member_that_left_was_asked_fails_at_once_and_watchers_are_told(opened: Open) -> None:
    (hub, _), (leaving, joined), (other, _) = await opened(), await opened(), await opened()
    began: list[str] = []

    async def never(envelope: MessageEnvelope) -> Value:
        began.append(envelope.header.sender)
        await asyncio.Event().wait()
        return None

    await leaving.endpoint("leaving", never)
    asking = [await hub.endpoint("one"), await other.endpoint("two")]
    watching = [await end.mailbox("bus.endpoint.*") for end in asking]
    requests = [asyncio.ensure_future(end.request("leaving", "m", timeout_s=None)) for end in asking]
    await until(lambda: len(began) == 2)
    await joined.close()
    for request in requests:
        with pytest.raises(EndpointLost):
            await asyncio.wait_for(request, PATIENCE_S)
    for box in watching:
        told = await got(box)
        assert isinstance(told, dict)
        assert told["name"] == "leaving"
    await hub.endpoint("leaving", echo)
    assert await asking[1].request("leaving", "m", 1) == 1, "its name is free again"


async def test_cancellation_and_deadlines_travel(opened: Open) -> None:
    (_, _), (one, _), (two, _) = await opened(), await opened(), await opened()
    began, ended = asyncio.Queue[None](), asyncio.Queue[None]()

    async def work(_: MessageEnvelope) -> Value:
        began.put_nowait(None)
        try:
            await asyncio.Event().wait()
        finally:
            ended.put_nowait(None)
        return None

    await one.endpoint("working", work)
    asking = await two.endpoint("asking")
    request = asyncio.ensure_future(asking.request("working", "m", timeout_s=None))
    await asyncio.wait_for(began.get(), PATIENCE_S)
    request.cancel()
    await asyncio.wait_for(ended.get(), PATIENCE_S)
    for timeout_s in (0.05, 0.5, 5.0):  # longer, if its time was over before it was there
        with pytest.raises(RequestTimedOut):
            await asking.request("working", "m", timeout_s=timeout_s)
        if not began.empty():
            break
    await asyncio.wait_for(began.get(), PATIENCE_S)
    await asyncio.wait_for(ended.get(), PATIENCE_S)


async def test_requests_without_recipient_are_cancelled_and_lost_like_the_others(opened: Open) -> None:
    (hub, _), (one, joined), (two, _) = await opened(), await opened(), await opened()
    began, ended = asyncio.Queue[None](), asyncio.Queue[None]()

    async def work(_: MessageEnvelope) -> Value:
        began.put_nowait(None)
        try:
            await asyncio.Event().wait()
        finally:
            ended.put_nowait(None)
        return None

    await one.endpoint("working", work, serves=["work"])
    for bus in (hub, two):
        asking = await bus.endpoint(f"asking{id(bus)}")
        request = asyncio.ensure_future(asking.request("", "work", timeout_s=None))
        await asyncio.wait_for(began.get(), PATIENCE_S)
        request.cancel()
        await asyncio.wait_for(ended.get(), PATIENCE_S)
    request = asyncio.ensure_future(asking.request("", "work", timeout_s=None))
    await asyncio.wait_for(began.get(), PATIENCE_S)
    await joined.close()
    with pytest.raises(EndpointLost):
        await asyncio.wait_for(request, PATIENCE_S)


async def test_when_the_hub_goes_a_member_takes_its_place_and_all_are_together_again(opened: Open) -> None:
    (hub, first), (one, one_joined), (two, two_joined) = await opened(), await opened(), await opened()
    await one.endpoint("one", echo)
    asking = await two.endpoint("two")
    box = await asking.mailbox("t.>")
    lost = await asking.mailbox("bus.hub.lost")
    await first.close()
    await got(lost)
    await until(lambda: one_joined.is_hub or two_joined.is_hub)
    await until(lambda: one_joined.is_member or two_joined.is_member)
    assert await asking.request("one", "m", 5) == 5
    speaking = await one.endpoint("speaking")
    await until(lambda: one.wants("t.x"))
    await speaking.publish("t.x", "again")
    assert await got(box) == "again"
    await hub.close()


async def test_a_name_that_two_have_stays_with_the_one_who_came_first(opened: Open) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    await hub.endpoint("name", lambda _: "hub's")
    with pytest.raises(EndpointTaken):
        await member.endpoint("name", lambda _: "member's")
    asking = await member.endpoint("asking")
    assert await asking.request("name", "m") == "hub's"


@pytest.mark.parametrize(
    "payload",
    [
        EventPayload("a.*"),
        EventPayload("bus.link.credit", "nonsense"),
        EventPayload("bus.link.credit", {"subscription": 1, "count": -5}),
        EventPayload("bus.endpoint.lost", {"name": "here", "reason": "forged"}),
        EventPayload("bus.link.interest", [">"]),
    ],
)
async def test_a_member_that_breaks_the_rules_is_cut_off_and_nobody_else_notices(
    opened: Open, address: str, payload: EventPayload
) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    await hub.endpoint("here", echo)
    asking = await member.endpoint("asking")
    forged = await asking.mailbox("bus.endpoint.lost")
    stranger = await Stranger.at(address)
    await stranger.says(payload)
    await stranger.is_cut_off()
    assert await asking.request("here", "m", 1) == 1
    assert not len(forged)


async def test_a_member_that_heeds_no_credit_is_cut_off_before_it_fills_anything(
    opened: Open, address: str
) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    strict = await (await hub.endpoint("slow")).mailbox("t", capacity=10, policy=Policy.BLOCK)
    stranger = await Stranger.at(address)
    await stranger.registers("stranger")
    with pytest.raises(SymphonyError):
        for number in range(20_000):
            await stranger.says(EventPayload("t", number))
            await asyncio.sleep(0)
    error = await stranger.is_cut_off()
    assert "not been taken" in error.message
    assert len(strict) == PUBLISH_WINDOW, "what was within its rights arrived"
    asking = await member.endpoint("asking")
    assert await asking.request("slow", "bus.ping", 1) == 1


@pytest.mark.parametrize("data", ["\ud800", 2**70])
async def test_what_no_codec_carries_is_refused_to_a_member_and_counted_at_the_hub(
    opened: Open, data: Value
) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    speaking, listening = await hub.endpoint("speaking"), await member.endpoint("listening")
    box = await listening.mailbox("t", capacity=2)
    told = await speaking.mailbox("bus.dropped")
    for _ in range(3):  # more than there is room for, if any of it were lost
        await speaking.publish("t", data)
    assert await got(told) == {"endpoint": "listening", "pattern": "t", "count": 3}
    await until(lambda: hub.stats().drops == {"listening": {"t": 3}})
    for _ in range(2 * PUBLISH_WINDOW):
        with pytest.raises(SerializationFailed):
            await listening.publish("t", data)
    await listening.publish("t", "mine")
    assert await got(box) == "mine"
    await speaking.publish("t", "yours")
    assert await got(box) == "yours"


async def test_joining_a_hub_that_says_nothing_ends_in_time(address: str) -> None:
    accepted: list[Connection] = []
    listener = await listen(address, accepted.append, TransportConfig())
    bus = Bus()
    await bus.endpoint("me")
    with pytest.raises(SymphonyError) as silent:
        async with asyncio.timeout(PATIENCE_S):
            await join(bus, address, TransportConfig(timeout_s=0.2), serve=False)
    assert silent.value.code == "peer-silent"
    await listener.close()
    await bus.close()


async def test_what_waits_for_one_that_does_not_read_is_bounded_in_bytes(
    opened: Open, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphony.bus.line.OUTBOX_BYTES_MAX", 1_000_000)
    (hub, _), (member, _) = await opened(), await opened()
    asking, other = await hub.endpoint("asking"), await member.endpoint("other")
    stranger = await Stranger.at(address)
    await stranger.registers("stranger")
    asked = [
        asyncio.ensure_future(asking.request("stranger", "m", b"x" * 500_000, timeout_s=PATIENCE_S))
        for _ in range(60)
    ]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert await other.request("asking", "bus.ping", 1) == 1
    assert any(isinstance(one.exception(), EndpointBusy) for one in asked if one.done())
    await stranger.leaves()
    for one in asked:
        with pytest.raises((EndpointBusy, EndpointLost)):
            await one


async def test_events_in_the_name_of_others_are_counted_and_told_of_and_reach_nobody(
    opened: Open, address: str
) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    speaking = await hub.endpoint("speaking")
    listening = await member.endpoint("listening")
    box, told = await listening.mailbox("t"), await listening.mailbox("bus.dropped")
    stranger = await Stranger.at(address)
    await stranger.registers("stranger")
    for number in range(3 * PUBLISH_WINDOW // 2):  # credit comes back for these, too
        await stranger.says(EventPayload("t", "forged"), sender="speaking")
        if number == PUBLISH_WINDOW - 1:
            await stranger.hears("bus.link.credit")
    dropped = await got(told)
    assert isinstance(dropped, dict)
    assert "member" in str(dropped["endpoint"])
    await stranger.says(EventPayload("t", "its own"))
    assert await got(box) == "its own"
    await speaking.publish("t", "true")
    assert await got(box) == "true"
    assert sum(hub.stats().drops[str(dropped["endpoint"])].values()) == 3 * PUBLISH_WINDOW // 2
    await stranger.leaves()


async def test_an_answer_counts_only_from_whom_was_asked(opened: Open, address: str) -> None:
    (hub, _), (member, _) = await opened(), await opened()
    asked: asyncio.Queue[MessageEnvelope] = asyncio.Queue()
    go_on = asyncio.Event()

    async def work(envelope: MessageEnvelope) -> Value:
        asked.put_nowait(envelope)
        await go_on.wait()
        return "true"

    await hub.endpoint("working", work)
    asking = [await hub.endpoint("one"), await member.endpoint("two")]
    stranger = await Stranger.at(address)
    await stranger.registers("stranger")
    for end in asking:
        go_on.clear()
        request = asyncio.ensure_future(end.request("working", "m"))
        envelope = await asyncio.wait_for(asked.get(), PATIENCE_S)
        for sender in ("stranger", "working", "bus", "bus.link"):
            for answer in (ResponsePayload("forged"), ErrorPayload("forged", "forged")):
                await stranger.says(
                    answer, sender=sender, recipient=end.name, correlation_id=envelope.header.message_id
                )
        await stranger.says(RequestPayload("bus.ping"), recipient="working")
        await stranger.hears("x")
        go_on.set()
        assert await request == "true"
    assert hub.stats().late_replies + member.stats().late_replies == 16
    await stranger.leaves()


async def test_who_asks_in_a_name_that_is_not_its_own_is_answered_that_it_is_unknown(
    opened: Open, address: str
) -> None:
    await (await opened())[0].endpoint("here", echo)
    stranger = await Stranger.at(address)
    await stranger.says(RequestPayload("m", 1), recipient="here")
    answer = await stranger.hears("x")
    assert isinstance(answer.payload, ErrorPayload)
    assert answer.payload.code == "sender-unknown"
    assert answer.payload.hint
    await stranger.registers("stranger")
    await stranger.says(RequestPayload("m", 1), recipient="here")
    assert (await stranger.hears("x")).payload == ResponsePayload(1)
    await stranger.leaves()


async def test_a_member_that_lost_its_name_is_told_so_when_it_asks(opened: Open, address: str) -> None:
    (hub, _), late = await opened(), Bus()
    await hub.endpoint("name", echo)
    mine = await late.endpoint("name")
    joined = await join(late, address)
    try:
        with pytest.raises(SymphonyError) as unknown:
            await mine.request("bus", "bus.stats")
        assert unknown.value.code == "sender-unknown"
        other = await late.endpoint("other")
        assert await other.request("bus", "bus.ping", 1) == 1, "the connection goes on"
    finally:
        await joined.close()
        await late.close()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("bus.link.register", {"name": "a b", "serves": [], "capabilities": []}),
        ("bus.link.register", {"name": "x", "serves": [1], "capabilities": []}),
        ("bus.link.register", None),
        ("bus.link.register", {"name": "bus.link", "serves": [], "capabilities": []}),
        ("bus.link.register", {"name": "x", "serves": ["s"] * 257, "capabilities": []}),
        ("bus.link.register", {"name": "x", "serves": [], "capabilities": ["c" * 256]}),
        ("bus.link.subscribe", {"subscription": 1, "pattern": "a.>.b", "owner": "x", "capacity": 1}),
        ("bus.link.subscribe", {"subscription": 1, "pattern": "a", "owner": "x", "capacity": 0}),
        (
            "bus.link.subscribe",
            {"subscription": 1, "pattern": "a", "owner": "x", "capacity": 1, "policy": ""},
        ),
        ("bus.link.nonsense", {}),
    ],
)
async def test_what_a_member_asks_for_wrongly_is_refused_with_the_reason(
    opened: Open, address: str, method: str, arguments: Value
) -> None:
    await opened()
    connection = await connect(address, TransportConfig())
    channel, stationery = Channel(connection), Stationery(EndpointId("stranger"))
    await channel.send(stationery.envelope(method, RequestPayload(method, arguments), recipient="bus.link"))
    async with asyncio.timeout(PATIENCE_S):
        answer = await channel.receive()
        while answer.header.recipient != "stranger":
            answer = await channel.receive()
    assert type(answer.payload).__name__ == "ErrorPayload"
    await connection.close()


@pytest.mark.parametrize("answerer", ["hub", "member"])
async def test_an_answer_that_cannot_be_sent_is_an_error_for_the_one_who_asked(
    opened: Open, answerer: str
) -> None:
    (first, _), (second, _) = await opened(), await opened()
    answering, asking = (first, second) if answerer == "hub" else (second, first)
    answers: list[Value] = ["x" * (65 * 1024 * 1024), "\ud800"]
    await answering.endpoint("large", lambda _: answers.pop(0))
    endpoint = await asking.endpoint("asking")
    for why in ("the answer cannot be sent: .* exceeds the limit", "the answer cannot be sent"):
        with pytest.raises(SymphonyError, match=why):
            await asyncio.wait_for(endpoint.request("large", "m", timeout_s=None), PATIENCE_S)


async def test_what_is_kept_is_replayed_to_one_that_asked_for_it_before_it_joined(opened: Open) -> None:
    first, joined = await opened()
    first.retain("kept.>", 10)
    endpoint = await first.endpoint("telling")
    await endpoint.publish("kept.a", 1)
    bus = Bus()
    box = await bus.mailbox("kept.>", owner="late", replay=Replay())
    late = await join(bus, joined.address, serve=False)
    assert await got(box) == 1
    await endpoint.publish("kept.a", 2)
    assert await got(box) == 2
    await late.close()
    await bus.close()
