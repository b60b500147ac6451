"""Carries verdicts about tiers out. Blocking."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from symphony.pit.stale.core.tiering import TierPolicy, tier_verdicts
from symphony.ports.artifacts import Collected
from symphony.ports.retention import RetainedStore, Standing, Tier, Tiering, TierVerdict
from symphony.ports.values import Digest

LITTLE_BYTES: Final = 4 << 20
"""Less is not worth a frame of its own, if nobody asked for it."""


def move_by_rules(
    store: RetainedStore,
    policy: TierPolicy,
    now_s: float,
    *,
    known_besides: Callable[[Sequence[Standing]], Sequence[Standing]] | None = None,
    least_bytes: int = 0,
    dry_run: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Tiering:
    """Judge every artifact, and move those that belong into another tier.

    `known_besides` adds facts that the store does not have. Fewer than `least_bytes` are not moved to a
    colder tier. With `dry_run` nothing is changed at all; once `out_of_time`, the rest is left.
    Raises StorageFull, IoFailed.
    """
    found, before = store.standings(), store.tier_sizes()
    if found.damaged:
        return Tiering(before=before, after=before, damaged=found.damaged, dry_run=dry_run)
    facts = found.all if known_besides is None else known_besides(found.all)
    verdicts = tier_verdicts(facts, policy, now_s)
    return _moved(
        store, found.all, verdicts, before=before, least_bytes=least_bytes, dry_run=dry_run,
        out_of_time=out_of_time,
    )  # fmt: skip


def move_some(
    store: RetainedStore, digests: AbstractSet[Digest], tier: Tier, *, dry_run: bool = False
) -> Tiering:
    """Move some artifacts to a tier because somebody said so. Raises StorageFull, IoFailed."""
    found, before = store.standings(), store.tier_sizes()
    if found.damaged:
        return Tiering(before=before, after=before, damaged=found.damaged, dry_run=dry_run)
    some = [one for one in found.all if one.digest in digests]
    verdicts = [TierVerdict(standing=one, tier=tier, rule="asked", why="somebody said so") for one in some]
    return _moved(store, some, verdicts, dry_run=dry_run, before=before)


def _moved(
    store: RetainedStore,
    found: Sequence[Standing],
    verdicts: Sequence[TierVerdict],
    *,
    before: Mapping[Tier, int],
    least_bytes: int = 0,
    dry_run: bool,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Tiering:
    going = [
        (standing, one.tier, f"{one.rule}: {one.why}")
        for standing, one in zip(found, verdicts, strict=True)
        if one.moves
    ]
    if dry_run:
        moved = Collected(len(going), sum(one.size for one, _, _ in going))
        return Tiering(verdicts=verdicts, moved=moved, before=before, after=before, dry_run=True)
    if sum(one.size for one, tier, _ in going if tier is not Tier.HOT) < least_bytes:
        going = [one for one in going if one[1] is Tier.HOT]
    moved = store.move(going, out_of_time=out_of_time) if going else Collected(0, 0)
    return Tiering(verdicts=verdicts, moved=moved, before=before, after=store.tier_sizes())
