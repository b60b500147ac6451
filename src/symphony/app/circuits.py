"""Tells the processes of the home when the circuit of a hosted model opens or closes in this one."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.logging import logger
from symphony.ports.pool import CircuitChanged

if TYPE_CHECKING:
    from symphony.bus import Bus, Endpoint

CIRCUIT_TOPIC: Final = "pit.pool.circuit"
_log = logger(__name__)


class CircuitNews:
    """Publishes changes, in their order. Joins the bus at the first. Use from one event loop; `close` it."""

    def __init__(self, reach: "Callable[[], Awaitable[Bus | None]]") -> None:
        self._reach = reach
        self._news: list[CircuitChanged] = []
        self._telling: asyncio.Task[None] | None = None
        self._endpoint: Endpoint | None = None

    def tell(self, event: CircuitChanged) -> None:
        """Publish it as soon as this process is on the bus."""
        self._news.append(event)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name="circuit news")

    async def close(self) -> None:
        """Publish no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        if self._endpoint is not None:
            await self._endpoint.close()

    async def _tell(self) -> None:
        try:
            if self._endpoint is None and (bus := await self._reach()) is not None:
                from symphony.app.bus_places import passing_name

                self._endpoint = await bus.endpoint(passing_name("circuits"))
            while self._news:
                event = self._news.pop(0)
                if self._endpoint is not None:
                    self._endpoint.try_publish(
                        CIRCUIT_TOPIC, {**msgspec.to_builtins(event), "pid": os.getpid()}
                    )
        except SymphonyError as error:
            self._news.clear()
            _log.debug("circuits are not told of", why=error.message)
        finally:
            self._telling = None
