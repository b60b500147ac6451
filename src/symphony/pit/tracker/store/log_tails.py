"""The end of what a node printed beyond its share of the log. Values in memory, bounded; no I/O.

A record of a log holds one line or several, as they were printed; a piece of what a model says is
never divided.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from symphony.pit.tracker.core.names import pattern_of
from symphony.ports.logs import LogLine, Stream

NODES_MAX: Final = 64
RECORDS_MAX: Final = 4_000
_JOINED_CHARS_MAX: Final = 2_000
_JOINED_S_MAX: Final = 0.5
_FULL: Final = "… this log is full: its end is written when the run ends, and lost if the process is killed …"


class EndOfLog(msgspec.Struct, frozen=True, kw_only=True):
    """Stands in a log where a node has had its share, and again where the end of its log is written.

    A log with the first and without the second is that of a run under way, or of a killed one.
    """

    at: float
    node: str
    written: bool


_lines = msgspec.json.Decoder(LogLine)
_ends = msgspec.json.Decoder(EndOfLog)


def text_bytes(text: str, stream: Stream) -> int:
    """Return the bytes that a record counts against its share: its text as UTF-8, and the last line's end."""
    count = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return count if stream == "tokens" else count + 1


def lines_of(record: LogLine) -> Iterator[LogLine]:
    """The single lines of a record."""
    if record.stream == "tokens" or "\n" not in record.text:
        yield record
        return
    for text in record.text.split("\n"):
        yield LogLine(at=record.at, node=record.node, stream=record.stream, text=text)


class Wanted:
    """Picks the lines of one node and stream, if they are named, from the records of a log.

    Damaged records are passed over. Where the end of a node's log is missing, a line says so.
    """

    def __init__(self, node: str | None, stream: Stream | None) -> None:
        self._meant = None if node is None else re.compile(rf"{pattern_of(node)}(?:$|[\[#.])")
        self._stream = stream
        self._missing: dict[str, EndOfLog] = {}

    def of(self, records: Iterable[bytes]) -> Iterator[LogLine]:
        """The lines of `records`, which are those that follow the ones before."""
        for raw in records:
            try:
                record = _lines.decode(raw)
            except msgspec.MsgspecError:
                self._note(raw)
                continue
            if self._missing and (end := self._missing.pop(record.node, None)) is not None:
                yield from self._told(end)
            if self._wants(record.node, record.stream):
                yield from lines_of(record)

    def unwritten(self) -> Iterator[LogLine]:
        """A line for each end that is missing so far, once."""
        ends = list(self._missing.values())
        self._missing.clear()
        for end in ends:
            yield from self._told(end)

    def _note(self, raw: bytes) -> None:
        try:
            end = _ends.decode(raw)
        except msgspec.MsgspecError:
            return
        if end.written:
            self._missing.pop(end.node, None)
        else:
            self._missing[end.node] = end

    def _told(self, end: EndOfLog) -> Iterator[LogLine]:
        if self._wants(end.node, "stderr"):
            yield LogLine(at=end.at, node=end.node, stream="stderr", text=_FULL)

    def _wants(self, name: str, stream: Stream) -> bool:
        """Return whether the step `name` is the wanted node, one of its elements or rounds, or inside it."""
        return (self._stream is None or stream == self._stream) and (
            self._meant is None or self._meant.match(name) is not None
        )


def split_at(text: str, stream: Stream, room: int) -> tuple[str | None, str]:
    """Divide a record that has no room: the lines at its beginning that `room` bytes hold, and the rest."""
    if stream == "tokens":
        return None, text
    start = 0
    while (end := text.find("\n", start)) >= 0 and (room := room - text_bytes(text[start:end], stream)) >= 0:
        start = end + 1
    return (text[: start - 1], text[start:]) if start else (None, text)


class _Record:
    """Lines that were printed one after the other to the same stream."""

    __slots__ = ("at", "bytes", "stream", "text")

    def __init__(self, at: float, stream: Stream, text: str, count: int) -> None:
        self.at, self.stream, self.text, self.bytes = at, stream, text, count

    @property
    def lines(self) -> int:
        """Return how many line ends the record has."""
        return self.text.count("\n") + (self.stream != "tokens")


class LogTail:
    """The newest lines of one node, and how much was left out before them.

    At most `RECORDS_MAX` records and `bytes_max` bytes of text are given in the end.
    """

    __slots__ = ("_bytes", "_bytes_max", "_kept", "_left_bytes", "_left_lines")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._kept = bytes_max, deque[_Record]()
        self._bytes = self._left_lines = self._left_bytes = 0

    def add(self, at: float, stream: Stream, text: str, count: int) -> None:
        """Keep a record of `count` bytes, and let go of the oldest ones that have no room any more.

        Short records are joined, for each that is kept takes memory.
        """
        kept = self._kept
        self._bytes += count
        if (
            kept
            and (last := kept[-1]).stream == stream != "tokens"
            and len(last.text) < _JOINED_CHARS_MAX
            and 0 <= at - last.at < _JOINED_S_MAX
        ):
            last.text = f"{last.text}\n{text}"
            last.bytes += count
        else:
            kept.append(_Record(at, stream, text, count))
        while self._bytes - kept[0].bytes >= self._bytes_max or len(kept) > RECORDS_MAX:
            self._let_go(kept.popleft())
            if not kept:
                break

    def _let_go(self, record: _Record) -> None:
        self._bytes -= record.bytes
        self._left_bytes += record.bytes
        self._left_lines += record.lines

    def _trim(self) -> None:
        """Leave no more than may be kept: of the oldest record, the last lines."""
        while self._bytes > self._bytes_max:
            record = self._kept.popleft()
            self._let_go(record)
            if record.stream == "tokens":
                continue
            lines, room = record.text.split("\n"), self._bytes_max - self._bytes
            first = len(lines)
            while first and (room := room - text_bytes(lines[first - 1], record.stream)) >= 0:
                first -= 1
            if first < len(lines):
                text = "\n".join(lines[first:])
                rest = _Record(record.at, record.stream, text, text_bytes(text, record.stream))
                self._kept.appendleft(rest)
                self._bytes += rest.bytes
                self._left_bytes -= rest.bytes
                self._left_lines -= rest.lines

    def lines(self, node: str, now_s: float) -> list[LogLine]:
        """All that is kept, after a line that says how much is not. Ends what can be added."""
        self._trim()
        kept = [LogLine(at=one.at, node=node, stream=one.stream, text=one.text) for one in self._kept]
        if self._left_bytes == 0:
            return kept
        noun = "line" if self._left_lines == 1 else "lines"
        said = f"… {self._left_lines:,} {noun} ({self._left_bytes:,} bytes) left out …"
        at = kept[0].at if kept else now_s
        return [LogLine(at=at, node=node, stream="stderr", text=said), *kept]


class LogTails:
    """The ends of several nodes' logs. Beyond `NODES_MAX`, the one that was quiet longest is given up."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max, self._tails = bytes_max, OrderedDict[str, LogTail]()

    def add(self, node: str, at: float, stream: Stream, text: str, count: int) -> tuple[str, LogTail] | None:
        """Keep the record; gives the node and the end of its log that must be written now to make room."""
        tail = self._tails.get(node)
        given_up = None
        if tail is None:
            if len(self._tails) >= NODES_MAX:
                given_up = self._tails.popitem(last=False)
            tail = self._tails[node] = LogTail(self._bytes_max)
        self._tails.move_to_end(node)
        tail.add(at, stream, text, count)
        return given_up

    def __contains__(self, node: str) -> bool:
        return node in self._tails

    def take(self) -> list[tuple[str, LogTail]]:
        """All ends that are kept; none is afterwards."""
        found = list(self._tails.items())
        self._tails.clear()
        return found
