"""In which tier an artifact should be. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from symphony.commons.retention import TierRule
from symphony.pit.stale.core.conditions import fits, words
from symphony.ports.retention import Standing, Tier, TierVerdict

REST_S: Final = 7 * 86_400.0


class TierPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a home. What was stored or used within `rest_s` seconds stays hot."""

    rules: Sequence[TierRule] = ()
    rest_s: float = REST_S

    @property
    def of_quality(self) -> bool:
        """True if the quality of artifacts bears on their tier."""
        return any(rule.mentions("quality_below") for rule in self.rules)


def tier_verdicts(found: Sequence[Standing], policy: TierPolicy, now_s: float) -> list[TierVerdict]:
    """Return the verdict on each artifact, in the given order. The first of these decides:

    1. What is in the trash stays where it is.
    2. What was used within `rest_s` belongs into the hot tier, and what was stored within it is not moved out
       of that.
    3. What a `hot` rule fits, or may fit, belongs into the hot tier.
    4. What a `cold` rule fits belongs into the cold tier.
    5. What a `warm` rule fits belongs into the warm tier, unless it is cold.
    6. The rest stays where it is: only use brings an artifact back.
    """
    return [_verdict(one, policy, now_s) for one in found]


def _verdict(one: Standing, policy: TierPolicy, now_s: float) -> TierVerdict:
    def told(tier: Tier, rule: str, why: str) -> TierVerdict:
        return TierVerdict(standing=one, tier=tier, rule=rule, why=why)

    if one.trashed_at is not None:
        return told(one.tier, "trash", "it is in the trash")
    latest = now_s - policy.rest_s
    if one.used_at is not None and one.used_at > latest:
        return told(Tier.HOT, "used", "it was used a short time ago")
    if one.tier is Tier.HOT and one.put_at > latest:
        return told(Tier.HOT, "new", "it was stored a short time ago")
    for tier in (Tier.HOT, Tier.COLD, Tier.WARM):
        for rule in policy.rules:
            known = fits(rule.condition, one, now_s) if rule.tier == tier else False
            if known:
                stays = tier is Tier.WARM and one.tier is Tier.COLD
                return told(one.tier if stays else tier, rule.name, f"{tier}: {words(rule.condition)}")
            if known is None and tier is Tier.HOT:
                why = f"{tier}, since not all of this is known: {words(rule.condition)}"
                return told(tier, rule.name, why)
    return told(one.tier, "none", "no rule fits it")
