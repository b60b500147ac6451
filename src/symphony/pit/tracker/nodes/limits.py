"""The limit of a value's size: every path that makes one asks here, before it is written anywhere. Pure."""

from typing import Final

import msgspec

from symphony.ports.values import ArtifactRef
from symphony.sdk.sizes import ValueTooLarge

VALUE_BYTES_MAX: Final = 256 << 20
"""Unless the settings say otherwise."""
HEAVY_STEPS: Final = 10_000
"""The limit for what the loop evaluates itself, in microseconds at worst."""


_encode = msgspec.msgpack.Encoder().encode


def bounded(value: object, what: str, most: int) -> None:
    """Raise ValueTooLarge if `value` takes more than `most` bytes; `what` names it, node and all.

    Counted is what its encoding takes; texts and bytes as they are.
    """
    if type(value) in (bool, int, float, type(None), ArtifactRef):
        return
    if not fits(value, most):
        raise ValueTooLarge(what, most)


def fits(value: object, most: int) -> bool:
    """True if the value takes at most `most` bytes."""
    if isinstance(value, str | bytes):
        return _size(value, most) <= most
    try:
        return len(_encode(value)) <= most  # ten times as fast as a look at each part
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _fits(value, most)  # references, or what is no value, as others will say


def _fits(value: object, most: int) -> bool:
    left, stack = most, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            left -= 1 + sum(map(len, item))
            parts = list(item.values())
        elif isinstance(item, list):
            parts = item
            left -= 1
        else:
            continue
        left -= len(parts)
        for part in parts:
            kind = type(part)
            if kind is str or kind is bytes:
                left -= _size(part, left)
            elif kind is list or kind is dict:
                stack.append(part)
        if left < 0:
            return False
    return left >= 0


def _size(text: str | bytes, most: int) -> int:
    """The bytes of `text`; of one that is surely too long, or surely not, its characters."""
    if isinstance(text, bytes) or text.isascii() or len(text) > most or len(text) * 4 <= most:
        return len(text)
    return len(text.encode("utf-8", "surrogatepass"))
