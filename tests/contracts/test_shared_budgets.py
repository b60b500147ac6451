"""What shared budgets keep to, in memory and in a home, and what a home keeps of them beyond a process."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from symphony.app.at_once import AtOnce
from symphony.commons.components import Health
from symphony.pit.arbitration.core.budgets import BudgetRule
from symphony.pit.arbitration.gate import BudgetGate
from symphony.pit.arbitration.ledger import FILE, BudgetLedger, LedgerFailed
from symphony.pit.arbitration.purse import HomeBudgets
from symphony.pit.tracker.core.budget import Limits
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.budgets import BudgetReservation, BudgetShortfall, Payer, Shortage
from symphony.ports.models import Estimate, Usage

ADA, BOB = Payer(run="r", user="ada", project="bees"), Payer(run="s", user="bob", project="bees")
CENT = Estimate(cost=Decimal("0.01"))
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


class Wall:
    """A clock that shows what it is set to, and never sleeps for long."""

    def __init__(self) -> None:
        self.now = NOON

    def now_s(self) -> float:
        return self.now

    def monotonic_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


class Places:
    """Makes budgets over one ledger, as processes do that share a home."""

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.clock, self.made = folder, Wall(), list[HomeBudgets]()

    def open(self, *rules: BudgetRule) -> HomeBudgets:
        ledger = BudgetLedger(self.folder, rules, currency="EUR", zone=BERLIN)
        self.made.append(HomeBudgets(ledger, self.clock))
        return self.made[-1]


@pytest.fixture(params=["in memory", "in a home"])
async def places(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Places]:
    made = Places(None if request.param == "in memory" else tmp_path / "data" / "budgets")
    yield made
    for budgets in made.made:
        await budgets.stop()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Places]:
    made = Places(tmp_path / "data" / "budgets")
    yield made
    for budgets in made.made:
        await budgets.stop()


def rule(money: str, of: str = "all", *, waits: bool = True, per: str = "day") -> BudgetRule:
    return BudgetRule(of=of, per=per, limits=Limits(money=Decimal(money)), waits=waits)  # type: ignore[arg-type]


async def held(budgets: HomeBudgets, payer: Payer = ADA, most: Estimate = CENT) -> BudgetReservation:
    reserved = await budgets.reserve(payer, "node", "model", most)
    assert isinstance(reserved, BudgetReservation), reserved
    return reserved


async def short(budgets: HomeBudgets, payer: Payer = ADA, most: Estimate = CENT) -> BudgetShortfall:
    found = await budgets.reserve(payer, "node", "model", most)
    assert isinstance(found, BudgetShortfall), found
    return found


async def test_what_fits_exactly_is_reserved_and_nothing_more(places: Places) -> None:
    budgets = places.open(rule("0.02"))
    await held(budgets)
    await held(budgets)
    found = await short(budgets)
    assert (found.why, found.final, found.held) == (Shortage.HELD, False, Decimal("0.02"))
    assert budgets.short(ADA, CENT) == found


@pytest.mark.parametrize(
    ("used", "left"),
    [
        (Usage(calls=1, cost=Decimal(-5), tokens_in=-500), Decimal("0.04")),
        (Usage(calls=-9, cost=Decimal("-Infinity")), Decimal("0.04")),
        (Usage(calls=1, cost=Decimal("NaN")), Decimal("0.02")),
        (Usage(calls=1, cost=Decimal("Infinity"), tokens_in=2**70), Decimal(0)),
        (Usage(calls=2**63, cost=Decimal("1e900")), Decimal(0)),
    ],
)
async def test_what_no_request_can_have_cost_is_no_credit_and_stops_nobody(
    places: Places, used: Usage, left: Decimal
) -> None:
    """What is absurdly much counts as very much, and what is no number as all that was reserved."""
    budgets = places.open(rule("0.04"), rule("9", "user"))
    for _ in range(2):
        reserved = await budgets.reserve(ADA, "node", "model", CENT)
        if isinstance(reserved, BudgetReservation):
            budgets.settle(reserved, used)
    status, *_ = await budgets.status()
    assert status.money is not None
    assert max(status.money - status.money_spent, Decimal(0)) == left
    assert status.money_held == 0
    assert (await budgets.health_check()).health is Health.HEALTHY


async def test_an_estimate_below_nothing_makes_no_room_for_others(places: Places) -> None:
    budgets = places.open(BudgetRule(limits=Limits(money=Decimal("0.01"), tokens=100)))
    await budgets.reserve(ADA, "node", "model", Estimate(cost=Decimal(-5), tokens_in=-50))
    assert (await short(budgets, BOB, Estimate(cost=Decimal("0.011"), tokens_in=2**70))).why is Shortage.NEVER
    assert (await short(budgets, BOB, Estimate(cost=Decimal("NaN")))).why is Shortage.NEVER
    await held(budgets, BOB, Estimate(cost=Decimal("0.01"), tokens_in=100))


async def test_what_was_not_used_is_free_again_to_the_last_fraction(places: Places) -> None:
    budgets = places.open(rule("0.02"))
    one, _ = await held(budgets), await held(budgets)
    budgets.settle(one, Usage(calls=1, cost=Decimal("0.0000000001")))
    assert (await short(budgets)).spent == Decimal("0.0000000001")
    await held(budgets, most=Estimate(cost=Decimal("0.0099999999")))


async def test_settling_twice_counts_once(places: Places) -> None:
    budgets = places.open(rule("1"))
    one = await held(budgets)
    for _ in range(2):
        budgets.settle(one, Usage(calls=1, cost=Decimal("0.01")))
    assert [(s.money_spent, s.money_held) for s in await budgets.status()] == [(Decimal("0.01"), 0)]


async def test_each_user_and_each_project_has_a_budget_of_its_own(places: Places) -> None:
    budgets = places.open(rule("0.02", "user"), rule("0.03", "project"))
    await held(budgets)
    await held(budgets)
    assert "ada" in (await short(budgets)).budget
    await held(budgets, BOB)
    assert "bees" in (await short(budgets, BOB)).budget


async def test_what_is_spent_waits_for_the_next_day_of_the_time_zone(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    budgets.settle(await held(budgets), Usage(calls=1, cost=Decimal("0.005")))
    found = await short(budgets)
    assert (found.why, found.final, found.until) == (Shortage.SPENT, False, "2026-03-29 00:00 CET")
    assert found.until_s is not None
    places.clock.now = found.until_s - 1
    await short(budgets)
    places.clock.now = found.until_s
    await held(budgets)
    until = (await short(budgets, most=Estimate(cost=Decimal("0.005")))).until_s
    assert until is None or until - found.until_s == 23 * 3600  # the clocks go forward that night


async def test_a_date_that_comes_again_goes_on_with_what_was_spent_of_it(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    budgets.settle(await held(budgets), Usage(calls=1, cost=Decimal("0.01")))
    places.clock.now += 86_400
    tomorrow = await held(budgets)
    places.clock.now -= 86_400
    await short(budgets)
    budgets.settle(tomorrow, Usage(calls=1, cost=Decimal("0.01")))
    places.clock.now += 86_400
    assert (await short(budgets)).why is Shortage.SPENT


async def test_a_request_that_can_never_fit_or_may_not_wait_is_final(places: Places) -> None:
    budgets = places.open(rule("0.01", waits=False))
    found = await short(budgets, most=Estimate(cost=Decimal("0.011")))
    assert (found.why, found.final) == (Shortage.NEVER, True)
    one = await held(budgets)
    assert not (await short(budgets)).final  # it may use less
    budgets.settle(one, Usage(calls=1, cost=Decimal("0.01")))
    found = await short(budgets)
    assert (found.why, found.final) == (Shortage.SPENT, True)


async def test_a_budget_without_end_is_spent_for_good(places: Places) -> None:
    budgets = places.open(rule("0.01", per="ever"))
    budgets.settle(await held(budgets), Usage(calls=1, cost=Decimal("0.01")))
    places.clock.now += 1e9
    assert (await short(budgets)).final


async def test_what_no_budget_limits_is_not_kept(places: Places) -> None:
    budgets = places.open(rule("1"))
    assert await budgets.reserve(ADA, "node", "minilm", Estimate(cost=Decimal(0))) is None
    assert await budgets.reserve(ADA, "node", "unpriced", Estimate()) is None
    assert budgets.limits_money(ADA)


async def test_whoever_is_cancelled_as_it_reserves_holds_nothing(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    asking = asyncio.ensure_future(budgets.reserve(ADA, "node", "model", CENT))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    async with asyncio.timeout(10):
        while (await budgets.status())[0].money_held:
            pass
    await held(budgets)


async def test_many_at_once_reserve_no_more_than_there_is(places: Places) -> None:
    budgets = places.open(rule("0.10"))
    found = await asyncio.gather(*(budgets.reserve(ADA, "node", "model", CENT) for _ in range(50)))
    assert sum(isinstance(one, BudgetReservation) for one in found) == 10


async def test_news_come_when_something_is_settled(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    one = await held(budgets)
    await short(budgets)
    waiting = asyncio.ensure_future(budgets.news(None))
    await asyncio.sleep(0)
    budgets.settle(one, Usage())
    await asyncio.wait_for(waiting, 10)
    assert budgets.short(ADA, CENT) is None


async def test_whoever_waits_is_seen_with_its_reason_of_now_and_only_while_it_waits(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    first = await held(budgets)
    with budgets.waits(BOB, "ask[3]", "writer", CENT, priority=2):
        (one,) = await budgets.waiting()
        assert (one.payer, one.node, one.model, one.priority) == (BOB, "ask[3]", "writer", 2)
        assert one.reason.endswith("0.01 are reserved for requests under way, and 0.01 may be needed")
        budgets.settle(first, Usage(cost=Decimal("0.01")))
        assert "0.01 of 0.01 EUR are spent" in (await budgets.waiting())[0].reason
    assert await budgets.waiting() == ()


async def test_processes_see_who_waits_in_others_but_not_in_dead_ones(home: Places) -> None:
    one, other = home.open(rule("0.01")), home.open(rule("0.01"))
    await held(one)
    waits = other.waits(BOB, "ask", "writer", CENT)
    with waits:
        await other.waiting()
        assert [wait.payer for wait in await one.waiting()] == [BOB]
        await other.stop()  # as a killed process leaves it: nobody holds its lock
        assert await one.waiting() == ()


async def test_requests_without_room_wait_before_the_arbiter_until_the_next_day(places: Places) -> None:
    budgets = places.open(rule("0.01"))
    gate = BudgetGate(AtOnce(), budgets)
    asked = ResourceRequest(run="r", node="n", resource="m", kind="model", user="ada", estimate=CENT)
    assert gate.try_acquire(asked) is not None
    budgets.settle(await held(budgets), Usage(calls=1, cost=Decimal("0.01")))
    until = (await short(budgets)).until_s
    assert until is not None
    assert gate.try_acquire(asked) is None
    assert gate.try_acquire(msgspec.structs.replace(asked, kind="operator")) is not None
    assert gate.queued(asked).reason == (
        "the day's budget of all runs: 0.01 of 0.01 EUR are spent, and 0.01 may be needed; "
        "the next begins at 2026-03-29 00:00 CET"
    )
    waiting = asyncio.ensure_future(gate.acquire(asked))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    places.clock.now = until
    await asyncio.wait_for(waiting, 10)
    await held(budgets)


# In a home.


async def test_processes_share_what_there_is_and_hear_of_each_other(home: Places) -> None:
    one, two = home.open(rule("0.01")), home.open(rule("0.01"))
    first = await held(one)
    assert (await short(two)).why is Shortage.HELD
    one.settle(first, Usage())
    while two.short(ADA, CENT) is not None:
        await two.news(None)
    await held(two)


async def test_the_first_requests_of_a_user_whom_nobody_knows_do_not_overspend_together(home: Places) -> None:
    one, other = home.open(rule("0.05", "user")), home.open(rule("0.05", "user"))
    asked = (budgets.reserve(BOB, "node", "model", CENT) for budgets in (one, other) for _ in range(40))
    found = await asyncio.gather(*asked)
    assert sum(isinstance(each, BudgetReservation) for each in found) == 5


async def test_what_a_process_held_that_is_gone_counts_in_full(home: Places) -> None:
    one, two = home.open(rule("0.02")), home.open(rule("0.02"))
    await held(one)
    await short(two, most=Estimate(cost=Decimal("0.02")))
    await one.stop()  # without settling
    assert (await short(two, most=Estimate(cost=Decimal("0.02")))).spent == Decimal("0.01")
    await held(two)


async def test_what_was_spent_is_there_when_the_home_is_opened_again(home: Places) -> None:
    first = home.open(rule("0.01"))
    first.settle(await held(first), Usage(calls=1, cost=Decimal("0.01")))
    await first.stop()
    assert (await short(home.open(rule("0.01")))).why is Shortage.SPENT
    assert list((home.folder or Path()).glob("*.lock")) != []


async def test_a_budget_that_is_added_later_knows_what_was_spent(home: Places) -> None:
    first = home.open(rule("1"))
    first.settle(await held(first), Usage(calls=1, cost=Decimal("0.01")))
    await first.status()  # settled
    assert (await short(home.open(rule("0.01", "user", per="month")))).why is Shortage.SPENT


async def test_nothing_is_spent_while_the_ledger_cannot_be_read(home: Places) -> None:
    assert home.folder is not None
    home.folder.mkdir(parents=True)
    (home.folder / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    budgets = home.open(rule("1"))
    with pytest.raises(LedgerFailed, match=FILE):
        await budgets.reserve(ADA, "node", "model", CENT)
    assert "cannot be read" in (await budgets.health_check()).detail


async def test_what_could_not_be_settled_is_settled_later(home: Places) -> None:
    assert home.folder is not None
    budgets = home.open(rule("0.01"))
    one = await held(budgets)
    other = sqlite3.connect(home.folder / FILE)
    other.execute("ALTER TABLE held RENAME TO away")
    budgets.settle(one, Usage())
    with pytest.raises(LedgerFailed):
        await budgets.reserve(ADA, "node", "model", CENT)
    other.execute("ALTER TABLE away RENAME TO held")
    other.close()
    await held(budgets)
