"""Budgets that runs share: what is spent and held in which period, and what still fits. Pure.

Money is counted in whole units of 10^-18 of the currency, so that sums are exact; a smaller fraction is
rounded up. What is reserved counts as spent until it is settled, and counts for the period in which it was
reserved, whenever it is settled.

A day is the date that the clock shows in the time zone of the budgets. If the clock is set, later requests
count for the date that it shows from then on: a date that comes again goes on with what was spent of it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, Context, Decimal
from typing import Final, NamedTuple

import msgspec

from symphony.pit.tracker.core.budget import Limits
from symphony.ports.budgets import (
    BudgetOf,
    BudgetPer,
    BudgetShortfall,
    BudgetStatus,
    Limited,
    Payer,
    Shortage,
)
from symphony.ports.models import Estimate, Usage

DIGITS: Final = 18
NUMBER_MAX: Final = 2**62
"""The most tokens and calls that are counted, in one request and in all: SQLite keeps no larger numbers."""
_MONEY_MAX: Final = Decimal(10) ** 30
_EXACT: Final = Context(prec=500)
EVER: Final = "ever"
_SEVERITY: Final = (Shortage.HELD, Shortage.SPENT, Shortage.NEVER)


class BudgetRule(msgspec.Struct, frozen=True, kw_only=True):
    """A budget for everybody, or one for each user or project (`only`: for this one).

    `waits`: a request that no longer fits waits for the next period; otherwise it fails.
    """

    of: BudgetOf = "all"
    only: str | None = None
    per: BudgetPer = "day"
    limits: Limits = Limits()
    waits: bool = True

    def whose(self, payer: Payer) -> str | None:
        """Return the name that the budget of the payer goes by; None if the rule is not for it."""
        who = who_of(self.of, payer)
        return who if self.only is None or self.only == who else None

    def said(self, who: str) -> str:
        """Return the budget in words."""
        period = {"day": "day's", "month": "month's", "ever": "whole"}[self.per]
        owner = {"all": "all runs", "user": who or "the nameless user", "project": f"project {who}"}[self.of]
        return f"the {period} budget of {owner}"


class Amounts(NamedTuple):
    """Money in units of 10^-18, tokens read and written, and answered requests."""

    money: int = 0
    tokens: int = 0
    calls: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        """Return the sums."""
        return Amounts(self.money + other.money, self.tokens + other.tokens, self.calls + other.calls)


class Account(NamedTuple):
    """Whose spending in which period; `period` is a day, a month, or `ever`."""

    of: BudgetOf
    who: str
    period: str


class Dates(NamedTuple):
    """The present day and month, as `2026-12-01` and `2026-12`."""

    day: str
    month: str

    def period(self, per: BudgetPer) -> str:
        """Return the present period."""
        return {"day": self.day, "month": self.month, "ever": EVER}[per]


def dates_at(now_s: float, zone: tzinfo | None) -> Dates:
    """Return the dates at a moment, seconds since the Unix epoch; `zone` None is the machine's."""
    day = datetime.fromtimestamp(now_s, zone).date().isoformat()
    return Dates(day, day[: len("2026-12")])


def next_period(per: BudgetPer, now_s: float, zone: tzinfo | None) -> datetime | None:
    """Return when the next period begins; None after `ever`. Days have 23 to 25 hours where clocks change."""
    if per == "ever":
        return None
    today = datetime.fromtimestamp(now_s, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "day":
        return today + timedelta(days=1)  # of the calendar, not of 24 hours
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def units(amount: Decimal) -> int:
    """Return an amount of money in units of 10^-18, rounded up."""
    return int(_EXACT.scaleb(amount, DIGITS).to_integral_value(rounding=ROUND_CEILING, context=_EXACT))


def money_of(number: int) -> Decimal:
    """Return so many units as an amount of money, without zeros at its end."""
    text = f"{_EXACT.scaleb(Decimal(number), -DIGITS):f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def needed_by(most: Estimate) -> Amounts:
    """Return the most that a request needs; without a price, no money."""
    return _counted(most.cost, most.tokens, 1)


def used_by(usage: Usage) -> Amounts | None:
    """Return what a request used; None if what it cost is no number."""
    if usage.cost is not None and usage.cost.is_nan():
        return None
    return _counted(usage.cost, usage.tokens, usage.calls)


def _counted(cost: Decimal | None, tokens: int, calls: int) -> Amounts:
    """Return amounts that can be kept, whatever a provider says: less than nothing would be a credit."""
    money = cost or Decimal(0)
    money = _MONEY_MAX if money.is_nan() else min(max(money, Decimal(0)), _MONEY_MAX)
    return Amounts(units(money), min(max(tokens, 0), NUMBER_MAX), min(max(calls, 0), NUMBER_MAX))


def who_of(of: BudgetOf, payer: Payer) -> str:
    """Return the payer's name in budgets of this kind."""
    return {"all": "", "user": payer.user, "project": payer.project}[of]


def accounts_of(payer: Payer, dates: Dates) -> Iterator[Account]:
    """Return every account that a payer's request counts in, whether a rule limits it or not."""
    kinds: tuple[BudgetOf, ...] = ("all", "user", "project")
    for of in kinds:
        who = who_of(of, payer)
        for period in (dates.day, dates.month, EVER):
            yield Account(of, who, period)


class BudgetBook:
    """What is spent and held in the periods of `dates`."""

    def __init__(self, dates: Dates) -> None:
        self.dates = dates
        self.spent: dict[Account, Amounts] = {}
        self.held: dict[Account, Amounts] = {}

    def hold(self, payer: Payer, dates: Dates, needed: Amounts, *, again: bool = True) -> None:
        """Reserve; with `again` False, give back."""
        change = needed if again else Amounts(*(-part for part in needed))
        for account in accounts_of(payer, dates):
            self.held[account] = self.held.get(account, Amounts()).plus(change)

    def spend(self, payer: Payer, dates: Dates, used: Amounts) -> None:
        """Count what a request used."""
        for account in accounts_of(payer, dates):
            self.spent[account] = self.spent.get(account, Amounts()).plus(used)

    def shortfall(
        self, rules: Sequence[BudgetRule], payer: Payer, most: Estimate, *, unit: str
    ) -> "tuple[BudgetRule, BudgetShortfall] | None":
        """Return the rule that a request would exceed, and how; of several the most severe. None: it fits.

        `unit` is the currency. The shortfall does not say when the next period begins: `dated` does.
        """
        worst: tuple[int, BudgetRule, BudgetShortfall] | None = None
        needed = needed_by(most)
        for rule in rules:
            who = rule.whose(payer)
            if who is None:
                continue
            account = Account(rule.of, who, self.dates.period(rule.per))
            spent, held = self.spent.get(account, Amounts()), self.held.get(account, Amounts())
            for what, limit in limited(rule.limits):
                at = ("money", "tokens", "calls").index(what)
                need = needed[at]
                if not need or spent[at] + held[at] + need <= limit:
                    continue
                why = Shortage.HELD
                if need > limit or (rule.per == "ever" and spent[at] + need > limit):
                    why = Shortage.NEVER
                elif spent[at] + need > limit:
                    why = Shortage.SPENT
                final = why is Shortage.NEVER or (why is Shortage.SPENT and not rule.waits)
                rank = len(_SEVERITY) * final + _SEVERITY.index(why)
                if worst is not None and rank <= worst[0]:
                    continue
                found = BudgetShortfall(
                    budget=rule.said(who),
                    why=why,
                    what=what,
                    unit=unit if what == "money" else what,
                    limit=_shown(what, limit),
                    spent=_shown(what, spent[at]),
                    held=_shown(what, held[at]),
                    needed=_shown(what, need),
                    final=final,
                )
                worst = rank, rule, found
        return None if worst is None else (worst[1], worst[2])

    def standing(
        self, rules: Sequence[BudgetRule], now_s: float, zone: tzinfo | None
    ) -> Iterator[BudgetStatus]:
        """Return every budget that has a name, or of which something is spent or held; rules in order."""
        for rule in rules:
            period = self.dates.period(rule.per)
            names = {
                one.who for one in (*self.spent, *self.held) if one.of == rule.of and one.period == period
            }
            if rule.only is not None:
                names = {rule.only}
            elif rule.of == "all":
                names = {""}
            next_one = next_period(rule.per, now_s, zone)
            for who in sorted(names):
                account = Account(rule.of, who, period)
                spent, held = self.spent.get(account, Amounts()), self.held.get(account, Amounts())
                yield BudgetStatus(
                    budget=rule.said(who),
                    of=rule.of,
                    who=who,
                    per=rule.per,
                    period=period,
                    until_s=None if next_one is None else next_one.timestamp(),
                    exceeded="wait" if rule.waits else "fail",
                    money=rule.limits.money,
                    money_spent=money_of(spent.money),
                    money_held=money_of(held.money),
                    tokens=rule.limits.tokens,
                    tokens_spent=spent.tokens,
                    tokens_held=held.tokens,
                    calls=rule.limits.calls,
                    calls_spent=spent.calls,
                    calls_held=held.calls,
                )


def dated(found: tuple[BudgetRule, BudgetShortfall], now_s: float, zone: tzinfo | None) -> BudgetShortfall:
    """Return a shortfall that says when the next period begins."""
    rule, shortfall = found
    moment = None if shortfall.why is Shortage.NEVER else next_period(rule.per, now_s, zone)
    if moment is None:
        return shortfall
    words = moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z").strip()
    return msgspec.structs.replace(shortfall, until_s=moment.timestamp(), until=words)


def limited(limits: Limits) -> Iterator[tuple[Limited, int]]:
    """Return what is limited, in the units of `Amounts`; a fraction of a unit is cut off."""
    if limits.money is not None:
        exact = units(limits.money)
        yield "money", exact if money_of(exact) <= limits.money else exact - 1
    if limits.tokens is not None:
        yield "tokens", limits.tokens
    if limits.calls is not None:
        yield "calls", limits.calls


def touches(rules: Sequence[BudgetRule], payer: Payer, most: Estimate) -> bool:
    """True if a rule limits something that the request may use."""
    needed = needed_by(most)
    return any(
        needed[("money", "tokens", "calls").index(what)]
        for rule in rules
        if rule.whose(payer) is not None
        for what, _ in limited(rule.limits)
    )


def _shown(what: Limited, amount: int) -> Decimal | int:
    return money_of(amount) if what == "money" else amount
