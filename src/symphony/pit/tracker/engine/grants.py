"""Asks the arbiter before attempts begin, and queues the slots that must wait.

A queued slot holds no place of the machine and no task. The slots of a run that wait for one resource are
in one line, and only the first of them has a request at the arbiter. So ten thousand waiting elements are
one request, and a run with many of them waits no shorter than a run with one.

Fan-outs, loops and sub-workflows never ask: what they hold could be what their parts wait for. A node's
timeout counts from the start of its attempt, so not while the node is queued.
"""

import asyncio
import heapq
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.engine.parts import RunParts
from symphony.ports.arbiter import Grant, ResourceRequest
from symphony.ports.insight import QueueProgress

QUEUES_MAX: Final = 8


class _Line(msgspec.Struct, eq=False):
    """The slots that wait for one resource; the first of them may have a request at the arbiter."""

    queue: list[tuple[int, int, int]] = msgspec.field(default_factory=list)
    """A heap: priority of the node, highest first, then order of arrival, then slot."""
    requests: dict[int, ResourceRequest] = msgspec.field(default_factory=dict)
    """By slot."""
    before: int = 0
    """The number of requests of others that came before the first in line when it was last asked for."""
    asking: int | None = None
    """The slot whose request the arbiter has."""
    task: asyncio.Task[None] | None = None


class Grants:
    """The grants of one run: each is released once, however its attempt ends. Use on the run's loop."""

    def __init__(self, parts: RunParts) -> None:
        self._machine, self._transitions = parts.machine, parts.transitions
        self._arbiter, self._clock = parts.executor.arbiter, parts.clock
        self._alive, self._bug = parts.alive, parts.bug
        self._loop = asyncio.get_running_loop()
        self._held: dict[int, Grant] = {}  # by slot with an attempt under way
        self._given: dict[int, Grant] = {}  # by slot that waited, and whose attempt has yet to begin
        self._lines: dict[tuple[str, str], _Line] = {}
        self._label = parts.replay.label
        self._arrived = 0
        self._ended: set[asyncio.Task[None]] = set()  # cancelled requests that have yet to end

    def take(self, slot: int, request: ResourceRequest) -> bool:
        """Return whether the slot's attempt may begin now; if so, it holds a grant until `release`.

        Raises SymphonyError `resource-refused`.
        """
        grant = self._given.pop(slot, None)
        if grant is None:
            if self._lines and (request.kind, request.resource) in self._lines:
                return False  # others of this run were there before
            grant = self._arbiter.try_acquire(request)
            if grant is None:
                return False
        self._held[slot] = grant
        return True

    def queue(self, slot: int, request: ResourceRequest) -> None:
        """Let the slot wait for a grant; once it has one, it is ready again."""
        told, key = self._arbiter.queued(request), (request.kind, request.resource)
        line = self._lines.setdefault(key, _Line())
        if line.asking is None:
            line.before = told.before
        before = line.before + len(line.requests)
        line.requests[slot] = request
        self._arrived += 1
        heapq.heappush(line.queue, (-self._machine.node(slot).priority, self._arrived, slot))
        self._transitions.queued(slot, request, told.reason, before)
        if line.asking is None:
            self._advance(key, line)

    def release(self, slot: int) -> None:
        """Give back what the slot holds, if anything."""
        grant = self._held.pop(slot, None) or self._given.pop(slot, None)
        if grant is not None:
            self._arbiter.release(grant)

    def standing(self) -> list[QueueProgress]:
        """Return what the slots of the run wait for, as of now, at most `QUEUES_MAX` resources."""
        found = list[QueueProgress]()
        for (kind, resource), line in islice(self._lines.items(), QUEUES_MAX):
            for slot, request in self._waiting(line):
                told = self._arbiter.queued(request)
                found.append(
                    QueueProgress(
                        resource=resource,
                        kind=kind,
                        count=len(line.requests),
                        first=request.node,
                        label=self._label(slot),
                        reason=told.reason,
                        before=told.before,
                    )
                )
                break
        return found

    def sweep(self) -> None:
        """Give up what is held or asked for slots that have been cancelled; if the run is paused, for all.

        O(lines), and O(grants whose attempts have yet to begin).
        """
        if not self._lines and not self._given:
            return
        if self._machine.paused:
            self.abort()
            return
        status = self._machine.status
        for key, line in list(self._lines.items()):
            if line.asking is not None and status[line.asking] != Status.QUEUED:
                self._give_up(line)
                self._advance(key, line)
        for slot in [slot for slot in self._given if status[slot] not in (Status.READY, Status.RUNNING)]:
            self.release(slot)

    def abort(self) -> None:
        """Ask for nothing more, and give back what no attempt has begun with."""
        for line in self._lines.values():
            self._give_up(line)
        self._lines.clear()
        for slot in list(self._given):
            self.release(slot)

    async def close(self) -> None:
        """Give back everything. No attempt may be under way."""
        self.abort()
        if self._ended:
            await asyncio.wait(self._ended)
        for slot in list(self._held):
            self.release(slot)

    # ---- inside ---------------------------------------------------------------------------

    def _waiting(self, line: _Line) -> Iterator[tuple[int, ResourceRequest]]:
        """Yield the first of the slots that still wait, until nobody does; it stays in line until it is taken
        out of `requests`.
        """
        while line.queue:
            slot = line.queue[0][-1]
            request = line.requests.get(slot)
            if request is None or self._machine.status[slot] != Status.QUEUED:
                heapq.heappop(line.queue)
                line.requests.pop(slot, None)
            else:
                yield slot, request

    def _advance(self, key: tuple[str, str], line: _Line) -> None:
        """Have the first in line ask, after all those that need not wait any more."""
        for slot, request in self._waiting(line):
            if not self._alive() or self._machine.paused:
                return
            try:
                grant = self._arbiter.try_acquire(request)
            except SymphonyError as error:
                del line.requests[slot]
                self._refused(slot, error)
                continue
            if grant is None:
                line.before = self._arbiter.queued(request).before
                self._ask(key, line, slot, request)
                return
            del line.requests[slot]
            self._give(slot, grant)
        self._lines.pop(key, None)

    def _ask(self, key: tuple[str, str], line: _Line, slot: int, request: ResourceRequest) -> None:
        async def wait() -> None:
            try:
                grant: Grant | SymphonyError = await self._arbiter.acquire(request)
            except SymphonyError as error:
                grant = error
            # Nothing is awaited from here on: a cancellation comes before the grant, or not at all.
            line.asking = line.task = None
            line.requests.pop(slot, None)
            if isinstance(grant, Grant):
                self._give(slot, grant)
            else:
                self._refused(slot, grant)
            self._advance(key, line)

        line.asking = slot
        line.task = self._loop.create_task(wait(), name=f"request of slot {slot}")
        line.task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._ended.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bug(error)

    def _give_up(self, line: _Line) -> None:
        """Withdraw the request that the arbiter has."""
        if line.task is not None:
            self._ended.add(line.task)
            line.task.cancel()
        if line.asking is not None:
            line.requests.pop(line.asking, None)
        line.asking = line.task = None

    def _give(self, slot: int, grant: Grant) -> None:
        if self._machine.status[slot] != Status.QUEUED or self._machine.paused or not self._alive():
            self._arbiter.release(grant)
            return
        self._given[slot] = grant
        self._transitions.granted(slot, grant.reason)

    def _refused(self, slot: int, error: SymphonyError) -> None:
        if self._machine.status[slot] == Status.QUEUED and self._alive():
            self._transitions.failed(slot, error, self._clock.now_s(), final=True)
