"""The seam of budgets that runs share: a request to a model is reserved before it, and settled after it."""

from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

import msgspec

from symphony.ports.models import Estimate, Usage

BudgetOf: TypeAlias = Literal["all", "user", "project"]
"""Who shares a budget: all runs of the home, those of one user, or those of one project."""
BudgetPer: TypeAlias = Literal["day", "month", "ever"]
Limited: TypeAlias = Literal["money", "tokens", "calls"]


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose budgets a request counts against. Empty names are names like others."""

    run: str = ""
    user: str = ""
    project: str = ""


class Shortage(StrEnum):
    """Why a request does not fit a budget, from the least to the most severe."""

    HELD = "held"
    """It fits if requests under way turn out to use less than they reserved."""
    SPENT = "spent"
    """So much is spent that it fits only when the next period begins."""
    NEVER = "never"
    """It needs more than the whole budget, or no period follows."""


class BudgetShortfall(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that a request would exceed. Amounts are in `unit`: the currency, tokens or calls."""

    budget: str
    """The budget in words, such as `the day's budget of ada`."""
    why: Shortage
    what: Limited
    unit: str
    limit: Decimal | int
    spent: Decimal | int
    held: Decimal | int
    needed: Decimal | int
    until_s: float | None = None
    """When the next period begins, in seconds since the Unix epoch; None if none does."""
    until: str = ""
    """The same moment in words, in the time zone of the budgets."""
    final: bool = False
    """True if the request fails; otherwise it waits."""


class BudgetReservation(msgspec.Struct, frozen=True):
    """What was reserved for one request; `id` is unique in the ledger."""

    id: int
    most: Estimate


class BudgetWait(msgspec.Struct, frozen=True, kw_only=True):
    """A request to `model` that waits for room in a budget, since `since_s`, seconds since the Unix epoch.

    `short` is the budget that it does not fit now; None if it does and is about to go on.
    """

    id: str
    """Unique in the ledger."""
    payer: Payer
    node: str
    model: str
    priority: int
    since_s: float
    short: BudgetShortfall | None = None

    @property
    def reason(self) -> str:
        """Why it waits, in words."""
        return "the budgets have room for it now" if self.short is None else shortage_said(self.short)


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One budget in its present period. Money is in the currency of the budgets; None: not limited.

    `spent` is what was used up, `held` what is reserved for requests under way.
    """

    budget: str
    of: BudgetOf
    who: str
    """The user or project; empty for all."""
    per: BudgetPer
    period: str
    """The present period, such as `2026-12-01`, `2026-12` or `ever`."""
    until_s: float | None
    exceeded: Literal["wait", "fail"]
    money: Decimal | None = None
    money_spent: Decimal = Decimal(0)
    money_held: Decimal = Decimal(0)
    tokens: int | None = None
    tokens_spent: int = 0
    tokens_held: int = 0
    calls: int | None = None
    calls_spent: int = 0
    calls_held: int = 0


class SharedBudgets(Protocol):
    """Budgets of several runs. Every implementation passes tests/contracts/test_shared_budgets.py."""

    def limits_money(self, payer: Payer) -> bool:
        """True if money of the payer is limited, so that every model that it asks needs a price."""
        ...

    def short(self, payer: Payer, most: Estimate) -> BudgetShortfall | None:
        """Return the budget that the request would exceed, as far as is known without looking: no I/O."""
        ...

    async def reserve(
        self, payer: Payer, node: str, model: str, most: Estimate
    ) -> BudgetReservation | BudgetShortfall | None:
        """Reserve for a request, durably; None if no budget limits anything that it may use.

        Raises SymphonyError if the ledger cannot be written: then nothing is reserved.
        """
        ...

    def settle(self, reservation: BudgetReservation, usage: Usage) -> None:
        """The request is over, and used so much. Settling again does nothing."""
        ...

    async def news(self, until_s: float | None) -> None:
        """Return once something may have changed, at the latest at `until_s`; then `short` knows it."""
        ...

    def waits(
        self, payer: Payer, node: str, model: str, most: Estimate, *, priority: int = 0
    ) -> AbstractContextManager[None]:
        """While the context is open, others are told that the request of `node` waits for room."""
        ...


class NoSharedBudgets:
    """`SharedBudgets` where runs share none."""

    def limits_money(self, payer: Payer) -> bool:
        """Nothing is limited."""
        return False

    def short(self, payer: Payer, most: Estimate) -> BudgetShortfall | None:
        """Nothing is short."""
        return None

    async def reserve(
        self, payer: Payer, node: str, model: str, most: Estimate
    ) -> BudgetReservation | BudgetShortfall | None:
        """Nothing needs to be reserved."""
        return None

    def settle(self, reservation: BudgetReservation, usage: Usage) -> None:
        """Nothing is kept."""

    async def news(self, until_s: float | None) -> None:
        """Return at once: nothing is short."""

    def waits(
        self, payer: Payer, node: str, model: str, most: Estimate, *, priority: int = 0
    ) -> AbstractContextManager[None]:
        """Nothing waits."""
        return nullcontext()


def shortage_said(short: BudgetShortfall) -> str:
    """Return why a request has to wait for a budget, in words."""
    unit = short.unit
    said = f"{short.budget}: {short.spent} of {short.limit} {unit} are spent"
    if short.held:
        said += f", {short.held} are reserved for requests under way"
    said += f", and {short.needed} may be needed"
    if short.why is Shortage.SPENT and short.until:
        said += f"; the next begins at {short.until}"
    return said


NO_SHARED_BUDGETS = NoSharedBudgets()
