"""Models that this process keeps loaded, with whichever process owns the pool at the time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from symphony.commons.errors import SymphonyError
from symphony.pit.pool.keeping import KeptModel

logger = logging.getLogger(__name__)


class Acquired(NamedTuple):
    """Models by name, kept by the pool of this process (`own`), or by that of another one."""

    kept: Mapping[str, KeptModel]
    own: bool


class KeptGroup:
    """Models that were asked for together. Each new owner of the pool is asked for what is still kept."""

    def __init__(
        self,
        leases: Mapping[str, str],
        acquire: Callable[[Mapping[str, str]], Awaitable[Acquired]],
    ) -> None:
        """`leases`: the name of the lease of each model. `acquire` asks the owner, or this process's pool."""
        self._leases, self._acquire = dict(leases), acquire
        self._kept: dict[str, KeptModel] = {}
        self._own = False
        self._renewing: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """True if nothing is kept any more."""
        return not self._leases

    async def begin(self) -> Mapping[str, KeptModel]:
        """Return the models, all loaded. Raises what `acquire` does, and keeps nothing then."""
        found = await self._acquire(dict(self._leases))
        self._kept, self._own = dict(found.kept), found.own
        return found.kept

    def renew(self, *, own: bool) -> None:
        """The pool has another owner: this process or none (`own`), or another process."""
        if not self._kept or (own and self._own):
            return
        if self._renewing is not None:
            self._renewing.cancel()
        self._renewing = asyncio.get_running_loop().create_task(self._renew(), name="kept models")

    def release(self, model: str) -> None:
        """Keep this model no longer."""
        if self._leases.pop(model, None) is not None and (kept := self._kept.pop(model, None)) is not None:
            kept.release()

    def close(self) -> None:
        """Keep nothing."""
        for model in list(self._leases):
            self.release(model)
        if self._renewing is not None:
            self._renewing.cancel()

    async def _renew(self) -> None:
        before = self._kept if self._own else {}
        try:
            found = await self._acquire(dict(self._leases))
        except SymphonyError as error:
            logger.warning("models are not kept loaded any more: %s", error.message)
            found = Acquired({}, own=False)
        self._own = found.own
        self._kept = {model: one for model, one in found.kept.items() if model in self._leases}
        for model, one in found.kept.items():
            if model not in self._leases:  # released meanwhile
                one.release()
        for one in before.values():
            one.release()
