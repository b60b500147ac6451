"""The one rule for which artifacts stay: `gc`, `runs prune` and the automatic upkeep all ask it. Pure."""

from array import array
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from symphony.commons.retention import RetentionRule
from symphony.pit.stale.core.conditions import fits, words
from symphony.pit.stale.core.worth import WorthWeights, worth
from symphony.ports.retention import Standing, Verdict

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


_DIGEST_BYTES: Final = 32


class _Reason(NamedTuple):
    rule: str
    why: str


_NOBODY: Final = _Reason("unneeded", "no run refers to it, and nobody named or tagged it")


class Judge:
    """Tells for each artifact whether it stays. In this order:

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
    pin never makes more go. What protections keep comes on top. Therefore each artifact must be counted
    before the first is judged, if the judge `counts`: that takes 48 bytes for each and rule.
    """

    def __init__(self, policy: RetentionPolicy, now_s: float) -> None:
        self._policy, self._now_s = policy, now_s
        self._totals = [_Total(rule) for rule in policy.rules if rule.action == "max_total"]

    @property
    def counts(self) -> bool:
        """True if a rule compares all artifacts with each other."""
        return bool(self._totals)

    def count(self, one: Standing) -> None:
        """Count an artifact. Call this in the order of the digests."""
        if self._totals and _dropped(one, self._policy, self._now_s) is None:
            value = worth(one, self._now_s, self._policy.weights)
            for total in self._totals:
                if fits(total.rule.condition, one, self._now_s):
                    total.count(one, value)

    def verdict(self, one: Standing, unended: AbstractSet[str] = frozenset()) -> Verdict:
        """Return the verdict on an artifact. `unended`: runs that may go on."""
        value = worth(one, self._now_s, self._policy.weights)
        going = _dropped(one, self._policy, self._now_s) or self._beyond(one, value)
        protected = _protected(one, self._policy, self._now_s, unended)
        reason = protected or going or _needed(one)
        return Verdict(
            digest=one.digest, stays=protected is not None or going is None, rule=reason.rule, why=reason.why,
            value=value,
        )  # fmt: skip

    def _beyond(self, one: Standing, value: float) -> _Reason | None:
        for total in self._totals:
            if _may_drop(total.rule, one) and fits(total.rule.condition, one, self._now_s):
                why = total.beyond(one, value)
                if why:
                    return _Reason(total.rule.name, why)
        return None


def verdicts(
    found: Sequence[Standing],
    policy: RetentionPolicy,
    now_s: float,
    *,
    unended: AbstractSet[str] = frozenset(),
) -> list[Verdict]:
    """Return the verdict on each artifact, in the given order; see `Judge`."""
    judge = Judge(policy, now_s)
    for one in sorted(found, key=lambda one: one.digest):
        judge.count(one)
    return [judge.verdict(one, unended) for one in found]


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


class _Total:
    """What one `max_total` rule counts, in the order of the digests, and where the bytes end."""

    def __init__(self, rule: RetentionRule) -> None:
        self.rule = rule
        self._values, self._sizes, self._digests = array("d"), array("q"), bytearray()
        self._first_beyond: tuple[float, bytes] | None = None
        self._counted = False

    def count(self, one: Standing, value: float) -> None:
        if one.size <= self.rule.bytes_max:
            self._values.append(value)
            self._sizes.append(one.size)
            self._digests += bytes.fromhex(one.digest)

    def beyond(self, one: Standing, value: float) -> str:
        """Return why an artifact goes that the rule counts; empty if it does not."""
        of = "" if self.rule.condition is None else f" of {words(self.rule.condition)}"
        if one.size > self.rule.bytes_max:
            return f"dropped: larger than the {self.rule.size} that are kept{of}"
        first = self._end()
        if first is None or (-value, bytes.fromhex(one.digest)) < first:
            return ""
        return f"dropped: its value of {value:.2f} is beyond the most valuable {self.rule.size}{of}"

    def _end(self) -> tuple[float, bytes] | None:
        """Return the first that is beyond, by its value and digest: all after it are, too."""
        if not self._counted:
            total = 0
            for at in sorted(range(len(self._values)), key=lambda at: -self._values[at]):
                total += self._sizes[at]
                if total > self.rule.bytes_max:
                    digest = bytes(self._digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES])
                    self._first_beyond = -self._values[at], digest
                    break
            self._counted = True
        return self._first_beyond


def _needed(one: Standing) -> _Reason:
    if one.runs:
        told = "a run refers" if len(one.runs) == 1 else f"{len(one.runs)} runs refer"
        return _Reason("referenced", f"{told} to it")
    if one.tags:
        return _Reason("tagged", f"it has the tag {min(one.tags)}")
    given = next((name.name for name in one.names if name.given), "")
    return _Reason("named", f"it was stored as {given}")
