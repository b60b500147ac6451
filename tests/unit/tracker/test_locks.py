"""Who owns a run: a living process, and nobody else."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from symphony.app import Symphony
from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.base.failures import file_lock
from symphony.pit.tracker.store.locks import LockedByte, RunBusy, RunLock, SegmentLock
from symphony.workflow import loads


def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / "a.lock"), RunLock(tmp_path / "a.lock")
    first.acquire(os.getpid())
    assert second.held()
    with pytest.raises(RunBusy, match=str(os.getpid())):
        second.acquire(os.getpid())
    first.release()
    assert not second.held()
    second.acquire(os.getpid())
    second.release()


def test_an_owner_that_has_not_written_its_id_yet_is_another_process(tmp_path: Path) -> None:
    held = os.open(tmp_path / "a.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(RunBusy, match="another process owns the run"):
        RunLock(tmp_path / "a.lock").acquire(os.getpid())
    os.close(held)


def test_a_lock_that_outlives_its_owner_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """A child between its fork and its new program shares the lock of an owner that was killed."""
    path = tmp_path / "a.lock"
    path.write_text(f"{dead_pid()}\n")
    left = os.open(path, os.O_RDONLY)
    fcntl.flock(left, fcntl.LOCK_EX)
    release = threading.Timer(0.05, os.close, [left])
    release.start()
    lock = RunLock(path)
    lock.acquire(os.getpid())
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()
    release.join()


def test_asking_while_another_asks_does_not_make_a_run_busy(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("")
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    release = threading.Timer(0.05, os.close, [asking])
    release.start()
    lock = RunLock(path)
    lock.acquire(os.getpid())
    lock.release()
    release.join()


async def test_a_run_that_cannot_be_resumed_is_owned_by_nobody(tmp_path: Path) -> None:
    async with Symphony.open(tmp_path) as symphony:
        workflow = loads(b"{name: w, nodes: {a: {operator: data.range, inputs: {count: 1}}}}", "yaml")
        run = await symphony.start(workflow)
        await run.result()
        with sqlite3.connect(symphony.runs.journal_path(run.run_id)) as journal:
            journal.execute("UPDATE batches SET body = x'c1'")
        journal.close()
        with pytest.raises(SerializationFailed, match="damaged"):
            await symphony.resume(run.run_id)
        assert not symphony.runs.lock(run.run_id).held()


@pytest.mark.parametrize("how", ["run", "segment", "file"])
def test_a_lock_that_is_given_free_is_free_though_a_copy_of_the_process_lives(
    tmp_path: Path, how: str
) -> None:
    path, (reading, writing) = tmp_path / "a.lock", os.pipe()
    held = ExitStack()

    def fork() -> int:
        if (pid := os.fork()) == 0:
            os.close(writing)
            os.read(reading, 1)  # until the other end is closed
            os._exit(0)
        return pid

    segment = SegmentLock(path)
    if how == "run":
        lock = RunLock(path)
        lock.acquire(os.getpid())
        held.callback(lock.release)
    elif how == "segment":
        segment.acquire(os.getpid())
        segment.take(3)
        held.callback(segment.release)
    else:
        held.enter_context(file_lock(path, exclusive=True))
    pid = fork()
    try:
        held.close()
        if how == "run":
            assert not RunLock(path).held()
        elif how == "segment":
            assert not LockedByte(path, 0).held()
            assert not LockedByte(path, 3).held()
        else:
            other = os.open(path, os.O_RDWR)
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(other)
    finally:
        os.close(writing)
        os.waitpid(pid, 0)
        os.close(reading)
