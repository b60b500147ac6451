"""Keeps requests to models in the queue while a shared budget has no room for them."""

from symphony.ports.arbiter import Arbiter, Grant, Queued, ResourceRequest
from symphony.ports.budgets import BudgetShortfall, Payer, SharedBudgets, shortage_said
from symphony.ports.models import Estimate

_NOTHING = Estimate()


class BudgetGate:
    """`symphony.ports.arbiter.Arbiter` before another: what no budget has room for does not ask it yet.

    What it lets through may still be refused by the ledger, to which each request to a model goes before it
    is made: another process may have been quicker. Then the attempt comes back here.
    """

    def __init__(self, inner: Arbiter, budgets: SharedBudgets) -> None:
        self.inner, self._budgets = inner, budgets

    def limits(self, request: ResourceRequest) -> bool:
        """Return whether a budget may keep the request waiting, or the arbiter."""
        return request.kind == "model" or self.inner.limits(request)

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        """Return a grant if the request need not wait, else None. Raises ResourceRefused."""
        return None if self._short(request) is not None else self.inner.try_acquire(request)

    def queued(self, request: ResourceRequest) -> Queued:
        """Return why the request has to wait now."""
        short = self._short(request)
        return self.inner.queued(request) if short is None else Queued(reason=shortage_said(short))

    async def acquire(self, request: ResourceRequest) -> Grant:
        """Wait for room in every budget, and then for a grant. Raises ResourceRefused."""
        if self._short(request) is not None:
            most = request.estimate or _NOTHING
            with self._budgets.waits(
                _payer(request), request.node, request.resource, most, priority=request.priority
            ):
                while (short := self._short(request)) is not None:
                    await self._budgets.news(short.until_s)
        return await self.inner.acquire(request)

    def release(self, grant: Grant) -> None:
        """Give back what was granted."""
        self.inner.release(grant)

    def _short(self, request: ResourceRequest) -> BudgetShortfall | None:
        """Return the budget to wait for. A request that can only fail need not wait: its attempt fails."""
        if request.kind != "model":
            return None
        found = self._budgets.short(_payer(request), request.estimate or _NOTHING)
        return None if found is None or found.final else found


def _payer(request: ResourceRequest) -> Payer:
    return Payer(run=request.run, user=request.user, project=request.project)
