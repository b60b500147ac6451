"""Runs on the bus of their home: what happens in one process is seen live in the others.

The journal is the truth and the bus its fast messenger: who watches reads the journal first and
again whenever the bus left something out. Nothing is made or sent while nobody listens.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from symphony.commons.errors import SymphonyError
from symphony.commons.time import random_bits
from symphony.ipc.envelope import EventPayload
from symphony.pit.tracker.feed import Feed
from symphony.pit.tracker.runs import Runs
from symphony.ports.runs import RunEvent, RunStatus
from symphony.ports.values import Value

if TYPE_CHECKING:
    from symphony.bus import Bus, Endpoint, Joined, Mailbox
    from symphony.bus.bus import Beyond
    from symphony.ipc.envelope import MessageEnvelope

logger = logging.getLogger(__name__)

OPEN_AFTER_S: Final = 0.25
"""A run that is shorter than this does not open the bus, unless somebody is on it already."""
PATIENCE_S: Final = 1.0
"""How long the end of a run may wait for those who watch it."""
LOOK_EVERY_S: Final = 0.5
"""How often who watches looks into the journal while the bus says nothing."""
_BATCH: Final = 256
_PATH_BYTES_MAX: Final = 100
_GOING: Final = (RunStatus.PENDING, RunStatus.RUNNING)


def bus_address(home: Path) -> str:
    """Where the bus of `home` is: `run/bus.sock` in it, or elsewhere if that is too long for a socket."""
    path = home.absolute() / "run" / "bus.sock"
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        import hashlib  # rarely needed, and not for nothing
        import tempfile

        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"symphony-{os.geteuid()}" / f"{name}.sock"
    return f"unix://{path}"


def passing_name(role: str) -> str:
    """A name for an endpoint that comes and goes, which no other has, on this machine or another."""
    return f"{role}.{os.getpid()}.{random_bits(32):08x}"


class LiveBus:
    """The bus of a home in this process, joined when a run is worth it."""

    def __init__(
        self, home: Path, beyond: "Callable[[], Callable[[Bus], Beyond] | None]" = lambda: None
    ) -> None:
        """`beyond` gives what joins it to the buses of other homes, or raises; see `beyond_of`."""
        self._home, self.beyond = home, beyond
        self._joining: asyncio.Task[tuple[Bus, Joined] | None] | None = None
        self._warned = False
        self._heard: set[str] = set()  # runs that somebody has listened to

    def tell(self, run_id: str, feed: Feed) -> "asyncio.Task[None]":
        """Publish the events of a run of this process, until it ends, as far as somebody listens."""
        return asyncio.get_running_loop().create_task(self._tell(run_id, feed), name=f"bus {run_id}")

    async def ended(self, run_id: str, telling: "asyncio.Task[None]") -> None:
        """The run has: what is left goes to those who watch, as long as they take it."""
        if run_id in self._heard:  # else nobody does, and nobody is waited for
            self._heard.discard(run_id)
            await asyncio.wait({telling}, timeout=PATIENCE_S)
        telling.cancel()

    async def close(self) -> None:
        """Leave the bus; what was published arrives."""
        if self._joining is None:
            return
        if not self._joining.done():
            self._joining.cancel()
        found = (await asyncio.gather(self._joining, return_exceptions=True))[0]
        if isinstance(found, tuple):
            bus, joined = found
            await joined.close()
            await bus.close()

    async def _tell(self, run_id: str, feed: Feed) -> None:
        if self._joining is None:
            if not os.path.exists(bus_address(self._home).removeprefix("unix://")):  # noqa: ASYNC240, PTH110  quick
                await asyncio.sleep(OPEN_AFTER_S)
            # Another run of this process may have come first meanwhile.
            if self._joining is None:
                self._joining = asyncio.get_running_loop().create_task(self._join(), name="bus")
        found = await asyncio.shield(self._joining)
        if found is not None:
            bus, _ = found
            endpoint = await bus.endpoint(f"run.{run_id}", capabilities=["run"])
            try:
                at = await _interest(bus, run_id, feed)
                self._heard.add(run_id)
                await _publish(bus, endpoint, run_id, feed, at)
            finally:
                await endpoint.close()

    async def _join(self) -> "tuple[Bus, Joined] | None":
        from symphony.bus import Bus, join
        from symphony.bus.bus import BEYOND_AWAY

        beyond: Callable[[Bus], Beyond] | None = None
        try:
            beyond = await asyncio.to_thread(self.beyond)
        except SymphonyError as error:
            logger.warning("other homes do not see this run live: %s (%s)", error, error.hint)
        bus = Bus()
        if beyond is not None:
            await bus.subscribe(BEYOND_AWAY, self._away, owner="run")
        try:
            return bus, await join(bus, bus_address(self._home), beyond=beyond)
        except SymphonyError as error:
            logger.warning("this run cannot be watched live: %s", error)
            return None

    def _away(self, envelope: "MessageEnvelope") -> None:
        """Said once: it is back by itself, or away for as long as this process runs."""
        event = envelope.payload
        if not self._warned and isinstance(event, EventPayload) and isinstance(event.data, dict):
            self._warned = True
            logger.warning(
                "other homes do not see this run live: %s (%s)", event.data["reason"], event.data["hint"]
            )


async def _interest(bus: "Bus", run_id: str, feed: Feed) -> int:
    """Wait until somebody listens to the run; the number of events that need not be published."""
    at, changed = 0, asyncio.Event()
    stop = bus.when_interest_changes(changed.set)
    try:
        while not bus.wants_below(f"run.{run_id}"):
            changed.clear()
            await changed.wait()
            at = feed.count()  # who comes now has the journal for what was before
    finally:
        stop()
    return at


async def _publish(bus: "Bus", endpoint: "Endpoint", run_id: str, feed: Feed, at: int) -> None:
    topic = f"run.{run_id}"
    while found := await feed.since(at):
        for event in found[:_BATCH]:
            name = f"{topic}.{event.type}"
            if bus.wants(name):
                await endpoint.publish(name, _value(event), message_type=event.type)
        at += len(found[:_BATCH])
        await asyncio.sleep(0)


def _value(event: RunEvent) -> Value:
    return {
        "seq": event.seq, "type": event.type, "at": event.at, "node": event.node, "data": dict(event.data)
    }  # fmt: skip


async def watch(home: Path, runs: Runs, run_id: str) -> AsyncIterator[RunEvent]:
    """Every event of a run from its start, live while it goes on in any process; ends when it does not."""
    from symphony.bus import Bus, join

    bus = Bus()
    endpoint = await bus.endpoint(passing_name("watch"))
    box = await endpoint.mailbox(f"run.{run_id}.>", capacity=10_000)
    joined: Joined | None = None
    seen = 0
    try:
        while True:
            # The status first: what happened until then is never missed.
            going = (await asyncio.to_thread(runs.status, run_id)) in _GOING
            if going and joined is None:
                joined = await join(bus, bus_address(home), serve=False, wait=True)
            for event in await asyncio.to_thread(_recorded, runs, run_id, seen):
                seen = event.seq
                yield event
            if not going:
                return
            async for event in _live(box, seen):
                seen = event.seq
                yield event
    finally:
        if joined is not None:
            await joined.close()
        await bus.close()


async def _live(box: "Mailbox", seen: int) -> AsyncIterator[RunEvent]:
    """The events after number `seen`, until one is missing, the run has ended, or nothing comes."""
    while True:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                envelope = await box.receive()
        except TimeoutError:
            return
        assert isinstance(envelope.payload, EventPayload)
        event = _event(envelope.payload.data)
        if event is None or event.seq > seen + 1:
            return
        if event.seq == seen + 1:
            seen += 1
            yield event
            if event.type == "run.finished":
                return


def _recorded(runs: Runs, run_id: str, seen: int) -> list[RunEvent]:
    return list(runs.events(run_id, seen))


def _event(data: Value) -> RunEvent | None:
    """The event that `_value` made; None for anything else, which then comes from the journal."""
    match data:
        case {
            "seq": int(seq),
            "type": str(kind),
            "at": int(at) | float(at),
            "node": str(name),
            "data": dict(more),
        }:
            return RunEvent(seq=seq, type=kind, at=at, node=name, data=more)
        case {
            "seq": int(seq),
            "type": str(kind),
            "at": int(at) | float(at),
            "node": None,
            "data": dict(more),
        }:
            return RunEvent(seq=seq, type=kind, at=at, data=more)
    return None
