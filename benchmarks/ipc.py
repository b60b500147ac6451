"""What does a message between two processes cost, beside what others take?

Question: microseconds for a round trip of 256 bytes (median of all), and for one envelope one way
with encoding and decoding, over each transport; the same over pyzmq (ipc, sync) and
multiprocessing.connection, in turns within one run, since only ratios mean anything on a shared
machine; CPU microseconds of both processes for one envelope; and the codecs alone. Size: 5 rounds
of 400 round trips and 20,000 envelopes. Budget: Unix round trip 0.8 times pyzmq's, one way 1.25
times pyzmq's time, shared memory 0.9 times Unix, one way while polling 5 µs, each codec 5 µs.

Run: python benchmarks/ipc.py; prints one JSON line.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Client
from multiprocessing.connection import Listener as PipeListener
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import uvloop
import zmq
from measuring import Figure, line

from symphony.commons.errors import SymphonyError
from symphony.ipc import CODECS, EndpointId, EventPayload, MessageEnvelope, Stationery
from symphony.ipc.transports import Connection, TransportConfig, connect, listen

ROUNDS, TRIPS, ENVELOPES = 5, 400, 20_000
BODY = bytes(256)
OURS = ("unix", "shm", "shm polling")
OTHERS = ("pyzmq", "multiprocessing")
END, ECHO = b"end", b"echo"

Send = Callable[[bytes], object]
Receive = Callable[[], bytes]
Round = tuple[list[float], float, float]
"""Seconds of each round trip, of the stream, and of both processors for the stream."""


def envelope() -> MessageEnvelope:
    """A message such as runs send."""
    data = {"node": "parse", "status": "succeeded", "seconds": 1.5, "attempt": 1, "outputs": ["a", "b"]}
    payload = EventPayload("run.1.node", data, 17)
    return Stationery(EndpointId("tracker")).envelope("run.event", payload, recipient="bus")


def address(kind: str, folder: str) -> str:
    """Where the two processes meet."""
    return f"unix://{folder}/s/a.sock" if kind == "unix" else "shm://bench"


def config(kind: str, folder: str) -> TransportConfig:
    """Settings for one of ours."""
    return TransportConfig(runtime_dir=Path(folder) / "r", poll=kind == "shm polling")


# --- the serving process: short bodies are echoed, envelopes decoded, and at the end its CPU time told


class Server:
    """Answers what comes, whatever brings it."""

    def __init__(self) -> None:
        self._decode = CODECS["msgpack"].decode
        self._cpu_s = process_time()

    def answer(self, body: bytes) -> bytes | None:
        """What to send back for `body`."""
        if body == END:
            spent_s = process_time() - self._cpu_s
            return str(spent_s).encode()
        if body == ECHO:
            self._cpu_s = process_time()
            return body
        if len(body) == len(BODY):
            return body
        self._decode(body)
        return None


class Ours:
    """The server as a receiver."""

    def __init__(self, connection: Connection, done: asyncio.Event) -> None:
        self._connection, self._done, self._server = connection, done, Server()

    def received(self, body: bytes) -> None:
        """Answer at once."""
        if (answer := self._server.answer(body)) is not None:
            self._connection.try_send(answer)

    def ended(self, error: SymphonyError | None) -> None:
        """The client has gone."""
        self._done.set()


async def serve_ours(kind: str, folder: str) -> None:
    """Serve one client."""
    done = asyncio.Event()

    def accept(connection: Connection) -> None:
        connection.deliver_to(Ours(connection, done))

    listener = await listen(address(kind, folder), accept, config(kind, folder))
    print("ready", flush=True)
    await done.wait()
    await listener.close()


def serve(kind: str, folder: str) -> None:
    """The other process's main."""
    if kind in OURS:
        uvloop.run(serve_ours(kind, folder))
        return
    server = Server()
    if kind == "pyzmq":
        with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
            socket.bind(f"ipc://{folder}/z")
            print("ready", flush=True)
            while (body := socket.recv()) != b"bye":
                if (answer := server.answer(body)) is not None:
                    socket.send(answer)
        return
    with PipeListener(f"{folder}/m", "AF_UNIX") as listener:
        print("ready", flush=True)
        with listener.accept() as pipe, contextlib.suppress(EOFError):
            while True:
                if (answer := server.answer(pipe.recv_bytes())) is not None:
                    pipe.send_bytes(answer)


# --- the measuring process


class Measured:
    """Round trips and streams over one kind, kept open for all rounds."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.trips_us: list[float] = []
        self.wall_us: list[float] = []
        self.cpu_us: list[float] = []
        self._child = subprocess.Popen(
            [sys.executable, __file__, "serve", kind, folder], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self._child.stdout.readline()

    def note(self, trips: list[float], wall_s: float, cpu_s: float) -> None:
        """Keep what a round found."""
        self.trips_us.append(median(trips) * 1e6)
        self.wall_us.append(wall_s / ENVELOPES * 1e6)
        self.cpu_us.append(cpu_s / ENVELOPES * 1e6)

    def ended(self) -> None:
        """Wait for the other process."""
        assert self._child.stdout is not None
        self._child.stdout.close()
        self._child.wait(10)


async def round_ours(connection: Connection) -> Round:
    """One round over one of our connections."""
    trips = []
    for _ in range(TRIPS):
        began = perf_counter()
        await connection.send(BODY)
        await connection.receive()
        trips.append(perf_counter() - began)
    await connection.send(ECHO)
    await connection.receive()
    encode, message = CODECS["msgpack"].encode, envelope()
    began, cpu = perf_counter(), process_time()
    for _ in range(ENVELOPES):
        body = encode(message)
        if not connection.try_send(body):
            await connection.send(body)
    await connection.send(END)
    spent = float(await connection.receive())
    return trips, perf_counter() - began, process_time() - cpu + spent


def round_sync(send: Send, receive: Receive) -> Round:
    """The same over something that blocks."""
    trips = []
    for _ in range(TRIPS):
        began = perf_counter()
        send(BODY)
        receive()
        trips.append(perf_counter() - began)
    send(ECHO)
    receive()
    encode, message = CODECS["msgpack"].encode, envelope()
    began, cpu = perf_counter(), process_time()
    for _ in range(ENVELOPES):
        send(encode(message))
    send(END)
    spent = float(receive())
    return trips, perf_counter() - began, process_time() - cpu + spent


async def measure(root: str, kinds: Sequence[str], rounds: int) -> dict[str, Measured]:
    """All kinds, in turns."""
    found: dict[str, Measured] = {}
    with contextlib.ExitStack() as stack:
        sync: dict[str, tuple[Send, Receive]] = {}
        ours: dict[str, Connection] = {}
        for kind in kinds:
            folder = Path(root) / kind.replace(" ", "-")
            folder.mkdir()
            found[kind] = Measured(kind, str(folder))
            if kind == "pyzmq":
                socket = stack.enter_context(stack.enter_context(zmq.Context()).socket(zmq.PAIR))
                socket.connect(f"ipc://{folder}/z")
                sync[kind] = (socket.send, socket.recv)
            elif kind == "multiprocessing":
                pipe = stack.enter_context(Client(f"{folder}/m", "AF_UNIX"))
                sync[kind] = (pipe.send_bytes, pipe.recv_bytes)
            else:
                ours[kind] = await connect(address(kind, str(folder)), config(kind, str(folder)))
        for _ in range(rounds):
            for kind in kinds:
                found[kind].note(*(await round_ours(ours[kind]) if kind in ours else round_sync(*sync[kind])))
        for connection in ours.values():
            await connection.close()
        if "pyzmq" in sync:
            sync["pyzmq"][0](b"bye")
    for one in found.values():
        one.ended()
    return found


def codec_figures(repeats: int) -> list[Figure]:
    """Each codec alone, both ways."""
    figures = []
    message = envelope()
    for name, codec in CODECS.items():
        body = codec.encode(message)
        for what, call in (("out", partial(codec.encode, message)), ("in", partial(codec.decode, body))):
            times = []
            for _ in range(7):
                began = process_time()
                for _ in range(repeats):
                    call()
                times.append((process_time() - began) / repeats * 1e6)
            figures.append(Figure(f"envelope {what}, {name}", median(times), "µs", 5.0, design=10.0))
    return figures


def figures(root: str, rounds: int = ROUNDS, repeats: int = 5_000) -> list[Figure]:
    """Everything. Those who poll take a core each, so they are measured without the others."""
    found = uvloop.run(measure(root, ("pyzmq", "unix", "shm", "multiprocessing"), rounds))
    found |= uvloop.run(measure(root, ("shm polling",), rounds))
    trip = {kind: median(one.trips_us) for kind, one in found.items()}
    wall = {kind: median(one.wall_us) for kind, one in found.items()}
    cpu = {kind: median(one.cpu_us) for kind, one in found.items()}
    made = [
        Figure(
            "round trip, Unix, beside pyzmq", trip["unix"], "µs", 0.8 * trip["pyzmq"], 200.0, trip["pyzmq"]
        ),
        Figure("the same, beside multiprocessing", trip["unix"], "µs", peer=trip["multiprocessing"]),
        Figure("round trip, shm, beside Unix", trip["shm"], "µs", 0.9 * trip["unix"], 20.0, trip["unix"]),
        Figure("half a round trip, shm, polling", trip["shm polling"] / 2, "µs", 5.0, 10.0),
    ]
    for kind, peer in (("unix", "pyzmq"), ("unix", "multiprocessing"), ("shm", "unix")):
        budget = 1.25 * wall[peer] if peer == "pyzmq" else None
        what = f"envelope one way, {kind}, beside {peer}"
        made.append(Figure(what, wall[kind], "µs", budget, peer=wall[peer]))
        made.append(Figure(f"CPU for it, both processes, beside {peer}", cpu[kind], "µs", peer=cpu[peer]))
    return [*made, *codec_figures(repeats)]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as root:
        found = figures(root)
    size = f"{ROUNDS} rounds of {TRIPS} round trips of {len(BODY)} bytes and {ENVELOPES} envelopes"
    print(line("ipc", size, found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:4])
    else:
        main()
