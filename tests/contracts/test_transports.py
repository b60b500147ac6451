"""What every transport keeps: order, no loss, backpressure, ends that say why."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE_S, until

from symphony.commons.errors import ConfigInvalid, SerializationFailed, SymphonyError
from symphony.commons.secrets import Secret
from symphony.ipc import EndpointId, EventPayload, Stationery
from symphony.ipc.frames import FrameTooLarge
from symphony.ipc.handshake import HandshakeFailed, TokenRefused
from symphony.ipc.transports import (
    Channel,
    Connection,
    Listener,
    TransportConfig,
    connect,
    listen,
    pipe,
    stdio,
)
from symphony.ipc.transports.ends import Dial
from symphony.ipc.transports.errors import (
    AddressInUse,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    PeerRefused,
)

TOKEN = Secret("a token for tests")
Pair = tuple[Connection, Connection]
SCHEMES = ["memory", "unix", "shm", "shm-poll", "tcp", "stdio", "pipe"]


class PipesOverUnix:
    """What the event loop of Windows does with named pipes, done with Unix sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, address: str) -> Path:
        assert address.startswith("\\\\.\\pipe\\symphony-")
        return self._folder / address.rpartition("\\")[2]

    async def create_pipe_connection(
        self, factory: Callable[[], asyncio.Protocol], address: str
    ) -> tuple[asyncio.BaseTransport, asyncio.Protocol]:
        return await asyncio.get_running_loop().create_unix_connection(factory, str(self._path(address)))

    async def start_serving_pipe(
        self, factory: Callable[[], asyncio.Protocol], address: str
    ) -> list[asyncio.AbstractServer]:
        path = self._path(address)
        if path.exists():
            raise PermissionError("Access is denied")
        server = await asyncio.get_running_loop().create_unix_server(factory, str(path))
        return [Served(server, path)]


class Served:
    def __init__(self, server: asyncio.AbstractServer, path: Path) -> None:
        self._server, self._path = server, path

    def close(self) -> None:
        self._path.unlink()
        self._server.close()


class Place:
    """Somewhere to listen and connect, by one transport."""

    def __init__(self, scheme: str, folder: Path, stack: AsyncExitStack) -> None:
        self.scheme, self.folder, self._stack = scheme, folder, stack
        self.address = {
            "memory": "memory:contract",
            "unix": f"unix://{folder}/s/a.sock",
            "shm": "shm://contract",
            "shm-poll": "shm://contract",
            "tcp": "tcp://127.0.0.1:0",
            "stdio": "stdio:",
            "pipe": "pipe://contract",
        }[scheme]
        self._parent: Listener | None = None
        self.refusals: list[SymphonyError] = []
        self.accepted: asyncio.Queue[Connection] = asyncio.Queue()

    def config(self, **settings: object) -> TransportConfig:
        fixed = {"token": TOKEN, "runtime_dir": self.folder / "r", "poll": self.scheme == "shm-poll"}
        return TransportConfig(**{**fixed, **settings})

    async def listen(self, **settings: object) -> Listener:
        config, accept, refused = self.config(**settings), self.accepted.put_nowait, self.refusals.append
        match self.scheme:
            case "stdio":
                listener = Listener(self.address, accept, config, refused=refused)
                self._parent = listener
            case "pipe":
                listener = Listener(self.address, accept, config, refused=refused)
                await pipe.listen("contract", listener, PipesOverUnix(self.folder))
            case _:
                listener = await listen(self.address, accept, config, refused=refused)
        self._stack.push_async_callback(listener.close)
        self.address = listener.address
        return listener

    async def connect(self, **settings: object) -> Connection:
        config = self.config(**settings)
        match self.scheme:
            case "stdio":
                connection = await self._spawned(config)
            case "pipe":
                connection = await pipe.connect("contract", config, PipesOverUnix(self.folder))
            case _:
                connection = await connect(self.address, config)
        self._stack.push_async_callback(connection.close)
        return connection

    async def _spawned(self, config: TransportConfig) -> Connection:
        """Two pipes, as between a parent and its child."""
        if self._parent is None:
            raise ConnectFailed("nobody listens", hint="there is no parent")
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        dial = Dial(config)
        await stdio.join(self._parent.protocol(), ours_in, ours_out)
        await stdio.join(dial.connection, theirs_in, theirs_out)
        return await dial.opened()

    async def pair(self, **settings: object) -> Pair:
        """Both ends of a connection: the connector's, the listener's."""
        await self.listen(**settings)
        return await self.connect(**settings), await self.accepted.get()


@pytest.fixture(params=SCHEMES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:
        yield Place(request.param, tmp_path, stack)


async def collected(connection: Connection) -> list[bytes]:
    """All messages until the end."""
    found = []
    try:
        while True:
            found.append(await connection.receive())
    except ConnectionClosed:
        return found


class Kept:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.ends: list[SymphonyError | None] = []

    def received(self, body: bytes) -> None:
        self.bodies.append(body)

    def ended(self, error: SymphonyError | None) -> None:
        self.ends.append(error)


async def test_messages_of_any_size_arrive_whole_and_in_order(place: Place) -> None:
    one, other = await place.pair()
    sizes = [0, 1, 7, 8, 255, 65_527, 65_528, 65_536, 300_000, 3, 1_500_000, 0, 2]
    bodies = [os.urandom(size) for size in sizes]

    async def pour() -> None:
        for body in bodies:
            await one.send(body)
        one.end()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pour())
        got = tasks.create_task(collected(other))
    assert got.result() == bodies


async def test_both_directions_flow_at_once(place: Place) -> None:
    one, other = await place.pair(buffer_bytes=4096)
    bodies = [bytes([i % 256]) * 500 for i in range(200)]

    async def pour(connection: Connection) -> None:
        for body in bodies:
            await connection.send(body)
        connection.end()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pour(one))
        tasks.create_task(pour(other))
        got = [tasks.create_task(collected(end)) for end in (one, other)]
    assert [task.result() for task in got] == [bodies, bodies]


@pytest.mark.slow
async def test_a_hundred_thousand_small_messages_arrive_in_order(place: Place) -> None:
    one, other = await place.pair()
    kept = Kept()
    other.deliver_to(kept)
    for i in range(100_000):
        body = i.to_bytes(4, "big")
        if not one.try_send(body):
            await one.send(body)
    one.end()
    await until(lambda: kept.ends)
    assert kept.bodies == [i.to_bytes(4, "big") for i in range(100_000)]
    assert kept.ends == [None]


@pytest.mark.slow
async def test_a_message_of_64_mib_arrives_and_a_byte_more_is_refused(place: Place) -> None:
    one, other = await place.pair()
    body = os.urandom(1 << 20) * 64
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(one.send(body))
        got = tasks.create_task(other.receive())
    assert got.result() == body
    with pytest.raises(FrameTooLarge):
        await one.send(body + b"!")
    await one.send(b"still there")
    assert await other.receive() == b"still there"


def unsent_bytes(one: Connection) -> int:
    """Bytes written here that the operating system has not taken yet."""
    return one._gathered_bytes + (one._link.get_write_buffer_size() if one._link else 0)


async def test_a_sender_waits_while_the_reader_sleeps_and_memory_stays_bounded(place: Place) -> None:
    limit = 64 * 1024
    one, other = await place.pair(buffer_bytes=limit)
    body, sent = bytes(10_000), 0
    while True:  # the reader asks for nothing
        if one.try_send(body):
            sent += 1
        else:
            for _ in range(20):
                await asyncio.sleep(0)
            if not one.try_send(body):
                break
            sent += 1
        assert sent < 10_000, "nothing pushes back"
    assert unsent_bytes(one) <= limit * 5 // 4 + 2 * len(body)
    waiting = [asyncio.ensure_future(one.send(b"%d" % i)) for i in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    assert [await other.receive() for _ in range(sent)] == [body] * sent
    assert [await other.receive() for _ in range(5)] == [b"%d" % i for i in range(5)]
    await asyncio.gather(*waiting)
    assert unsent_bytes(one) == 0


async def test_a_receiver_that_holds_back_makes_the_sender_wait_and_loses_nothing(place: Place) -> None:
    one, other = await place.pair(buffer_bytes=16 * 1024)
    kept = Kept()
    other.deliver_to(kept)
    await one.send(b"first")
    await until(lambda: kept.bodies)
    other.hold_back()
    sent = 0
    for i in range(10_000):
        try:
            async with asyncio.timeout(0.05):
                await one.send(b"%d" % i + bytes(4000))
        except TimeoutError:
            break
        sent += 1
    assert 0 < sent < 2_000
    assert kept.bodies == [b"first"]
    other.go_on()
    one.end()
    await until(lambda: kept.ends)
    assert [int(body[:-4000]) for body in kept.bodies[1:]] == list(range(sent))


async def test_after_its_end_a_side_still_receives(place: Place) -> None:
    one, other = await place.pair()
    await one.send(b"question")
    one.end()
    assert await collected(other) == [b"question"]
    await other.send(b"answer")
    other.end()
    assert await collected(one) == [b"answer"]
    with pytest.raises(ConnectionClosed):
        one.try_send(b"more")
    await one.closed()
    await other.closed()
    assert (one.lost, other.lost) == (None, None)


async def test_what_was_sent_before_closing_arrives(place: Place) -> None:
    one, other = await place.pair()
    bodies = [b"%d" % i for i in range(1000)]
    for body in bodies:
        assert one.try_send(body)
    closing = asyncio.ensure_future(one.close())
    assert await collected(other) == bodies
    await closing
    await other.closed()
    assert (one.lost, other.lost) == (None, None)
    with pytest.raises(ConnectionClosed):
        await other.send(b"too late")


async def test_a_peer_that_goes_without_a_goodbye_is_told_from_one_that_says_it(place: Place) -> None:
    one, other = await place.pair()
    kept = Kept()
    other.deliver_to(kept)
    await one.send(b"last words")
    await until(lambda: kept.bodies)
    assert one._link is not None
    one._link.abort()
    await other.closed()
    (error,) = kept.ends
    assert isinstance(error, ConnectionLost)
    with pytest.raises(ConnectionLost):
        other.try_send(b"anyone?")


async def test_a_stream_that_ends_within_a_message_says_so(place: Place) -> None:
    one, other = await place.pair()
    assert one._link is not None
    one._link.write(b"S\x01\x01\x00\x00\x00\x00\x64" + bytes(20))
    one._link.close()
    with pytest.raises(ConnectionLost, match="in the middle of a message, 28 bytes into it"):
        await other.receive()


BROKEN = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", "these bytes are not a frame"),
    "a later version": (b"S\x02\x01\x00\x00\x00\x00\x00", "a frame of version 2"),
    "an unknown kind": (b"S\x01\x09\x00\x00\x00\x00\x00", "the unknown kind 9"),
    "a reserved byte that is set": (b"S\x01\x01\x01\x00\x00\x00\x00", "the unknown kind 1.1"),
    "an absurd length": (b"S\x01\x01\x00\xff\xff\xff\xff", "4,294,967,295 bytes exceeds the limit"),
    "a second handshake": (b"S\x01\x02\x00\x00\x00\x00\x02{}", "has no place here"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_frame_ends_that_connection_with_its_reason_and_no_other(
    place: Place, name: str
) -> None:
    broken, why = BROKEN[name]
    bad, bad_other = await place.pair()
    good = await place.connect()
    good_other = await place.accepted.get()
    kept = Kept()
    bad_other.deliver_to(kept)
    assert bad._link is not None
    bad._link.write(broken)
    await bad_other.closed()
    (error,) = kept.ends
    assert error is not None
    assert why in error.message
    with pytest.raises(ConnectionLost, match=r"the other side ended: .*"):
        await bad.receive()
    await good.send(b"fine")
    assert await good_other.receive() == b"fine"


async def test_an_envelope_that_cannot_be_decoded_ends_its_connection_with_the_reason(place: Place) -> None:
    one, other = await place.pair()
    sender, receiver = Channel(one), Channel(other)
    message = Stationery(EndpointId("me")).envelope("greeting", EventPayload("hello", {"n": 1}))
    await sender.send(message)
    assert await receiver.receive() == message
    await one.send(b"\x93no envelope")
    with pytest.raises(SerializationFailed):
        await receiver.receive()
    await other.closed()
    with pytest.raises(ConnectionLost, match="a message is broken"):
        await one.receive()


async def test_the_connectors_preferred_codec_is_taken_and_none_in_common_is_refused(place: Place) -> None:
    await place.listen()
    one = await place.connect(codecs=("json", "msgpack"))
    assert one.codec.name == (await place.accepted.get()).codec.name == "json"
    with pytest.raises((HandshakeFailed, ConnectionLost), match="no codec in common"):
        await place.connect(codecs=("morse",))
    await until(lambda: place.refusals)
    assert "no codec in common" in place.refusals[0].message


@pytest.mark.parametrize("token", [None, Secret("another")], ids=["none", "another"])
async def test_who_has_not_the_token_gets_no_connection(place: Place, token: Secret | None) -> None:
    listener = await place.listen()
    if place.scheme == "tcp" and token is None:
        with pytest.raises(ConfigInvalid, match="tcp needs a token"):
            await place.connect(token=token)
        return
    with pytest.raises(TokenRefused):
        await place.connect(token=token)
    await until(lambda: place.refusals)
    assert place.accepted.empty()
    assert not listener._connections


async def test_more_connections_than_allowed_are_turned_away(place: Place) -> None:
    await place.listen(connections_max=1)
    first = await place.connect()
    with pytest.raises(ConnectionLost, match="all 1 connections are taken"):
        await place.connect()
    await until(lambda: place.refusals)
    assert isinstance(place.refusals[0], PeerRefused)
    await first.close()
    await until(place.accepted.qsize)
    await (await place.accepted.get()).closed()
    await place.connect()


@pytest.mark.parametrize("place", ["memory"], indirect=True)
async def test_a_stranger_gets_no_room_for_a_large_message(place: Place) -> None:
    listener = await place.listen()
    stranger = listener.protocol()
    stranger.connection_made(Silence(stranger))
    stranger.data_received(b"S\x01\x01\x00\x03\x00\x00\x00" + bytes(5000))
    assert isinstance(stranger.lost, FrameTooLarge)


@pytest.mark.parametrize("place", ["memory"], indirect=True)
async def test_who_says_nothing_is_dropped(place: Place) -> None:
    listener = await place.listen(timeout_s=0.02)
    silent = listener.protocol()
    link = Silence(silent)
    silent.connection_made(link)
    await silent.closed()
    assert "no handshake within 0.02 s" in place.refusals[0].message
    assert not listener._connections


class Silence(asyncio.Transport):
    """A link to somebody who never speaks nor listens."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol

    def abort(self) -> None:
        self._protocol.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("place", [one for one in SCHEMES if one != "tcp"], indirect=True)
async def test_nobody_there_is_said_at_once_with_a_hint(place: Place) -> None:
    with pytest.raises(ConnectFailed, match="nobody listens") as caught:
        await place.connect()
    assert caught.value.hint


@pytest.mark.parametrize("place", [one for one in SCHEMES if one != "stdio"], indirect=True)
async def test_an_address_is_taken_while_somebody_listens_and_free_afterwards(place: Place) -> None:
    listener = await place.listen()
    with pytest.raises(AddressInUse):
        await place.listen()
    await place.connect()  # the one who was there still is
    await listener.close()
    await place.listen()
    await place.connect()


async def test_closing_a_listener_closes_its_connections(place: Place) -> None:
    listener = await place.listen()
    ends = [await place.connect() for _ in range(3)]
    await listener.close()
    for end in ends:
        with pytest.raises(ConnectionClosed):
            await end.receive()
    assert not listener._connections


@pytest.mark.parametrize("place", ["memory", "unix", "shm"], indirect=True)
async def test_an_address_that_is_refused_at_first_is_tried_again(place: Place) -> None:
    from symphony.commons.components import RetryPolicy

    retry = RetryPolicy(attempts=100, backoff="constant", initial_s=0.01)
    connecting = asyncio.ensure_future(place.connect(retry=retry))
    await asyncio.sleep(0)
    await place.listen()
    assert (await connecting).open
