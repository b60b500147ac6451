"""What leaves the home: artifacts by the rules of the settings, runs by their limits. Blocking."""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from symphony.app.parts import Parts
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory
from symphony.commons.logging import logger
from symphony.commons.quantities import duration_s, size_bytes
from symphony.commons.settings import RetentionConfig
from symphony.pit.stale.clearing import clear
from symphony.pit.stale.core.deciding import RetentionPolicy
from symphony.pit.stale.core.run_limits import RunLimits, beyond
from symphony.pit.stale.core.tiering import TierPolicy
from symphony.pit.stale.core.worth import WorthWeights
from symphony.pit.stale.moving import LITTLE_BYTES, move_by_rules, move_some
from symphony.pit.stale.old_runs import run_facts
from symphony.pit.tracker.store.keeping import foreseen, prune
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Clearing, Standing, Tier, Tiering
from symphony.ports.runs import ENDED, RunStatus
from symphony.ports.steering import Pruned
from symphony.ports.values import Digest

STAMP: Final = "run/upkeep.stamp"
"""A file of the home whose time is that of the last daily upkeep."""
_DAY_S: Final = 86_400.0
_DAILY_S: Final = 10.0

log = logger(__name__)


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
        explain: bool = True,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Clearing:
        """Judge every artifact, and carry that out unless `dry_run`; see `pit.stale.clearing.clear`."""
        policy = policy_of(self._parts.config.retention)
        return clear(
            self._parts.artifacts,
            policy,
            self._parts.clock.now_s(),
            unended=self._unended,
            known_besides=self._known_quality() if policy.of_quality else None,
            at_once=at_once or policy.grace_s == 0,
            dry_run=dry_run,
            explain=explain,
            out_of_time=out_of_time,
        )

    def tier(
        self,
        *,
        dry_run: bool = False,
        least_bytes: int = 0,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Tiering:
        """Move artifacts to the tiers in which they belong; see `pit.stale.moving.move_by_rules`."""
        settings = self._parts.config.tiers
        policy = TierPolicy(
            rules=settings.rules.rules if settings.rules is not None else (), rest_s=duration_s(settings.rest)
        )
        return move_by_rules(
            self._parts.artifacts,
            policy,
            self._parts.clock.now_s(),
            known_besides=self._known_quality() if policy.of_quality else None,
            least_bytes=least_bytes,
            dry_run=dry_run,
            out_of_time=out_of_time,
        )

    def tier_some(self, digests: Sequence[Digest], tier: Tier, *, dry_run: bool = False) -> Tiering:
        """Move these artifacts to a tier."""
        return move_some(self._parts.artifacts, set(digests), tier, dry_run=dry_run)

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

    def prune_by_limits(
        self, *, dry_run: bool = False, out_of_time: Callable[[], bool] = lambda: False
    ) -> Pruned:
        """Delete the runs that are beyond the limits of the settings; their artifacts go as `clear` says."""
        runs, unread = self._parts.runs, list[SymphonyError]()
        facts = list(run_facts(runs, unread.append))
        over = beyond([fact for fact, _ in facts], self.run_limits, self._parts.clock.now_s())
        found = [summary for _, summary in facts if summary is not None and summary.run_id in over]
        if dry_run:
            return Pruned(runs=found, dry_run=True, unread=unread)
        oldest_first = itertools.takewhile(lambda _: not out_of_time(), reversed(found))
        return prune(runs, oldest_first, unread, lambda: self._cleared(out_of_time))

    @property
    def run_limits(self) -> RunLimits:
        """The limits of the settings."""
        limits = self._parts.config.retention.runs
        return RunLimits(
            max_age_s=None if limits.max_age is None else duration_s(limits.max_age),
            max_count=limits.max_count,
            max_bytes=None if limits.max_total is None else size_bytes(limits.max_total),
        )

    def prune_cache(self) -> int:
        """Forget cached results beyond the limits of the settings; how many."""
        limits = self._parts.config.retention.cache
        if limits.max_age is None and limits.max_count is None:
            return 0
        since_s = None
        if limits.max_age is not None:
            since_s = self._parts.clock.now_s() - duration_s(limits.max_age)
        return self._parts.cache.retain(count_max=limits.max_count, since_s=since_s)

    def daily(self) -> bool:
        """Do all that the settings say, unless that was done within a day; return whether it was done.

        What fails is logged and left for the next day: a run that has ended is not bothered with it.
        """
        home, clock = self._parts.home, self._parts.clock
        if home is None:
            return False
        stamp = home / STAMP
        with contextlib.suppress(OSError):
            if 0 <= clock.now_s() - stamp.stat().st_mtime < _DAY_S:
                return False
        until = clock.monotonic_s() + _DAILY_S
        try:
            private_directory(stamp.parent)
            stamp.touch(mode=0o600)
            self.prune_cache()
            if self.run_limits.any:
                self.prune_by_limits(out_of_time=lambda: clock.monotonic_s() > until)
            else:
                self.clear(explain=False, out_of_time=lambda: clock.monotonic_s() > until)
            if self._parts.config.tiers.rules is not None and clock.monotonic_s() < until:
                self.tier(least_bytes=LITTLE_BYTES, out_of_time=lambda: clock.monotonic_s() > until)
        except (SymphonyError, OSError) as error:
            log.warning("the daily upkeep was not finished", home=str(home), error=str(error))
        return True

    def _cleared(self, out_of_time: Callable[[], bool] = lambda: False) -> tuple[Collected, float]:
        found = self.clear(explain=False, out_of_time=out_of_time)
        now = found.trashed if found.trashed.objects else found.deleted
        return now, found.grace_s

    def _known_quality(self) -> Callable[[Sequence[Standing]], Sequence[Standing]]:
        """Return what adds the quality of artifacts to their facts, as far as it is known.

        The search does not know those in the trash: they are judged now, so that verdicts stay the same.
        """
        searching, store = self._parts.searching, self._parts.artifacts
        scores: dict[Digest, float | None] = {**searching.qualities()}

        def known(found: Sequence[Standing]) -> Sequence[Standing]:
            for one in found:
                if one.trashed_at is not None and one.digest not in scores:
                    with contextlib.suppress(SymphonyError):
                        scores[one.digest] = searching.quality(store.about(one.digest)).score
            return [msgspec.structs.replace(one, quality=scores.get(one.digest)) for one in found]

        return known

    def _unended(self, run_ids: AbstractSet[str]) -> AbstractSet[str]:
        """Return those that may go on, or of which that is not known."""
        runs = self._parts.runs
        here = [run_id for run_id in runs.ids() if run_id in run_ids]
        return {
            run_id
            for run_id, found in runs.summaries(here)
            if isinstance(found, SymphonyError) or found.status not in ENDED
        }
