"""`memory:NAME`: both ends in one event loop, for tests, and for parts that happen to share a process.

The same frames, handshake and backpressure as everywhere else; the bytes go by the event loop.
"""

import asyncio
from collections import deque

from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import AddressInUse, ConnectFailed

_listeners: dict[str, tuple[asyncio.AbstractEventLoop, Listener]] = {}


def listen(name: str, listener: Listener) -> None:
    """Let others connect to `name`. Raises AddressInUse."""
    loop = asyncio.get_running_loop()
    if name in _listeners and not _listeners[name][0].is_closed():
        raise AddressInUse(f"memory:{name} is taken", hint="close its listener first, or take another name")
    _listeners[name] = (loop, listener)

    async def stop() -> None:
        if (found := _listeners.get(name)) is not None and found[1] is listener:
            del _listeners[name]

    listener.when_closed(stop)


async def connect(name: str, config: TransportConfig) -> Connection:
    """Raises ConnectFailed if nobody listens in this event loop."""
    loop, listener = _listeners.get(name, (None, None))
    if listener is None or loop is not asyncio.get_running_loop():
        raise ConnectFailed(f"nobody listens at memory:{name} in this event loop", hint="listen first")
    dial = Dial(config)
    join(dial.connection, listener.protocol())
    return await dial.opened()


def join(one: Connection, other: Connection) -> None:
    """Connect two ends with each other."""
    first, second = MemoryLink(one), MemoryLink(other)
    first.other, second.other = second, first
    # The listening end first: whatever the connector says finds it ready.
    other.connection_made(second)
    one.connection_made(first)


class MemoryLink(asyncio.Transport):
    """One direction's end: what is written arrives at `other` in a later turn of the event loop."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.other: MemoryLink | None = None
        self._loop = asyncio.get_running_loop()
        self.protocol = protocol
        self._under_way: deque[bytes] = deque()
        """Written here, not yet taken by the other end."""
        self._size = 0
        self._high, self._low = 64 * 1024, 16 * 1024
        self._paused = False
        self.reading = True
        self._scheduled = False
        self.closing = False
        self._lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Put `data` on its way."""
        if self.closing or not data:
            return
        self._under_way.append(bytes(data))
        self._size += len(data)
        if self._size > self._high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()
        self.schedule()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes under way at which the writer is paused, and at which it goes on."""
        self._high = self._high if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes under way."""
        return self._size

    def pause_reading(self) -> None:
        """Take nothing from the other end."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take again."""
        self.reading = True
        if self.other is not None:
            self.other.schedule()

    def is_closing(self) -> bool:
        """True if this end has been closed."""
        return self.closing

    def close(self) -> None:
        """Close when all that is under way has been taken."""
        if not self.closing:
            self.closing = True
            self.reading = False
            self.schedule()

    def abort(self) -> None:
        """Close at once; what is under way is lost."""
        self._under_way.clear()
        self._size = 0
        self.close()

    def schedule(self) -> None:
        """Move what is under way in the next turn of the event loop."""
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._loop.call_soon(self._move)

    def _move(self) -> None:
        self._scheduled = False
        other = self.other
        while self._under_way and other is not None and (other.reading or other.closing):
            data = self._under_way.popleft()
            self._size -= len(data)
            if not other.closing:
                other.protocol.data_received(data)
        if self._paused and self._size <= self._low:
            self._paused = False
            self.protocol.resume_writing()
        if self.closing and not self._under_way and not self._lost:
            self._lost = True
            self.protocol.connection_lost(None)
            if other is not None:
                other.peer_gone()

    def peer_gone(self) -> None:
        """The other end wrote its last: what we write goes nowhere."""
        self._under_way.clear()
        self._size = 0
        self.close()
