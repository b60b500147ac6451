"""What every benchmark shares: figures with budgets, medians, and the one JSON line."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing. `budget` is the most it may be, in `unit`; None: measured, not judged.

    `design` is the looser target of the design, `peer` what the peer took in the same unit.
    """

    what: str
    measured: float
    unit: str
    budget: float | None = None
    design: float | None = None
    peer: float | None = None

    @property
    def missed(self) -> bool:
        """Is there a budget, and does it not hold?"""
        return self.budget is not None and self.measured > self.budget


def seconds(call: Callable[[], object]) -> float:
    """Wall seconds of one call; its result is dropped after the watch has stopped."""
    started = perf_counter()
    kept = call()
    took = perf_counter() - started
    del kept
    return took


def median_ms(call: Callable[[], object], times: int) -> float:
    """The median of `times` calls, milliseconds."""
    return statistics.median(seconds(call) for _ in range(times)) * 1000


def line(benchmark: str, size: str, figures: Sequence[Figure]) -> str:
    """The JSON line of a benchmark."""
    shown = [
        {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(one).items()}
        for one in figures
    ]
    return json.dumps({"benchmark": benchmark, "size": size, "figures": shown}, ensure_ascii=False)
