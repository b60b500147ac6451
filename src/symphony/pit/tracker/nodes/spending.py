"""Reserves budget before each request to a model, and waits if other requests decide whether it fits."""

import asyncio
from decimal import Decimal

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.budget import BudgetAccount, Excess, Limits
from symphony.pit.tracker.nodes.tokens import TokenStream
from symphony.ports.budgets import (
    NO_SHARED_BUDGETS,
    BudgetReservation,
    BudgetShortfall,
    Payer,
    SharedBudgets,
    Shortage,
)
from symphony.ports.models import Estimate, Usage


class BudgetExceeded(SymphonyError):
    """A request would exceed the run's budget, so it was not made."""

    code = "budget-exceeded"


class BudgetAwaited(SymphonyError):
    """A request does not fit a shared budget now, and none has been made: the attempt goes back to the queue.

    `most` is what it needs.
    """

    code = "budget-awaited"

    def __init__(self, most: Estimate, budget: str) -> None:
        super().__init__(f"{budget} has no room now")
        self.most = most


class Spending:
    """The account of one run in this process, and its part in budgets that runs share.

    Use from the run's loop.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        currency: str = "USD",
        shared: SharedBudgets = NO_SHARED_BUDGETS,
        payer: Payer = Payer(),  # noqa: B008  (a value)
        priority: int = 0,
    ) -> None:
        """`currency` is the currency of the prices, for messages; `payer` is whose shared budgets count.

        `priority` is the run's, for those who look who waits.
        """
        self._shared, self._payer, self._priority = shared, payer, priority
        self._ledger = BudgetAccount(limits or Limits())
        self._currency = currency
        self._settled = asyncio.Event()

    @property
    def spent(self) -> Usage:
        """Return all that was used up, by earlier processes of the run too."""
        return self._ledger.spent

    def recall(self, usage: Usage) -> None:
        """Count what an earlier process of the run used."""
        self._ledger.recall(usage)

    async def reserve(
        self, node: str, model: str, most: Estimate, *, first: bool = False
    ) -> BudgetReservation | None:
        """Wait until a request of `node` may be made; return what was reserved of shared budgets.

        A request that fits only if others turn out to use less than their maximum waits for them. With
        `first`, it does not wait for a shared budget. Raises BudgetExceeded, and BudgetAwaited if `first`.
        """
        await self._reserve_own(node, model, most)
        try:
            return await self._reserve_shared(node, model, most, first=first)
        except BaseException:
            self.settle(most, Usage())
            raise

    async def _reserve_shared(
        self, node: str, model: str, most: Estimate, *, first: bool
    ) -> BudgetReservation | None:
        found = await self._asked(node, model, most)
        if not isinstance(found, BudgetShortfall):
            return found
        if first:
            raise BudgetAwaited(most, found.budget)
        with self._shared.waits(self._payer, node, model, most, priority=self._priority):
            while isinstance(found, BudgetShortfall):
                await self._shared.news(found.until_s)
                found = await self._asked(node, model, most)
        return found

    async def _asked(
        self, node: str, model: str, most: Estimate
    ) -> BudgetReservation | BudgetShortfall | None:
        """Ask the shared budgets once. Raises BudgetExceeded if waiting would not help."""
        found = await self._shared.reserve(self._payer, node, model, most)
        if isinstance(found, BudgetShortfall) and found.final:
            raise _shared_refusal(node, found)
        return found

    async def _reserve_own(self, node: str, model: str, most: Estimate) -> None:
        while True:
            if self._ledger.unpriced(most) or (most.cost is None and self._shared.limits_money(self._payer)):
                raise BudgetExceeded(
                    f"node {node}: the run's money is limited, and model {model} has no price",
                    details={"node": node, "model": model},
                    hint=f"set the price of {model} in the settings, or take money out of the budget",
                )
            if (excess := self._ledger.excess(most)) is not None:
                raise self._refusal(node, excess)
            if self._ledger.granted(most):
                return
            self._settled.clear()
            await self._settled.wait()

    def settle(self, most: Estimate, usage: Usage, shared: BudgetReservation | None = None) -> None:
        """Note that a granted request is over, and what it used; `shared` is as `reserve` returned it."""
        self._ledger.settle(most, usage)
        if shared is not None:
            self._shared.settle(shared, usage)
        self._settled.set()

    def _refusal(self, node: str, excess: Excess) -> BudgetExceeded:
        unit = f" {self._currency}" if excess.what == "money" else ""
        limit, spent, needed = (_said(n) + unit for n in (excess.limit, excess.spent, excess.needed))
        return BudgetExceeded(
            f"node {node} may need {needed} of {excess.what}, and {spent} of the run's {limit} are spent",
            details={
                "node": node,
                "limit": _said(excess.limit),
                "spent": _said(excess.spent),
                "needed": _said(excess.needed),
                "what": excess.what,
            },
            hint=f"raise {excess.what} in the budget (symphony runs rerun RUN --budget {excess.what}=N), "
            "or ask for less: a lower max_tokens needs less",
        )


class Meter:
    """`symphony.ports.models.Caller` for one attempt of a node: its reservations, usage and tokens."""

    def __init__(
        self, spending: Spending, run: str, node: str, tokens: TokenStream, *, priority: int = 0
    ) -> None:
        self._spending, self._node, self._tokens = spending, node, tokens
        self.run: str | None = run
        self.priority = priority
        self._held: list[tuple[Estimate, BudgetReservation | None]] = []
        self.total: Usage | None = None

    async def reserve(self, model: str, most: Estimate) -> None:
        """Reserve budget; called before each request. Raises BudgetExceeded, BudgetAwaited."""
        first = self.total is None and not self._held
        shared = await self._spending.reserve(self._node, model, most, first=first)
        self._held.append((most, shared))

    def used(self, usage: Usage) -> None:
        """Count the usage; called after each request."""
        most, shared = self._held.pop()
        self._spending.settle(most, usage, shared)
        if usage != Usage():
            self.total = usage if self.total is None else self.total + usage

    def token(self, text: str) -> None:
        """Report a piece of the answer."""
        self._tokens.add(text)

    def close(self) -> None:
        """End the attempt and report what is held back."""
        self._tokens.close()


def _shared_refusal(node: str, short: BudgetShortfall) -> BudgetExceeded:
    unit = short.unit
    needed, spent, limit = (f"{_said(n)} {unit}" for n in (short.needed, short.spent, short.limit))
    hint = "raise it in the settings ([[budget.shared]])"
    if short.why is Shortage.SPENT and short.until:
        hint += f', wait until {short.until}, or set `exceeded = "wait"` there'
    return BudgetExceeded(
        f"node {node} may need {needed}, and of {short.budget}, {limit}, {spent} are spent",
        details={
            "node": node,
            "budget": short.budget,
            "limit": _said(short.limit),
            "spent": _said(short.spent),
            "needed": _said(short.needed),
            "what": short.what,
        },
        hint=f"{hint}, or ask for less: a lower max_tokens needs less",
    )


def _said(amount: Decimal | int) -> str:
    """Format an amount without exponent and trailing zeros: 0.5, 10,000."""
    if isinstance(amount, int):
        return f"{amount:,}"
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text
