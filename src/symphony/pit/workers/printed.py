"""Cuts what a worker prints into the lines of each call. No I/O.

After each call the worker writes a mark on both of its outputs, so that it is known whose a line is
although several calls are under way.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

from symphony.ipc.lines import LineSplitter

Output: TypeAlias = Callable[[str, Literal["stdout", "stderr"]], None]


class Printed:
    """One of the two outputs. `told` gets all lines, besides the output whose call printed them."""

    def __init__(
        self, stream: Literal["stdout", "stderr"], mark: bytes, told: Callable[[str], None] | None = None
    ) -> None:
        self._stream, self._mark, self._told = stream, mark, told
        self._calls: deque[tuple[object, Output]] = deque()
        self._rest = b""
        self._lines = LineSplitter(self._take)

    def expect(self, call: object, output: Output) -> None:
        """After the calls that are expected already, `call` prints."""
        self._calls.append((call, output))

    def expects(self, call: object) -> bool:
        """Return whether `call` is the one that prints now."""
        return bool(self._calls) and self._calls[0][0] is call

    def recall(self, count: int) -> None:
        """The last `count` calls that were expected print nothing."""
        for _ in range(count):
            self._calls.pop()

    def feed(self, chunk: bytes) -> None:
        """The next bytes; b"" says that the output has ended."""
        *ended, rest = (self._rest + chunk).split(self._mark)
        for text in ended:
            if text:
                self._lines.feed(text)
            self.end_call()
        held = _begun(rest, self._mark) if chunk else 0
        self._rest = rest[len(rest) - held :]
        if text := rest[: len(rest) - held]:
            self._lines.feed(text)
        if not chunk:
            self._lines.feed(b"")

    def end_call(self) -> None:
        """End the output of the current call: what comes next is another call's."""
        self._lines.feed(b"")
        if self._calls:
            self._calls.popleft()

    def _take(self, text: str) -> None:
        if self._told is not None:
            self._told(text)
        if self._calls:  # else a thread that a call left behind may print
            self._calls[0][1](text, self._stream)


def _begun(rest: bytes, mark: bytes) -> int:
    """Return how many bytes at the end of `rest` may be the beginning of a mark."""
    at = rest.rfind(mark[:1], max(0, len(rest) - len(mark) + 1))
    return len(rest) - at if at >= 0 and mark.startswith(rest[at:]) else 0
