"""In which tier artifacts belong: the properties of the one rule."""

import msgspec
import pytest

from symphony.commons.retention import AllOf, Predicate, TierRule
from symphony.pit.stale.core.tiering import TierPolicy, tier_verdicts
from symphony.ports.retention import Standing, StoredName, Tier, TierVerdict
from symphony.ports.values import Digest

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
OLD = Predicate("older", 30 * DAY_S, "30d")
RULES = (
    TierRule(name="keep close", tier="hot", condition=Predicate("quality_below", 0.5, "0.5")),
    TierRule(name="old", tier="warm", condition=AllOf((OLD, Predicate("name", "log-*", "log-*")))),
    TierRule(name="large", tier="warm", condition=Predicate("larger", 1_000, "1kB")),
)


def verdict(policy: TierPolicy | None = None, **facts: object) -> TierVerdict:
    known = {"put_at": NOW_S - 60 * DAY_S, "quality": 0.9, "counted_since": 0.0} | facts
    one = msgspec.structs.replace(Standing(digest=Digest("0" * 64)), **known)
    (found,) = tier_verdicts([one], policy or TierPolicy(rules=RULES), NOW_S)
    return found


def test_without_rules_nothing_moves() -> None:
    assert not verdict(TierPolicy(), size=1 << 40).moves


def test_what_a_rule_fits_moves_and_the_rule_is_named() -> None:
    found = verdict(size=2_000)
    assert (found.tier, found.rule, found.moves) == (Tier.WARM, "large", True)
    assert "larger than 1kB" in found.why


def test_the_rest_stays_where_it_is() -> None:
    for tier in Tier:
        found = verdict(size=10, tier=tier)
        assert (found.tier, found.rule) == (tier, "none")


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"put_at": NOW_S - DAY_S}, "new"),
        ({"used_at": NOW_S - DAY_S}, "used"),
        ({"quality": 0.1}, "keep close"),
        ({"quality": None}, "keep close"),
    ],
)
def test_what_was_stored_or_used_or_may_fit_a_hot_rule_stays_hot(facts: dict[str, object], rule: str) -> None:
    found = verdict(size=2_000, **facts)
    assert (found.tier, found.rule) == (Tier.HOT, rule)


def test_what_was_used_comes_back_and_what_was_only_stored_does_not() -> None:
    assert verdict(size=2_000, tier=Tier.WARM, used_at=NOW_S - DAY_S).tier is Tier.HOT
    assert verdict(size=2_000, tier=Tier.WARM, put_at=NOW_S).tier is Tier.WARM


def test_what_is_in_the_trash_stays_where_it_is() -> None:
    assert verdict(size=2_000, trashed_at=NOW_S - DAY_S).rule == "trash"


FROZEN = TierRule(name="forgotten", tier="cold", condition=Predicate("name", "*", "*"))


def test_what_a_cold_rule_fits_becomes_cold_also_if_a_warm_one_fits_too() -> None:
    policy = TierPolicy(rules=(*RULES, FROZEN))
    names = (StoredName("a"),)
    found = verdict(policy, size=2_000, names=names)
    assert (found.tier, found.rule) == (Tier.COLD, "forgotten")
    assert verdict(policy, size=2_000, names=names, tier=Tier.WARM).tier is Tier.COLD
    assert verdict(policy, size=2_000, names=names, used_at=NOW_S).tier is Tier.HOT


def test_what_is_cold_is_not_made_warm_by_a_rule() -> None:
    found = verdict(size=2_000, tier=Tier.COLD)
    assert (found.tier, found.rule, found.moves) == (Tier.COLD, "large", False)
