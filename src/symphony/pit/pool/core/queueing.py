"""The requests that wait for a model, so that runs take turns. Pure.

Of the requests of one run for one model only the first competes, since the moment at which the run last gave
the model back: a fan-out of ten thousand calls stands in the queue as one. Those that compete are served by
priority, and each `AGEING_S` of competing is worth one step of priority.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from symphony.pit.pool.core.actions import LeaseRequest
from symphony.pit.pool.core.entries import AGEING_S

_Group: TypeAlias = tuple[str, str, int]


class WaitingRequest:
    """A request in the queue. The order of two that compete never changes: both age equally fast."""

    __slots__ = ("cold", "competing_s", "group", "order", "request", "since_s")

    def __init__(self, request: LeaseRequest, since_s: float, number: int, cold: bool) -> None:
        self.request, self.since_s, self.cold = request, since_s, cold
        self.group = _group_of(request)
        self.competes(since_s, number)

    def competes(self, since_s: float, number: int) -> None:
        """From `since_s` on it is the first of its run. `number` tells apart what happened at one time."""
        self.competing_s = since_s
        self.order = (since_s - self.request.priority * AGEING_S, number)

    def __lt__(self, other: "WaitingRequest") -> bool:
        return self.order < other.order


class RequestQueue:
    """All requests that wait. Adding, removing and serving is O(runs that wait)."""

    def __init__(self) -> None:
        self._first: list[WaitingRequest] = []
        self._groups: dict[_Group, OrderedDict[str, WaitingRequest]] = {}
        self._by_lease: dict[str, WaitingRequest] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._by_lease)

    def add(self, request: LeaseRequest, now_s: float, *, cold: bool) -> None:
        """A request begins to wait."""
        waiting = WaitingRequest(request, now_s, self._number(), cold)
        group = self._groups.setdefault(waiting.group, OrderedDict())
        if not group:
            insort(self._first, waiting)
        group[request.lease] = self._by_lease[request.lease] = waiting

    def find(self, lease: str) -> WaitingRequest | None:
        """Return the request for `lease`, or None."""
        return self._by_lease.get(lease)

    def remove(self, waiting: WaitingRequest, *, served_s: float | None = None) -> None:
        """It waits no longer. The next of its run takes its place, or competes from `served_s` on."""
        del self._by_lease[waiting.request.lease]
        group = self._groups[waiting.group]
        first = next(iter(group.values())) is waiting
        del group[waiting.request.lease]
        if first:
            self._first.remove(waiting)
            if group:
                following = next(iter(group.values()))
                if served_s is None:
                    following.competes(waiting.competing_s, waiting.order[1])
                else:
                    following.competes(served_s, self._number())
                insort(self._first, following)
        if not group:
            del self._groups[waiting.group]

    def given_back(self, request: LeaseRequest, now_s: float) -> None:
        """The lease of `request` is over: its run had its turn, and competes for the model from now on."""
        group = self._groups.get(_group_of(request))
        if group:
            first = next(iter(group.values()))
            self._first.remove(first)
            first.competes(now_s, self._number())
            insort(self._first, first)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def competing(self) -> tuple[WaitingRequest, ...]:
        """Return the first request of each run for each model, in the order in which they are served."""
        return tuple(self._first)

    def of(self, model: str) -> list[WaitingRequest]:
        """Return the requests for `model`."""
        return [one for one in self._by_lease.values() if one.request.model == model]

    def counted(self) -> Iterator[tuple[WaitingRequest, int]]:
        """Yield the first request of each run for each model, with the number of those that wait with it."""
        for one in self._first:
            yield one, len(self._groups[one.group])


def _group_of(request: LeaseRequest) -> _Group:
    """Return what takes turns: a run. A request of no run is alone."""
    run = f"run {request.run}" if request.run is not None else f"lease {request.lease}"
    return run, request.model, request.priority
