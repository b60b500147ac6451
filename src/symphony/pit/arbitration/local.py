"""The arbiter of one process: the shell around the machine that decides."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from symphony.commons.components import HealthStatus
from symphony.pit.arbitration.core.decisions import (
    ArbiterDecision,
    ArbiterInput,
    ClaimGranted,
    ClaimRefused,
    ClaimWait,
)
from symphony.pit.arbitration.core.machine import ArbiterMachine
from symphony.pit.arbitration.core.replaying import ArbiterStart
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.core.supplies import Claim, Needs, Supply
from symphony.pit.arbitration.core.wording import AT_ONCE
from symphony.pit.arbitration.limits import ArbiterLimits, claim_of
from symphony.ports.arbiter import Grant, Queued, ResourceRefused, ResourceRequest
from symphony.ports.arbitration import (
    ArbiterEvent,
    ArbiterStatus,
    RequestGranted,
    RequestRefused,
    RequestStatus,
    RequestWaits,
    SupplyStatus,
)
from symphony.ports.clock import Clock

NOT_LIMITED: Final = "nothing that it needs is limited"
LISTED_MAX: Final = 1_000
"""The status lists at most so many requests that hold, and so many that wait."""


class _Asked(NamedTuple):
    """A claim that is asked for, and what becomes of it."""

    claim: Claim
    future: asyncio.Future[ClaimGranted]


class PitArbiter:
    """`symphony.ports.arbiter.Arbiter` and `AsyncComponent`. Use it from one event loop.

    The machine is made at the first request.
    """

    def __init__(
        self,
        limits: ArbiterLimits,
        policy: ArbiterPolicy,
        clock: Clock,
        *,
        name: str = "",
        seed: int = 0,
        observe: Callable[[ArbiterEvent], None] = lambda _: None,
        record: Callable[[ArbiterStart | ArbiterInput | ArbiterDecision], None] | None = None,
    ) -> None:
        """`name` makes ids of grants unique among processes. `observe` hears of what waits.

        `record` gets how the machine begins, then its inputs and decisions: see `recording`.
        """
        self._limits, self.policy = limits, policy
        self._clock, self._name, self._seed = clock, name, seed
        self._now_s = clock.monotonic_s
        self._observe, self._record = observe, record
        self._begun: ArbiterMachine | None = None
        self._asked: dict[str, _Asked] = {}
        self._waiting: dict[ResourceRequest, Claim] = {}
        self._due: asyncio.TimerHandle | None = None
        self._count = 0
        self._closed = False

    # The component.

    async def start(self) -> None:
        """Nothing is begun before the first request."""

    async def stop(self) -> None:
        """Refuse those that wait, and all that come later."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        for asked in list(self._asked.values()):
            if not asked.future.done():
                asked.future.set_exception(_closed())

    async def health_check(self) -> HealthStatus:
        """Return how many wait and for what; waiting is no fault."""
        if self._begun is None or not self._asked:
            return HealthStatus(detail="nothing waits")
        wanted = ", ".join(one.supply for one in self._begun.contentions())
        return HealthStatus(detail=f"{len(self._asked)} requests wait for {wanted or 'their turn'}")

    # The arbiter.

    def limits(self, request: ResourceRequest) -> bool:
        """Return whether anything that the request needs is limited."""
        return bool(self._limits.needs(request))

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        """Return a grant if the request need not wait, else None. Raises ResourceRefused."""
        needs = self._limits.needs(request)
        if not needs:
            return Grant(id="", request=request, reason=NOT_LIMITED)
        return self.try_needs(request, needs)

    def try_needs(self, request: ResourceRequest, needs: Needs) -> Grant | None:
        """Return a grant of `needs` if the request need not wait. Raises ResourceRefused."""
        machine, claim = self.machine, self.claim(request, needs)
        if machine.grant_at_once(claim, self._now_s()):
            if self._record is not None:
                self._record(ClaimGranted(claim.id, AT_ONCE))
            return Grant(id=claim.id, request=request, reason=AT_ONCE)
        if (refused := machine.refusal(claim)) is not None:
            raise self._refusal(claim, refused.reason, refused.setting)
        return None

    def queued(self, request: ResourceRequest) -> Queued:
        """Return why the request has to wait now, or is waiting already."""
        claim = self._waiting.get(request) or claim_of(request, self._limits.needs(request), "")
        wait = self.machine.why(claim)
        if wait is None:
            return Queued(reason="it may begin")
        return Queued(reason=wait.reason, before=wait.before)

    async def acquire(self, request: ResourceRequest) -> Grant:
        """Wait for a grant. Raises ResourceRefused."""
        needs = self._limits.needs(request)
        if not needs:
            return Grant(id="", request=request, reason=NOT_LIMITED)
        claim = self.claim(request, needs)
        self._waiting[request] = claim
        try:
            granted = await self.wait(claim)
        finally:
            if self._waiting.get(request) is claim:
                del self._waiting[request]
        return Grant(id=claim.id, request=request, reason=granted.reason, waited_s=granted.waited_s)

    def release(self, grant: Grant) -> None:
        """Give back what was granted. Releasing a grant again does nothing."""
        if grant.id:
            self.give_back(grant.id)

    # Claims, also those of other processes.

    def claim(self, request: ResourceRequest, needs: Needs) -> Claim:
        """Return the request as a claim with an id of its own."""
        self._count += 1
        return claim_of(request, needs, f"{self._name}{self._count}")

    def why(self, claim_id: str) -> ClaimWait | None:
        """Return why a claim waits that was asked for; None if it does not."""
        asked = self._asked.get(claim_id)
        return None if asked is None or self._begun is None else self._begun.why(asked.claim)

    async def wait(self, claim: Claim) -> ClaimGranted:
        """Wait until the claim is granted; one that holds already, is. Cancelling gives it up.

        Raises ResourceRefused.
        """
        if self._closed:
            raise _closed()
        if self.machine.holds(claim.id):
            return ClaimGranted(claim.id, AT_ONCE)
        future: asyncio.Future[ClaimGranted] = asyncio.get_running_loop().create_future()
        self._asked[claim.id] = _Asked(claim, future)
        self._hear(self.machine.ask(claim, self._now_s()))
        if not future.done():
            self._tell_waits(claim)
        try:
            granted = await future
        except asyncio.CancelledError:
            self.give_back(claim.id)
            raise
        except ResourceRefused as error:
            self._observe(
                RequestRefused(
                    id=claim.id,
                    run=claim.run,
                    node=claim.node,
                    user=claim.user,
                    reason=error.message,
                    at_s=self._clock.now_s(),
                )
            )
            raise
        finally:
            self._asked.pop(claim.id, None)
        if granted.waited_s > 0:
            self._observe(
                RequestGranted(
                    id=claim.id,
                    run=claim.run,
                    node=claim.node,
                    user=claim.user,
                    reason=granted.reason,
                    waited_s=granted.waited_s,
                    at_s=self._clock.now_s(),
                )
            )
        return granted

    def give_back(self, claim_id: str) -> None:
        """The claim is over, or not wanted any more. Nothing happens if it is not known."""
        if self._begun is not None:
            self._hear(self._begun.release(claim_id, self._now_s()))

    def adopt(self, claim: Claim) -> None:
        """Note a claim that another arbiter granted, and that still holds."""
        self.machine.adopt(claim, self._now_s())

    def change(self, supply: Supply) -> None:
        """There is so much of the supply from now on."""
        self._hear(self.machine.change(supply, self._now_s()))

    # What is seen of it.

    def status(self) -> ArbiterStatus:
        """Return what is taken, who holds and who waits, and why."""
        machine, now_s = self.machine, self._clock.now_s()
        wanted = {one.supply: one.waiting for one in machine.contentions()}
        ages = machine.ages_s(self._now_s())
        supplies = tuple(
            SupplyStatus(
                supply=supply.name,
                kind=supply.kind,
                unit=supply.unit,
                amount=supply.amount / supply.scale,
                taken=(supply.amount - supply.spent - free) / supply.scale,
                spent=supply.spent / supply.scale,
                waiting=wanted.get(supply.name, 0),
            )
            for supply, free in machine.supplies()
        )
        return ArbiterStatus(
            at_s=now_s,
            strategy=self.policy.strategy,
            supplies=supplies,
            held=tuple(_shown(one, now_s - ages[one.id], "") for one in machine.held()[:LISTED_MAX]),
            waiting=tuple(
                _shown(one, now_s - ages[one.id], "" if (wait := machine.why(one)) is None else wait.reason)
                for one in machine.waiting()[:LISTED_MAX]
            ),
            contentions=machine.contentions(),
            fairness=machine.fairness(self._now_s()),
        )

    # Inside.

    @property
    def machine(self) -> ArbiterMachine:
        """The decisions."""
        if self._begun is None:
            start = ArbiterStart(
                now_s=self._now_s(), seed=self._seed, policy=self.policy, supplies=self._limits.supplies
            )
            if self._record is not None:
                self._record(start)
            self._begun = ArbiterMachine(
                start.supplies, start.policy, now_s=start.now_s, seed=start.seed, record=self._record
            )
        return self._begun

    def _hear(self, decisions: tuple[ArbiterDecision, ...]) -> None:
        for one in decisions:
            if self._record is not None:
                self._record(one)
            asked = self._asked.get(one.id)
            waits = asked is not None and not asked.future.done()
            if isinstance(one, ClaimRefused):
                if asked is not None and waits:
                    asked.future.set_exception(self._refusal(asked.claim, one.reason, one.setting))
            elif asked is not None and waits:
                asked.future.set_result(one)
            else:
                self.give_back(one.id)  # it was given up just now
        if self._asked:
            self._look_again()

    def _look_again(self) -> None:
        """Come back when what fills again may suffice."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        now_s = self._now_s()
        due_s = self.machine.due_s(now_s)
        if due_s is not None and not self._closed:
            self._due = asyncio.get_running_loop().call_later(due_s - now_s, self._tick)

    def _tick(self) -> None:
        self._due = None
        self._hear(self.machine.tick(self._now_s()))

    def _tell_waits(self, claim: Claim) -> None:
        wait = self.machine.why(claim)
        if wait is not None:
            self._observe(
                RequestWaits(
                    id=claim.id,
                    run=claim.run,
                    node=claim.node,
                    user=claim.user,
                    kind=wait.kind,
                    supply=wait.supply,
                    reason=wait.reason,
                    behind=wait.behind,
                    before=wait.before,
                    at_s=self._clock.now_s(),
                )
            )

    @staticmethod
    def _refusal(claim: Claim, reason: str, setting: str) -> ResourceRefused:
        what = f"node {claim.node} cannot begin {claim.resource}" if claim.node else "the request is refused"
        hint = f"raise `{setting}` in the settings, or let the node need less" if setting else None
        return ResourceRefused(f"{what}: {reason}", details={"setting": setting}, hint=hint)


def _shown(claim: Claim, since_s: float, reason: str) -> RequestStatus:
    return RequestStatus(
        id=claim.id,
        run=claim.run,
        node=claim.node,
        resource=claim.resource,
        user=claim.user,
        priority=claim.priority,
        since_s=since_s,
        reason=reason,
    )


def _closed() -> ResourceRefused:
    return ResourceRefused("the arbiter has ended, as its process is about to")
