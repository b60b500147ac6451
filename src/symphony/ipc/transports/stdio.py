"""`stdio:`: a process and the one that started it, over stdin and stdout.

The child calls `connect("stdio:")`, its parent `spawn`. What the child prints goes to stderr.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from symphony.commons.children import ChildProcess, start_child
from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.waiting import uninterrupted
from symphony.ipc import own_streams
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import ConnectFailed

_LAST_WORDS_S = 1.0


@runtime_checkable
class _Readable(Protocol):
    """A transport that can be read from; uvloop's derive from no class of asyncio's."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class _Writable(Protocol):
    """A transport that can be written to."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Spawned(NamedTuple):
    """A child process, and the connection to it."""

    connection: Connection
    process: ChildProcess


async def connect(config: TransportConfig) -> Connection:
    """This process's end, to the one that started it. Raises IoFailed if stdin or stdout is a file."""
    dial = Dial(config)
    await join(dial.connection, *own_streams.taken())
    return await dial.opened()


async def spawn(
    argv: Sequence[str],
    config: TransportConfig | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Spawned:
    """Start a program that calls `connect("stdio:")`, and wait until it does.

    When the connection ends, the process is the caller's to wait for or to kill. Raises
    ConnectFailed if it does not start or does not connect; then it has been killed.
    """
    config = config or TransportConfig()
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    try:
        process = await start_child(argv, stdin=theirs_in, stdout=theirs_out, env=environment)
    except BaseException as error:
        os.close(ours_in)
        os.close(ours_out)
        if isinstance(error, OSError):
            raise ConnectFailed(f"cannot start {argv[0]}: {error.strerror or error}") from error
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    def refused(error: SymphonyError) -> None:
        if not opened.done():
            opened.set_exception(
                ConnectFailed(f"{argv[0]} did not connect: {error.message}", hint=error.hint)
            )

    parent = Listener("stdio:", opened.set_result, config, refused=refused)
    try:
        await join(parent.protocol(), ours_in, ours_out)
        return Spawned(await opened, process)
    except BaseException:
        process.kill()
        await uninterrupted(process.ended)
        raise


async def join(connection: Connection, reading: int, writing: int) -> None:
    """Give `connection` two pipes to own. Raises IoFailed for anything but pipes, sockets, terminals."""
    loop = asyncio.get_running_loop()
    link = PipesLink(connection)
    source, sink = os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
    try:
        await loop.connect_write_pipe(lambda: link.outgoing, sink)
        connection.connection_made(link)
        await loop.connect_read_pipe(lambda: link.incoming, source)
    except ValueError as error:
        link.abort()
        source.close()
        sink.close()
        raise IoFailed(
            f"stdin and stdout cannot carry messages: {error}",
            hint="start this program with pipes, see `spawn`",
        ) from error


class _Incoming(asyncio.Protocol):
    """The pipe that we read from."""

    def __init__(self, link: "PipesLink") -> None:
        self._link = link
        self.transport: _Readable | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to be read from."""
        assert isinstance(transport, _Readable)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """A piece of the stream."""
        self._link.connection.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side writes no more."""
        self._link.half_lost(self, exc)


class _Outgoing(asyncio.BaseProtocol):
    """The pipe that we write to."""

    def __init__(self, link: "PipesLink") -> None:
        self._link = link
        self.transport: _Writable | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to be written to."""
        assert isinstance(transport, _Writable)
        self.transport = transport

    def pause_writing(self) -> None:
        """The other side does not read."""
        self._link.connection.pause_writing()

    def resume_writing(self) -> None:
        """Note that the peer reads again."""
        self._link.connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side reads no more."""
        self._link.half_lost(self, exc)


class PipesLink(asyncio.Transport):
    """Two pipes as one link."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self.incoming, self.outgoing = _Incoming(self), _Outgoing(self)
        self._halves = 2
        self._error: Exception | None = None
        self._closing = False

    def half_lost(self, half: "_Incoming | _Outgoing", exc: Exception | None) -> None:
        """One pipe is gone. What the other side wrote before it left is still read, for a while."""
        self._error = self._error or exc
        self._halves -= 1
        if self._halves == 0:
            self.connection.connection_lost(self._error)
        elif half is self.incoming:
            self.close()
        else:
            self._loop.call_later(_LAST_WORDS_S, self.close)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the outgoing pipe."""
        if self.outgoing.transport is not None and not self._closing:
            self.outgoing.transport.write(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Like the method of asyncio's transports."""
        if self.outgoing.transport is not None:
            self.outgoing.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Like the method of asyncio's transports."""
        return self.outgoing.transport.get_write_buffer_size() if self.outgoing.transport is not None else 0

    def is_closing(self) -> bool:
        """True if this end has been closed."""
        return self._closing

    def pause_reading(self) -> None:
        """Take nothing from the incoming pipe."""
        if self.incoming.transport is not None:
            self.incoming.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take again."""
        if self.incoming.transport is not None and not self._closing:
            self.incoming.transport.resume_reading()

    def close(self) -> None:
        """Close when all is written."""
        if not self._closing:
            self._closing = True
            if self.outgoing.transport is not None:
                self.outgoing.transport.close()
            if self.incoming.transport is not None:
                self.incoming.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.outgoing.transport is not None:
            self.outgoing.transport.abort()
        self.close()
