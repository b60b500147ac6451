"""Owns, or reaches the owner of, what the processes of a home share: one of them serves it as an endpoint.

The owner is the process that holds a lock of the operating system, not the hub of the bus: the lock is free
the moment its process ends, and nobody else can have it before. The hub may be any process, also one that
knows nothing of what is shared.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony.bus.bus import Bus
from symphony.bus.core.owning import OwnerRole, OwnerSearch
from symphony.bus.endpoint import Endpoint, Handler
from symphony.bus.exchange import LEFT, LOST
from symphony.bus.membership import LOST as HUB_LOST
from symphony.bus.membership import REFUSED
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import make_private, release_lock
from symphony.ipc.envelope import EventPayload, MessageEnvelope
from symphony.ipc.transports.opening import jitter
from symphony.ports.values import Value

logger = logging.getLogger(__name__)

ENTER: Final = "enter"
"""The method by which a process greets the owner. Its answer is for `entered`."""
LEAVING: Final = "owner-leaving"
"""The code of the error with which an owner that is about to leave refuses requests. Nothing was done."""
GREETING_S: Final = 1.0
_SERVE_AGAIN_S: Final = 0.1
IN_FLIGHT_MAX: Final = 20_000


class Ownership:
    """This process's part in something shared. Use it from one event loop, and `close` it."""

    def __init__(
        self,
        name: str,
        lock: Path,
        *,
        handler: Handler,
        bus: Callable[[], Awaitable[Bus | None]],
        asking: str,
        greeting: Callable[[], Value] = lambda: None,
        changed: Callable[[OwnerRole], None] = lambda _: None,
        lost: Callable[[str | None], None] = lambda _: None,
        left: Callable[[str], None] | None = None,
        search: OwnerSearch | None = None,
    ) -> None:
        """The owner holds `lock` and serves the endpoint `name` with `handler`; others ask as `asking`.

        `bus` gives the bus, on that of the home if it can be, when it is first needed. A member sends
        its `greeting` to each owner that it finds. `changed` hears of each new standing. `lost` hears of
        each endpoint that is gone from the bus; None: the hub is gone, and nobody knows who else.
        `left`, if given, hears in its place of those that said goodbye.
        """
        self.name = name
        self.search = search or OwnerSearch()
        self._lock, self._handler, self._reach_bus, self._asking = lock, handler, bus, asking
        self._greeting, self._changed, self._tell_lost = greeting, changed, lost
        self._tell_left = left or lost
        self._held: int | None = None
        self._bus: Bus | None = None
        self._endpoint: Endpoint | None = None
        self._served: Endpoint | None = None
        self._known = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._unserved = asyncio.Event()
        self._closed = False

    @property
    def standing(self) -> OwnerRole:
        """The present standing of this process."""
        return self.search.standing

    @property
    def bus(self) -> Bus | None:
        """The bus, once it was needed."""
        return self._bus

    async def find(self) -> OwnerRole:
        """Return the standing, once it is known: at once as long as it lasts."""
        while self.search.standing is OwnerRole.SEEKING and not self._closed:
            self.look()
            await self._known.wait()
        return self.search.standing

    def look(self) -> None:
        """Begin to look for the owner, unless that is known or under way."""
        if not (self.search.over or self._closed or (self._looking and not self._looking.done())):
            self._looking = asyncio.get_running_loop().create_task(self._look(), name=f"owner of {self.name}")

    async def request(self, method: str, arguments: Value = None, *, timeout_s: float | None = None) -> Value:
        """Ask the owner. Raises as `Endpoint.request`."""
        assert self._endpoint is not None
        return await self._endpoint.request(self.name, method, arguments, timeout_s=timeout_s)

    def publish(self, topic: str, data: Value) -> None:
        """Publish an event, if this process is on the bus. It is dropped where a listener must read first."""
        if self._endpoint is not None and not self._closed:
            try:
                told = self._endpoint.try_publish(topic, data)
            except SymphonyError as error:
                logger.debug("%s is not on the bus: %s", topic, error)
            else:
                if not told:
                    logger.debug("%s is not on the bus: a listener does not read", topic)

    def lost(self, tenure: int) -> None:
        """The owner of that tenure did not answer, or leaves: another is to be looked for."""
        if tenure == self.search.tenure and self.search.standing is OwnerRole.MEMBER:
            self.search.lost(tenure)
            self._known.clear()
            self._changed(self.search.standing)

    async def close(self) -> None:
        """Leave: another process may be the owner from now on. May be called twice."""
        self._closed = True
        self._known.set()
        tasks = [task for task in (self._looking, self._serving) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in (self._served, self._endpoint):
            if endpoint is not None:
                await endpoint.close()
        if self._held is not None:
            held, self._held = self._held, None
            release_lock(held)

    # Looking.

    async def _look(self) -> None:
        now_s = asyncio.get_running_loop().time
        while not self.search.over:
            before = self.search.standing
            pause_s = await self._look_once(now_s)
            if self.search.standing is not before:
                self._changed(self.search.standing)
            if self.search.standing is not OwnerRole.SEEKING:
                self._known.set()
            if not self.search.over:
                await asyncio.sleep(pause_s)

    async def _look_once(self, now_s: Callable[[], float]) -> float:
        """Take the lock or greet its holder. Return the pause until the next look, if there is one."""
        holder = None
        try:
            if self._bus is None:
                await self._listen(await self._reach_bus())
            if self._take():
                self.search.took()
                self._serving = asyncio.get_running_loop().create_task(
                    self._serve(), name=f"serving {self.name}"
                )
                return 0.0
            holder = self._holder()
            if self._bus is None:
                return self.search.refused("this process is not on the bus of the home", holder)
            found = await self.request(ENTER, self._greeting(), timeout_s=GREETING_S)
        except SymphonyError as error:
            return self.search.missed(error.message, holder, now_s(), jitter())
        except OSError as error:
            return self.search.refused(f"{self._lock} cannot be locked: {error.strerror}", holder)
        if not isinstance(found, dict):
            return self.search.refused("it is of another version of Symphony", holder)
        pid = found.get("pid")
        self.search.reached(pid if isinstance(pid, int) else holder)
        return 0.0

    def _take(self) -> bool:
        """Take the lock; False if another process holds it. Raises OSError."""
        import fcntl

        make_private(self._lock.parent)
        number = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return False
        except BaseException:
            os.close(number)
            raise
        self._held = number
        os.ftruncate(number, 0)
        os.pwrite(number, f"{os.getpid()}\n".encode(), 0)
        return True

    def _holder(self) -> int | None:
        return holder_of(self._lock)

    # Serving, and hearing of others.

    async def _listen(self, bus: Bus | None) -> None:
        if bus is None:
            return
        endpoint = await bus.endpoint(self._asking)
        try:
            for topic in (LEFT, LOST, HUB_LOST, REFUSED):
                await endpoint.subscribe(topic, self._heard)
        except BaseException:
            await endpoint.close()
            raise
        self._bus, self._endpoint = bus, endpoint

    def _heard(self, envelope: MessageEnvelope) -> None:
        event = envelope.payload
        if not isinstance(event, EventPayload) or not isinstance(event.data, dict):
            return
        name = event.data.get("name")
        if event.topic == REFUSED:
            if name == self.name:
                self._unserved.set()
        elif event.topic == HUB_LOST or name == self.name:
            if self.search.standing is OwnerRole.MEMBER:
                self.lost(self.search.tenure)
                self.look()
            elif event.topic == HUB_LOST:
                self._tell_lost(None)
        elif isinstance(name, str):
            (self._tell_left if event.topic == LEFT else self._tell_lost)(name)

    async def _serve(self) -> None:
        """Serve the others for as long as this process is the owner; come back when the bus has let go of it.

        A name that is taken is that of an owner before, whose end the bus has yet to notice.
        """
        bus = self._bus
        if bus is None:
            return
        while True:
            self._unserved.clear()
            with suppress(SymphonyError):
                self._served = await bus.endpoint(self.name, self._handler, in_flight_max=IN_FLIGHT_MAX)
                await self._unserved.wait()
                await self._served.close()
            await asyncio.sleep(_SERVE_AGAIN_S)


def holder_of(lock: Path) -> int | None:
    """Return the process id that the holder of a lock wrote into it; None if it cannot be read."""
    try:
        with lock.open("rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None


def lock_holder(lock: Path) -> int | None:
    """Return the process id of the owner; None if nobody holds the lock, or it does not say who."""
    import fcntl

    try:
        number = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_of(lock)
    except OSError:
        return None
    finally:
        os.close(number)
    return None
