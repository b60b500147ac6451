"""Results that are files: to stdout, or to a path, whole or not at all."""

import codecs
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from symphony.cli.console import output
from symphony.cli.console.failures import BadUsage
from symphony.commons.filesystem import replacing

CHUNK_BYTES: Final = 1024 * 1024
_SNIFF_BYTES: Final = 8 * 1024


def deliver(body: bytes, target: Path | None, *, binary: bool = False) -> None:
    """Write `body` to `target`, or to stdout. Raises OSError, or BadUsage for binary to a terminal."""
    deliver_stream(io.BytesIO(body), target, binary=binary)


class Readable(Protocol):
    """A source of bytes that are delivered piece by piece."""

    def read(self, size: int = -1, /) -> bytes: ...


def deliver_stream(stream: Readable, target: Path | None, *, binary: bool | None = None) -> None:
    """Write all of `stream` to `target`, or to stdout; with `binary` None its beginning tells what it is.

    Raises OSError, or BadUsage for binary to a terminal.
    """
    if target is not None:
        _write(stream, target)
        return
    first = stream.read(_SNIFF_BYTES)
    terminal = output.is_terminal(sys.stdout)
    if terminal and (is_binary(first) if binary is None else binary):
        raise BadUsage(
            "this is not text: it would garble the terminal", hint="give --output PATH, or pipe it"
        )
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in _chunks(first, stream):
        if terminal:
            output.say(output.shown(decoder.decode(chunk), lines=True))
        else:
            output.say_bytes(chunk)


def is_binary(body: bytes) -> bool:
    """True if `body`, the beginning of something, does not look like UTF-8 text."""
    if b"\0" in body:
        return True
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return not (error.reason == "unexpected end of data" and error.end >= len(body))
    return False


def _chunks(first: bytes, stream: Readable) -> Iterator[bytes]:
    if first:
        yield first
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _write(stream: Readable, target: Path) -> None:
    """Into a new file beside `target`, which then takes its name: readers see the old or the new.

    What is not a regular file (a device, a pipe) is written to directly.
    """
    if target.is_dir():
        raise BadUsage(f"{target} is a folder", hint=f"name a file: --output {target / 'NAME'}")
    if target.exists() and not target.is_file():
        with target.open("wb") as there:
            there.writelines(_chunks(b"", stream))
        return
    # A link keeps pointing at its file, which is replaced.
    with replacing(target.resolve()) as file:
        file.writelines(_chunks(b"", stream))
