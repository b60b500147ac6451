"""How what the runs of a home share is: the arbiter and the budgets, for `symphony doctor` and services."""

from pathlib import Path

from symphony.app.arbitration import budgets_now, limits_anything
from symphony.app.pit import reached
from symphony.commons.components import Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.ports.budgets import BudgetStatus
from symphony.ports.clock import Clock


async def arbiter_health(config: Config, home: Path) -> HealthStatus:
    """Return how the arbiter of a home is: degraded if its owner does not answer. Waiting is no fault."""
    try:
        async with reached(home, config) as client:
            found = None if client is None else await client.arbiter()
    except SymphonyError as error:
        return HealthStatus(health=Health.DEGRADED, detail=error.message)
    if found is None:
        limited = "no process has an arbiter now" if limits_anything(config) else "nothing is limited"
        return HealthStatus(detail=limited)
    held, waiting = len(found.held), len(found.waiting)
    wanted = ", ".join(one.supply for one in found.contentions)
    told = f"{held} requests hold what they need, {waiting} wait"
    return HealthStatus(detail=f"{told} for {wanted}" if wanted else told)


async def budgets_health(config: Config, home: Path, clock: Clock) -> HealthStatus:
    """Return how the shared budgets of a home are: degraded where one is spent.

    Unhealthy if their ledger cannot be read: then no request that they limit is made.
    """
    try:
        found = await budgets_now(config.budget, home, clock)
    except SymphonyError as error:
        return HealthStatus(health=Health.UNHEALTHY, detail=error.message)
    spent = [one.budget for one in found if _spent(one)]
    if spent:
        return HealthStatus(health=Health.DEGRADED, detail=f"spent: {', '.join(spent)}")
    return HealthStatus(detail=f"{len(found)} budgets, none is spent" if found else "runs share no budget")


def _spent(one: BudgetStatus) -> bool:
    return any(
        limit is not None and spent >= limit
        for limit, spent in (
            (one.money, one.money_spent), (one.tokens, one.tokens_spent), (one.calls, one.calls_spent)
        )
    )  # fmt: skip
