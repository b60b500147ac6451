"""Child processes in a group of their own: output streamed and bounded, nothing left behind."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

import msgspec

from symphony.commons.children import PIPE, ChildProcess, start_child
from symphony.commons.deadline import collecting
from symphony.commons.marks import present_marks
from symphony.commons.processes import (
    GRACE_S,
    await_group,
    end_marked,
    group_alive,
    reap_group,
    signal_group,
)
from symphony.commons.waiting import uninterrupted
from symphony.kit.errors import CommandNotStarted, OutputTooLarge

OUTPUT_BYTES_MAX = 64 * 1024 * 1024
"""How much stdout may hold, and how much stderr."""

CUT_BYTES = 1024 * 1024
"""How much is kept of the beginning, and of the end, of output that was cut."""

LEFTOVER_GRACE_S = 0.5
"""The seconds between SIGTERM and SIGKILL for what an ended process leaves running in its group."""

_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.01
_POLL_MAX_S = 0.1
_DRAIN_S = 1.0

OnBytes: TypeAlias = Callable[[bytes], None]


class ProcessResult(msgspec.Struct, frozen=True):
    """The result of a process; `exit_code` is -N if signal N killed it."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    cut: tuple[str, ...] = ()
    """Which of both exceeded its bound: of those it has the beginning and the end."""


class _Stream:
    """The output of one pipe, from the first byte on. `seen` is told each chunk, and b"" at the end."""

    def __init__(
        self, name: str, pipe: IO[bytes] | None, seen: OnBytes | None, limit: int, *, cuts: bool
    ) -> None:
        assert pipe is not None
        self._chunks: list[bytes] = []
        self._cuts, self._tail = cuts, bytearray()
        self.cut = False
        self._name, self._pipe, self._seen, self._limit = name, pipe, seen, limit
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done at the end of the pipe, or with what made an end of reading."""
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        try:
            self._take(chunk)
        except Exception as error:  # noqa: BLE001  (it is for the waiting task)
            self._release()
            self.ended.set_exception(error)
            self.ended.exception()  # nobody may be waiting any more

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            self.close()
            return
        self._size += len(chunk)
        if self._size > self._limit and not self._cuts:
            raise OutputTooLarge(
                f"{self._name} exceeds {self._limit // (1024 * 1024)} MiB",
                hint="write to a file and hand its path on",
            )
        if self._size > self._limit:
            self._keep_ends(chunk)
        else:
            self._chunks.append(chunk)
        if self._seen is not None:
            self._seen(chunk)

    def _keep_ends(self, chunk: bytes) -> None:
        if not self.cut:
            self.cut, whole = True, b"".join(self._chunks)
            self._chunks, self._tail = [whole[:CUT_BYTES]], bytearray(whole[CUT_BYTES:][-CUT_BYTES:])
        self._tail += chunk
        if len(self._tail) > 2 * CUT_BYTES:
            del self._tail[:-CUT_BYTES]

    def taken(self) -> bytes:
        """All that came; of what was cut the beginning and the end, with a line between them that says so."""
        if self.cut:
            tail = bytes(self._tail[-CUT_BYTES:])
            left_out = self._size - len(self._chunks[0]) - len(tail)
            return self._chunks[0] + f"\n[{left_out:,} bytes left out]\n".encode() + tail
        return b"".join(self._chunks)

    def close(self) -> None:
        """Read no more, though somebody may still hold the other end; tell that nothing more comes, once."""
        self._release()
        seen, self._seen = self._seen, None
        if seen is not None:
            seen(b"")
        if not self.ended.done():
            self.ended.set_result(None)

    def _release(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_stdout: OnBytes | None = None,
    on_stderr: OnBytes | None = None,
    output_bytes_max: int = OUTPUT_BYTES_MAX,
    thorough: bool = False,
    cuts: bool = False,
) -> ProcessResult:
    """Run `argv` to its end in a session of its own, with empty stdin.

    `on_stdout` and `on_stderr` see the output while it comes, in chunks, and b"" at its end.
    What the process leaves running in its group is ended when it ends; one that left the group
    and keeps the pipes open is waited for at most a second. When the caller is cancelled, once or
    more often, or output exceeds its bound, the whole group gets SIGTERM and, `GRACE_S` later, SIGKILL,
    and is gone on return. With `cuts`, output beyond its bound ends nothing, and its middle is left out.
    If it is `thorough`, and unless the process ends with 0, whoever left the group but carries the node's
    marks is ended likewise.
    Raises CommandNotStarted, OutputTooLarge.
    """
    process = await _start(argv, cwd, env)
    out = _Stream("stdout", process.stdout, on_stdout, output_bytes_max, cuts=cuts)
    err = _Stream("stderr", process.stderr, on_stderr, output_bytes_max, cuts=cuts)
    with collecting(process.ended):
        try:
            await _until_exit(process, (out, err))
            await _end_group(process, LEFTOVER_GRACE_S)
            await asyncio.wait((out.ended, err.ended), timeout=_DRAIN_S)
            for stream in (out, err):
                if stream.ended.done():
                    stream.ended.result()
            thorough = thorough and process.returncode != 0
        finally:
            try:
                await _finish(process, tuple(present_marks().items()) if thorough else ())
            finally:
                out.close()
                err.close()
    assert process.returncode is not None
    cut = tuple(name for name, stream in (("stdout", out), ("stderr", err)) if stream.cut)
    return ProcessResult(process.returncode, out.taken(), err.taken(), cut)


async def _start(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> ChildProcess:
    try:
        return await start_child(argv, cwd=cwd, env=env, stdout=PIPE, stderr=PIPE, new_session=True)
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        hint = None
        if isinstance(error, OSError) and not os.path.isdir(cwd):  # noqa: ASYNC240, PTH112
            reason, hint = f"the directory {cwd} is not there", "run from a directory that exists"
        elif isinstance(error, OSError) and error.errno == 7:
            hint = "a value in the environment is too large: write it to a file with fs.write"
        raise CommandNotStarted(f"{argv[0]} cannot be started: {reason}", hint=hint) from error


async def _until_exit(process: ChildProcess, streams: Sequence[_Stream]) -> None:
    """Return when the process has ended; raise at once what a stream raises."""
    waiting: set[asyncio.Future[None]] = {process.ended, *(stream.ended for stream in streams)}
    while not process.ended.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            future.result()


async def _end_group(process: ChildProcess, grace_s: float) -> None:
    """End what is left of the group: SIGTERM, a grace, SIGKILL. A cancellation cuts the grace short."""
    if not signal_group(process.pid, signal.SIGTERM):
        return
    try:
        waited_s, pause_s = 0.0, _POLL_S
        while waited_s < grace_s and (process.returncode is None or group_alive(process.pid)):
            await asyncio.sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(pause_s * 1.5, _POLL_MAX_S)
    finally:
        signal_group(process.pid, signal.SIGKILL)


async def _finish(process: ChildProcess, marks: Sequence[tuple[str, str]]) -> None:
    """Leave no process behind, however often the caller is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    if process.returncode is None:
        try:
            await _end_group(process, GRACE_S)
        except asyncio.CancelledError as error:  # the group has got its SIGKILL by now
            cancelled = error
    try:
        if process.returncode is None or marks or group_alive(process.pid):
            await uninterrupted(asyncio.get_running_loop().create_task(_gone(process, marks)))
    finally:
        reap_group(process.pid)
    if cancelled is not None:
        raise cancelled


async def _gone(process: ChildProcess, marks: Sequence[tuple[str, str]]) -> None:
    """Wait until no process of the group is at work; end other processes with the marks."""
    await process.ended
    if group_alive(process.pid):
        await asyncio.to_thread(await_group, process.pid)
    if marks:
        await asyncio.to_thread(end_marked, *marks)
