"""Carries verdicts about tiers out. Blocking."""

from collections.abc import Callable, Sequence
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

    def judged(page: Sequence[Standing]) -> list[TierVerdict]:
        return tier_verdicts(page if known_besides is None else known_besides(page), policy, now_s)

    return _moved(store, judged, least_bytes=least_bytes, dry_run=dry_run, out_of_time=out_of_time)


def move_some(
    store: RetainedStore, digests: AbstractSet[Digest], tier: Tier, *, dry_run: bool = False
) -> Tiering:
    """Move some artifacts to a tier because somebody said so. Raises StorageFull, IoFailed."""

    def judged(page: Sequence[Standing]) -> list[TierVerdict]:
        return [
            TierVerdict(standing=one, tier=tier, rule="asked", why="somebody said so")
            for one in page
            if one.digest in digests
        ]

    return _moved(store, judged, dry_run=dry_run)


def _moved(
    store: RetainedStore,
    judged: Callable[[Sequence[Standing]], Sequence[TierVerdict]],
    *,
    dry_run: bool,
    least_bytes: int = 0,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Tiering:
    """Look at all artifacts page by page; remembered is what moves, or all in a dry run."""
    before, kept = store.tier_sizes(), list[TierVerdict]()
    with store.look(writes=not dry_run) as found:
        if found.damaged:
            return Tiering(before=before, after=before, damaged=found.damaged, dry_run=dry_run)
        for page in found.pages():
            kept += [_brief(one) for one in judged(page) if dry_run or one.moves]
    going = [one for one in kept if one.moves]
    if dry_run:
        moved = Collected(len(going), sum(one.standing.size for one in going))
        return Tiering(verdicts=kept, moved=moved, before=before, after=before, dry_run=True)
    if sum(one.standing.size for one in going if one.tier is not Tier.HOT) < least_bytes:
        going = [one for one in going if one.tier is Tier.HOT]
    moved = Collected(0, 0)
    if going:
        told = [(one.standing, one.tier, f"{one.rule}: {one.why}") for one in going]
        moved = store.move(told, out_of_time=out_of_time)
    return Tiering(verdicts=going, moved=moved, before=before, after=store.tier_sizes())


def _brief(one: TierVerdict) -> TierVerdict:
    """The verdict with what is told of an artifact, and where it goes by that: there may be millions."""
    standing = one.standing
    brief = Standing(
        digest=standing.digest, size=standing.size, content_type=standing.content_type,
        put_at=standing.put_at, names=standing.names[:1], tier=standing.tier,
    )  # fmt: skip
    return TierVerdict(standing=brief, tier=one.tier, rule=one.rule, why=one.why)
