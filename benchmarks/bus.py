"""How fast is the bus within one process?

Question: envelopes routed to a callback a second; requests answered a second, each with a deadline;
how long one event takes to reach 100 mailboxes, and 1,000 callbacks.
Size: 200,000 envelopes on 100 topics; 20,000 requests, one after the other, and 64 at once;
medians of five, in turn.
Budget: 1 µs an envelope (a million a second); 10 µs a request (100,000 a second); 500 µs for 100
mailboxes, 1,000 µs for 1,000 callbacks. Design: 10,000 messages a second, 1,000 µs to all.
Peer: a plain function called from a plain dict for the envelope; for a request its two envelopes, a
future and a dict in which it waits; and `asyncio.Queue.put_nowait` into as many queues for the
mailboxes: what nothing in Python can be faster than by much.

Run: python benchmarks/bus.py; prints one JSON line.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from time import perf_counter

from measuring import Figure, line

from symphony.bus import Bus, Endpoint, Policy
from symphony.ipc import (
    EndpointId,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
    Stationery,
)

TIMES = 5
ENVELOPES, REQUESTS, AT_ONCE = 200_000, 20_000, 64
FANS = 200


def envelopes() -> list[MessageEnvelope]:
    """One for each of 100 topics, as often as it takes."""
    stationery = Stationery(EndpointId("bench"))
    some = [stationery.envelope("event", EventPayload(f"run.{n}.node.finished", n)) for n in range(100)]
    return some * (ENVELOPES // 100)


def dropped(_: object) -> None:
    """What every subscriber does."""


async def routed_us(bus: Bus, sent: list[MessageEnvelope]) -> float:
    """µs an envelope."""
    route, started = bus.exchange.route, perf_counter()
    for envelope in sent:
        route(envelope)
    return (perf_counter() - started) / len(sent) * 1e6


async def looked_up_us(sent: list[MessageEnvelope]) -> float:
    """µs an envelope, for a function found in a dict by the topic."""
    found = {f"run.{n}.node.finished": dropped for n in range(100)}
    started = perf_counter()
    for envelope in sent:
        payload = envelope.payload
        assert isinstance(payload, EventPayload)
        found[payload.topic](envelope)
    return (perf_counter() - started) / len(sent) * 1e6


async def request_us(asking: Endpoint, at_once: int) -> float:
    """µs a request."""

    async def ask(number: int) -> None:
        for _ in range(number):
            await asking.request("answering", "echo", 1, timeout_s=5.0)

    started = perf_counter()
    await asyncio.gather(*(ask(REQUESTS // at_once) for _ in range(at_once)))
    return (perf_counter() - started) / REQUESTS * 1e6


async def bare_request_us() -> float:
    """µs for two envelopes, a dict and a future: no names, no deadline, no errors, no counts."""
    asks, answers = Stationery(EndpointId("asking")), Stationery(EndpointId("answering"))
    waiting: dict[str | None, asyncio.Future[object]] = {}
    loop, started = asyncio.get_running_loop(), perf_counter()
    for _ in range(REQUESTS):
        request = asks.envelope("echo", RequestPayload("echo", 1, 5.0), recipient="answering")
        future = waiting[request.header.message_id] = loop.create_future()
        answer = answers.answer(request, ResponsePayload(1))
        waiting.pop(answer.header.correlation_id).set_result(answer.payload)
        await future
    return (perf_counter() - started) / REQUESTS * 1e6


async def mailboxes_us(number: int) -> float:
    """µs for one event to be in every mailbox."""
    bus = Bus()
    one = await bus.endpoint("one")
    boxes = [await one.mailbox("a.*", capacity=FANS, policy=Policy.DROP_OLDEST) for _ in range(number)]
    started = perf_counter()
    for _ in range(FANS):
        one.try_publish("a.b", 1)
    took = perf_counter() - started
    assert all(len(box) == FANS for box in boxes)
    await bus.close()
    return took / FANS * 1e6


async def queues_us(number: int) -> float:
    """µs for one object to be in every queue of asyncio."""
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(FANS) for _ in range(number)]
    started = perf_counter()
    for _ in range(FANS):
        for queue in queues:
            queue.put_nowait(1)
    return (perf_counter() - started) / FANS * 1e6


async def callbacks_us(number: int) -> float:
    """µs for one event to reach every callback."""
    bus = Bus()
    one = await bus.endpoint("one")
    for _ in range(number):
        await one.subscribe("a.*", dropped)
    started = perf_counter()
    for _ in range(FANS):
        one.try_publish("a.b", 1)
    took = perf_counter() - started
    await bus.close()
    return took / FANS * 1e6


async def measured() -> dict[str, float]:
    """The median of each."""
    bus, sent = Bus(), envelopes()
    await bus.endpoint("answering", lambda _: 1)
    asking = await bus.endpoint("asking")
    await asking.subscribe("run.*.node.finished", dropped)
    questions: dict[str, Callable[[], Awaitable[float]]] = {
        "routed": lambda: routed_us(bus, sent),
        "looked up": lambda: looked_up_us(sent),
        "request": lambda: request_us(asking, 1),
        "request of 64": lambda: request_us(asking, AT_ONCE),
        "bare request": bare_request_us,
        "mailboxes": lambda: mailboxes_us(100),
        "queues": lambda: queues_us(100),
        "callbacks": lambda: callbacks_us(1000),
    }
    found: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(TIMES):
        for name, question in questions.items():
            found[name].append(await question())
    await bus.close()
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    took = asyncio.run(measured())
    print(
        line(
            "bus",
            f"{ENVELOPES:,} envelopes, {REQUESTS:,} requests",
            [
                Figure(
                    "route one envelope to a callback", took["routed"], "us", 1.0, 100.0, took["looked up"]
                ),
                Figure(
                    "one request with a deadline", took["request"], "us", 10.0, 100.0, took["bare request"]
                ),
                Figure("the same, 64 at once", took["request of 64"], "us", 10.0, 100.0),
                Figure("one event to 100 mailboxes", took["mailboxes"], "us", 500.0, 1000.0, took["queues"]),
                Figure("one event to 1,000 callbacks", took["callbacks"], "us", 1000.0, 1000.0),
            ],
        )
    )
