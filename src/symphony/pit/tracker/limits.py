"""How large a value may be: every path that makes one asks here, before it is written anywhere. Pure."""

import contextlib
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import ArtifactRef, Value
from symphony.sdk.operators import Operator

VALUE_BYTES_MAX: Final = 256 << 20
"""Unless the settings say otherwise."""
HEAVY_STEPS: Final = 10_000
"""What the loop evaluates itself: about so many microseconds at worst."""


_encode = msgspec.msgpack.Encoder().encode
HOLDERS: Final = (list, dict, tuple, set, frozenset)
"""The types of what holds other values."""
_HOLDERS: Final = frozenset(HOLDERS)
_SIZED: Final = _HOLDERS | {str, bytes}
_MANY: Final = 32


class ValueTooLarge(SymphonyError):
    """A value is larger than any may be. It has not been written down."""

    code = "limit-exceeded"

    def __init__(self, what: str, most: int) -> None:
        super().__init__(
            f"{what} is larger than {most / (1 << 20):g} MiB",
            details={"limit_bytes": most},
            hint="hand on the path of a file instead, or raise `value_mb` under [symphony] in config.toml",
        )


def bounded(value: object, what: str, most: int) -> None:
    """Raise ValueTooLarge if `value` takes more than `most` bytes; `what` names it, node and all.

    Counted is what its encoding takes; texts and bytes as they are.
    """
    if type(value) in (bool, int, float, type(None), ArtifactRef):
        return
    if not fits(value, most):
        raise ValueTooLarge(what, most)


def fits(value: object, most: int) -> bool:
    """Does the value take at most `most` bytes?"""
    if isinstance(value, str | bytes):
        return _size(value, most) <= most
    try:
        return len(_encode(value)) <= most  # ten times as fast as a look at each part
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _fits(value, most)  # references, or what is no value, as others will say


def ports_of(operator: Operator, node: str, most: int) -> Callable[[object], dict[str, Value]]:
    """What makes the outputs of `operator`, plain values, of what its function returned in `node`.

    Each output is bounded later, at `most` bytes. All together are measured first, as they would be
    written: a part that stands in many places is in memory once, but its copies are not. The function
    raises ValueTooLarge, and what `Operator.ports` does.
    """

    def ports(returned: object) -> dict[str, Value]:
        outputs = operator.info.outputs
        if type(returned) in _HOLDERS or isinstance(returned, tuple):
            with contextlib.suppress(RecursionError, RuntimeError):  # said below, in its own words
                if _written(returned, {}) > most * max(1, len(outputs)):
                    port = f"output {next(iter(outputs))} of" if len(outputs) == 1 else "what is returned by"
                    raise ValueTooLarge(f"{port} {node}", most)
        return operator.ports(returned)

    return ports


def _written(holder: object, sizes: dict[int, int]) -> int:
    """At least so many bytes does `holder` take when written. O(what it holds in memory)."""
    if (known := sizes.get(id(holder))) is not None:
        return known
    parts: Collection[object] = ()
    if isinstance(holder, dict):
        parts = holder.values()
    elif isinstance(holder, HOLDERS):
        parts = holder
    size = 1 + len(parts)
    if size > _MANY and _SIZED.isdisjoint(map(type, parts)):  # nine times as fast as a look at each
        parts = ()
    for part in parts:
        if isinstance(part, str | bytes):
            size += len(part)
        elif type(part) in _HOLDERS:
            size += _written(part, sizes)
    sizes[id(holder)] = size
    return size


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
