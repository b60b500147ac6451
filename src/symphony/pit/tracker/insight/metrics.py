"""Counts, durations, retries and waiting times by kind of node, and their Prometheus text. Pure.

Made of the history of runs after the fact: a node that runs pays nothing for it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from symphony.commons.unicode import sound
from symphony.pit.tracker.insight.history import History, Step
from symphony.pit.tracker.insight.outline import Outline, kind_of, settled
from symphony.ports.metrics import BOUNDS_S, Distribution, KindStats, Stats, both
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus


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
    stats.usage = both(stats.usage, step.usage)
    if step.status is NodeStatus.CACHED:
        return
    stats.attempts += len(step.attempts)
    for number, attempt in enumerate(step.attempts):
        if attempt.finished_at is not None:
            stats.durations.add(attempt.took_s)
        ready = attempt.ready_at if number else history.ready_at(step, outline.before(step.name))
        if ready is not None:
            stats.queue.add(attempt.started_at - ready)


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
