"""What the arbiter is told and what it answers, as values that can be kept and replayed. Pure."""

from typing import TypeAlias

import msgspec

from symphony.pit.arbitration.core.supplies import Claim, Supply
from symphony.ports.arbitration import ConflictKind


class ClaimGranted(msgspec.Struct, frozen=True, tag="granted"):
    """The claim holds what it needs from now on, until it is released."""

    id: str
    reason: str
    waited_s: float = 0.0


class ClaimRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The claim can never be granted, and is forgotten. `setting` is the one to raise."""

    id: str
    reason: str
    setting: str = ""


ArbiterDecision: TypeAlias = ClaimGranted | ClaimRefused


class ClaimWait(msgspec.Struct, frozen=True, kw_only=True):
    """Why a claim waits: what is short, who has it, and how many others want it."""

    reason: str
    kind: ConflictKind
    supply: str
    behind: str = ""
    """The claim that was granted it last."""
    before: int = 0
    """The number of others that wait for it."""


class ClaimAsked(msgspec.Struct, frozen=True, tag="asked"):
    """A claim came. `at_once`: it does not wait if it cannot be granted."""

    claim: Claim
    now_s: float
    at_once: bool = False


class ClaimReleased(msgspec.Struct, frozen=True, tag="released"):
    """A claim was given back, or given up while it waited."""

    id: str
    now_s: float


class ClaimAdopted(msgspec.Struct, frozen=True, tag="adopted"):
    """A claim that another arbiter granted is still held."""

    claim: Claim
    now_s: float


class SupplyChanged(msgspec.Struct, frozen=True, tag="supply"):
    """There is more or less of something, or something new."""

    supply: Supply
    now_s: float


class ArbiterTicked(msgspec.Struct, frozen=True, tag="ticked"):
    """Time has passed."""

    now_s: float


ArbiterInput: TypeAlias = ClaimAsked | ClaimReleased | ClaimAdopted | SupplyChanged | ArbiterTicked
