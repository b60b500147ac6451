"""Tells the processes of the home what happens in this one, on the bus, in order."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from symphony.commons.errors import SymphonyError
from symphony.commons.logging import logger
from symphony.ports.values import Value

if TYPE_CHECKING:
    from symphony.bus import Bus, Endpoint

_log = logger(__name__)


class PitNews:
    """Publishes news of one kind. Joins the bus at the first. Use from one event loop; `close` it."""

    def __init__(self, role: str, reach: "Callable[[], Awaitable[Bus | None]]") -> None:
        """`role` is the beginning of the name of its endpoint."""
        self._role, self._reach = role, reach
        self._news: list[tuple[str, Value]] = []
        self._telling: asyncio.Task[None] | None = None
        self._endpoint: Endpoint | None = None

    def tell(self, topic: str, data: Value) -> None:
        """Publish it as soon as this process is on the bus."""
        self._news.append((topic, data))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name=f"{self._role} news")

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

                self._endpoint = await bus.endpoint(passing_name(self._role))
            while self._news:
                topic, data = self._news.pop(0)
                if self._endpoint is not None:
                    self._endpoint.try_publish(topic, data)
        except SymphonyError as error:
            self._news.clear()
            _log.debug("news are not told", what=self._role, why=error.message)
        finally:
            self._telling = None
