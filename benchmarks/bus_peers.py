"""What does a message from one bus to another process's cost, beside what others take; and an idle bus?

Question: microseconds for an event published on a bus and delivered to a callback on the bus of
another process, over a Unix socket: to the hub, from it, and from a member through the hub to
another member; for a request with a deadline, one after the other and 64 at once; CPU microseconds
for each, of all processes that take part. Beside them pyzmq (ipc, sync) and
multiprocessing.connection, which carry the same envelopes in the same codec and do nothing else
with them: no topics, no credit, no deadlines, no heartbeats. And the share of a core that a bus with
20 endpoints takes when nothing is said: alone, as hub of one member, and as member, with heartbeats.
Size: 5 rounds, in turns, of 10,000 events and 1,920 requests; 5 s of silence.
Budget: 20 µs an event (50,000 a second); 0.5 % of a core when idle.

Run: python benchmarks/bus_peers.py; prints one JSON line.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from multiprocessing.connection import Client
from multiprocessing.connection import Listener as PipeListener
from statistics import median
from time import perf_counter, process_time

import uvloop
import zmq
from measuring import Figure, line

from symphony.bus import Bus, Endpoint, Policy, join
from symphony.ipc import (
    CODECS,
    EndpointId,
    EventPayload,
    MessageEnvelope,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ports.values import Value

ROUNDS, EVENTS, REQUESTS, AT_ONCE = 5, 10_000, 1_920, 64
IDLE_S, IDLE_ENDPOINTS = 5.0, 20
CAPACITY, DEADLINE_S = 4096, 60.0
DATA: Value = {"node": "parse", "status": "succeeded", "seconds": 1.5, "attempt": 1, "outputs": ["a", "b"]}
CODEC = CODECS["msgpack"]

Send = Callable[[bytes], object]
Receive = Callable[[], bytes]


def address(folder: str) -> str:
    """Where the processes meet."""
    return f"unix://{folder}/b/bus.sock"


# --- one end of a bus: the same in every process


class End:
    """Counts the events under `to.NAME`, and does what it is asked to."""

    def __init__(self, name: str) -> None:
        self.name, self.bus = name, Bus()
        self._counted, self._awaited = 0, 0
        self._waiting: asyncio.Future[None] | None = None

    async def open(self) -> Endpoint:
        """Be on the bus."""
        self.endpoint = await self.bus.endpoint(self.name, self._asked)
        await self.endpoint.subscribe(
            f"to.{self.name}.>", self._count, capacity=CAPACITY, policy=Policy.BLOCK
        )
        return self.endpoint

    async def publish(self, name: str, number: int) -> None:
        """Tell the end with that name so many events."""
        topic, endpoint = f"to.{name}.node", self.endpoint
        for _ in range(number):
            if not endpoint.try_publish(topic, DATA):
                await endpoint.publish(topic, DATA)

    async def counted(self, number: int) -> Value:
        """Wait for that many events, then reset the count."""
        self._awaited = number
        if self._counted < number:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        self._counted, self._waiting = 0, None
        return None

    def _count(self, _: MessageEnvelope) -> None:
        self._counted += 1
        if self._counted == self._awaited and self._waiting is not None:
            self._waiting.set_result(None)

    def _asked(self, envelope: MessageEnvelope) -> Value | Coroutine[object, None, Value]:
        request = envelope.payload
        assert isinstance(request, RequestPayload)
        match request.method:
            case "cpu":
                return process_time()
            case "publish":
                return self.publish(str(request.arguments), EVENTS)
            case "counted":
                return self.counted(EVENTS)
        return request.arguments


async def serve_bus(folder: str, name: str) -> None:
    """A process on the bus, as its hub if it is the first, until its input ends."""
    end = End(name)
    joined = await join(end.bus, address(folder))
    await end.open()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await joined.close()
    await end.bus.close()


async def serve_idle(folder: str, name: str) -> None:
    """A bus on which nothing is said; the share of a core that it takes is printed."""
    bus = Bus()
    joined = None if name == "alone" else await join(bus, address(folder))
    for number in range(IDLE_ENDPOINTS):
        one = await bus.endpoint(f"{name}.{number}", lambda _: None)
        await one.subscribe(f"to.{name}.{number}.>", lambda _: None)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    spent_s = process_time()
    await asyncio.sleep(IDLE_S)
    print((process_time() - spent_s) / IDLE_S, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    if joined is not None:
        await joined.close()
    await bus.close()


def serve_peer(send: Send, receive: Receive) -> None:
    """Take envelopes, answer requests, until an empty body comes."""
    stationery = Stationery(EndpointId("far"))
    while body := receive():
        envelope = CODEC.decode(body)
        payload = envelope.payload
        if isinstance(payload, RequestPayload):
            found = process_time() if payload.method == "cpu" else payload.arguments
            send(CODEC.encode(stationery.answer(envelope, ResponsePayload(found))))


def serve(kind: str, folder: str, name: str) -> None:
    """The main of the other processes."""
    if kind == "bus":
        uvloop.run(serve_bus(folder, name))
    elif kind == "idle":
        uvloop.run(serve_idle(folder, name))
    elif kind == "pyzmq":
        with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
            socket.bind(f"ipc://{folder}/z")
            print("ready", flush=True)
            serve_peer(socket.send, socket.recv)
    else:
        with PipeListener(f"{folder}/m", "AF_UNIX") as listener:
            print("ready", flush=True)
            with listener.accept() as pipe:
                serve_peer(pipe.send_bytes, pipe.recv_bytes)


class Other:
    """Another process, ready when this is made."""

    def __init__(self, kind: str, folder: str, name: str = "far") -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, "serve", kind, folder, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.line()

    def line(self) -> str:
        """What it says next."""
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def go(self) -> None:
        """Let it begin."""
        assert self._child.stdin is not None
        self._child.stdin.write("go\n")
        self._child.stdin.flush()

    def end(self) -> None:
        """Close its input and wait for it."""
        self._child.communicate(timeout=10)


# --- the measuring process


@dataclass
class Cost:
    """Microseconds for one message: of the wall, and of the processors of all processes."""

    wall_us: float
    cpu_us: float


class OnBus:
    """What is measured on the bus: `far` is the hub, `third` and this process are members."""

    def __init__(self, near: End) -> None:
        self._near, self._ask = near, near.endpoint.request

    async def events_to(self, name: str) -> None:
        """Events from here to `name`."""
        await self._near.publish(name, EVENTS)
        await self._ask(name, "counted", timeout_s=DEADLINE_S)

    async def events_from_hub(self) -> None:
        """Events from the hub to here."""
        counted = asyncio.ensure_future(self._near.counted(EVENTS))
        await self._ask("far", "publish", "near", timeout_s=DEADLINE_S)
        await counted

    async def requests(self, at_once: int) -> None:
        """Requests to the hub."""

        async def some(number: int) -> None:
            for _ in range(number):
                await self._ask("far", "echo", DATA, timeout_s=DEADLINE_S)

        await asyncio.gather(*(some(REQUESTS // at_once) for _ in range(at_once)))

    async def spent_s(self) -> float:
        """CPU seconds of all three processes so far."""
        told = [await self._ask(name, "cpu", timeout_s=DEADLINE_S) for name in ("far", "third")]
        return process_time() + sum(one for one in told if isinstance(one, float))


class OnPeer:
    """The same envelopes over something that blocks."""

    def __init__(self, send: Send, receive: Receive) -> None:
        self._send, self._receive = send, receive
        self._envelope = Stationery(EndpointId("near")).envelope

    def _put(self, method: str) -> None:
        request = RequestPayload(method, DATA, DEADLINE_S)
        self._send(CODEC.encode(self._envelope(method, request, recipient="far")))

    def _answer(self) -> Value:
        answer = CODEC.decode(self._receive()).payload
        assert isinstance(answer, ResponsePayload)
        return answer.result

    def events(self) -> None:
        """Events one way; the answer to a request tells that all have come."""
        for _ in range(EVENTS):
            self._send(CODEC.encode(self._envelope("event", EventPayload("to.far.node", DATA))))
        self._put("echo")
        self._answer()

    def requests(self, at_once: int) -> None:
        """So many under way at any time."""
        for number in range(REQUESTS + at_once):
            if number < REQUESTS:
                self._put("echo")
            if number >= at_once - 1 and number < REQUESTS + at_once - 1:
                self._answer()

    async def spent_s(self) -> float:
        """CPU seconds of both processes so far."""
        self._put("cpu")
        told = self._answer()
        assert isinstance(told, float)
        return process_time() + told


async def cost(work: Awaitable[None], number: int, spent_s: Callable[[], Awaitable[float]]) -> Cost:
    """What one of `number` messages took."""
    cpu_s, began = await spent_s(), perf_counter()
    await work
    took_s = perf_counter() - began
    return Cost(took_s / number * 1e6, (await spent_s() - cpu_s) / number * 1e6)


async def rounds(bus: OnBus, peers: dict[str, OnPeer]) -> dict[str, list[Cost]]:
    """Everything in turns."""
    found: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(ROUNDS):
        for what, work, number in (
            ("to the hub", lambda: bus.events_to("far"), EVENTS),
            ("from the hub", bus.events_from_hub, EVENTS),
            ("through the hub", lambda: bus.events_to("third"), EVENTS),
            ("request", lambda: bus.requests(1), REQUESTS),
            ("requests", lambda: bus.requests(AT_ONCE), REQUESTS),
        ):
            found[what].append(await cost(work(), number, bus.spent_s))
        for name, peer in peers.items():
            # In a thread of its own: the bus of this process would be taken for dead.
            took = await cost(asyncio.to_thread(peer.events), EVENTS, peer.spent_s)
            found[f"{name} events"].append(took)
            for what, at_once in (("request", 1), ("requests", AT_ONCE)):
                took = await cost(asyncio.to_thread(peer.requests, at_once), REQUESTS, peer.spent_s)
                found[f"{name} {what}"].append(took)
    return found


async def measured(folder: str) -> dict[str, Cost]:
    """The medians of every kind."""
    with contextlib.ExitStack() as stack:
        peers: dict[str, OnPeer] = {}
        for kind in ("pyzmq", "multiprocessing"):
            stack.callback(Other(kind, folder).end)
            if kind == "pyzmq":
                socket = stack.enter_context(stack.enter_context(zmq.Context()).socket(zmq.PAIR))
                socket.connect(f"ipc://{folder}/z")
                send: Send = socket.send
                peers[kind] = OnPeer(send, socket.recv)
            else:
                pipe = stack.enter_context(Client(f"{folder}/m", "AF_UNIX"))
                send = pipe.send_bytes
                peers[kind] = OnPeer(send, pipe.recv_bytes)
            stack.callback(send, b"")
        for name in ("far", "third"):
            stack.callback(Other("bus", folder, name).end)
        near = End("near")
        joined = await join(near.bus, address(folder))
        await near.open()
        found = await rounds(OnBus(near), peers)
        await joined.close()
        await near.bus.close()
    return {
        what: Cost(median(one.wall_us for one in costs), median(one.cpu_us for one in costs))
        for what, costs in found.items()
    }


def idle(folder: str) -> dict[str, float]:
    """Percent of a core for a bus on which nothing is said, by what it is."""
    with contextlib.ExitStack() as stack:
        others = {name: Other("idle", folder, name) for name in ("alone", "hub", "member")}
        for one in reversed(others.values()):
            stack.callback(one.end)
        for one in others.values():
            one.go()
        return {name: float(one.line()) * 100 for name, one in others.items()}


def figures(found: dict[str, Cost], silent: dict[str, float]) -> list[Figure]:
    """Everything, each beside its peers."""
    made = []
    for way, budget in (("to the hub", 20.0), ("from the hub", 20.0), ("through the hub", None)):
        for peer in ("pyzmq", "multiprocessing"):
            ours, theirs = found[way], found[f"{peer} events"]
            what = f"event, {way}, beside {peer}"
            made.append(Figure(what, ours.wall_us, "us", budget, 100.0, theirs.wall_us))
            made.append(Figure(f"{what}: CPU", ours.cpu_us, "us", peer=theirs.cpu_us))
    for what, label in (("request", "request and answer"), ("requests", f"the same, {AT_ONCE} at once")):
        for peer in ("pyzmq", "multiprocessing"):
            ours, theirs = found[what], found[f"{peer} {what}"]
            made.append(Figure(f"{label}, beside {peer}", ours.wall_us, "us", peer=theirs.wall_us))
            made.append(Figure(f"{label}, beside {peer}: CPU", ours.cpu_us, "us", peer=theirs.cpu_us))
    made += [Figure(f"idle, {name}", share, "% of a core", 0.5) for name, share in silent.items()]
    return made


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        silent = idle(f"{folder}/idle")
        found = uvloop.run(measured(folder))
    size = f"{ROUNDS} rounds of {EVENTS:,} events and {REQUESTS:,} requests; {IDLE_S:g} s of silence"
    print(line("bus_peers", size, figures(found, silent)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:5])
    else:
        main()
