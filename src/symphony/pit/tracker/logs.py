"""What nodes print: one file of lines for each run, and the capture of `print` in operators."""

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TextIO, TypeAlias

import msgspec

Stream: TypeAlias = Literal["stdout", "stderr"]
Sink: TypeAlias = Callable[[str, Stream], None]

_LINE_CHARS_MAX = 64 * 1024
_encoder = msgspec.json.Encoder()


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a node printed; `at` is epoch seconds."""

    at: float
    node: str
    stream: Stream
    text: str


class RunLog:
    """Appends lines to a run's file; opened at the first line. Thread-safe, not durable.

    A log that cannot be written must not fail the run: it stops, and says so once on stderr.
    """

    def __init__(self, path: Path | None, now_s: Callable[[], float], mask: Callable[[str], str]) -> None:
        self._path, self._now_s, self._mask = path, now_s, mask
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        self._broken = path is None

    def __call__(self, node: str, text: str, stream: Stream) -> None:
        """Write the lines of `text`."""
        if self._broken or not text:
            return
        masked = self._mask(text)
        with self._lock:
            try:
                if self._file is None:
                    assert self._path is not None
                    self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    self._file = self._path.open("a", encoding="utf-8", errors="replace")
                for line in masked.split("\n"):
                    entry = LogLine(at=self._now_s(), node=node, stream=stream, text=line[:_LINE_CHARS_MAX])
                    self._file.write(_encoder.encode(entry).decode() + "\n")
                self._file.flush()
            except OSError as error:
                self._broken = True
                if sys.__stderr__ is not None:
                    sys.__stderr__.write(f"symphony: node logs stopped: {error}\n")

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def read_log(path: Path, node: str | None = None) -> Iterator[LogLine]:
    """The lines of a run's file, of one node if it is named; damaged lines are passed over."""
    decoder = msgspec.json.Decoder(LogLine)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for raw in file:
            try:
                line = decoder.decode(raw)
            except msgspec.MsgspecError:
                continue
            if node is None or line.node == node or line.node.startswith(f"{node}["):
                yield line


_sink: contextvars.ContextVar[Sink | None] = contextvars.ContextVar("symphony_sink", default=None)


class _Routed:
    """Stands in for `sys.stdout` or `sys.stderr`: what operators print goes to their node's log."""

    def __init__(self, original: TextIO, stream: Stream) -> None:
        self._original, self._stream = original, stream

    def write(self, text: str) -> int:
        sink = _sink.get()
        if sink is None:
            return self._original.write(text)
        if stripped := text.rstrip("\n"):
            sink(stripped, self._stream)
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._original, name)


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


@contextlib.contextmanager
def capture(sink: Sink) -> Iterator[None]:
    """Give `sink` what the code inside prints, in this task and in threads run in its context."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)
