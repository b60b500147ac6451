"""The artifacts, retention and runs of a home as `symphony pit status` tells of them. Values only."""

from collections.abc import Mapping

import msgspec


class ArtifactsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The artifact store. Bytes are those of the contents; `stored` has those of the packs, by tier.

    `searchable`: there is an index for the search; without one, the first search has it made. `store`: where
    packs go that are full, if not in the home; `outside`: packs that lie outside, `unsent`: those that could.
    """

    artifacts: int = 0
    bytes: int = 0
    trashed: int = 0
    trashed_bytes: int = 0
    stored: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    searchable: bool = False
    store: str | None = None
    outside: int = 0
    outside_bytes: int = 0
    unsent: int = 0
    unsent_bytes: int = 0


class StaleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What leaves the home by itself. `cleared_at_s`: the last daily upkeep, seconds since the Unix epoch."""

    automatic: bool = False
    rules: int = 0
    grace_s: float = 0.0
    cleared_at_s: float | None = None


class GoingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run under way, in `process`: so many of its nodes are done."""

    run_id: str
    name: str
    process: int | None = None
    done: int = 0
    total: int = 0


class RunsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Runs under way, and how many could go on and do not: interrupted, paused, waiting for an answer."""

    running: tuple[GoingRun, ...] = ()
    left: int = 0


class PitParts(msgspec.Struct, frozen=True, kw_only=True):
    """Those parts of the pit that lie in files, which every process can see."""

    artifacts: ArtifactsStatus
    stale: StaleStatus
    runs: RunsStatus
