"""The limit of a value's size: every path that makes one asks here, before it is written anywhere. Pure."""

from typing import Final

import msgspec

from symphony.ports.values import ArtifactRef
from symphony.sdk.sizes import ValueTooLarge

VALUE_BYTES_MAX: Final = 256 << 20
"""The default limit, in bytes."""
HEAVY_STEPS: Final = 10_000
"""The most steps that the loop evaluates itself; a step takes about a microsecond at worst."""


_encode = msgspec.msgpack.Encoder().encode


def bounded(value: object, what: str, most: int) -> None:
    """Raise ValueTooLarge if `value` takes more than `most` bytes; `what` names it with its node.

    The size is that of its encoding; texts and bytes count as they are.
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
        return len(_encode(value)) <= most  # ten times as fast as looking at each part
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _fits(value, most)  # references, or something that is not a value, which others report


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
    """Return the bytes of `text`, or its characters if they suffice to decide whether it is too long."""
    if isinstance(text, bytes) or text.isascii() or len(text) > most or len(text) * 4 <= most:
        return len(text)
    return len(text.encode("utf-8", "surrogatepass"))
