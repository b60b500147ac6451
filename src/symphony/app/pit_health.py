"""How the parts of the pit are: the pool, the arbiter, budgets, artifacts and what leaves the home."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from symphony.app.arbitration import budgets_now, limits_anything
from symphony.app.outside import place_fault
from symphony.app.parts import Parts
from symphony.app.pit import PitClient, reached
from symphony.commons.components import Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.ports.arbitration import ArbiterStatus
from symphony.ports.budgets import BudgetStatus
from symphony.ports.clock import Clock
from symphony.ports.pool import SharedPool

if TYPE_CHECKING:
    from symphony.app.symphony import Symphony

T = TypeVar("T")


async def pit_health(symphony: "Symphony") -> HealthStatus:
    """Return how each part of the pit is, and so the whole. Raises nothing."""
    home, parts = symphony.home, symphony.parts
    if home is None:
        return HealthStatus(detail="everything is in memory")
    names = ("pool", "arbiter", "budgets", "artifacts", "retention")
    found = await asyncio.gather(
        pool_health(parts.config, home),
        arbiter_health(parts.config, home),
        budgets_health(parts.config, home, parts.clock),
        asyncio.to_thread(artifacts_health, parts),
        asyncio.to_thread(retention_health, parts.config),
    )
    return HealthStatus.of_parts(dict(zip(names, found, strict=True)))


async def pool_health(config: Config, home: Path) -> HealthStatus:
    """Return how the pool is: degraded if its owner does not answer, or a model cannot be loaded."""

    def told(found: SharedPool | None) -> HealthStatus:
        if found is None:
            return HealthStatus(detail="no model is loaded")
        failing = [f"{one.model}: {one.reason}" for one in found.pool.models if one.failures]
        if failing:
            return HealthStatus(health=Health.DEGRADED, detail="; ".join(failing))
        return HealthStatus(detail=f"{found.pool.models_loaded} models are loaded")

    return await _of_owner(config, home, PitClient.pool, told)


async def arbiter_health(config: Config, home: Path) -> HealthStatus:
    """Return how the arbiter of a home is: degraded if its owner does not answer. Waiting is no fault."""

    def told(found: ArbiterStatus | None) -> HealthStatus:
        if found is None:
            limited = "no process has an arbiter now" if limits_anything(config) else "nothing is limited"
            return HealthStatus(detail=limited)
        wanted = ", ".join(one.supply for one in found.contentions)
        status = f"{len(found.held)} requests hold what they need, {len(found.waiting)} wait"
        return HealthStatus(detail=f"{status} for {wanted}" if wanted else status)

    return await _of_owner(config, home, PitClient.arbiter, told)


async def _of_owner(
    config: Config,
    home: Path,
    ask: Callable[[PitClient], Awaitable[T | None]],
    told: Callable[[T | None], HealthStatus],
) -> HealthStatus:
    """Ask the process that owns a part; degraded if it does not answer. None: no process owns it."""
    try:
        async with reached(home, config) as client:
            return told(None if client is None else await ask(client))
    except SymphonyError as error:
        return HealthStatus(health=Health.DEGRADED, detail=error.message)


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


def artifacts_health(parts: Parts) -> HealthStatus:
    """Return how the artifact store is. Blocking.

    Unhealthy if it cannot be read, or the settings do not open its key; degraded if the place outside of the
    home does not answer.
    """
    assert parts.home is not None
    if not (parts.home / "artifacts").is_dir():
        return HealthStatus(detail="nothing is stored")
    try:
        key = parts.store_keys.state()
        if key.opened == "failed":
            return HealthStatus(health=Health.UNHEALTHY, detail=key.why)
        store = parts.unopened_artifacts()
        try:
            there, _ = store.counts()
        finally:
            store.close()
        if (fault := place_fault(parts)) is not None:
            return HealthStatus(health=Health.DEGRADED, detail=fault.message)
    except SymphonyError as error:
        return HealthStatus(health=Health.UNHEALTHY, detail=error.message)
    return HealthStatus(detail=f"artifacts: {there.objects:,}")


def retention_health(config: Config) -> HealthStatus:
    """Return how what leaves the home is: it has no state that could be ill, so it says when it acts."""
    return HealthStatus(
        detail="once a day, after a run" if config.retention.automatic else "when somebody asks for it"
    )


def _spent(one: BudgetStatus) -> bool:
    return any(
        limit is not None and spent >= limit
        for limit, spent in (
            (one.money, one.money_spent), (one.tokens, one.tokens_spent), (one.calls, one.calls_spent)
        )
    )  # fmt: skip
