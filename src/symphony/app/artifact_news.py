"""Puts what happens to the artifacts of a home on its bus, as `pit.artifacts.>`, while anybody listens.

One process of those on the bus does so for all: it holds a lock, and reads the log of the store. So events of
commands that are too short to join the bus are told as well, and a run that nobody watches pays nothing.
"""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from symphony.app.bus_places import passing_name
from symphony.bus import Bus, Endpoint
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private, release_lock
from symphony.pit.artifacts.metadata.news import LogNews
from symphony.ports.values import Value

TOPIC: Final = "pit.artifacts"
LOCK: Final = "pit.artifacts.lock"
LOOK_EVERY_S: Final = 0.2


class ArtifactNews:
    """Tells of artifacts for as long as its block lasts, unless another process of the home does."""

    def __init__(self, home: Path, bus: Bus) -> None:
        self._run, self._bus = home / "run", bus
        self._news = LogNews(home / "artifacts")
        self._interest = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def begin(self) -> None:
        """Tell from now on."""
        self._task = asyncio.get_running_loop().create_task(self._tell(), name="news of artifacts")

    async def close(self) -> None:
        """Leave it to another process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self) -> None:
        stop = self._bus.when_interest_changes(self._interest.set)
        held: int | None = None
        endpoint: Endpoint | None = None
        try:
            while True:
                if not self._bus.wants_below(TOPIC):
                    self._interest.clear()
                    await self._interest.wait()
                    continue
                held = self._locked() if held is None else held
                if held is not None and self._news.changed:
                    endpoint = endpoint or await self._bus.endpoint(passing_name("artifacts"))
                    for event in await asyncio.to_thread(self._news.read):
                        value: Value = msgspec.to_builtins(event)
                        await endpoint.publish(f"{TOPIC}.{event.kind}", value)
                await asyncio.sleep(LOOK_EVERY_S)
        except SymphonyError:
            return  # the bus is closed
        finally:
            stop()
            if endpoint is not None:
                await endpoint.close()
            if held is not None:
                release_lock(held)

    def _locked(self) -> int | None:
        """Take the lock; None if another process tells."""
        import fcntl

        try:
            make_private(self._run)
            number = os.open(self._run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(number)
            return None
        return number
