"""Listening to the bus of a home, and measuring it, for `symphony bus`."""

import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from symphony.app import Symphony, spelling
from symphony.app.artifact_news import ArtifactNews
from symphony.app.bus_places import RETAINED, RETAINED_LAST, bus_address, passing_name
from symphony.app.spelling import JSON
from symphony.bus import Bus, Endpoint, Mailbox, join
from symphony.bus.core.metrics import BeyondStats, BusRates, BusStats, prometheus, rates
from symphony.bus.core.retention import Replay
from symphony.bus.core.topics import check_pattern
from symphony.cli.actions import running
from symphony.cli.console import output
from symphony.cli.console.failures import BadUsage
from symphony.commons.errors import SymphonyError, ValidationFailed
from symphony.commons.moments import iso, local
from symphony.ipc import EventPayload, MessageEnvelope
from symphony.ports.runs import short_id
from symphony.ports.values import Value

T = TypeVar("T")

_TIMEOUT_S, _LOOK_EVERY_S, _HEARSAY_S = 5.0, 0.05, 0.3


class BusAbsent(SymphonyError):
    """No process of this home is on a bus."""

    code = "bus-absent"


class NatsAway(SymphonyError):
    """The settings join the bus of this home to others over NATS, and it is not joined."""

    code = "nats-away"


@asynccontextmanager
async def _alone() -> AsyncIterator[tuple[Bus, Endpoint]]:
    """A bus of this process alone, and an endpoint on it."""
    bus = Bus()
    bus.retain(RETAINED, RETAINED_LAST)  # it may become the hub
    try:
        yield bus, await bus.endpoint(passing_name("cli"))
    finally:
        await bus.close()


@asynccontextmanager
async def _on_bus(bus: Bus, endpoint: Endpoint, *, serve: bool) -> AsyncIterator[Path]:
    """`bus` is on that of the home, which it gives. With `serve`, or NATS, it may be the first there.

    Raises BusAbsent, NatsAway, and what `beyond_of` does.
    """
    symphony = Symphony.open()
    home, beyond = symphony.home, symphony.live.beyond()
    assert home is not None
    try:
        joined = await join(bus, bus_address(home), serve=serve or beyond is not None, beyond=beyond)
    except SymphonyError as error:
        if error.code != "connect-failed":
            raise
        raise BusAbsent(
            f"nothing runs in {home}", hint="start a run, or `symphony bus tap`, or set SYMPHONY_HOME"
        ) from error
    try:
        if bus.exchange.beyond is not None:
            await bus.exchange.beyond.tried()
        if beyond is not None and serve:
            await _reached(bus, endpoint)
        yield home
    finally:
        await joined.close()


async def _stats(endpoint: Endpoint) -> BusStats:
    return msgspec.convert(await endpoint.request("bus", "bus.stats", timeout_s=_TIMEOUT_S), BusStats)


async def _reached(bus: Bus, endpoint: Endpoint) -> None:
    """Returns when the bus is joined to NATS, by this process or by another. Raises NatsAway."""
    while True:
        found = (await _stats(endpoint)).beyond
        if found is None:
            raise NatsAway(
                "bus.nats is set here, and was not where the process began that is the hub of this home",
                hint="end that process, or set it in config.toml in the home and start again",
            )
        if found.state == "joined":
            return
        if found.state == "away":
            raise NatsAway(found.why, hint=found.hint)
        await bus.clock.sleep(_LOOK_EVERY_S)


def tap(pattern: str, count: int | None, *, as_json: bool) -> int:
    """Print events that match; ends after `count`."""
    pattern = _with_run(pattern)
    try:
        check_pattern(pattern)
    except ValidationFailed as error:
        raise BadUsage(error.message, hint=error.hint) from error

    async def run() -> None:
        async with _alone() as (bus, endpoint):
            # Before it is on the bus: later members find a listener.
            box = await endpoint.mailbox(pattern, capacity=10_000, replay=Replay())
            await endpoint.subscribe("bus.dropped", lambda envelope: _missed(envelope, endpoint.name))
            async with _on_bus(bus, endpoint, serve=True) as home, ArtifactNews(home, bus):
                await endpoint.subscribe("bus.beyond.*", _nats_came_or_went)
                await _show(box, count, as_json=as_json)

    running.on_a_loop(run())
    return 0


async def _show(box: Mailbox, count: int | None, *, as_json: bool) -> None:
    """Print what comes, `count` events at most; flushed whenever nothing waits."""
    left = count
    async for envelope in box:
        if as_json:
            output.say_json(_document(envelope), line=True)
        else:
            output.say(_line(envelope))
        left = None if left is None else left - 1
        if left == 0:
            return
        if not len(box):
            output.flush()


def ping(name: str, count: int, size: int, *, as_json: bool) -> int:
    """Ask `name` so many times, one after the other."""
    name = _with_run(name)

    async def run() -> list[float]:
        took: list[float] = []
        async with _alone() as (bus, endpoint), _on_bus(bus, endpoint, serve=False):
            for number in range(count):
                began = time.perf_counter()
                await endpoint.request(name, "bus.ping", b"x" * size, timeout_s=_TIMEOUT_S)
                took.append((time.perf_counter() - began) * 1000)
                if not as_json and number < 10:
                    output.say(f"{output.shown(name)}: {took[-1]:.3f} ms\n")
                    output.flush()  # a reader of a pipe waits for it, too
        return took

    took = sorted(running.on_a_loop(run()))
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


def stats(form: Literal["text", "json", "prometheus"], over_s: float) -> str:
    """Return how the bus of the home stands, and how fast things go during `over_s` seconds from now on."""

    async def run() -> tuple[BusStats, BusRates | None]:
        async with _alone() as (bus, endpoint), _on_bus(bus, endpoint, serve=False):
            before = await _stats(endpoint)
            wait_s = 0.0 if form == "prometheus" else over_s
            if before.uptime_s < _HEARSAY_S:
                wait_s = max(wait_s, _HEARSAY_S)  # the others are just telling of themselves
            await bus.clock.sleep(wait_s)
            after = await _stats(endpoint)
            return after, rates(before, after, asker=endpoint.name)

    found, speed = running.on_a_loop(run())
    if form == "prometheus":
        return prometheus(found)
    if form == "json":
        document = msgspec.to_builtins(found) | {"rates": msgspec.to_builtins(speed)}
        return output.quiet_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"
    return _text(found, speed)


def _text(found: BusStats, speed: BusRates | None) -> str:
    drops = {owner: sum(topics.values()) for owner, topics in found.drops.items()}
    lines = [
        f"up {output.duration(found.uptime_s)}, {output.count(found.links, 'member')}",
        *_nats(found.beyond),
        f"events: {', '.join(f'{n:,} {topic}' for topic, n in sorted(found.events.items())) or 'none'}",
        *_speed(speed),
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


def _speed(found: BusRates | None) -> list[str]:
    if found is None:
        return []
    events = [f"{output.shown(topic)} {rate:,.1f}/s" for topic, rate in sorted(found.events.items()) if rate]
    received = [f"{output.shown(name)} {rate:,.1f}/s" for name, rate in found.received.items() if rate]
    head = f"in the last {output.duration(found.window_s)}"
    told, asked = ", ".join(events) or "none", f"requests: {found.requests:,.1f}/s"
    return [f"{head}: events: {told}; {asked}; received: {', '.join(received) or 'nothing'}"]


def _nats(found: BeyondStats | None) -> list[str]:
    if found is None:
        return []
    head = f"NATS at {output.shown(found.address)}: {found.state} for {output.duration(found.for_s)}"
    if found.state != "joined":
        return [f"{head}: {output.shown(found.why)}" if found.why else head]
    events = f"{output.count(found.sent, 'event')} sent, {found.received:,} received, {found.waiting:,} wait"
    return [
        f"{head}, with {output.count(found.processes, 'other home')}; {events}",
        *(f"beyond: {output.shown(name)}" for name in found.names),
    ]


def _nats_came_or_went(envelope: MessageEnvelope) -> None:
    event = envelope.payload
    assert isinstance(event, EventPayload)
    if event.topic.endswith(".joined"):
        output.note("NATS is joined: other homes are heard again")
    elif isinstance(event.data, dict) and isinstance(reason := event.data.get("reason"), str):
        output.note(f"NATS is away, only this home is heard: {output.shown(reason)}")


def _missed(envelope: MessageEnvelope, name: str) -> None:
    data = _data(envelope)
    if isinstance(data, dict) and data.get("endpoint") == name and isinstance(data.get("count"), int):
        output.note(f"… events missed, for they came faster than they are shown: {data['count']!r}")


def _data(envelope: MessageEnvelope) -> Value:
    assert isinstance(envelope.payload, EventPayload)
    return envelope.payload.data


def _document(envelope: MessageEnvelope) -> dict[str, JSON]:
    header, event = envelope.header, envelope.payload
    assert isinstance(event, EventPayload)
    return {
        "topic": event.topic, "at": iso(header.timestamp / 1e9), "sender": header.sender,
        "type": header.message_type, "message_id": header.message_id, "data": spelling.spelled(event.data),
    }  # fmt: skip


def _line(envelope: MessageEnvelope) -> str:
    header, event = envelope.header, envelope.payload
    assert isinstance(event, EventPayload)
    at = local(header.timestamp / 1e9).isoformat(timespec="milliseconds")
    said = output.brief(json.dumps(spelling.spelled(event.data), ensure_ascii=False), 200)
    topic = ".".join(short_id(part) for part in event.topic.split("."))
    return f"{at}  {output.shown(topic)}  {said}\n"


def _with_run(name: str) -> str:
    """Return the name of an endpoint, or a pattern, with the full id of the run that stands in it as
    typed.
    """
    first, _, rest = name.partition(".")
    run, dot, below = rest.partition(".")
    if first != "run" or run in ("", "*", ">"):
        return name
    try:
        return f"run.{Symphony.open().runs.find(run)}{dot}{below}"
    except SymphonyError:
        return name  # of a run that has yet to begin, or of another home
