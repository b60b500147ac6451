"""A connection that comes back after a loss, and then asks its owner to subscribe again."""

import asyncio
from collections.abc import Awaitable, Callable

from symphony.commons.components import RetryPolicy
from symphony.commons.errors import SymphonyError
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.errors import ConnectionClosed, ConnectionLost
from symphony.ipc.transports.opening import connect, jitter
from symphony.ports.clock import Clock


class Reconnecting:
    """Keeps one connection to an address while `run` runs, in a task of its owner.

    What was under way when a connection broke may be lost or not: that is for those who asked to
    know, from `connected` and `lost`. What is sent while there is none waits for the next.
    """

    def __init__(
        self,
        address: str,
        config: TransportConfig | None = None,
        *,
        clock: Clock,
        connected: Callable[[Connection], Awaitable[None]],
        lost: Callable[[SymphonyError], None] | None = None,
        jitter: Callable[[], float] = jitter,
    ) -> None:
        """`connected` prepares each new connection (subscribes, sets a receiver) before others may send.

        `lost` hears why one ended. `config.retry` says how often and how fast to try, each time.
        """
        self._address, self._config = address, config or TransportConfig()
        self._clock, self._jitter = clock, jitter
        self._prepare, self._lost = connected, lost
        self._connection: Connection | None = None
        self._there: asyncio.Future[Connection] | None = None
        self._closed = False

    @property
    def connection(self) -> Connection | None:
        """The connection of now, if there is one."""
        return self._connection if self._connection is not None and self._connection.open else None

    async def run(self) -> None:
        """Stay connected until `close`. Raises what `connect` raises once its tries are used up."""
        short_lives = 0
        try:
            while not self._closed:
                if short_lives:
                    await self._clock.sleep(self._pause_s(short_lives))
                connection = await connect(self._address, self._config, jitter=self._jitter)
                began_s = self._clock.monotonic_s()
                error = await self._live(connection)
                lived_s = self._clock.monotonic_s() - began_s
                short_lives = short_lives + 1 if lived_s < self._config.retry.max_s else 0
                if self._lost is not None and not self._closed:
                    self._lost(error)
        finally:
            self._closed = True
            if self._there is not None and not self._there.done():
                self._there.set_exception(ConnectionLost(f"{self._address} cannot be reached any more"))

    async def send(self, body: bytes) -> None:
        """Send over this connection or the next one, for which it waits at most `timeout_s`.

        Raises ConnectionLost if there is none by then, and if it breaks while there is no room.
        """
        connection = self.connection
        if connection is None:
            connection = await self._next()
        await connection.send(body)

    async def close(self) -> None:
        """End the connection, and `run`."""
        self._closed = True
        if self._connection is not None:
            await self._connection.close()

    async def _live(self, connection: Connection) -> SymphonyError:
        """From a connection's beginning to its end; why it ended."""
        try:
            await self._prepare(connection)
            self._connection = connection
            if self._there is not None and not self._there.done():
                self._there.set_result(connection)
            self._there = None
            if not self._closed:
                await connection.closed()
        except (ConnectionLost, ConnectionClosed) as error:
            return error
        finally:
            self._connection = None
            await connection.close()
        return connection.lost or ConnectionClosed("the other side has closed")

    async def _next(self) -> Connection:
        if self._closed:
            raise ConnectionClosed("this connection has been closed")
        if self._there is None:
            self._there = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._config.timeout_s):
                return await asyncio.shield(self._there)
        except TimeoutError:
            raise ConnectionLost(
                f"{self._address} did not come back within {self._config.timeout_s:g} s"
            ) from None

    def _pause_s(self, attempt: int) -> float:
        policy: RetryPolicy = self._config.retry
        return policy.delay_s(attempt, self._jitter())
