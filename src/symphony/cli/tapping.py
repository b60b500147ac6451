"""Listening to the bus of a home, and measuring it, for `symphony bus`."""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

import msgspec

from symphony.app import Symphony
from symphony.app.live import bus_address
from symphony.bus import Bus, Endpoint, join
from symphony.bus.core.metrics import BusStats, prometheus
from symphony.bus.core.topics import check_pattern
from symphony.cli import output, spelling
from symphony.commons.errors import SymphonyError
from symphony.ipc import EventPayload, MessageEnvelope
from symphony.ports.values import Value

_TIMEOUT_S = 5.0


class BusAbsent(SymphonyError):
    """No process of this home is on a bus."""

    code = "bus-absent"


@asynccontextmanager
async def _on_bus(*, serve: bool) -> AsyncIterator[Endpoint]:
    """An endpoint on the bus of the home. With `serve` it may be the first there. Raises BusAbsent."""
    home = Symphony.open().home
    assert home is not None
    bus = Bus()
    endpoint = await bus.endpoint(f"cli.{os.getpid()}")
    try:
        joined = await join(bus, bus_address(home), serve=serve)
    except SymphonyError as error:
        if error.code != "connect-failed":
            raise
        raise BusAbsent(
            f"nothing runs in {home}", hint="start a run, or `symphony bus tap`, or set SYMPHONY_HOME"
        ) from error
    try:
        yield endpoint
    finally:
        await joined.close()
        await bus.close()


def tap(pattern: str, count: int | None, *, as_json: bool) -> int:
    """Print events that match; ends after `count`."""
    check_pattern(pattern)

    async def run() -> None:
        async with _on_bus(serve=True) as endpoint:
            box = await endpoint.mailbox(pattern, capacity=10_000)
            await endpoint.subscribe("bus.dropped", lambda envelope: _missed(envelope, endpoint.name))
            left = count
            async for envelope in box:
                output.say(_line(envelope, as_json=as_json))
                sys.stdout.flush()
                left = None if left is None else left - 1
                if left == 0:
                    return

    asyncio.run(run())
    return 0


def ping(name: str, count: int, size: int, *, as_json: bool) -> int:
    """Ask `name` so many times, one after the other."""

    async def run() -> list[float]:
        took: list[float] = []
        async with _on_bus(serve=False) as endpoint:
            for number in range(count):
                began = time.perf_counter()
                await endpoint.request(name, "bus.ping", b"x" * size, timeout_s=_TIMEOUT_S)
                took.append((time.perf_counter() - began) * 1000)
                if not as_json and number < 10:
                    output.say(f"{output.shown(name)}: {took[-1]:.3f} ms\n")
        return took

    took = sorted(asyncio.run(run()))
    if as_json:
        output.say_json({
            "endpoint": name, "count": count, "bytes": size, "min_ms": round(took[0], 4),
            "median_ms": round(statistics.median(took), 4), "p99_ms": round(took[int((count - 1) * 0.99)], 4),
            "max_ms": round(took[-1], 4),
        })  # fmt: skip
    else:
        output.say(
            f"{output.count(count, 'round trip')}: shortest {took[0]:.3f} ms, "
            f"median {statistics.median(took):.3f} ms, longest {took[-1]:.3f} ms\n"
        )
    return 0


def stats(form: Literal["text", "json", "prometheus"]) -> str:
    """How the bus of the home stands."""

    async def run() -> BusStats:
        async with _on_bus(serve=False) as endpoint:
            return msgspec.convert(await endpoint.request("bus", "bus.stats", timeout_s=_TIMEOUT_S), BusStats)

    found = asyncio.run(run())
    if form == "prometheus":
        return prometheus(found)
    if form == "json":
        return json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False) + "\n"
    return _text(found)


def _text(found: BusStats) -> str:
    drops = {owner: sum(topics.values()) for owner, topics in found.drops.items()}
    lines = [
        f"up {output.duration(found.uptime_s)}, {output.count(found.links, 'member')}",
        f"events: {', '.join(f'{n:,} {topic}' for topic, n in sorted(found.events.items())) or 'none'}",
        (
            f"requests: {found.requests:,}, {found.failed:,} failed, {found.pending:,} under way, "
            f"{found.late_replies:,} late replies; half within {found.latency_p50_s * 1000:.3g} ms, "
            f"99 % within {found.latency_p99_s * 1000:.3g} ms"
        ),
        f"dropped: {', '.join(f'{n:,} of {output.shown(who)}' for who, n in drops.items()) or 'none'}",
        *(f"endpoint {output.shown(one.name)}: {one.received:,} received" for one in found.endpoints),
        *(
            f"mailbox of {output.shown(box.owner)} for {output.shown(box.pattern)}: "
            f"{box.waiting:,} of {box.capacity:,} wait, {box.dropped:,} dropped"
            for box in found.mailboxes
        ),
    ]
    return "\n".join(lines) + "\n"


def _missed(envelope: MessageEnvelope, name: str) -> None:
    data = _data(envelope)
    if isinstance(data, dict) and data.get("endpoint") == name and isinstance(data.get("count"), int):
        output.note(f"… events missed, for they came faster than they are shown: {data['count']!r}")


def _data(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


def _line(envelope: MessageEnvelope, *, as_json: bool) -> str:
    header, event = envelope.header, envelope.payload
    assert isinstance(event, EventPayload)
    at = header.timestamp / 1e9
    if as_json:
        found = {
            "topic": event.topic, "at": at, "sender": header.sender, "type": header.message_type,
            "message_id": header.message_id, "data": spelling.spelled(event.data),
        }  # fmt: skip
        return json.dumps(found, ensure_ascii=False) + "\n"
    clock = datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    said = output.brief(json.dumps(spelling.spelled(event.data), ensure_ascii=False), 200)
    return f"{clock}  {output.shown(event.topic)}  {said}\n"
