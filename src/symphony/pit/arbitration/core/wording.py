"""The reasons of decisions, in words for people. Pure."""

from typing import Final

from symphony.pit.arbitration.core.decisions import ClaimWait
from symphony.pit.arbitration.core.strategies import Strategy
from symphony.pit.arbitration.core.supplies import Claim, Supply

AT_ONCE: Final = "it was free, and nobody else waited for it"


def whose(claim: Claim) -> str:
    """Return whose claim it is: `embed[3] of run 0193…, for ada`."""
    said = f"{claim.node} of run {claim.run}" if claim.run else claim.node or claim.id
    return f"{said}, for {claim.user}" if claim.user else said


def granted(claim: Claim, strategy: Strategy, waited_s: float, *, kept: bool, riders: int) -> str:
    """Return why a claim that waited was granted now. `kept`: what it needs had been kept for it."""
    if waited_s <= 0:
        reason = "it fits beside what others wait for"
    elif strategy == "queue":
        reason = "it was the first of those that waited"
    elif strategy == "priority":
        reason = f"priority {claim.priority}, raised by waiting, was the highest"
    elif strategy == "round-robin":
        reason = f"it was the turn of {claim.user or 'its user'}"
    else:
        reason = f"{claim.user or 'its user'} had had the least of those that waited"
    if kept:
        reason += ", and what it needs was kept for it"
    if waited_s > 0:
        reason += f"; it waited {waited_s:.1f} s"
    return f"{reason}; {riders} more share its place" if riders else reason


def rides(first: Claim) -> str:
    """Return why a claim was granted together with another."""
    return f"it shares a place of {first.resource} with {whose(first)}"


def waits(
    supply: Supply, need: int, free: float, others: int, latest: Claim | None, *, stalled: bool
) -> ClaimWait:
    """Return why a claim that needs `need` has to wait, with `free` left and `others` waiting, too."""
    taken = supply.amount - free - supply.spent
    if stalled:
        said = f"{supply.said(supply.spent)} of {supply.said(supply.amount)} are spent"
    elif supply.per_s:
        said = f"no more than {supply.said(supply.amount)}, and they are used up"
    elif need > free:
        said = f"{supply.said(taken)} of {supply.said(supply.amount)} are taken"
    else:
        said = "it is kept for those that came before"
    if latest is not None and not stalled:
        said += f", latest by {whose(latest)}"
    if others:
        said += f"; {others} {'other waits' if others == 1 else 'others wait'} for it"
    return ClaimWait(
        reason=f"{supply.name}: {said}",
        kind=supply.kind,
        supply=supply.name,
        behind="" if latest is None else latest.id,
        before=others,
    )
