"""A connection that comes back, with its subscriptions."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.waiting import PATIENCE_S, until

from symphony.commons.components import RetryPolicy
from symphony.commons.errors import SymphonyError
from symphony.ipc.transports import Connection, Listener, Reconnecting, TransportConfig, listen
from symphony.ipc.transports.errors import ConnectFailed, ConnectionClosed, ConnectionLost
from symphony.testing import FakeClock

CONFIG = TransportConfig(retry=RetryPolicy(attempts=3, initial_s=0.001, max_s=60), timeout_s=0.2)


class Side:
    """A reconnecting client and the server that it talks to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.accepted: asyncio.Queue[Connection] = asyncio.Queue()
        self.subscribed = 0
        self.losses: list[SymphonyError] = []
        self.client = Reconnecting(
            "memory:again",
            CONFIG,
            clock=self.clock,
            connected=self.subscribe,
            lost=self.losses.append,
            jitter=lambda: 1.0,
        )
        self.running: asyncio.Task[None] | None = None

    async def subscribe(self, connection: Connection) -> None:
        self.subscribed += 1
        await connection.send(b"subscribe")

    async def listen(self) -> Listener:
        return await listen("memory:again", self.accepted.put_nowait)

    def run(self) -> "asyncio.Task[None]":
        self.running = asyncio.ensure_future(self.client.run())
        return self.running


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    made = Side()
    async with asyncio.timeout(PATIENCE_S):
        yield made
        await made.client.close()
        if made.running is not None:
            await asyncio.gather(made.running, return_exceptions=True)


async def test_after_a_loss_it_connects_again_and_subscribes_before_anyone_sends(side: Side) -> None:
    listener = await side.listen()
    side.run()
    first = await side.accepted.get()
    await side.client.send(b"one")
    assert [await first.receive(), await first.receive()] == [b"subscribe", b"one"]
    assert first._link is not None
    first._link.abort()
    await until(lambda: side.losses)
    await side.client.send(b"two")
    second = await side.accepted.get()
    assert [await second.receive(), await second.receive()] == [b"subscribe", b"two"]
    assert isinstance(side.losses[0], ConnectionLost)
    await side.client.close()
    await listener.close()


async def test_a_server_that_was_closed_and_comes_back_is_found(side: Side) -> None:
    listener = await side.listen()
    side.run()
    await side.accepted.get()
    await until(lambda: side.client.connection)
    await listener.close()
    listener = await side.listen()
    await (await side.accepted.get()).receive()
    assert isinstance(side.losses[0], ConnectionClosed)
    assert side.subscribed == 2
    await side.client.close()
    await listener.close()


async def test_connections_that_do_not_last_are_made_at_growing_distances(side: Side) -> None:
    listener = await listen("memory:again", lambda connection: connection.abort(ConnectionLost("go away")))
    side.run()
    await until(lambda: len(side.clock.slept) >= 4)
    assert side.clock.slept[:4] == [0.001, 0.002, 0.004, 0.008]
    await side.client.close()
    await listener.close()


async def test_when_the_tries_are_used_up_run_says_so_and_so_does_send(side: Side) -> None:
    running = side.run()
    sending = asyncio.ensure_future(side.client.send(b"x"))
    with pytest.raises(ConnectFailed):
        await running
    with pytest.raises(ConnectionLost, match="cannot be reached any more"):
        await sending
    with pytest.raises(ConnectionClosed):
        await side.client.send(b"y")


async def test_who_sends_while_nobody_is_there_waits_and_then_hears_so(side: Side) -> None:
    with pytest.raises(ConnectionLost, match="did not come back within"):
        await side.client.send(b"x")


async def test_closing_ends_it(side: Side) -> None:
    listener = await side.listen()
    running = side.run()
    await until(lambda: side.client.connection)
    await side.client.close()
    await running
    assert side.losses == []
    await listener.close()
