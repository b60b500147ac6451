"""Asks all processes of a pool, once a beat, whether they are there. One timer for all of them."""

import asyncio
from collections.abc import Callable
from typing import Final

from symphony.pit.pool.child import ModelProcess
from symphony.pit.pool.core.health import BEAT_S

UNUSED_MAX: Final = 10
"""So many processes that nobody uses are asked in one beat: a hundred of them cost no more than ten."""


class Heartbeat:
    """Watches processes, from one event loop. Without any it does nothing."""

    def __init__(self) -> None:
        self._watched: dict[ModelProcess, Callable[[], bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last_s = 0.0

    def watch(self, child: ModelProcess, used: Callable[[], bool]) -> None:
        """Ask the process from now on. `used`: whether anybody may have given it work."""
        self._watched[child] = used
        if self._timer is None:
            self._later()

    def forget(self, child: ModelProcess) -> None:
        """Watch it no more."""
        self._watched.pop(child, None)

    def close(self) -> None:
        """Watch nothing any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_s = loop.time()
        self._timer = loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        # If we come late, so do we with the answers that are in the pipes: nobody is to be blamed.
        late = asyncio.get_running_loop().time() - self._last_s > 2 * BEAT_S
        if not self._watched:
            self._timer = None
            return
        self._later()
        unused = 0
        for child, user in list(self._watched.items()):
            used = user()
            if not used and not child.asked:
                unused += 1
                if unused > UNUSED_MAX:
                    continue
                self._watched[child] = self._watched.pop(child)  # the others come first the next time
            child.beat(used=used, late=late)
