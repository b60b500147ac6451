"""The delay before the next try. Pure.

Source of the jitter: M. Brooker, "Exponential Backoff And Jitter", AWS blog, 2015.
"""

from typing import Final, Literal, TypeAlias

Growth: TypeAlias = Literal["constant", "linear", "exponential"]
_DOUBLINGS_MAX: Final = 64


def backoff_s(
    attempt: int, *, base_s: float, cap_s: float, growth: Growth = "exponential", jitter: float = 1.0
) -> float:
    """Return the seconds to wait after failed try `attempt` (1-based): `base_s`, growing, at most `cap_s`.

    `jitter`, drawn by the caller, is the part of it that is waited: between 0 and 1 for full jitter,
    between one half and 1 for equal jitter. Raises ValueError if `attempt` is below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
    factors = {
        "constant": 1.0,
        "linear": float(attempt),
        "exponential": 2.0 ** min(attempt - 1, _DOUBLINGS_MAX),
    }
    return min(base_s * factors[growth], cap_s) * jitter
