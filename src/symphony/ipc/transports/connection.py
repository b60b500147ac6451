"""One end of a connection: messages over any stream of bytes, with backpressure. No task of its own.

The stream is an asyncio transport or something that behaves like one (`Link`). What is written
within one turn of the event loop goes out together, but the first message of a turn at once; what
answers a piece of the stream goes out together when that piece has been delivered.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol, runtime_checkable

from symphony.commons.errors import SymphonyError
from symphony.ipc.codecs import CODECS, EnvelopeCodec
from symphony.ipc.frames import Chunk, FrameBroken, FrameReader, FrameTooLarge, Kind, frame, head
from symphony.ipc.handshake import HELLO_BYTES_MAX, Handshake, farewell, read_farewell
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.errors import ConnectFailed, ConnectionClosed, ConnectionLost

_GATHER_BYTES = 64 * 1024
"""Bytes that are gathered before they are written in the middle of a turn; larger bodies are not copied."""

_GRACE_S = 0.05


@runtime_checkable
class Link(Protocol):
    """The part of `asyncio.Transport` that a connection uses."""

    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def get_extra_info(self, name: str, default: object = None) -> object: ...


class Peer(NamedTuple):
    """The process at the other end, as far as the operating system knows."""

    pid: int | None = None
    uid: int | None = None


class Receiver(Protocol):
    """Takes what a connection brings, called from the event loop; must not block."""

    def received(self, body: bytes) -> None:
        """The next message. A SymphonyError that it raises ends the connection and is told to the peer."""
        ...

    def ended(self, error: SymphonyError | None) -> None:
        """Called once, last: no message will come. None: the peer said so; else why the connection broke."""
        ...


class _State(Enum):
    GREETING = auto()
    OPEN = auto()
    CLOSING = auto()
    """Nothing more is sent or delivered; what was written still goes out."""
    GONE = auto()


_GREETING, _OPEN, _CLOSING, _GONE = _State
_MESSAGE = Kind.MESSAGE
"""Names of their own: Python 3.11 takes 0.2 µs to find a member in its class, several times a message."""


class Connection(asyncio.Protocol):
    """Messages to and from one peer. Made by `connect` and `listen`; used from one event loop.

    Either ask for messages with `receive`, or have them delivered with `deliver_to`. Memory is
    bounded in both directions by `buffer_bytes` and one message: who does not read is not read
    for, and then `send` on the other side waits.
    """

    def __init__(
        self,
        handshake: Handshake,
        config: TransportConfig,
        *,
        opened: Callable[["Connection"], None],
        refused: Callable[["Connection", SymphonyError], None],
        admit: Callable[[Link], Peer] | None = None,
    ) -> None:
        """Exactly one of `opened` and `refused` is called: when the handshake has ended, well or not.

        `admit` looks at the link before a word is said, and raises a SymphonyError to refuse it.
        """
        self._loop = asyncio.get_running_loop()
        self._handshake = handshake
        self._config = config
        self._opened, self._refused, self._admit = opened, refused, admit
        self._state = _GREETING
        self._was_open = False
        self._link: Link | None = None
        self._frames = FrameReader(limit=config.frame_bytes_max)
        self._error: SymphonyError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._lost_hooks: list[Callable[[], None]] = []
        # Out.
        self._frame_bytes_max = config.frame_bytes_max
        self._gather_bytes = min(_GATHER_BYTES, config.buffer_bytes // 4)
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._corked = False
        self._blocked = False
        self._end_sent = False
        self._room: deque[asyncio.Future[None]] = deque()
        # In.
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._receiver: Receiver | None = None
        self._asking: asyncio.Future[None] | None = None
        self._held_back = False
        self._reading = True
        self._end_received = False
        self._ended_told = False
        self.peer = Peer()

    # What callers use.

    @property
    def codec(self) -> EnvelopeCodec:
        """The codec that both sides agreed on."""
        assert self._handshake.codec is not None, "only open connections are handed out"
        return CODECS[self._handshake.codec]

    @property
    def open(self) -> bool:
        """True if messages may be sent, as far as this side knows."""
        return self._state is _OPEN and not self._end_sent

    @property
    def lost(self) -> SymphonyError | None:
        """Return why the connection broke; None while it has not, or if it ended properly."""
        return self._error

    def try_send(self, body: bytes) -> bool:
        """Send `body` if there is room; False, and nothing done, if the peer must read first.

        Raises FrameTooLarge; ConnectionClosed after `end` or `close`, here or there;
        ConnectionLost.
        """
        if self._blocked or self._room:
            self._refuse_unless_open()
            return False
        self._send(body)
        return True

    async def send(self, body: bytes) -> None:
        """Send `body`, waiting until there is room for it. Raises as `try_send`.

        That it returns does not mean that the peer has the message.
        """
        if self._blocked or self._room:
            await self._wait_for_room()
        self._send(body)

    async def drained(self) -> None:
        """Wait until there is room for more. Raises as `try_send`."""
        if self._blocked or self._room:
            await self._wait_for_room()

    async def receive(self) -> bytes:
        """Return the next message; one caller at a time.

        Raises ConnectionClosed when no more will come, ConnectionLost when the connection broke: both
        only after all that had arrived.
        """
        assert self._receiver is None, "messages are delivered to a receiver"
        while not self._inbox:
            if self._error is not None:
                raise self._error
            if self._end_received or self._state is not _OPEN:
                raise ConnectionClosed
            assert self._asking is None, "one caller at a time"
            self._asking = self._loop.create_future()
            try:
                await self._asking
            finally:
                self._asking = None
        return self._take()

    def deliver_to(self, receiver: Receiver) -> None:
        """Have messages delivered from now on, those that are waiting first."""
        assert self._receiver is None, "it has a receiver"
        assert self._asking is None, "somebody is asking"
        self._receiver = receiver
        self._deliver()

    def hold_back(self) -> None:
        """Deliver nothing until `go_on`: the peer will have to wait."""
        self._held_back = True

    def go_on(self) -> None:
        """Deliver again, what is waiting first."""
        self._held_back = False
        self._deliver()

    def end(self) -> None:
        """Say that no message will follow; receiving goes on. Does nothing the second time."""
        if self.open:
            self._end_sent = True
            self._write(frame(b"", Kind.END))
            if self._end_received:
                self._close_link()

    async def close(self) -> None:
        """Send what was written, say goodbye, and wait until the peer has heard, at most `timeout_s`.

        Messages that arrive meanwhile, or that nobody has asked for yet, are dropped. If the peer
        did not take all that was sent in that time, `lost` says so afterwards.
        """
        self._inbox.clear()
        self._inbox_bytes = 0
        if self._state is _OPEN:
            if not self._reading and self._link is not None:
                self._reading = True
                self._link.resume_reading()
            self._leave(ConnectionClosed("the other side has closed"))
        elif self._state is _GREETING:
            self.abort(ConnectionLost("this side is closing"))
        await asyncio.shield(self._gone)

    def abort(self, error: SymphonyError) -> None:
        """End at once because of `error`, which the peer and the receiver are told."""
        if self._heeds():
            self._error = error
            self._leave(error)
            self._linger(after_s=0.0 if self._blocked else self._config.timeout_s)

    async def closed(self) -> None:
        """Wait until the connection is gone, whichever side ended it."""
        await asyncio.shield(self._gone)

    def when_gone(self, hook: Callable[[], None]) -> None:
        """Have `hook` called once the connection is gone."""
        self._lost_hooks.append(hook)

    # What the link tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link is there: look at it, and greet."""
        assert isinstance(transport, Link)
        self._link = transport
        transport.set_write_buffer_limits(high=self._config.buffer_bytes)
        self._timer = self._loop.call_later(self._config.timeout_s, self._too_late)
        try:
            if self._admit is not None:
                self.peer = self._admit(transport)
            if (greeting := self._handshake.start()) is not None:
                self._write(frame(greeting, Kind.HELLO))
        except SymphonyError as error:
            self.abort(error)

    def data_received(self, data: Chunk) -> None:
        """A piece of the stream: any size, any cut."""
        if not self._heeds():
            return
        # What is answered at once leaves together, when all of `data` has been delivered.
        outermost, self._corked = not self._corked, True
        try:
            for kind, body in self._frames.feed_frames(data):
                if kind is _MESSAGE and self._state is _OPEN:
                    self._arrived(body)
                elif self._heeds():
                    self._told(kind, body)
            if self._state is _GREETING and self._frames.held > HELLO_BYTES_MAX:
                raise FrameTooLarge(self._frames.held, HELLO_BYTES_MAX)  # no room for strangers
        except SymphonyError as error:
            self.abort(error)
        finally:
            if outermost:
                self._uncork()

    def eof_received(self) -> bool:
        """The peer will write no more; what it should have said before is judged in `connection_lost`."""
        return False

    def pause_writing(self) -> None:
        """The peer does not read fast enough."""
        self._blocked = True

    def resume_writing(self) -> None:
        """There is room again: let the first of those who wait go, who lets the next."""
        self._blocked = False
        self._wake_first()

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        if self._error is None and self._state is not _CLOSING:
            self._error = self._reason(exc)
        self._state = _GONE
        self._gathered.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._was_open:
            self._refused(self, self._error or ConnectionLost("the other side left during the handshake"))
        self._gone.set_result(None)
        for waiting in self._room:
            if not waiting.done():
                waiting.set_result(None)
        for hook in self._lost_hooks:
            hook()
        self._lost_hooks.clear()
        self._wake_asking()
        self._deliver()

    # In.

    def _heeds(self) -> bool:
        """True if what the peer says still matters."""
        return self._state is _OPEN or self._state is _GREETING

    def _arrived(self, body: bytes) -> None:
        if self._end_received:
            raise FrameBroken("a message after the end of messages")
        if self._receiver is not None and not self._held_back and not self._inbox:
            self._receiver.received(body)
            return
        self._inbox.append(body)
        self._inbox_bytes += len(body)
        self._wake_asking()
        if self._reading and self._inbox_bytes > self._config.buffer_bytes and self._link is not None:
            self._reading = False
            self._link.pause_reading()

    def _told(self, kind: Kind, body: bytes) -> None:
        if kind is Kind.FAREWELL:
            self._farewell(body)
        elif kind is Kind.HELLO and self._state is _GREETING:
            self._greeted(body)
        elif kind is Kind.END and self._state is _OPEN:
            self._end_received = True
            self._wake_asking()
            self._deliver()
            if self._end_sent:
                self._close_link()
        else:
            raise FrameBroken(f"a frame of kind {kind.name.lower()} has no place here")

    def _greeted(self, body: bytes) -> None:
        answer = self._handshake.step(body)
        if answer is not None:
            self._write(frame(answer, Kind.HELLO))
        if self._handshake.done:
            self._state = _OPEN
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._was_open = True
            self._opened(self)

    def _farewell(self, body: bytes) -> None:
        said = read_farewell(body)
        if self._state is _OPEN and said.code == ConnectionClosed.code:
            self._end_received = True
            self._state = _CLOSING
        else:
            self._error = ConnectionLost(
                f"the other side ended: {said.message}", code=said.code, hint=said.hint
            )
            self._state = _CLOSING
        self._close_link()

    def _take(self) -> bytes:
        body = self._inbox.popleft()
        self._inbox_bytes -= len(body)
        if (
            not self._reading
            and self._inbox_bytes * 2 <= self._config.buffer_bytes
            and self._link is not None
        ):
            self._reading = True
            if self._heeds():
                self._link.resume_reading()
        return body

    def _deliver(self) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        try:
            while self._inbox and not self._held_back:
                receiver.received(self._take())
        except SymphonyError as error:
            self._inbox.clear()
            self.abort(error)
        over = self._state is _GONE or (self._end_received and self._state is _OPEN)
        if over and not self._inbox and not self._ended_told:
            self._ended_told = True
            receiver.ended(self._error)

    def _wake_asking(self) -> None:
        if self._asking is not None and not self._asking.done():
            self._asking.set_result(None)

    # Out.

    def _refuse_unless_open(self) -> None:
        if self.open:
            return
        if self._error is not None:
            raise self._error
        raise ConnectionClosed("this connection has been closed")

    def _send(self, body: bytes) -> None:
        if self._state is not _OPEN or self._end_sent:
            self._refuse_unless_open()
        if len(body) < self._gather_bytes:
            self._write(frame(body, limit=self._frame_bytes_max))
        else:
            self._write(head(len(body), limit=self._frame_bytes_max))
            self._flush()
            self._link_write(body)

    def _write(self, data: bytes) -> None:
        if not self._corked:
            self._corked = True
            self._loop.call_soon(self._uncork)
            self._link_write(data)
            return
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= self._gather_bytes:
            self._flush()

    def _uncork(self) -> None:
        self._corked = False
        self._flush()

    def _flush(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._gathered_bytes = 0
            self._link_write(data)

    def _link_write(self, data: bytes) -> None:
        if self._link is not None and self._state is not _GONE:
            self._link.write(data)

    async def _wait_for_room(self) -> None:
        """Wait in line. Woken one at a time, so that a thousand senders do not overfill the buffer."""
        waiting = self._loop.create_future()
        self._room.append(waiting)
        try:
            await waiting
        finally:
            self._room.remove(waiting)
            # The next one's turn comes after this one has written; it looks again itself.
            if self._room and not self._blocked:
                self._loop.call_soon(self._wake_first)
        self._refuse_unless_open()

    def _wake_first(self) -> None:
        if self._room and (not self._blocked or self._state is _GONE) and not self._room[0].done():
            self._room[0].set_result(None)

    # Ending.

    def _leave(self, why: SymphonyError) -> None:
        self._write(frame(farewell(why), Kind.FAREWELL))
        self._state = _CLOSING
        if isinstance(why, ConnectionClosed):
            # The peer answers by closing. Closing first could destroy what it has not read yet.
            self._flush()
            self._linger(after_s=self._config.timeout_s)
        else:
            self._close_link()

    def _close_link(self) -> None:
        self._flush()
        if self._link is not None:
            self._link.close()
        self._linger(after_s=self._config.timeout_s)

    def _linger(self, *, after_s: float) -> None:
        """Whatever the peer does, the link is gone after so many seconds."""
        if self._state is _GONE or self._link is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(after_s, self._give_up)

    def _give_up(self) -> None:
        if self._link is not None:
            if self._error is None and self._link.get_write_buffer_size():
                self._error = ConnectionLost("the other side did not take the last messages in time")
            self._link.abort()

    def _too_late(self, *, final: bool = False) -> None:
        if not final:
            # If this process was stopped, or the machine slept, what was missed may be here by now.
            self._timer = self._loop.call_later(_GRACE_S, lambda: self._too_late(final=True))
            return
        self.abort(ConnectFailed(f"no handshake within {self._config.timeout_s:g} s"))

    def _reason(self, exc: Exception | None) -> SymphonyError | None:
        if self._end_received and self._end_sent:
            return None
        if self._frames.held:
            return ConnectionLost(
                f"the other side vanished in the middle of a message, {self._frames.held:,} bytes into it"
            )
        if isinstance(exc, OSError):
            return ConnectionLost(f"the connection broke: {exc.strerror or exc}")
        if exc is not None:
            return ConnectionLost(f"the connection broke: {exc}")
        return ConnectionLost(
            "the other side vanished without a goodbye", hint="it may have crashed: see its log"
        )
