"""Programs started from the event loop: their ends, their pipes, who is left when the caller gives up."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from symphony.cli.actions.running import new_loop
from symphony.commons import children
from symphony.commons.children import PIPE, start_child
from symphony.kit.processes import run_process

# ruff: noqa: ASYNC222, ASYNC240  (the tests look at small things while nothing else runs)

pytestmark = pytest.mark.slow

SHELL = ("/bin/sh", "-c")


@pytest.fixture(params=["descriptor", "thread"], autouse=True)
def noticed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end is noticed by a descriptor of the process, or by a thread where there is none."""
    if request.param == "thread":
        monkeypatch.setattr(children.sys, "platform", "other")


async def test_its_end_is_told_as_subprocess_tells_it() -> None:
    child = await start_child([*SHELL, "exit 3"])
    assert await child.wait() == 3
    child = await start_child([*SHELL, "kill -9 $$"])
    assert await child.wait() == -signal.SIGKILL
    child.kill()  # nobody is there any more
    assert child.returncode == -signal.SIGKILL


async def test_it_reads_and_writes_pipes() -> None:
    child = await start_child(["/bin/cat"], stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"said")
    child.stdin.close()
    assert await child.wait() == 0
    assert child.stdout.read() == b"said"
    child.stdout.close()


async def test_what_cannot_be_started_raises_here(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await start_child(["/no/such/program"])
    with pytest.raises(FileNotFoundError):
        await start_child(["/bin/true"], cwd=tmp_path / "away")
    with pytest.raises(ValueError, match="null"):
        await start_child(["/bin/tr\0ue"])
    assert await (await start_child(["/bin/true"])).wait() == 0


async def test_a_held_one_keeps_its_number_until_it_is_reaped() -> None:
    child = await start_child(["/bin/true"], held=True)
    await child.ended
    os.kill(child.pid, 0)
    assert child.returncode is None
    assert child.reap() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_who_gives_up_while_it_starts_leaves_nobody(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(20):
        starting = asyncio.get_running_loop().create_task(
            start_child([*SHELL, f"echo $$ > {tmp_path}/{turn}; sleep 600"], stdout=PIPE, new_session=True)
        )
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    for said in tmp_path.iterdir():
        if said.read_text():
            with pytest.raises(ProcessLookupError):
                os.kill(int(said.read_text()), 0)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_copy_of_this_process_starts_programs_too() -> None:
    assert await (await start_child(["/bin/true"])).wait() == 0
    copy = os.fork()
    if copy == 0:  # it has none of our threads
        with asyncio.Runner() as runner:
            os._exit(runner.run(_status(["/bin/sh", "-c", "exit 7"])))
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 7


async def _status(argv: list[str]) -> int:
    return await (await start_child(argv)).wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel lists the children of a thread")
def test_no_program_is_started_by_the_thread_of_the_loop(tmp_path: Path) -> None:
    """One thread starts all of them: a child may ask to die with the thread that started it."""

    async def starters() -> set[int]:
        found = set()
        for _ in range(3):
            child = await start_child(["/bin/cat"], stdin=PIPE)
            for thread in os.listdir("/proc/self/task"):
                listed = Path("/proc/self/task", thread, "children").read_text().split()
                found |= {int(thread)} if str(child.pid) in listed else set()
            assert child.stdin is not None
            child.stdin.close()
            await child.wait()
        return found

    with asyncio.Runner(loop_factory=new_loop) as runner:
        found = runner.run(starters())
    assert len(found) == 1
    assert threading.get_native_id() not in found


def test_commands_take_the_loop_little_more_work_than_they_take_without_one(tmp_path: Path) -> None:
    """Counted is the processor time of this thread, in turns; forking a process of this size takes more."""
    loop_s = bare_s = 0.0
    memory = bytearray(b"x" * 2**27)
    argv, environment = (*SHELL, "true"), dict(os.environ)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        for _ in range(30):
            begun = time.thread_time()
            runner.run(run_process(argv, cwd=tmp_path, env=environment))
            loop_s += time.thread_time() - begun
            begun = time.thread_time()
            subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, check=True)
            bare_s += time.thread_time() - begun
    del memory
    assert loop_s < 4 * bare_s, (loop_s, bare_s)
