"""The pool of models as others see it: the status of each model, and events. Values only."""

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

PrewarmOutcome: TypeAlias = Literal["started", "hit", "late", "wasted"]
"""The fate of a model loaded ahead: `hit` if it was hot when it was first asked for, `late` if it was still
loading, `wasted` if it ended without being asked for.
"""

CircuitStateName: TypeAlias = Literal["closed", "open", "half-open"]


class ModelPhase(StrEnum):
    """The phase of a model's life. It occupies memory while it is warming, hot or cooling."""

    COLD = "cold"
    """No process."""
    WARMING = "warming"
    """The process has been started and is loading the model."""
    HOT = "hot"
    """Loaded: it can be asked."""
    COOLING = "cooling"
    """The process was told to end and has not ended yet."""
    FAILED = "failed"
    """The process ended without being asked to. It may be started again after a while."""


class PrewarmCounts(msgspec.Struct, frozen=True):
    """Counts of models loaded ahead. `late` counts models that were requested while still loading."""

    started: int = 0
    hits: int = 0
    late: int = 0
    wasted: int = 0


class LeaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that holds on a model, or the request for one. `since_s`: when that began.

    Requests of one run for one model count as one; `count` is how many they are, the first one included.
    """

    lease: str
    run: str | None
    priority: int
    since_s: float
    count: int = 1


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the pool. Points in time are seconds since the Unix epoch.

    `bytes` is measured if `measured` says so: of the present process, or of the last one. Otherwise it is an
    estimate. `reason` says why the model is in its phase. `needed_by` has, for each run that announced it, in
    how many stages the model is needed (1: the next one).
    """

    model: str
    phase: ModelPhase
    since_s: float
    reason: str
    bytes: int
    measured: bool
    slots: int
    pid: int | None = None
    draining: bool = False
    """Those who use it may finish; then it ends."""
    users: tuple[LeaseStatus, ...] = ()
    waiting: tuple[LeaseStatus, ...] = ()
    last_used_s: float | None = None
    needed_by: dict[str, int] = {}
    failures: int = 0
    """Failures since it was last loaded."""
    retry_s: float | None = None
    """When a model that failed may be started again."""


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The pool at the time `at_s`, seconds since the Unix epoch, with its models by name.

    What is loaded is warming, hot or cooling.
    """

    at_s: float
    models: tuple[ModelStatus, ...]
    bytes_loaded: int
    bytes_max: int
    models_loaded: int
    models_max: int
    waiting: int
    """Requests that have neither been granted nor refused."""
    prewarms: PrewarmCounts


class SharedPool(msgspec.Struct, frozen=True, kw_only=True):
    """The pool of a home: its owner's process id, how many other processes use it, and what is in it."""

    owner: int
    processes: int
    pool: PoolStatus


class ModelChanged(msgspec.Struct, frozen=True, kw_only=True, tag="model-changed"):
    """A model went from one phase to another. `lasted_s`: seconds it had been in the phase it left."""

    model: str
    before: ModelPhase
    after: ModelPhase
    reason: str
    lasted_s: float
    bytes: int
    at_s: float
    """Seconds since the Unix epoch."""


class LeaseLost(msgspec.Struct, frozen=True, kw_only=True, tag="lease-lost"):
    """A model's process died under a call. The call is asked once more, or fails."""

    model: str
    lease: str
    run: str | None
    reason: str
    at_s: float


class ModelPrewarmed(msgspec.Struct, frozen=True, kw_only=True, tag="model-prewarmed"):
    """A model was loaded ahead, or it turned out whether that was of use."""

    model: str
    outcome: PrewarmOutcome
    at_s: float


class CircuitChanged(msgspec.Struct, frozen=True, kw_only=True, tag="circuit-changed"):
    """The circuit of a hosted model in one process: open, no request is sent; half-open, one, to see."""

    model: str
    before: CircuitStateName
    after: CircuitStateName
    reason: str
    at_s: float


PoolEvent: TypeAlias = ModelChanged | LeaseLost | ModelPrewarmed
