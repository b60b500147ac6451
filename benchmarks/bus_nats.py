"""What does the bus over a NATS server cost, beside the client library alone?

Question: microseconds for one event from one process's bus to another's, for a request and its
answer one after the other and 64 at once, and for an event that JetStream has acknowledged, with
512 under way; each beside nats-py with our codec alone, in turns within one run, on one
server; and CPU microseconds of this process for an event. Both sides are in this process, so that
its CPU is that of both; the server has its own. Size: 20,000 events, 1,000 and 6,400 requests,
10,240 stored events; medians of five. Budget: 2 times nats-py for an event and a request, 59 µs
for an acknowledged event (17,000 a second).

Run: python benchmarks/bus_nats.py; prints one JSON line.
"""

import asyncio
import contextlib
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from measuring import Figure, line
from nats.aio.client import Client
from nats.aio.msg import Msg

from symphony.bus import Bus, Endpoint, Policy
from symphony.bus.adapters.nats import join_nats
from symphony.bus.adapters.nats_bridge import Bridge
from symphony.bus.adapters.nats_connection import NatsConfig, in_force
from symphony.ipc import CODECS, EndpointId, EventPayload, MessageEnvelope, Stationery
from symphony.ports.values import Value

TIMES = 5
EVENTS, REQUESTS, MANY, STORED = 20_000, 1_000, 6_400, 10_240
AT_ONCE, WINDOW = 64, 512
CODEC = CODECS["msgpack"]
DATA: Value = {"node": "parse", "status": "succeeded", "seconds": 1.5, "attempt": 1, "outputs": ["a", "b"]}
"""What runs send."""


@contextlib.asynccontextmanager
async def server(folder: str) -> AsyncIterator[str]:
    """A server of our own; its address."""
    config = Path(folder) / "nats.conf"
    config.write_text(f'listen: "127.0.0.1:-1"\njetstream {{ store_dir: "{folder}/store" }}\n')
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("nats-server")), "-c", str(config), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    port = ""
    async for said in process.stderr:
        if found := re.search(r"client connections on .*:(\d+)", said.decode()):
            port = found[1]
        if b"Server is ready" in said:
            break
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.communicate()


class Ours:
    """Two buses on the server."""

    def __init__(self, telling: Endpoint, hearing: Endpoint) -> None:
        self._telling, self._hearing = telling, hearing

    async def events(self) -> None:
        """All of them, from the first publishing to the last arrival."""
        heard = asyncio.Event()
        left = EVENTS

        def hear(_: MessageEnvelope) -> None:
            nonlocal left
            left -= 1
            if not left:
                heard.set()

        found = await self._hearing.subscribe("run.1.*", hear, policy=Policy.BLOCK)
        for _ in range(EVENTS):
            await self._telling.publish("run.1.node", DATA)
        await heard.wait()
        self._hearing.unsubscribe(found)

    async def requests(self, count: int, at_once: int) -> None:
        """So many."""

        async def ask(number: int) -> None:
            for _ in range(number):
                await self._telling.request("hearing", "echo", DATA)

        await asyncio.gather(*(ask(count // at_once) for _ in range(at_once)))

    async def stored(self) -> None:
        """All acknowledged."""

        async def tell(number: int) -> None:
            for _ in range(number):
                await self._telling.publish("durable.1.node", DATA)

        await asyncio.gather(*(tell(STORED // WINDOW) for _ in range(WINDOW)))


class Bare:
    """Two clients of the library, with the same envelopes."""

    def __init__(self, telling: Client, hearing: Client) -> None:
        self._telling, self._hearing = telling, hearing
        self._stream = telling.jetstream(publish_async_max_pending=WINDOW)
        self._envelope = Stationery(EndpointId("telling")).envelope

    def _body(self) -> bytes:
        return CODEC.encode(self._envelope("event", EventPayload("run.1.node", DATA)))

    async def events(self) -> None:
        """As ours."""
        heard = asyncio.Event()
        left = EVENTS

        async def hear(message: Msg) -> None:
            nonlocal left
            CODEC.decode(message.data)
            left -= 1
            if not left:
                heard.set()

        found = await self._hearing.subscribe("bare.1.*", cb=hear)
        await in_force(self._hearing)
        for number in range(EVENTS):
            await self._telling.publish("bare.1.node", self._body())
            if number % 100 == 0:
                await asyncio.sleep(0)  # else all is written at the end
        await heard.wait()
        await found.unsubscribe()

    async def requests(self, count: int, at_once: int) -> None:
        """As ours."""

        async def ask(number: int) -> None:
            for _ in range(number):
                answer = await self._telling.request("bare.echo", self._body(), timeout=30)
                CODEC.decode(answer.data)

        await asyncio.gather(*(ask(count // at_once) for _ in range(at_once)))

    async def stored(self) -> None:
        """As ours, by the library's own asynchronous publishing."""
        for _ in range(STORED):
            await self._stream.publish_async("stored.1.node", self._body(), wait_stall=30)
        await self._stream.publish_async_completed()


async def echo(message: Msg) -> None:
    """Answers."""
    await message.respond(CODEC.encode(CODEC.decode(message.data)))


async def took(work: Callable[[], Awaitable[None]], count: int) -> tuple[float, float]:
    """µs and CPU µs for one."""
    began, cpu = perf_counter(), process_time()
    await work()
    return (perf_counter() - began) / count * 1e6, (process_time() - cpu) / count * 1e6


async def measured(url: str) -> dict[str, tuple[float, float]]:
    """The median of each."""
    config = NatsConfig(servers=(url,), durable=("durable.>",))
    one, two, bare_one, bare_two, left, right = Bus(), Bus(), Client(), Client(), Bus(), Bus()
    uplinks = [await join_nats(bus, config) for bus in (one, two)]
    bridges = [Bridge(bus.exchange, NatsConfig(servers=(url,), prefix="bridged")) for bus in (left, right)]
    for client in (bare_one, bare_two):
        await client.connect(url)
    await bare_two.subscribe("bare.echo", cb=echo)
    await bare_one.jetstream().add_stream(name="bare", subjects=["stored.>"])
    for bus, bridge in zip((left, right), bridges, strict=True):
        bus.exchange.beyond = bridge
        await bridge.tried()
    ours = Ours(await one.endpoint("telling"), await two.endpoint("hearing", lambda _: DATA))
    bridged = Ours(await left.endpoint("telling"), await right.endpoint("hearing", lambda _: DATA))
    bare = Bare(bare_one, bare_two)
    questions: dict[str, tuple[Callable[[], Awaitable[None]], int]] = {}
    for name, side in (("ours", ours), ("bridged", bridged), ("bare", bare)):
        questions[f"request {name}"] = (partial(side.requests, REQUESTS, 1), REQUESTS)
        questions[f"requests {name}"] = (partial(side.requests, MANY, AT_ONCE), MANY)
        if side is not bridged:
            questions[f"event {name}"] = (side.events, EVENTS)
            questions[f"stored {name}"] = (side.stored, STORED)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in questions}
    for _ in range(TIMES):
        for name, (work, count) in questions.items():
            found[name].append(await took(work, count))
    for uplink in uplinks:
        await uplink.close()
    for bridge in bridges:
        await bridge.close()
    for client in (bare_one, bare_two):
        await client.close()
    return {
        name: (statistics.median(wall for wall, _ in values), statistics.median(cpu for _, cpu in values))
        for name, values in found.items()
    }


async def main() -> dict[str, tuple[float, float]]:
    """With a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with server(folder) as url:
            return await measured(url)


def figures(found: dict[str, tuple[float, float]]) -> list[Figure]:
    """Ours beside theirs."""
    rows = []
    for what, key in (
        ("one event from bus to bus", "event"),
        ("one request and its answer", "request"),
        (f"the same, {AT_ONCE} at once", "requests"),
        (f"one acknowledged by JetStream, {WINDOW} under way", "stored"),
    ):
        ours, bare = found[f"{key} ours"], found[f"{key} bare"]
        budget = 1e6 / 17_000 if key == "stored" else 2 * bare[0]
        rows.append(Figure(what, ours[0], "us", budget, None, bare[0]))
        rows.append(Figure(f"{what}: CPU of both sides", ours[1], "us", None, None, bare[1]))
        if f"{key} bridged" in found:
            rows.append(
                Figure(f"{what}, between homes", found[f"{key} bridged"][0], "us", None, None, bare[0])
            )
    return rows


if __name__ == "__main__":
    print(
        line(
            "bus_nats",
            f"{EVENTS:,} events, {REQUESTS:,} requests, {STORED:,} stored",
            figures(asyncio.run(main())),
        )
    )
