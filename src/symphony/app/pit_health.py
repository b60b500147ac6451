"""How the parts of the pit are: the pool, the arbiter, budgets, artifacts and what leaves the home."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.app.outside import place_fault
from symphony.app.parts import Parts
from symphony.app.pit import reached
from symphony.app.sharing_health import arbiter_health, budgets_health
from symphony.commons.components import Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config

if TYPE_CHECKING:
    from symphony.app.symphony import Symphony


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
    try:
        async with reached(home, config) as client:
            found = None if client is None else await client.pool()
    except SymphonyError as error:
        return HealthStatus(health=Health.DEGRADED, detail=error.message)
    if found is None:
        return HealthStatus(detail="no model is loaded")
    failing = [f"{one.model}: {one.reason}" for one in found.pool.models if one.failures]
    if failing:
        return HealthStatus(health=Health.DEGRADED, detail="; ".join(failing))
    return HealthStatus(detail=f"{found.pool.models_loaded} models are loaded")


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
