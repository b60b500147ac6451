"""Processes for the tests of the bus: one joins, talks, is stopped, and killed."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from symphony.bus import Bus, Endpoint, Policy, join
from symphony.cli.actions.running import new_loop
from symphony.ipc import EventPayload, MessageEnvelope, RequestPayload
from symphony.ports.values import Value

END = "end"


async def echo(envelope: MessageEnvelope) -> Value:
    """Send back what came, unless it shall never be answered."""
    assert isinstance(envelope.payload, RequestPayload)
    if envelope.payload.arguments == "never":
        await asyncio.Event().wait()
    return envelope.payload.arguments


async def wanted(bus: Bus, topic: str) -> None:
    """Wait until somebody has subscribed to `topic`."""
    changed = asyncio.Event()
    stop = bus.when_interest_changes(changed.set)
    while not bus.wants(topic):
        changed.clear()
        await changed.wait()
    stop()


async def deaf(_: Bus, endpoint: Endpoint) -> None:
    """Ask for events, and never read them."""
    await endpoint.mailbox("load.>", capacity=100)


async def jam(_: Bus, endpoint: Endpoint) -> None:
    """The same, but nobody may publish more until they are read."""
    await endpoint.mailbox("load.>", capacity=100, policy=Policy.BLOCK)


async def pour(_: Bus, endpoint: Endpoint) -> None:
    """Publish numbers for ever, as fast as they are taken."""
    number = 0
    while True:
        await endpoint.publish(f"load.{endpoint.name}", number)
        number += 1
        await asyncio.sleep(0)


async def pace(bus: Bus, endpoint: Endpoint, rate: str, seconds: str) -> None:
    """Once told to, publish so many numbers a second for so long; then say how many."""
    topic, sent = f"soak.{endpoint.name}", 0
    await wanted(bus, topic)
    await asyncio.to_thread(sys.stdin.readline)
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < float(seconds):
        due = int(passed_s * float(rate))
        if sent == due:
            await asyncio.sleep(0.001)
        while sent < due:
            await endpoint.publish(topic, sent)
            sent += 1
    wall_s = time.monotonic() - began_s
    await endpoint.publish(topic, {END: sent})
    print(json.dumps({"count": sent, "wall_s": wall_s}), flush=True)


async def check(_: Bus, endpoint: Endpoint, *senders: str) -> None:
    """Look at the numbers of each sender until all have said their last; tell what came."""
    counts, told = dict.fromkeys(senders, 0), dict[str, Value]()
    faults: list[str] = []
    over = asyncio.Event()

    def one(envelope: MessageEnvelope) -> None:
        assert isinstance(envelope.payload, EventPayload)
        sender, data = envelope.header.sender, envelope.payload.data
        if isinstance(data, dict):
            told[sender] = data[END]
            if len(told) == len(senders):
                over.set()
        elif data == counts[sender]:
            counts[sender] += 1
        else:
            faults.append(f"{data!r} of {sender} instead of {counts[sender]}")
            over.set()

    await endpoint.subscribe("soak.*", one, policy=Policy.BLOCK)
    await over.wait()
    found = {"counts": counts, "told": told, "fault": faults[0] if faults else None}
    print(json.dumps(found), flush=True)


VERBS: dict[str, Callable[..., Awaitable[None]]] = {
    "deaf": deaf,
    "jam": jam,
    "pour": pour,
    "pace": pace,
    "check": check,
}


async def main(verb: str, address: str, name: str, *more: str) -> None:
    """Be on the bus as `name`, and do what `verb` says, until killed."""
    bus = Bus()
    joined = await join(bus, address)
    endpoint = await bus.endpoint(name, echo)
    print("hub" if joined.is_hub else "member", flush=True)
    if verb in VERBS:
        await VERBS[verb](bus, endpoint, *more)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:  # the loop that commands have
        runner.run(main(*sys.argv[1:]))
