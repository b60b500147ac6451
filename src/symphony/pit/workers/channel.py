"""Messages over a pair of sockets. Large ones travel in unnamed files, which nobody can forget.

A frame holds a message of at most `INLINE_BYTES_MAX`; an empty frame stands for one that is in the
file whose descriptor came with it. So a gigabyte is written once and mapped once, is never held
in a pipe, and vanishes with the processes that know it.
"""

import mmap
import os
import socket
import tempfile
from collections import deque
from contextlib import suppress
from typing import BinaryIO, Self

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.ipc.frames import FrameReader, frame

INLINE_BYTES_MAX = 64 * 1024
_READ_BYTES = 256 * 1024
_DESCRIPTORS_MAX = 16
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class ChannelBroken(SymphonyError):
    """The other side sent something invalid, or does not take what is sent."""

    code = "worker-died"


class Parcel:
    """A message ready to be sent: its frame, and the file where that does not hold it.

    Raises IoFailed if the file cannot be written. Blocks as long as writing takes; `close` it.
    """

    def __init__(self, body: bytes) -> None:
        self._file: BinaryIO | None = None
        self.frame = frame(body if len(body) <= INLINE_BYTES_MAX else b"")
        if len(body) > INLINE_BYTES_MAX:
            self._file = _unnamed(body)

    @classmethod
    def framed(cls, frames: bytes) -> Self:
        """One or more messages that are frames already."""
        parcel = cls(b"")
        parcel.frame = frames
        return parcel

    @property
    def descriptors(self) -> list[int]:
        """Return the descriptors of the files that go with the frame."""
        return [] if self._file is None else [self._file.fileno()]

    def send(self, connection: socket.socket) -> None:
        """Send it whole. Raises ChannelBroken if the other side is gone or has stopped reading."""
        rest = memoryview(self.frame)
        try:
            if self._file is not None:
                rest = rest[socket.send_fds(connection, [rest], self.descriptors) :]
            while rest:
                rest = rest[connection.send(rest) :]
        except OSError as error:
            raise ChannelBroken(f"the connection broke: {error.strerror or error}") from error

    def close(self) -> None:
        """Release the file; who has received it keeps it."""
        if self._file is not None:
            self._file.close()


class MessageReceiver:
    """Cuts what arrives at a socket into messages. Use from one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = FrameReader(limit=INLINE_BYTES_MAX)
        self._files: deque[int] = deque()

    def receive(self) -> list[bytes | memoryview] | None:
        """The messages that one read completes; None at the end of the stream.

        A message in a file is mapped, not read. Raises ChannelBroken, and OSError as `recv` does
        (BlockingIOError included).
        """
        data, descriptors, _, _ = socket.recv_fds(
            self._connection, _READ_BYTES, _DESCRIPTORS_MAX, _CLOSE_ON_EXEC
        )
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._files.extend(descriptors)
        if not data:
            return None
        try:
            return [body or self._mapped() for body in self._frames.feed(data)]
        except SymphonyError as error:
            raise ChannelBroken(f"it said what makes no sense: {error.message}") from error

    def close(self) -> None:
        """Release files that arrived and were not asked for."""
        while self._files:
            os.close(self._files.popleft())

    def _mapped(self) -> memoryview:
        if not self._files:
            raise ChannelBroken("a message is missing")
        descriptor = self._files.popleft()
        try:
            return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise ChannelBroken(f"a message cannot be read: {error}") from error
        finally:
            os.close(descriptor)


def _unnamed(body: bytes) -> BinaryIO:
    file = None
    try:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (the parcel closes it)
        rest = memoryview(body)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        if file is not None:
            with suppress(OSError):
                file.close()
        hint = f"make room in {tempfile.gettempdir()}, or set TMPDIR to a disk with more"
        raise IoFailed.of(error, f"hand {len(body):,} bytes to another process", hint=hint) from error
    return file
