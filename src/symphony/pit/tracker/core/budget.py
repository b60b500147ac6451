"""The budget for the models of a run: reserved before each request, settled after it. Pure.

Money is decimal throughout; what is reserved counts as spent until it is settled, so that
requests that run at the same time cannot overspend together.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import TypeVar

import msgspec

from symphony.ports.models import Estimate, Usage

N = TypeVar("N", int, Decimal)


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that a run may use up; None means no limit. `money` is in the currency of the prices."""

    money: Decimal | None = None
    tokens: int | None = None
    calls: int | None = None

    def __bool__(self) -> bool:
        """True if anything is limited."""
        return not (self.money is None and self.tokens is None and self.calls is None)

    def strictest(self, other: "Limits") -> "Limits":
        """Return the lower one of each pair of limits."""
        return Limits(
            money=_lower(self.money, other.money),
            tokens=_lower(self.tokens, other.tokens),
            calls=_lower(self.calls, other.calls),
        )


def _lower(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Excess(msgspec.Struct, frozen=True):
    """A limit that a request would exceed, with what is spent and the most that the request may need."""

    what: str
    limit: Decimal | int
    spent: Decimal | int
    needed: Decimal | int


class BudgetAccount:
    """The account of one run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.spent = Usage()
        self._reserved: list[Estimate] = []

    @property
    def outstanding(self) -> int:
        """Return the number of requests that have been granted but not settled."""
        return len(self._reserved)

    def unpriced(self, most: Estimate) -> bool:
        """True if money is limited and the price of the request is not known."""
        return self.limits.money is not None and most.cost is None

    def excess(self, most: Estimate) -> Excess | None:
        """Return the limit that a request exceeds whatever the outstanding ones turn out to use."""
        spent = self.spent.cost or Decimal(0), self.spent.tokens, self.spent.calls
        return next(self._over(most, *spent), None)

    def granted(self, most: Estimate) -> bool:
        """Reserve for a request; True if it fits even when every outstanding one uses its maximum."""
        money = (self.spent.cost or Decimal(0)) + sum(
            (one.cost for one in self._reserved if one.cost is not None), Decimal(0)
        )
        tokens = self.spent.tokens + sum(one.tokens for one in self._reserved)
        calls = self.spent.calls + len(self._reserved)
        if next(self._over(most, money, tokens, calls), None) is not None:
            return False
        self._reserved.append(most)
        return True

    def settle(self, most: Estimate, usage: Usage) -> None:
        """Replace the reservation of a granted request that is over with what it used."""
        self._reserved.remove(most)
        self.spent += usage

    def recall(self, usage: Usage) -> None:
        """Count what an earlier process of the run used."""
        self.spent += usage

    def _over(self, most: Estimate, money: Decimal, tokens: int, calls: int) -> Iterator[Excess]:
        limits = self.limits
        if limits.calls is not None and calls + 1 > limits.calls:
            yield Excess("calls", limits.calls, calls, 1)
        if limits.tokens is not None and tokens + most.tokens > limits.tokens:
            yield Excess("tokens", limits.tokens, tokens, most.tokens)
        if limits.money is not None and most.cost is not None and money + most.cost > limits.money:
            yield Excess("money", limits.money, money, most.cost)
