"""Models that somebody keeps loaded: one, or several at once, all of them or none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from symphony.pit.pool.core.budget import PoolBudget
from symphony.ports.models import ModelUnavailable
from symphony.ports.pit import ModelHandle

TOO_SMALL_HINT: Final = "raise `pool.memory_mb` or `pool.models` in the settings"


class PoolTooSmall(ModelUnavailable):
    """The budget of the pool has no room for all models that are wanted at the same time."""

    code = "pool-too-small"


class KeptModel:
    """A model that stays loaded until `release`, which may be called twice.

    Calls of the model are made as ever, by anybody: a kept model takes no slot. If its process dies, it is
    loaded again.
    """

    __slots__ = ("_release", "handle")

    def __init__(self, handle: ModelHandle, release: Callable[[], None]) -> None:
        self.handle, self._release = handle, release

    def release(self) -> None:
        """Let the pool end the model when it wants to."""
        self._release()


class Gathering:
    """Lets one holder at a time collect the models that it wants together.

    Otherwise two holders, each with some of its models, could wait forever for each other's room.
    The holder that came first has the turn.
    """

    def __init__(self, budget: PoolBudget, bytes_of: Callable[[str], int]) -> None:
        self._budget, self._bytes_of = budget, bytes_of
        self._lock = asyncio.Lock()
        self._wanted: Collection[str] = ()
        self._scope: asyncio.Timeout | None = None

    @contextlib.asynccontextmanager
    async def turn(self, models: Collection[str]) -> AsyncIterator[None]:
        """The block collects `models`. Raises PoolTooSmall, in the midst of the block if one has grown."""
        self._require_room(models)
        async with self._lock:
            try:
                async with asyncio.timeout(None) as self._scope:
                    self._wanted = models
                    self._require_room(models)
                    yield
            except TimeoutError:
                if self._scope is not None and self._scope.expired():
                    self._require_room(models)
                raise
            finally:
                self._wanted, self._scope = (), None

    def measured(self) -> None:
        """A model was measured: end the turn if those that are wanted do not fit together any more."""
        if self._scope is not None and self._lack(self._wanted):
            self._scope.reschedule(asyncio.get_running_loop().time())

    def _require_room(self, models: Collection[str]) -> None:
        lack = self._lack(models)
        if lack:
            named = ", ".join(sorted(models))
            raise PoolTooSmall(f"{named} cannot be loaded at the same time: {lack}", hint=TOO_SMALL_HINT)

    def _lack(self, models: Collection[str]) -> str:
        """Return why the models do not fit into the budget together; empty if they do."""
        budget, needed = self._budget, sum(map(self._bytes_of, models))
        if len(models) > budget.models_max:
            return f"the pool has room for {budget.models_max:,} models, and these are {len(models):,}"
        if needed > budget.bytes_max:
            return f"they need {needed:,} bytes, and the pool has {budget.bytes_max:,}"
        return ""
