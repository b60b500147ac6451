"""`shm://NAME`: two rings in shared memory, one each way, and descriptors to wake each other by.

A Unix socket brings the two sides together: over it the connector passes the descriptors of the
memory and of the two wakers, and from then on it only tells, by closing, that a side has died.
The memory has no name and vanishes with its processes. A side that has nothing to do sleeps, after a
short look around while answers come quickly; the other wakes it only then. A slow timer looks
after a wake-up that was lost.
"""

import asyncio
import mmap
import os
import socket
import struct
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.ipc.transports import unix
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import PeerRefused, TransportUnsupported
from symphony.ipc.transports.ring import HEAD_BYTES, RingReader, RingWriter

GUARD_S = 0.5
"""How often a sleeping side looks by itself, should a wake-up ever be lost."""

_READ_BYTES = 256 * 1024
_READS_A_TURN = 4
_SPIN_NS, _LOOKS = 40_000, 32
_SPIN_WOKEN_NS = 100_000
"""An answer takes longer from a peer that had to be woken for the question."""

_SOON_NS = 200_000
_REST_MIN, _REST_MAX = 8, 1024
"""A side that looked in vain does not look again before it has been woken soon so many times; each
time in vain doubles it."""

_DESCRIPTORS = 3
_INTRODUCTION = struct.Struct(">4sQ")
_MAGIC = b"SHM1"
_RING_BYTES_MAX = 1 << 30
_ACCEPT_AGAIN_S = 0.1
_BACKLOG = 1024


class SharedDescriptors(NamedTuple):
    """Descriptors of one connection. The connector writes to the first ring, and the last wakes it."""

    memory: int
    wake_listener: int
    wake_connector: int

    def close(self) -> None:
        """Close all three."""
        for descriptor in self:
            os.close(descriptor)


def socket_path(name: str, config: TransportConfig) -> Path:
    """Return where the two sides of `shm://NAME` meet."""
    folder = config.runtime_dir
    if folder is None:
        from platformdirs import user_runtime_path

        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR the library tells every user which other folder it takes.
            warnings.simplefilter("ignore")
            folder = user_runtime_path("symphony", ensure_exists=False)
    return folder / f"{name}.shm"


async def connect(name: str, config: TransportConfig) -> Connection:
    """Raises ConnectFailed if nobody listens there, PeerRefused if it is another user's, IoFailed."""
    _need_linux()
    control = await unix.dialled(socket_path(name, config), config.timeout_s)
    dial = Dial(config, unix.same_user)
    try:
        shared = _made(config.buffer_bytes)
        try:
            socket.send_fds(control, [_INTRODUCTION.pack(_MAGIC, config.buffer_bytes)], shared)
            RingLink(dial.connection, control, shared, config.buffer_bytes, connector=True, poll=config.poll)
        finally:
            shared.close()
    except OSError as error:
        control.close()
        raise IoFailed.of(error, f"share memory with shm://{name}") from error
    return await dial.opened()


async def listen(name: str, listener: Listener, config: TransportConfig) -> None:
    """Let others of this user connect to `name`. Raises AddressInUse, IoFailed."""
    _need_linux()
    bound = unix.Bound(socket_path(name, config))
    bound.socket.listen(_BACKLOG)
    doorman = _Doorman(bound.socket, listener, config)

    async def stop() -> None:
        bound.release()
        doorman.close()

    listener.when_closed(stop)


def _need_linux() -> None:
    if sys.platform != "linux":
        raise TransportUnsupported(
            "shm:// needs Linux: memory whose size is sealed, and eventfd", hint="use unix://"
        )


class _Doorman:
    """Takes connections at the socket, and the descriptors that each must bring."""

    def __init__(self, listening: socket.socket, listener: Listener, config: TransportConfig) -> None:
        self._listening, self._listener, self._config = listening, listener, config
        self._loop = asyncio.get_running_loop()
        self._guests: dict[socket.socket, asyncio.TimerHandle] = {}
        self._loop.add_reader(listening, self._knocked)

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for guest in tuple(self._guests):
            self._forget(guest)
            guest.close()

    def _knocked(self) -> None:
        try:
            while True:
                self._greet(self._listening.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors, most likely. Those who knock wait; try again soon.
            self._listener.turned_away(IoFailed.of(error, "take a connection"))
            self._loop.remove_reader(self._listening)
            self._loop.call_later(_ACCEPT_AGAIN_S, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._knocked)

    def _greet(self, guest: socket.socket) -> None:
        guest.setblocking(False)
        if len(self._guests) >= self._config.connections_max:
            guest.close()
            return
        self._guests[guest] = self._loop.call_later(self._config.timeout_s, self._introduced, guest)
        self._loop.add_reader(guest, self._introduced, guest)

    def _introduced(self, guest: socket.socket) -> None:
        """It has spoken, or it is too late for that."""
        self._forget(guest)
        descriptors: list[int] = []
        try:
            said, descriptors, _, _ = socket.recv_fds(guest, _INTRODUCTION.size, _DESCRIPTORS)
            shared, ring_bytes = _checked(said, descriptors)
            self._admit(guest, shared, ring_bytes)
        except (SymphonyError, OSError, ValueError, struct.error) as error:
            guest.close()
            self._listener.turned_away(PeerRefused(f"it brings no memory to share: {error}"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _admit(self, guest: socket.socket, shared: SharedDescriptors, ring_bytes: int) -> None:
        connection = self._listener.protocol()
        try:
            RingLink(connection, guest, shared, ring_bytes, connector=False, poll=self._config.poll)
        except (OSError, ValueError) as error:  # no memory or no descriptors are left
            guest.close()
            connection.connection_lost(error)  # else the listener would wait for it when it closes

    def _forget(self, guest: socket.socket) -> None:
        self._loop.remove_reader(guest)
        if (timer := self._guests.pop(guest, None)) is not None:
            timer.cancel()


def _made(ring_bytes: int) -> SharedDescriptors:
    """New memory and wakers. Raises OSError."""
    opened: list[int] = []
    try:
        opened.append(_memory(_total_bytes(ring_bytes)))
        opened += (_waker(), _waker())
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return SharedDescriptors(*opened)


def _total_bytes(ring_bytes: int) -> int:
    return 2 * (HEAD_BYTES + ring_bytes)


def _memory(size: int) -> int:
    """Shared memory that has no name, and whose size nobody can change."""
    import fcntl

    number = os.memfd_create("symphony", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(number, size)
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(number)
        raise
    return number


_SEALS = 0x0001 | 0x0002 | 0x0004
"""F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW."""


def _waker() -> int:
    """Return a descriptor that wakes who waits for it."""
    return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def _checked(said: bytes, descriptors: Sequence[int]) -> tuple[SharedDescriptors, int]:
    """Return what a connector brings, and the size of its rings. Raises ValueError, OSError, struct.error.

    Memory that could still shrink would end this process with a bus error when it does.
    """
    import fcntl

    magic, ring_bytes = _INTRODUCTION.unpack(said)
    if magic != _MAGIC or len(descriptors) != _DESCRIPTORS or not 0 < ring_bytes <= _RING_BYTES_MAX:
        raise ValueError("a wrong introduction")
    if os.fstat(descriptors[0]).st_size != _total_bytes(ring_bytes):
        raise ValueError("memory of another size than announced")
    if fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise ValueError("memory whose size can change")
    return SharedDescriptors(*descriptors), ring_bytes


class RingLink(asyncio.Transport):
    """One side's end of the two rings."""

    def __init__(
        self,
        protocol: Connection,
        control: socket.socket,
        shared: SharedDescriptors,
        ring_bytes: int,
        *,
        connector: bool,
        poll: bool,
    ) -> None:
        """`control` is owned from now on, the descriptors of `shared` are not. Raises OSError, ValueError."""
        super().__init__()
        self._protocol, self._control, self._poll = protocol, control, poll
        self._loop = asyncio.get_running_loop()
        self._map = mmap.mmap(shared.memory, _total_bytes(ring_bytes))
        whole, half = memoryview(self._map), HEAD_BYTES + ring_bytes
        first, second = whole[:half], whole[half:]
        self._views = (first, second, whole)
        self._out = RingWriter(first if connector else second)
        self._in = RingReader(second if connector else first)
        own, other = shared.wake_connector, shared.wake_listener
        self._bell, self._their_bell = (os.dup(one) for one in ((own, other) if connector else (other, own)))
        self._waiting = bytearray()
        self._high, self._low = 64 * 1024, 16 * 1024
        self._paused_protocol = False
        self._reading = True
        # Sleeping and being woken takes longer than many an answer. Who is woken soon after falling
        # asleep looks a little longer next time; who then looked in vain leaves it for a while.
        self._patience = self._asleep_ns = 0
        self._rest = _REST_MIN
        self._woke_peer = False
        self._again: asyncio.Handle | None = None
        self._closing = self._peer_gone = self._lost = False
        self._loop.add_reader(self._bell, self._rung)
        self._loop.add_reader(control, self._control_said)
        self._guard = self._loop.call_later(GUARD_S, self._look)
        protocol.connection_made(self)
        self._turn()

    # What the connection uses.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Put `data` into the ring, and keep what has no room."""
        if self._closing or self._lost:
            return
        if self._waiting:
            self._waiting += data
        else:
            done = self._put(data)
            if done < len(data):
                self._waiting += memoryview(data)[done:]
                self._drain()
        if len(self._waiting) > self._high and not self._paused_protocol:
            self._paused_protocol = True
            self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bytes kept here at which the writer is paused, and at which it goes on."""
        self._high = self._high if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Bytes that had no room in the ring."""
        return len(self._waiting)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """`socket`: the one over which the descriptors came."""
        return self._control if name == "socket" else default

    def is_closing(self) -> bool:
        """True if this end has been closed."""
        return self._closing

    def pause_reading(self) -> None:
        """Take nothing from the ring."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take again."""
        self._reading = True
        self._soon()

    def close(self) -> None:
        """Close when all is in the ring."""
        if not self._closing:
            self._closing = True
            self._reading = False
            self._soon()

    def abort(self) -> None:
        """Close at once; what is not in the ring is lost."""
        self._waiting.clear()
        self.close()

    # What wakes it.

    def _rung(self) -> None:
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass
        if perf_counter_ns() - self._asleep_ns < _SOON_NS:
            self._patience += 1
        self._turn()

    def _look(self) -> None:
        self._guard = self._loop.call_later(GUARD_S, self._look)
        self._turn()

    def _control_said(self) -> None:
        try:
            if self._control.recv(64):
                return  # there is nothing more to say over it
        except BlockingIOError:
            return
        except OSError:
            pass
        self._loop.remove_reader(self._control)
        self._peer_gone = True
        self._turn()

    def _soon(self) -> None:
        if self._again is None and not self._lost:
            self._again = self._loop.call_soon(self._turn_again)

    def _turn_again(self) -> None:
        self._again = None
        self._turn()

    def _turn(self) -> None:
        """Move what can be moved, and sleep or come back."""
        if self._lost:
            return
        try:
            if self._waiting:
                self._drain()
            more = self._take()
        except SymphonyError as error:
            self._protocol.abort(error)
            self._end()
            return
        except BaseException:
            self._end()  # a bug in a receiver; with a socket the event loop would close it, too
            raise
        if self._over(more):
            self._end()
        elif more or (self._poll and not self._closing):
            self._soon()

    def _over(self, more: bool) -> bool:
        """Closed, and all said; or left alone, and all heard."""
        if self._closing:
            return self._peer_gone or not self._waiting
        return self._peer_gone and self._reading and not more

    # Out.

    def _put(self, data: bytes | bytearray | memoryview) -> int:
        done = self._out.write(data)
        if done and self._out.reader_sleeps():
            self._woke_peer = True
            self._ring()
        return done

    def _drain(self) -> None:
        while self._waiting:
            with memoryview(self._waiting) as view:
                done = self._put(view)
            if done == 0 and self._out.sleep():
                break
            del self._waiting[:done]
        if self._paused_protocol and len(self._waiting) <= self._low:
            self._paused_protocol = False
            self._protocol.resume_writing()

    def _ring(self) -> None:
        with suppress(OSError):  # it cannot be full, nor does it matter if it is
            os.eventfd_write(self._their_bell, 1)

    # In.

    def _take(self) -> bool:
        """Deliver what has come. True if there may be more."""
        spins = self._reading and (self._poll or self._patience > 0)
        if spins and not self._spin() and not self._poll:
            spins, self._patience = False, -self._rest
            self._rest = min(2 * self._rest, _REST_MAX)
        for _ in range(_READS_A_TURN):
            if not self._reading:
                return False
            data = self._in.read(_READ_BYTES)
            if self._in.writer_sleeps():
                self._ring()
            if data:
                self._protocol.data_received(data)
                if spins:
                    self._rest = _REST_MIN
                    return True  # a waiting sender has a turn before this side looks again
            elif self._poll:
                return False
            elif self._in.sleep():
                self._asleep_ns = perf_counter_ns()
                return False
        self._in.stay_awake()
        return True

    def _spin(self) -> bool:
        """Look for a while, without giving the event loop its turn, whether something comes."""
        until = perf_counter_ns() + (_SPIN_WOKEN_NS if self._woke_peer else _SPIN_NS)
        self._woke_peer = False
        while not self._in.looks(_LOOKS):
            if perf_counter_ns() > until:
                return False
            os.sched_yield()  # the other side may be waiting for this very core
        return True

    def _end(self) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._guard.cancel()
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._bell)
        self._loop.remove_reader(self._control)
        self._control.close()
        os.close(self._bell)
        os.close(self._their_bell)
        self._waiting.clear()
        self._loop.call_soon(self._bury)

    def _bury(self) -> None:
        """In a turn of its own: nobody is in the midst of using the memory."""
        self._out.release()
        self._in.release()
        for view in self._views:
            view.release()
        self._map.close()
        self._protocol.connection_lost(None)
