"""The end of what a node printed beyond its share of the log. Values in memory, bounded; no I/O."""

from collections import OrderedDict, deque
from typing import Final

from symphony.ports.logs import LogLine, Stream

NODES_MAX: Final = 64
LINES_MAX: Final = 4_000


def text_bytes(text: str, stream: Stream) -> int:
    """How much of its share a line takes: its bytes as UTF-8, and the end of the line."""
    count = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return count if stream == "tokens" else count + 1


class LogTail:
    """The newest lines of one node, and how much was left out before them.

    At most `LINES_MAX` lines and `bytes_max` bytes of text are kept.
    """

    __slots__ = ("_bytes", "_bytes_max", "_kept", "_left_bytes", "_left_lines")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._kept = bytes_max, deque[tuple[LogLine, int]]()
        self._bytes = self._left_lines = self._left_bytes = 0

    def add(self, line: LogLine) -> None:
        """Keep the line, and let go of the oldest ones that have no room any more."""
        count = text_bytes(line.text, line.stream)
        self._kept.append((line, count))
        self._bytes += count
        while self._bytes > self._bytes_max or len(self._kept) > LINES_MAX:
            _, gone = self._kept.popleft()
            self._bytes -= gone
            self._left_bytes += gone
            self._left_lines += 1

    def lines(self, node: str, now_s: float) -> list[LogLine]:
        """All that is kept, after a line that says how much is not."""
        kept = [line for line, _ in self._kept]
        if self._left_lines == 0:
            return kept
        noun = "line" if self._left_lines == 1 else "lines"
        said = f"… {self._left_lines:,} {noun} ({self._left_bytes:,} bytes) left out …"
        at = kept[0].at if kept else now_s
        return [LogLine(at=at, node=node, stream="stderr", text=said), *kept]


class LogTails:
    """The ends of several nodes' logs. Beyond `NODES_MAX`, the one that was quiet longest is given up."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._tails = bytes_max, OrderedDict[str, LogTail]()

    def add(self, line: LogLine) -> tuple[str, LogTail] | None:
        """Keep the line; gives the node and the end of its log that must be written now to make room."""
        tail = self._tails.get(line.node)
        given_up = None
        if tail is None:
            if len(self._tails) >= NODES_MAX:
                given_up = self._tails.popitem(last=False)
            tail = self._tails[line.node] = LogTail(self._bytes_max)
        self._tails.move_to_end(line.node)
        tail.add(line)
        return given_up

    def take(self) -> list[tuple[str, LogTail]]:
        """All ends that are kept; none is afterwards."""
        found = list(self._tails.items())
        self._tails.clear()
        return found
