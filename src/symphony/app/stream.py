"""The stream of a run's events. A watcher in this process and one in another see the same.

The bus brings them fast. What it has not brought, because it came before the watcher, found no
room, or was on its way through a process that died, stands where the run is recorded: that is
read first, and again whenever a number is missing or the bus says nothing for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from symphony.ipc.envelope import EventPayload, MessageEnvelope
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import RunEvent, RunStatus
from symphony.ports.values import Value

if TYPE_CHECKING:
    from symphony.bus import Joined, Mailbox

LOOK_EVERY_S: Final = 0.5
"""The interval at which a watcher reads the record while the bus is silent."""
CAPACITY: Final = 10_000
"""The most events that wait for a watcher. Those without room are read from the record."""
_FIELDS: Final = ("seq", "type", "at", "node", "data")
_GOING: Final = (RunStatus.PENDING, RunStatus.RUNNING)

Recorded: TypeAlias = Callable[[int], Awaitable[tuple[bool, Sequence[RunEvent]]]]
"""May more come, and the events after a number that are recorded by now. Never misses one if none may."""


def topic(run_id: str) -> str:
    """Return the topic above the events of a run, each of which is under its type."""
    return f"run.{run_id}"


def wanted(run_id: str) -> str:
    """Return the pattern of all events of a run."""
    return f"run.{run_id}.>"


async def follow(box: "Mailbox", recorded: Recorded) -> AsyncIterator[RunEvent]:
    """Yield every event of a run from its start, once and in order; ends when it goes on no more."""
    seen = 0
    while True:
        going, events = await recorded(seen)
        for event in events:
            seen = event.seq
            yield event
        if not going:
            return
        while (envelope := box.take() or await _next(box)) is not None:
            assert isinstance(envelope.payload, EventPayload)
            found = event_of(envelope.payload.data)
            if found is None or found.seq > seen + 1:
                break  # something is missing
            if found.seq == seen + 1:
                seen = found.seq
                yield found
                if found.type in ("run.finished", "run.interrupted"):
                    break


async def _next(box: "Mailbox") -> MessageEnvelope | None:
    """Return the next message; None if none comes in a while."""
    from symphony.bus import MailboxClosed

    try:
        async with asyncio.timeout(LOOK_EVERY_S):
            return await box.receive()
    except (TimeoutError, MailboxClosed):
        return None


def value_of(event: RunEvent) -> Value:
    """Return how an event travels."""
    return {
        "seq": event.seq, "type": event.type, "at": event.at, "node": event.node, "data": dict(event.data)
    }  # fmt: skip


def event_of(data: Value) -> RunEvent | None:
    """Return the event that `value_of` spelled; None for anything else."""
    if not isinstance(data, dict):
        return None
    seq, kind, at, node, more = map(data.get, _FIELDS)
    if (
        isinstance(seq, int)
        and isinstance(kind, str)
        and isinstance(at, int | float)
        and (node is None or isinstance(node, str))
        and isinstance(more, dict)
    ):
        return RunEvent(seq=seq, type=kind, at=at, node=node, data=more)
    return None


async def watch(home: Path, runs: Runs, run_id: str) -> AsyncIterator[RunEvent]:
    """Yield every event of a run that any process drives, from its start and live."""
    from symphony.app.bus_places import bus_address, passing_name
    from symphony.bus import Bus, join

    bus = Bus()
    endpoint = await bus.endpoint(passing_name("watch"))
    box = await endpoint.mailbox(wanted(run_id), capacity=CAPACITY)
    joined: Joined | None = None

    async def recorded(seen: int) -> tuple[bool, Sequence[RunEvent]]:
        nonlocal joined
        # The status first: nothing that happened before is missed.
        going = (await asyncio.to_thread(runs.status, run_id)) in _GOING
        if going and joined is None:
            joined = await join(bus, bus_address(home), serve=False, wait=True)
        return going, await asyncio.to_thread(lambda: list(runs.events(run_id, seen)))

    try:
        async for event in follow(box, recorded):
            yield event
    finally:
        if joined is not None:
            await joined.close()
        await bus.close()
