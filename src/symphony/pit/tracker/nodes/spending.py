"""Reserves budget before each request to a model, and waits if other requests decide whether it fits."""

import asyncio
from decimal import Decimal

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.budget import BudgetAccount, Excess, Limits
from symphony.pit.tracker.nodes.tokens import TokenStream
from symphony.ports.models import Estimate, Usage


class BudgetExceeded(SymphonyError):
    """A request would exceed the run's budget, so it was not made."""

    code = "budget-exceeded"


class Spending:
    """The account of one run in this process. Use from the run's loop."""

    def __init__(self, limits: Limits | None = None, *, currency: str = "USD") -> None:
        """`currency` is the currency of the prices, for messages."""
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

    async def reserve(self, node: str, model: str, most: Estimate) -> None:
        """Wait until a request of `node` may be made. Raises BudgetExceeded.

        A request that fits only if others turn out to use less than their maximum waits for them.
        """
        while True:
            if self._ledger.unpriced(most):
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

    def settle(self, most: Estimate, usage: Usage) -> None:
        """Note that a granted request is over, and what it used."""
        self._ledger.settle(most, usage)
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
        self._held: list[Estimate] = []
        self.total: Usage | None = None

    async def reserve(self, model: str, most: Estimate) -> None:
        """Reserve budget; called before each request. Raises BudgetExceeded."""
        await self._spending.reserve(self._node, model, most)
        self._held.append(most)

    def used(self, usage: Usage) -> None:
        """Count the usage; called after each request."""
        self._spending.settle(self._held.pop(), usage)
        if usage != Usage():
            self.total = usage if self.total is None else self.total + usage

    def token(self, text: str) -> None:
        """Report a piece of the answer."""
        self._tokens.add(text)

    def close(self) -> None:
        """End the attempt and report what is held back."""
        self._tokens.close()


def _said(amount: Decimal | int) -> str:
    """Format an amount without exponent and trailing zeros: 0.5, 10,000."""
    if isinstance(amount, int):
        return f"{amount:,}"
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text
