"""The bus over a NATS server that is killed, that asks who we are, that refuses."""

import asyncio
import base64
import binascii
import datetime
import ipaddress
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.servers import NatsServer
from tests.support.waiting import PATIENCE_S

from symphony.bus import Bus, EndpointLost, EndpointTaken, Replay
from symphony.bus.adapters.nats import NatsUplink, join_nats
from symphony.bus.adapters.nats_connection import NatsConfig, NatsUnavailable, NKey, StoreRefused
from symphony.commons.errors import ConfigInvalid, SymphonyError, ValidationFailed
from symphony.commons.secrets import Secret
from symphony.ipc import EventPayload, MessageEnvelope
from symphony.ports.values import Value

pytestmark = pytest.mark.slow


Start = Callable[..., Awaitable[NatsServer]]
Join = Callable[..., Awaitable[tuple[Bus, NatsUplink]]]


@pytest.fixture
async def joined() -> AsyncIterator[Join]:
    """Puts a new bus on a server."""
    async with AsyncExitStack() as stack:

        async def join(server: NatsServer, **settings: object) -> tuple[Bus, NatsUplink]:
            bus = Bus()
            stack.push_async_callback(bus.close)
            uplink = await join_nats(bus, NatsConfig(servers=(server.url,), **settings))  # type: ignore[arg-type]
            stack.push_async_callback(uplink.close)
            return bus, uplink

        yield join


def data(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


async def test_nothing_that_was_acknowledged_is_lost_when_the_server_is_killed(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    telling, _ = await joined(server, durable=("run.>",))
    hearing, uplink = await joined(server, durable=("run.>",))
    one = await telling.endpoint("telling")
    await hearing.endpoint("hearing")
    handled: list[Value] = []
    enough = {count: asyncio.Event() for count in (30, 90)}

    async def handle(envelope: MessageEnvelope) -> None:
        handled.append(data(envelope))
        if (event := enough.get(len(handled))) is not None:
            event.set()

    async def tell() -> None:
        for number in range(90):
            await one.publish("run.1.node", number)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(uplink.consume("run.*.node", "summary", handle, ack_wait_s=1.0))
        pouring = tasks.create_task(tell())
        await enough[30].wait()
        await server.kill()
        await server.start()
        await pouring
        await enough[90].wait()
        consuming.cancel()
    assert handled == list(range(90))


async def test_events_stored_many_at_once_keep_their_order_when_the_server_is_killed(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    bus, _ = await joined(server, durable=("run.>",))
    one = await bus.endpoint("one")
    stored: list[int] = []
    some = asyncio.Event()

    async def tell(number: int) -> None:
        await one.publish("run.x", number)
        stored.append(number)
        if len(stored) == 1000:
            some.set()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for number in range(6000):
            tasks.create_task(tell(number))
        await some.wait()
        await server.kill()
        assert len(stored) < 6000
        await server.start()
    assert stored == list(range(6000))
    box = await one.mailbox("run.x", capacity=10_000, replay=Replay())
    assert [data(box.take() or pytest.fail("too few")) for _ in range(len(box))] == stored


async def test_an_event_that_was_not_handled_comes_again_and_one_that_was_does_not(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    bus, uplink = await joined(server, durable=("run.>",))
    one = await bus.endpoint("one")
    for number in range(3):
        await one.publish("run.x", number)
    heard: list[Value] = []
    done = asyncio.Event()

    async def fails_once(envelope: MessageEnvelope) -> None:
        heard.append(data(envelope))
        if heard == [0]:
            raise RuntimeError("oops")
        if heard[-1] == 2:
            done.set()

    async with asyncio.timeout(PATIENCE_S):
        for expected in ([0, 0, 1, 2], [3]):
            consuming = asyncio.ensure_future(uplink.consume("run.x", "again", fails_once))
            if expected == [3]:
                heard.clear()
                done.clear()
                await one.publish("run.x", 2)
                expected = [2]
            await done.wait()
            await asyncio.sleep(0.05)  # the acknowledgement is on its way
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)
            assert heard == expected
    for pattern, name in (("walk.x", "a"), (">", "a"), ("run.x", "a.b")):
        with pytest.raises(ValidationFailed):
            await uplink.consume(pattern, name, fails_once)


async def test_who_comes_late_gets_what_is_stored_and_then_what_happens(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    first, _ = await joined(server, durable=("run.>",))
    one = await first.endpoint("one")
    for number in range(100):
        await one.publish(f"run.{number % 2}", number)
    late, _ = await joined(server, durable=("run.>",))
    two = await late.endpoint("two")
    everything = await two.mailbox(">", replay=Replay())
    some = await two.mailbox("run.1", replay=Replay(last=2))
    await one.publish("run.1", 101)
    async with asyncio.timeout(PATIENCE_S):
        envelopes = [await everything.receive() for _ in range(101)]
        assert [data(one) for one in envelopes] == [*range(100), 101]
        assert [data(await some.receive()) for _ in range(3)] == [97, 99, 101]
        after = await two.mailbox("run.>", replay=Replay(after=envelopes[97].header.message_id))
        assert [data(await after.receive()) for _ in range(3)] == [98, 99, 101]


async def test_the_same_event_published_again_is_stored_once(nats_server: Start, joined: Join) -> None:
    server = await nats_server()
    bus, uplink = await joined(server, durable=("run.>",))
    one = await bus.endpoint("one")
    envelope = bus.exchange.stationery("one").envelope("event", EventPayload("run.x", 1))
    await uplink.publish(envelope)
    await uplink.publish(envelope)
    box = await one.mailbox("run.x", replay=Replay())
    assert len(box) == 1


async def test_a_killed_process_fails_the_requests_to_it_within_seconds(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    bus, _ = await joined(server)
    asking = await bus.endpoint("asking")
    lost = await asking.mailbox("bus.endpoint.lost")
    program = """
import asyncio, sys
from symphony.bus import Bus
from symphony.bus.adapters.nats import join_nats
from symphony.bus.adapters.nats_connection import NatsConfig
async def main():
    bus = Bus()
    await join_nats(bus, NatsConfig(servers=(sys.argv[1],)))
    async def never(envelope):
        print("asked", flush=True)
        await asyncio.Event().wait()
    await bus.endpoint("victim", never)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, server.url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert await process.stdout.readline() == b"ready\n"
        assert await asking.request("victim", "bus.ping", 7) == 7
        waiting = asyncio.ensure_future(asking.request("victim", "wait", timeout_s=None))
        assert await process.stdout.readline() == b"asked\n"
        await asyncio.sleep(0.3)  # a life sign comes every quarter of a second
        process.kill()
        await process.wait()
        with pytest.raises(EndpointLost, match="its connection has ended"):
            await waiting
        event = data(await lost.receive())
    assert isinstance(event, dict)
    assert event["name"] == "victim"
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(EndpointLost, match="nobody"):
            await asking.request("victim", "wait", timeout_s=None)


async def test_of_those_who_claim_a_name_at_once_exactly_one_gets_it(
    nats_server: Start, joined: Join
) -> None:
    server = await nats_server()
    buses = [(await joined(server))[0] for _ in range(4)]
    watching = await buses[0].endpoint("watching")
    changes = await watching.mailbox("bus.endpoint.*")
    for round_ in range(10):
        name = f"name.{round_}"
        got = await asyncio.gather(*(bus.endpoint(name) for bus in buses), return_exceptions=True)
        winners = [one for one in got if not isinstance(one, BaseException)]
        assert len(winners) == 1, got
        assert [type(one) for one in got].count(EndpointTaken) == 3
        async with asyncio.timeout(PATIENCE_S):
            assert data(await changes.receive()) == {"name": name, "capabilities": []}
            await winners[0].close()
            left = data(await changes.receive())
        assert left == {"name": name, "reason": "it has been closed"}


async def test_requests_and_events_go_on_after_the_server_was_away(nats_server: Start, joined: Join) -> None:
    server = await nats_server()
    (one, _), (two, _) = await joined(server), await joined(server)
    asking = await one.endpoint("asking")
    answering = await two.endpoint("answering", lambda envelope: "yes")
    box = await answering.mailbox("news")
    await server.kill()
    waiting = asyncio.ensure_future(asking.request("answering", "there?", timeout_s=30))
    await server.start()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert await waiting == "yes"
                break
            except EndpointLost:  # we were back before the other
                waiting = asyncio.ensure_future(asking.request("answering", "there?", timeout_s=30))
        await asking.publish("news", 1)
        assert data(await box.receive()) == 1


def seed_of(raw: bytes) -> str:
    """As `nk -gen user` spells it: five bits say that it is a seed, the next five that it is a user's."""
    seed, user = 18 << 3, 20 << 3
    body = bytes([seed | user >> 5, (user & 31) << 3]) + raw
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


async def test_an_nkey_opens_and_another_does_not(nats_server: Start, joined: Join) -> None:
    ours, other = Secret(seed_of(bytes(range(32)))), Secret(seed_of(bytes(32)))
    assert ours.reveal().startswith("SU")
    assert NKey(ours).public.startswith("U")
    server = await nats_server(f"authorization {{ users: [ {{ nkey: {NKey(ours).public} }} ] }}")
    bus, _ = await joined(server, nkey_seed=ours)
    await bus.endpoint("one")
    for settings in ({"nkey_seed": other}, {"token": Secret("x")}, {}):
        with pytest.raises(NatsUnavailable):
            await joined(server, **settings)
    for broken in ("", "SUA", ours.reveal()[:-1] + "A", "S" + ours.reveal(), "ü"):
        with pytest.raises(ConfigInvalid):
            NKey(Secret(broken))


async def test_a_token_opens_and_another_does_not(nats_server: Start, joined: Join) -> None:
    server = await nats_server("authorization { token: a-token }")
    await joined(server, token=Secret("a-token"))
    for settings in ({"token": Secret("another")}, {}):
        with pytest.raises(NatsUnavailable) as caught:
            await joined(server, **settings)
        assert "another" not in str(caught.value)


def certificate(folder: Path) -> tuple[Path, Path]:
    """For 127.0.0.1, signed by itself; made anew for each test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251  a certificate is valid by the real clock
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


async def test_tls_settings_are_passed_on(nats_server: Start, joined: Join, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = await nats_server(f'tls {{ cert_file: "{cert}", key_file: "{key}" }}')
    bus, _ = await joined(server, tls=ssl.create_default_context(cafile=str(cert)))
    one = await bus.endpoint("one")
    box = await one.mailbox("a")
    await one.publish("a", b"secret")
    async with asyncio.timeout(PATIENCE_S):
        assert data(await box.receive()) == b"secret"
    with pytest.raises(NatsUnavailable):
        await joined(server, tls=ssl.create_default_context())


async def test_a_token_is_not_told_to_a_server_that_does_not_speak_tls() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"auth_required":true}\r\n'
        )
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for scheme in ("nats", "tls"):
        config = NatsConfig(
            servers=(f"{scheme}://127.0.0.1:{port}",),
            token=Secret("a-token"),
            tls=ssl.create_default_context(),
        )
        with pytest.raises(NatsUnavailable, match="does not speak TLS"):
            await join_nats(Bus(), config)
    server.close()
    await server.wait_closed()
    assert set(heard) == {b""}


async def test_what_the_server_does_not_take_is_an_error(nats_server: Start, joined: Join) -> None:
    server = await nats_server("max_payload: 10000")
    bus, _ = await joined(server, durable=("run.>",))
    one = await bus.endpoint("one")
    with pytest.raises(SymphonyError) as caught:
        await one.publish("run.x", bytes(20_000))
    assert caught.value.code == "limit-exceeded"
    other, _ = await joined(server)
    await other.endpoint("two", lambda envelope: 1)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(SymphonyError, match="exceeds the limit"):
            await one.request("two", "echo", bytes(20_000), timeout_s=None)
    with pytest.raises(StoreRefused, match="overlap"):
        await joined(server, durable=("run.x",))


async def test_no_server_is_an_error_that_says_what_to_check() -> None:
    with pytest.raises(NatsUnavailable) as caught:
        await join_nats(Bus(), NatsConfig(servers=("nats://127.0.0.1:1",)))
    assert caught.value.hint is not None
