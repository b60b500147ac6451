"""How much an artifact is worth keeping, from 0 to 1. Pure and deterministic."""

import math
from typing import Final

import msgspec

from symphony.ports.retention import Standing

_SIZE_BITS: Final = 40.0
"""An artifact of a tebibyte or more has no value for its size."""


class WorthWeights(msgspec.Struct, frozen=True, kw_only=True):
    """The weights of the parts of the value; `half_life_s`: seconds after which recency has halved."""

    recency: float = 1.0
    frequency: float = 1.0
    quality: float = 1.0
    size: float = 0.5
    half_life_s: float = 30 * 86_400.0


def worth(found: Standing, now_s: float, weights: WorthWeights) -> float:
    """Return the weighted mean of the parts that are known; 0 if none has a weight.

    Recency halves with each half-life since the artifact was last put or read. Frequency is 1 - 1/(1 + n)
    for n uses: reads, and runs that refer to it. Quality counts as it is. Size is 1 for an empty body and
    falls with the logarithm of the bytes.
    """
    parts = [(weights.recency, recency(found, now_s, weights.half_life_s))]
    if found.uses is not None:
        parts.append((weights.frequency, 1 - 1 / (1 + found.uses + len(found.runs))))
    if found.quality is not None:
        parts.append((weights.quality, min(max(found.quality, 0.0), 1.0)))
    parts.append((weights.size, max(0.0, 1 - math.log2(1 + found.size) / _SIZE_BITS)))
    total = sum(weight for weight, _ in parts)
    return sum(weight * part for weight, part in parts) / total if total > 0 else 0.0


def recency(found: Standing, now_s: float, half_life_s: float) -> float:
    """Return 1 for what is used now, half of it after each half-life."""
    last = max(found.put_at, found.used_at or 0.0)
    return math.exp2(-max(now_s - last, 0.0) / half_life_s)
