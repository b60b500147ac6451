"""What is to be stored: a file, stdin, or what a command prints, which is whole or nothing."""

import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

from symphony.cli.console.failures import BadUsage
from symphony.commons.errors import SymphonyError


@contextmanager
def printed_by(command: Sequence[str]) -> Iterator[BinaryIO]:
    """Run a command, and give what it prints.

    If it fails, the stream raises SymphonyError `command-failed` in place of its end. The command is ended if
    the block ends before it does.
    """
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    except OSError as error:
        raise _failed(command, f"cannot be run: {error.strerror}") from error
    assert process.stdout is not None
    try:
        with process.stdout as pipe:
            yield io.BufferedReader(_Whole(process, pipe, command))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextmanager
def read_from(file: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin (-). Raises OSError, and BadUsage if stdin is closed."""
    if file == "-" and sys.stdin is None:  # any other file may have its number by now
        raise BadUsage("stdin is closed", hint="name a file, or type: symphony artifacts put - < FILE")
    with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
        yield stream


class _Whole(io.RawIOBase):
    """The output of a process; an error in place of its end if the process failed."""

    def __init__(self, process: "subprocess.Popen[bytes]", pipe: IO[bytes], command: Sequence[str]) -> None:
        self._process, self._pipe, self._command = process, pipe, command

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]  # RawIOBase has no narrower name
        read = self._pipe.read(len(buffer))
        buffer[: len(read)] = read
        if not read and (status := self._process.wait()):
            how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
            raise _failed(self._command, how)
        return len(read)


def _failed(command: Sequence[str], how: str) -> SymphonyError:
    return SymphonyError(
        f"{command[0]} {how}: nothing was stored", code="command-failed", hint="run it by itself to see why"
    )
