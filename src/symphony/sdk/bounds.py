"""Bounds on one call of an operator, for operators that run what a workflow gives them."""

from collections.abc import Callable, Mapping

import msgspec

from symphony.ports.values import Value


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a call, and which calls are sure to use little.

    `heavy` looks at the inputs and says whether the call might take long or much memory. It runs on the
    event loop, so it looks at no more than it needs. A heavy call runs in a worker process, which is
    ended when the time is over, and in which Python refuses memory beyond `memory_mb` (MiB; where the
    system knows RLIMIT_AS). `seconds`: the input that says how long a call may take.
    """

    heavy: Callable[[Mapping[str, Value]], bool]
    memory_mb: int = 1_024
    seconds: str | None = None

    def time_s(self, inputs: Mapping[str, Value], default: Value) -> float | None:
        """Return how long the call may take; `default` is that of the input `seconds`."""
        if self.seconds is None:
            return None
        given = inputs.get(self.seconds, default)
        return float(given) if isinstance(given, int | float) else None


def extent(value: Value, most: int) -> int:
    """Return how many characters, bytes and elements there are in `value`; counting ends beyond `most`."""
    found, waiting = 0, [value]
    while waiting and found <= most:
        one = waiting.pop()
        found += 1
        if isinstance(one, str | bytes):
            found += len(one)
        elif isinstance(one, list):
            found += len(one)
            waiting += one[:most]
        elif isinstance(one, dict):
            found += sum(map(len, one)) if len(one) <= most else most
            waiting += list(one.values())[:most]
    return found
