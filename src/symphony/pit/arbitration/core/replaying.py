"""Replays what an arbiter was told: the same inputs give the same decisions. Pure."""

from collections.abc import Iterable, Sequence
from typing import assert_never

import msgspec

from symphony.pit.arbitration.core import wording
from symphony.pit.arbitration.core.decisions import (
    ArbiterDecision,
    ArbiterInput,
    ArbiterTicked,
    ClaimAdopted,
    ClaimAsked,
    ClaimGranted,
    ClaimReleased,
    SupplyChanged,
)
from symphony.pit.arbitration.core.machine import ArbiterMachine
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.core.supplies import Supply


class ArbiterStart(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """What an arbiter began with: the first line of its log."""

    now_s: float
    seed: int = 0
    policy: ArbiterPolicy = ArbiterPolicy()
    supplies: tuple[Supply, ...] = ()


def replay(start: ArbiterStart, inputs: Iterable[ArbiterInput]) -> Sequence[ArbiterDecision]:
    """Return all decisions of an arbiter that began with `start` and was told `inputs`."""
    machine = ArbiterMachine(start.supplies, start.policy, now_s=start.now_s, seed=start.seed)
    return [decision for one in inputs for decision in told(machine, one)]


def told(machine: ArbiterMachine, one: ArbiterInput) -> tuple[ArbiterDecision, ...]:
    """Tell the machine one input; return what it decides."""
    match one:
        case ClaimAsked(claim, now_s, at_once=True):
            granted = machine.grant_at_once(claim, now_s)
            return (ClaimGranted(claim.id, wording.AT_ONCE),) if granted else ()
        case ClaimAsked(claim, now_s):
            return machine.ask(claim, now_s)
        case ClaimReleased(claim_id, now_s):
            return machine.release(claim_id, now_s)
        case ClaimAdopted(claim, now_s):
            machine.adopt(claim, now_s)
            return ()
        case SupplyChanged(supply, now_s):
            return machine.change(supply, now_s)
        case ArbiterTicked(now_s):
            return machine.tick(now_s)
        case _:
            assert_never(one)
