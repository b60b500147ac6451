"""The parts that all transports share: the end that connects, and the one that listens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from symphony.commons.errors import SymphonyError
from symphony.commons.time import random_bits
from symphony.ipc.handshake import Handshake
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection, Link, Peer
from symphony.ipc.transports.errors import ConnectionLost, PeerRefused

Admit: TypeAlias = Callable[[Link], Peer]
"""Looks at who is there; raises PeerRefused."""

Accept: TypeAlias = Callable[[Connection], None]
"""Takes a new connection, whose handshake is done; must not block."""

Refused: TypeAlias = Callable[[SymphonyError], None]
"""Told of each connection that did not come to be, and why."""


def anyone(_: Link) -> Peer:
    """Admits every peer that can reach us."""
    return Peer()


class Dial:
    """The connecting end: makes the connection, and waits for it to open."""

    def __init__(self, config: TransportConfig, admit: Admit = anyone) -> None:
        self._opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self.connection = Connection(
            _handshake("connector", config),
            config,
            opened=self._open,
            refused=self._refuse,
            admit=admit,
        )

    def protocol(self) -> Connection:
        """For the event loop, which connects it to its link."""
        return self.connection

    async def opened(self) -> Connection:
        """Return the connection, ready for messages. Raises SymphonyError if it fails, and says why."""
        try:
            return await self._opened
        except asyncio.CancelledError:
            self.connection.abort(ConnectionLost("the connecting side gave up"))
            raise

    def _open(self, connection: Connection) -> None:
        if not self._opened.done():
            self._opened.set_result(connection)

    def _refuse(self, connection: Connection, error: SymphonyError) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()  # nobody may be waiting any more


class Listener:
    """Takes connections at an address until it is closed. Made by `listen`."""

    def __init__(
        self,
        address: str,
        accept: Accept,
        config: TransportConfig,
        *,
        refused: Refused | None = None,
        admit: Admit = anyone,
    ) -> None:
        """`address` as others can connect to it. `admit` looks at each peer first."""
        self.address = address
        self._accept, self._config, self._refused, self._admit = accept, config, refused, admit
        self._connections: set[Connection] = set()
        self._stopping: list[Callable[[], Awaitable[None]]] = []
        self._closed = False

    def protocol(self) -> Connection:
        """For the event loop: the next connection."""
        connection = Connection(
            _handshake("listener", self._config),
            self._config,
            opened=self._open,
            refused=self._refuse,
            admit=self._admit_one,
        )
        self._connections.add(connection)
        return connection

    def turned_away(self, error: SymphonyError) -> None:
        """Somebody was refused before there was a connection, because of `error`."""
        if self._refused is not None:
            self._refused(error)

    def when_closed(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Have `stop` awaited by `close`."""
        self._stopping.append(stop)

    async def close(self) -> None:
        """Take no more connections, and close those that there are. May be called twice."""
        self._closed = True
        while self._stopping:
            await self._stopping.pop()()
        await asyncio.gather(*(connection.close() for connection in tuple(self._connections)))

    def _admit_one(self, link: Link) -> Peer:
        if self._closed or len(self._connections) > self._config.connections_max:
            raise PeerRefused(
                f"all {self._config.connections_max} connections are taken",
                hint="close some, or raise connections_max of the listener",
            )
        return self._admit(link)

    def _open(self, connection: Connection) -> None:
        connection.when_gone(lambda: self._connections.discard(connection))
        self._accept(connection)

    def _refuse(self, connection: Connection, error: SymphonyError) -> None:
        self._connections.discard(connection)
        self.turned_away(error)


def _handshake(role: str, config: TransportConfig) -> Handshake:
    return Handshake(
        "connector" if role == "connector" else "listener",
        codecs=config.codecs,
        token=None if config.token is None else config.token.reveal(),
        random_bits=random_bits,
    )
