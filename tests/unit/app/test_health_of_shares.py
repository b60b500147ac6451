"""How the arbiter and the budgets of a home are said to be."""

from decimal import Decimal
from pathlib import Path

from symphony.app.arbitration import budgets_of
from symphony.app.damage import examine_home
from symphony.app.pit_health import arbiter_health, budgets_health
from symphony.commons.components import Health
from symphony.commons.settings import ArbiterConfig, BudgetConfig, Config, SharedBudgetConfig
from symphony.commons.time import SystemClock
from symphony.ports.budgets import BudgetReservation, Payer
from symphony.ports.models import Estimate, Usage

CONFIG = Config(
    arbiter=ArbiterConfig(cores=2), budget=BudgetConfig(shared=(SharedBudgetConfig(money=Decimal(1)),))
)


async def test_a_home_in_which_nothing_runs_is_well(tmp_path: Path) -> None:
    assert (await arbiter_health(Config(), tmp_path)).detail == "nothing is limited"
    assert (await arbiter_health(CONFIG, tmp_path)).detail == "no process has an arbiter now"
    assert (await budgets_health(Config(), tmp_path, SystemClock())).detail == "runs share no budget"
    assert (await budgets_health(CONFIG, tmp_path, SystemClock())).health is Health.HEALTHY


async def test_a_budget_that_is_spent_and_a_ledger_that_is_damaged_are_told(tmp_path: Path) -> None:
    budgets = budgets_of(CONFIG.budget, tmp_path, SystemClock())
    held = await budgets.reserve(Payer(user="ada"), "n", "m", Estimate(cost=Decimal(1)))
    assert isinstance(held, BudgetReservation)
    budgets.settle(held, Usage(calls=1, cost=Decimal(1)))
    await budgets.stop()
    spent = await budgets_health(CONFIG, tmp_path, SystemClock())
    assert (spent.health, spent.detail) == (Health.DEGRADED, "spent: the day's budget of all runs")
    for part in (tmp_path / "data" / "budgets").iterdir():
        part.write_bytes(b"nothing that could be read, however long it is looked at" * 200)
    assert (await budgets_health(CONFIG, tmp_path, SystemClock())).health is Health.UNHEALTHY


async def test_a_damaged_ledger_is_found_by_an_examination_of_the_home(tmp_path: Path) -> None:
    budgets = budgets_of(CONFIG.budget, tmp_path, SystemClock())
    await budgets.reserve(Payer(user="ada"), "n", "m", Estimate(cost=Decimal(1)))
    await budgets.stop()
    assert examine_home(tmp_path, SystemClock()).damages == []
    ledger = tmp_path / "data" / "budgets" / "budgets.db"
    ledger.write_bytes(b"x" + ledger.read_bytes()[1:])
    assert [one.kind for one in examine_home(tmp_path, SystemClock()).damages] == ["ledger"]
