"""The pattern of long-lived components: how they start, stop, report health and are configured."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from typing import Annotated, Literal, Protocol, TypeAlias

import msgspec

from symphony.commons.backoff import backoff_s
from symphony.commons.errors import ValidationFailed

Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 365)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Health(StrEnum):
    """The health of a component. If `degraded`, it works, but less well than it should."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a component. `detail` says why in words; `parts` are its components."""

    health: Health = Health.HEALTHY
    detail: str = ""
    parts: "Mapping[str, HealthStatus]" = {}

    @classmethod
    def of_parts(cls, parts: "Mapping[str, HealthStatus]") -> "HealthStatus":
        """Return the status of a whole, which is as healthy as its least healthy part."""
        order = list(Health)
        worst = max((part.health for part in parts.values()), key=order.index, default=Health.HEALTHY)
        if worst is Health.HEALTHY:
            return cls(parts=parts)
        ailing = [f"{name}: {part.detail or worst}" for name, part in parts.items() if part.health is worst]
        return cls(health=worst, detail="; ".join(ailing), parts=parts)


class AsyncComponent(Protocol):
    """A part that lives as long as the process. Errors derive from `SymphonyError`."""

    async def start(self) -> None:
        """Become ready; returns when it is. If it raises, `stop` need not be called."""
        ...

    async def stop(self) -> None:
        """Release everything. May be called twice, and while cancelled."""
        ...

    async def health_check(self) -> HealthStatus:
        """Return how it is now; answers within a second or so and does not raise."""
        ...


@asynccontextmanager
async def started(*components: AsyncComponent) -> AsyncIterator[None]:
    """Start in order, stop in reverse order: also when a later start, or the body, fails."""
    async with AsyncExitStack() as stack:
        for component in components:
            await component.start()
            stack.push_async_callback(component.stop)
        yield


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to try again. `attempts` counts all tries; waits are in seconds."""

    attempts: Count = 1
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    initial_s: Seconds = 1.0
    max_s: Seconds = 60.0
    jitter: bool = True

    def delay_s(self, attempt: int, random: float = 1.0) -> float:
        """Return the seconds to wait after try `attempt` (from 1) failed, at most `max_s`.

        With `jitter` the wait is that times `random`, in [0, 1], which the caller draws. Raises
        ValidationFailed if `attempt` is below 1.
        """
        if attempt < 1:
            raise ValidationFailed(f"attempts count from 1, not {attempt}")
        return backoff_s(
            attempt,
            base_s=self.initial_s,
            cap_s=self.max_s,
            growth=self.backoff,
            jitter=random if self.jitter else 1.0,
        )


class ComponentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings that every component has."""

    enabled: bool = True
    timeout_s: Seconds = 30.0
    retry_policy: RetryPolicy = RetryPolicy()
    metrics_enabled: bool = True
