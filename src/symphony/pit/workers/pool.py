"""Worker processes, kept warm and shared: no more of them at work than there are cores."""

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from symphony.commons.marks import RUN_VARIABLE
from symphony.ipc.operator_calls import Call, Origin
from symphony.pit.workers.worker import READY_S, Output, Worker, uninterrupted
from symphony.ports.values import Value

PATIENCE_S = 2.0
"""What an operator that asks its context whether it was cancelled has to end by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One call of an operator. `source`: of a file's origin. `listens`: it may end by itself when it is
    cancelled, and has time for it. `memory_mb`: what it may use, in MiB.
    """

    origin: Origin
    source: bytes | None
    operator: str
    fingerprint: str
    listens: bool
    inputs: Mapping[str, Value]
    run_id: str
    node: str
    attempt: int
    cwd: Path
    base: Path
    environment: Mapping[str, str]
    config: Mapping[str, Value] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    memory_mb: int | None = None
    value_bytes_max: int = 2**63 - 1
    marks: Mapping[str, str] = field(default_factory=dict)


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """Runs operators in processes that can be ended at any moment. Use from one loop; `close` it."""

    def __init__(
        self, *, size: int | None = None, ready_s: float = READY_S, listen_idle: bool = True
    ) -> None:
        """`size`: how many work at once, the number of cores if None. `ready_s`: time to start.

        `listen_idle`: the loop also listens to processes that wait for their next call.
        """
        self._size, self._ready_s, self._listen_idle = size or cores(), ready_s, listen_idle
        self._places = asyncio.Semaphore(self._size)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._calls = 0
        self._closed = False

    async def call(self, task: Task, output: Output, *, timeout_s: float | None) -> Mapping[str, Value]:
        """The operator's output ports. `output` sees the lines that it prints.

        The time runs from when a worker has loaded the operator: waiting for one costs none of
        it. On cancellation and on TimeoutError nothing of the call is left running. Raises what
        the operator raises, as SymphonyError; WorkerDied, IoFailed, OperatorsNotLoaded.
        """
        async with self._places:
            worker = await self._warm(task)
            try:
                await worker.load(task.origin, task.source)
                async with asyncio.timeout(timeout_s):
                    return await worker.call(
                        self._message(task), output, patience_s=PATIENCE_S if task.listens else 0.0
                    )
            finally:
                await self._give_back(worker)

    async def close(self) -> None:
        """End every process; calls under way fail."""
        self._closed = True
        endings = [worker.end(politely=worker in self._idle) for worker in self._all]
        if endings:
            await uninterrupted(asyncio.get_running_loop().create_task(_all_of(endings)))
        self._all.clear()
        self._idle.clear()

    async def _warm(self, task: Task) -> Worker:
        """An idle worker, rather one that knows the operator; a new one if there is none."""
        for worker in [worker for worker in self._idle if not worker.usable]:
            self._idle.remove(worker)
            await self._give_back(worker)
        for at, worker in enumerate(self._idle):
            if task.origin in worker.origins:
                return self._idle.pop(at).wake()
        if self._idle:
            return self._idle.pop().wake()
        worker = Worker()
        self._all.add(worker)
        try:
            await worker.start({RUN_VARIABLE: task.run_id, **task.marks}, ready_s=self._ready_s)
        except BaseException:
            self._all.discard(worker)
            raise
        return worker

    async def _give_back(self, worker: Worker) -> None:
        if worker.usable and not self._closed:
            if not self._listen_idle:
                worker.rest()
            self._idle.append(worker)
            return
        await worker.end()
        self._all.discard(worker)

    def _message(self, task: Task) -> Call:
        self._calls += 1
        return Call(
            id=self._calls,
            origin=task.origin,
            operator=task.operator,
            fingerprint=task.fingerprint,
            inputs=task.inputs,
            run_id=task.run_id,
            node=task.node,
            attempt=task.attempt,
            cwd=str(task.cwd),
            base=str(task.base),
            environment=task.environment,
            config=task.config,
            allowed_hosts=task.allowed_hosts,
            memory_mb=task.memory_mb,
            value_bytes_max=task.value_bytes_max,
        )


async def _all_of(endings: list[Coroutine[object, object, None]]) -> None:
    await asyncio.gather(*endings)
