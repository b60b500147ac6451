"""Makes the arbiter that the settings ask for."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from symphony.commons.settings import ArbiterConfig, BudgetConfig, Config
from symphony.ports.clock import Clock

if TYPE_CHECKING:
    from symphony.bus import Bus
    from symphony.pit.arbitration.core.strategies import ArbiterPolicy
    from symphony.pit.arbitration.limits import ArbiterLimits
    from symphony.pit.arbitration.local import PitArbiter
    from symphony.pit.arbitration.purse import HomeBudgets
    from symphony.pit.arbitration.recording import ReplayedRecord
    from symphony.pit.arbitration.sharing import SharedArbiter
    from symphony.ports.arbitration import ArbiterEvent, ArbiterStatus
    from symphony.ports.budgets import BudgetStatus


RECORDS: Final = Path("logs", "arbiter")
"""The folder in the home that has the records of its arbiter."""


def limits_anything(config: Config) -> bool:
    """True if the settings limit anything that runs share."""
    own = config.arbiter
    return (
        any(limit is not None for limit in (own.cores, own.memory_mb, own.operators))
        or bool(own.models)
        or any(
            model.concurrency is not None or model.requests_per_minute is not None
            for model in config.models.values()
        )
    )


def arbiter_of(
    config: Config, home: Path | None, clock: Clock, reach: "Callable[[], Awaitable[Bus | None]]"
) -> "PitArbiter | SharedArbiter":
    """Return the arbiter of all processes of `home`; of this process alone in memory, or if so set.

    `reach` puts this process on the bus of the home.
    """
    limits, policy = limits_of(config), policy_of(config.arbiter)
    if home is None or not config.arbiter.enabled:
        from symphony.pit.arbitration.local import PitArbiter

        return PitArbiter(limits, policy, clock)
    from symphony.app.bus_places import passing_name
    from symphony.pit.arbitration.sharing import SharedArbiter

    asking = passing_name("arbiter")
    record = None
    if config.arbiter.record:
        from symphony.pit.arbitration.recording import ArbiterRecord

        record = ArbiterRecord(home / RECORDS)
    return SharedArbiter(
        limits, policy, clock, folder=home / "run", bus=reach, asking=asking, component=config.arbiter,
        record=record,
    )  # fmt: skip


def _unheard(event: "ArbiterEvent") -> None:
    """Events are for nobody."""


def budgets_of(
    config: BudgetConfig,
    home: Path | None,
    clock: Clock,
    observe: "Callable[[ArbiterEvent], None]" = _unheard,
) -> "HomeBudgets":
    """Return the budgets that the runs of `home` share; in memory, those of this process. Opens nothing.

    `observe` hears of requests that wait for room.
    """
    from zoneinfo import ZoneInfo

    from symphony.pit.arbitration.core.budgets import BudgetRule
    from symphony.pit.arbitration.ledger import BudgetLedger
    from symphony.pit.arbitration.purse import HomeBudgets
    from symphony.pit.tracker.core.budget import Limits

    rules = [
        BudgetRule(
            of=one.of,
            only=one.only,
            per=one.per,
            limits=Limits(money=one.money, tokens=one.tokens, calls=one.calls),
            waits=one.exceeded == "wait",
        )
        for one in config.shared
    ]
    zone = None if config.timezone is None else ZoneInfo(config.timezone)
    folder = None if home is None else home / "data" / "budgets"
    return HomeBudgets(
        BudgetLedger(folder, rules, currency=config.currency, zone=zone), clock, observe=observe
    )


async def budgets_now(config: BudgetConfig, home: Path, clock: Clock) -> "tuple[BudgetStatus, ...]":
    """Return the shared budgets of `home` as they are now. Raises LedgerFailed, StorageFull, IoFailed."""
    if not config.shared:
        return ()
    budgets = budgets_of(config, home, clock)
    try:
        return await budgets.status()
    finally:
        await budgets.stop()


def replayed(path: Path) -> "ReplayedRecord":
    """Replay a record of an arbiter. Raises RecordDamaged, IoFailed."""
    from symphony.pit.arbitration.recording import replay_record
    from symphony.pit.artifacts.base.failures import io_errors

    with io_errors(f"read {path}"):
        return replay_record(path)


async def with_costs(
    found: "ArbiterStatus | None", config: Config, home: Path, clock: Clock
) -> "ArbiterStatus | None":
    """Return the arbiter of `home` with the requests that wait for room in shared budgets.

    Without an arbiter, None if none waits. Raises as `budgets_now`.
    """
    if not config.budget.shared:
        return found
    budgets = budgets_of(config.budget, home, clock)
    try:
        waits = await budgets.waiting()
    finally:
        await budgets.stop()
    if not waits:
        return found
    from symphony.pit.arbitration.costs import beside
    from symphony.ports.arbitration import ArbiterStatus, FairnessReport

    if found is None:
        fairness = FairnessReport(window_s=0.0)
        found = ArbiterStatus(at_s=clock.now_s(), strategy=config.arbiter.strategy, fairness=fairness)
    return beside(found, waits)


def limits_of(config: Config) -> "ArbiterLimits":
    """Return what the settings limit. The section of the arbiter for a model replaces the model's own."""
    from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit

    own = config.arbiter
    models = {
        name: ModelLimit(
            calls=model.concurrency,
            requests_per_minute=model.requests_per_minute,
            setting=f"models.{name}.concurrency",
        )
        for name, model in config.models.items()
        if model.concurrency is not None or model.requests_per_minute is not None
    }
    for name, limit in own.models.items():
        per_minute = models[name].requests_per_minute if name in models else None
        models[name] = ModelLimit(
            calls=limit.calls,
            requests_per_minute=per_minute,
            batch=limit.batch,
            setting=f"arbiter.models.{name}.calls",
        )
    return ArbiterLimits(cores=own.cores, memory_mb=own.memory_mb, operators=own.operators, models=models)


def policy_of(config: ArbiterConfig) -> "ArbiterPolicy":
    """Return how the settings want requests to be ordered."""
    from symphony.pit.arbitration.core.strategies import ArbiterPolicy

    return ArbiterPolicy(
        strategy=config.strategy, weights=config.weights, ageing_s=config.ageing, window_s=config.window
    )
