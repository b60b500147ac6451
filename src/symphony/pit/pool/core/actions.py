"""Requests to the pool, and what its shell must do about them. Values."""

from typing import TypeAlias

import msgspec

from symphony.pit.pool.core.lifecycle import PhaseChanged
from symphony.ports.pool import PrewarmOutcome


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants a model. `lease` is an id of the caller's choice, unique in the pool.

    `keeps`: the lease takes no slot, and the model stays loaded for as long as it holds.
    """

    lease: str
    model: str
    run: str | None = None
    priority: int = 0
    keeps: bool = False


class StartModel(msgspec.Struct, frozen=True):
    """Start the model's process. `ahead`: nobody has asked for it yet."""

    model: str
    ahead: bool


class StopModel(msgspec.Struct, frozen=True):
    """End the model's process; nobody uses it."""

    model: str


class GrantLease(msgspec.Struct, frozen=True):
    """The lease holds from now on. `cold`: the model was not hot when it was asked for."""

    lease: str
    model: str
    cold: bool
    waited_s: float


class RefuseLease(msgspec.Struct, frozen=True):
    """The request cannot be granted and is forgotten."""

    lease: str
    model: str
    reason: str


class LoseLease(msgspec.Struct, frozen=True):
    """The model's process died under the lease, which is over."""

    lease: str
    model: str
    run: str | None
    reason: str


class RefuseWarm(msgspec.Struct, frozen=True):
    """The model that was to be warmed by request is not loaded, and will not be without a new request."""

    model: str
    reason: str
    full: bool = False
    """There is no room for it."""


class CountPrewarm(msgspec.Struct, frozen=True):
    """A model was loaded ahead, or it turned out whether that was of use."""

    model: str
    outcome: PrewarmOutcome


PoolAction: TypeAlias = (
    StartModel | StopModel | GrantLease | RefuseLease | LoseLease | RefuseWarm | CountPrewarm | PhaseChanged
)
