"""Rules of retention as settings spell them."""

import pytest

from symphony.commons.config import check_settings
from symphony.commons.errors import ConfigInvalid
from symphony.commons.retention import AllOf, AnyOf, NotOf, Predicate, RetentionRule, read_rules
from symphony.commons.settings import Config


def test_rules_are_read_with_their_units() -> None:
    found = read_rules(
        [
            {"name": "scratch", "drop": {"name": "scratch-*", "older": "30d"}},
            {"keep": {"any": [{"tag": "final"}, {"not": {"larger": "1KB"}}]}},
            {"name": "total", "max_total": "10GB", "of": {"type": "image/*"}},
        ]
    )
    assert found.rules == (
        RetentionRule(
            name="scratch", action="drop",
            condition=AllOf(
                (Predicate("name", "scratch-*", "scratch-*"), Predicate("older", 30 * 86_400.0, "30d"))
            ),
        ),
        RetentionRule(
            name="rule 2", action="keep",
            condition=AnyOf((Predicate("tag", "final", "final"), NotOf(Predicate("larger", 1_000, "1KB")))),
        ),
        RetentionRule(
            name="total", action="max_total", condition=Predicate("type", "image/*", "image/*"),
            bytes_max=10**10, size="10GB",
        ),
    )  # fmt: skip


def test_a_rule_speaks_of_runs_wherever_it_says_referenced() -> None:
    deep = {"drop": {"all": [{"older": "1d"}, {"any": [{"not": {"referenced": False}}]}]}}
    assert [rule.of_runs for rule in read_rules([deep, {"drop": {"older": "1d"}}]).rules] == [True, False]


RULE = "[[retention.artifacts]]\n"
TIERS = "[[tiers.rules]]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RULE + 'drop = {oldr = "3d"}', "rule 1: drop.oldr: unknown condition: did you mean older"),
        (RULE + 'name = "a"\ndrop = {older = 3}', "rule 1 (a): drop.older: expected a duration"),
        (RULE + 'keep = {}', "rule 1: keep: expected a table of conditions"),
        (RULE + 'name = "a"', "rule 1 (a): expected one of keep, drop and max_total"),
        (RULE + 'max_total = "5"', 'rule 1: max_total: expected a size such as "10GB"'),
        (RULE + 'keep = {tag = "a"}\nof = {tag = "a"}', "of goes with max_total only"),
        (RULE + 'keep = {any = [{tag = "a"}, {tag = 3}]}', "keep.any[2].tag: expected a text"),
        (RULE + 'keep = {quality_below = 2}', "expected a number from 0 to 1"),
        (RULE + 'keep = {referenced = "yes"}', "expected true or false"),
        ((RULE + 'name = "a"\nkeep = {tag = "a"}\n') * 2, "two rules have the name a"),
        (RULE + "keep = " + "{not = " * 30 + '{tag = "a"}' + "}" * 30, "nested at most 20 deep"),
        ("[retention]\nartifacts = 3", "expected a list of tables"),
        (TIERS + 'lukewarm = {older = "3d"}', "'lukewarm': known here are name, hot, warm and cold"),
        (TIERS + 'warm = {older = 3}', "rule 1: warm.older: expected a duration"),
        (TIERS + 'warm = {older = "3d"}\nhot = {larger = "1kB"}', "expected one of hot, warm and cold"),
        ("[tiers]\nrules = 3", "expected a list of tables, each begun with [[tiers.rules]]"),
        ('[retention]\ntrash = "3 days"', "retention.trash: expected a duration such as 12h or 30d"),
        ('[retention.runs]\nmax_total = "big"', "retention.runs.max_total: expected a size such as 500MB"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_file_its_rule_and_its_key(text: str, told: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        check_settings(Config, text, "config.toml", whole=True)
    assert caught.value.message.startswith(("config.toml: retention.", "config.toml: tiers."))
    assert told in caught.value.message


def test_a_cold_rule_needs_a_place() -> None:
    rule = TIERS + 'cold = {older = "3d"}\n'
    with pytest.raises(ConfigInvalid, match=r"tiers\.cold must be the address of a place"):
        check_settings(Config, rule, "config.toml", whole=True)
    assert check_settings(Config, '[tiers]\ncold = "/archive"\n' + rule, "config.toml", whole=True)
