"""Which artifacts stay: the properties of the one rule."""

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.retention import AllOf, AnyOf, Condition, NotOf, Predicate, RetentionRule
from symphony.pit.stale.core.deciding import MIN_AGE_S, RetentionPolicy, verdicts
from symphony.pit.stale.core.worth import WorthWeights, worth
from symphony.ports.retention import Standing, StoredName, Verdict
from symphony.ports.values import Digest

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0

ages = st.floats(-DAY_S, 400 * DAY_S)
names = st.lists(
    st.builds(
        StoredName, st.sampled_from(["report", "scratch-1", "Übersicht"]), st.booleans(), st.integers(0, 5)
    ),
    max_size=2,
    unique_by=lambda name: name.name,
)
standings = st.builds(
    Standing,
    digest=st.just(Digest("")),
    size=st.one_of(st.integers(0, 100), st.integers(0, 1 << 40)),
    content_type=st.sampled_from(["text/plain", "image/png"]),
    put_at=ages.map(lambda age: NOW_S - age),
    names=names.map(tuple),
    runs=st.frozensets(st.sampled_from(["r1", "r2", "r3"]), max_size=2),
    pinned=st.sampled_from([False, False, True]),
    uses=st.one_of(st.none(), st.integers(0, 20)),
    used_at=st.one_of(st.none(), ages.map(lambda age: NOW_S - age)),
    counted_since=st.one_of(st.none(), ages.map(lambda age: NOW_S - age)),
    tags=st.one_of(st.none(), st.frozensets(st.sampled_from(["draft", "final"]), max_size=2)),
    quality=st.one_of(st.none(), st.floats(0, 1)),
    trashed_at=st.one_of(st.none(), ages.map(lambda age: NOW_S - age)),
    restored_at=st.one_of(st.none(), ages.map(lambda age: NOW_S - age)),
)
homes = st.lists(standings, max_size=12).map(
    lambda found: [
        msgspec.structs.replace(one, digest=Digest(f"{number:064x}")) for number, one in enumerate(found)
    ]
)
tests_ = st.one_of(
    st.builds(Predicate, st.sampled_from(["older", "unused"]), st.floats(0, 200 * DAY_S), st.just("30d")),
    st.builds(
        Predicate, st.sampled_from(["accesses_below", "last_versions"]), st.integers(0, 6), st.just("3")
    ),
    st.builds(Predicate, st.just("larger"), st.integers(0, 1 << 20), st.just("1MB")),
    st.builds(Predicate, st.just("quality_below"), st.floats(0, 1), st.just("0.5")),
    st.builds(Predicate, st.just("name"), st.sampled_from(["scratch-*", "REPORT", "*"]), st.just("*")),
    st.builds(Predicate, st.just("tag"), st.sampled_from(["draft", "fin*"]), st.just("draft")),
    st.builds(Predicate, st.just("type"), st.sampled_from(["text/*", "image/png"]), st.just("text/*")),
    st.builds(Predicate, st.sampled_from(["referenced", "pinned"]), st.booleans(), st.just("true")),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    tests_,
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=3).map(lambda some: AllOf(tuple(some))),
        st.lists(below, min_size=1, max_size=3).map(lambda some: AnyOf(tuple(some))),
        below.map(NotOf),
    ),
    max_leaves=6,
)
rules = st.one_of(
    st.builds(RetentionRule, name=st.just("k"), action=st.just("keep"), condition=conditions),
    st.builds(RetentionRule, name=st.just("d"), action=st.just("drop"), condition=conditions),
    st.builds(
        RetentionRule, name=st.just("m"), action=st.just("max_total"),
        condition=st.one_of(st.none(), conditions), bytes_max=st.integers(0, 1 << 20), size=st.just("1MB"),
    ),
)  # fmt: skip
policies = st.builds(RetentionPolicy, rules=st.lists(rules, max_size=4).map(tuple))
keep_rules = st.builds(RetentionRule, name=st.just("more"), action=st.just("keep"), condition=conditions)
unended = st.frozensets(st.sampled_from(["r1", "r2"]))


def going(found: list[Verdict]) -> set[str]:
    return {one.digest for one in found if not one.stays}


@given(homes)
def test_without_rules_all_stays_that_stayed_before_there_were_any(home: list[Standing]) -> None:
    told = verdicts(home, RetentionPolicy(), NOW_S)
    for one, verdict in zip(home, told, strict=True):
        # The rule of earlier versions: old enough, of no run, and named by nobody.
        went = one.put_at <= NOW_S - MIN_AGE_S and not one.runs and not any(name.given for name in one.names)
        assert verdict.stays or went
        assert verdict.stays or not one.pinned


@given(homes, policies, keep_rules, unended, st.integers(0, 4))
def test_one_more_keep_rule_never_lets_more_go(
    home: list[Standing], policy: RetentionPolicy, rule: RetentionRule, runs: frozenset[str], at: int
) -> None:
    more = msgspec.structs.replace(policy, rules=(*policy.rules[:at], rule, *policy.rules[at:]))
    before, after = verdicts(home, policy, NOW_S, unended=runs), verdicts(home, more, NOW_S, unended=runs)
    assert going(after) <= going(before)


@given(homes, policies, unended, st.randoms(use_true_random=False))
def test_the_verdict_depends_on_the_facts_and_not_on_their_order(
    home: list[Standing], policy: RetentionPolicy, runs: frozenset[str], random: Random
) -> None:
    told = {one.digest: one for one in verdicts(home, policy, NOW_S, unended=runs)}
    shuffled = random.sample(home, len(home))
    assert {one.digest: one for one in verdicts(shuffled, policy, NOW_S, unended=runs)} == told


@given(homes, policies, unended)
def test_what_is_protected_stays_whatever_the_rules(
    home: list[Standing], policy: RetentionPolicy, runs: frozenset[str]
) -> None:
    gone = going(verdicts(home, policy, NOW_S, unended=runs))
    for one in home:
        if one.digest in gone:
            assert not one.pinned
            assert not one.runs & runs
            assert one.put_at <= NOW_S - MIN_AGE_S


@given(homes, policies)
def test_what_runs_refer_to_goes_only_by_a_rule_that_speaks_of_it(
    home: list[Standing], policy: RetentionPolicy
) -> None:
    silent = msgspec.structs.replace(
        policy, rules=tuple(rule for rule in policy.rules if rule.action == "keep" or not rule.of_runs)
    )
    gone = going(verdicts(home, silent, NOW_S))
    assert not any(one.runs for one in home if one.digest in gone)


@given(homes, policies)
def test_whether_it_is_in_the_trash_already_changes_no_verdict(
    home: list[Standing], policy: RetentionPolicy
) -> None:
    out = [msgspec.structs.replace(one, trashed_at=None) for one in home]
    assert verdicts(home, policy, NOW_S) == verdicts(out, policy, NOW_S)


@given(homes, st.integers(0, 1 << 20))
def test_a_total_lets_the_least_valuable_go_first(home: list[Standing], bytes_max: int) -> None:
    rule = RetentionRule(name="m", action="max_total", bytes_max=bytes_max, size="")
    policy = RetentionPolicy(rules=(rule,))
    told = {one.digest: one for one in verdicts(home, policy, NOW_S)}
    plain = [
        one
        for one in home
        if one.put_at <= NOW_S - MIN_AGE_S and one.restored_at is None and not one.pinned and not one.runs
        and any(name.given for name in one.names) and one.size <= bytes_max
    ]  # fmt: skip
    for one in plain:
        for other in plain:
            if told[one.digest].stays and not told[other.digest].stays:
                assert told[one.digest].value >= told[other.digest].value
    assert sum(one.size for one in plain if told[one.digest].stays) <= bytes_max


@given(homes, policies)
def test_every_verdict_says_by_which_rule_and_why(home: list[Standing], policy: RetentionPolicy) -> None:
    known = {"pinned", "unended", "young", "restored", "unneeded", "referenced", "named", "tagged"}
    for verdict in verdicts(home, policy, NOW_S):
        assert verdict.rule in known | {rule.name for rule in policy.rules}
        assert verdict.why


@given(standings, st.floats(0, 10), st.floats(0, 10), st.floats(0, 10), st.floats(0, 10))
def test_the_value_is_from_0_to_1(one: Standing, a: float, b: float, c: float, d: float) -> None:
    weights = WorthWeights(recency=a, frequency=b, quality=c, size=d)
    assert 0 <= worth(one, NOW_S, weights) <= 1


@given(standings, st.integers(0, 30), st.integers(1, 30), st.floats(0, 1))
def test_more_use_later_use_quality_and_fewer_bytes_never_lower_the_value(
    one: Standing, uses: int, more: int, quality: float
) -> None:
    base = msgspec.structs.replace(one, uses=uses, quality=quality)
    least = worth(base, NOW_S, WorthWeights())
    for better in (
        msgspec.structs.replace(base, uses=uses + more),
        msgspec.structs.replace(base, quality=1.0),
        msgspec.structs.replace(base, size=base.size // 2),
        msgspec.structs.replace(base, put_at=max(base.put_at, NOW_S)),
    ):
        assert worth(better, NOW_S, WorthWeights()) >= least
