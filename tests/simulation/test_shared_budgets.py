"""Processes that share budgets, reserve, settle, die and set the clock in any order: nothing is overspent."""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from symphony.pit.arbitration.core.budgets import BudgetRule, dates_at
from symphony.pit.arbitration.ledger import BudgetLedger, Reserve, Settle
from symphony.pit.tracker.core.budget import Limits
from symphony.ports.budgets import BudgetReservation, Payer
from symphony.ports.models import Estimate, Usage

START = datetime(2026, 10, 24, 20, tzinfo=UTC).timestamp()
RULES = (
    BudgetRule(limits=Limits(money=Decimal("0.5"), calls=60)),
    BudgetRule(of="user", limits=Limits(money=Decimal("0.3"), tokens=4_000)),
    BudgetRule(of="project", only="bees", per="month", limits=Limits(money=Decimal("0.9"))),
    BudgetRule(per="ever", limits=Limits(money=Decimal("1.5"))),
)


class Story:
    """Processes over one ledger, and what their requests really used, kept apart from it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance, self.now = folder, Random(seed), START
        self.alive = [self.process() for _ in range(3)]
        self.under_way: list[tuple[BudgetLedger, BudgetReservation, Reserve, tuple[str, str]]] = []
        self.true: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)

    def process(self) -> BudgetLedger:
        return BudgetLedger(self.folder, RULES, currency="EUR", zone=UTC)

    def step(self) -> None:
        chance = self.chance
        match chance.choices(("reserve", "settle", "die", "clock"), (60, 36, 2, 2))[0]:
            case "reserve":
                self.reserve(chance.choice(self.alive))
            case "settle" if self.under_way:
                ledger, held, entry, dates = self.under_way.pop(chance.randrange(len(self.under_way)))
                usage = self.used(entry.most)
                self.count(entry, dates, usage)
                ledger.enter([Settle(id=held.id, usage=usage)] * chance.choice((1, 1, 2)), self.now)
            case "die":
                self.die(chance.randrange(len(self.alive)))
            case _:
                self.now += chance.choice((3_600, 43_200, 86_400, -3_600, -86_400))

    def reserve(self, ledger: BudgetLedger) -> None:
        chance = self.chance
        payer = Payer(run="r", user=chance.choice(("ada", "bob")), project=chance.choice(("bees", "ants")))
        most = Estimate(tokens_in=chance.randrange(200), cost=Decimal(chance.randrange(1, 10**6)).scaleb(-7))
        entry = Reserve(payer=payer, node="n", model="m", most=most)
        (found,), _ = ledger.enter([entry], self.now)
        if isinstance(found, BudgetReservation):
            self.under_way.append((ledger, found, entry, tuple(dates_at(self.now, UTC))))  # type: ignore[arg-type]

    def die(self, number: int) -> None:
        """The provider is asked and paid, and nobody is there to say so."""
        dead = self.alive[number]
        for one in [one for one in self.under_way if one[0] is dead]:
            self.under_way.remove(one)
            self.count(one[2], one[3], self.used(one[2].most))
        dead.close()
        self.alive[number] = self.process()

    def used(self, most: Estimate) -> Usage:
        part = self.chance.choice((Decimal(0), Decimal("0.5"), Decimal(1)))
        assert most.cost is not None
        return Usage(calls=1, tokens_in=int(most.tokens_in * part), cost=most.cost * part)

    def count(self, entry: Reserve, dates: tuple[str, str], usage: Usage) -> None:
        assert usage.cost is not None
        for of, who in (("all", ""), ("user", entry.payer.user), ("project", entry.payer.project)):
            for period in (*dates, "ever"):
                total = self.true[of, who, period]
                added = usage.cost, usage.tokens, usage.calls
                self.true[of, who, period] = [a + b for a, b in zip(total, added, strict=True)]

    def check(self, context: str) -> None:
        for (of, who, period), (money, tokens, calls) in self.true.items():
            for rule in RULES:
                right = {"day": len(period) == 10, "month": len(period) == 7, "ever": period == "ever"}[
                    rule.per
                ]
                if rule.of != of or not right or rule.only not in (None, who):
                    continue
                assert rule.limits.money is None or money <= rule.limits.money, (context, of, who, period)
                assert rule.limits.tokens is None or tokens <= rule.limits.tokens, (context, of, who, period)
                assert rule.limits.calls is None or calls <= rule.limits.calls, (context, of, who, period)


@pytest.mark.parametrize("seed", range(8))
def test_no_budget_is_overspent_whoever_dies_and_whatever_the_clock_shows(tmp_path: Path, seed: int) -> None:
    story = Story(tmp_path / "budgets", seed)
    for _ in range(250):
        story.step()
    story.check(f"seed {seed}")
    assert any(money > Decimal("0.2") for money, _, _ in story.true.values())  # it was worth it
    for number in range(len(story.alive)):
        story.die(number)
    book = story.process().look(story.now)
    assert not any(any(held) for held in book.held.values()), f"seed {seed}: {book.held}"
    story.check(f"seed {seed}, at the end")
