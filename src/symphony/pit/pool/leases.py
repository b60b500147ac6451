"""A model that somebody has leased."""

from collections.abc import Mapping

from symphony.pit.pool.child import ChildDied, ModelProcess
from symphony.pit.pool.core.actions import GrantLease
from symphony.ports.pit import ModelHandle
from symphony.ports.values import Value


class ModelLease:
    """A slot of a model that is loaded, from `LocalModels.lease`, whose block is its end."""

    __slots__ = ("_child", "_granted")

    def __init__(self, granted: GrantLease, child: ModelProcess) -> None:
        self._granted, self._child = granted, child

    @property
    def handle(self) -> ModelHandle:
        """The lease as other parts know it."""
        granted = self._granted
        warmed_ms = granted.waited_s * 1000 if granted.cold else 0.0
        return ModelHandle(model=granted.model, lease=granted.lease, warmed_ms=warmed_ms)

    @property
    def waited_s(self) -> float:
        """How long the request waited until it was granted, in seconds."""
        return self._granted.waited_s

    @property
    def cold(self) -> bool:
        """True if the model was not loaded when it was asked for."""
        return self._granted.cold

    @property
    def pid(self) -> int | None:
        """The id of the model's process."""
        return self._child.pid

    @property
    def lost(self) -> bool:
        """True once the process has died, or hangs: a new lease gets another one."""
        return not self._child.alive

    async def call(self, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> dict[str, Value]:
        """Ask the model once, and return its output ports. Cancelling the task ends the call.

        Raises ModelFailed if the model cannot answer, ChildDied if its process ends first.
        """
        return await self._child.call(inputs, config)

    async def death(self, within_s: float) -> ChildDied | None:
        """Return why the process takes no more calls; None if it still does `within_s` seconds from now."""
        return self._child.death() if await self._child.lost(within_s) else None
