"""What does a message between two processes cost, beside what others take?

Question: microseconds for a round trip of 256 bytes (median of all), and for one envelope one way
with encoding and decoding, over each transport; the same over pyzmq (ipc, sync) and
multiprocessing.connection, in turns within one run, since only ratios mean anything on a shared
machine; CPU microseconds of both processes for one envelope; and the codecs alone. Floors stand
beside as peers: bare exchanges between two processes, msgspec alone, the bare texts of Bincode.
Size: 5 rounds of 400 round trips and 20,000 envelopes. Budget: Unix round trip 0.8 times pyzmq's,
one way 1.25 times pyzmq's time, shared memory 0.9 times Unix, one way while polling 5 µs, stdio
1 ms, each codec 5 µs.

Run: python benchmarks/ipc.py; prints one JSON line.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Client
from multiprocessing.connection import Listener as PipeListener
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import ipc_floors
import msgspec
import uvloop
import zmq
from measuring import Figure, line

from symphony.commons.errors import SymphonyError
from symphony.commons.secrets import Secret
from symphony.ipc import CODECS, EndpointId, EventPayload, MessageEnvelope, Stationery
from symphony.ipc.transports import Connection, TransportConfig, connect, listen, spawn

ROUNDS, TRIPS, ENVELOPES = 5, 400, 20_000
BODY = bytes(256)
OURS = ("unix", "shm", "tcp", "stdio", "shm polling")
END, ECHO = b"end", b"echo"
DATA = {"node": "parse", "status": "succeeded", "seconds": 1.5, "attempt": 1, "outputs": ["a", "b"]}
TEXTS = ("parse", "succeeded", "a", "b")
"""The texts among the values of `DATA`."""

Send = Callable[[bytes], object]
Receive = Callable[[], bytes]
Round = tuple[list[float], float, float]
"""Seconds of each round trip, of the stream, and of both processors for the stream."""


def envelope() -> MessageEnvelope:
    """A message such as runs send."""
    payload = EventPayload("run.1.node", DATA, 17)
    return Stationery(EndpointId("tracker")).envelope("run.event", payload, recipient="bus")


def address(kind: str, folder: str) -> str:
    """Where the two processes meet."""
    places = {"unix": f"unix://{folder}/s/a.sock", "tcp": "tcp://127.0.0.1:0", "stdio": "stdio:"}
    return places.get(kind, "shm://bench")


def config(kind: str, folder: str) -> TransportConfig:
    """Settings for one of ours."""
    return TransportConfig(
        runtime_dir=Path(folder) / "r", poll=kind == "shm polling", token=Secret("as both sides know")
    )


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

    if kind == "stdio":
        accept(await connect("stdio:", config(kind, folder)))
        await done.wait()
        return
    listener = await listen(address(kind, folder), accept, config(kind, folder))
    print(listener.address, flush=True)
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

    def __init__(self) -> None:
        self.trips_us: list[float] = []
        self.wall_us: list[float] = []
        self.cpu_us: list[float] = []

    def note(self, trips: list[float], wall_s: float, cpu_s: float) -> None:
        """Keep what a round found."""
        self.trips_us.append(median(trips) * 1e6)
        self.wall_us.append(wall_s / ENVELOPES * 1e6)
        self.cpu_us.append(cpu_s / ENVELOPES * 1e6)


def command(kind: str, folder: str) -> list[str]:
    """How the other process is started."""
    return [sys.executable, __file__, "serve", kind, folder]


@contextlib.contextmanager
def other(kind: str, folder: str) -> Iterator[str]:
    """The other process, which says where it can be reached; waited for at the end."""
    child = subprocess.Popen(command(kind, folder), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        yield child.stdout.readline().strip()
    child.wait(10)


@contextlib.asynccontextmanager
async def open_ours(kind: str, folder: str) -> AsyncIterator[Connection]:
    """A connection of ours to the other process."""
    if kind == "stdio":
        connection, process = await spawn(command(kind, folder), config(kind, folder))
        yield connection
        await connection.close()
        await process.wait()
        return
    with other(kind, folder) as place:
        connection = await connect(place, config(kind, folder))
        yield connection
        await connection.close()


@contextlib.contextmanager
def open_sync(kind: str, folder: str) -> Iterator[tuple[Send, Receive]]:
    """The same over something that blocks."""
    with other(kind, folder):
        if kind == "pyzmq":
            with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
                socket.connect(f"ipc://{folder}/z")
                yield socket.send, socket.recv
                socket.send(b"bye")
        else:
            with Client(f"{folder}/m", "AF_UNIX") as pipe:
                yield pipe.send_bytes, pipe.recv_bytes


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
    found = {kind: Measured() for kind in kinds}
    async with contextlib.AsyncExitStack() as stack:
        sync: dict[str, tuple[Send, Receive]] = {}
        ours: dict[str, Connection] = {}
        for kind in kinds:
            folder = Path(root) / kind.replace(" ", "-")
            folder.mkdir()
            if kind in OURS:
                ours[kind] = await stack.enter_async_context(open_ours(kind, str(folder)))
            else:
                sync[kind] = stack.enter_context(open_sync(kind, str(folder)))
        for _ in range(rounds):
            for kind in kinds:
                found[kind].note(*(await round_ours(ours[kind]) if kind in ours else round_sync(*sync[kind])))
    return found


def bare(message: MessageEnvelope, codec: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """The least that the codec could do, out and in: msgspec alone, or the bare texts of Bincode."""
    if codec == "bincode":
        header, payload = message.header, message.payload
        assert isinstance(payload, EventPayload)
        texts = [header.message_type, header.sender, header.recipient, payload.topic, *DATA, *TEXTS]
        written = ipc_floors.write_texts(texts)
        return partial(ipc_floors.write_texts, texts), partial(ipc_floors.read_texts, written)
    if codec == "json":
        encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(MessageEnvelope).decode
    else:
        encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(MessageEnvelope).decode
    return partial(encode, message), partial(decode, encode(message))


def cpu_us(call: Callable[[], object], repeats: int) -> float:
    """CPU microseconds of one call; the median of seven times `repeats` calls."""
    times = []
    for _ in range(7):
        began = process_time()
        for _ in range(repeats):
            call()
        times.append((process_time() - began) / repeats * 1e6)
    return median(times)


def codec_figures(repeats: int) -> list[Figure]:
    """Each codec alone, both ways."""
    made = []
    message = envelope()
    for name, codec in CODECS.items():
        body = codec.encode(message)
        calls = (partial(codec.encode, message), partial(codec.decode, body))
        for what, call, floor in zip(("out", "in"), calls, bare(message, name), strict=True):
            took, least = cpu_us(call, repeats), cpu_us(floor, repeats)
            made.append(Figure(f"envelope {what}, {name}, beside its floor", took, "µs", 5.0, 10.0, least))
    return made


def figures(root: str, rounds: int = ROUNDS, repeats: int = 5_000) -> list[Figure]:
    """Everything. Those who poll take a core each, so they are measured without the others."""
    bare_socket = ipc_floors.socket_pair_us(TRIPS)
    kinds = ("pyzmq", "unix", "shm", "tcp", "stdio", "multiprocessing")
    found = uvloop.run(measure(root, kinds, rounds))
    bare_spin = ipc_floors.spinning_us(TRIPS)
    found |= uvloop.run(measure(root, ("shm polling",), rounds))
    trip = {kind: median(one.trips_us) for kind, one in found.items()}
    wall = {kind: median(one.wall_us) for kind, one in found.items()}
    cpu = {kind: median(one.cpu_us) for kind, one in found.items()}
    made = [
        Figure(
            "round trip, Unix, beside pyzmq", trip["unix"], "µs", 0.8 * trip["pyzmq"], 200.0, trip["pyzmq"]
        ),
        Figure("the same, beside multiprocessing", trip["unix"], "µs", peer=trip["multiprocessing"]),
        Figure("the same, beside a bare pair of sockets", trip["unix"], "µs", peer=bare_socket),
        Figure("round trip, shm, beside Unix", trip["shm"], "µs", 0.9 * trip["unix"], 20.0, trip["unix"]),
        Figure(
            "half a round trip, shm, polling, beside bare looking",
            trip["shm polling"] / 2, "µs", 5.0, 10.0, bare_spin / 2,
        ),
        Figure("half a round trip, stdio, beside Unix", trip["stdio"] / 2, "µs", 1e3, 1e3, trip["unix"] / 2),
        Figure("round trip, TCP, beside Unix", trip["tcp"], "µs", peer=trip["unix"]),
    ]  # fmt: skip
    for kind, peer in (("unix", "pyzmq"), ("unix", "multiprocessing")):
        budget = 1.25 * wall[peer] if peer == "pyzmq" else None
        what = f"envelope one way, {kind}, beside {peer}"
        made.append(Figure(what, wall[kind], "µs", budget, peer=wall[peer]))
    made += [
        Figure(f"envelope one way, {kind}, beside Unix", wall[kind], "µs", peer=wall["unix"])
        for kind in ("shm", "tcp", "stdio", "shm polling")
    ]
    made += [
        Figure(f"CPU for it, both processes, {kind}, beside pyzmq", cpu[kind], "µs", peer=cpu["pyzmq"])
        for kind in (*OURS, "multiprocessing")
    ]
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
