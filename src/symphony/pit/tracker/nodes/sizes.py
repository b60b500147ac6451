"""Decides which values travel inline. Pure."""

from typing import Final

from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.values import INLINE_BYTES_MAX, ArtifactRef, StoredValue, Value


def large(value: StoredValue) -> bool:
    """True if the value's encoding exceeds what travels inline."""
    if value is None or isinstance(value, bool | int | float | ArtifactRef):
        return False
    if isinstance(value, str | bytes):
        return len(value) > INLINE_BYTES_MAX or (
            isinstance(value, str)
            and len(value) * 4 > INLINE_BYTES_MAX
            and len(value.encode("utf-8", "replace")) > INLINE_BYTES_MAX
        )
    return bool(value) and len(encode_value(value)) > INLINE_BYTES_MAX


def surely_small(value: Value) -> bool:
    """True if a quick look shows that the value travels inline."""
    if isinstance(value, _TEXTS):
        return len(value) * 4 <= INLINE_BYTES_MAX
    return value is None or isinstance(value, _PLAIN_NUMBERS)


def quickly_told(returned: object) -> bool:
    """True if an operator returned no more than a few scalars, alone or in one map or list.

    If so, the result is converted at once. Otherwise it is converted in a thread, because looking at each
    element may take long.
    """
    if isinstance(returned, dict | list | tuple):
        inner = returned.values() if isinstance(returned, dict) else returned
        return len(returned) <= _FEW and all(type(one) in _SCALARS for one in inner)
    return type(returned) in _SCALARS


def quickly_hashed(value: StoredValue) -> bool:
    """True if the loop can make a digest of the value: a scalar, a short text, or a few numbers."""
    if isinstance(value, _HOLDERS):
        inner = value.values() if isinstance(value, dict) else value
        return len(value) <= _FEW and all(type(one) in _NUMBERS for one in inner)
    return not isinstance(value, _TEXTS) or len(value) <= _SHORT


def quickly_seen(value: StoredValue) -> bool:
    """True if all of the value can be looked at on the loop. Looks no further than `_MANY` elements."""
    if not isinstance(value, list | dict):
        return True
    left, stack = _MANY, [value]
    while stack:
        item = stack.pop()
        left -= len(item)
        if left < 0:
            return False
        inside = item.values() if isinstance(item, dict) else item
        stack += [part for part in inside if isinstance(part, list | dict)]
    return True


# A tuple, because `list | dict` in a check builds a union each time.
_HOLDERS: Final = (list, dict)
_TEXTS: Final = (str, bytes)
_PLAIN_NUMBERS: Final = (bool, int, float)
_MANY = 1_000
_FEW = 32
_SHORT = 4_096
_NUMBERS = frozenset({type(None), bool, int, float})
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
