"""The facts about the runs of a home that bear on their limits. Blocking."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.stale.core.run_limits import RunFacts
from symphony.pit.tracker.store import segments
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import ENDED, RunSummary


def run_facts(
    runs: Runs, passed_over: Callable[[SymphonyError], object]
) -> Iterator[tuple[RunFacts, RunSummary | None]]:
    """Yield the facts about each run, the newest first, with its summary.

    What cannot be read stays; it is told to `passed_over`.
    """
    sizes = run_sizes(runs)
    for run_id, found in runs.summaries(runs.ids()):
        size = sizes.get(run_id, 0)
        if isinstance(found, SymphonyError):
            passed_over(found)
            yield RunFacts(run_id, None, size), None
        else:
            yield RunFacts(run_id, found.finished_at if found.status in ENDED else None, size), found


def run_sizes(runs: Runs) -> dict[str, int]:
    """Return the bytes of each run's journal and logs; runs in one segment have equal shares of it."""
    sizes = dict[str, int]()
    for path, size in _files(runs.journal_path("any").parent):
        name = path.name.removesuffix("-wal").removesuffix("-shm")
        if not name.endswith(".db"):
            continue
        owner = path.with_name(name)
        held = [owner.stem]
        if segments.is_segment(owner):
            with suppress(SymphonyError):
                held = list(segments.names(owner)) or held
        for run_id in held:
            sizes[run_id] = sizes.get(run_id, 0) + size // len(held)
    for path, size in _files(runs.log_path("any").parent):
        run_id = path.name.partition(".")[0]
        sizes[run_id] = sizes.get(run_id, 0) + size
    return sizes


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    yield Path(entry.path), entry.stat().st_size
