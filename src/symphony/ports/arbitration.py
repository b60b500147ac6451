"""The arbiter as others see it: what is contended, who waits and why, how fairly users fare. Values only."""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class ConflictKind(StrEnum):
    """What those who wait compete for."""

    MODEL = "model contention"
    """Calls of a model: how many at once, or how many a minute."""
    MEMORY = "memory pressure"
    CPU = "CPU saturation"
    """Cores, or places for calls of operators."""
    COST = "cost limit"


class Contention(msgspec.Struct, frozen=True, kw_only=True):
    """More of something is wanted than there is. Amounts are in its smallest unit."""

    kind: ConflictKind
    supply: str
    amount: int
    taken: int
    wanted: int
    waiting: int
    """The number of requests that want it and wait."""


class UserShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one user had in the window. `share`: of the resource of which it had most, in [0, 1].

    `waited_max_s`: the longest wait, of requests that were granted in the window or wait now.
    """

    user: str
    weight: float
    share: float
    grants: int = 0
    waiting: int = 0
    waited_max_s: float = 0.0


class FairnessReport(msgspec.Struct, frozen=True, kw_only=True):
    """How fairly users fared in the last `window_s` seconds.

    `gini` is the Gini coefficient of the users' weighted dominant shares: 0 if all are equal, towards 1
    if one user had everything. Users who neither had nor wanted anything do not count.
    """

    window_s: float
    users: tuple[UserShare, ...] = ()
    gini: float = 0.0
    waited_max_s: float = 0.0


class SupplyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which there is only so much. `amount`, `taken` and `spent` are in `unit`."""

    supply: str
    kind: ConflictKind
    unit: str
    amount: float
    taken: float
    spent: float = 0.0
    waiting: int = 0


class RequestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A request that holds or waits, since `since_s`, seconds since the Unix epoch.

    `reason`: why it waits, in words; empty if it holds.
    """

    id: str
    run: str
    node: str
    resource: str
    user: str
    priority: int
    since_s: float
    reason: str = ""


class ArbiterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The arbiter at the time `at_s`, seconds since the Unix epoch."""

    at_s: float
    strategy: str
    supplies: tuple[SupplyStatus, ...] = ()
    held: tuple[RequestStatus, ...] = ()
    waiting: tuple[RequestStatus, ...] = ()
    contentions: tuple[Contention, ...] = ()
    fairness: FairnessReport


class RequestWaits(msgspec.Struct, frozen=True, kw_only=True, tag="request-waits"):
    """A request has to wait: for what, behind whom, and how many others wait for it, too."""

    id: str
    run: str
    node: str
    user: str
    kind: ConflictKind
    supply: str
    reason: str
    behind: str
    before: int
    at_s: float
    """Seconds since the Unix epoch."""


class RequestGranted(msgspec.Struct, frozen=True, kw_only=True, tag="request-granted"):
    """A request that waited was granted."""

    id: str
    run: str
    node: str
    user: str
    reason: str
    waited_s: float
    at_s: float


class RequestRefused(msgspec.Struct, frozen=True, kw_only=True, tag="request-refused"):
    """A request can never be granted."""

    id: str
    run: str
    node: str
    user: str
    reason: str
    at_s: float


ArbiterEvent: TypeAlias = RequestWaits | RequestGranted | RequestRefused
