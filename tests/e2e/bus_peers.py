"""Processes for the tests of the bus: one joins, talks, is stopped, and killed."""

import asyncio
import sys

from symphony.bus import Bus, join
from symphony.ipc import MessageEnvelope, RequestPayload
from symphony.ports.values import Value


async def echo(envelope: MessageEnvelope) -> Value:
    """Send back what came, unless it shall never be answered."""
    assert isinstance(envelope.payload, RequestPayload)
    if envelope.payload.arguments == "never":
        await asyncio.Event().wait()
    return envelope.payload.arguments


async def main(verb: str, address: str, name: str) -> None:
    """Be on the bus as `name` until killed."""
    bus = Bus()
    joined = await join(bus, address)
    endpoint = await bus.endpoint(name, echo)
    if verb == "deaf":
        await endpoint.mailbox("load.>", capacity=100)
    print("hub" if joined.is_hub else "member", flush=True)
    number = 0
    while verb == "pour":
        await endpoint.publish(f"load.{name}", number)
        number += 1
        await asyncio.sleep(0)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
