"""The one rule for which artifacts stay: `gc`, `runs prune` and the automatic upkeep all ask it. Pure."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from symphony.commons.retention import RetentionRule
from symphony.pit.stale.core.conditions import fits, words
from symphony.pit.stale.core.worth import WorthWeights, worth
from symphony.ports.retention import Standing, Verdict
from symphony.ports.values import Digest

MIN_AGE_S: Final = 3600.0
"""Protects a body between its put and the moment when a run refers to it."""
GRACE_S: Final = 7 * 86_400.0


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of a home; `grace_s`: how long artifacts are in the trash before they are deleted."""

    rules: Sequence[RetentionRule] = ()
    weights: WorthWeights = WorthWeights()
    grace_s: float = GRACE_S
    min_age_s: float = MIN_AGE_S

    @property
    def of_runs(self) -> bool:
        """True if a rule may drop what runs refer to."""
        return any(rule.action != "keep" and rule.of_runs for rule in self.rules)

    @property
    def of_quality(self) -> bool:
        """True if the quality of artifacts bears on what stays."""
        totals = self.weights.quality > 0 and any(rule.action == "max_total" for rule in self.rules)
        return totals or any(rule.mentions("quality_below") for rule in self.rules)


class _Reason(NamedTuple):
    rule: str
    why: str


_NOBODY: Final = _Reason("unneeded", "no run refers to it, and nobody named or tagged it")


def verdicts(
    found: Sequence[Standing],
    policy: RetentionPolicy,
    now_s: float,
    *,
    unended: AbstractSet[str] = frozenset(),
) -> list[Verdict]:
    """Return the verdict on each artifact, in the given order. `unended`: runs that may go on.

    In this order:

    1. What is pinned, put less than `min_age_s` ago or brought back from the trash less than `grace_s` ago
       stays, and so does what a run refers to that has not ended.
    2. What a `keep` rule fits, or may fit, stays.
    3. What a `drop` rule fits goes. A rule that does not speak of `referenced` leaves alone what runs refer
       to.
    4. What no run refers to and nobody has named or tagged goes.
    5. What is beyond the most valuable artifacts that `max_total` bytes hold goes, by each such rule. What
       is larger than that by itself goes too, and takes no room from others.
    6. The rest stays.

    `max_total` counts what steps 3 and 4 leave, whatever else protects it, so that another `keep` rule or
    pin never makes more go. What protections keep comes on top.
    """
    values = {one.digest: worth(one, now_s, policy.weights) for one in found}
    dropped = {one.digest: reason for one in found if (reason := _dropped(one, policy, now_s)) is not None}
    left = [one for one in found if one.digest not in dropped]
    for rule in policy.rules:
        if rule.action == "max_total":
            for digest, reason in _beyond(rule, left, values, now_s).items():
                dropped.setdefault(digest, reason)
    out: list[Verdict] = []
    for one in found:
        going = dropped.get(one.digest)
        protected = _protected(one, policy, now_s, unended)
        stays = protected is not None or going is None
        reason = protected or going or _needed(one)
        out.append(
            Verdict(
                digest=one.digest, stays=stays, rule=reason.rule, why=reason.why, value=values[one.digest]
            )
        )
    return out


def _protected(
    one: Standing, policy: RetentionPolicy, now_s: float, unended: AbstractSet[str]
) -> _Reason | None:
    if one.pinned:
        return _Reason("pinned", "it is pinned")
    if going_on := one.runs & unended:
        runs = "a run that has" if len(going_on) == 1 else f"{len(going_on)} runs that have"
        return _Reason("unended", f"{runs} not ended may need it")
    if one.put_at > now_s - policy.min_age_s:
        return _Reason("young", "it was stored less than an hour ago")
    if one.restored_at is not None and one.restored_at > now_s - policy.grace_s:
        return _Reason("restored", "it was brought back from the trash a short time ago")
    for rule in policy.rules:
        if rule.action != "keep":
            continue
        known = fits(rule.condition, one, now_s)
        if known:
            return _Reason(rule.name, f"kept: {words(rule.condition)}")
        if known is None:
            return _Reason(rule.name, f"kept, since not all of this is known: {words(rule.condition)}")
    return None


def _dropped(one: Standing, policy: RetentionPolicy, now_s: float) -> _Reason | None:
    for rule in policy.rules:
        if rule.action == "drop" and _may_drop(rule, one) and fits(rule.condition, one, now_s):
            return _Reason(rule.name, f"dropped: {words(rule.condition)}")
    return None if one.needed else _NOBODY


def _may_drop(rule: RetentionRule, one: Standing) -> bool:
    return rule.of_runs or not one.runs


def _beyond(
    rule: RetentionRule, left: Collection[Standing], values: Mapping[Digest, float], now_s: float
) -> dict[Digest, _Reason]:
    """Return what one `max_total` rule lets go of what is `left`."""
    counted = [one for one in left if fits(rule.condition, one, now_s)]
    counted.sort(key=lambda one: (-values[one.digest], one.digest))
    of = "" if rule.condition is None else f" of {words(rule.condition)}"
    total, out = 0, dict[Digest, _Reason]()
    for one in counted:
        if one.size > rule.bytes_max:
            why = f"dropped: larger than the {rule.size} that are kept{of}"
        elif (total := total + one.size) > rule.bytes_max:
            value = f"{values[one.digest]:.2f}"
            why = f"dropped: its value of {value} is beyond the most valuable {rule.size}{of}"
        else:
            continue
        if _may_drop(rule, one):
            out[one.digest] = _Reason(rule.name, why)
    return out


def _needed(one: Standing) -> _Reason:
    if one.runs:
        told = "a run refers" if len(one.runs) == 1 else f"{len(one.runs)} runs refer"
        return _Reason("referenced", f"{told} to it")
    if one.tags:
        return _Reason("tagged", f"it has the tag {min(one.tags)}")
    given = next((name.name for name in one.names if name.given), "")
    return _Reason("named", f"it was stored as {given}")
