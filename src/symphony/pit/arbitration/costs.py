"""Requests that wait for room in shared budgets, as the arbiter shows what waits. Pure."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from symphony.pit.arbitration.core.budgets import units
from symphony.ports.arbitration import ArbiterStatus, ConflictKind, Contention, RequestStatus, SupplyStatus
from symphony.ports.budgets import BudgetShortfall, BudgetWait


def beside(found: ArbiterStatus, waits: Sequence[BudgetWait]) -> ArbiterStatus:
    """Return the status with those that wait for money, tokens or calls of a budget."""
    short: dict[tuple[str, str], list[BudgetShortfall]] = {}
    for one in waits:
        if one.short is not None:
            short.setdefault((one.short.budget, one.short.what), []).append(one.short)
    return msgspec.structs.replace(
        found,
        supplies=(*found.supplies, *(_supply(of_one) for of_one in short.values())),
        waiting=(*found.waiting, *(_waits(one) for one in waits)),
        contentions=(*found.contentions, *(_contention(of_one) for of_one in short.values())),
    )


def _waits(one: BudgetWait) -> RequestStatus:
    return RequestStatus(
        id=one.id,
        run=one.payer.run,
        node=one.node,
        resource=one.model,
        user=one.payer.user,
        priority=one.priority,
        since_s=one.since_s,
        reason=one.reason,
    )


def _supply(waiting: Sequence[BudgetShortfall]) -> SupplyStatus:
    one = waiting[0]
    return SupplyStatus(
        supply=one.budget,
        kind=ConflictKind.COST,
        unit=one.unit,
        amount=float(one.limit),
        taken=float(one.held),
        spent=float(one.spent),
        waiting=len(waiting),
    )


def _contention(waiting: Sequence[BudgetShortfall]) -> Contention:
    one = waiting[0]
    return Contention(
        kind=ConflictKind.COST,
        supply=one.budget,
        amount=_smallest(one.limit),
        taken=_smallest(one.spent) + _smallest(one.held),
        wanted=sum(_smallest(other.needed) for other in waiting),
        waiting=len(waiting),
    )


def _smallest(amount: Decimal | int) -> int:
    return amount if isinstance(amount, int) else units(amount)
