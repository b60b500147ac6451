"""The values that can travel, and their spelling where JSON has none. Pure."""

import base64
import sys
from collections.abc import Callable, Iterable
from math import isfinite

from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import JSON, ArtifactRef, Value

DEPTH_MAX = 200
"""Lists and maps nest at most this deep."""

BYTES_KEY = "$bytes"
"""The only key of a map that spells bytes."""


def check(value: object) -> None:
    """Raises SerializationFailed if `value` is not a `Value`, naming what is wrong. O(size)."""
    if (wrong := _flaw(value, DEPTH_MAX, _OTHERS)) is not None:
        raise SerializationFailed(
            f"a message cannot hold {wrong}",
            hint="send null, booleans, 64-bit integers, finite doubles, text, bytes, lists or maps",
        )


def check_json(value: object, what: str) -> None:
    """Raises SerializationFailed if JSON cannot say `value` exactly; `what` names it. O(size).

    For JSON as other programs read it: bytes have no spelling here. Depth is the encoder's to limit.
    """
    if (wrong := _flaw(value, sys.maxsize, _OTHERS_IN_JSON)) is not None:
        raise SerializationFailed(
            f"{what} cannot be written as JSON: it holds {wrong}",
            hint="give null, booleans, 64-bit integers, finite doubles, text, lists or maps",
        )


def is_json(value: object) -> bool:
    """True if it is a `Value` without bytes, which JSON cannot spell. O(size)."""
    return _flaw(value, DEPTH_MAX, _OTHERS_IN_JSON) is None


_OTHERS = frozenset({bool, bytes})
_OTHERS_IN_JSON = frozenset({bool})


def _flaw(value: object, room: int, others: frozenset[type]) -> str | None:
    """Return what is wrong with `value`; None if nothing is. `others`: kinds of item that need no look.

    One call for each map and list, none for words and numbers: every message passes here twice.
    """
    kind = type(value)
    items: Iterable[object]
    if kind is dict:
        for key in value:  # type: ignore[attr-defined]  # mypy does not know `type(x) is`
            if type(key) is not str:
                return f"a map with the key {key!r:.40}, which is not text"
        items = value.values()  # type: ignore[attr-defined]  # as above
    elif kind is list:
        items = value  # type: ignore[assignment]  # as above
    else:
        items, room = (value,), 1
    if room <= 0:
        return f"a value nested more than {DEPTH_MAX} deep"
    for item in items:
        kind = type(item)
        if kind is str or item is None:
            continue
        if kind is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:  # type: ignore[operator]  # as above
                return "an integer beyond 64 bits"
        elif kind is float:
            if not isfinite(item):  # type: ignore[arg-type]  # as above
                return "a number that is not finite"
        elif kind is dict or kind is list:
            if (wrong := _flaw(item, room - 1, others)) is not None:
                return wrong
        elif kind not in others:
            return f"a {kind.__name__}"
    return None


def spelled(value: object, reference: Callable[[ArtifactRef], JSON] | None = None) -> JSON:
    """Return how JSON spells `value`: bytes as `{"$bytes": base64}`, and the `$` that begins a key doubled.

    `value` is a `Value`, or holds references to stored bodies if `reference` says how to spell them.
    What needs no spelling is not copied.
    """
    if isinstance(value, bytes):
        return {**spelled_bytes(value)}
    if reference is not None and isinstance(value, ArtifactRef):
        return reference(value)
    if isinstance(value, dict):
        for key, item in value.items():
            if type(item) not in _PLAIN or key[:1] == "$":
                break
        else:
            return value
        return {
            f"${key}" if key[:1] == "$" else key: item if type(item) in _PLAIN else spelled(item, reference)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return value if _PLAIN.issuperset(map(type, value)) else [spelled(item, reference) for item in value]
    return value  # type: ignore[return-value]  # JSON has the other scalars itself


_PLAIN = frozenset({str, int, float, bool, type(None)})


def spelled_bytes(value: bytes) -> dict[str, str]:
    """Return how JSON spells bytes."""
    return {BYTES_KEY: base64.b64encode(value).decode("ascii")}


def unspelled(value: Value) -> Value:
    """Return the value that `spelled` spelled. Raises SerializationFailed for a `$` that means nothing."""
    if isinstance(value, list):
        return [unspelled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and BYTES_KEY in value:
        try:
            return unspelled_bytes(value[BYTES_KEY])
        except ValueError:
            raise SerializationFailed(f"{BYTES_KEY} in a message must be base64") from None
    out: dict[str, Value] = {}
    for key, item in value.items():
        if key[:1] == "$" and key[:2] != "$$":
            raise SerializationFailed(f"the key {key!r:.40} means nothing in a message", hint="double the $")
        out[key.removeprefix("$")] = unspelled(item)
    return out


def unspelled_bytes(text: object) -> bytes:
    """Return the bytes under `BYTES_KEY`. Raises ValueError for something that is not base64."""
    if not isinstance(text, str):
        raise ValueError(f"{BYTES_KEY} must be base64")
    return base64.b64decode(text, validate=True)
