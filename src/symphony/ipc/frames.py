"""Frames on a byte stream: a head of 8 bytes, then the body. No I/O.

The head: the byte `S`, the version, the kind, a zero, and the body's length as 4 bytes,
big-endian. The length is checked before anything is set aside for it, and room for the body
grows only as it arrives: a broken or hostile peer cannot make this side run out of memory.
"""

import struct
from enum import IntEnum
from typing import TypeAlias

from symphony.commons.errors import SymphonyError

VERSION = 1
HEAD_BYTES = 8
FRAME_BYTES_MAX = 64 * 1024 * 1024
"""The largest body, in bytes, that either side accepts by default."""

_MAGIC = ord("S")

Chunk: TypeAlias = bytes | bytearray | memoryview
"""A piece of a stream as a transport hands it over; read before the call returns, never kept."""


class Kind(IntEnum):
    """The kind of a frame's body."""

    MESSAGE = 1
    HELLO = 2
    """A step of the handshake, before any message."""
    END = 3
    """No message will follow, though some may still be read. No body."""
    FAREWELL = 4
    """The connection ends now, and the body says why."""


_KINDS = {kind.value: kind for kind in Kind}


class FrameBroken(SymphonyError):
    """Bytes that are no frame of this version. The stream they came from cannot be read further."""

    code = "frame-broken"


class FrameTooLarge(SymphonyError):
    """A frame's body is, or claims to be, larger than allowed."""

    code = "limit-exceeded"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"a message of {size:,} bytes exceeds the limit of {limit:,}",
            details={"size": size, "limit": limit},
            hint="pass less at once: split the input",
        )


Frame: TypeAlias = tuple[Kind, bytes]
"""One frame, cut from a stream: kind and body."""

_HEAD = struct.Struct(">II")


def _prefix(kind: Kind) -> int:
    return _MAGIC << 24 | VERSION << 16 | kind << 8


_MESSAGE, _MESSAGE_PREFIX = Kind.MESSAGE, _prefix(Kind.MESSAGE)
"""Names of their own: Python 3.11 takes 0.2 µs to find a member in its class, and every message asks."""


def head(size: int, kind: Kind = Kind.MESSAGE, *, limit: int = FRAME_BYTES_MAX) -> bytes:
    """Return the head of a frame with a body of `size` bytes. Raises FrameTooLarge above `limit`."""
    if size > limit:
        raise FrameTooLarge(size, limit)
    return _HEAD.pack(_MESSAGE_PREFIX if kind is _MESSAGE else _prefix(kind), size)


def frame(body: bytes, kind: Kind = Kind.MESSAGE, *, limit: int = FRAME_BYTES_MAX) -> bytes:
    """Return `body` as it goes over the wire. Raises FrameTooLarge above `limit` bytes."""
    return head(len(body), kind, limit=limit) + body


class FrameReader:
    """Cuts a stream, fed in pieces of any size, into frames."""

    def __init__(self, *, limit: int = FRAME_BYTES_MAX) -> None:
        self._limit = limit
        self._held = bytearray()
        self._wanted = 0

    @property
    def held(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._held)

    def feed(self, data: Chunk) -> list[bytes]:
        """Return the messages that `data` completes, in order, where nothing but messages is expected.

        Raises as `feed_frames`, and FrameBroken for any other kind of frame.
        """
        frames = self.feed_frames(data)
        for kind, _ in frames:
            if kind is not Kind.MESSAGE:
                raise FrameBroken(f"a frame of kind {kind.name.lower()} has no place here")
        return [body for _, body in frames]

    def feed_frames(self, data: Chunk) -> list[Frame]:
        """Return the frames that `data` completes, in order.

        Raises FrameBroken or FrameTooLarge; then what came before it in `data` is dropped too, and the
        stream is lost.
        """
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            held, self._held = self._held, bytearray()
            return self._cut(held)
        return self._cut(data)

    def _cut(self, data: Chunk) -> list[Frame]:
        frames: list[Frame] = []
        start, end, unpack = 0, len(data), _HEAD.unpack_from
        # A slice of bytes is the one copy that is needed; of other buffers it would not be bytes.
        source = data if isinstance(data, bytes) else memoryview(data)
        while end - start >= HEAD_BYTES:
            prefix, size = unpack(source, start)
            kind = _MESSAGE if prefix == _MESSAGE_PREFIX else _kind(prefix)
            if size > self._limit:
                raise FrameTooLarge(size, self._limit)
            after = start + HEAD_BYTES + size
            if after > end:
                break
            body = source[start + HEAD_BYTES : after]
            frames.append((kind, body if isinstance(body, bytes) else bytes(body)))
            start = after
        if start < end:
            self._keep(memoryview(source)[start:])
        return frames

    def _keep(self, rest: memoryview) -> None:
        """Hold the start of a frame; nothing need be looked at again until `_wanted` bytes are here."""
        self._held += rest
        size = int.from_bytes(rest[4:HEAD_BYTES], "big") if len(rest) >= HEAD_BYTES else 0
        self._wanted = HEAD_BYTES + size


def _kind(prefix: int) -> Kind:
    """Return the kind in a head that is not that of a message. Raises FrameBroken."""
    start = prefix.to_bytes(4, "big")
    if start[0] != _MAGIC:
        raise FrameBroken(
            f"these bytes are not a frame: {start.hex(' ')}…",
            hint="the other side does not speak Symphony's protocol, or something else wrote to its output",
        )
    if start[1] != VERSION:
        raise FrameBroken(
            f"a frame of version {start[1]}, but this side reads version {VERSION}",
            hint="run the same version of Symphony on both sides",
        )
    kind = _KINDS.get(start[2])
    if kind is None or start[3] != 0:
        raise FrameBroken(f"a frame of the unknown kind {start[2]}.{start[3]}")
    return kind
