"""Which values can travel, and how JSON spells those that it has no word for. Pure."""

import base64
import binascii
from collections.abc import Iterable
from math import isfinite

from symphony.commons.errors import SerializationFailed
from symphony.ports.values import Value

DEPTH_MAX = 200
"""Lists and maps nest at most this deep."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
_BYTES = "$bytes"


def check(value: object) -> None:
    """Raises SerializationFailed if `value` is no `Value`, naming what is wrong. O(size)."""
    if (wrong := _flaw(value, DEPTH_MAX)) is not None:
        raise SerializationFailed(
            f"a message cannot hold {wrong}",
            hint="send null, booleans, 64-bit integers, finite doubles, text, bytes, lists or maps",
        )


def _flaw(value: object, room: int) -> str | None:
    if isinstance(value, dict) and type(value) is dict:
        for key in value:
            if type(key) is not str:
                return f"a map with the key {key!r:.40}, which is no text"
        return _flaw_within(value.values(), room)
    if isinstance(value, list) and type(value) is list:
        return _flaw_within(value, room)
    return _flaw_of_number(value) if type(value) not in _WORDS else None


def _flaw_within(items: Iterable[object], room: int) -> str | None:
    """Most items are words and numbers: no call for those, since every message passes here twice."""
    if room <= 0:
        return f"a value nested more than {DEPTH_MAX} deep"
    for item in items:
        kind = type(item)
        if kind in _WORDS:
            continue
        if kind is dict or kind is list:
            wrong = _flaw(item, room - 1)
        else:
            wrong = _flaw_of_number(item)
        if wrong is not None:
            return wrong
    return None


_WORDS = frozenset({str, bool, bytes, type(None)})


def _flaw_of_number(value: object) -> str | None:
    if isinstance(value, int) and type(value) is int:
        return None if INTEGER_MIN <= value <= INTEGER_MAX else "an integer beyond 64 bits"
    if isinstance(value, float) and type(value) is float:
        return None if isfinite(value) else "a number that is not finite"
    return f"a {type(value).__name__}"


def spelled(value: Value) -> Value:
    """How JSON spells `value`: bytes as `{"$bytes": base64}`, and the `$` that begins a key doubled.

    What needs no spelling is not copied.
    """
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        for key, item in value.items():
            if type(item) not in _PLAIN or key[:1] == "$":
                break
        else:
            return value
        return {
            f"${key}" if key[:1] == "$" else key: item if type(item) in _PLAIN else spelled(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return value if _PLAIN.issuperset(map(type, value)) else [spelled(item) for item in value]
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})


def unspelled(value: Value) -> Value:
    """The reverse of `spelled`. Raises SerializationFailed for a `$` that means nothing."""
    if isinstance(value, list):
        return [unspelled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and _BYTES in value:
        return _unspelled_bytes(value[_BYTES])
    out: dict[str, Value] = {}
    for key, item in value.items():
        if key[:1] == "$" and key[:2] != "$$":
            raise SerializationFailed(f"the key {key!r:.40} means nothing in a message", hint="double the $")
        out[key.removeprefix("$")] = unspelled(item)
    return out


def _unspelled_bytes(text: Value) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise SerializationFailed("$bytes in a message must be base64") from None
