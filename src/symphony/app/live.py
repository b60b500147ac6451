"""Runs of this process on the bus: for its own views, and for the other processes of the home.

The bus is made for the first listener, here or in another process. Without listeners, nothing is made
or sent for a run.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from symphony.app import stream
from symphony.app.bus_places import RETAINED, RETAINED_LAST, bus_address
from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import EventPayload
from symphony.pit.tracker.engine.feed import Feed, Reader
from symphony.ports.runs import RunEvent

if TYPE_CHECKING:
    from symphony.app.artifact_news import ArtifactNews
    from symphony.bus import Bus, Endpoint, Joined, Mailbox
    from symphony.bus.exchange import Beyond, Exchange
    from symphony.ipc.envelope import MessageEnvelope

logger = logging.getLogger(__name__)

OPEN_AFTER_S: Final = 0.25
"""A run that is shorter than this does not join other processes, unless some are on the bus already.

Nor does it have an endpoint, unless somebody listens.
"""
PATIENCE_S: Final = 1.0
"""How long the end of a run may wait for those who watch it."""
_BATCH: Final = 256


class LiveBus:
    """The bus of this process, joined to that of its home when a run is worth it."""

    def __init__(
        self, home: Path | None, beyond: "Callable[[], Callable[[Exchange], Beyond] | None]" = lambda: None
    ) -> None:
        """Without a home it is of this process alone.

        `beyond` gives what joins it to the buses of other homes, or raises; see `beyond_of`.
        """
        self._home, self.beyond = home, beyond
        self._warned = False
        self._bus: Bus | None = None
        self._joining: asyncio.Task[Joined | None] | None = None
        self._at_once = asyncio.Event()  # what is waited for needs the other processes
        self._ready = asyncio.Event()  # not while others that may listen are still to be reached
        self._ready.set()
        self._runs: dict[str, _Audience] = {}
        self._news: ArtifactNews | None = None

    @property
    def published(self) -> int:
        """Return the number of run events put on the bus so far; 0 while there is no bus."""
        return 0 if self._bus is None else self._bus.stats().events.get("run", 0)

    def begin(self, run_id: str, feed: Feed) -> None:
        """Publish the events of this run, from now until it has `ended`, as far as anybody listens."""
        self._begin_joining()
        others = not self._ready.is_set()
        run = self._runs[run_id] = _Audience(run_id, feed, self._ready, others=others)
        if self._bus is not None:
            run.start(self._bus)

    async def reach(self) -> "Bus | None":
        """Return the bus, on that of the home from now on; None if it cannot be."""
        self._at_once.set()
        self._begin_joining()
        joined = None if self._joining is None else await asyncio.shield(self._joining)
        return None if joined is None else self._here()

    def _begin_joining(self) -> None:
        if self._home is not None and self._joining is None:
            address = bus_address(self._home)
            if Path(address.removeprefix("unix://")).exists():
                self._ready.clear()
            self._joining = asyncio.get_running_loop().create_task(self._join(address), name="bus")

    async def ended(self, run_id: str) -> None:
        """Send what is left of an ended run to its watchers, as long as they take it."""
        try:
            await self._runs[run_id].end()
        finally:
            del self._runs[run_id]

    async def follow(self, run_id: str, feed: Feed) -> AsyncGenerator[RunEvent, None]:
        """Yield every event of a run of this process from its start, live while it goes on."""
        run = self._runs.get(run_id)
        with feed.reader() as reader:
            if run is None:
                for event in reader.take():
                    yield event
                return

            async def recorded(seen: int) -> tuple[bool, Sequence[RunEvent]]:
                going = run.going
                reader.skip_to(seen)
                return going, reader.take()

            box = await run.mailbox(self._here())
            try:
                async for event in stream.follow(box, recorded):
                    reader.skip_to(event.seq)
                    yield event
            finally:
                run.leave(box)

    async def close(self) -> None:
        """Leave the bus once what was published has arrived."""
        if self._joining is not None:
            if not self._joining.done():
                self._joining.cancel()
            found = (await asyncio.gather(self._joining, return_exceptions=True))[0]
            if self._news is not None:
                await self._news.close()
            if found is not None and not isinstance(found, BaseException):
                await found.close()
        if self._bus is not None:
            await self._bus.close()
        self._joining = self._bus = self._news = None
        self._ready.set()

    def _here(self) -> "Bus":
        """Return the bus, made now if it is not there."""
        if self._bus is None:
            from symphony.bus import Bus

            self._bus = Bus()
            self._bus.retain(RETAINED, RETAINED_LAST)
            for run in self._runs.values():
                run.start(self._bus)
        return self._bus

    async def _join(self, address: str) -> "Joined | None":
        if self._ready.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OPEN_AFTER_S):
                    await self._at_once.wait()
        if self._bus is None:
            self._ready.clear()  # present readers must see all of it
        from symphony.bus import join
        from symphony.bus.exchange import BEYOND_AWAY

        beyond: Callable[[Exchange], Beyond] | None = None
        try:
            beyond = await asyncio.to_thread(self.beyond)
        except SymphonyError as error:
            logger.warning("other homes do not see this run live: %s (%s)", error, error.hint)
        bus = self._here()
        try:
            if beyond is not None:
                await bus.subscribe(BEYOND_AWAY, self._away, owner="run")
            joined = await join(bus, address, beyond=beyond)
        except SymphonyError as error:
            logger.warning("runs cannot be watched live from other processes: %s", error)
            return None
        finally:
            self._ready.set()
        self._tell_of_artifacts(bus)
        return joined

    def _tell_of_artifacts(self, bus: "Bus") -> None:
        from symphony.app.artifact_news import ArtifactNews

        assert self._home is not None
        self._news = ArtifactNews(self._home, bus)
        self._news.begin()

    def _away(self, envelope: "MessageEnvelope") -> None:
        """Log once that the bus is away: it returns by itself, or is gone for as long as this process
        runs.
        """
        event = envelope.payload
        if not self._warned and isinstance(event, EventPayload) and isinstance(event.data, dict):
            self._warned = True
            logger.warning(
                "other homes do not see this run live: %s (%s)", event.data["reason"], event.data["hint"]
            )


class _Audience:
    """A running run and its listeners."""

    def __init__(self, run_id: str, feed: Feed, ready: asyncio.Event, *, others: bool) -> None:
        """Nothing is published until `ready`. `others`: there are other processes, which may listen
        already.
        """
        self._run_id, self._feed, self._ready, self._others = run_id, feed, ready, others
        self._known = asyncio.Event()  # whether there are listeners
        self._unheard = contextlib.ExitStack()  # what waits for somebody to listen
        self._telling: asyncio.Task[None] | None = None
        self._heard = self._over = False
        self._boxes: set[Mailbox] = set()

    @property
    def going(self) -> bool:
        """True if more may happen."""
        return not (self._over or self._feed.closed)

    def start(self, bus: "Bus") -> None:
        """Publish from now on. While nobody listens that is left until the run turns out not to be short."""
        topic = stream.topic(self._run_id)
        if not self._ready.is_set() or bus.wants_below(topic):
            self._open(bus)
            return
        self._known.set()

        def look() -> None:
            if self._telling is None and bus.wants_below(topic):
                self._open(bus, self._feed.reader(self._feed.count))

        timer = asyncio.get_running_loop().call_later(OPEN_AFTER_S, self._open, bus)
        self._unheard.callback(timer.cancel)
        self._unheard.callback(bus.when_interest_changes(look))

    def _open(self, bus: "Bus", reader: Reader | None = None) -> None:
        """Be on the bus; if somebody has just come, with what reads from there on."""
        self._unheard.close()
        self._heard = reader is not None
        self._telling = asyncio.get_running_loop().create_task(
            self._tell(bus, reader), name=f"bus {self._run_id}"
        )

    async def end(self) -> None:
        """Note that nothing more will happen; views of this process end, too."""
        if self._others:  # a run that ends before they are reached is announced anyway
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._known.wait()
        self._unheard.close()
        if self._telling is not None:
            if self._heard:  # otherwise nobody listens, and there is nothing to wait for
                await asyncio.wait({self._telling}, timeout=PATIENCE_S)
            self._telling.cancel()
        self._over = True
        for box in tuple(self._boxes):
            box.close()

    async def mailbox(self, bus: "Bus") -> "Mailbox":
        """Return a mailbox for a view of this process; `leave` ends it."""
        box = await bus.mailbox(
            stream.wanted(self._run_id), owner=f"view.{os.getpid()}", capacity=stream.CAPACITY
        )
        self._boxes.add(box)
        return box

    def leave(self, box: "Mailbox") -> None:
        """Remove a view's mailbox."""
        self._boxes.discard(box)
        box.close()

    async def _tell(self, bus: "Bus", reader: Reader | None) -> None:
        await self._ready.wait()
        endpoint = await bus.endpoint(stream.topic(self._run_id), capabilities=["run"])
        try:
            with reader or await self._interest(bus) as reader:
                self._heard = True
                self._known.set()
                await self._publish(bus, endpoint, reader)
        finally:
            self._known.set()
            await endpoint.close()

    async def _interest(self, bus: "Bus") -> Reader:
        """Wait until somebody listens; reads the events that must be published."""
        if bus.wants_below(stream.topic(self._run_id)):
            return self._feed.reader()
        self._known.set()
        wanted: asyncio.Future[Reader] = asyncio.get_running_loop().create_future()

        def look() -> None:
            # At once, because a new reader next reads what is recorded until now.
            if not wanted.done() and bus.wants_below(stream.topic(self._run_id)):
                wanted.set_result(self._feed.reader(self._feed.count))

        stop = bus.when_interest_changes(look)
        try:
            return await wanted
        finally:
            stop()

    async def _publish(self, bus: "Bus", endpoint: "Endpoint", reader: Reader) -> None:
        prefix = stream.topic(self._run_id)

        def wanted(kind: str) -> bool:
            return bus.wants(f"{prefix}.{kind}")

        while (found := await reader.next(_BATCH, wanted)) is not None:
            for event in found:
                name = f"{prefix}.{event.type}"
                value = stream.value_of(event)
                try:
                    if not endpoint.try_publish(name, value, message_type=event.type):
                        await endpoint.publish(name, value, message_type=event.type)
                except SymphonyError as error:  # it does not travel: observers read it from the record
                    logger.debug("event %d of %s is not on the bus: %s", event.seq, self._run_id, error)
            await asyncio.sleep(0)  # those who listen here take them now
