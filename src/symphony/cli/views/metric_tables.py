"""Metrics by kind of node as a table and as JSON."""

import math
from typing import Final

from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.ports.metrics import BOUNDS_S, Distribution, KindStats, Stats

_HEAD: Final = (
    Heading("KIND", least=18), "STEPS", Heading("NOT SUCCEEDED", rank=3), Heading("REUSED", rank=5),
    Heading("RETRIES", rank=4), Heading("TIME", rank=1), Heading("MEAN", rank=2), Heading("95 %", rank=6),
    Heading("QUEUED", rank=7),
)  # fmt: skip


def text(stats: Stats) -> str:
    """One line for each kind, the one that took longest first."""
    kinds = sorted(stats.kinds.values(), key=lambda one: -one.durations.total_s)
    rows = [
        (
            f"{one.kind} {one.runs}" if one.kind != one.runs else one.runs,
            f"{one.steps:,}",
            _counts(one),
            f"{one.cached:,}",
            f"{one.retries:,}",
            output.duration(one.durations.total_s),
            output.duration(one.durations.mean_s) if one.durations.count else "",
            _bound(one.durations, 0.95),
            output.duration(one.queue.mean_s) if one.queue.count else "",
        )
        for one in kinds
    ]
    runs = sum(stats.runs.values())
    return f"{output.count(runs, 'run')}\n" + (table(rows, _HEAD, width=room()) if rows else "")


def _counts(one: KindStats) -> str:
    parts = [f"{n:,} {s}" for s, n in sorted(one.statuses.items()) if s not in ("succeeded", "cached")]
    return ", ".join(parts)


def _bound(found: Distribution, share: float) -> str:
    bound = found.quantile_s(share)
    if bound is None:
        return ""
    return f"> {output.duration(BOUNDS_S[-1])}" if math.isinf(bound) else f"≤ {output.duration(bound)}"
