"""An arbiter that makes requests wait, and remembers every grant."""

import asyncio
from collections import deque
from collections.abc import Collection

from symphony.ports.arbiter import Grant, Queued, ResourceRefused, ResourceRequest


class Turns:
    """Grants `places` requests at a time, in the order in which they came; refuses resources in `never`.

    Raises AssertionError where a grant that it does not know is released.
    """

    def __init__(self, places: int = 1, never: Collection[str] = ()) -> None:
        self.places, self.never = places, never
        self.held: dict[str, Grant] = {}
        self.granted: list[Grant] = []
        self.released: list[str] = []
        self.most = 0
        self.twice = 0
        self._waiting: deque[tuple[ResourceRequest, asyncio.Future[Grant]]] = deque()

    @property
    def waiting(self) -> list[str]:
        """The nodes that wait, first in line first."""
        return [request.node for request, future in self._waiting if not future.done()]

    def limits(self, request: ResourceRequest) -> bool:
        return True

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        self._check(request)
        if len(self.held) >= self.places or self.waiting:
            return None
        return self._grant(request, "a place was free")

    def queued(self, request: ResourceRequest) -> Queued:
        waiting = self.waiting
        before = waiting.index(request.node) if request.node in waiting else len(waiting)
        return Queued(reason=f"all {self.places} places are taken", before=before)

    async def acquire(self, request: ResourceRequest) -> Grant:
        if (grant := self.try_acquire(request)) is not None:
            return grant
        future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())  # it was granted just then
            raise

    def release(self, grant: Grant) -> None:
        if self.held.pop(grant.id, None) is None:
            assert grant.id in self.released, f"{grant.id} was never granted"
            self.twice += 1
            return
        self.released.append(grant.id)
        self.serve()

    def refuse(self) -> None:
        """Refuse what waits for a resource in `never`."""
        for request, future in list(self._waiting):
            if request.resource in self.never and not future.done():
                future.set_exception(ResourceRefused(f"{request.resource} is never granted"))

    def serve(self) -> None:
        """Grant what has a place now."""
        while len(self.held) < self.places and self._waiting:
            request, future = self._waiting.popleft()
            if not future.done():
                future.set_result(self._grant(request, "its turn came"))

    def _check(self, request: ResourceRequest) -> None:
        if request.resource in self.never:
            raise ResourceRefused(f"{request.resource} is never granted")

    def _grant(self, request: ResourceRequest, reason: str) -> Grant:
        grant = Grant(id=str(len(self.granted)), request=request, reason=reason)
        self.held[grant.id] = grant
        self.granted.append(grant)
        self.most = max(self.most, len(self.held))
        return grant
