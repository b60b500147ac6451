"""Whether a condition fits an artifact, and conditions in words. Pure.

A condition about something that is not known is neither true nor false (None): Kleene's three-valued logic.
So nothing is deleted, nor left unprotected, for want of knowledge.
"""

import fnmatch
from collections.abc import Iterable
from typing import Final

from symphony.commons.retention import AllOf, AnyOf, Condition, NotOf, Predicate
from symphony.ports.retention import Standing

_COUNTED_LONG_S: Final = 90 * 86_400.0
"""Once reads were counted for that long, the counts say enough, also of artifacts that are older."""
_WORDS: Final = {
    "older": "older than {}",
    "unused": "not used for {}",
    "accesses_below": "read less than {} times",
    "last_versions": "one of the last {} of its name",
    "larger": "larger than {}",
    "quality_below": "quality below {}",
    "name": "name {}",
    "tag": "tag {}",
    "type": "type {}",
}


def fits(condition: Condition | None, found: Standing, now_s: float) -> bool | None:
    """Return whether the condition fits; None if that is not known. No condition fits everything."""
    match condition:
        case None:
            return True
        case Predicate():
            return _holds(condition, found, now_s)
        case AllOf():
            return _all(fits(one, found, now_s) for one in condition.of)
        case AnyOf():
            return _not(_all(_not(fits(one, found, now_s)) for one in condition.of))
        case NotOf():
            return _not(fits(condition.of, found, now_s))


def words(condition: Condition | None) -> str:
    """Return the condition for people: `name scratch-* and older than 30d`."""
    match condition:
        case None:
            return "everything"
        case Predicate(key="referenced"):
            return "a run refers to it" if condition.value else "no run refers to it"
        case Predicate(key="pinned"):
            return "pinned" if condition.value else "not pinned"
        case Predicate():
            return _WORDS[condition.key].format(condition.text)
        case AllOf():
            return " and ".join(map(_grouped, condition.of))
        case AnyOf():
            return " or ".join(map(_grouped, condition.of))
        case NotOf():
            return f"not {_grouped(condition.of)}"


def _grouped(condition: Condition) -> str:
    told = words(condition)
    return told if isinstance(condition, Predicate | NotOf) else f"({told})"


def _holds(one: Predicate, found: Standing, now_s: float) -> bool | None:
    value = one.value
    match one.key:
        case "older":
            return now_s - found.put_at > _number(value)
        case "unused":
            if found.counted_since is None:
                return None
            return now_s - max(found.put_at, found.used_at or 0.0, found.counted_since) > _number(value)
        case "accesses_below":
            return _read_seldom(found, _number(value), now_s)
        case "last_versions":
            return any(name.newer < _number(value) for name in found.names)
        case "larger":
            return found.size > _number(value)
        case "quality_below":
            return None if found.quality is None else found.quality < _number(value)
        case "name":
            return any(_alike(name.name, value) for name in found.names)
        case "tag":
            return None if found.tags is None else any(_alike(tag, value) for tag in found.tags)
        case "type":
            return _alike(found.content_type, value)
        case "referenced":
            return bool(found.runs) == value
        case "pinned":
            return found.pinned == value


def _read_seldom(found: Standing, below: float, now_s: float) -> bool | None:
    """Return whether it was read less than `below` times. Reads before anybody counted are not known."""
    if found.uses is None or found.counted_since is None:
        return None
    if found.uses >= below:
        return False
    counted = found.counted_since <= max(found.put_at, now_s - _COUNTED_LONG_S)
    return True if counted else None


def _number(value: float | bool | str) -> float:
    return float(value)


def _alike(text: str, pattern: float | bool | str) -> bool:
    return fnmatch.fnmatchcase(text.casefold(), str(pattern).casefold())


def _not(known: bool | None) -> bool | None:
    return None if known is None else not known


def _all(known: Iterable[bool | None]) -> bool | None:
    found = list(known)
    return False if False in found else None if None in found else True
