"""What holds for each kind of supervised process: a worker, a model, and a plain program."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.support.processes import LARGE, group_at_work
from tests.support.waiting import PATIENCE_S

from symphony.commons.errors import SymphonyError
from symphony.commons.processes import below
from symphony.pit.pool.child import ModelProcess
from symphony.pit.processes import SupervisedProcess
from symphony.pit.workers.worker import Question, Worker

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

MODEL = (sys.executable, "-P", str(Path(__file__).with_name("echo_child.py")))
STUBBORN = "trap '' TERM; (trap '' TERM; sleep 600) & echo ready; while :; do sleep 0.05; done"


@dataclass(frozen=True, slots=True)
class Kind:
    """One process: how it is started and ended, and an event for when nothing of it is left."""

    start: Callable[[float], Coroutine[object, object, None]]
    end: Callable[[], Coroutine[object, object, None]]
    gone: asyncio.Event


class Told:
    """What a worker tells."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def answered(self, worker: Worker, question: Question, answer: object) -> None:
        """Nobody asks."""

    def returned(self, worker: Worker, questions: object) -> None:
        """Nothing was sent."""

    def lost(self, worker: Worker, questions: object) -> None:
        """`gone` follows."""

    def gone(self, worker: Worker) -> None:
        self.ended.set()


def a_worker() -> Kind:
    told = Told()
    worker = Worker(told)
    return Kind(lambda ready_s: worker.start({}, ready_s=ready_s), worker.end, told.ended)


def a_model() -> Kind:
    child, gone = ModelProcess("echo"), asyncio.Event()

    async def start(ready_s: float) -> None:
        try:
            await child.start(MODEL, ready_s=ready_s)
        finally:
            watching.append(asyncio.get_running_loop().create_task(watch()))

    async def watch() -> None:
        await child.stopped()
        gone.set()

    async def end() -> None:
        child.retire()
        await child.stopped()

    watching: list[asyncio.Task[None]] = []
    return Kind(start, end, gone)


def a_program() -> Kind:
    gone, ready = asyncio.Event(), asyncio.Event()
    process = SupervisedProcess(exited=lambda _: None, gone=gone.set, variable="SYMPHONY_TESTED")

    async def start(ready_s: float) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        loop.add_reader(ours, ready.set)
        try:
            async with process.readying(ready_s):
                await process.start(("/bin/sh", "-c", STUBBORN), env=dict(os.environ), stdout=theirs)
                await ready.wait()
        finally:
            loop.remove_reader(ours)
            os.close(ours)
            os.close(theirs)

    return Kind(start, lambda: process.end(grace_s=0.2), gone)


KINDS = pytest.mark.parametrize("make", [a_worker, a_model, a_program])


async def begun(kind: Kind) -> int:
    """The number of its process, once that is ready."""
    before = below(os.getpid())
    await kind.start(PATIENCE_S)
    # What it starts at once may be as old as itself, by the system's clock of 10 ms: then the number tells.
    return min(below(os.getpid()) - before, key=lambda pid: (psutil.Process(pid).create_time(), pid))


@KINDS
async def test_it_leads_a_group_of_its_own_and_its_end_leaves_nothing(make: Callable[[], Kind]) -> None:
    before, kind = below(os.getpid()), make()
    pid = await begun(kind)
    assert os.getpgid(pid) == pid
    await kind.end()
    assert below(os.getpid()) == before
    await kind.end()


@KINDS
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_its_death_is_noticed_and_takes_with_it_what_it_started(
    make: Callable[[], Kind], number: int
) -> None:
    before, kind = below(os.getpid()), make()
    pid = await begun(kind)
    os.kill(pid, number)
    async with asyncio.timeout(PATIENCE_S):
        await kind.gone.wait()
    assert below(os.getpid()) == before
    await kind.end()


async def test_one_left_in_its_group_that_takes_long_to_end_is_gone_when_that_is_told() -> None:
    gone, ready = asyncio.Event(), asyncio.Event()
    process = SupervisedProcess(exited=lambda _: None, gone=gone.set)
    ours, theirs = os.pipe()
    asyncio.get_running_loop().add_reader(ours, ready.set)
    try:
        await process.start(("/bin/sh", "-c", f"{LARGE}; :"), env=dict(os.environ), stdout=theirs)
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)
    assert not group_at_work(process.pid)


@KINDS
async def test_one_that_is_not_ready_in_time_is_gone(make: Callable[[], Kind]) -> None:
    before, kind = below(os.getpid()), make()
    with pytest.raises((SymphonyError, TimeoutError)):
        await kind.start(0.001)
    assert below(os.getpid()) == before


@KINDS
async def test_whoever_gives_up_while_it_starts_leaves_nothing(make: Callable[[], Kind]) -> None:
    before = below(os.getpid())
    for turn in range(6):
        kind = make()
        starting = asyncio.get_running_loop().create_task(kind.start(PATIENCE_S))
        for _ in range(turn):
            await asyncio.sleep(0.001)
        starting.cancel()
        await asyncio.wait([starting])
        await kind.end()
    assert below(os.getpid()) == before


@KINDS
async def test_cancelling_its_end_does_not_cut_it_short(make: Callable[[], Kind]) -> None:
    before, kind = below(os.getpid()), make()
    await begun(kind)
    ending = asyncio.get_running_loop().create_task(kind.end())
    await asyncio.sleep(0)
    ending.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await kind.gone.wait()
    assert below(os.getpid()) == before
    await asyncio.wait([ending])
