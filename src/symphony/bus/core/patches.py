"""The difference between two values, as patches that are small when the change is. Pure.

| patch | does |
|---|---|
| `["put", value]` | puts `value` in the place of everything |
| `["splice", start, removed, inserted]` | replaces `removed` items of text, bytes or a list from `start` on |
| `["map", {key: patch}, [key]]` | takes the listed keys away, changes others, and adds new ones at the end |

Positions in text count code points, in bytes octets. Values are never changed in place.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final, TypeAlias, TypeVar

from symphony.commons.errors import ValidationFailed
from symphony.ports.values import Value

Patch: TypeAlias = list[Value]

_PUT: Final = "put"
_SPLICE: Final = "splice"
_MAP: Final = "map"
_Text = TypeVar("_Text", str, bytes)


def same(one: Value, other: Value) -> bool:
    """True if both are one value. Unlike `==`, tells 1 from 1.0 and from true, 0.0 from -0.0, and
    orders of keys.
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and str(one) == str(other)
    return one == other


def splice(start: int, removed: int, inserted: str | bytes | list[Value]) -> Patch:
    """Return the patch for an edit whose place is known. Raises ValidationFailed for a negative number."""
    if start < 0 or removed < 0:
        raise _unfit("a splice starts and removes at 0 or more")
    return [_SPLICE, start, removed, inserted]


def difference(before: Value, after: Value) -> Patch | None:
    """Return what makes `after` of `before`; None if they are the same. O(size), most of it comparing
    memory.
    """
    if same(before, after):
        return None
    if isinstance(before, str) and isinstance(after, str):
        start, end = _text_ends(before, after)
        return [_SPLICE, start, len(before) - start - end, after[start : len(after) - end]]
    if isinstance(before, bytes) and isinstance(after, bytes):
        start, end = _text_ends(before, after)
        return [_SPLICE, start, len(before) - start - end, after[start : len(after) - end]]
    if isinstance(before, list) and isinstance(after, list):
        start, end = _list_ends(before, after)
        return [_SPLICE, start, len(before) - start - end, after[start : len(after) - end]]
    if isinstance(before, dict) and isinstance(after, dict):
        return _map_difference(before, after)
    return [_PUT, after]


def _map_difference(before: dict[str, Value], after: dict[str, Value]) -> Patch:
    """Keys that stand elsewhere now are taken away and put again, behind those that stay in their place."""
    staying = [key for key in before if key in after]
    moved = list(after)[: len(staying)] != staying
    if moved:
        pairs = zip(staying, after, strict=False)
        staying = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    kept, changed = frozenset(staying), dict[str, Value]()
    for key, item in after.items():
        patch = difference(before[key], item) if key in kept else [_PUT, item]
        if patch is not None:
            changed[key] = patch
    return [_MAP, changed, [key for key in before if key not in kept]]


def apply(before: Value, patch: Value) -> Value:
    """Return `before` with the change. Raises ValidationFailed for something that is not a patch of it."""
    match patch:
        case ["put", value]:
            return value
        case ["splice", int(start), int(removed), inserted]:
            if type(start) is int and type(removed) is int:
                return _spliced(before, start, removed, inserted)
        case ["map", dict(changed), list(gone)] if isinstance(before, dict):
            after = dict(before)
            for key in gone:
                if not isinstance(key, str) or key not in after:
                    raise _unfit("it takes away a key that is not there")
                del after[key]
            for key, below in changed.items():
                after[key] = apply(after.get(key), below)
            return after
    raise _unfit(f"{patch!r:.80} does not change a {type(before).__name__}")


def _spliced(before: Value, start: int, removed: int, inserted: Value) -> Value:
    if isinstance(before, str | bytes | list) and 0 <= start <= start + removed <= len(before):
        end = start + removed
        if isinstance(before, str) and isinstance(inserted, str):
            return f"{before[:start]}{inserted}{before[end:]}"
        if isinstance(before, bytes) and isinstance(inserted, bytes):
            whole = memoryview(before)  # one copy of a large buffer, not two
            return b"".join((whole[:start], inserted, whole[end:]))
        if isinstance(before, list) and isinstance(inserted, list):
            return [*before[:start], *inserted, *before[end:]]
    raise _unfit(f"it replaces {removed} from {start} on, which a {type(before).__name__} does not have")


def merged(base: Value, theirs: Value, ours: Value) -> Value:
    """Both changes to `base` where they do not touch; where they do, `theirs`.

    Maps are merged key by key (a change wins over a deletion), text, bytes and lists if the one
    changed stretch of each side lies apart from the other's.
    """
    if same(ours, base) or same(theirs, ours):
        return theirs
    if same(theirs, base):
        return ours
    if isinstance(base, dict) and isinstance(theirs, dict) and isinstance(ours, dict):
        return _merged_maps(base, theirs, ours)
    there, here = difference(base, theirs), difference(base, ours)
    match there, here:
        case ["splice", int(start), int(removed), *_], ["splice", int(our_start), int(our_removed), *_]:
            if our_start > start + removed:
                return apply(apply(base, here), there)
            if start > our_start + our_removed:
                return apply(apply(base, there), here)
    return theirs


def _merged_maps(base: dict[str, Value], theirs: dict[str, Value], ours: dict[str, Value]) -> Value:
    found: dict[str, Value] = {}
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        if key in theirs and key in ours:
            found[key] = merged(base.get(key), theirs[key], ours[key])
        else:
            side = theirs if key in theirs else ours
            if key not in base or not same(side[key], base[key]):
                found[key] = side[key]
    return found


def _text_ends(one: _Text, other: _Text) -> tuple[int, int]:
    """Return how many items are the same at the start, and of the rest at the end. Compares memory, in
    halves.
    """
    shorter = start = min(len(one), len(other))
    low = 0
    while low < start:
        half = (low + start + 1) // 2
        if one[low:half] == other[low:half]:
            low = half
        else:
            start = half - 1
    end, low = shorter - start, 0
    while low < end:
        half = (low + end + 1) // 2
        if one[len(one) - half : len(one) - low] == other[len(other) - half : len(other) - low]:
            low = half
        else:
            end = half - 1
    return start, end


def _list_ends(one: Sequence[Value], other: Sequence[Value]) -> tuple[int, int]:
    shorter = min(len(one), len(other))
    start = 0
    while start < shorter and same(one[start], other[start]):
        start += 1
    end = 0
    while end < shorter - start and same(one[-1 - end], other[-1 - end]):
        end += 1
    return start, end


def _unfit(why: str) -> ValidationFailed:
    return ValidationFailed(f"a patch does not fit: {why}", details={"field": "patch"})
