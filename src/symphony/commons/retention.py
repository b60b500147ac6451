"""Rules of retention as settings spell them, read into values with the place of every mistake. Pure.

`pit.stale` judges artifacts by them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import msgspec

from symphony.commons.quantities import duration_s, size_bytes

Key: TypeAlias = Literal[
    "older", "unused", "accesses_below", "last_versions", "larger", "quality_below", "name", "tag", "type",
    "referenced", "pinned",
]  # fmt: skip
Action: TypeAlias = Literal["keep", "drop", "max_total"]
TierWord: TypeAlias = Literal["hot", "warm", "cold"]
_KEYS: Final[tuple[Key, ...]] = get_args(Key)
_ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_TIERS: Final[tuple[TierWord, ...]] = get_args(TierWord)
_DEPTH_MAX: Final = 20
_TESTS_MAX: Final = 1_000
RULES_MAX: Final = 100


class Predicate(msgspec.Struct, frozen=True):
    """One condition: `value` is seconds for durations, bytes for sizes; `text` is how it was written."""

    key: Key
    value: float | bool | str
    text: str


R = TypeVar("R", "RetentionRule", "TierRule")
A = TypeVar("A", bound=str)


class AllOf(msgspec.Struct, frozen=True):
    """All of these conditions hold."""

    of: "tuple[Condition, ...]"


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of these conditions holds."""

    of: "tuple[Condition, ...]"


class NotOf(msgspec.Struct, frozen=True):
    """The condition does not hold."""

    of: "Condition"


Condition: TypeAlias = Predicate | AllOf | AnyOf | NotOf


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """A named rule: keep or drop what the condition fits, or bound the bytes of all that it fits."""

    name: str
    action: Action
    condition: Condition | None = None
    """None: it fits everything."""
    bytes_max: int = 0
    size: str = ""

    @property
    def of_runs(self) -> bool:
        """True if the rule speaks of artifacts that runs refer to; other rules leave those alone."""
        return self.mentions("referenced")

    def mentions(self, key: Key) -> bool:
        """Return whether the rule has a condition of this kind."""
        return self.condition is not None and _mentions(self.condition, key)


class TierRule(msgspec.Struct, frozen=True, kw_only=True):
    """A named rule: what the condition fits belongs into a tier."""

    name: str
    tier: TierWord
    condition: Condition

    def mentions(self, key: Key) -> bool:
        """Return whether the rule has a condition of this kind."""
        return _mentions(self.condition, key)


class RetentionRules:
    """The value of the setting `retention.artifacts`: a list of rules."""

    __slots__ = ("rules",)

    def __init__(self, rules: Sequence[RetentionRule] = ()) -> None:
        self.rules = tuple(rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RetentionRules) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __repr__(self) -> str:
        return f"RetentionRules({[rule.name for rule in self.rules]})"


class TierRules:
    """The value of the setting `tiers.rules`: a list of rules."""

    __slots__ = ("rules",)

    def __init__(self, rules: Sequence[TierRule] = ()) -> None:
        self.rules = tuple(rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TierRules) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __repr__(self) -> str:
        return f"TierRules({[rule.name for rule in self.rules]})"


def read_rules(value: object) -> RetentionRules:
    """Return the rules that a list of tables spells. Raises ValueError, which names the rule and its key."""
    return RetentionRules(_rules(value, "retention.artifacts", _rule))


def read_tier_rules(value: object) -> TierRules:
    """Return the rules about tiers that a list of tables spells. Raises ValueError, as `read_rules` does."""
    return TierRules(_rules(value, "tiers.rules", _tier_rule))


def _rules(value: object, setting: str, read: Callable[[object, str], R]) -> list[R]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of tables, each begun with [[{setting}]]")
    if len(value) > RULES_MAX:
        raise ValueError(f"there are {len(value)} rules, and {RULES_MAX} are the most")
    rules = [read(one, f"rule {number}") for number, one in enumerate(value, start=1)]
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two rules have the name {name}: explanations could not tell them apart")
    return rules


def _named(
    value: object, place: str, actions: Sequence[A], also: Sequence[str] = ()
) -> tuple[Mapping[str, object], str, str, A]:
    """Return the table of a rule, its place with its name, the name, and which of the actions it has."""
    if not isinstance(value, dict):
        raise ValueError(f"{place}: expected a table")
    name = value.get("name", place)
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
        raise ValueError(f"{place}: name: expected 1 to 100 printable characters")
    place = f"{place} ({name})" if name != place else place
    known: list[str] = ["name", *actions, *also]
    for key in value:
        if key not in known:
            raise ValueError(f"{place}: unknown key {key!r:.40}: known here are {_listed(known)}")
    found = [action for action in actions if action in value]
    if len(found) != 1:
        raise ValueError(
            f"{place}: expected one of {_listed(actions)}, found {' and '.join(found) or 'none'}"
        )
    return value, place, name, found[0]


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _tier_rule(value: object, place: str) -> TierRule:
    table, place, name, tier = _named(value, place, _TIERS)
    return TierRule(name=name, tier=tier, condition=_condition(table[tier], f"{place}: {tier}", _Budget()))


def _rule(value: object, place: str) -> RetentionRule:
    table, place, name, action = _named(value, place, _ACTIONS, ["of"])
    budget = _Budget()
    if action == "max_total":
        of = _condition(table["of"], f"{place}: of", budget) if "of" in table else None
        size = table["max_total"]
        bound = int(_size(size, f"{place}: max_total"))
        return RetentionRule(name=name, action="max_total", condition=of, bytes_max=bound, size=str(size))
    if "of" in table:
        raise ValueError(f"{place}: of goes with max_total only: put the condition into {action}")
    condition = _condition(table[action], f"{place}: {action}", budget)
    return RetentionRule(name=name, action=action, condition=condition)


class _Budget:
    """Counts the conditions of one rule."""

    def __init__(self) -> None:
        self.left = _TESTS_MAX

    def spend(self, place: str, depth: int) -> None:
        self.left -= 1
        if self.left < 0 or depth > _DEPTH_MAX:
            raise ValueError(
                f"{place}: a rule has at most {_TESTS_MAX:,} conditions, nested at most {_DEPTH_MAX} deep"
            )


def _condition(value: object, place: str, budget: _Budget, depth: int = 0) -> Condition:
    budget.spend(place, depth)
    if not isinstance(value, dict) or not value:
        raise ValueError(f'{place}: expected a table of conditions, such as {{ older = "30d" }}')
    found = [_part(key, one, f"{place}.{key}", budget, depth) for key, one in value.items()]
    return found[0] if len(found) == 1 else AllOf(tuple(found))


def _part(key: str, value: object, place: str, budget: _Budget, depth: int) -> Condition:
    if key == "not":
        return NotOf(_condition(value, place, budget, depth + 1))
    if key in ("all", "any"):
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{place}: expected a list of tables of conditions")
        parts = tuple(
            _condition(one, f"{place}[{number}]", budget, depth + 1)
            for number, one in enumerate(value, start=1)
        )
        return AllOf(parts) if key == "all" else AnyOf(parts)
    budget.spend(place, depth)
    for known in _KEYS:
        if key == known:
            return Predicate(known, _READERS[known](value, place), _spelled(value))
    raise ValueError(f"{place}: unknown condition{_near(key)}")


def _near(key: str) -> str:
    import difflib  # imported only for an error

    known = (*_KEYS, "all", "any", "not")
    near = difflib.get_close_matches(key, known, n=1)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration(value: object, place: str) -> float:
    if not isinstance(value, str):
        raise ValueError(f'{place}: expected a duration such as "30d"')
    try:
        return duration_s(value)
    except ValueError:
        raise ValueError(f'{place}: expected a duration such as "30d" or "12h"') from None


def _size(value: object, place: str) -> float:
    if not isinstance(value, str):
        raise ValueError(f'{place}: expected a size such as "10GB"')
    try:
        return size_bytes(value)
    except ValueError:
        raise ValueError(f'{place}: expected a size such as "10GB" or "500 MiB"') from None


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000_000:
        raise ValueError(f"{place}: expected a whole number of 0 or more")
    return value


def _share(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{place}: expected a number from 0 to 1")
    return float(value)


def _pattern(value: object, place: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError(f"{place}: expected a text of 1 to 200 characters; * and ? are wildcards")
    return value


def _truth(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{place}: expected true or false")
    return value


_READERS: Final[Mapping[Key, Callable[[object, str], float | bool | str]]] = {
    "older": _duration,
    "unused": _duration,
    "accesses_below": _number,
    "last_versions": _number,
    "larger": _size,
    "quality_below": _share,
    "name": _pattern,
    "tag": _pattern,
    "type": _pattern,
    "referenced": _truth,
    "pinned": _truth,
}


def _mentions(condition: Condition, key: Key) -> bool:
    match condition:
        case Predicate():
            return condition.key == key
        case AllOf() | AnyOf():
            return any(_mentions(one, key) for one in condition.of)
        case NotOf():
            return _mentions(condition.of, key)
