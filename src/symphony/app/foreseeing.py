"""Forecasts a run from the home's earlier runs, its cache, and the prepared workflow."""

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from symphony.app.preparing import Prepared
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.tracker.engine.reruns.reused import Reusable
from symphony.pit.tracker.insight.forecast import Past, forecast
from symphony.pit.tracker.insight.foresight import Foresight, ReadOnlyCache, TakenOver
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.outline import Outline
from symphony.pit.tracker.insight.reader import Insight
from symphony.pit.tracker.nodes.caching import Cache
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.resources import RunBodies
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.clock import Clock
from symphony.ports.forecast import Forecast
from symphony.ports.retention import RetainedStore
from symphony.ports.runs import short_id

logger = logging.getLogger(__name__)

RUNS_MAX = 30
"""The number of newest runs that durations are taken from."""
PATIENCE_S = 3.0
"""The seconds after which no further run is read: a plan should be quick."""


def foresee(
    prepared: Prepared,
    home: Path | None,
    store: RetainedStore | None,
    executor: Callable[[Cache | None, RunBodies], Executor],
    clock: Clock,
    reusable: Reusable | None = None,
) -> Forecast:
    """Return the forecast of a prepared run; `home` and its `store` are None where nothing is to be seen.

    `reusable` is what a rerun takes.
    """
    outline = Outline(prepared.job.workflow, prepared.meta.recorded())
    past = Past()
    cache: Cache | None = None
    run_of: Callable[[str], str] = short_id
    artifacts = store or MemoryArtifacts(clock.now_s)
    if home is not None:
        runs = Runs(home, clock, artifacts.unlink_run)
        run_of = functools.cache(runs.label)
        for other in _earlier(runs, clock):
            past.add(*other)
        if prepared.meta.cache:
            cache = ReadOnlyCache(home / "artifacts" / "cache.db")
    taken = None
    if reusable is not None:
        outputs = {name: (one.run, one.outputs) for name, one in reusable.results.items()}
        summary = reusable.summary
        taken = TakenOver(outputs, summary.elements, summary.again, summary.moving, reusable.idle())
    looking = Foresight(prepared.job, executor(cache, artifacts), outline, past, taken, run_of)
    found = forecast(outline, looking.nodes())
    if reusable is None:
        return found
    return replace(found, rerun_of=reusable.summary.run_id, stale=reusable.summary.stale)


def _earlier(runs: Runs, clock: Clock) -> Iterator[tuple[History, Outline]]:
    insight, until_s = Insight(runs), clock.monotonic_s() + PATIENCE_S
    for run_id in runs.ids()[:RUNS_MAX]:
        if clock.monotonic_s() > until_s:
            return
        try:
            yield insight.history(run_id), insight.outline(run_id)
        except SymphonyError as error:
            logger.warning("durations are guessed without a run: %s (%s)", error, error.hint)
