"""Child processes in a group of their own: output streamed and bounded, nothing left behind."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from symphony.commons.marks import present_marks
from symphony.commons.processes import (
    GRACE_S,
    end_marked,
    group_alive,
    reap_group,
    signal_group,
)
from symphony.kit.errors import CommandNotStarted, OutputTooLarge

OUTPUT_BYTES_MAX = 64 * 1024 * 1024
"""How much stdout may hold, and how much stderr."""

LEFTOVER_GRACE_S = 0.5
"""Between SIGTERM and SIGKILL for what an ended process leaves running in its group."""

_CHUNK_BYTES = 64 * 1024
_POLL_S = 0.01
_POLL_MAX_S = 0.1
_WAIT_S = 0.2
_DRAIN_S = 1.0

OnBytes: TypeAlias = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended; `exit_code` is -N if signal N killed it."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(slots=True)
class _Stream:
    """What one pipe brought. `seen` is told each chunk, and b"" at the end."""

    name: str
    seen: OnBytes | None
    limit: int
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0

    async def read(self, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            self.size += len(chunk)
            if self.size > self.limit:
                raise OutputTooLarge(
                    f"{self.name} exceeds {self.limit // (1024 * 1024)} MiB",
                    hint="write to a file and hand its path on",
                )
            self.chunks.append(chunk)
            if self.seen is not None:
                self.seen(chunk)
        self.end()

    def end(self) -> None:
        """Tell that nothing more comes; once."""
        if self.seen is not None:
            self.seen(b"")
            self.seen = None


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_stdout: OnBytes | None = None,
    on_stderr: OnBytes | None = None,
    output_bytes_max: int = OUTPUT_BYTES_MAX,
    thorough: bool = False,
) -> Finished:
    """Run `argv` to its end in a session of its own, with empty stdin.

    `on_stdout` and `on_stderr` see the output while it comes, in chunks, and b"" at its end.
    What the process leaves running in its group is ended when it ends; one that left the group
    and keeps the pipes open is waited for at most a second. When the caller is cancelled, once or
    more often, or output exceeds its bound, the whole group gets SIGTERM and, `GRACE_S` later,
    SIGKILL, and is gone on return. If it is `thorough`, and unless the process ends with 0, whoever
    left the group but carries the node's marks is ended likewise.
    Raises CommandNotStarted, OutputTooLarge.
    """
    process = await _start(argv, cwd, env)
    assert process.stdout is not None
    assert process.stderr is not None
    out = _Stream("stdout", on_stdout, output_bytes_max)
    err = _Stream("stderr", on_stderr, output_bytes_max)
    loop = asyncio.get_running_loop()
    readers = [loop.create_task(out.read(process.stdout)), loop.create_task(err.read(process.stderr))]
    try:
        await _until_exit(process, readers)
        await _end_group(process, LEFTOVER_GRACE_S)
        await asyncio.wait(readers, timeout=_DRAIN_S)
        for reader in readers:
            if reader.done():
                reader.result()
        thorough = thorough and process.returncode != 0
    finally:
        await _finish(process, readers, tuple(present_marks().items()) if thorough else ())
        out.end()
        err.end()
    assert process.returncode is not None
    return Finished(process.returncode, b"".join(out.chunks), b"".join(err.chunks))


async def _start(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *argv, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        hint = None
        if isinstance(error, OSError) and not os.path.isdir(cwd):  # noqa: ASYNC240, PTH112
            reason, hint = f"the directory {cwd} is not there", "run from a directory that exists"
        elif isinstance(error, OSError) and error.errno == 7:
            hint = "a value in the environment is too large: write it to a file with fs.write"
        raise CommandNotStarted(f"{argv[0]} cannot be started: {reason}", hint=hint) from error


async def _until_exit(process: asyncio.subprocess.Process, readers: list[asyncio.Task[None]]) -> None:
    """Return when the process has ended; raise at once what a reader raises."""
    ended = asyncio.get_running_loop().create_task(_exit(process))
    try:
        waiting: set[asyncio.Task[None]] = {ended, *readers}
        while not ended.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        ended.cancel()


async def _exit(process: asyncio.subprocess.Process) -> None:
    """Wait for the process itself: `wait()` of some loops also waits until its pipes are closed."""
    while process.returncode is None:
        waiting = asyncio.get_running_loop().create_task(process.wait())
        try:
            await asyncio.wait([waiting], timeout=_WAIT_S)
        finally:
            waiting.cancel()


async def _end_group(process: asyncio.subprocess.Process, grace_s: float) -> None:
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


async def _finish(
    process: asyncio.subprocess.Process, readers: list[asyncio.Task[None]], marks: Sequence[tuple[str, str]]
) -> None:
    """Leave neither process nor reader behind, however often the caller is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    if process.returncode is None:
        try:
            await _end_group(process, GRACE_S)
        except asyncio.CancelledError as error:  # the group has got its SIGKILL by now
            cancelled = error
    for reader in readers:
        reader.cancel()
    ending = asyncio.get_running_loop().create_task(_all_gone(process, readers, marks))
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError as error:
            cancelled = error
    transport = getattr(process, "_transport", None)
    if transport is not None:  # a pipe that someone else still holds is not closed otherwise
        transport.close()
    reap_group(process.pid)
    if cancelled is not None:
        raise cancelled


async def _all_gone(
    process: asyncio.subprocess.Process, readers: list[asyncio.Task[None]], marks: Sequence[tuple[str, str]]
) -> None:
    await asyncio.gather(_exit(process), *readers, return_exceptions=True)
    if marks:  # only now: who waits for a child of ours must not take its status from the loop
        await asyncio.to_thread(end_marked, *marks)
