"""Cuts JSON-RPC bodies from a stream: one a line, or each with a head that says its length. No I/O."""

from typing import Protocol

from symphony.commons.errors import SymphonyError
from symphony.ipc.frames import FRAME_BYTES_MAX, FrameTooLarge

HEADER_BYTES_MAX = 4096
_DIGITS_MAX = 12


class FramingBroken(SymphonyError):
    """The bytes are not a framed body; the stream cannot be read further."""

    code = "frame-broken"


class Framing(Protocol):
    """Cuts one stream into bodies, and frames bodies for the other."""

    def frame(self, body: bytes) -> bytes:
        """Return `body` as it goes over the wire. Raises FrameTooLarge."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that `data` completes. Raises FrameTooLarge, FramingBroken; then the stream
        is lost.
        """
        ...


class LineFraming:
    """One body a line, as xi's core and most tools over stdio speak. Empty lines are skipped."""

    def __init__(self, *, limit: int = FRAME_BYTES_MAX) -> None:
        """`limit`: bytes of a body."""
        self._limit = limit
        self._held = bytearray()

    def frame(self, body: bytes) -> bytes:
        """See `Framing.frame`. JSON of ours holds no line break: those in texts are escaped."""
        if len(body) > self._limit:
            raise FrameTooLarge(len(body), self._limit)
        return body + b"\n"

    def feed(self, data: bytes) -> list[bytes]:
        """See `Framing.feed`."""
        *lines, rest = data.split(b"\n")
        bodies = []
        for line in lines:
            self._held += line
            self._check()
            if body := bytes(self._held).strip():
                bodies.append(body)
            self._held.clear()
        self._held += rest
        self._check()
        return bodies

    def _check(self) -> None:
        if len(self._held) > self._limit:
            raise FrameTooLarge(len(self._held), self._limit)


class HeaderFraming:
    """`Content-Length: N`, an empty line, N bytes: as language servers speak.

    Source: the Language Server Protocol, "Base Protocol".
    """

    def __init__(self, *, limit: int = FRAME_BYTES_MAX) -> None:
        """`limit`: bytes of a body."""
        self._limit = limit
        self._held = bytearray()
        self._size: int | None = None

    def frame(self, body: bytes) -> bytes:
        """See `Framing.frame`."""
        if len(body) > self._limit:
            raise FrameTooLarge(len(body), self._limit)
        return b"Content-Length: %d\r\n\r\n" % len(body) + body

    def feed(self, data: bytes) -> list[bytes]:
        """See `Framing.feed`."""
        self._held += data
        bodies: list[bytes] = []
        start = 0
        while True:
            if self._size is None:
                end = self._held.find(b"\r\n\r\n", start, start + HEADER_BYTES_MAX)
                if end < 0:
                    if len(self._held) - start >= HEADER_BYTES_MAX:
                        raise FramingBroken(f"no end of the head within {HEADER_BYTES_MAX:,} bytes")
                    break
                self._size = self._length(bytes(self._held[start:end]))
                start = end + 4
            if len(self._held) - start < self._size:
                break
            bodies.append(bytes(self._held[start : start + self._size]))
            start += self._size
            self._size = None
        del self._held[:start]
        return bodies

    def _length(self, head: bytes) -> int:
        found = None
        for line in head.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                raise FramingBroken(f"{line[:40]!r} is not a header line")
            if name.strip().lower() == b"content-length":
                digits = value.strip()
                if found is not None or not digits.isdigit() or len(digits) > _DIGITS_MAX:
                    raise FramingBroken(f"{line[:40]!r} gives no length")
                found = int(digits)
        if found is None:
            raise FramingBroken("a head without Content-Length")
        if found > self._limit:
            raise FrameTooLarge(found, self._limit)
        return found
