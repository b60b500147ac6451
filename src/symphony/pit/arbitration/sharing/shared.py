"""The arbiter of a home: here, if this process is its owner, or at its owner over the bus."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from symphony.bus import Bus
from symphony.bus.core.owning import AGAIN, PATIENCE_S, OwnerRole, OwnerSearch
from symphony.bus.errors import EndpointBusy, EndpointLost, EndpointUnknown, SenderUnknown
from symphony.bus.owning import LEAVING, Ownership
from symphony.commons.components import ComponentConfig, Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.pit.arbitration.core.decisions import ClaimGranted
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.core.supplies import Claim
from symphony.pit.arbitration.limits import ArbiterLimits, claim_of
from symphony.pit.arbitration.local import NOT_LIMITED, PitArbiter
from symphony.pit.arbitration.recording import ArbiterRecord
from symphony.pit.arbitration.sharing import messages
from symphony.pit.arbitration.sharing.holders import HoldersFile
from symphony.pit.arbitration.sharing.messages import (
    ARBITER,
    HOLDERS,
    LOCK,
    AcquireCall,
    ClaimIds,
    GrantAnswer,
    HolderGreeting,
    WaitAnswer,
)
from symphony.pit.arbitration.sharing.serving import ArbiterService
from symphony.ports.arbiter import Grant, Queued, ResourceRefused, ResourceRequest
from symphony.ports.arbitration import ArbiterEvent, ArbiterStatus
from symphony.ports.clock import Clock
from symphony.ports.values import Value

logger = logging.getLogger(__name__)

ASK_WHY_S: Final = 1.0
"""How often the owner is asked why the requests of this process wait."""
_BUSY_S: Final = 0.05
_ASK_S: Final = 1.0
_NOT_SERVED: Final = frozenset({
    EndpointUnknown.code, SenderUnknown.code, EndpointLost.code, LEAVING, "request-timed-out",
})  # fmt: skip
"""Codes of requests that another owner must be asked."""

COMPONENT: Final = ComponentConfig(timeout_s=PATIENCE_S, retry_policy=AGAIN)


def _unheard(event: ArbiterEvent) -> None:
    """Events are for nobody."""


class SharedArbiter:
    """`symphony.ports.arbiter.Arbiter` and `AsyncComponent` over one arbiter for all processes of a home.

    Nothing is joined, locked or started before something limited is asked for. Use from one event loop.
    """

    def __init__(
        self,
        limits: ArbiterLimits,
        policy: ArbiterPolicy,
        clock: Clock,
        *,
        folder: Path,
        bus: Callable[[], Awaitable[Bus | None]],
        asking: str,
        component: ComponentConfig = COMPONENT,
        record: ArbiterRecord | None = None,
    ) -> None:
        """`folder` has the lock of the owner. `bus` and `asking`: see `Ownership`.

        `component`: an owner that does not answer is waited for `timeout_s`. With `metrics_enabled`, events
        of the arbiter are published on the bus. `record` is closed at the end.
        """
        self._limits = limits
        observe = self._publish if component.metrics_enabled else _unheard
        self._record = record
        self._own = PitArbiter(
            limits,
            policy,
            clock,
            name=f"{asking}:",
            observe=observe,
            record=None if record is None else record.add,
        )
        self._service = ArbiterService(self._own, HoldersFile(folder / HOLDERS))
        self._ownership = Ownership(
            ARBITER,
            folder / LOCK,
            handler=self._service.answer,
            bus=bus,
            asking=asking,
            greeting=self._greeting,
            changed=self._changed,
            lost=self._service.gone,
            search=OwnerSearch(patience_s=component.timeout_s, again=component.retry_policy),
        )
        self._asking = asking
        self._held: dict[str, Claim] = {}
        self._greeted: tuple[Claim, ...] = ()
        self._waiting: dict[ResourceRequest, Claim] = {}
        self._reasons: dict[str, Queued] = {}
        self._asking_why: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._closed = self._warned = False
        self._moved = asyncio.Event()

    @property
    def standing(self) -> OwnerRole:
        """The present standing of this process: owner, member, seeking, or alone."""
        return self._ownership.standing

    # The component.

    async def start(self) -> None:
        """Nothing is begun before the first request that is limited."""

    async def stop(self) -> None:
        """Leave: another process is the owner from now on. Requests that wait, or come later, are refused."""
        if self._closed:
            return
        self._closed = True
        self._service.leave()
        await self._own.stop()
        if self._asking_why is not None:
            self._asking_why.cancel()
        if self._errands:
            await asyncio.wait(self._errands, timeout=_ASK_S)
        await self._ownership.close()
        for errand in self._errands:
            errand.cancel()
        if self._record is not None:
            self._record.close()

    async def health_check(self) -> HealthStatus:
        """Return how the arbiter is; degraded if its owner does not answer."""
        if self._ownership.standing is OwnerRole.ALONE:
            return HealthStatus(health=Health.DEGRADED, detail=self._ownership.search.why)
        return await self._own.health_check()

    async def own(self) -> None:
        """Wait until this process is the owner. It stays so until `stop`."""
        while not self._closed and await self._ownership.find() is not OwnerRole.OWNER:
            self._moved.clear()
            await self._moved.wait()

    # The arbiter.

    def limits(self, request: ResourceRequest) -> bool:
        """Return whether anything that the request needs is limited."""
        return bool(self._limits.needs(request))

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        """Return a grant if the request need not wait, nor the owner be asked. Raises ResourceRefused."""
        needs = self._limits.needs(request)
        if not needs:
            return Grant(id="", request=request, reason=NOT_LIMITED)
        match self._ownership.standing:
            case OwnerRole.OWNER if self._service.ready:
                pass
            case OwnerRole.ALONE:
                pass
            case OwnerRole.SEEKING:
                self._ownership.look()
                return None
            case _:
                return None
        grant = self._own.try_needs(request, needs)
        if grant is not None:
            self._held[grant.id] = claim_of(request, needs, grant.id)
        return grant

    def queued(self, request: ResourceRequest) -> Queued:
        """Return why the request has to wait now, as far as this process knows."""
        if self._ownership.standing in (OwnerRole.OWNER, OwnerRole.ALONE):
            return self._own.queued(request)
        claim = self._waiting.get(request)
        known = None if claim is None else self._reasons.get(claim.id)
        if known is None and self._ownership.standing is OwnerRole.MEMBER:
            return Queued(reason="the arbiter of this home is asked, which another process has")
        return known or Queued(reason="the arbiter of this home is looked for")

    async def acquire(self, request: ResourceRequest) -> Grant:
        """Wait for a grant. Raises ResourceRefused."""
        needs = self._limits.needs(request)
        if not needs:
            return Grant(id="", request=request, reason=NOT_LIMITED)
        claim = self._own.claim(request, needs)
        self._waiting[request] = claim
        try:
            granted = await self._granted(claim)
        finally:
            if self._waiting.get(request) is claim:
                del self._waiting[request]
            self._reasons.pop(claim.id, None)
        self._held[claim.id] = claim
        return Grant(id=claim.id, request=request, reason=granted.reason, waited_s=granted.waited_s)

    def release(self, grant: Grant) -> None:
        """Give back what was granted. Releasing a grant again does nothing."""
        if self._held.pop(grant.id, None) is not None:
            self._give_back(grant.id)

    async def status(self) -> ArbiterStatus:
        """Return the status of the arbiter of the home. Raises SymphonyError if its owner does not answer."""
        if await self._ownership.find() is not OwnerRole.MEMBER:
            return self._own.status()
        return messages.read(ArbiterStatus, await self._ownership.request(messages.STATUS, timeout_s=_ASK_S))

    # Inside.

    async def _granted(self, claim: Claim) -> ClaimGranted:
        """Wait for the claim, here or at the owner, and at the next one if it ends meanwhile."""
        call = messages.value_of(AcquireCall(claim=claim))
        while True:
            standing = await self._ownership.find()
            if self._closed:
                raise ResourceRefused("the arbiter has ended, as its process is about to")
            if standing is not OwnerRole.MEMBER:
                if standing is OwnerRole.OWNER:
                    await self._service.wait_ready()
                return await self._own.wait(claim)
            tenure = self._ownership.search.tenure
            self._ask_why()
            try:
                answer = messages.read(
                    GrantAnswer, await self._ownership.request(messages.ACQUIRE, call, timeout_s=None)
                )
                return ClaimGranted(claim.id, answer.reason, answer.waited_s)
            except asyncio.CancelledError:
                self._give_back(claim.id)  # it may have been granted just now
                raise
            except EndpointBusy:
                await asyncio.sleep(_BUSY_S)
            except SymphonyError as error:
                if error.code == ResourceRefused.code:
                    raise ResourceRefused(error.message, details=error.details, hint=error.hint) from error
                if error.code not in _NOT_SERVED:
                    raise
                self._ownership.lost(tenure)

    def _give_back(self, claim_id: str) -> None:
        self._own.give_back(claim_id)
        if self._ownership.standing is OwnerRole.MEMBER:
            released = messages.value_of(ClaimIds(ids=(claim_id,)))
            self._errand(self._ownership.request(messages.RELEASE, released, timeout_s=_ASK_S))

    def _errand(self, request: Awaitable[Value]) -> None:
        """Send a request whose answer nobody needs."""

        async def run() -> None:
            with contextlib.suppress(SymphonyError):
                await request

        task = asyncio.get_running_loop().create_task(run(), name="arbiter errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _ask_why(self) -> None:
        if self._asking_why is None:
            self._asking_why = asyncio.get_running_loop().create_task(self._learn_why(), name="why")

    async def _learn_why(self) -> None:
        """Ask the owner why requests of this process wait, as long as some do."""
        try:
            while self._waiting and self._ownership.standing is OwnerRole.MEMBER:
                ids = tuple(claim.id for claim in self._waiting.values())
                with contextlib.suppress(SymphonyError):
                    asked = messages.value_of(ClaimIds(ids=ids))
                    answer = await self._ownership.request(messages.WHY, asked, timeout_s=_ASK_S)
                    waits = messages.read(WaitAnswer, answer).waits
                    self._reasons = {
                        name: Queued(reason=reason, before=before) for name, (reason, before) in waits.items()
                    }
                await asyncio.sleep(ASK_WHY_S)
        finally:
            self._asking_why = None

    def _publish(self, event: ArbiterEvent) -> None:
        """Tell everybody on the bus. The owner's events are those of the home's arbiter."""
        self._ownership.publish(messages.topic_of(event), messages.told(event))

    def _greeting(self) -> Value:
        self._greeted = tuple(self._held.values())
        return messages.value_of(HolderGreeting(held=self._greeted))

    def _changed(self, standing: OwnerRole) -> None:
        """For the ownership."""
        self._moved.set()
        if standing is OwnerRole.OWNER:
            for claim in self._held.values():
                self._own.adopt(claim)
            self._service.took_over(self._asking)
            self._ownership.publish(f"{ARBITER}.owner", {"pid": os.getpid(), "state": "took over"})
        if standing is OwnerRole.ALONE and not self._warned:
            self._warned = True
            holder = self._ownership.search.holder
            logger.warning(
                "the arbiter of this home belongs to %s, which does not answer (%s): until it does, the "
                "limits hold for this process by itself",
                "another process" if holder is None else f"process {holder}",
                self._ownership.search.why,
            )
        elif standing is OwnerRole.MEMBER:
            self._warned = False
            for claim in self._greeted:
                if claim.id not in self._held:  # released while the owner was greeted
                    self._give_back(claim.id)
