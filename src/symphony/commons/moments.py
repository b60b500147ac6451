"""Converts moments, in seconds since the Unix epoch, for calendars and other programs. Pure.

A clock may be wrong and a wait may end after the year 9999, where calendars end: such a moment is shown
as the nearest one in the calendar.
"""

import math
from datetime import UTC, datetime
from typing import Final

FIRST_S: Final = -62_135_596_800.0
"""0001-01-01T00:00:00Z."""
LAST_S: Final = 253_402_300_799.0
"""9999-12-31T23:59:59Z."""

_NS: Final = 1_000_000_000
_NS_MAX: Final = (1 << 63) - 1


def within(epoch_s: float) -> float:
    """Return the nearest moment that calendars have; the epoch for something that is not a number."""
    if math.isnan(epoch_s):
        return 0.0
    return min(max(epoch_s, FIRST_S), LAST_S)


def later(now_s: float, seconds: float) -> float:
    """Return the moment `seconds` after `now_s`, the last that calendars have if it is beyond them.

    A clock that is itself beyond them counts on as it does.
    """
    return now_s + seconds if now_s > LAST_S else within(now_s + seconds)


def utc(epoch_s: float) -> datetime:
    """Return the moment in UTC, or the nearest one that calendars have."""
    return datetime.fromtimestamp(within(epoch_s), UTC)


def local(epoch_s: float) -> datetime:
    """Return the moment in the local time zone; in UTC at the very ends of the calendar."""
    try:
        return datetime.fromtimestamp(within(epoch_s)).astimezone()
    except (OverflowError, OSError, ValueError):
        return utc(epoch_s)


def iso(epoch_s: float) -> str:
    """Return the moment as ISO 8601 in UTC, with milliseconds: `2026-01-31T12:00:00.000Z`."""
    return utc(epoch_s).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_s(text: str) -> float | None:
    """Return the moment that an ISO 8601 text with an offset tells; None of any other text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()


def nanoseconds(epoch_s: float) -> int:
    """Return the nanoseconds since the epoch, at least 0 and at most what 63 bits hold (the year 2262)."""
    return min(max(int(within(epoch_s) * _NS), 0), _NS_MAX)
