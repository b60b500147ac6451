"""The logs of a run: what nodes print, in bounded files, and the capture of `print` in operators.

A run's log is `RUN.jsonl`; when it is full it becomes `RUN.1.jsonl` and a new one begins, so that the
newest lines stay and two files are all there ever is.
"""

import contextlib
import contextvars
import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, TextIO, TypeAlias

import msgspec

from symphony.commons.filesystem import make_private, open_regular
from symphony.commons.forks import GENERATION, generation
from symphony.commons.unicode import sound
from symphony.pit.tracker.core.masking import Mask
from symphony.pit.tracker.store.log_tails import EndOfLog, LogTail, LogTails, Wanted, split_at, text_bytes
from symphony.ports.logs import LogLine, Stream

Sink: TypeAlias = Callable[[str, Literal["stdout", "stderr"]], None]
_LINE_CHARS_MAX = 64 * 1024
_RECORD_CHARS_MAX = _LINE_CHARS_MAX
_TAIL_CHARS = 400
_END_BYTES_MAX = 256 * 1024
_encoder = msgspec.json.Encoder()


class LogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of text of one node, and bytes on disk of the whole run.

    Of a node that has had its share, only the end is kept beyond it: a quarter of the share, at most
    256 KiB. A run that has had its own loses its oldest lines.
    """

    node_bytes: int = 16 * 1024 * 1024
    run_bytes: int = 128 * 1024 * 1024


class RunLog:
    """Appends lines to a run's file; opened at the first line. Thread-safe, not durable.

    `mask` hides secrets in a text; `masks` makes one that does so over all that a node prints to a
    stream, so that a secret in two pieces is found too. A log that cannot be written must not fail
    the run: it stops, and says so once on stderr.
    """

    def __init__(
        self,
        path: Path | None,
        now_s: Callable[[], float],
        mask: Callable[[str], str],
        limits: LogLimits | None = None,
        masks: Callable[[], Mask] | None = None,
    ) -> None:
        self._masks = masks
        self._under_way: dict[tuple[str, Stream], _Unfinished] = {}
        self._path, self._now_s, self._mask = path, now_s, mask
        self._limits = limits or LogLimits()
        self._lock, self._generation = threading.Lock(), generation()
        self._file: io.FileIO | None = None
        self._size = 0
        self._by_node: dict[str, int] = {}
        self._end_bytes = min(self._limits.node_bytes // 4, _END_BYTES_MAX)
        self._head_bytes = self._limits.node_bytes - self._end_bytes
        self._ends = LogTails(self._end_bytes)
        self._tails: dict[str, str] = {}
        self._broken = path is None

    def __call__(self, node: str, text: str, stream: Stream) -> None:
        """Write the lines of `text`, or a piece of what a model says."""
        if not text:
            return
        if self._generation != GENERATION[0]:
            self._begin_copy()
        with self._lock:
            if stream == "tokens":
                shown = self._mask(text)
                self._tails[node] = (self._tails.get(node, "") + shown)[-_TAIL_CHARS:]
            elif self._masks is None:
                shown = self._mask(text)
            else:
                unmasked = self._masked(node, text, stream, self._masks)
                if unmasked is None:
                    return
                shown = unmasked
            self._append(node, shown, stream)

    def _begin_copy(self) -> None:
        """This process was forked off, perhaps while a thread that is not in it wrote a line here.

        The lock would never be free. The ends of long logs are those of the other process to write.
        """
        self._lock, self._generation = threading.Lock(), generation()
        self._file = None
        self._under_way, self._ends = {}, LogTails(self._end_bytes)

    def _masked(self, node: str, text: str, stream: Stream, masks: Callable[[], Mask]) -> str | None:
        """The lines that can be shown by now, None if none: what may begin a secret is held back."""
        unfinished = self._under_way.pop((node, stream), None) or _Unfinished(masks())
        shown = unfinished.feed(text)
        if not unfinished.empty:
            self._under_way[node, stream] = unfinished
        return shown

    def _append(self, node: str, text: str, stream: Stream) -> None:
        """Write `text`, one line or several, in as few records as can be."""
        if self._broken:
            return
        try:
            if len(text) <= _RECORD_CHARS_MAX:
                self._take(node, text, stream)
            else:
                for part in _parts(text, stream):
                    self._take(node, part, stream)
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        self._broken = True
        self._release()
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"symphony: node logs stopped: {error}\n")

    def tail(self, node: str) -> str:
        """The last that a model said for `node`, at most 400 characters; empty if nothing."""
        return self._tails.get(node, "")

    def close(self) -> None:
        """Write what was held back and the ends of long logs, and release the file."""
        with self._lock:
            for (node, stream), unfinished in self._under_way.items():
                if rest := unfinished.finish():
                    self._append(node, rest, stream)
            self._under_way.clear()
            ends = self._ends.take()
            if not self._broken:
                try:
                    for node, end in ends:
                        self._write_end(node, end)
                except OSError as error:
                    self._stop(error)
            self._release()

    def _release(self) -> None:
        """Close the file. An error of its closing must not fail the run either."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _take(self, node: str, text: str, stream: Stream) -> None:
        """Write a record of whole lines if the node's share has room for it, else keep it as the end."""
        text = sound(text)
        had, count = self._by_node.get(node, 0), text_bytes(text, stream)
        if had + count <= self._head_bytes:
            self._by_node[node] = had + count
            self._write(LogLine(at=self._now_s(), node=node, stream=stream, text=text))
        elif had <= self._head_bytes:
            self._take_last(node, text, stream, self._head_bytes - had)
        else:
            at = self._now_s()
            if node not in self._ends:
                self._write(EndOfLog(at=at, node=node, written=False))
            if (given_up := self._ends.add(node, at, stream, text, count)) is not None:
                self._write_end(*given_up)

    def _take_last(self, node: str, text: str, stream: Stream, room: int) -> None:
        """Write as many lines as `room` bytes hold; with the next one, the end of the log begins."""
        self._by_node[node] = self._head_bytes + 1
        head, rest = split_at(text, stream, room)
        if head is not None:
            self._write(LogLine(at=self._now_s(), node=node, stream=stream, text=head))
        self._take(node, rest, stream)

    def _write_end(self, node: str, end: LogTail) -> None:
        at = self._now_s()
        self._write(EndOfLog(at=at, node=node, written=True))
        for line in end.lines(node, at):
            self._write(line)

    def _write(self, record: LogLine | EndOfLog) -> None:
        entry = _encoder.encode(record) + b"\n"
        file = self._room_for(len(entry))
        self._size += len(entry)
        while entry:
            done = file.write(entry)
            if done is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(self._path))
            entry = entry[done:]

    def _room_for(self, size: int) -> io.FileIO:
        """The open file, a new one if the present one is full."""
        if self._file is None:
            self._file = self._open()
        if self._size and self._size + size > self._limits.run_bytes // 2:
            assert self._path is not None
            self._file.close()
            self._path.replace(older(self._path))
            self._file = self._open()
        return self._file

    def _open(self) -> io.FileIO:
        assert self._path is not None
        make_private(self._path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe has no reader
        number = os.open(self._path, flags, 0o600)
        self._size = os.fstat(number).st_size
        return io.FileIO(number, "a")


class _Unfinished:
    """Output of one node on one stream that cannot be shown yet."""

    def __init__(self, mask: Mask) -> None:
        self._mask, self._line = mask, ""

    @property
    def empty(self) -> bool:
        """Return whether no text is held back."""
        return not self._line and self._mask.idle

    def feed(self, text: str) -> str | None:
        """Take the next lines, without the end of the last; return those that can be shown, if any.

        A very long last line may be a piece of one that goes on: nothing is taken to end it.
        """
        goes_on = len(text) - text.rfind("\n") > _LINE_CHARS_MAX
        known = self._line + self._mask.feed(text if goes_on else text + "\n")
        shown, newline, self._line = known.rpartition("\n")
        if len(self._line) >= _LINE_CHARS_MAX:
            self._line = ""
            return known
        return shown if newline else None

    def finish(self) -> str:
        """All that was held back."""
        return (self._line + self._mask.finish()).removesuffix("\n")


def _parts(text: str, stream: Stream) -> Iterator[str]:
    """`text` in records that are not too long: cut between lines where there are any."""
    while len(text) > _RECORD_CHARS_MAX:
        cut = -1 if stream == "tokens" else text.rfind("\n", 0, _RECORD_CHARS_MAX + 1)
        if cut < 0:
            yield text[:_RECORD_CHARS_MAX]
            text = text[_RECORD_CHARS_MAX:]
        else:
            yield text[:cut]
            text = text[cut + 1 :]
    yield text


def older(path: Path) -> Path:
    """Return the path of the lines that were written before the file at `path` was begun."""
    return path.with_name(f"{path.stem}.1{path.suffix}")


def read_log(path: Path, node: str | None = None, stream: Stream | None = None) -> Iterator[LogLine]:
    """The lines of a run, of one node and stream if they are named; damaged lines are passed over."""
    wanted = Wanted(node, stream)
    for file in (older(path), path):
        with contextlib.suppress(FileNotFoundError), io.BufferedReader(open_regular(file)) as opened:
            yield from wanted.of(opened)
    yield from wanted.unwritten()


def follow_log(
    path: Path,
    going: Callable[[], bool],
    wait: Callable[[], None],
    node: str | None = None,
    stream: Stream | None = None,
) -> Iterator[LogLine]:
    """Yield what `read_log` does, and what is added, until `going` says that nothing more comes.

    `wait` is called whenever there is nothing new. Goes on when the file starts again from empty.
    """
    wanted, tails = Wanted(node, stream), [_Tail(older(path)), _Tail(path)]
    try:
        while True:
            more = going()  # asked before reading: what was written until then is never missed
            found = False
            if tails[-1].moved():  # its last lines are now under the older name
                tails[0].close()
                tails = [tails[-1], _Tail(path)]
            for tail in tails:
                for line in wanted.of(tail.lines()):
                    found = True
                    yield line
            if not found:
                yield from wanted.unwritten()
            if not more and not found:
                return
            if not found:
                wait()
    finally:
        for tail in tails:
            tail.close()


class _Tail:
    """A file that grows, read line by line; an unfinished last line waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def moved(self) -> bool:
        """Return whether the path leads to another file than the one that was opened."""
        if self._file is None:
            return False
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def lines(self) -> Iterator[bytes]:
        """Yield what was added since the last call."""
        if self._file is None:
            try:
                self._file = io.BufferedReader(open_regular(self._path))
            except FileNotFoundError:
                return
        for raw in self._file:
            if raw.endswith(b"\n"):
                yield self._rest + raw
                self._rest = b""
            else:
                self._rest += raw

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()


_printing = threading.Lock()  # one for all: it is held for moments, and a lock for each node costs more


def _begin_copy() -> None:
    """In a process that was forked off, no thread is left that would free the lock."""
    global _printing
    _printing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_copy)


class capture(msgspec.Struct):
    """Give `sink` what the code inside prints, in this task and in threads run in its context.

    `sink` gets whole lines, however many writes they came in; one that does not end, in pieces.
    A struct, because one is made for every node.
    """

    sink: Sink
    _lines: dict[Literal["stdout", "stderr"], str] | None = None  # made when something is printed
    _token: "contextvars.Token[capture | None] | None" = None

    def __enter__(self) -> None:
        self._token = _capture.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        _capture.reset(self._token)
        if self._lines is not None:
            for stream in self._lines:
                self._take("", stream, ended=True)

    def write(self, text: str, stream: Literal["stdout", "stderr"]) -> None:
        """Take a piece of what is printed, also by a thread that goes on after the code inside."""
        self._take(text, stream)

    def _take(self, text: str, stream: Literal["stdout", "stderr"], *, ended: bool = False) -> None:
        with _printing:
            if self._lines is None:
                self._lines = {"stdout": "", "stderr": ""}
            lines, newline, rest = (self._lines[stream] + text).rpartition("\n")
            if rest and (ended or len(rest) >= _LINE_CHARS_MAX):
                lines, newline, rest = f"{lines}{newline}{rest}", "\n", ""
            self._lines[stream] = rest
        if newline and (told := lines.rstrip("\n")):
            self.sink(told, stream)


_capture: contextvars.ContextVar[capture | None] = contextvars.ContextVar("symphony_capture", default=None)


class _Routed:
    """Stands in for `sys.stdout` or `sys.stderr`: what operators print goes to their node's log."""

    def __init__(self, original: TextIO, stream: Literal["stdout", "stderr"]) -> None:
        self._original, self._stream = original, stream

    def write(self, text: str) -> int:
        present = _capture.get()
        if present is None:
            return self._original.write(text)
        present.write(text, self._stream)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def fileno(self) -> int:
        """For programs that an operator starts: never the descriptor that results go out by."""
        if _capture.get() is None:
            return self._original.fileno()
        return 1 if self._stream == "stdout" else 2

    @property
    def buffer(self) -> "BinaryIO | _RoutedBytes":
        present = _capture.get()
        return self._original.buffer if present is None else _RoutedBytes(present, self._stream)

    def __getattr__(self, name: str) -> object:
        return getattr(self._original, name)


class _RoutedBytes:
    """Stands in for the bytes below a stream, for one operator."""

    def __init__(self, present: capture, stream: Literal["stdout", "stderr"]) -> None:
        self._present, self._stream = present, stream

    def write(self, body: bytes | bytearray | memoryview) -> int:
        self._present.write(bytes(body).decode("utf-8", "replace"), self._stream)
        return len(body)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is held back but the beginning of a line."""


_installed = 0


@contextlib.contextmanager
def routed_streams() -> Iterator[None]:
    """While this is open, `capture` takes what operators print. Nests."""
    global _installed
    originals = sys.stdout, sys.stderr
    if _installed == 0:
        sys.stdout = _Routed(sys.stdout, "stdout")
        sys.stderr = _Routed(sys.stderr, "stderr")
    _installed += 1
    try:
        yield
    finally:
        _installed -= 1
        if _installed == 0:
            sys.stdout, sys.stderr = originals
