"""Length-prefixed frames on a byte stream: 4 bytes, big-endian, then the body. No I/O.

The announced length is checked before anything is set aside for it, so a broken or hostile
peer cannot make this side run out of memory.
"""

from symphony.commons.errors import SymphonyError

HEADER_BYTES = 4
FRAME_BYTES_MAX = 64 * 1024 * 1024
"""Largest body that either side accepts."""


class FrameTooLarge(SymphonyError):
    """A frame's body is, or claims to be, larger than allowed."""

    code = "limit-exceeded"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"a message of {size:,} bytes exceeds the limit of {limit:,}",
            details={"size": size, "limit": limit},
            hint="pass less at once: split the input",
        )


def frame(body: bytes, *, limit: int = FRAME_BYTES_MAX) -> bytes:
    """`body` as it goes over the wire. Raises FrameTooLarge above `limit` bytes."""
    if len(body) > limit:
        raise FrameTooLarge(len(body), limit)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class FrameReader:
    """Cuts a stream, fed in pieces of any size, into bodies."""

    def __init__(self, *, limit: int = FRAME_BYTES_MAX) -> None:
        self._limit = limit
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes, in order. Raises FrameTooLarge; then the stream is lost."""
        self._held += data
        bodies: list[bytes] = []
        start = 0
        while len(self._held) - start >= HEADER_BYTES:
            size = int.from_bytes(self._held[start : start + HEADER_BYTES], "big")
            if size > self._limit:
                raise FrameTooLarge(size, self._limit)
            end = start + HEADER_BYTES + size
            if len(self._held) < end:
                break
            bodies.append(bytes(self._held[start + HEADER_BYTES : end]))
            start = end
        del self._held[:start]
        return bodies
