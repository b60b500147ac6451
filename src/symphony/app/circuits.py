"""Tells the processes of the home when the circuit of a hosted model opens or closes in this one."""

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.app.news import PitNews
from symphony.ports.pool import CircuitChanged

if TYPE_CHECKING:
    from symphony.bus import Bus

CIRCUIT_TOPIC: Final = "pit.pool.circuit"


class CircuitNews:
    """Publishes changes, in their order. Joins the bus at the first. Use from one event loop; `close` it."""

    def __init__(self, reach: "Callable[[], Awaitable[Bus | None]]") -> None:
        self._news = PitNews("circuits", reach)

    def tell(self, event: CircuitChanged) -> None:
        """Publish it as soon as this process is on the bus."""
        self._news.tell(CIRCUIT_TOPIC, {**msgspec.to_builtins(event), "pid": os.getpid()})

    async def close(self) -> None:
        """Publish no more."""
        await self._news.close()
