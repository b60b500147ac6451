"""Counts, durations, retries and waiting times by kind of node, and their Prometheus text. Pure.

Made of the history of runs after the fact: a node that runs pays nothing for it.
"""

import bisect
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from symphony.commons.unicode import sound
from symphony.pit.tracker.insight.history import History, Step
from symphony.pit.tracker.insight.outline import Kind, Outline, kind_of, settled
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus

K = TypeVar("K")
N = TypeVar("N", int, float)

BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Upper bounds of the buckets, in seconds; the last bucket has none."""


@dataclass(slots=True)
class Distribution:
    """A histogram of seconds: `counts[i]` lie at or below `BOUNDS_S[i]` and above the bound before."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean_s(self) -> float:
        """The mean, 0 of none."""
        return self.total_s / self.count if self.count else 0.0

    def add(self, seconds: float) -> None:
        """Count one duration; negative ones, from clocks that jumped, count as 0."""
        seconds = max(0.0, seconds)
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def merge(self, other: "Distribution") -> None:
        """Add the counts of `other`."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total_s += other.total_s

    def quantile_s(self, share: float) -> float | None:
        """Below this lie `share` (0 to 1) of all, as the upper bound of their bucket; None of none.

        Infinite if it lies in the bucket that has no bound.
        """
        wanted, seen = share * self.count, 0
        for bound, number in zip((*BOUNDS_S, math.inf), self.counts, strict=True):
            seen += number
            if number and seen >= wanted:
                return bound
        return None


@dataclass(slots=True)
class KindStats:
    """What all steps of one kind did. `durations` counts attempts that worked, `queue` their waiting."""

    kind: Kind
    runs: str
    """What such a step runs: an operator, a model, a kind of control."""
    statuses: dict[NodeStatus, int] = field(default_factory=dict)
    attempts: int = 0
    retries: int = 0
    durations: Distribution = field(default_factory=Distribution)
    queue: Distribution = field(default_factory=Distribution)
    usage: Usage | None = None

    @property
    def steps(self) -> int:
        """How many steps there were."""
        return sum(self.statuses.values())

    @property
    def cached(self) -> int:
        """How many took the result of an earlier run."""
        return self.statuses.get(NodeStatus.CACHED, 0)

    def merge(self, other: "KindStats") -> None:
        """Add what `other` counted."""
        _add(self.statuses, other.statuses)
        self.usage = _both(self.usage, other.usage)
        self.attempts += other.attempts
        self.retries += other.retries
        self.durations.merge(other.durations)
        self.queue.merge(other.queue)


@dataclass(slots=True)
class Stats:
    """The metrics of one run or of many."""

    kinds: dict[tuple[Kind, str], KindStats] = field(default_factory=dict)
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Runs by workflow and status."""
    run_durations: dict[str, Distribution] = field(default_factory=dict)
    """Durations of the runs that have ended, by workflow."""

    def of(self, kind: Kind, runs: str) -> KindStats:
        """The figures of one kind, made when first asked for."""
        return self.kinds.setdefault((kind, runs), KindStats(kind, runs))

    def merge(self, other: "Stats") -> None:
        """Add what `other` counted."""
        for (kind, runs), stats in other.kinds.items():
            self.of(kind, runs).merge(stats)
        _add(self.runs, other.runs)
        for name, durations in other.run_durations.items():
            self.run_durations.setdefault(name, Distribution()).merge(durations)


def measure(history: History, outline: Outline, status: str) -> Stats:
    """The metrics of one run. O(steps + edges)."""
    stats = Stats()
    name = outline.workflow.name
    stats.runs[name, status] = 1
    if history.ended_at is not None:
        stats.run_durations.setdefault(name, Distribution()).add(history.took_s)
    for step in history.steps.values():
        if step.count is not None or "#" in step.name.rpartition(".")[2]:
            continue  # its elements are counted
        node = outline.node(step.name)
        _count(stats.of(*kind_of(node)), settled(step, node), step, history, outline)
    return stats


def _count(stats: KindStats, status: NodeStatus, step: Step, history: History, outline: Outline) -> None:
    stats.statuses[status] = stats.statuses.get(status, 0) + 1
    stats.retries += step.retries
    stats.usage = _both(stats.usage, step.usage)
    if step.status is NodeStatus.CACHED:
        return
    stats.attempts += len(step.attempts)
    for number, attempt in enumerate(step.attempts):
        if attempt.finished_at is not None:
            stats.durations.add(attempt.took_s)
        ready = attempt.ready_at if number else history.ready_at(step, outline.before(step.name))
        if ready is not None:
            stats.queue.add(attempt.started_at - ready)


def _add(to: dict[K, N], more: Mapping[K, N]) -> None:
    for key, number in more.items():
        to[key] = to[key] + number if key in to else number


def _both(one: Usage | None, more: Usage | None) -> Usage | None:
    return one if more is None else more if one is None else one + more


# ---- Prometheus ---------------------------------------------------------------------------------


def exposition(stats: Stats) -> str:
    """The Prometheus text format, version 0.0.4.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    return "".join(f"{line}\n" for line in _lines(stats))


def _lines(stats: Stats) -> Iterator[str]:
    kinds = sorted(stats.kinds.values(), key=lambda one: (one.kind, one.runs))
    yield from _family(
        "symphony_runs_total", "counter", "Runs by workflow and status.",
        [({"workflow": w, "status": s}, n) for (w, s), n in sorted(stats.runs.items())],
    )  # fmt: skip
    yield from _histograms(
        "symphony_run_duration_seconds", "Duration of the runs that have ended.",
        [({"workflow": name}, found) for name, found in sorted(stats.run_durations.items())],
    )  # fmt: skip
    yield from _family(
        "symphony_node_steps_total", "counter", "Nodes and elements of fan-outs by status.",
        [(_labels(k) | {"status": str(s)}, n) for k in kinds for s, n in sorted(k.statuses.items())],
    )  # fmt: skip
    yield from _family(
        "symphony_node_attempts_total", "counter", "Attempts that began.",
        [(_labels(k), k.attempts) for k in kinds],
    )  # fmt: skip
    yield from _family(
        "symphony_node_retries_total", "counter", "Attempts after a failed one.",
        [(_labels(k), k.retries) for k in kinds],
    )  # fmt: skip
    yield from _histograms(
        "symphony_node_duration_seconds", "Duration of attempts.",
        [(_labels(k), k.durations) for k in kinds],
    )  # fmt: skip
    yield from _histograms(
        "symphony_node_queue_seconds", "Time from ready to started.", [(_labels(k), k.queue) for k in kinds]
    )
    asked = [(k, k.usage) for k in kinds if k.usage is not None]
    yield from _family(
        "symphony_model_calls_total", "counter", "Requests to models.",
        [(_labels(k), usage.calls) for k, usage in asked],
    )  # fmt: skip
    yield from _family(
        "symphony_model_tokens_total", "counter", "Tokens read and written, as providers count them.",
        [(_labels(k) | {"type": kind}, n) for k, u in asked for kind, n in _tokens(u)],
    )  # fmt: skip
    yield from _family(
        "symphony_model_cost_total", "counter", "Cost of calls whose price is known.",
        [
            (_labels(k) | {"currency": u.currency or ""}, float(u.cost))
            for k, u in asked if u.cost is not None
        ],
    )  # fmt: skip


def _tokens(usage: Usage) -> list[tuple[str, int]]:
    return [("input", usage.tokens_in), ("output", usage.tokens_out), ("cached", usage.tokens_cached)]


def _labels(stats: KindStats) -> dict[str, str]:
    return {"kind": stats.kind, "runs": stats.runs}


def _family(
    name: str, kind: str, about: str, samples: Sequence[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    if samples:
        yield f"# HELP {name} {about}"
        yield f"# TYPE {name} {kind}"
        for labels, value in samples:
            yield f"{name}{_braces(labels)} {_number(value)}"


def _histograms(
    name: str, about: str, found: Iterable[tuple[Mapping[str, str], Distribution]]
) -> Iterator[str]:
    told = False
    for labels, one in found:
        if not told:
            yield f"# HELP {name} {about}"
            yield f"# TYPE {name} histogram"
            told = True
        below = 0
        for bound, number in zip((*BOUNDS_S, math.inf), one.counts, strict=True):
            below += number
            yield f"{name}_bucket{_braces({**labels, 'le': _number(bound)})} {below}"
        yield f"{name}_sum{_braces(labels)} {_number(one.total_s)}"
        yield f"{name}_count{_braces(labels)} {one.count}"


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """A label's value: backslash, quote and newline escaped; what UTF-8 cannot hold is replaced."""
    return sound(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
