"""What files say of the pit: artifacts, what leaves the home, and runs. Blocking."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.commons.errors import SymphonyError
from symphony.commons.quantities import duration_s
from symphony.ports.artifacts import Collected
from symphony.ports.pit_status import ArtifactsStatus, GoingRun, PitParts, RunsStatus, StaleStatus
from symphony.ports.runs import LEFT, RunStatus

if TYPE_CHECKING:
    from symphony.app.symphony import Symphony

SEARCH: str = "artifacts/search/index/meta.json"
STAMP: str = "run/upkeep.stamp"


def parts_now(symphony: "Symphony") -> PitParts:
    """Return how artifacts, retention and runs of an open Symphony stand. Raises SymphonyError."""
    return PitParts(artifacts=_artifacts(symphony), stale=_stale(symphony), runs=_runs(symphony))


def counted(home: Path) -> tuple[Collected, Collected]:
    """Return how many artifacts a home has, with their bytes, and how many are in the trash."""
    from symphony.pit.artifacts.store.files import FileArtifacts

    store = FileArtifacts(home / "artifacts")
    try:
        return store.counts()
    finally:
        store.close()


def search_fault(home: Path) -> str | None:
    """Return what is wrong with the files of the search index; None if nothing is."""
    from symphony.pit.artifacts.search.files import IndexFiles, SearchIndexBroken

    try:
        IndexFiles(home / "artifacts" / "search").check()
    except SearchIndexBroken as error:
        return str(error)
    return None


def _artifacts(symphony: "Symphony") -> ArtifactsStatus:
    from symphony.app.outside import outside_state
    from symphony.pit.artifacts.store.files import FileArtifacts

    home = symphony.home
    if home is None or not (home / "artifacts").is_dir():
        return ArtifactsStatus()
    store = symphony.artifacts
    assert isinstance(store, FileArtifacts)
    there, trashed = store.counts()
    outside = outside_state(symphony.parts)
    return ArtifactsStatus(
        artifacts=there.objects,
        bytes=there.bytes,
        trashed=trashed.objects,
        trashed_bytes=trashed.bytes,
        stored={tier.value: size for tier, size in store.tier_sizes().items()},
        searchable=(home / SEARCH).is_file(),
        store=outside.address,
        outside=outside.outside.packs,
        outside_bytes=outside.outside.bytes,
        unsent=outside.unsent.packs,
        unsent_bytes=outside.unsent.bytes,
    )


def _stale(symphony: "Symphony") -> StaleStatus:
    retention, cleared_at_s = symphony.config.retention, None
    if symphony.home is not None:
        with suppress(OSError):
            cleared_at_s = (symphony.home / STAMP).stat().st_mtime
    return StaleStatus(
        automatic=retention.automatic,
        rules=0 if retention.artifacts is None else len(retention.artifacts.rules),
        grace_s=duration_s(retention.trash),
        cleared_at_s=cleared_at_s,
    )


def _runs(symphony: "Symphony") -> RunsStatus:
    if symphony.home is None or not (symphony.home / "journal").is_dir():
        return RunsStatus()
    going, left = list[GoingRun](), 0
    runs = symphony.runs
    for run_id, found in runs.summaries(runs.ids()):
        if isinstance(found, SymphonyError):
            continue
        if found.status is RunStatus.RUNNING:
            going.append(
                GoingRun(
                    run_id=run_id,
                    name=found.label,
                    process=found.owner_pid,
                    done=found.nodes_done,
                    total=found.nodes_total,
                )
            )
        left += found.status in LEFT
    return RunsStatus(running=tuple(going), left=left)
