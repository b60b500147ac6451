"""How good an artifact is, from 0 to 1, and why. Pure and deterministic.

The score is the weighted mean of the parts that are known. A part that cannot be known is left out and says
so; without any part there is no score.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Final

from symphony.pit.artifacts.search.core.validity import Validity
from symphony.ports.artifacts import Rating
from symphony.ports.search import Quality, QualityPart

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {"validity": 0.4, "completeness": 0.2, "use": 0.2, "rating": 0.2}
)
"""What each part counts, unless the settings say otherwise."""
_DIGITS: Final = 6


def quality(
    size: int,
    found: Validity,
    *,
    uses: int | None,
    ratings: Sequence[Rating],
    runs: Mapping[str, bool] | None = None,
    weights: Mapping[str, float] = WEIGHTS,
) -> Quality:
    """Return the score of an artifact and its parts.

    `uses`: how many later runs read it; None if that is not known. `runs`: those that made it and have ended,
    with whether they succeeded.
    """
    parts = (
        _part("validity", found.share, found.why, weights),
        _completeness(size, found, runs or {}, weights),
        _use(uses, weights),
        _rating(ratings, weights),
    )
    known = [(part.value, part.weight) for part in parts if part.value is not None and part.weight > 0]
    total = sum(weight for _, weight in known)
    score = round(sum(value * weight for value, weight in known) / total, _DIGITS) if known else None
    return Quality(score=score, parts=parts)


def _completeness(
    size: int, found: Validity, runs: Mapping[str, bool], weights: Mapping[str, float]
) -> QualityPart:
    checks = {"it is empty" if not size else "it is not empty": size > 0}
    if found.cut is not None:
        checks["its end is missing" if found.cut else "its end is there"] = not found.cut
    if runs:
        succeeded = any(runs.values())
        checks["its run succeeded" if succeeded else "its run did not succeed"] = succeeded
    return _part("completeness", fmean(checks.values()), ", ".join(checks), weights)


def _use(uses: int | None, weights: Mapping[str, float]) -> QualityPart:
    if uses is None:
        return _part("use", None, "it is not known which runs read it", weights)
    told = "no later run has read it" if not uses else f"{uses:,} later run{'s' * (uses > 1)} read it"
    return _part("use", uses / (uses + 1), told, weights)


def _rating(ratings: Sequence[Rating], weights: Mapping[str, float]) -> QualityPart:
    scores = [rating.score for rating in ratings if rating.score is not None]
    if not scores:
        return _part("rating", None, "nobody has rated it", weights)
    return _part("rating", fmean(scores), f"{len(scores):,} rating{'s' * (len(scores) > 1)}", weights)


def _part(name: str, value: float | None, why: str, weights: Mapping[str, float]) -> QualityPart:
    value = None if value is None else round(value, _DIGITS)
    return QualityPart(name=name, value=value, weight=weights.get(name, 0.0), why=why)
