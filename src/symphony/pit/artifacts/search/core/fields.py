"""The fields of the index: what queries may name, and how their values are read. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from symphony.commons.moments import FIRST_S, LAST_S, within
from symphony.commons.quantities import duration_s, size_bytes

Kind: TypeAlias = Literal["text", "label", "number", "size", "moment"]
"""Split into words; one word, whatever is in it; a number, one of bytes, one of seconds since the epoch."""

FIELDS: Final[Mapping[str, Kind]] = MappingProxyType({
    "text": "text", "identifier": "text", "name": "text", "parameter": "text", "note": "text",
    "type": "label", "tag": "label", "version": "label", "run": "label", "node": "label", "port": "label",
    "operator": "label", "model": "label", "digest": "label",
    "size": "size", "created": "moment", "quality": "number", "rating": "number", "uses": "number",
})  # fmt: skip
"""What a query may name, and of which kind it is."""

USUAL: Final = ("text", "identifier", "name", "parameter", "note")
"""The fields in which a word without a field is looked for."""

WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({"name": 3.0, "note": 1.5, "identifier": 0.5})
"""How much more than the text a field counts."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType({
    "body": "text", "content": "text", "filename": "name", "param": "parameter", "parameters": "parameter",
    "content_type": "type", "mime": "type", "run_id": "run", "op": "operator", "sha256": "digest",
    "versions": "version", "label": "version",
    "bytes": "size", "created_at": "created", "date": "created", "notes": "note", "names": "name",
    "tags": "tag", "types": "type", "nodes": "node", "runs": "run", "models": "model",
})  # fmt: skip

_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_YEAR: Final = re.compile(r"\d{4}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_BARE_SIZE: Final = re.compile(r"([0-9.]+)([KMGT])", re.IGNORECASE)


class Span(NamedTuple):
    """What one value covers: a day has a first moment, and a moment behind its last. Others are points."""

    low: float
    high: float | None = None


def span(kind: Kind, text: str, now_s: float) -> Span:
    """Read the value of a field that is a number. Raises ValueError that says what it should be."""
    match kind:
        case "size":
            return Span(float(_size(text)))
        case "moment":
            return _moment(text, now_s)
        case _:
            try:
                found = float(text)
            except ValueError:
                raise ValueError(f"{text[:40]!r} is not a number") from None
            if found != found or abs(found) == float("inf"):
                raise ValueError(f"{text[:40]!r} is not a number")
            return Span(found)


def _size(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    bare = _BARE_SIZE.fullmatch(text)
    return size_bytes(f"{bare[1]}{bare[2]}iB" if bare is not None else text)


def _moment(text: str, now_s: float) -> Span:
    try:
        return Span(within(now_s - duration_s(text)))
    except ValueError:
        pass
    try:
        if _YEAR.fullmatch(text):
            return Span(_s(f"{text}-01-01"), _s(f"{int(text) + 1:04}-01-01"))
        if (month := _MONTH.fullmatch(text)) is not None:
            year, number = int(month[1]), int(month[2])
            after = f"{year + number // 12:04}-{number % 12 + 1:02}"
            return Span(_s(f"{text}-01"), _s(f"{after}-01"))
        if _DAY.fullmatch(text):
            return Span(_s(text), _s(text, timedelta(days=1)))
        return Span(_s(text))
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is neither an age nor a time: 7d, 2026, 2026-01, 2026-01-31 or 2026-01-31T12:00"
        ) from None


def _s(text: str, more: timedelta = timedelta()) -> float:
    """Seconds since the epoch, of a local time unless an offset is given; within the calendar."""
    moment = datetime.fromisoformat(text)
    try:
        return within((moment + more).timestamp())
    except (OverflowError, OSError):
        return LAST_S if moment.year > 1970 else FIRST_S
