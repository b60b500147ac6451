"""Measures what an operator returned before it is copied: shared parts are in memory only once. Pure."""

import contextlib
from collections.abc import Callable, Collection
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.commons.plainness import copied, is_long, plain_size
from symphony.ports.values import Value
from symphony.sdk.operators import Operator

HOLDERS: Final = (list, dict, tuple, set, frozenset)
"""The types that hold other values."""
_HOLDERS: Final = frozenset(HOLDERS)
_SIZED: Final = _HOLDERS | {str, bytes}
_TEXTS: Final = frozenset({str})
_MANY: Final = 32


class ValueTooLarge(SymphonyError):
    """A value exceeds the size limit of all values. It has not been stored."""

    code = "limit-exceeded"

    def __init__(self, what: str, most: int) -> None:
        super().__init__(
            f"{what} is larger than {most / (1 << 20):g} MiB",
            details={"limit_bytes": most},
            hint="hand on the path of a file instead, or raise `value_mb` under [symphony] in config.toml",
        )


class PlainOutputs(dict[str, Value]):
    """Outputs by port that one check has found plain: the encoder takes them as they are."""


def ports_of(operator: Operator, node: str, most: int) -> Callable[[object], dict[str, Value]]:
    """Return a function that turns the return value of `operator` in `node` into plain outputs.

    Each output is bounded later, at `most` bytes. All together are measured first, as they would be
    written: a part that stands in many places is in memory once, but its copies are not. The function
    raises ValueTooLarge, and what `Operator.ports` does.
    """

    def ports(returned: object) -> dict[str, Value]:
        outputs = operator.info.outputs
        if is_long(returned) and plain_size(returned, most * max(1, len(outputs))) is not None:
            return PlainOutputs(operator.ports(returned, copied))  # type: ignore[arg-type]  # plain: a value
        if type(returned) in _HOLDERS or isinstance(returned, tuple):
            with contextlib.suppress(RecursionError, RuntimeError):  # reported below, in its own words
                if _written(returned, {}) > most * max(1, len(outputs)):
                    port = f"output {next(iter(outputs))} of" if len(outputs) == 1 else "what is returned by"
                    raise ValueTooLarge(f"{port} {node}", most)
        return operator.ports(returned)

    return ports


def _written(holder: object, sizes: dict[int, int]) -> int:
    """Return a lower bound of the bytes that `holder` takes when written. O(what it holds in memory)."""
    if (known := sizes.get(id(holder))) is not None:
        return known
    parts: Collection[object] = ()
    if isinstance(holder, dict):
        parts = holder.values()
    elif isinstance(holder, HOLDERS):
        parts = holder
    size = 1 + len(parts)
    if size > _MANY and _SIZED.isdisjoint(map(type, parts)):  # nine times as fast as checking each
        parts = ()
    elif parts and set(map(type, parts)) <= _TEXTS:  # a row of a table
        size, parts = size + sum(map(len, parts)), ()  # type: ignore[arg-type]  # texts all
    for part in parts:
        if isinstance(part, str | bytes):
            size += len(part)
        elif type(part) in _HOLDERS:
            size += _written(part, sizes)
    sizes[id(holder)] = size
    return size
