"""Bytes of a stream as text, whole lines at a time. No I/O."""

import codecs
from collections.abc import Callable

_PENDING_CHARS_MAX = 64 * 1024


class LineSplitter:
    """Hands what it is fed on to `take` as whole lines, one or more at a time; very long ones in pieces.

    Bytes that are not UTF-8 become U+FFFD. The end of the last line is not handed on.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def feed(self, chunk: bytes) -> None:
        """The next bytes; b"" says that the stream has ended."""
        text = self._pending + self._decoder.decode(chunk, final=not chunk)
        lines, newline, self._pending = text.rpartition("\n")
        if newline:  # one call for all of them: a call for each line would hold up the loop
            self._take(lines)
        if self._pending and (not chunk or len(self._pending) >= _PENDING_CHARS_MAX):
            self._take(self._pending)
            self._pending = ""
