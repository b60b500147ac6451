"""A hub is told a hundred thousand things that are nearly right, and goes on serving everybody else.

Seeded, so that a failure repeats; `make fuzz` tries many more, with a seed of its own.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Final

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.bus import Bus, Joined, Policy, join
from symphony.bus.line import BEAT, CREDIT, GONE, INTEREST, REGISTER, SUBSCRIBE, UNREGISTER, UNSUBSCRIBE
from symphony.commons.errors import SymphonyError
from symphony.ipc import (
    EndpointId,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ipc.envelope import Payload
from symphony.ipc.transports import Channel, TransportConfig, connect
from symphony.ports.values import Value

pytestmark = pytest.mark.slow
FUZZING = os.environ.get("SYMPHONY_HYPOTHESIS") == "fuzz"
ROUNDS = 2_000_000 if FUZZING else 100_000
SEED = random.SystemRandom().getrandbits(32) if FUZZING else 20_130_104
ADDRESS = "memory:fuzzed"
EACH = 500
"""Messages of one connection, unless it is cut off before."""

NAMES: Final = ("stranger", "other", "served", "honest", "bus", "bus.x", "a b", "", "é" * 200, "x" * 400)
PATTERNS: Final = ("a.b", "a.*", "a.>", ">", "run.*.x", "bus.>", "bus.dropped", "a..b", "", "*" * 300)
ODD: Final[Sequence[Value]] = (
    None, True, -1, 0, 1, 7, 1_000_000, 2**62, 2**63 - 1, 1.5, float("inf"), "", "x", b"\0", "\0", [], {},
    ["a", None], {"last": 0}, {"last": 5, "after": "no id"}, {"$bytes": "!"}, [[[[]]]], ["x"] * 300,
)  # fmt: skip
FIELDS: Final[dict[str, Sequence[Value]]] = {
    "name": NAMES,
    "serves": ([], ["m"], ["m", "m"], ["", "x" * 300]),
    "capabilities": ([], ["run"]),
    "subscription": (1, 2, 3, 4, 2**61),
    "capacity": (1, 16, 1000, 1_000_000),
    "policy": [str(one) for one in Policy],
    "pattern": PATTERNS,
    "owner": NAMES,
    "group": (None, "g", ""),
    "replay": (None, {"last": 3}, {"after": "0"}),
    "count": (1, 512, 1024, 1_000_000),
    "names": (["served"], []),
    "reason": ("", "because"),
}


def fields(rng: random.Random) -> Value:
    """What a message about the connection holds, most of it right."""
    if rng.random() < 0.02:
        return rng.choice(ODD)
    return {
        name: rng.choice(ODD if rng.random() < 0.05 else some)
        for name, some in FIELDS.items()
        if rng.random() < 0.95
    }


def payload(rng: random.Random) -> tuple[str, Payload, str]:
    """The type of a message, what is in it, and for whom it is."""
    match rng.randrange(12):
        case 0 | 1 | 2:
            method = rng.choice(
                (REGISTER, REGISTER, UNREGISTER, SUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE, "bus.link.x")
            )
            return method, RequestPayload(method, fields(rng)), "bus.link"
        case 3 | 4:
            topic = rng.choice((CREDIT, CREDIT, BEAT, INTEREST, GONE))
            return topic, EventPayload(topic, fields(rng)), ""
        case 5 | 6 | 7:
            return (
                "event",
                EventPayload(rng.choice(("a.b", "a.b", "a.c", "run.1.x", *PATTERNS)), rng.choice(ODD)),
                "",
            )
        case 8 | 9:
            asked = RequestPayload(rng.choice(("m", "bus.ping", "bus.stats", "")), rng.choice(ODD), 0.1)
            return "m", asked, rng.choice(("", *NAMES))
        case 10:
            return "bus.cancel", EventPayload("bus.cancel", None), rng.choice(("bus.link", *NAMES))
        case _:
            answer = ResponsePayload(1) if rng.random() < 0.5 else ErrorPayload("x", "y")
            return "m", answer, rng.choice(NAMES)


async def pour(rng: random.Random, senders: dict[str, Stationery], known: list[str]) -> int:
    """One connection that says things until it is cut off; how many."""
    connection = await connect(ADDRESS, TransportConfig())
    channel, said = Channel(connection), 0
    try:
        for said in range(1, EACH + 1):
            kind, body, recipient = payload(rng)
            sender = senders[rng.choice(NAMES) if rng.random() < 0.1 else "stranger"]
            about = rng.choice(known) if known and rng.random() < 0.3 else None
            envelope = sender.envelope(kind, body, recipient=recipient, correlation_id=about)
            known[:] = [*known[-20:], envelope.header.message_id]
            await channel.send(envelope)
            if said % 16 == 0:
                await asyncio.sleep(0)
    except SymphonyError:
        pass  # it has been cut off
    finally:
        connection.abort(SymphonyError("enough"))
        await connection.closed()
    return said


async def test_whatever_a_member_says_the_others_are_served(caplog: pytest.LogCaptureFixture) -> None:
    print(f"seed {SEED}")
    rng, left, known, broken = random.Random(SEED), ROUNDS, list[str](), list[dict[str, object]]()
    senders = {name: Stationery(EndpointId(name)) for name in NAMES}
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    hub, member = Bus(), Bus()
    joined: list[Joined] = [await join(hub, ADDRESS)]
    await hub.endpoint("served", answer)
    joined.append(await join(member, ADDRESS))
    honest = await member.endpoint("honest", answer)
    patterns = hub.exchange.router.patterns()
    while left > 0:
        left -= await pour(rng, senders, known)
        assert await honest.request("served", "m", left, timeout_s=30.0) == left
        assert not broken
    async with asyncio.timeout(PATIENCE_S):
        while hub.exchange.links > 1:  # noqa: ASYNC110  no event tells of it
            await asyncio.sleep(0)
    assert {one.name for one in hub.exchange.registry.entries()} == {"bus", "served", "honest"}
    assert hub.exchange.router.patterns() == patterns
    assert [one for one in caplog.records if one.exc_info] == []
    for one, bus in zip(reversed(joined), (member, hub), strict=True):
        await one.close()
        await bus.close()


def answer(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, RequestPayload)
    return envelope.payload.arguments
