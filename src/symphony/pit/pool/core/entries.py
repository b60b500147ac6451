"""What the pool's machine knows of each model and of each request that waits."""

from typing import Final

from symphony.pit.pool.core.actions import LeaseRequest
from symphony.pit.pool.core.budget import PooledModel
from symphony.pit.pool.core.forecast import IdleTimes
from symphony.pit.pool.core.lifecycle import Lifecycle
from symphony.ports.pool import LeaseStatus, ModelPhase, ModelStatus

AGEING_S: Final = 10.0
LINGER_S: Final = 0.1
"""A model that has not been used for so long may go at once: its user was not between two calls."""


class ModelEntry:
    """The state of one model. `wanted`: it was to be warmed by request, and is not hot yet.

    `unwanted`: it was unloaded by request, and is loaded ahead only after a new request or announcement.
    """

    __slots__ = (
        "ahead", "bytes_now", "bytes_taken", "draining", "failures", "idle_since_s", "idle_times", "kept",
        "last_used_s", "life", "measured", "model", "refused", "retry_at_s", "stays_until_s", "unwanted",
        "users", "waiting", "wanted",
    )  # fmt: skip

    def __init__(self, model: PooledModel, now_s: float) -> None:
        self.model = model
        self.life = Lifecycle(model.name, now_s)
        self.bytes_now = self.bytes_taken = model.size_bytes
        """What it counts for, at most the whole budget, and what it takes."""
        self.measured = False
        self.users: dict[str, tuple[LeaseRequest, float]] = {}
        """The leases that hold, with the time since when."""
        self.kept = 0
        """How many of them keep the model loaded and take no slot."""
        self.waiting = 0
        self.draining = False
        self.ahead = False
        self.wanted = False
        self.unwanted = False
        self.failures = 0
        self.refused: str | None = None
        self.retry_at_s = now_s
        self.idle_since_s = now_s
        self.last_used_s: float | None = None
        self.stays_until_s = now_s
        self.idle_times = IdleTimes()

    @property
    def goes_s(self) -> float:
        """From when on the model may be asked to make room.

        Without this, two models that take turns would be loaded for each call.
        """
        if self.life.phase is not ModelPhase.HOT:
            return 0.0
        if self.users or self.waiting:
            return self.stays_until_s
        return min(self.stays_until_s, self.idle_since_s + LINGER_S)

    def status(
        self, waiting: tuple[LeaseStatus, ...], needed_by: dict[str, int], pid: int | None, epoch_s: float
    ) -> ModelStatus:
        """What others see of the model. `epoch_s`: the time since the Unix epoch at which our clock began."""
        failed = self.life.phase is ModelPhase.FAILED
        return ModelStatus(
            model=self.model.name,
            phase=self.life.phase,
            since_s=epoch_s + self.life.since_s,
            reason=self.life.reason,
            bytes=self.bytes_taken,
            measured=self.measured,
            slots=self.model.slots,
            pid=pid,
            draining=self.draining,
            users=tuple(lease_status(request, epoch_s + at_s) for request, at_s in self.users.values()),
            waiting=waiting,
            last_used_s=None if self.last_used_s is None else epoch_s + self.last_used_s,
            needed_by=needed_by,
            failures=self.failures,
            retry_s=epoch_s + self.retry_at_s if failed else None,
        )


def lease_status(request: LeaseRequest, since_s: float, count: int = 1) -> LeaseStatus:
    """What others see of a lease, or of `count` requests for one."""
    return LeaseStatus(
        lease=request.lease, run=request.run, priority=request.priority, since_s=since_s, count=count
    )
