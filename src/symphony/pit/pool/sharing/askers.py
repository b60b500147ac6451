"""The other processes of the home, as the owner of the pool knows them: what each asks, holds and needs."""

import asyncio
from collections.abc import Callable, Coroutine

from symphony.pit.pool.keeping import KeptModel
from symphony.ports.values import Value


class CallUnderWay:
    """A call of another process. Asked for again after the bus had lost its answer, it is joined."""

    def __init__(self, task: "asyncio.Task[Value]") -> None:
        self.task, self.waiting = task, 0


class HeldLease:
    """A lease of another process. `model` and `pid`: the process that it was granted."""

    def __init__(self) -> None:
        self.granted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.model = ""
        self.pid: int | None = None


class Asker:
    """Another process. `pid` is known once it has greeted: a command that asks only once does not greet.

    `absent_until_s`: the bus has lost it, and it may come back until then.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        """`ended` is called whenever something that it asked for or held is over."""
        self._tell_ended = ended
        self._calls: dict[str, CallUnderWay] = {}
        self.leases: dict[str, HeldLease] = {}
        self.kept: dict[str, KeptModel] = {}
        """The models that it keeps loaded, by lease. They are no reason for an owner to stay."""
        self.runs: set[str] = set()
        self.pid: int | None = None
        self.absent_until_s: float | None = None
        self.gone = False

    @property
    def busy(self) -> bool:
        """True if it waits for something, or holds a model."""
        return bool(self._calls or self.leases)

    async def call(self, name: str, work: Callable[[], Coroutine[object, None, Value]]) -> Value:
        """Return what the call `name` gives: `work`, begun now unless it is under way.

        Cancelling the last that waits for it ends it.
        """
        found = self._calls.get(name)
        if found is None:
            task = asyncio.get_running_loop().create_task(work(), name=f"call {name}")
            found = self._calls[name] = CallUnderWay(task)
            task.add_done_callback(lambda task: self._over(name, task))
        found.waiting += 1
        try:
            return await asyncio.shield(found.task)
        except asyncio.CancelledError:
            if found.waiting == 1:
                found.task.cancel()
            raise
        finally:
            found.waiting -= 1

    def release(self, lease: str) -> None:
        """A lease is over. Nothing happens if there is none of this name."""
        found = self.leases.pop(lease, None)
        if (kept := self.kept.pop(lease, None)) is not None:
            kept.release()
        if found is not None:
            found.over.set()
            if not found.granted.done() and found.task is not None:
                found.task.cancel()

    def freed(self, name: str, lease: HeldLease) -> None:
        """The task of a lease has come to its end."""
        lease.granted.cancel()
        if self.leases.get(name) is lease:
            del self.leases[name]
        self._tell_ended()

    def end(self) -> list[asyncio.Task[object]]:
        """Stop everything, for good. Return what has yet to come to its end."""
        self.gone = True
        tasks: list[asyncio.Task[object]] = [call.task for call in self._calls.values()]
        tasks += [lease.task for lease in self.leases.values() if lease.task is not None]
        for task in tasks:
            task.cancel()
        for kept in self.kept.values():
            kept.release()
        self.kept.clear()
        return tasks

    def _over(self, name: str, task: "asyncio.Task[Value]") -> None:
        if not task.cancelled():
            task.exception()  # seen, also if nobody waits any more
        self._calls.pop(name, None)
        self._tell_ended()
