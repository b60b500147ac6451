"""What is limited on this machine, and what a request needs of it. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from symphony.pit.arbitration.core.supplies import UNIT, Claim, Needs, Supply
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.arbitration import ConflictKind

MEGABYTE: Final = 1_000_000
MINUTE_S: Final = 60.0


class ModelLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How often a model may be asked: calls at once, and requests a minute; None: as often as one likes.

    So many calls with the same needs as `batch` says may share one place, where the strategy allows it.
    `setting` is the section of the settings that says so.
    """

    calls: int | None = None
    requests_per_minute: int | None = None
    batch: int = 1
    setting: str = ""


class ArbiterLimits:
    """The supplies of an arbiter, and what requests need of them. What is None is not limited."""

    def __init__(
        self,
        *,
        cores: float | None = None,
        memory_mb: int | None = None,
        operators: int | None = None,
        models: Mapping[str, ModelLimit] | None = None,
    ) -> None:
        """`operators`: calls of operators that use the processor, at once. `models` by name."""
        self.supplies = (*_machine(cores, memory_mb, operators), *_models(models or {}))
        self._names = frozenset(supply.name for supply in self.supplies)
        self._known: dict[tuple[str, str, float, int], Needs] = {}

    def needs(self, request: ResourceRequest) -> Needs:
        """Return what the request needs of what is limited; empty if that is nothing."""
        if not self._names:
            return ()
        key = (request.kind, request.resource, request.cores, request.memory_bytes)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(self._needed(request))
        return found

    def _needed(self, request: ResourceRequest) -> Iterable[tuple[str, int]]:
        wanted = [("cores", round(request.cores * UNIT)), ("memory", request.memory_bytes)]
        if request.kind == "model":
            wanted += [(f"model {request.resource}", 1), (f"requests to {request.resource}", 1)]
        elif request.cores > 0:
            wanted.append(("operators", 1))
        return [(name, amount) for name, amount in wanted if name in self._names and amount > 0]


def claim_of(request: ResourceRequest, needs: Needs, claim_id: str) -> Claim:
    """Return the request as the machine sees it."""
    return Claim(
        id=claim_id,
        user=request.user,
        run=request.run,
        node=request.node,
        resource=request.resource,
        priority=request.priority,
        needs=needs,
    )


def _machine(cores: float | None, memory_mb: int | None, operators: int | None) -> Iterable[Supply]:
    if cores is not None:
        yield Supply(
            name="cores", kind=ConflictKind.CPU, amount=round(cores * UNIT), unit="cores", scale=UNIT,
            setting="arbiter.cores",
        )  # fmt: skip
    if memory_mb is not None:
        yield Supply(
            name="memory", kind=ConflictKind.MEMORY, amount=memory_mb * MEGABYTE, unit="MB", scale=MEGABYTE,
            setting="arbiter.memory_mb",
        )  # fmt: skip
    if operators is not None:
        yield Supply(
            name="operators", kind=ConflictKind.CPU, amount=operators, unit="calls of operators",
            setting="arbiter.operators",
        )  # fmt: skip


def _models(models: Mapping[str, ModelLimit]) -> Iterable[Supply]:
    for name, limit in sorted(models.items()):
        if limit.calls is not None:
            yield Supply(
                name=f"model {name}", kind=ConflictKind.MODEL, amount=limit.calls, batch=limit.batch,
                unit="calls at once", setting=limit.setting,
            )  # fmt: skip
        if limit.requests_per_minute is not None:
            yield Supply(
                name=f"requests to {name}", kind=ConflictKind.MODEL, amount=limit.requests_per_minute,
                per_s=limit.requests_per_minute / MINUTE_S, unit="requests a minute", setting=limit.setting,
            )  # fmt: skip
