"""All processes of one model of a pool: the present one, and those before that have not ended yet."""

import asyncio
import math
from collections.abc import Callable, Coroutine

from symphony.pit.pool.child import ModelProcess
from symphony.pit.pool.core.splitting import ChildSpec
from symphony.pit.processes import Restarts
from symphony.ports.models import ModelUnavailable


class ModelHost:
    """The processes of one model: the present one, and those before that have not ended yet.

    One call at a time, unless the model has more slots: that costs under a hundredth of the throughput and
    means that when a process dies it is known whose call it died of.
    """

    def __init__(self, name: str, spec: ChildSpec) -> None:
        self.name, self.spec = name, spec
        self.child: ModelProcess | None = None
        self.loading = False
        self.restarts = Restarts()
        self.refusal: ModelUnavailable | None = None
        self.measured_s = -math.inf
        self.warned = False
        """Whether it was said that the model takes more than there is."""
        self._started: list[ModelProcess] = []
        self._task: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._measured_next: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child is not None and self.child.alive else None

    def begin(self, child: ModelProcess, load: Coroutine[None, None, None]) -> None:
        """Load `child` in a task of our own."""
        self.child, self.loading, self.measured_s = child, True, -math.inf
        self._started = [other for other in self._started if not other.ended]
        self._started.append(child)
        self._task = asyncio.get_running_loop().create_task(load, name=f"model {self.name}")

    def measure(self, work: Coroutine[None, None, None]) -> None:
        """Measure in a task of our own."""
        self._measuring = asyncio.get_running_loop().create_task(work, name=f"memory of {self.name}")

    def measure_at(self, at_s: float, measure: Callable[[], None]) -> None:
        """Measure at this time of the loop, unless that is to happen anyway."""

        def due() -> None:
            self._measured_next = None
            measure()

        if self._measured_next is None:
            self._measured_next = asyncio.get_running_loop().call_at(at_s, due)

    def end(self) -> None:
        """Let the present process end, also if it is still loading."""
        if self._measured_next is not None:
            self._measured_next.cancel()
            self._measured_next = None
        if self.loading and self._task is not None:
            self._task.cancel()
        for child in self._started:
            child.retire()

    async def ended(self) -> None:
        """Wait until no process is left; `end` first."""
        if tasks := [task for task in (self._task, self._measuring) if task is not None]:
            await asyncio.wait(tasks)
        for child in self._started:
            await child.stopped()
