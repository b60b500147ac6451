"""What leaves the home: artifacts by the rules of the settings, runs by their limits. Blocking."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from symphony.app.parts import Parts
from symphony.commons.errors import SymphonyError
from symphony.commons.quantities import duration_s
from symphony.commons.settings import RetentionConfig
from symphony.pit.stale.clearing import clear
from symphony.pit.stale.core.deciding import RetentionPolicy
from symphony.pit.stale.core.worth import WorthWeights
from symphony.pit.tracker.store.keeping import foreseen, prune
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Clearing
from symphony.ports.runs import ENDED, RunStatus
from symphony.ports.steering import Pruned


def policy_of(settings: RetentionConfig) -> RetentionPolicy:
    """Return the policy that the settings spell."""
    value = settings.value
    return RetentionPolicy(
        rules=settings.artifacts.rules if settings.artifacts is not None else (),
        weights=WorthWeights(
            recency=value.recency, frequency=value.frequency, quality=value.quality, size=value.size,
            half_life_s=max(duration_s(value.half_life), 1.0),
        ),
        grace_s=duration_s(settings.trash),
    )  # fmt: skip


class Upkeep:
    """Clears up the home of `parts`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def clear(
        self,
        *,
        at_once: bool = False,
        dry_run: bool = False,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Clearing:
        """Judge every artifact, and carry that out unless `dry_run`; see `pit.stale.clearing.clear`."""
        policy = policy_of(self._parts.config.retention)
        return clear(
            self._parts.artifacts, policy, self._parts.clock.now_s(), unended=self._unended,
            at_once=at_once or policy.grace_s == 0, dry_run=dry_run, out_of_time=out_of_time,
        )  # fmt: skip

    def prune(
        self,
        older_s: float,
        *,
        keep: int = 0,
        statuses: Sequence[RunStatus] = ENDED,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that ended more than `older_s` seconds ago; their artifacts go as `clear` says."""
        before_s = self._parts.clock.now_s() - older_s
        found = foreseen(self._parts.runs, before_s=before_s, statuses=statuses, keep=keep)
        if dry_run:
            return found
        return prune(self._parts.runs, found.runs, found.unread, self._cleared)

    def _cleared(self) -> tuple[Collected, float]:
        found = self.clear()
        now = found.trashed if found.trashed.objects else found.deleted
        return now, found.grace_s

    def _unended(self, run_ids: AbstractSet[str]) -> AbstractSet[str]:
        """Return those that may go on, or of which that is not known."""
        runs = self._parts.runs
        here = [run_id for run_id in runs.ids() if run_id in run_ids]
        return {
            run_id
            for run_id, found in runs.summaries(here)
            if isinstance(found, SymphonyError) or found.status not in ENDED
        }
