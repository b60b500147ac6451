"""Counts of the bus: messages, drops, latencies; and how they are written for Prometheus. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

_BUCKETS: Final = 32
FAMILIES_MAX: Final = 256
"""The most first tokens of topics that are counted separately; the rest are counted together as `other`."""
OTHER: Final = "other"


class Histogram:
    """Durations in buckets of powers of two, from 1 µs on. Any quantile is right within a factor of two."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * _BUCKETS
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; negative ones, of clocks that jumped, as 0."""
        if seconds > 0.0:
            number = int(seconds * 1e6).bit_length()
            self.counts[number if number < _BUCKETS else -1] += 1
            self.sum_s += seconds
        else:
            self.counts[0] += 1

    @property
    def total(self) -> int:
        """Return the number of values."""
        return sum(self.counts)

    def quantile_s(self, share: float) -> float:
        """Return the upper bound of the bucket that holds the quantile `share`, in [0, 1]; 0 if it is
        empty.
        """
        rest = share * self.total
        for number, count in enumerate(self.counts):
            rest -= count
            if count and rest <= 0:
                return bound_s(number)
        return 0.0


def bound_s(number: int) -> float:
    """Return the upper bound of bucket `number`, in seconds: 1 µs, 2, 4, …"""
    return float(1 << number) * 1e-6


class MailboxStats(msgspec.Struct, frozen=True, kw_only=True):
    """One mailbox. `waiting` of `capacity` are in it."""

    owner: str
    pattern: str
    policy: str
    waiting: int
    capacity: int
    dropped: int


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `process` says where: this one, or the name of a link."""

    name: str
    serves: list[str] = []
    capabilities: list[str] = []
    process: str = ""
    received: int = 0


class BeyondStats(msgspec.Struct, frozen=True, kw_only=True):
    """The buses that are reached from this one. `state`: `joining`, `joined`, or `away` and `why`.

    `for_s`: seconds in that state. `names` are the endpoints there. `sent` and `received` count
    events, `waiting` are those not yet sent.
    """

    address: str
    state: str
    why: str = ""
    hint: str = ""
    for_s: float = 0.0
    processes: int = 0
    names: list[str] = []
    sent: int = 0
    received: int = 0
    waiting: int = 0


class BusStats(msgspec.Struct, frozen=True, kw_only=True):
    """The bus at one moment: counts since it began, latencies in seconds."""

    uptime_s: float
    events: dict[str, int]
    """Published, by the first token of the topic."""
    requests: int
    failed: int
    late_replies: int
    pending: int
    refused: int
    latency_counts: list[int]
    latency_sum_s: float
    latency_p50_s: float
    latency_p99_s: float
    drops: dict[str, dict[str, int]]
    """By endpoint, then by the first token of the topic."""
    endpoints: list[EndpointStats]
    mailboxes: list[MailboxStats]
    links: int
    beyond: BeyondStats | None = None


class BusRates(msgspec.Struct, frozen=True, kw_only=True):
    """The rates for each second, on average over `window_s` seconds."""

    window_s: float
    events: dict[str, float]
    """Published, by the first token of the topic."""
    requests: float
    """Asked by the process that is the hub."""
    received: dict[str, float]
    """Messages that reached an endpoint, by its name."""


def rates(before: BusStats, after: BusStats, *, asker: str) -> BusRates | None:
    """Return how fast it went between two looks at one bus, without the endpoint `asker`, which looks.

    None if the second look is at another bus, or at no later time.
    """
    window_s = after.uptime_s - before.uptime_s
    if window_s <= 0:
        return None
    known = {one.name: one.received for one in before.endpoints}

    def each_second(now: int, then: int) -> float:
        return max(0, now - then) / window_s  # a restarted endpoint counts from 0 again

    return BusRates(
        window_s=window_s,
        events={
            topic: each_second(number, before.events.get(topic, 0)) for topic, number in after.events.items()
        },
        requests=each_second(after.requests, before.requests),
        received={
            one.name: each_second(one.received, known.get(one.name, 0))
            for one in after.endpoints
            if one.name != asker
        },
    )


class Metrics:
    """The counters of the bus."""

    def __init__(self) -> None:
        self.drops: dict[str, Counter[str]] = {}
        self.latency = Histogram()
        self.requests = self.failed = self.refused = 0

    def dropped(self, owner: str, topic: str) -> None:
        """A subscriber of `owner` lost an event."""
        known = owner in self.drops or len(self.drops) < FAMILIES_MAX
        count(self.drops.setdefault(owner if known else OTHER, Counter()), topic)


def count(counter: Counter[str], topic: str, number: int = 1) -> None:
    """Count `topic` under its first token; there are only so many of them."""
    family = topic.partition(".")[0]
    counter[family if family in counter or len(counter) < FAMILIES_MAX else OTHER] += number


def prometheus(stats: BusStats) -> str:
    """Return `stats` in Prometheus' text format, version 0.0.4."""
    return "\n".join(_lines(stats)) + "\n"


def _lines(stats: BusStats) -> Iterator[str]:
    yield from _family("events_total", "counter", "Events published, by the first token of their topic.", (
        ({"topic": topic}, number) for topic, number in sorted(stats.events.items())
    ))  # fmt: skip
    yield from _family("requests_total", "counter", "Requests sent.", [({}, stats.requests)])
    yield from _family("requests_failed_total", "counter", "Requests that failed.", [({}, stats.failed)])
    yield from _family("late_replies_total", "counter", "Replies nobody waited for.", [
        ({}, stats.late_replies)
    ])  # fmt: skip
    yield from _family("requests_pending", "gauge", "Requests under way.", [({}, stats.pending)])
    yield from _family("connections_refused_total", "counter", "Connections refused.", [({}, stats.refused)])
    yield from _family("links", "gauge", "Other processes on the bus.", [({}, stats.links)])
    yield from _family("drops_total", "counter", "Events dropped, by endpoint and topic.", (
        ({"endpoint": owner, "topic": topic}, number)
        for owner, topics in sorted(stats.drops.items()) for topic, number in sorted(topics.items())
    ))  # fmt: skip
    yield from _family("mailbox_waiting", "gauge", "Events that wait in a mailbox.", (
        ({"endpoint": box.owner, "pattern": box.pattern, "number": str(number)}, box.waiting)
        for number, box in enumerate(stats.mailboxes)
    ))  # fmt: skip
    yield from _family("endpoint_received_total", "counter", "Messages that reached an endpoint.", (
        ({"endpoint": one.name}, one.received) for one in stats.endpoints
    ))  # fmt: skip
    if stats.beyond is not None:
        yield from _beyond(stats.beyond)
    yield from _histogram(stats)


def _beyond(stats: BeyondStats) -> Iterator[str]:
    joined = int(stats.state == "joined")
    yield from _family("nats_joined", "gauge", "1 while the bus is joined to NATS.", [({}, joined)])
    yield from _family("nats_processes", "gauge", "Others on the NATS server.", [({}, stats.processes)])
    yield from _family("nats_sent_total", "counter", "Events sent over NATS.", [({}, stats.sent)])
    yield from _family("nats_received_total", "counter", "Events that came over NATS.", [
        ({}, stats.received)
    ])  # fmt: skip


def _histogram(stats: BusStats) -> Iterator[str]:
    name, total = "symphony_bus_request_seconds", 0
    yield f"# HELP {name} From a request to its answer."
    yield f"# TYPE {name} histogram"
    for number, found in enumerate(stats.latency_counts):
        total += found
        yield f'{name}_bucket{{le="{bound_s(number):.6g}"}} {total}'
    yield f'{name}_bucket{{le="+Inf"}} {total}'
    yield f"{name}_sum {stats.latency_sum_s:.9g}"
    yield f"{name}_count {total}"


def _family(
    name: str, kind: str, says: str, samples: Iterable[tuple[Mapping[str, str], int]]
) -> Iterator[str]:
    full = f"symphony_bus_{name}"
    yield f"# HELP {full} {says}"
    yield f"# TYPE {full} {kind}"
    for labels, number in samples:
        spelled = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{full}{{{spelled}}} {number}" if spelled else f"{full} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
